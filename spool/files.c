/* SPDX-License-Identifier: ISC */
/*
 * files - large content under big/: who uses which file, and when it goes.
 *
 * A file is known here from its creation until it is either stored (a message
 * names it: from then on the transaction that deletes the message has it
 * unlinked) or removed, because its last user let go of it.  What a crash
 * leaves over, files that no message names, is swept when the spool is opened.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/mem.h"
#include "spool/private.h"

#define FILES_TOGETHER 200 /* then the next sub-directory */

void
file_name(uint64_t number, char out[FILE_NAME])
{
	(void)snprintf(out, FILE_NAME, "%02x/%016llx", (unsigned)(number >> 56),
	    (unsigned long long)number);
}

/* ---- unlinking */

struct unlink_job {
	struct pool_job job;
	struct commons *commons;
	size_t n;
	uint64_t number[];
};

/* While somebody copies the spool they stay, and go when he has done. */
static bool
put_off(struct commons *c, const uint64_t *number, size_t n)
{
	(void)pthread_mutex_lock(&c->mutex);
	bool kept = c->keepers > 0;
	for (size_t i = 0; kept && i < n; i++) {
		if (c->late_n == c->late_cap) {
			c->late_cap = c->late_cap ? c->late_cap * 2 : 64;
			c->late = mem_resize(c->late, c->late_cap, sizeof(*c->late));
		}
		c->late[c->late_n++] = number[i];
	}
	(void)pthread_mutex_unlock(&c->mutex);
	return kept;
}

static void
unlink_all(struct commons *c, const uint64_t *number, size_t n)
{
	char name[FILE_NAME];
	if (put_off(c, number, n))
		return;
	for (size_t i = 0; i < n; i++) {
		(void)FAULT("spool.unlink");
		file_name(number[i], name);
		(void)unlinkat(
		    c->big, name, 0); /* at worst it is swept at the next start */
	}
}

static void
unlink_run(struct pool_job *p)
{
	struct unlink_job *u = CONTAINER_OF(p, struct unlink_job, job);
	unlink_all(u->commons, u->number, u->n);
}

static void
unlink_done(struct pool_job *p)
{
	struct unlink_job *u = CONTAINER_OF(p, struct unlink_job, job);
	commons_unref(&u->commons);
	mem_free(&u);
}

void
files_unlink(struct commons *c, const uint64_t *number, size_t n, struct inbox *reply)
{
	(void)pthread_mutex_lock(&c->mutex);
	bool pooled = !c->closed && c->pool != NULL && reply != NULL;
	if (pooled) { /* under the mutex: while it is not closed there is a pool */
		struct unlink_job *u = mem_alloc(sizeof(*u) + n * sizeof(*number));
		u->commons = commons_ref(c);
		u->n = n;
		memcpy(u->number, number, n * sizeof(*number));
		u->job.run = unlink_run;
		u->job.done = unlink_done;
		pool_start(c->pool, &u->job, reply);
	}
	(void)pthread_mutex_unlock(&c->mutex);
	if (!pooled)
		unlink_all(c, number, n);
}

void
spool_keep_files(struct spool *s, bool keep)
{
	struct commons *c = s->commons;
	uint64_t *late = NULL;
	size_t n = 0;
	(void)pthread_mutex_lock(&c->mutex);
	if (keep) {
		c->keepers++;
	} else if (--c->keepers == 0) {
		late = c->late;
		n = c->late_n;
		c->late = NULL;
		c->late_n = c->late_cap = 0;
	}
	(void)pthread_mutex_unlock(&c->mutex);
	if (n > 0)
		files_unlink(c, late, n, s->accepted_inbox);
	mem_free(&late);
}

/* ---- users */

struct file_use {
	struct link link;
	struct commons *commons;
	uint64_t number;
	unsigned users;
	bool stored;
};

static struct file_use *
find(struct commons *c, uint64_t number)
{
	LIST_EACH (&c->files, k) {
		struct file_use *u = CONTAINER_OF(k, struct file_use, link);
		if (u->number == number)
			return u;
	}
	return NULL;
}

/* Files of one time lie together: one flush of their directory is for all of them. */
static uint64_t
next_number(struct commons *c)
{
	uint64_t number = world_random_u64(c->world);
	if (c->sub_left == 0) {
		c->sub_left = FILES_TOGETHER;
		c->sub_now = (uint8_t)(number >> 48);
	}
	c->sub_left--;
	return number >> 8 | (uint64_t)c->sub_now << 56;
}

struct file_use *
file_use_new(struct commons *c)
{
	struct file_use *u = NEW(struct file_use);
	u->commons = commons_ref(c);
	u->users = 1;
	(void)pthread_mutex_lock(&c->mutex);
	do
		u->number = next_number(c);
	while (u->number == 0 || find(c, u->number) != NULL);
	list_push(&c->files, &u->link);
	(void)pthread_mutex_unlock(&c->mutex);
	return u;
}

struct file_use *
file_use_find(struct commons *c, uint64_t number)
{
	(void)pthread_mutex_lock(&c->mutex);
	struct file_use *u = find(c, number);
	if (u != NULL)
		u->users++;
	(void)pthread_mutex_unlock(&c->mutex);
	return u;
}

