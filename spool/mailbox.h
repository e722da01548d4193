/* SPDX-License-Identifier: ISC */
/*
 * mailbox - held mail: what POP3 and IMAP show.
 *
 * A mailbox belongs to an owner, the name of an account in lower case.  POP3 knows
 * one of each owner, "INBOX", and mail is delivered there; IMAP makes others, whose names
 * are UTF-8, with '/' between the levels.  It holds mails.  A mail refers to the
 * content of a message, which is stored once however many hold it, and adds a few
 * header fields of its own in front (Return-Path, Delivered-To).  Content lives as
 * long as somebody holds it: a recipient in the queue, or a mail.
 *
 *	message_add_drop(m, ...)          before spool_accept_start(): the mail is there
 *	outcome.drop, drops               with a report: a queued recipient's is, too
 *	spool_read_mailbox/mails/mail     snapshots (spool_query_start)
 *	spool_mail_change_start           delete, flag, copy, append: all or nothing
 *	spool_mailbox_start               create, rename, subscribe, ...
 *
 * A mailbox is made by the first mail that comes; one that is not there is an empty one.
 * uids rise, are never given twice in one mailbox, and order its mail by arrival; mail
 * ids are unlike any other id that this spool has ever given out (RFC 1939 7: a UIDL).
 *
 * Each change of a mailbox that somebody could see gets a number of its own, greater than
 * any before (modseq, RFC 7162); all that one request changes in a mailbox shares one.
 * Which uids went at which modseq is kept for the latest GONE_MAX runs of uids, so that a
 * client can come back after a while (QRESYNC).
 */
#ifndef SPOOL_MAILBOX_H
#define SPOOL_MAILBOX_H

#include "spool/spool.h"

#define MAILBOX_OWNER_MAX 128
#define MAILBOX_NAME_MAX 255
#define MAILBOX_INBOX "INBOX"
#define MAILBOX_NAMES_MAX 1000     /* of one owner, subscriptions included */
#define MAILBOX_KEYWORDS_MAX 64    /* that one mailbox has ever known */
#define MAILBOX_KEYWORD_MAX 100    /* octets of one */
#define MAILBOX_NOTE_MAX 4096      /* octets of an annotation (RFC 5464) */
#define MAILBOX_NOTES_MAX 100      /* annotations of one owner */
#define MAIL_PREFIX_MAX (8u << 10) /* octets of a mail's own header fields */
#define MAIL_STRUCTURE_MAX (1u << 20)

enum mail_flag {
	MAIL_SEEN = 1 << 0, /* RFC 9051 2.3.2 */
	MAIL_ANSWERED = 1 << 1,
	MAIL_FLAGGED = 1 << 2,
	MAIL_DELETED = 1 << 3,
	MAIL_DRAFT = 1 << 4,
	MAIL_PICKED = 1 << 5, /* its owner has fetched all of it once */
};
#define MAIL_FLAGS_IMAP \
	(MAIL_SEEN | MAIL_ANSWERED | MAIL_FLAGGED | MAIL_DELETED | MAIL_DRAFT)

enum mailbox_use { /* RFC 6154 */
	MAILBOX_PLAIN,
	MAILBOX_ALL,
	MAILBOX_ARCHIVE,
	MAILBOX_DRAFTS,
	MAILBOX_FLAGGED,
	MAILBOX_JUNK,
	MAILBOX_SENT,
	MAILBOX_TRASH,
};

/* ---- what a mailbox holds, without the disk: any thread, a lock for a moment */

struct mailbox_usage {
	uint64_t messages, octets; /* of all mailboxes of an owner */
	struct wall last_pickup;   /* 0: never */
};
/* Zeros for an owner that nothing has been delivered to. */
void
spool_mailbox_usage(const struct spool *s, struct span owner, struct mailbox_usage *out);

/* ---- what has changed, as soon as it is on disk */

/* Told by the writer after each commit, in its thread, before any requester is told; what
 * it points to lives during the call.  The events of one mailbox come in the order of
 * their modseq, those of one modseq by uid. */
