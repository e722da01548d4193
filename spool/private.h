/* SPDX-License-Identifier: ISC */
/*
 * private (to spool) - the environment, the writer's requests, and how the
 * files of this room share them.  LMDB is known in this room only.
 *
 *	spool.c    open, lock, close          writer.c   the thread, its batches
 *	db.c       LMDB and its errors        tell.c     completions
 *	record.c   values and keys            apply.c    what accepting writes
 *	reader.c   snapshots                  outcome.c  what a report writes
 *	query.c    reads in the pool          room.c     quota, free space, reserve
 *	body.c     content that arrives       files.c    big/: who uses which file
 *	check.c    the invariants             id.c, message.c, report.c
 *	mailbox.c  what a mail writes         mail_read.c  mailboxes, in snapshots
 *	release.c  content that is let go of  usage.c      how much an owner holds
 *	mail_change.c  requests of owners     check_mail.c the invariants of mailboxes
 *	mail_apply.c   what they write        mail_store.c flags and keywords
 *	mail_copy.c    copies, moves, appends gone.c       what went when
 *	mailbox_change.c  make, remove, ...   mailbox_rename.c  and all below
 *	mailbox_name.c rows of names          note.c       annotations
 *	structure.c    shapes of messages     event.c      what is told after a commit
 *	name_read.c    names, keywords        upgrade.c    what older formats lack
 *	tray.c         the queue as mailboxes tray_read.c  what is read of it
 *	backup.c       a spool as a whole     ahead.c        zeros behind its end
 *	history_write.c   what has happened   history_read.c  and is asked for
 *	spelling.c     names in one spelling
 */
#ifndef SPOOL_PRIVATE_H
#define SPOOL_PRIVATE_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/map.h"
#include "spool/mailbox.h"
#include "spool/record.h"

#define ID_EPOCH_MS INT64_C(1577836800000) /* 2020-01-01T00:00:00Z */
#define FORMAT_VERSION 3
#define FORMAT_WITHOUT_FOLDERS 2
#define FORMAT_WITHOUT_MAILBOXES 1
/*
 * Measured (10 clients, one 2-core machine, relayd's CPU seconds for 1,000 messages and
 * commits for each, inside the database : as a file): 64 KiB 1.4 and 0.20 : 1.9 and 0.46;
 * 128 KiB 1.6 and 0.26 : 1.9 and 0.44; 200 kB 2.0 and 0.44 : 2.4 and 0.62; 400 kB 3.6 and
 * 0.36 : 3.5 and 0.63; 1 MB 6.8 and 0.7 : 5.8 and 1.0.  They meet at 400 kB; below that,
 * a message whose deletion frees few pages and that costs little memory is the better
 * neighbour.
 */
#define INLINE_MAX_DEFAULT (256u << 10)
#define INLINE_LIMIT (100u << 20) /* chunk numbers have 16 bits */
#define RESERVE_BYTES (32u << 20)
#define ZEROS_FROM_DEFAULT (32u << 20)
#define READERS_KEPT 8
#define SLICE_ROWS 500                   /* per snapshot */
#define DUE_MAX ((INT64_C(1) << 48) - 1) /* 48 bits in a key */
#define DEST_KEY_MAX 299                 /* octets of a destination's key */
#define FILE_NAME 24                     /* "ab/ab0123456789cdef" and its NUL fit */

enum dbi {
	DB_META,
	DB_MSG,
	DB_BODY,
	DB_RCPT,
	DB_SCHED,
	DB_DEST,
	DB_DESTNAME,
	DB_KEPT,     /* as msg, of messages that only mails hold */
	DB_REF,      /* id: how many mails hold it */
	DB_FREED,    /* id of a mail that is gone: what it held, still to be let go of */
	DB_OWNER,    /* name: struct owner_record */
	DB_MBOX,     /* number: struct mbox_record */
	DB_MBOXNAME, /* owner NUL name: number */
	DB_MAIL,     /* number, uid: struct mail_record */
	DB_MIME,     /* id: the structure of a message that mails hold */
	DB_GONE,     /* number, modseq, uid: the last uid of a run that went then */
	DB_NOTE,     /* owner NUL name NUL entry: an annotation */
	DB_COUNT
};

