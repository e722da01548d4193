/* SPDX-License-Identifier: ISC */
/*
 * db - the LMDB environment: opened once, one huge map (address space only),
 * so that it never has to be resized under readers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/mem.h"
#include "spool/pages.h"
#include "spool/private.h"

#define MAP_SIZE ((size_t)1 << 40)
#define MAP_SIZE_MIN ((size_t)1 << 28) /* a low RLIMIT_AS leaves no more */
#define READERS_MAX 64
#define DBS_MAX 32

static const char *const name[DB_COUNT] = {"meta", "msg", "body", "rcpt", "sched", "dest",
    "destname", "kept", "ref", "freed", "owner", "mbox", "mboxname", "mail", "mime",
    "gone", "note"};

const char *
db_name(enum dbi d)
{
	return name[d];
}

enum err
db_err(int rc)
{
	switch (rc) {
	case MDB_SUCCESS: return OK;
	case MDB_NOTFOUND: return ERR_NOT_FOUND;
	case MDB_MAP_FULL:
	case ENOSPC:
	case EDQUOT: return ERR_DISK_FULL;
	case MDB_KEYEXIST: /* rows are put in order: one of them is not where it was */
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID: return ERR_DAMAGED;
	case MDB_VERSION_MISMATCH: return ERR_VERSION;
	case EACCES:
	case EPERM: return ERR_DENIED;
	default: return ERR_IO;
	}
}

/* ---- values */

enum err
db_get(MDB_txn *t, MDB_dbi d, const void *key, size_t n, struct span *value)
{
	MDB_val k = {n, (void *)(uintptr_t)key}, v;
	*value = (struct span){NULL, 0};
	int rc = mdb_get(t, d, &k, &v);
	if (rc == 0)
		*value = (struct span){v.mv_data, v.mv_size};
	return db_err(rc);
}

enum err
db_put(
    MDB_txn *t, MDB_dbi d, const void *key, size_t n, struct span value, unsigned flags)
{
	MDB_val k = {n, (void *)(uintptr_t)key},
		v = {value.n, (void *)(uintptr_t)value.p};
	if (FAULT("spool.put.full"))
		return ERR_DISK_FULL;
	return db_err(mdb_put(t, d, &k, &v, flags));
}

enum err
db_del(MDB_txn *t, MDB_dbi d, const void *key, size_t n)
{
	MDB_val k = {n, (void *)(uintptr_t)key};
	int rc = mdb_del(t, d, &k, NULL);
	return rc == MDB_NOTFOUND ? OK : db_err(rc);
}

enum err
db_get_u64(MDB_txn *t, const struct spool *s, const char *key, uint64_t *v)
{
	struct span value = {NULL, 0};
	*v = 0;
	enum err e = db_get(t, s->dbi[DB_META], key, strlen(key), &value);
	if (e == ERR_NOT_FOUND)
		return OK;
	if (e == OK && value.n != 8)
		return ERR_DAMAGED;
	if (e == OK)
		*v = key_get((const unsigned char *)value.p, 8);
	return e;
}

enum err
db_put_u64(MDB_txn *t, const struct spool *s, const char *key, uint64_t v)
{
	unsigned char p[8];
	key_put(p, v, 8);
	return db_put(
	    t, s->dbi[DB_META], key, strlen(key), (struct span){(char *)p, 8}, 0);
}

enum err
db_get_dest(MDB_txn *t, const struct spool *s, struct span key, uint32_t *number)
{
	struct span v;
	enum err e = db_get(t, s->dbi[DB_DESTNAME], key.p, key.n, &v);
	if (e == OK && v.n != 4)
		return ERR_DAMAGED;
	if (e == OK)
		*number = (uint32_t)key_get((const unsigned char *)v.p, 4);
	return e;
}

enum err
db_get_message(
    MDB_txn *t, const struct spool *s, uint64_t id, struct span *value, enum dbi *where)
{
	unsigned char key[KEY_ID];
	key_put(key, id, 8);
	*where = DB_MSG;
	enum err e = db_get(t, s->dbi[DB_MSG], key, KEY_ID, value);
	if (e != ERR_NOT_FOUND)
		return e;
	*where = DB_KEPT;
	return db_get(t, s->dbi[DB_KEPT], key, KEY_ID, value);
}

static enum err
check_prefix(int rc, const void *key, size_t prefix, const MDB_val *k)
{
	if (rc != 0)
		return db_err(rc);
	if (prefix == 0)
		return OK;
	return k->mv_size >= prefix && memcmp(k->mv_data, key, prefix) == 0
		   ? OK
		   : ERR_NOT_FOUND;
}