enum mail_event_kind {
	MAIL_CAME,       /* uid, flags, keywords, modseq */
	MAIL_FLAGS,      /* the same: what they are now */
	MAIL_GONE,       /* uid, modseq */
	MAILBOX_KEYWORD, /* text: keyword number `uid` is new */
	MAILBOX_RECENT,  /* uid: mails below are not recent any more */
	MAILBOX_MADE,    /* text: its name; uid: its uidvalidity */
	MAILBOX_RENAMED, /* text: its new name */
	MAILBOX_REMOVED, /* and all of its mails with it, without an event of their own */
	MAILBOX_SUBSCRIPTION, /* text: the name whose subscription has changed; mailbox 0
			       */
};

struct mail_event {
	enum mail_event_kind kind;
	uint32_t mailbox; /* number */
	uint32_t uid;
	uint32_t flags; /* enum mail_flag */
	uint64_t keywords, modseq;
	const char *owner; /* of the MAILBOX_ events */
	struct span text;
};

/* Once, after spool_open() and before anything changes. */
void spool_on_mail(struct spool *s,
    void (*told)(void *arg, const struct mail_event *event, size_t n), void *arg);

/* ---- snapshots */

struct mailbox_view {
	uint32_t number; /* of the mailbox: what the reads below want */
	uint32_t uidvalidity, uidnext;
	uint64_t modseq, messages, octets;
	uint64_t unseen, deleted; /* mails without MAIL_SEEN, with MAIL_DELETED */
	uint32_t recent;          /* mails from this uid on are recent (RFC 3501 2.3.2) */
	uint64_t gone_since;      /* what went at a later modseq is all still known */
	enum mailbox_use use;
};
/* ERR_NOT_FOUND: nothing has ever been delivered to it, or it was not made. */
enum err spool_read_mailbox(struct spool_reader *r, struct span owner, struct span name,
    struct mailbox_view *out);

enum err
spool_read_mailbox_at(struct spool_reader *r, uint32_t number, struct mailbox_view *out);

/* The names of keywords 0 to n-1 (bits of mail_row.keywords); each owned by the caller.
 */
struct mailbox_keywords {
	char *name[MAILBOX_KEYWORDS_MAX];
	size_t n;
};
enum err spool_read_keywords(
    struct spool_reader *r, uint32_t number, struct mailbox_keywords *out);
void mailbox_keywords_clear(struct mailbox_keywords *k);

/* Up to max names of an owner behind `after` ("" at the start), in the order of their
 * octets: mailboxes, and names that are only subscribed to. */
struct mailbox_name {
	char name[MAILBOX_NAME_MAX + 1];
	uint32_t number; /* 0: there is no such mailbox */
	bool subscribed;
	enum mailbox_use use;
};
enum err spool_read_names(struct spool_reader *r, struct span owner, struct span after,
    struct mailbox_name *out, size_t max, size_t *n);

struct mail_row {
	uint32_t uid;
	uint32_t flags;    /* enum mail_flag */
	uint64_t keywords; /* bit i: keyword i of the mailbox */
	uint64_t id;       /* its own: never comes back */
	uint64_t origin;   /* the id of the mail that it is a copy of, or its own */
	uint64_t message;  /* whose content it is: the queue id in its Received field */
	uint64_t modseq;
	uint64_t size; /* octets as they are sent: RFC 1939's, without byte-stuffing */
	struct wall arrival;  /* of the message in this mailbox */
	struct wall internal; /* INTERNALDATE: arrival, or what APPEND gave */
	int16_t zone;         /* of internal: minutes east of UTC */
	struct wall picked;   /* when MAIL_PICKED was set; 0: not */
};
/* Up to max mails of a mailbox with after < uid < until, by uid (until 0: all). A damaged
 * record is a row with size 0 and id 0. */
enum err spool_read_mails(struct spool_reader *r, uint32_t number, uint32_t after,
    uint32_t until, struct mail_row *out, size_t max, size_t *n);