/*
 * What jobs in the pool and completions share with the spool: it may outlive
 * the spool until the last of them is over.
 */
struct sub_directory {
	uint64_t made;    /* files, since the start */
	uint64_t flushed; /* so many of them are on disk by name */
};

struct commons {
	atomic_uint refs;
	struct pool *pool; /* borrowed; used only while not closed */
	struct world *world;
	int big; /* descriptor of big/ */
	pthread_mutex_t mutex;
	pthread_cond_t idle;
	bool closed;       /* nothing may begin any more */
	unsigned running;  /* queries that read now */
	struct list files; /* struct file_use */
	unsigned keepers;  /* while there are any, no file goes */
	uint64_t *late;    /* those that wait for that */
	size_t late_n, late_cap;
	struct sub_directory sub[256];
	uint8_t sub_now;   /* where new files go, */
	unsigned sub_left; /* so many more of them */
	atomic_uchar
	    synced[256]; /* sub-directories of big/ that are on disk for certain */
};

/* How much each owner holds: what quotas ask, without the disk. */
struct usage {
	pthread_mutex_t mutex;
	struct map by_name;
};

struct spool {
	struct world *world;
	struct log *log;
	struct pool *pool;
	struct loop *loop; /* inline mode */
	char *path;
	bool create, read_only, thorough, hands;
	unsigned node;
	uint64_t max_size, min_free, inline_max;
	struct inbox *accepted_inbox;
	void (*on_accepted)(void *arg, struct message **m, size_t n);
	void (*on_failure)(void *arg, enum err e);
	void *arg;
	void (*on_mail)(void *arg, const struct mail_event *event, size_t n);
	void *on_mail_arg;

	int dir, lock; /* descriptors */
	struct commons *commons;
	MDB_env *env;
	MDB_dbi dbi[DB_COUNT];

	/* the writer's own */
	uint64_t last_id;
	uint32_t next_dest, next_mbox, uidvalidity;
	void (*spell)(struct span name, struct buf *out);
	uint64_t spelled;      /* names that were put into it */
	unsigned old_format;   /* the spool had, which was taken over; 0: none */
	bool freed;            /* rows in DB_FREED */
	int reserve_fd;        /* the reserve file */
	bool reserve;          /* it takes its room */
	struct instant looked; /* at the free disk space */
	struct {
		int fd; /* data.mdb, to append to; -1: no zeros are put there */
		unsigned page;
		uint64_t from, end;  /* end: of the file, when it was looked at last */
		atomic_bool filling; /* stays set when that has failed */
	} ahead;

	/* requests on their way */
	struct inbox *in;
	pthread_t thread;
	bool running;
	atomic_bool stop, failed;
	struct parcel_chain queued; /* inline mode */
	struct later later;

	/* shared */
	atomic_uint_fast64_t bytes, disk_free, commits, flush_us, requests, turns;
	atomic_bool full;
	struct spool_meters meters;
	struct usage usage;
	struct trays *trays;
	int history_dir;         /* of history/; -1: there is none */
	struct history *history; /* the writer's own; NULL: none is kept */
	pthread_mutex_t mutex;   /* reader, readers */
	struct spool_reader *reader[READERS_KEPT];
	size_t readers;
};

enum request_kind {
	REQUEST_ACCEPT,
	REQUEST_REPORT,
	REQUEST_MARK,
	REQUEST_MAIL,
	REQUEST_OWNER,
	REQUEST_MAILBOX,
	REQUEST_STRUCTURE,
	REQUEST_TRAY
};

struct history;   /* history_write.c */
struct trays;     /* tray_private.h */
struct tray_scan; /* tray.h */

struct mailbox_order; /* a struct mailbox_request with its own memory */

