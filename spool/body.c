/* SPDX-License-Identifier: ISC */
/*
 * body - a message's content while it arrives.  It gathers in memory; over the
 * limit it becomes a file under big/, written piece by piece in the pool while
 * the next piece arrives, and flushed before anything may name it.
 *
 *	memory --over the limit--> file --finish--> flushed --> given
 *	   \--finish--> given
 *
 * The owner may let go at any time.  Whether the file may stay is decided by
 * its users (files.c): the body, its job, and the request that stores it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/mem.h"
#include "spool/private.h"

#define PIECE_BYTES (256u << 10) /* written in one go */
#define BUSY_BYTES (512u << 10)  /* waiting for the disk: stop reading */
#define TIGHT_BYTES (64u << 10)  /* a piece while the budget is spent; busy with two */
#define SLICES_AT_ONCE 128

/* What the pool works with; it may outlive the body. */
struct file_job {
	struct pool_job job;
	struct spool_body *body; /* NULL: the owner has gone */
	struct commons *commons;
	struct file_use *use;
	struct inbox *reply;
	int fd;                /* -1 before the first job, and when it was given away */
	uint64_t made;         /* which of its directory's files it is */
	struct content *piece; /* to write now */
	bool sync;
	enum err err;
};

struct spool_body {
	struct spool *spool;
	struct loop *loop;
	struct content_budget *budget;
	void (*on_room)(void *arg);
	void (*done)(void *arg, enum err e, const struct spool_body_result *r);
	void *arg, *done_arg;
	struct content *memory; /* what is not yet on its way to the file */
	uint64_t size;
	struct file_job *job; /* not NULL: it is a file */
	bool writing, busy, finishing;
	enum err err;
	struct later later;
};

/* ---- in the pool */

static enum err
sync_directory(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_from_errno(errno);
	enum err e = fsync(fd) == 0 ? OK : err_from_errno(errno);
	(void)close(fd);
	return e;
}

/* The sub-directory exists and is itself on disk: looked after once per process. */
static enum err
need_directory(struct commons *c, uint8_t number, const char *name)
{
	if (atomic_load_explicit(&c->synced[number], memory_order_acquire))
		return OK;
	if (mkdirat(c->big, name, 0700) != 0 && errno != EEXIST)
		return err_from_errno(errno);
	enum err e = sync_directory(c->big, ".");
	if (e == OK)
		atomic_store_explicit(&c->synced[number], 1, memory_order_release);
	return e;
}

static enum err
create(struct file_job *j)
{
	uint64_t number = file_use_number(j->use);
	char name[FILE_NAME], dir[3] = {0};
	file_name(number, name);
	dir[0] = name[0];
	dir[1] = name[1];
	if (FAULT("spool.file.create"))
		return ERR_DISK_FULL;
	enum err e = need_directory(j->commons, (uint8_t)(number >> 56), dir);
	if (e != OK)
		return e;
	j->fd = openat(j->commons->big, name,
	    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->fd < 0)
		return err_from_errno(errno);
	struct sub_directory *d = &j->commons->sub[number >> 56];
	(void)pthread_mutex_lock(&j->commons->mutex);
	j->made = ++d->made;
	(void)pthread_mutex_unlock(&j->commons->mutex);
	return OK;
}

/* The file's name is on disk. Whoever flushes the directory does it for all that were
 * made there before. */
static enum err
sync_name(struct file_job *j)
{
	struct commons *c = j->commons;
	uint64_t number = file_use_number(j->use);
	struct sub_directory *d = &c->sub[number >> 56];
	char name[FILE_NAME];
	file_name(number, name);
	name[2] = '\0';
	(void)pthread_mutex_lock(&c->mutex);
	uint64_t upto = d->flushed < j->made ? d->made : 0;
	(void)pthread_mutex_unlock(&c->mutex);
	if (FAULT("spool.file.dir"))
		return ERR_IO;
	enum err e = upto > 0 ? sync_directory(c->big, name) : OK;
	(void)pthread_mutex_lock(&c->mutex);
	if (e == OK && d->flushed < upto)
		d->flushed = upto;
	(void)pthread_mutex_unlock(&c->mutex);
	return e;
}