enum err
db_seek(MDB_cursor *c, const void *key, size_t n, size_t prefix, MDB_val *k, MDB_val *v)
{
	*k = (MDB_val){n, (void *)(uintptr_t)key};
	return check_prefix(mdb_cursor_get(c, k, v, MDB_SET_RANGE), key, prefix, k);
}

enum err
db_next(MDB_cursor *c, const void *key, size_t prefix, MDB_val *k, MDB_val *v)
{
	return check_prefix(mdb_cursor_get(c, k, v, MDB_NEXT), key, prefix, k);
}

/* ---- opening */

static unsigned
env_flags(const struct spool *s)
{
	unsigned flags = MDB_NOTLS | MDB_NOSUBDIR;
	if (s->read_only) /* owner.lock keeps every writer away */
		flags |= MDB_RDONLY | MDB_NOLOCK;
#ifdef RELAY_FAULTS
	if (getenv("RELAY_TEST_NOSYNC") != NULL)
		flags |= MDB_NOSYNC;
	if (getenv("RELAY_TEST_NOMETASYNC") != NULL)
		flags |= MDB_NOMETASYNC;
#endif
	return flags;
}

static void
on_assert(MDB_env *env, const char *text)
{
	(void)env;
	check_failed(text, "lmdb", 0);
}

/* One try with a map of this size; on failure there is no environment. */
static int
try_env(struct spool *s, const char *path, size_t size, unsigned flags)
{
	int rc = mdb_env_create(&s->env);
	if (rc != 0)
		return rc;
	(void)mdb_env_set_assert(s->env, on_assert);
	(void)mdb_env_set_maxdbs(s->env, DBS_MAX);
	(void)mdb_env_set_maxreaders(s->env, READERS_MAX);
	(void)mdb_env_set_mapsize(s->env, size);
	rc = mdb_env_open(s->env, path, env_flags(s) | flags, 0600);
	if (rc != 0)
		db_close(s);
	return rc;
}

static void
settle_env(struct spool *s, size_t size)
{
	int fd, dead = 0;
	if (mdb_env_get_fd(s->env, &fd) == 0)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (!s->read_only)
		(void)mdb_reader_check(s->env, &dead);
	if (size < MAP_SIZE)
		LOG(s->log, EV_LIMIT, F_STR("what", "address space"),
		    F_STR("now", "the spool's database can grow to this size only: raise "
				 "RLIMIT_AS"),
		    F_INT("bytes", size));
}

static enum err
open_env(struct spool *s, const char *file, unsigned flags, struct buf *why)
{
	struct buf text;
	buf_init(&text, 8192);
	buf_addf(&text, "%s/%s", s->path, file);
	char *path = buf_take(&text);
	size_t size = MAP_SIZE;
	int rc = try_env(s, path, size, flags);
	while (rc == ENOMEM && size > MAP_SIZE_MIN)
		rc = try_env(s, path, size >>= 2, flags);
	mem_free(&path);
	if (rc != 0)
		buf_addf(
		    why, "spool %s: cannot open %s: %s", s->path, file, mdb_strerror(rc));
	else
		settle_env(s, size);
	return db_err(rc);
}

static enum err
check_version(struct spool *s, MDB_txn *t, struct buf *why)
{
	uint64_t version;
	enum err e = db_get_u64(t, s, "format", &version);
	if (e != OK)
		return e;
	/* an older spool lacks tables, which are made empty, and sums */
	if ((version == 0 && s->create) ||
	    ((version == FORMAT_WITHOUT_MAILBOXES || version == FORMAT_WITHOUT_FOLDERS) &&
		!s->read_only)) {
		s->old_format = (unsigned)version;
		return db_put_u64(t, s, "format", FORMAT_VERSION);
	}
	if (version == FORMAT_VERSION)
		return OK;
	if (version == FORMAT_WITHOUT_MAILBOXES || version == FORMAT_WITHOUT_FOLDERS) {
		buf_addf(why,
		    "spool %s was written by an older relayd: start this one once, "
		    "then it can be looked at",
		    s->path);
		return ERR_VERSION;
	}
	buf_addf(why,
	    "spool %s has format %llu and this relayd knows %d: use the relayd that "
	    "wrote it",
	    s->path, (unsigned long long)version, FORMAT_VERSION);
	return ERR_VERSION;
}