/*
 * What a listing shows of some mails (want: enum sight_want), all in one snapshot: told
 * for each that is there, in the order asked for; what it points to lives during the
 * call.  Damaged ones are left out.
 */
enum sight_want {             /* beside the row */
	SIGHT_FRONT = 1 << 0, /* own, prefix, content, message_flags */
	SIGHT_STRUCTURE = 1 << 1,
	SIGHT_HEAD = 1 << 2, /* with SIGHT_FRONT */
	SIGHT_ALL = SIGHT_FRONT | SIGHT_STRUCTURE | SIGHT_HEAD,
};

struct mail_sight {
	struct mail_row row;
	struct span own, prefix; /* header fields in front of the content */
	struct span structure;   /* as it was stored; p NULL: none was */
	struct span head;        /* the first octets of the content, if it is inline */
	uint64_t content;        /* octets of it */
	uint32_t message_flags;  /* enum message_flag */
};
enum err spool_read_sights(struct spool_reader *r, uint32_t number, unsigned want,
    const uint32_t *uid, size_t n,
    bool (*told)(void *arg, size_t i, const struct mail_sight *x), void *arg);

/* Which uids went at a modseq greater than `since`: told for each run, by modseq.
 * ERR_RANGE: that is not known any more so far back (nothing was told). */
enum err spool_read_gone(struct spool_reader *r, uint32_t number, uint64_t since,
    void (*told)(void *arg, uint32_t first, uint32_t last, uint64_t modseq), void *arg);

/* An annotation; name "" is the owner's own.  ERR_NOT_FOUND: there is none. entry behind
 * `after` ("" at the start), by octets. */
enum err spool_read_note(struct spool_reader *r, struct span owner, struct span name,
    struct span entry, struct buf *out);
enum err spool_next_note(struct spool_reader *r, struct span owner, struct span name,
    struct span after, struct buf *entry, struct buf *value);

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

/* ---- changes of mails */

/*
 * What becomes of some mails of one mailbox, in one transaction.  Mails that are gone
 * meanwhile are skipped.  The content of what is deleted goes in that transaction,
 * or, if it is much, in later ones that follow by themselves (and after a crash).
 */
struct mail_change;
struct mail_change *mail_change_new(struct span owner, struct span name);
/* Of the mailbox with this number, whatever it is called now. */
struct mail_change *mail_change_at(uint32_t number);
/* Another mailbox than it was made for. */
void mail_change_mailbox(struct mail_change *c, struct span owner, struct span name);
struct mail_change *mail_change_ref(struct mail_change *c); /* to read its result */
void mail_change_free(struct mail_change **c);              /* a reference */

void mail_change_delete(struct mail_change *c, uint32_t uid);
/* Delete it if it has MAIL_DELETED by then (EXPUNGE). */
void mail_change_expunge(struct mail_change *c, uint32_t uid);
void mail_change_flags(struct mail_change *c, uint32_t uid, uint32_t set, uint32_t clear);
void mail_change_pickup(struct mail_change *c); /* its owner was here: last_pickup */
/* Mails below this uid are not recent any more. */
void mail_change_recent(struct mail_change *c, uint32_t uid);
/* Stored in the same transaction if at least one mail was deleted (takes it). */
void mail_change_notice(struct mail_change *c, struct message *notice);

/*
 * STORE.  Keywords have a number within the request: that of mail_change_keyword(), which
 * finds or adds a name (any case; up to MAILBOX_KEYWORDS_MAX).  Those that the mailbox
 * does not know yet are added to it; ERR_FULL: it has no room for more, nothing is done.
 */
enum mail_store { MAIL_STORE_ADD, MAIL_STORE_REMOVE, MAIL_STORE_SET };
unsigned mail_change_keyword(struct mail_change *c, struct span name);
void mail_change_store(struct mail_change *c, uint32_t uid, enum mail_store how,
    uint32_t flags, uint64_t keywords);
/* All stores of this request leave mails alone that changed at a modseq greater than
 * this; they are in the result (RFC 7162 3.1.3, UNCHANGEDSINCE). */
void mail_change_unless(struct mail_change *c, uint64_t modseq);

