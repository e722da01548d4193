/* SPDX-License-Identifier: ISC */
/*
 * session (private to imap) - one IMAP session.
 *
 * Commands are read one at a time, with their literals (reader.c), and run one at a time,
 * in order: while a session waits for the pool, the spool or sign-in its io is paused and
 * nothing arrives.  So an answer never meets another, however much was sent at once.
 *
 *	session.c   life, input, the end      reader.c    lines and literals to commands
 *	answer.c    what is said              verbs.c     the commands, by state
 *	login.c     LOGIN, AUTHENTICATE       capability.c  what there is
 *	select.c    SELECT, EXAMINE, CLOSE    update.c    what has changed meanwhile
 *	boxes.c     LIST, LSUB, STATUS        boxes_change.c  CREATE, DELETE, RENAME, ...
 *	fetch*.c    FETCH                     store.c     STORE
 *	copy.c      COPY, MOVE, EXPUNGE       append.c    APPEND
 *	find.c      SEARCH, SORT, THREAD      idle.c      IDLE, NOTIFY
 *	extra.c     ID, QUOTA, METADATA, COMPRESS
 *	queue.c     an administrator's folders  veil.c  what he is shown of a mail
 *
 * Any answer may end the session: io is NULL then, and the struct is swept at the end of
 * the turn.
 */
#ifndef RELAY_IMAP_SESSION_H
#define RELAY_IMAP_SESSION_H

#include "base/io.h"
#include "relay/door.h"
#include "relay/imap/imap.h"
#include "relay/imap/lex.h"
#include "relay/imap/numbers.h"
#include "relay/imap/view.h"

#define IMAP_LINE_BEFORE (12u << 10) /* octets of a line, before signing in */
#define IMAP_LINE_MAX (IO_INPUT_MAX - 2)
#define IMAP_COMMAND_BEFORE (16u << 10) /* octets of a command, its literals included */
#define IMAP_COMMAND_MAX (256u << 10)
#define IMAP_LITERAL_BEFORE 1024u
#define IMAP_LITERAL_MAX (64u << 10)
#define IMAP_DRAIN_BEFORE (64u << 10)
#define IMAP_DRAIN_MAX                                                  \
	(64u << 20) /* of a LITERAL+ that is refused: more, and it ends \
		     */
#define IMAP_TAG_MAX 128
#define IMAP_AUTH_FAILURES 3
#define IMAP_COMMANDS_BEFORE 50 /* before signing in */
/* RFC 9738, mails of one command.  There is no limit; who announces one that no mailbox
 * reaches (their marks would be 48 GiB) need not leave mails out.  iOS wants to see it.
 */
#define IMAP_MESSAGE_LIMIT 2147483647
#define IMAP_LINGER_MS (5 * SECOND_MS)

enum imap_state { IMAP_BEFORE, IMAP_IN, IMAP_SELECTED };

/* ---- a command on its way in */

enum reader_state {
	READER_LINE,
	READER_LITERAL, /* `left` octets go into the text */
	READER_APPEND,  /* they are a message */
	READER_DRAIN,   /* they are thrown away: the command has been answered */
};

struct reader {
	enum reader_state state;
	struct buf text; /* of the command so far */
	bool secret;     /* a password may be in it: nobody has signed in */
	uint64_t left;
	bool refused; /* the rest of the command is thrown away */
};

/* ---- a mailbox that is selected */

struct selected {
	struct view *view;
	struct view_watch *watch;
	char name[MAILBOX_NAME_MAX + 1];
	bool read_only;
	enum admin_view veil;   /* of an administrator's folders (veil.h) */
	struct numbers numbers; /* what the client has been told of */
	uint32_t last;          /* mails up to this uid have been told of */
	uint64_t told;          /* changes up to this modseq, but deletions */
	uint64_t told_gone;     /* deletions up to this one */
	size_t keywords;
	bool claimed;        /* some since it was selected: to be written down */
	struct set recent;   /* uids that are \Recent here */
	struct set saved;    /* "$": uids (RFC 5182) */
	uint64_t own_modseq; /* of our last change, which the answer has told of */
};

