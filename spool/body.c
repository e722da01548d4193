/* SPDX-License-Identifier: ISC */
/*
 * body - a message's content while it arrives.  It gathers in memory; over the
 * limit it becomes a file under big/, written piece by piece in the pool while
 * the next piece arrives.  The file's number is known to the spool (files) from
 * its creation until a message holds it or it is removed again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/fault.h"
#include "base/mem.h"
#include "spool/private.h"

#define BUSY_BYTES (256u << 10) /* waiting for the disk: stop reading */

struct file_job {
	struct pool_job job;
	struct spool_body *body;   /* NULL: the owner has gone; clean up */
	struct spool *spool;
	int fd;                    /* -1 before the first job */
	uint64_t number;
	struct content *piece;     /* to write now; NULL: nothing */
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
	struct content *memory;    /* what is not yet on its way to the file */
	uint64_t size;
	uint32_t crc;              /* of all bytes */
	struct file_use *file;     /* not NULL: it is a file */
	struct file_job *job;      /* the file's */
	bool writing, busy, finishing;
	enum err err;
	struct later later;
};

void
file_name(uint64_t number, char out[24])
{
	(void)snprintf(out, 24, "%02llx/%016llx", (unsigned long long)(number >> 56),
	    (unsigned long long)number);
}

static void
unlink_file(struct spool *s, uint64_t number)
{
	char name[24];
	file_name(number, name);
	(void)unlinkat(s->big, name, 0);
}

static struct file_use *
find_use(struct spool *s, uint64_t number)
{
	LIST_EACH (&s->files, k) {
		struct file_use *use = CONTAINER_OF(k, struct file_use, link);
		if (use->number == number)
			return use;
	}
	return NULL;
}

bool
files_take(struct spool *s, uint64_t number)
{
	(void)pthread_mutex_lock(&s->mutex);
	struct file_use *use = find_use(s, number);
	if (use != NULL)
		use->state = USE_TAKEN;
	(void)pthread_mutex_unlock(&s->mutex);
	return use != NULL;
}

void
files_settle(struct spool *s, uint64_t number, bool held)
{
	bool remove = false;
	(void)pthread_mutex_lock(&s->mutex);
	struct file_use *use = find_use(s, number);
	if (use != NULL) {
		use->state = held ? USE_HELD : USE_FREE;
		remove = use->owner_gone && !held;
		if (use->owner_gone) {
			list_remove(&use->link);
			mem_free(&use);
		}
	}
	(void)pthread_mutex_unlock(&s->mutex);
	if (remove)
		unlink_file(s, number);
}

/* The body goes: the file stays only if a message holds it, or may in a moment. */
static void
let_go(struct spool *s, struct file_use **usep)
{
	struct file_use *use = *usep;
	*usep = NULL;
	if (use == NULL)
		return;
	(void)pthread_mutex_lock(&s->mutex);
	bool remove = use->state == USE_FREE;
	uint64_t number = use->number;
	if (use->state == USE_TAKEN) {
		use->owner_gone = true;
	} else {
		list_remove(&use->link);
		mem_free(&use);
	}
	(void)pthread_mutex_unlock(&s->mutex);
	if (remove)
		unlink_file(s, number);
}

/* ---- in the pool */

static enum err
sync_directory(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_from_errno(errno);
	enum err e = fsync(fd) == 0 ? OK : err_from_errno(errno);
	(void)close(fd);
	return e;
}

static enum err
create(struct file_job *j)
{
	char name[24], dir[3];
	file_name(j->number, name);
	memcpy(dir, name, 2);
	dir[2] = '\0';
	if (FAULT("spool.file.create"))
		return ERR_DISK_FULL;
	bool made = mkdirat(j->spool->big, dir, 0700) == 0;
	if (!made && errno != EEXIST)
		return err_from_errno(errno);
	j->fd = openat(j->spool->big, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->fd < 0)
		return err_from_errno(errno);
	enum err e = made ? sync_directory(j->spool->big, ".") : OK;
	return e == OK ? sync_directory(j->spool->big, dir) : e;
}