struct file_use;

struct spool_request {
	struct parcel parcel;
	struct inbox *reply;
	spool_done_fn *done;
	void *arg;
	atomic_bool cancelled;
	enum request_kind kind;
	struct message *message;
	struct file_use *file; /* of message; NULL: inline */
	struct report *report;
	struct mail_change *change;
	struct mailbox_order *order;
	struct tray_scan *scan;
	struct buf octets;                /* of a structure; value: its message */
	char name[MAILBOX_OWNER_MAX + 1]; /* of a mark; of an owner */
	uint64_t value;
	bool applied; /* in the transaction that is open now */
	enum err result;
};

/* One transaction's worth of work. */
struct batch {
	struct spool *spool;
	MDB_txn *txn;
	uint64_t last_id;
	uint32_t next_dest, next_mbox, uidvalidity;
	bool freed;                /* rows were put there */
	int64_t bytes;             /* change of the account */
	uint64_t work;             /* octets written and freed: bounds the transaction */
	struct message **accepted; /* references; told after the commit */
	size_t accepted_n, accepted_cap;
	uint64_t *unlink; /* files whose message is gone */
	size_t unlink_n, unlink_cap;
	struct usage_change *usage; /* told after the commit */
	size_t usage_n, usage_cap;
	struct mail_event *event; /* told after the commit */
	size_t events, event_cap;
	char **text; /* of events; owned */
	size_t texts, text_cap;
	struct buf record;  /* scratch */
	struct buf history; /* events, for behind the commit */
};

struct usage_change {
	char owner[MAILBOX_OWNER_MAX + 1];
	struct mailbox_usage now;
	bool gone;
};

/* ---- id.c */
uint64_t id_next(uint64_t last, struct wall now, unsigned node);

/* ---- db.c: the only place where LMDB's errors become ours */
enum err db_err(int rc);
const char *db_name(enum dbi d);
/* What to do about pages that are damaged. */
#define DB_DAMAGED "keep a copy of the directory, and restore the last backup of it"
enum err db_open(struct spool *s, struct buf *why);
void db_close(struct spool *s);
enum err db_get(MDB_txn *t, MDB_dbi d, const void *key, size_t n, struct span *value);
enum err db_put(
    MDB_txn *t, MDB_dbi d, const void *key, size_t n, struct span value, unsigned flags);
enum err
db_del(MDB_txn *t, MDB_dbi d, const void *key, size_t n); /* OK if it was not there */
enum err db_get_u64(
    MDB_txn *t, const struct spool *s, const char *name, uint64_t *v); /* 0 if absent */
enum err db_put_u64(MDB_txn *t, const struct spool *s, const char *name, uint64_t v);
/* The number of a destination; ERR_NOT_FOUND if it has none yet. */
enum err
db_get_dest(MDB_txn *t, const struct spool *s, struct span key, uint32_t *number);
/* Set the cursor on the first key >= key that begins with its first `prefix` bytes. */
enum err
db_seek(MDB_cursor *c, const void *key, size_t n, size_t prefix, MDB_val *k, MDB_val *v);
enum err db_next(MDB_cursor *c, const void *key, size_t prefix, MDB_val *k, MDB_val *v);

/* ---- ahead.c */
void ahead_open(struct spool *s);
void ahead_look(struct spool *s); /* behind a commit */

/* ---- apply.c: what a request does inside the transaction.  ERR_NOT_FOUND and ERR_RANGE
 * are the request's own: it has written nothing.  Any other error spoils the transaction.
 */
enum err apply_request(struct batch *b, struct spool_request *q);
/* about: the message that a notice tells of; 0: none. */
enum err accept_message(struct batch *b, struct message *m, uint64_t about);
enum err intern_dest(struct batch *b, struct span key, uint32_t *number);
enum err put_message(struct batch *b, enum dbi where, const struct message *m,
    const struct message_extra *x, unsigned flags);