/* All of these octets; v is used up. */
static enum err
write_all(int fd, struct iovec *v, size_t n)
{
	while (n > 0) {
		ssize_t got = writev(fd, v, (int)n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_from_errno(errno);
		for (; n > 0 && (size_t)got >= v->iov_len; v++, n--)
			got -= (ssize_t)v->iov_len;
		if (n > 0) {
			v->iov_base = (char *)v->iov_base + got;
			v->iov_len -= (size_t)got;
		}
	}
	return OK;
}

static enum err
write_content(int fd, const struct content *c)
{
	struct iovec v[SLICES_AT_ONCE];
	enum err e = OK;
	for (size_t i = 0; i < content_slices(c) && e == OK;) {
		size_t n = 0;
		for (; n < SLICES_AT_ONCE && i < content_slices(c); i++) {
			struct span s = content_slice(c, i);
			v[n++] = (struct iovec){(void *)(uintptr_t)s.p, s.n};
		}
		e = FAULT("spool.file.write") ? ERR_DISK_FULL : write_all(fd, v, n);
	}
	return e;
}

static void
run(struct pool_job *p)
{
	struct file_job *j = CONTAINER_OF(p, struct file_job, job);
	if (j->fd < 0)
		j->err = create(j);
	if (j->err == OK)
		j->err = write_content(j->fd, j->piece);
	if (j->err != OK || !j->sync)
		return;
	if (FAULT("spool.file.sync"))
		j->err = ERR_IO;
	else if (fdatasync(j->fd) != 0)
		j->err = err_from_errno(errno);
	if (j->err == OK)
		j->err = sync_name(j);
	(void)FAULT("spool.file.synced");
}

/* ---- on the loop */

static void
job_free(struct file_job **jp)
{
	struct file_job *j = *jp;
	if (j->fd >= 0)
		(void)close(j->fd);
	content_unref(&j->piece);
	file_use_release(&j->use, j->reply);
	commons_unref(&j->commons);
	mem_free(jp);
}

static void
empty_memory(struct spool_body *b)
{
	content_unref(&b->memory);
	b->memory = content_new(b->budget);
}

/* All contents together hold more than they may. */
static bool
is_tight(const struct spool_body *b)
{
	return b->budget != NULL && content_budget_over(b->budget);
}

static bool
has_piece(const struct spool_body *b)
{
	return content_size(b->memory) >= (is_tight(b) ? TIGHT_BYTES : PIECE_BYTES);
}

static void write_piece(struct spool_body *b);

static void
on_written(struct pool_job *p)
{
	struct file_job *j = CONTAINER_OF(p, struct file_job, job);
	struct spool_body *b = j->body;
	content_unref(&j->piece);
	if (b == NULL) {
		job_free(&j);
		return;
	}
	b->writing = false;
	b->err = j->err;
	if (b->err != OK)
		empty_memory(b); /* nothing more is kept for a file that failed */
	if (b->finishing && (j->sync || b->err != OK))
		later_set(&b->later);
	else if (b->finishing || has_piece(b))
		write_piece(b);
	if (b->busy && content_size(b->memory) < BUSY_BYTES) {
		b->busy = false;
		b->on_room(b->arg); /* last: the owner may do anything now */
	}
}

static void
write_piece(struct spool_body *b)
{
	struct file_job *j = b->job;
	if (b->writing || b->err != OK)
		return;
	content_seal(b->memory);
	j->piece = b->memory;
	b->memory = content_new_behind(b->budget, content_crc(j->piece));
	j->sync = b->finishing;
	b->writing = true;
	pool_start(b->spool->pool, &j->job, j->reply);
}

static void
become_file(struct spool_body *b)
{
	struct file_job *j = NEW(struct file_job);
	j->job.run = run;
	j->job.done = on_written;
	j->body = b;
	j->commons = commons_ref(b->spool->commons);
	j->use = file_use_new(j->commons);
	j->reply = loop_inbox(b->loop);
	j->fd = -1;
	b->job = j;
	write_piece(b);
}

static void
give(void *arg)
{
	struct spool_body *b = arg;
	struct spool_body_result r = {.crc = content_crc(b->memory)};
	if (b->err == OK && b->job != NULL) {
		r.content = content_from_file(b->job->fd, b->size);
		r.file = file_use_number(b->job->use);
		b->job->fd = -1;
	} else if (b->err == OK) {
		r.content = b->memory;
		b->memory = content_new(b->budget);
	}
	b->done(b->done_arg, b->err, b->err == OK ? &r : NULL);
}

/* ---- the interface */

struct spool_body *
spool_body_new(struct spool *s, struct loop *l, struct content_budget *budget,
    void (*on_room)(void *arg), void *arg)
{
	struct spool_body *b = NEW(struct spool_body);
	b->spool = s;
	b->loop = l;
	b->budget = budget;
	b->on_room = on_room;
	b->arg = arg;
	b->memory = content_new(budget);
	later_init(&b->later, l, give, b);
	return b;
}

static bool
too_large_for_memory(const struct spool_body *b)
{
	return b->size > b->spool->inline_max ||
	       (is_tight(b) && b->size > 4 * CONTENT_SLICE);
}

void
spool_body_add(struct spool_body *b, struct span bytes)
{
	CHECK(!b->finishing);
	b->size += bytes.n;
	if (b->err != OK)
		return; /* told at the end */
	content_append(b->memory, bytes.p, bytes.n);
	if (b->job == NULL && too_large_for_memory(b))
		become_file(b);
	else if (b->job != NULL && has_piece(b))
		write_piece(b);
	size_t most = is_tight(b) ? 2 * TIGHT_BYTES : BUSY_BYTES;
	if (b->job != NULL && content_size(b->memory) >= most)
		b->busy = true; /* a piece is being written: on_written() ends it */
}

bool
spool_body_busy(const struct spool_body *b)
{
	return b->busy;
}

uint64_t
spool_body_size(const struct spool_body *b)
{
	return b->size;
}

void
spool_body_finish(struct spool_body *b,
    void (*done)(void *arg, enum err e, const struct spool_body_result *r), void *arg)
{
	CHECK(!b->finishing);
	b->finishing = true;
	b->done = done;
	b->done_arg = arg;
	if (b->job != NULL && b->err == OK) {
		write_piece(b);
		return;
	}
	if (b->job == NULL)
		content_seal(b->memory);
	later_set(&b->later);
}

void
spool_body_free(struct spool_body **bp)
{
	struct spool_body *b = *bp;
	if (b == NULL)
		return;
	later_clear(&b->later);
	content_unref(&b->memory);
	if (b->job != NULL && b->writing)
		b->job->body = NULL; /* on_written cleans up */
	else if (b->job != NULL)
		job_free(&b->job);
	mem_free(bp);
}