static enum err
write_all(int fd, struct span s)
{
	while (s.n > 0) {
		if (FAULT("spool.file.write"))
			return ERR_DISK_FULL;
		ssize_t n = write(fd, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_from_errno(errno);
		s = span_cut(s, (size_t)n, s.n);
	}
	return OK;
}

static void
run(struct pool_job *p)
{
	struct file_job *j = CONTAINER_OF(p, struct file_job, job);
	if (j->fd < 0)
		j->err = create(j);
	size_t n = j->piece ? content_slices(j->piece) : 0;
	for (size_t i = 0; i < n && j->err == OK; i++)
		j->err = write_all(j->fd, content_slice(j->piece, i));
	if (j->sync && j->err == OK && (FAULT("spool.file.sync") || fdatasync(j->fd) != 0))
		j->err = errno ? err_from_errno(errno) : ERR_IO;
}

/* ---- on the loop */

/* A job whose body has gone: nothing of it stays. */
static void
abandon(struct file_job *j)
{
	if (j->fd >= 0)
		(void)close(j->fd);
	unlink_file(j->spool, j->number);
	mem_free(&j);
}

static void write_piece(struct spool_body *b);
static void give_result(struct spool_body *b);

static void
on_written(struct pool_job *p)
{
	struct file_job *j = CONTAINER_OF(p, struct file_job, job);
	struct spool_body *b = j->body;
	content_unref(&j->piece);
	if (b == NULL) {
		abandon(j);
		return;
	}
	b->writing = false;
	b->err = j->err;
	if (b->err != OK) {
		content_unref(&b->memory); /* nothing more is kept for a file that failed */
		b->memory = content_new(b->budget);
	}
	if (b->finishing && (j->sync || b->err != OK))
		give_result(b);
	else if (b->finishing || content_size(b->memory) >= BUSY_BYTES / 2)
		write_piece(b);
	if (b->busy && content_size(b->memory) < BUSY_BYTES) {
		b->busy = false;
		b->on_room(b->arg);
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
	b->memory = content_new(b->budget);
	j->sync = b->finishing;
	j->job.run = run;
	j->job.done = on_written;
	b->writing = true;
	pool_start(b->spool->pool, &j->job, loop_inbox(b->loop));
}

static void
become_file(struct spool_body *b)
{
	struct spool *s = b->spool;
	struct file_job *j = NEW(struct file_job);
	j->body = b;
	j->spool = s;
	j->fd = -1;
	do
		j->number = world_random_u64(s->world);
	while (j->number == 0);
	b->job = j;
	b->file = NEW(struct file_use);
	b->file->number = j->number;
	(void)pthread_mutex_lock(&s->mutex);
	list_push(&s->files, &b->file->link);
	(void)pthread_mutex_unlock(&s->mutex);
	write_piece(b);
}

static void
on_give(void *arg)
{
	struct spool_body *b = arg;
	struct spool_body_result r = {.crc = b->crc};
	if (b->err == OK && b->job != NULL) {
		r.content = content_from_file(b->job->fd, b->size);
		r.file = b->job->number;
		b->job->fd = -1;
	} else if (b->err == OK) {
		r.content = b->memory;
		b->memory = NULL;
	}
	b->done(b->done_arg, b->err, b->err == OK ? &r : NULL);
}

static void
give_result(struct spool_body *b)
{
	later_set(&b->later);
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
	later_init(&b->later, l, on_give, b);
	return b;
}

void
spool_body_add(struct spool_body *b, struct span bytes)
{
	CHECK(!b->finishing);
	b->size += bytes.n;
	if (b->err != OK)
		return; /* told at the end */
	content_append(b->memory, bytes.p, bytes.n);
	b->crc = b->job == NULL ? content_crc(b->memory) : crc32c(b->crc, bytes.p, bytes.n);
	bool over = b->size > b->spool->inline_max ||
	    (b->budget != NULL && content_budget_over(b->budget) && b->size > 4 * CONTENT_SLICE);
	if (b->job == NULL && over)
		become_file(b);
	else if (b->job != NULL && content_size(b->memory) >= BUSY_BYTES / 2)
		write_piece(b);
	if (b->job != NULL && content_size(b->memory) >= BUSY_BYTES)
		b->busy = true;
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
	b->finishing = true;
	b->done = done;
	b->done_arg = arg;
	if (b->job == NULL) {
		content_seal(b->memory);
		give_result(b);
	} else if (b->err != OK) {
		give_result(b);
	} else {
		write_piece(b);
	}
}

void
spool_body_free(struct spool_body **bp)
{
	struct spool_body *b = *bp;
	if (b == NULL)
		return;
	later_clear(&b->later);
	content_unref(&b->memory);
	if (b->job != NULL && b->writing) {
		b->job->body = NULL; /* on_written ends it */
	} else if (b->job != NULL) {
		if (b->job->fd >= 0)
			(void)close(b->job->fd);
		mem_free(&b->job);
	}
	let_go(b->spool, &b->file);
	mem_free(bp);
}

/* ---- files of messages that are gone */

struct unlink_job {
	struct pool_job job;
	struct spool *spool;
	size_t n;
	uint64_t number[];
};

static void
unlink_run(struct pool_job *p)
{
	struct unlink_job *u = CONTAINER_OF(p, struct unlink_job, job);
	for (size_t i = 0; i < u->n; i++)
		unlink_file(u->spool, u->number[i]);
}

static void
unlink_done(struct pool_job *p)
{
	struct unlink_job *u = CONTAINER_OF(p, struct unlink_job, job);
	mem_free(&u);
}

void
files_unlink(struct spool *s, const uint64_t *number, size_t n)
{
	struct unlink_job *u = mem_alloc(sizeof(*u) + n * sizeof(*number));
	u->spool = s;
	u->n = n;
	memcpy(u->number, number, n * sizeof(*number));
	u->job.run = unlink_run;
	u->job.done = unlink_done;
	if (s->accepted_inbox != NULL && s->loop == NULL) {
		pool_start(s->pool, &u->job, s->accepted_inbox);
	} else {
		unlink_run(&u->job);
		mem_free(&u);
	}
}