uint64_t
file_use_number(const struct file_use *u)
{
	return u->number;
}

void
file_use_stored(struct file_use *u)
{
	(void)pthread_mutex_lock(&u->commons->mutex);
	u->stored = true;
	(void)pthread_mutex_unlock(&u->commons->mutex);
}

void
file_use_release(struct file_use **up, struct inbox *reply)
{
	struct file_use *u = *up;
	*up = NULL;
	if (u == NULL)
		return;
	struct commons *c = u->commons;
	(void)pthread_mutex_lock(&c->mutex);
	bool last = --u->users == 0;
	if (last)
		list_remove(&u->link);
	(void)pthread_mutex_unlock(&c->mutex);
	if (!last)
		return;
	if (!u->stored)
		files_unlink(c, &u->number, 1, reply);
	commons_unref(&u->commons);
	mem_free(&u);
}

/* ---- leftovers of a crash */

struct numbers {
	uint64_t *p;
	size_t n, cap;
};

static void
add_number(struct numbers *l, uint64_t v)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->p = mem_resize(l->p, l->cap, sizeof(*l->p));
	}
	l->p[l->n++] = v;
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static bool
parse_number(const char *name, uint64_t *number)
{
	if (strlen(name) != 16 || strspn(name, "0123456789abcdef") != 16)
		return false;
	*number = strtoull(name, NULL, 16);
	return true;
}

static DIR *
open_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	if (d == NULL && fd >= 0)
		(void)close(fd);
	return d;
}

static void
list_sub(struct commons *c, const char *name, struct numbers *out)
{
	DIR *d = open_dir(c->big, name);
	const struct dirent *entry;
	uint64_t number;
	while (d != NULL && (entry = readdir(d)) != NULL)
		if (parse_number(entry->d_name, &number))
			add_number(out, number);
	if (d != NULL)
		(void)closedir(d);
}

static struct numbers
list_files(struct commons *c)
{
	struct numbers out = {0};
	char name[3];
	for (unsigned i = 0; i < 256; i++) {
		(void)snprintf(name, sizeof(name), "%02x", i);
		list_sub(c, name, &out);
	}
	return out;
}

static enum err
name_of(const MDB_val *v, struct numbers *out)
{
	struct message_extra x;
	uint64_t size, file;
	enum err e =
	    record_get_sizes((struct span){v->mv_data, v->mv_size}, &size, &file, &x);
	if (e == OK && file != 0)
		add_number(out, file);
	return e;
}

/* ERR_NOT_FOUND: all of them. */
static enum err
list_named_in(struct spool *s, MDB_txn *t, enum dbi d, struct numbers *out)
{
	MDB_cursor *cur;
	MDB_val k, v;
	enum err e = db_err(mdb_cursor_open(t, s->dbi[d], &cur));
	if (e != OK)
		return e;
	while (
	    (e = db_next(cur, NULL, 0, &k, &v)) == OK && (e = name_of(&v, out)) == OK) {
	}
	mdb_cursor_close(cur);
	return e;
}

/* The files that messages name. A damaged record may name any: then nothing is swept. */
static enum err
list_named(struct spool *s, struct numbers *out)
{
	MDB_txn *t;
	enum err e = db_err(mdb_txn_begin(s->env, NULL, MDB_RDONLY, &t));
	if (e != OK)
		return e;
	e = list_named_in(s, t, DB_MSG, out);
	if (e == ERR_NOT_FOUND)
		e = list_named_in(s, t, DB_KEPT, out);
	mdb_txn_abort(t);
	if (out->n > 0)
		qsort(out->p, out->n, sizeof(*out->p), by_number);
	return e == ERR_NOT_FOUND ? OK : e;
}

enum err
files_named(struct spool *s, uint64_t **number, size_t *n)
{
	struct numbers named = {0};
	enum err e = list_named(s, &named);
	*number = named.p;
	*n = named.n;
	return e;
}

static bool
is_named(const struct numbers *named, uint64_t number)
{
	return named->n > 0 &&
	       bsearch(&number, named->p, named->n, sizeof(number), by_number) != NULL;
}

static uint64_t
sweep(struct commons *c, const struct numbers *found, const struct numbers *named)
{
	char name[FILE_NAME];
	uint64_t swept = 0;
	for (size_t i = 0; i < found->n; i++) {
		if (is_named(named, found->p[i]))
			continue;
		(void)FAULT("spool.sweep");
		file_name(found->p[i], name);
		swept += unlinkat(c->big, name, 0) == 0;
	}
	return swept;
}

enum err
files_sweep(struct spool *s, uint64_t *swept)
{
	struct numbers found = list_files(s->commons), named = {0};
	enum err e = OK;
	*swept = 0;
	if (found.n > 0) {
		e = list_named(s, &named);
		if (e == OK)
			*swept = sweep(s->commons, &found, &named);
	}
	mem_free(&found.p);
	mem_free(&named.p);
	return e == ERR_DAMAGED ? OK : e;
}