static enum err
read_meta(struct spool *s, MDB_txn *t)
{
	uint64_t bytes, dest, mailbox, uidvalidity;
	MDB_stat freed;
	enum err e = db_get_u64(t, s, "id", &s->last_id);
	if (e == OK)
		e = db_get_u64(t, s, "bytes", &bytes);
	if (e == OK)
		e = db_get_u64(t, s, "dest", &dest);
	if (e == OK)
		e = db_get_u64(t, s, "mailbox", &mailbox);
	if (e == OK)
		e = db_get_u64(t, s, "uidvalidity", &uidvalidity);
	if (e == OK)
		e = db_err(mdb_stat(t, s->dbi[DB_FREED], &freed));
	if (e == OK) {
		s->next_mbox = (uint32_t)mailbox + 1;
		s->uidvalidity = (uint32_t)uidvalidity;
		s->freed = freed.ms_entries > 0;
		atomic_store(&s->bytes, bytes);
		s->next_dest = (uint32_t)dest + 1;
	}
	return e;
}

static enum err
open_tables(struct spool *s, struct buf *why)
{
	MDB_txn *t;
	int rc = mdb_txn_begin(s->env, NULL, s->read_only ? MDB_RDONLY : 0, &t);
	if (rc != 0)
		return db_err(rc);
	/* the version first: nothing of a newer spool is touched */
	rc = mdb_dbi_open(
	    t, name[DB_META], s->read_only ? 0 : MDB_CREATE, &s->dbi[DB_META]);
	enum err e = rc == 0 ? check_version(s, t, why) : db_err(rc);
	for (int i = DB_META + 1; e == OK && i < DB_COUNT; i++)
		e = db_err(
		    mdb_dbi_open(t, name[i], s->read_only ? 0 : MDB_CREATE, &s->dbi[i]));
	if (e == OK && s->old_format == FORMAT_WITHOUT_FOLDERS)
		e = upgrade_mailboxes(s, t);
	if (e == OK)
		e = read_meta(s, t);
	if (e == OK)
		e = usage_load(s, t);
	if (e == OK && s->spell != NULL && !s->read_only)
		e = spell_names(s, t);
	if (FAULT("spool.open.tables"))
		e = ERR_IO;
	if (e != OK) {
		mdb_txn_abort(t);
		return e;
	}
	return db_err(mdb_txn_commit(t));
}

/*
 * LMDB does not flush a new file before its first transaction does: after a power cut
 * data.mdb could be there, and be none.  So it gets its name only when it is one; the
 * name is flushed before mail is taken (prepare() in spool.c).
 */
static enum err
be_born(struct spool *s, struct buf *why)
{
	static const char name_until[] = "data.mdb.new";
	if (!s->create || faccessat(s->dir, "data.mdb", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return OK;
	(void)unlinkat(s->dir, name_until, 0);
	enum err e = open_env(s, name_until, MDB_NOLOCK, why);
	if (e == OK)
		e = open_tables(s, why);
	db_close(s);
	(void)FAULT("spool.open.born");
	if (e == OK && renameat(s->dir, name_until, s->dir, "data.mdb") != 0)
		e = err_from_errno(errno);
	return e;
}

static void
on_page(void *arg, const char *sentence)
{
	struct buf *text = arg;
	if (text->n == 0)
		buf_add_str(text, sentence);
}

/* Before LMDB follows what is written there. */
static enum err
look_at_pages(struct spool *s, struct buf *why)
{
	struct buf text;
	uint64_t found = 0;
	int fd = openat(s->dir, "data.mdb", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return OK; /* LMDB says what it is */
	buf_init(&text, 1000);
	enum err e = pages_look(fd, &text);
	if (e == OK && s->thorough)
		e = pages_check(fd, 0, on_page, &text, &found);
	if (e == ERR_NOT_FOUND) /* an empty one, too */
		e = OK;
	if (found > 0)
		e = ERR_DAMAGED;
	if (e == ERR_DAMAGED)
		buf_addf(why, "spool %s: %.*s%s; %s", s->path, SPAN_ARG(buf_span(&text)),
		    found > 1 ? ", and others" : "", DB_DAMAGED);
	buf_clear(&text);
	(void)close(fd);
	return e;
}

enum err
db_open(struct spool *s, struct buf *why)
{
	enum err e = be_born(s, why);
	if (e == OK)
		e = look_at_pages(s, why);
	if (e == OK)
		e = open_env(s, "data.mdb", 0, why);
	if (e == OK)
		e = open_tables(s, why);
	if (e != OK && why->n == 0)
		buf_addf(why, "spool %s: %s", s->path, err_text(e));
	return e;
}

void
db_close(struct spool *s)
{
	if (s->env != NULL)
		mdb_env_close(s->env);
	s->env = NULL;
}