/* Where copied and appended mails go; ERR_EXISTS if it is not there (TRYCREATE). */
void mail_change_target(struct mail_change *c, struct span owner, struct span name);
/* All of its mails are moved, those that came a moment ago too, into a mailbox that is
 * made for them in the same transaction (RENAME of INBOX); ERR_EXISTS: there is one of
 * this name, ERR_FULL, ERR_RANGE as in spool_mailbox_start(). */
void mail_change_move_all(struct mail_change *c, struct span owner, struct span name);
/* What is copied and appended may not bring the owner of that mailbox over so many mails
 * and octets (0: any number): otherwise ERR_FULL, over_quota, and nothing is done. */
void mail_change_quota(struct mail_change *c, uint64_t messages, uint64_t octets);
/* A new mail in the target like this one, with its flags, keywords and dates.  move: the
 * one here goes. */
void mail_change_copy(struct mail_change *c, uint32_t uid, bool move);
/* A message that is not in the spool yet (takes a reference): into the mailbox of c
 * itself.  internal 0: now. With body: its file, as with spool_accept_start(). */
struct mail_append {
	uint32_t flags;
	uint64_t keywords; /* numbers of the request */
	struct wall internal;
	int16_t zone;
};
void mail_change_append(
    struct mail_change *c, struct message *m, const struct mail_append *how);

/* Takes the reference.  done: OK, or ERR_NOT_FOUND if there was nothing (any more) to
 * change or the mailbox is gone; ERR_FULL, ERR_EXISTS as above; ERR_RANGE: what cannot be
 * stored, or no uid is left. */
struct spool_request *spool_mail_change_start(struct spool *s, struct mail_change *c,
    struct inbox *reply, spool_done_fn *done, void *arg);

/* What it did, of a reference that was kept, once done came with OK. */
struct mail_result {
	bool over_quota;           /* with ERR_FULL: that was why */
	uint64_t modseq;           /* of the mailbox's change */
	uint32_t uidvalidity;      /* of the target, or of the mailbox appended to */
	size_t n;                  /* copied or appended, in the order of the calls */
	const uint32_t *from, *to; /* uids; of appended mails from is NULL */
	const uint32_t *modified;  /* uids that unless() left alone */
	size_t modifieds;
};
void mail_change_result(const struct mail_change *c, struct mail_result *out);

/* The structure of a message, where none was stored with it (message->structure). */
struct spool_request *spool_structure_start(struct spool *s, uint64_t message,
    struct span structure, struct inbox *reply, spool_done_fn *done, void *arg);

/* ---- changes of mailboxes */

enum mailbox_act {
	MAILBOX_CREATE,    /* and what is missing above it; ERR_EXISTS */
	MAILBOX_DELETE,    /* with all its mails; ERR_NOT_FOUND */
	MAILBOX_RENAME,    /* and all below it, to `to`; ERR_NOT_FOUND, ERR_EXISTS */
	MAILBOX_SUBSCRIBE, /* a name that need not exist */
	MAILBOX_UNSUBSCRIBE,
	MAILBOX_NOTE, /* value p NULL: removed; ERR_FULL: too many */
};
struct mailbox_request {
	enum mailbox_act act;
	struct span owner, name;
	struct span to;           /* RENAME */
	enum mailbox_use use;     /* CREATE */
	bool subscribe;           /* CREATE */
	struct span entry, value; /* NOTE */
};
/* One transaction; everything is copied.  ERR_FULL: the owner has MAILBOX_NAMES_MAX
 * names; ERR_RANGE: a name of no octets, over MAILBOX_NAME_MAX, or with a NUL. */
struct spool_request *spool_mailbox_start(struct spool *s,
    const struct mailbox_request *q, struct inbox *reply, spool_done_fn *done, void *arg);

/* Everything that an owner holds, and the owner. ERR_NOT_FOUND: nothing is known of it.
 */
struct spool_request *spool_owner_delete_start(struct spool *s, struct span owner,
    struct inbox *reply, spool_done_fn *done, void *arg);

#endif
