/* SPDX-License-Identifier: ISC */
/*
 * record (private to spool) - values on disk: one byte of version, a CRC32C of
 * what follows, little-endian numbers, bytes with their length in front.
 * Unknown bytes behind the known fields are ignored, so that a later version
 * may add some.  Decoders take any bytes and fail with ERR_DAMAGED.
 */
#ifndef SPOOL_RECORD_H
#define SPOOL_RECORD_H

#include "base/buf.h"
#include "base/err.h"
#include "spool/history.h"

#define RECORD_VERSION 1
#define RECORD_MAX (4u << 20)

enum lane { LANE_READY = 0x10, LANE_HELD = 0x20, LANE_ASIDE = 0x30 };

/* What the message record holds beside struct message. */
struct message_extra {
	uint16_t chunks;      /* of inline content */
	uint16_t rcpts_total; /* as accepted, for the accounting of bytes */
};

void
record_put_message(struct buf *b, const struct message *m, const struct message_extra *x);
/* Fills m's envelope (not id, recipients, content). */
enum err
record_get_message(struct span value, struct message *m, struct message_extra *x);
/* Only what is needed for accounts and files: size, file, and the extras. */
enum err record_get_sizes(
    struct span value, uint64_t *size, uint64_t *file, struct message_extra *x);

/* A recipient without index and dest, which are in its key. Spans of *r point into value.
 */
void record_put_rcpt(struct buf *b, const struct recipient *r);
enum err record_get_rcpt(struct span value, struct recipient *r);

enum lane lane_of(enum recipient_state s);

/* An event of history; each text is cut to HISTORY_TEXT_MAX. Spans of *e point into
 * value. */
#define RECORD_HISTORY_MAX 3072
void record_put_history(struct buf *b, const struct history_event *e);
enum err record_get_history(struct span value, struct history_event *e);

/* ---- mailboxes */

struct mail_record {
	uint64_t id, message, modseq, size;
	uint32_t flags;
	struct wall arrival, picked;
	struct span recipient, own;
	/* not in records of format 2: 0, and those of arrival and id */
	uint64_t keywords, origin;
	struct wall internal;
	int16_t zone;
};

struct mbox_record {
	uint32_t uidvalidity, uidnext;
	uint64_t modseq, messages, octets;
	struct span owner, name;
	/* not in records of format 2 */
	bool counted; /* unseen and deleted are known */
	uint64_t unseen, deleted, gone_since;
	uint32_t recent, gones; /* rows in table gone */
	uint8_t use;            /* enum mailbox_use */
	struct span keywords;   /* each with a NUL behind */
};

/* A row of mboxname: number 0 where there is a subscription only. */
struct name_record {
	uint32_t number;
	bool subscribed;
};

struct owner_record {
	uint64_t messages, octets;
	struct wall last_pickup;
};

/* Spans of what is got point into value. */
void record_put_mail(struct buf *b, const struct mail_record *m);
enum err record_get_mail(struct span value, struct mail_record *m);
void record_put_mbox(struct buf *b, const struct mbox_record *m);
enum err record_get_mbox(struct span value, struct mbox_record *m);
/* Of the mailbox's name; one of format 2 is a number alone. */
#define NAME_RECORD 5
void record_put_name(char out[NAME_RECORD], const struct name_record *n);
enum err record_get_name(struct span value, struct name_record *n);
/* Octets with a checksum in front. */
void record_put_octets(struct buf *b, struct span octets);
enum err record_get_octets(struct span value, struct span *octets);
/* What stands in front of a message's content, and how much that is; spans into value. */
struct front_record {
	uint32_t flags; /* enum message_flag */
	uint64_t size;
	uint16_t chunks;
	struct span prefix;
};
enum err record_get_front(struct span value, struct front_record *f);
void record_put_owner(struct buf *b, const struct owner_record *o);
enum err record_get_owner(struct span value, struct owner_record *o);

/* ---- keys: big-endian, so that memory order is the order meant */
#define KEY_ID 8
#define KEY_BODY 10
#define KEY_RCPT 14
#define KEY_SCHED 19
#define KEY_MAIL 8  /* mailbox, uid */
#define KEY_GONE 16 /* mailbox, modseq, uid */

void key_put(unsigned char *p, uint64_t v, size_t bytes);
uint64_t key_get(const unsigned char *p, size_t bytes);

struct sched_key {
	uint8_t lane;
	uint32_t dest;
	int64_t due;
	uint64_t id;
};
void sched_key_put(unsigned char p[KEY_SCHED], const struct sched_key *k);
void
gone_key_put(unsigned char p[KEY_GONE], uint32_t mailbox, uint64_t modseq, uint32_t uid);
void mail_key_put(unsigned char p[KEY_MAIL], uint32_t mailbox, uint32_t uid);
void rcpt_key_put(unsigned char p[KEY_RCPT], uint64_t id, uint32_t dest, uint16_t index);
void sched_key_get(const unsigned char p[KEY_SCHED], struct sched_key *k);

#endif
