/* SPDX-License-Identifier: ISC */
/*
 * mailbox - held mail: what POP3 and IMAP show.
 *
 * A mailbox belongs to an owner, the name of an account in lower case; POP3 knows
 * one of each owner, "INBOX".  It holds mails.  A mail refers to the content of a
 * message, which is stored once however many hold it, and adds a few header fields
 * of its own in front (Return-Path, Delivered-To).  Content lives as long as somebody
 * holds it: a recipient in the queue, or a mail.
 *
 *	message_add_drop(m, ...)              before spool_accept_start(): the mail is
 *there outcome.drop, drops                   with a report: a queued recipient's is, too
 *	spool_read_mailbox/mails/mail         snapshots (spool_query_start)
 *	spool_mail_change_start               delete, flag: all of it or nothing
 *
 * A mailbox is made by the first mail that comes; one that is not there is an empty one.
 * uids rise, are never given twice in one mailbox, and order its mail by arrival; mail
 * ids are unlike any other id that this spool has ever given out (RFC 1939 7: a UIDL).
 */
#ifndef SPOOL_MAILBOX_H
#define SPOOL_MAILBOX_H

#include "spool/spool.h"

#define MAILBOX_OWNER_MAX 128
#define MAILBOX_NAME_MAX 255
#define MAILBOX_INBOX "INBOX"
#define MAIL_PREFIX_MAX (8u << 10) /* octets of a mail's own header fields */

enum mail_flag {
	MAIL_SEEN = 1 << 0, /* RFC 9051 2.3.2 */
	MAIL_ANSWERED = 1 << 1,
	MAIL_FLAGGED = 1 << 2,
	MAIL_DELETED = 1 << 3,
	MAIL_DRAFT = 1 << 4,
	MAIL_PICKED = 1 << 5, /* its owner has fetched all of it once */
};

/* ---- what a mailbox holds, without the disk: any thread, a lock for a moment */

struct mailbox_usage {
	uint64_t messages, octets; /* of all mailboxes of an owner */
	struct wall last_pickup;   /* 0: never */
};
/* Zeros for an owner that nothing has been delivered to. */
void
spool_mailbox_usage(const struct spool *s, struct span owner, struct mailbox_usage *out);

/* ---- snapshots */

struct mailbox_view {
	uint32_t number; /* of the mailbox: what the reads below want */
	uint32_t uidvalidity, uidnext;
	uint64_t modseq, messages, octets;
};
/* ERR_NOT_FOUND: nothing has ever been delivered to it. */
enum err spool_read_mailbox(struct spool_reader *r, struct span owner, struct span name,
    struct mailbox_view *out);

struct mail_row {
	uint32_t uid;
	uint32_t flags;   /* enum mail_flag */
	uint64_t id;      /* its own: never comes back */
	uint64_t message; /* whose content it is: the queue id in its Received field */
	uint64_t modseq;
	uint64_t size; /* octets as they are sent: RFC 1939's, without byte-stuffing */
	struct wall arrival; /* of the message here */
	struct wall picked;  /* when MAIL_PICKED was set; 0: not */
};
/* Up to max mails of a mailbox with after < uid < until, by uid (until 0: all). A damaged
 * record is a row with size 0 and id 0. */
enum err spool_read_mails(struct spool_reader *r, uint32_t number, uint32_t after,
    uint32_t until, struct mail_row *out, size_t max, size_t *n);

/*
 * One mail.  What is sent is: own, then message->prefix, then the content, then CRLF
 * if the content does not end with it (MESSAGE_NO_CRLF).  size counts all of that.
 */
struct kept_mail {
	struct mail_row row;
	struct span own;         /* the mail's own header fields */
	struct span recipient;   /* the address that it came for */
	struct message *message; /* a reference; with its content if asked */
};
/* ERR_NOT_FOUND: it is gone. ERR_DAMAGED: its bytes are not those that came. */
enum err spool_read_mail(struct spool_reader *r, uint32_t number, uint32_t uid,
    bool with_content, struct kept_mail **out);
void kept_mail_free(struct kept_mail **m); /* NULL inside is fine */

/* The first owner behind `after` ("" at the start), by name; ERR_NOT_FOUND at the end. */
struct owner_row {
	char name[MAILBOX_OWNER_MAX + 1];
	struct mailbox_usage usage;
	struct wall oldest; /* arrival of the oldest mail in INBOX; 0: none */
};
enum err
spool_read_owner(struct spool_reader *r, struct span after, struct owner_row *out);

/* ---- changes */

/*
 * What becomes of some mails of one mailbox, in one transaction.  Mails that are gone
 * meanwhile are skipped.  The content of what is deleted goes in that transaction,
 * or, if it is much, in later ones that follow by themselves (and after a crash).
 */
struct mail_change;
struct mail_change *mail_change_new(struct span owner, struct span name);
void mail_change_delete(struct mail_change *c, uint32_t uid);
void mail_change_flags(struct mail_change *c, uint32_t uid, uint32_t set, uint32_t clear);
void mail_change_pickup(struct mail_change *c); /* its owner was here: last_pickup */
/* Stored in the same transaction if at least one mail was deleted (takes it). */
void mail_change_notice(struct mail_change *c, struct message *notice);
void mail_change_free(struct mail_change **c); /* only if it was not started */

/* Takes c. done: OK, or ERR_NOT_FOUND if there was nothing (any more) to change. */
struct spool_request *spool_mail_change_start(struct spool *s, struct mail_change *c,
    struct inbox *reply, spool_done_fn *done, void *arg);

/* Everything that an owner holds, and the owner. ERR_NOT_FOUND: nothing is known of it.
 */
struct spool_request *spool_owner_delete_start(struct spool *s, struct span owner,
    struct inbox *reply, spool_done_fn *done, void *arg);

#endif