enum err put_rcpt(struct batch *b, uint64_t id, uint32_t dest, const struct recipient *r,
    unsigned flags);
enum err
put_sched(struct batch *b, uint32_t dest, uint64_t id, const struct recipient *r);
bool message_storable(const struct message *m);
bool content_storable(const struct message *m); /* whoever holds it */
struct wall sane_due(struct wall due);          /* as it fits into a key */
uint64_t account_of(uint64_t size, uint64_t rcpts);
void batch_begin(struct batch *b, struct spool *s);
void batch_clear(struct batch *b); /* after an abort: references dropped */

/* The message's record, as it is or where only mails hold it. */
enum err db_get_message(
    MDB_txn *t, const struct spool *s, uint64_t id, struct span *value, enum dbi *where);

/* ---- mailbox.c: one mailbox in the writer's transaction */

#define MAIL_OVERHEAD 300 /* octets of a mail beside its content, for the account */

struct mbox {
	uint32_t number;
	struct mbox_record record;
	int64_t messages, octets;       /* changes of its owner's sums */
	struct wall pickup;             /* 0: nobody was here */
	bool touched;                   /* modseq is that of this change */
	uint32_t gone_first, gone_last; /* a run of uids that is not written yet */
	char owner_name[MAILBOX_OWNER_MAX + 1], name[MAILBOX_NAME_MAX + 1];
	char keywords[MAILBOX_KEYWORDS_MAX * (MAILBOX_KEYWORD_MAX + 1)];
	size_t keywords_n; /* octets */
};
/* ERR_NOT_FOUND: there is none, and it was not to be made. */
enum err mbox_open(
    struct batch *b, struct span owner, struct span name, bool make, struct mbox *out);
enum err mbox_open_at(struct batch *b, uint32_t number, struct mbox *out);
enum err mbox_close(struct batch *b, struct mbox *m); /* writes it back */
/* Zeros for one that has nothing. */
/* Is it this one, as its own record says? */
bool mbox_is(const struct mbox_record *m, struct span owner, struct span name);
/* The record of the mailbox that this name led to; ERR_DAMAGED: it is another's. */
enum err reader_mbox(struct spool_reader *r, uint32_t number, struct span owner,
    struct span name, struct mbox_record *out);
enum err read_owner(struct batch *b, struct span owner, struct owner_record *out);
/* The modseq of what changes now: one for all of it. */
uint64_t mbox_touch(struct mbox *m);
/* A mail comes, goes, or changes its flags: the sums follow. */
void mbox_count(struct mbox *m, const struct mail_record *before,
    const struct mail_record *after); /* NULL: it was not, or is no more, there */
/* The bit of a keyword; -1: it is not known and was not added (add), or there is no room.
 */
int mbox_keyword(struct batch *b, struct mbox *m, struct span name, bool add);
size_t mbox_keyword_count(const struct mbox *m);
struct span mbox_keyword_name(const struct mbox *m, size_t i); /* p NULL: no more */
enum err mbox_put_mail(
    struct batch *b, struct mbox *m, uint32_t uid, const struct mail_record *mail);
#define NAME_KEY_MAX (MAILBOX_OWNER_MAX + 1 + MAILBOX_NAME_MAX)
size_t mbox_name_key(struct span owner, struct span name, char out[NAME_KEY_MAX]);

/* ---- gone.c: which uids went when */
#define GONE_MAX 5000 /* runs of one mailbox */
enum err gone_add(struct batch *b, struct mbox *m, uint32_t uid);
enum err gone_flush(struct batch *b, struct mbox *m);
enum err gone_delete_all(struct batch *b, uint32_t number);

/* ---- structure.c */
enum err put_structure(struct batch *b, uint64_t message, struct span structure);
enum err delete_structure(struct batch *b, uint64_t message);
enum err apply_structure(struct batch *b, uint64_t message, struct span structure);

/* ---- event.c: what is told of mailboxes after the commit */
void event_mail(struct batch *b, enum mail_event_kind kind, const struct mbox *m,
    uint32_t uid, const struct mail_record *mail);
