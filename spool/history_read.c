/* SPDX-License-Identifier: ISC */
/*
 * history_read - events from the files of days, a slice at a time
 * (spool/history.h).  Nothing that is read is trusted: a stretch that is no
 * event is passed over until the next mark that begins one.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "spool/private.h"

#define CHUNK (256u << 10)

const char *
history_kind_name(enum history_kind k)
{
	static const char *const name[HISTORY_KIND_END] = {
	    [HISTORY_ACCEPTED] = "accepted",
	    [HISTORY_DELIVERED] = "delivered",
	    [HISTORY_DEFERRED] = "deferred",
	    [HISTORY_FAILED] = "failed",
	    [HISTORY_DELETED] = "deleted",
	    [HISTORY_HELD] = "held",
	    [HISTORY_RELEASED] = "released",
	    [HISTORY_MOVED] = "moved",
	    [HISTORY_ASIDE] = "aside",
	};
	return k < HISTORY_KIND_END && name[k] != NULL ? name[k] : "unknown";
}

/* Ids never go back, the clock may: a day of it is allowed for. */
struct wall
history_begin(uint64_t id)
{
	return wall_after(spool_id_time(id), -DAY_MS);
}

struct reading {
	struct history_cursor *at;
	bool (*on_event)(void *arg, const struct history_event *e);
	void *arg;
	bool stopped;
};

/* How far it is to the next mark behind the first octet; a mark may be cut off at the
 * end. */
static size_t
to_next_mark(struct span s)
{
	const char *p = memmem(s.p + 1, s.n - 1, HISTORY_MAGIC, 4);
	if (p != NULL)
		return (size_t)(p - s.p);
	return s.n > 4 ? s.n - 3 : s.n;
}

/* The first event of s, or a stretch that is none: how many octets it takes; 0: there is
 * more of it than s has. */
static size_t
one(struct reading *r, struct span s)
{
	struct history_event e;
	if (s.n < HISTORY_HEAD)
		return 0;
	if (memcmp(s.p, HISTORY_MAGIC, 4) != 0)
		return to_next_mark(s);
	uint64_t n = key_get((const unsigned char *)s.p + 4, 4);
	if (n > RECORD_HISTORY_MAX)
		return to_next_mark(s);
	if (s.n - HISTORY_HEAD < n)
		return 0;
	if (record_get_history(span_cut(s, HISTORY_HEAD, (size_t)n), &e) != OK)
		return to_next_mark(s);
	if (e.when.ms >= r->at->since.ms && !r->on_event(r->arg, &e))
		r->stopped = true;
	return HISTORY_HEAD + (size_t)n;
}

/* All events that s holds whole; what is left is read again with what follows. */
static size_t
events(struct reading *r, struct span s)
{
	size_t at = 0;
	while (at < s.n && !r->stopped) {
		size_t n = one(r, span_cut(s, at, s.n));
		if (n == 0)
			break;
		at += n;
	}
	return at;
}

/* One file from the cursor on; *ended: it has no more. */
static enum err
read_day(struct reading *r, int fd, size_t *octets, bool *ended)
{
	char *chunk = mem_alloc_raw(CHUNK);
	enum err e = OK;
	*ended = false;
	while (*octets > 0 && !r->stopped) {
		ssize_t n = pread(fd, chunk, CHUNK, (off_t)r->at->at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			e = err_from_errno(errno);
		size_t used = n > 0 ? events(r, (struct span){chunk, (size_t)n}) : 0;
		r->at->at += used;
		*octets -= used < *octets ? used : *octets;
		*ended = used == 0 && !r->stopped;
		if (*ended)
			break;
	}
	mem_free(&chunk);
	return e;
}

/* The cursor onto the next day that there is. */
static bool
next_day(const struct spool *s, struct history_cursor *at)
{
	char day[HISTORY_DAY];
	bool begins = at->day[0] == '\0';
	if (begins && at->since.ms > 0)
		history_day(at->since, at->day);
	if (!history_next_day(s->history_dir, at->day, begins, day))
		return false;
	memcpy(at->day, day, HISTORY_DAY);
	at->at = 0;
	return true;
}

static enum err
read_here(const struct spool *s, struct reading *r, size_t *octets)
{
	bool ended = true;
	enum err e = OK;
	int fd = openat(s->history_dir, r->at->day, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno != ENOENT)
		return err_from_errno(errno);
	if (fd >= 0) {
		e = read_day(r, fd, octets, &ended);
		(void)close(fd);
	}
	if (e == OK && ended)
		r->at->done = !next_day(s, r->at);
	return e;
}

enum err
history_read(const struct spool *s, struct history_cursor *at, size_t octets,
    bool (*on_event)(void *arg, const struct history_event *e), void *arg)
{
	struct reading r = {.at = at, .on_event = on_event, .arg = arg};
	if (s->history_dir < 0 || (at->day[0] == '\0' && !next_day(s, at)))
		at->done = true;
	enum err e = OK;
	while (e == OK && !at->done && !r.stopped && octets > 0)
		e = read_here(s, &r, &octets);
	return e;
}