/* ---- what takes longer than a turn */

struct imap;

struct job {
	void (*drained)(struct imap *s); /* the peer has taken some; may be NULL */
	void (*cancel)(struct imap *s);  /* the session ends */
};

struct signing;
struct append;
struct notify;
struct verb;

struct imap {
	struct seat seat;
	struct pickup *pickup;
	struct io *io; /* NULL: over */
	const struct config *config;
	const struct listener_config *listener; /* in config; NULL: it is no more */
	char *listener_name;
	struct net_addr peer, hop;
	struct tls_server *tls;
	bool handshake, greeted, rev2, utf8, condstore, qresync, uidonly, compressed;
	bool bye; /* it has been said */
	enum imap_state state;
	struct signing *signing;   /* NULL: not */
	struct account_card *card; /* who has signed in */
	char owner[MAILBOX_OWNER_MAX + 1];
	uint32_t trays;             /* an administrator's (spool/tray.h); 0: none */
	enum admin_view admin_view; /* as it was when he signed in */
	struct reader reader;
	/* the command that runs */
	bool running;
	char tag[IMAP_TAG_MAX + 1];
	const struct verb *verb;
	bool by_uid; /* UID FETCH, ... */
	bool idling;
	struct lex lex;
	struct job *job;              /* NULL: it is answered within the turn */
	struct append *append;        /* APPEND's, while its literals come */
	struct selected *selected;    /* NULL: none */
	struct notify *notify;        /* NULL: what is selected only, in commands */
	struct spool_query **looking; /* for NOTIFY; NULL: nobody looks */
	unsigned commands, errors, auth_failures;
	uint64_t fetched, sent;
	struct instant began;
	struct timer turn; /* goes on in the next turn */
};

static inline struct door_client
imap_client(const struct imap *s)
{
	return (struct door_client){s->pickup->o.log, s->io, &s->peer, s->listener_name};
}

/* ---- session.c */
void imap_end(struct imap *s, const char *why);   /* what is queued still goes out */
void imap_break(struct imap *s, const char *why); /* at once */
void imap_bye(struct imap *s, const char *code, const char *text); /* BYE, then the end */
void imap_wait(struct imap *s); /* for somebody here: no input, no deadline */
void imap_go_on(struct imap *s);
void imap_start_tls(struct imap *s);
const struct mailbox_config *imap_settings(const struct imap *s);
struct spool *imap_spool(const struct imap *s);
struct inbox *imap_inbox(const struct imap *s);

/* ---- reader.c: true: something was taken */
bool reader_take(struct imap *s);
void reader_reset(struct imap *s);
/* The message of an APPEND: "+" may be said now, or its octets are thrown away. */
void reader_accept_literal(struct imap *s);
void reader_refuse_literal(struct imap *s);

/* ---- answer.c */
void imap_sayf(struct imap *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));       /* "* " fmt CRLF */
void imap_say(struct imap *s, struct span line); /* with its CRLF */
/* The tagged answer, behind what has changed meanwhile; the command is over.  code:
 * "[TRYCREATE] " or "". */
void imap_ok(struct imap *s, const char *code, const char *text);
void imap_no(struct imap *s, const char *code, const char *text);
void imap_bad(struct imap *s, const char *code, const char *text); /* counts as error */
void imap_spool_no(struct imap *s, enum err e); /* NO, in words for this error */
void imap_add_mailbox(struct imap *s, struct span name, struct buf *out); /* as astring */
/* Whether a name is what was asked for (p NULL: nothing was), or another spelling of it.
 */
bool imap_is_spelled_so(struct span asked, struct span name);
/* "* LIST () "/" name", with OLDNAME where it is another (RFC 9051 6.3.9.8). */
void imap_add_list(struct imap *s, struct span name, struct span asked, struct buf *out);
/* Flags of a mail: "\Seen $Forwarded", with the view's keywords (under its lock). */
void imap_add_flags(const struct imap *s, const struct view *v, const struct mark *m,
    bool recent, struct buf *out);

