/* SPDX-License-Identifier: ISC */
/*
 * spool - opening and closing the directory, the sweep of what a crash has left
 * over, and queries in the pool.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/mem.h"
#include "spool/private.h"

/* ---- the directory */

static enum err
cannot(struct buf *why, const char *path, const char *what, int errnum)
{
	buf_addf(why, "spool %s: %s: %s", path, what, strerror(errnum));
	return err_from_errno(errnum);
}

static void
sync_parent(const char *path)
{
	char *parent = mem_strdup(path);
	char *slash = strrchr(parent, '/');
	if (slash != NULL && slash != parent) {
		*slash = '\0';
		int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0) {
			(void)fsync(fd);
			(void)close(fd);
		}
	}
	mem_free(&parent);
}

static enum err
make_directory(const struct spool_options *o, struct buf *why)
{
	if (!o->create || o->read_only)
		return OK;
	if (mkdir(o->path, 0700) == 0)
		sync_parent(o->path);
	else if (errno != EEXIST)
		return cannot(why, o->path, "cannot make the directory", errno);
	return OK;
}

static bool
is_ours(const char *name)
{
	static const char *const ours[] = {
	    ".", "..", "data.mdb", "data.mdb-lock", "big", "owner.lock", "reserve", "lost+found"};
	for (size_t i = 0; i < COUNT_OF(ours); i++)
		if (strcmp(ours[i], name) == 0)
			return true;
	return false;
}

/* A directory that holds something else is somebody's mistake in the configuration. */
static enum err
check_foreign(const struct spool *s, struct buf *why)
{
	DIR *d = opendir(s->path);
	if (d == NULL)
		return cannot(why, s->path, "cannot read the directory", errno);
	enum err e = OK;
	const struct dirent *entry;
	while (e == OK && (entry = readdir(d)) != NULL) {
		if (is_ours(entry->d_name))
			continue;
		buf_addf(why,
		    "spool %s holds \"%s\", which is no part of a spool; give relayd a directory of its own",
		    s->path, entry->d_name);
		e = ERR_EXISTS;
	}
	(void)closedir(d);
	return e;
}

static enum err
check_owner(const struct spool *s, struct buf *why)
{
	struct stat st;
	if (fstat(s->dir, &st) != 0)
		return cannot(why, s->path, "cannot look at the directory", errno);
	if (geteuid() != 0 && st.st_uid != geteuid()) {
		buf_addf(why, "spool %s belongs to uid %u, relayd runs as %u: chown it", s->path,
		    st.st_uid, geteuid());
		return ERR_DENIED;
	}
	if (!s->read_only && (st.st_mode & 077) != 0 && fchmod(s->dir, 0700) != 0)
		return cannot(why, s->path, "others can read it, and its mode cannot be changed", errno);
	return OK;
}