void event_mailbox(struct batch *b, enum mail_event_kind kind, const struct mbox *m,
    uint32_t uid, struct span text);
/* Those from the first on, all of one request: each mailbox in one piece, in the order of
 * uids. */
void events_in_order(struct batch *b, size_t first);
void events_tell(struct batch *b);
void events_clear(struct batch *b);

/* ---- mailbox_change.c */
enum err apply_mailbox(struct batch *b, const struct mailbox_order *o);
struct mailbox_order *mailbox_order_new(const struct mailbox_request *q);
void mailbox_order_free(struct mailbox_order **o);
enum err delete_mbox(struct batch *b, struct span owner, const char *name);
/* The first name of an owner behind `after`, as octets; into name. */
enum err next_name(struct batch *b, struct span owner, struct span after,
    char name[MAILBOX_NAME_MAX + 1], struct name_record *out);

/* ---- note.c */
enum err apply_note(struct batch *b, const struct mailbox_request *q);
enum err count_notes(struct batch *b, struct span owner, size_t *n);
enum err delete_notes(struct batch *b, struct span owner, struct span name, bool all);
/* ERR_RANGE: one of them cannot be had by that name. */
enum err notes_fit(struct batch *b, struct span owner, struct span from, struct span to);
enum err move_notes(struct batch *b, struct span owner, struct span from, struct span to);

/* ---- tray.c.  What a request does to trays happens once its batch is on disk: nothing
 * of it is there. */
struct trays *trays_new(struct world *w);
void trays_free(struct trays **t);
bool concerns_trays(const struct spool_request *q);
enum err check_tray_change(const struct mail_change *c);
void apply_to_trays(struct batch *b, const struct spool_request *q);

/* ---- tray_read.c: as mailbox.h reads, inside a snapshot or without any */
enum err
tray_read_mailbox(struct spool_reader *r, uint32_t number, struct mailbox_view *out);
void tray_read_keywords(struct mailbox_keywords *out);
void tray_read_mails(struct spool_reader *r, uint32_t number, uint32_t after,
    uint32_t until, struct mail_row *out, size_t max, size_t *n);
/* False: no more of them. */
bool tray_see(struct spool_reader *r, uint32_t number, uint32_t uid, size_t i,
    bool (*told)(void *arg, size_t i, const struct mail_sight *x), void *arg);
enum err tray_load_mail(struct spool_reader *r, uint32_t number, uint32_t uid,
    bool with_content, struct kept_mail *out);

/* ---- upgrade.c: what older formats lack */
enum err upgrade_mailboxes(struct spool *s, MDB_txn *t);

/* ---- spelling.c: names that an older relayd kept as they were typed */
enum err spell_names(struct spool *s, MDB_txn *t);
bool drop_storable(const struct drop *d);
/* OK, or ERR_RANGE: a mailbox has no uid left. */
enum err drops_fit(struct batch *b, const struct drop *drop, size_t n);
/* A mail of m (whose id is set) for each drop; each holds m's content. */
enum err
put_drops(struct batch *b, const struct message *m, const struct drop *drop, size_t n);
void will_use(struct batch *b, const struct usage_change *u);

/* ---- release.c */
enum err hold_message(struct batch *b, uint64_t id, uint32_t more);
enum err count_holders(struct batch *b, uint64_t id, uint32_t *n);
enum err release_message(struct batch *b, uint64_t id); /* one holder less */
enum err release_later(struct batch *b, uint64_t mail, uint64_t message);
/* A slice of what is to be let go of; *more: there is more of it. */
enum err release_slice(struct batch *b, bool *more);
enum err delete_body(struct batch *b, uint64_t id);
enum err recount(struct batch *b);
void will_unlink(struct batch *b, uint64_t file);

