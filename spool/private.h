/* SPDX-License-Identifier: ISC */
/*
 * private (to spool) - the environment, the writer's requests, and how the
 * files of this room share them.
 */
#ifndef SPOOL_PRIVATE_H
#define SPOOL_PRIVATE_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "spool/record.h"
#include "spool/spool.h"

#define ID_EPOCH_MS INT64_C(1577836800000) /* 2020-01-01T00:00:00Z */
#define FORMAT_VERSION 1
#define INLINE_MAX_DEFAULT (256u << 10)
#define INLINE_LIMIT (100u << 20)          /* chunk numbers have 16 bits */
#define RESERVE_BYTES (32u << 20)
#define READERS_KEPT 8

enum dbi { DB_META, DB_MSG, DB_BODY, DB_RCPT, DB_SCHED, DB_DEST, DB_DESTNAME, DB_COUNT };

struct spool {
	struct world *world;
	struct log *log;
	struct pool *pool;
	struct loop *loop;         /* inline mode */
	char *path;
	bool read_only;
	unsigned node;
	uint64_t max_size, min_free, inline_max;
	struct inbox *accepted_inbox;
	void (*on_accepted)(void *arg, struct message **m, size_t n);
	void (*on_failure)(void *arg, enum err e);
	void *arg;

	int dir, big, lock;        /* descriptors */
	MDB_env *env;
	MDB_dbi dbi[DB_COUNT];

	/* the writer's own */
	uint64_t last_id;
	uint32_t next_dest;
	bool reserve;              /* the reserve file exists */
	struct instant looked;     /* at the free disk space */

	/* requests on their way */
	struct inbox *in;
	pthread_t thread;
	bool running;
	atomic_bool stop, failed;
	struct parcel_chain queued; /* inline mode */
	struct later later;

	/* shared */
	atomic_uint_fast64_t bytes, disk_free, commits, flush_us, requests;
	atomic_bool full;
	pthread_mutex_t mutex;     /* readers, files */
	struct spool_reader *reader[READERS_KEPT];
	size_t readers;
	struct list files;         /* struct file_use: being written, not yet in a message */
};

enum request_kind { REQUEST_ACCEPT, REQUEST_REPORT, REQUEST_MARK };

struct spool_request {
	struct parcel parcel;
	struct inbox *reply;
	spool_done_fn *done;
	void *arg;
	atomic_bool cancelled;
	enum request_kind kind;
	struct message *message;
	struct report *report;
	char name[40];
	uint64_t value;
	enum err result;
};

/* One transaction's worth of work. */
struct batch {
	struct spool *spool;
	MDB_txn *txn;
	uint64_t last_id;
	uint32_t next_dest;
	int64_t bytes;             /* change of the account */
	struct message **accepted; /* references; told after the commit */
	size_t accepted_n, accepted_cap;
	uint64_t *unlink;          /* files whose message is gone */
	size_t unlink_n, unlink_cap;
	struct buf record;         /* scratch */
};

/* ---- id.c */
uint64_t id_next(uint64_t last, struct wall now, unsigned node);

/* ---- db.c: the only place where LMDB's errors become ours */
enum err db_err(int rc);
enum err db_open(struct spool *s, struct buf *why);
void db_close(struct spool *s);
enum err db_get(MDB_txn *t, MDB_dbi d, const void *key, size_t n, struct span *value);
enum err db_put(MDB_txn *t, MDB_dbi d, const void *key, size_t n, struct span value, unsigned flags);
enum err db_del(MDB_txn *t, MDB_dbi d, const void *key, size_t n); /* OK if it was not there */
enum err db_get_u64(MDB_txn *t, struct spool *s, const char *name, uint64_t *v); /* 0 if absent */
enum err db_put_u64(MDB_txn *t, struct spool *s, const char *name, uint64_t v);
/* Set the cursor on the first key >= key that begins with its first `prefix` bytes. */
enum err db_seek(MDB_cursor *c, const void *key, size_t n, size_t prefix, MDB_val *k, MDB_val *v);
enum err db_next(MDB_cursor *c, const void *key, size_t prefix, MDB_val *k, MDB_val *v);

/* ---- apply.c: what a request does inside the transaction */
enum err apply_request(struct batch *b, struct spool_request *q);
void batch_begin(struct batch *b, struct spool *s);
void batch_clear(struct batch *b); /* after an abort: references dropped */

/* ---- writer.c */
enum err writer_start(struct spool *s);
void writer_stop(struct spool *s);
void look_at_disk(struct spool *s);

/* ---- body.c */

/*
 * A file that a body has made and that no message holds yet.  The body and the
 * writer both may end its life; who comes last does.
 */
enum use_state {
	USE_FREE,  /* the body's: removed with it */
	USE_TAKEN, /* in a transaction: nobody may remove it */
	USE_HELD,  /* a committed message holds it */
};
struct file_use {
	struct link link;  /* spool.files, under its mutex */
	uint64_t number;
	enum use_state state;
	bool owner_gone;   /* the body has been freed */
};
bool files_take(struct spool *s, uint64_t number); /* false: its body has gone, and the file with it */
void files_settle(struct spool *s, uint64_t number, bool held);
void file_name(uint64_t number, char out[24]); /* "ab/0123456789abcdef" under big/ */
void files_unlink(struct spool *s, const uint64_t *number, size_t n); /* in the pool */
enum err files_sweep(struct spool *s, uint64_t *swept);

/* ---- reader.c */
enum err reader_begin(struct spool_reader *r);
void reader_end(struct spool_reader *r);
MDB_txn *reader_txn(struct spool_reader *r);
struct spool *reader_spool(struct spool_reader *r);

uint64_t account_of(uint64_t size, uint64_t rcpts);

#endif
