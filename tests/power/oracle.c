/* SPDX-License-Identifier: ISC */
/* oracle - the real spool code, and a reading of LMDB that knows nothing of it. */
#include "tests/power/oracle.h"

#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "relay/signin/accounts.h"
#include "spool/private.h"
#include "tests/lib/spool_rig.h"
#include "tests/power/story.h"

/* ---- rows, whatever they mean */

struct sum {
	uint64_t rows, number;
	uint32_t crc;
};

static uint64_t
number_of(const MDB_val *v)
{
	uint64_t n = 0;
	for (size_t i = 0; i < v->mv_size && i < 8; i++)
		n = n << 8 | ((const unsigned char *)v->mv_data)[i];
	return n;
}

static void
sum_row(struct sum *s, const MDB_val *k, const MDB_val *v)
{
	static const char name[] = "mark." STORY_NUMBER;
	uint32_t n[2] = {(uint32_t)k->mv_size, (uint32_t)v->mv_size};
	s->rows++;
	s->crc = crc32c(s->crc, (const char *)n, sizeof(n));
	s->crc = crc32c(s->crc, k->mv_data, k->mv_size);
	s->crc = crc32c(s->crc, v->mv_data, v->mv_size);
	if (k->mv_size == strlen(name) && memcmp(k->mv_data, name, k->mv_size) == 0)
		s->number = number_of(v);
}

static int
sum_table(MDB_txn *t, const char *name, struct sum *s)
{
	MDB_dbi d;
	MDB_cursor *c;
	MDB_val k, v;
	int rc = mdb_dbi_open(t, name, 0, &d);
	if (rc == 0)
		rc = mdb_cursor_open(t, d, &c);
	if (rc != 0)
		return rc;
	s->crc = crc32c(s->crc, name, strlen(name));
	while ((rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) == 0)
		sum_row(s, &k, &v);
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
sum_tables(MDB_txn *t, struct sum *s)
{
	MDB_dbi d;
	MDB_cursor *c;
	MDB_val k, v;
	int rc = mdb_dbi_open(t, NULL, 0, &d);
	if (rc == 0)
		rc = mdb_cursor_open(t, d, &c);
	if (rc != 0)
		return rc;
	while ((rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) == 0) {
		char name[40];
		CHECK(k.mv_size < sizeof(name));
		memcpy(name, k.mv_data, k.mv_size);
		name[k.mv_size] = '\0';
		if ((rc = sum_table(t, name, s)) != 0)
			break;
	}
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

bool
oracle_look(const char *spool, uint64_t *fingerprint, uint64_t *number)
{
	char path[256];
	struct sum s = {0};
	MDB_env *env;
	MDB_txn *t;
	(void)snprintf(path, sizeof(path), "%s/data.mdb", spool);
	if (access(path, F_OK) != 0 || mdb_env_create(&env) != 0)
		return false;
	(void)mdb_env_set_maxdbs(env, 32);
	(void)mdb_env_set_mapsize(env, (size_t)1 << 30);
	int rc = mdb_env_open(env, path, MDB_RDONLY | MDB_NOLOCK | MDB_NOSUBDIR, 0600);
	if (rc == 0)
		rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &t);
	if (rc == 0) {
		rc = sum_tables(t, &s);
		mdb_txn_abort(t);
	}
	mdb_env_close(env);
	*fingerprint = s.rows << 32 | s.crc;
	*number = s.number;
	return rc == 0;
}

static bool
is_commit(const struct oracle *o, uint64_t fingerprint)
{
	for (size_t i = o->commits; i > 0; i--)
		if (o->commit[i - 1] == fingerprint)
			return true;
	return false;
}

void
oracle_committed(struct oracle *o, const char *spool)
{
	uint64_t fingerprint, number;
	if (!oracle_look(spool, &fingerprint, &number) || is_commit(o, fingerprint))
		return;
	if (o->commits == o->cap) {
		o->cap = o->cap ? o->cap * 2 : 256;
		o->commit = mem_resize(o->commit, o->cap, sizeof(*o->commit));
	}
	o->commit[o->commits++] = fingerprint;
}

void
oracle_held(struct oracle *o, uint64_t id)
{
	if (o->helds == o->held_cap) {
		o->held_cap = o->held_cap ? o->held_cap * 2 : 64;
		o->held = mem_resize(o->held, o->held_cap, sizeof(*o->held));
	}
	o->held[o->helds++] = id;
}

/* ---- accounts */

static bool
is_between(const struct accounts *a, uint64_t from, uint64_t to)
{
	if (a->by_name.n == 0)
		return from == 0;
	const struct account *acc =
	    CONTAINER_OF(map_first(&a->by_name), struct account, node);
	uint64_t n = strtoull(acc->name + 1, NULL, 10);
	return a->by_name.n == 1 && n >= from && n <= to;
}

static enum oracle_finding
judge_accounts(const struct oracle *o, struct spool_rig *r, struct buf *why)
{
	char dir[300];
	struct accounts *a;
	(void)snprintf(dir, sizeof(dir), "%s/accounts", r->dir);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && o->account == 0)
		return ORACLE_GOOD;
	if (fd < 0) {
		buf_add_str(why, "the directory of accounts is lost");
		return ORACLE_LOST;
	}
	if (accounts_open(&a, &r->world, fd, why) != OK)
		return ORACLE_DAMAGED;
	bool good = is_between(a, o->account, o->account_begun);
	if (!good)
		buf_addf(why, "account %llu was acknowledged and is lost",
		    (unsigned long long)o->account);
	accounts_close(&a);
	return good ? ORACLE_GOOD : ORACLE_LOST;
}