static enum err
take_lock(struct spool *s, struct buf *why)
{
	int flags = s->read_only ? O_RDONLY : O_RDWR | O_CREAT;
	s->lock = openat(s->dir, "owner.lock", flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock < 0)
		return cannot(why, s->path, s->read_only ? "this is no spool (yet)" : "cannot make owner.lock", errno);
	if (flock(s->lock, (s->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
		return OK;
	buf_addf(why, "spool %s is in use by another relayd", s->path);
	return ERR_BUSY;
}

static enum err
open_directory(struct spool *s, const struct spool_options *o, struct buf *why)
{
	enum err e = make_directory(o, why);
	if (e != OK)
		return e;
	s->dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return cannot(why, s->path, "cannot open the directory", errno);
	e = check_foreign(s, why);
	if (e == OK)
		e = check_owner(s, why);
	if (e == OK)
		e = take_lock(s, why);
	if (e != OK)
		return e;
	if (!s->read_only && mkdirat(s->dir, "big", 0700) != 0 && errno != EEXIST)
		return cannot(why, s->path, "cannot make big/", errno);
	s->big = openat(s->dir, "big", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->big < 0)
		return cannot(why, s->path, "cannot open big/", errno);
	if (!s->read_only)
		(void)fsync(s->dir);
	return OK;
}

/* ---- leftovers of a crash: files that no message names */

struct named {
	uint64_t *file;
	size_t n, cap;
};

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static enum err
collect_named(struct spool *s, struct named *out)
{
	struct spool_reader *r = spool_reader_new(s);
	struct message *m[100];
	size_t n = COUNT_OF(m);
	uint64_t after = 0;
	enum err e = OK;
	while (e == OK && n == COUNT_OF(m)) {
		e = spool_read_messages(r, after, m, COUNT_OF(m), &n);
		for (size_t i = 0; i < n; i++) {
			if (m[i]->file != 0) {
				if (out->n == out->cap) {
					out->cap = out->cap ? out->cap * 2 : 64;
					out->file = mem_resize(out->file, out->cap, sizeof(uint64_t));
				}
				out->file[out->n++] = m[i]->file;
			}
			after = m[i]->id;
			message_unref(&m[i]);
		}
	}
	spool_reader_free(&r);
	qsort(out->file, out->n, sizeof(uint64_t), by_number);
	return e;
}

static bool
parse_number(const char *name, uint64_t *number)
{
	char *end;
	if (strlen(name) != 16)
		return false;
	errno = 0;
	unsigned long long v = strtoull(name, &end, 16);
	*number = v;
	return errno == 0 && *end == '\0';
}

static void
sweep_directory(struct spool *s, const char *dir, const struct named *named, uint64_t *swept)
{
	int fd = openat(s->big, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	if (d == NULL)
		return;
	while ((entry = readdir(d)) != NULL) {
		uint64_t number;
		if (!parse_number(entry->d_name, &number))
			continue;
		if (named->n > 0 &&
		    bsearch(&number, named->file, named->n, sizeof(uint64_t), by_number) != NULL)
			continue;
		(void)FAULT("spool.sweep");
		if (unlinkat(dirfd(d), entry->d_name, 0) == 0)
			(*swept)++;
	}
	(void)closedir(d);
}

static bool
any_file(struct spool *s)
{
	struct stat st;
	/* the directory's link count tells whether it has sub-directories */
	return fstat(s->big, &st) == 0 && st.st_nlink > 2;
}

enum err
files_sweep(struct spool *s, uint64_t *swept)
{
	struct named named = {0};
	*swept = 0;
	if (!any_file(s))
		return OK;
	enum err e = collect_named(s, &named);
	int fd = e == OK ? openat(s->dir, "big", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	while (d != NULL && (entry = readdir(d)) != NULL)
		if (strlen(entry->d_name) == 2 && strcmp(entry->d_name, "..") != 0)
			sweep_directory(s, entry->d_name, &named, swept);
	if (d != NULL)
		(void)closedir(d);
	mem_free(&named.file);
	return e;
}

/* ---- life */

static struct spool *
make(const struct spool_options *o)
{
	struct spool *s = NEW(struct spool);
	s->world = o->world;
	s->log = o->log;
	s->pool = o->pool;
	s->loop = o->loop;
	s->path = mem_strdup(o->path);
	s->read_only = o->read_only;
	s->node = o->node & 1023;
	s->max_size = o->max_size;
	s->min_free = o->min_free;
	s->inline_max = o->inline_max ? o->inline_max : INLINE_MAX_DEFAULT;
	if (s->inline_max > INLINE_LIMIT)
		s->inline_max = INLINE_LIMIT;
	s->accepted_inbox = o->accepted_inbox;
	s->on_accepted = o->on_accepted;
	s->on_failure = o->on_failure;
	s->arg = o->arg;
	s->dir = s->big = s->lock = -1;
	list_init(&s->files);
	CHECK(pthread_mutex_init(&s->mutex, NULL) == 0);
	return s;
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static void
destroy(struct spool **sp)
{
	struct spool *s = *sp;
	while (s->readers > 0)
		spool_reader_free(&s->reader[--s->readers]);
	db_close(s);
	close_fd(&s->big);
	close_fd(&s->lock);
	close_fd(&s->dir);
	struct link *k;
	while ((k = list_pop(&s->files)) != NULL) {
		struct file_use *use = CONTAINER_OF(k, struct file_use, link);
		mem_free(&use);
	}
	(void)pthread_mutex_destroy(&s->mutex);
	mem_free(&s->path);
	mem_free(sp);
}

static enum err
prepare(struct spool *s)
{
	uint64_t swept = 0;
	if (s->read_only)
		return OK;
	enum err e = files_sweep(s, &swept);
	if (e == OK && swept > 0)
		LOG(s->log, EV_SPOOL_SWEPT, F_INT("files", swept));
	if (e == OK)
		e = writer_start(s);
	return e;
}

static void
say_opened(struct spool *s)
{
	struct spool_reader *r = spool_reader_new(s);
	struct spool_stat st;
	if (spool_read_stat(r, &st) == OK)
		LOG(s->log, EV_SPOOL_OPENED, F_STR("path", s->path), F_INT("messages", st.messages),
		    F_INT("bytes", st.bytes));
	spool_reader_free(&r);
}

enum err
spool_open(struct spool **out, const struct spool_options *o, struct buf *why)
{
	struct spool *s = make(o);
	*out = NULL;
	enum err e = open_directory(s, o, why);
	if (e == OK)
		e = db_open(s, why);
	if (e == OK)
		e = prepare(s);
	if (e != OK) {
		if (why->n == 0)
			buf_addf(why, "spool %s: %s", s->path, err_text(e));
		destroy(&s);
		return e;
	}
	if (!s->read_only)
		say_opened(s);
	*out = s;
	return OK;
}

void
spool_close(struct spool **sp)
{
	struct spool *s = *sp;
	if (s == NULL)
		return;
	if (!s->read_only)
		writer_stop(s);
	destroy(sp);
}

/* ---- queries */

struct spool_query {
	struct pool_job job;
	struct spool *spool;
	void (*run)(struct spool_reader *, void *arg);
	void (*done)(void *arg);
	void (*drop)(void *arg);
	void *arg;
	bool cancelled; /* the loop's */
};

static struct spool_reader *
borrow_reader(struct spool *s)
{
	struct spool_reader *r = NULL;
	(void)pthread_mutex_lock(&s->mutex);
	if (s->readers > 0)
		r = s->reader[--s->readers];
	(void)pthread_mutex_unlock(&s->mutex);
	return r ? r : spool_reader_new(s);
}

static void
return_reader(struct spool *s, struct spool_reader *r)
{
	(void)pthread_mutex_lock(&s->mutex);
	if (s->readers < READERS_KEPT) {
		s->reader[s->readers++] = r;
		r = NULL;
	}
	(void)pthread_mutex_unlock(&s->mutex);
	spool_reader_free(&r);
}

static void
query_run(struct pool_job *job)
{
	struct spool_query *q = CONTAINER_OF(job, struct spool_query, job);
	struct spool_reader *r = borrow_reader(q->spool);
	q->run(r, q->arg);
	return_reader(q->spool, r);
}

static void
query_done(struct pool_job *job)
{
	struct spool_query *q = CONTAINER_OF(job, struct spool_query, job);
	void (*fn)(void *) = q->cancelled ? q->drop : q->done;
	void *arg = q->arg;
	mem_free(&q);
	if (fn != NULL)
		fn(arg);
}

struct spool_query *
spool_query_start(struct spool *s, void (*run)(struct spool_reader *, void *arg),
    void (*done)(void *arg), void (*drop)(void *arg), void *arg, struct inbox *reply)
{
	struct spool_query *q = NEW(struct spool_query);
	q->spool = s;
	q->run = run;
	q->done = done;
	q->drop = drop;
	q->arg = arg;
	q->job.run = query_run;
	q->job.done = query_done;
	pool_start(s->pool, &q->job, reply);
	return q;
}

void
spool_cancel_query(struct spool_query **qp)
{
	if (*qp != NULL)
		(*qp)->cancelled = true;
	*qp = NULL;
}