/* ---- mail_change.c */
enum err apply_mail_change(struct batch *b, struct mail_change *c);
bool mail_change_appends(const struct mail_change *c);
/* ERR_NOT_FOUND: a file is not there. */
enum err mail_change_hold_files(
    struct mail_change *c, struct commons *commons, void (*measure)(struct message *m));
void mail_change_stored(struct mail_change *c); /* its files are */
void mail_change_release_files(struct mail_change *c, struct inbox *reply);
enum err apply_owner_delete(struct batch *b, struct span owner);
struct message *mail_change_get_notice(const struct mail_change *c); /* borrowed */

/* ---- usage.c */
void usage_init(struct spool *s);
void usage_clear(struct spool *s);
enum err usage_load(struct spool *s, MDB_txn *t);
void usage_apply(struct batch *b);

/* ---- outcome.c */
enum err apply_report(struct batch *b, const struct report *rep);

/* ---- history_write.c: an event in a file is a mark, its length, and a record */
#define HISTORY_DAY 11 /* "2026-11-29" and its NUL */
#define HISTORY_MAGIC "\xa6Hi1"
#define HISTORY_HEAD 8
enum err history_open(struct spool *s, unsigned days, uint64_t max);
void history_close(struct spool *s);
void history_accepted(struct batch *b, const struct message *m, uint64_t about);
/* r: the recipient as it was before. */
void history_outcome(struct batch *b, const struct report *rep, const struct message *m,
    const struct recipient *r, const struct outcome *o);
void history_write(struct batch *b); /* behind the commit */
void history_look(struct spool *s);  /* now and then: a day may have ended */
void history_day(struct wall t, char out[HISTORY_DAY]);
bool history_is_day(const char *name);
/* The first day that there is behind (or at) `after`; out may be `after`. */
bool history_next_day(int dir, const char *after, bool that_too, char out[HISTORY_DAY]);

/* ---- history_read.c: as spool_read_history() */
enum err history_read(const struct spool *s, struct history_cursor *at, size_t octets,
    bool (*on_event)(void *arg, const struct history_event *e), void *arg);

/* ---- writer.c */
enum err writer_start(struct spool *s);
void writer_stop(struct spool *s);
void fail_for_good(struct spool *s, enum err e);

/* ---- tell.c */
void tell_batch(struct batch *b, struct spool_request **q, size_t n, enum err e);
void tell_failure(struct spool *s, enum err e);

/* ---- room.c */
void look_at_disk(struct spool *s);
void look_now_and_then(struct spool *s);
bool give_up_reserve(struct spool *s);

/* ---- query.c */
struct commons *commons_new(struct pool *p, struct world *w);
struct commons *commons_ref(struct commons *c);
void commons_unref(struct commons **c);
void commons_close(struct commons *c); /* returns when no query reads any more */

/* ---- files.c */
void file_name(uint64_t number, char out[FILE_NAME]);
struct file_use *file_use_new(struct commons *c); /* a new number */
struct file_use *
file_use_find(struct commons *c, uint64_t number); /* one more user, or NULL */
uint64_t file_use_number(const struct file_use *u);
void file_use_stored(struct file_use *u); /* a message holds it now */
/* With its last user a file that was not stored is removed, in the pool (reply: its
 * done). */
void file_use_release(struct file_use **u, struct inbox *reply);
void
files_unlink(struct commons *c, const uint64_t *number, size_t n, struct inbox *reply);
enum err files_sweep(struct spool *s, uint64_t *swept);
/* The files that messages name, in order. */
enum err files_named(struct spool *s, uint64_t **number, size_t *n);

/* ---- reader.c */
enum err reader_begin(struct spool_reader *r);
void reader_end(struct spool_reader *r);
/* Inside a snapshot: a message wherever it is; its content unless that is a file. */
enum err reader_message(
    struct spool_reader *r, uint64_t id, bool with_content, struct message **out);
enum err reader_file(struct spool_reader *r, struct message *m); /* outside of one */
MDB_txn *reader_txn(struct spool_reader *r);
struct spool *reader_spool(struct spool_reader *r);

#endif