/* ---- the spool */

/* Whoever names them: the queue, a mail in any mailbox, or what is still to be let go of.
 */
static unsigned
named_files(const struct spool_rig *r)
{
	uint64_t *number = NULL;
	size_t all = 0;
	unsigned n = 0;
	CHECK(files_named(r->spool, &number, &all) == OK);
	for (size_t i = 0; i < all; i++)
		n += i == 0 || number[i] != number[i - 1];
	mem_free(&number);
	return n;
}

static bool
goes_on(struct spool_rig *r)
{
	struct message *m = spool_rig_message(3000, 99);
	spool_rig_rcpt(m, "u@b.example", "smtp b.example", 0);
	spool_rig_drop(m, "alice", "");
	return spool_rig_accept(r, m) == OK && spool_rig_check(r, NULL) == 0;
}

/* With their content, octet for octet. */
static enum oracle_finding
judge_held(const struct oracle *o, struct spool_rig *r, struct buf *why)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	enum oracle_finding f = ORACLE_GOOD;
	for (size_t i = 0; i < o->helds && f == ORACLE_GOOD; i++) {
		struct message *m = NULL;
		if (spool_read_message(reader, o->held[i], true, &m) != OK) {
			f = ORACLE_LOST;
			buf_addf(why, "a message was answered with 250 and is lost: %llu",
			    (unsigned long long)o->held[i]);
		}
		message_unref(&m);
	}
	spool_reader_free(&reader);
	return f;
}

static enum oracle_finding
judge_open(const struct oracle *o, struct spool_rig *r, bool more, struct buf *why)
{
	uint64_t found = spool_rig_check(r, why);
	if (found > 0)
		return ORACLE_DAMAGED;
	unsigned named = named_files(r), files = spool_rig_files(r);
	if (o->opened && files != named) {
		buf_addf(why, "%u files are named, and %u there are", named, files);
		return ORACLE_DAMAGED;
	}
	enum oracle_finding f = judge_held(o, r, why);
	if (f != ORACLE_GOOD)
		return f;
	if (more && !goes_on(r)) {
		buf_add_str(why, "it does not take mail");
		return ORACLE_DAMAGED;
	}
	return judge_accounts(o, r, why);
}

/* One that lives as long as the process: only its directory changes. */
static struct spool_rig *
rig_at(const char *spool)
{
	static struct spool_rig *rig;
	if (rig == NULL) {
		rig = spool_rig_new(0);
		(void)rmdir(rig->dir);
		rig->options.inline_max = STORY_INLINE_MAX;
		rig->options.min_free = UINT64_MAX / 2; /* no reserve is taken */
	}
	CHECK(strlen(spool) < sizeof(rig->dir));
	memcpy(rig->dir, spool, strlen(spool) + 1);
	buf_reset(&rig->lines);
	return rig;
}

static enum oracle_finding
judge_rows(const struct oracle *o, const char *spool, uint64_t *number, struct buf *why)
{
	uint64_t fingerprint;
	if (!oracle_look(spool, &fingerprint, number)) {
		if (!o->opened)
			return ORACLE_GOOD;
		buf_add_str(why, "the database is not there or cannot be read");
		return ORACLE_LOST;
	}
	if (*number < o->done) {
		buf_addf(why, "batch %llu was acknowledged, and the spool is as of %llu",
		    (unsigned long long)o->done, (unsigned long long)*number);
		return ORACLE_LOST;
	}
	if (*number > o->begun || (o->opened && !is_commit(o, fingerprint))) {
		buf_add_str(why, "the rows are not those of any transaction");
		return ORACLE_DAMAGED;
	}
	return ORACLE_GOOD;
}

enum oracle_finding
oracle_judge(const struct oracle *o, const char *spool, bool more, uint64_t *number,
    struct buf *why)
{
	*number = 0;
	enum oracle_finding f = judge_rows(o, spool, number, why);
	if (f != ORACLE_GOOD)
		return f;
	struct spool_rig *r = rig_at(spool);
	if (spool_rig_open(r) != OK) {
		buf_addf(why, "it does not open: %s", r->why);
		return ORACLE_DAMAGED;
	}
	f = judge_open(o, r, more, why);
	spool_rig_close(r);
	return f;
}