/* ---- verbs.c */
void imap_run(struct imap *s); /* the command in s->reader.text */
bool
imap_take_tag(struct imap *s, struct lex *l); /* and the blank behind it; "" if not */
bool imap_is_too_much(struct imap *s);        /* by one who has not signed in: the end */
bool imap_may_expunge(const struct imap *s);  /* the one that runs is no bar */
bool imap_is_append(struct imap *s);          /* its message's literal comes next */

/* ---- words of commands, with an answer where they are wrong (args.c) */
bool args_end(struct imap *s);                       /* nothing follows; else BAD */
bool args_space(struct imap *s);                     /* else BAD */
bool args_astring(struct imap *s, struct span *raw); /* and the blank before it */
/* A mailbox name as UTF-8, INBOX in its one spelling; else BAD or NO. */
bool args_mailbox(struct imap *s, char out[MAILBOX_NAME_MAX + 1]);
/* The same of a word that has been read; else NO. */
bool args_name(struct imap *s, struct span raw, char out[MAILBOX_NAME_MAX + 1]);
/* A set of messages as uids: of numbers or uids, or "$"; else BAD. */
bool args_uids(struct imap *s, struct set *out);
/* What set_scan() read, as uids of mails that this session knows. */
bool args_set_uids(struct imap *s, struct set *read, bool by_uid, struct set *out);

/* ---- update.c: tell what has changed */
void update_tell(struct imap *s, bool expunges);
/* New keywords alone: before an answer that uses them. */
void update_tell_keywords(struct imap *s);
void update_on_change(void *arg);       /* a view_watch's fn */
void update_on_drained(struct imap *s); /* what waited because nobody read */
/* Under the view's lock: "(\\Answered ... )"; what can be kept, if permanent. */
void update_add_flag_list(
    const struct imap *s, const struct view *v, bool permanent, struct buf *out);
/* A whole FETCH response for the flags of a mail. */
void update_add_fetch(const struct imap *s, const struct view *v, const struct mark *m,
    uint32_t number, struct buf *out);

/* ---- select.c */
void
select_leave(struct imap *s); /* the mailbox is not selected any more; nothing said */

/* ---- boxes_change.c */
/* The folders that an account begins with, made once; then(s), perhaps at once. */
void boxes_prepare(struct imap *s, void (*then)(struct imap *s));

/* ---- login.c */
bool signing_clear_ok(const struct imap *s);
bool signing_expects_line(const struct imap *s);
bool signing_take_response(struct imap *s);
void signing_end(struct imap *s, const char *why);
void signing_leave(struct imap *s);

/* ---- capability.c */
void capability_add(const struct imap *s, struct buf *out);

/* ---- idle.c */
bool idling_take(struct imap *s); /* a line of IDLE's */

/* ---- notify.c */
void notify_free(struct imap *s);
void notify_tell(struct imap *s); /* what waits, if this is the moment */
/* Whether the selected mailbox is told of outside of commands. */
bool notify_of_selected(const struct imap *s, bool *expunges);

/* ---- append.c */
void append_end(struct imap *s); /* a line without a literal: that was the last */
void append_begin_literal(struct imap *s, uint64_t octets, bool eight, bool sync);
void append_octets(struct imap *s, struct span octets);
bool append_busy(const struct imap *s);
void append_literal_over(struct imap *s);
void append_free(struct imap *s);

/* ---- the commands */
typedef void imap_verb_fn(struct imap *s, struct lex *l);
imap_verb_fn run_append, run_authenticate, run_cancel, run_capability, run_check,
    run_close, run_compress, run_copy, run_create, run_delete, run_enable, run_examine,
    run_expunge, run_fetch, run_getmetadata, run_getquota, run_getquotaroot, run_id,
    run_idle, run_list, run_login, run_logout, run_lsub, run_move, run_namespace,
    run_noop, run_notify, run_rename, run_search, run_select, run_setmetadata,
    run_setquota, run_sort, run_starttls, run_status, run_store, run_subscribe,
    run_thread, run_uid, run_unselect, run_unsubscribe, run_uidbatches;

#endif
