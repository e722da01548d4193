/* SPDX-License-Identifier: ISC */
/*
 * history_write - the writer's half of history (spool/history.h).
 *
 *	apply       an event each is put into batch.history
 *	commit      what it tells of is true now
 *	append      one write() to the file of the day
 *
 * What cannot be written is left out and said once: history never holds mail up.
 * A write that was cut short is taken back, so that the file ends with an event.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/scan.h"
#include "spool/private.h"

#define BATCH_HISTORY_MAX (8u << 20)

struct history {
	int dir;
	unsigned days;
	uint64_t max; /* octets of all files; 0: no bound */
	/* the file of the day */
	int fd;
	char day[HISTORY_DAY];
	uint64_t size;
	uint64_t total; /* of all files */
	bool silent;    /* something was said already, today */
};

/* ---- names */

void
history_day(struct wall t, char out[HISTORY_DAY])
{
	struct buf b;
	buf_init(&b, 64);
	wall_add_iso(&b, t);
	span_copy(span_cut(buf_span(&b), 0, HISTORY_DAY - 1), out, HISTORY_DAY);
	buf_clear(&b);
}

bool
history_is_day(const char *name)
{
	for (size_t i = 0; i < HISTORY_DAY - 1; i++) {
		bool dash = i == 4 || i == 7;
		if (dash ? name[i] != '-' : !is_digit((unsigned char)name[i]))
			return false;
	}
	return name[HISTORY_DAY - 1] == '\0';
}

bool
history_next_day(int dir, const char *after, bool that_too, char out[HISTORY_DAY])
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	char first[HISTORY_DAY] = "";
	if (d == NULL) {
		if (fd >= 0)
			(void)close(fd);
		return false;
	}
	const struct dirent *entry;
	while ((entry = readdir(d)) != NULL) {
		const char *name = entry->d_name;
		if (!history_is_day(name))
			continue;
		int order = strcmp(name, after);
		bool behind = order > 0 || (that_too && order == 0);
		if (behind && (first[0] == '\0' || strcmp(name, first) < 0))
			memcpy(first, name, HISTORY_DAY);
	}
	(void)closedir(d);
	if (first[0] != '\0')
		memcpy(out, first, HISTORY_DAY);
	return first[0] != '\0';
}

/* ---- files */

static void
say(struct spool *s, const char *what, int errnum)
{
	struct history *h = s->history;
	if (h->silent)
		return;
	h->silent = true;
	LOG(s->log, EV_LIMIT, F_STR("what", what),
	    F_STR("why", errnum != 0 ? strerror(errnum) : "history max-size"),
	    F_STR("now", "mail goes on; history lacks what happens meanwhile"));
}

static uint64_t
size_of(int dir, const char *name)
{
	struct stat st;
	bool is =
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
	return is ? (uint64_t)st.st_size : 0;
}

static void
remove_day(struct history *h, const char *day)
{
	uint64_t n = size_of(h->dir, day);
	if (unlinkat(h->dir, day, 0) == 0)
		h->total -= n < h->total ? n : h->total;
}

/* Days that are old enough go; then the oldest ones, until `more` octets have room. */
static bool
make_room(struct history *h, struct wall now, uint64_t more)
{
	char day[HISTORY_DAY], oldest[HISTORY_DAY];
	history_day(wall_after(now, -(int64_t)(h->days - 1) * DAY_MS), oldest);
	for (day[0] = '\0'; history_next_day(h->dir, day, false, day);) {
		if (strcmp(day, h->day) == 0)
			continue;
		bool old = strcmp(day, oldest) < 0;
		bool large = h->max > 0 && h->total + more > h->max;
		if (old || (large && strcmp(day, h->day) < 0))
			remove_day(h, day);
	}
	return h->max == 0 || h->total + more <= h->max;
}

static void
close_day(struct history *h)
{
	if (h->fd >= 0)
		(void)close(h->fd);
	h->fd = -1;
}

/* The file of today; -1: it cannot be had. */
static int
open_day(struct spool *s, struct wall now)
{
	struct history *h = s->history;
	char today[HISTORY_DAY];
	history_day(now, today);
	if (h->fd >= 0 && strcmp(today, h->day) == 0)
		return h->fd;
	close_day(h);
	h->silent = h->silent && strcmp(today, h->day) == 0;
	memcpy(h->day, today, HISTORY_DAY);
	(void)make_room(h, now, 0);
	h->fd = FAULT("spool.history.open")
		    ? -1
		    : openat(h->dir, today,
			  O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (h->fd < 0)
		say(s, "a file of the history cannot be opened", errno);
	h->size = size_of(h->dir, today);
	return h->fd;
}

static void
append(struct spool *s, struct span bytes)
{
	struct history *h = s->history;
	ssize_t n = FAULT("spool.history.write") ? -1 : write(h->fd, bytes.p, bytes.n);
	if (n == (ssize_t)bytes.n) {
		h->size += bytes.n;
		h->total += bytes.n;
		return;
	}
	say(s, "history cannot be written", n < 0 ? errno : ENOSPC);
	if (n > 0 && ftruncate(h->fd, (off_t)h->size) != 0)
		close_day(h);
}

void
history_write(struct batch *b)
{
	struct spool *s = b->spool;
	struct history *h = s->history;
	if (h == NULL || b->history.n == 0)
		return;
	struct wall now = world_wall(s->world);
	struct span bytes = buf_span(&b->history);
	if (open_day(s, now) < 0)
		return;
	bool fits =
	    h->max == 0 || h->total + bytes.n <= h->max || make_room(h, now, bytes.n);
	if (fits)
		append(s, bytes);
	else
		say(s, "history is full", 0);
}

void
history_look(struct spool *s)
{
	struct history *h = s->history;
	char today[HISTORY_DAY];
	if (h == NULL || h->fd < 0)
		return;
	history_day(world_wall(s->world), today);
	if (strcmp(today, h->day) == 0)
		return;
	/* A day without mail still ends the oldest one. */
	close_day(h);
	(void)make_room(h, world_wall(s->world), 0);
}

/* ---- events */

static void
put(struct batch *b, const struct history_event *e)
{
	buf_reset(&b->record);
	record_put_history(&b->record, e);
	if (b->history.max == 0)
		buf_init(&b->history, BATCH_HISTORY_MAX);
	unsigned char head[HISTORY_HEAD];
	memcpy(head, HISTORY_MAGIC, 4);
	key_put(head + 4, b->record.n, 4);
	if (b->history.n + HISTORY_HEAD + b->record.n > BATCH_HISTORY_MAX)
		return;
	buf_add(&b->history, head, HISTORY_HEAD);
	buf_add_span(&b->history, buf_span(&b->record));
}

void
history_accepted(struct batch *b, const struct message *m, uint64_t about)
{
	struct history_event e = {.kind = HISTORY_ACCEPTED,
	    .when = world_wall(b->spool->world),
	    .id = m->id,
	    .about = about,
	    .size = m->size,
	    .sender = m->sender,
	    .client = m->client,
	    .account = m->account,
	    .message_id = m->message_id};
	if (b->spool->history == NULL)
		return;
	size_t left = HISTORY_RCPT_MAX;
	for (size_t i = 0; i < m->drops && left > 0; i++, left--) {
		e.recipient = m->drop[i].recipient;
		e.owner = m->drop[i].owner;
		put(b, &e);
	}
	e.owner = (struct span){0};
	for (size_t i = 0; i < m->rcpts && left > 0; i++, left--) {
		e.recipient = m->rcpt[i].address;
		e.dest = m->rcpt[i].dest;
		put(b, &e);
	}
}

static enum history_kind
kind_of(const struct recipient *r, const struct outcome *o)
{
	switch (o->kind) {
	case OUTCOME_DELIVERED: return HISTORY_DELIVERED;
	case OUTCOME_FAILED: return HISTORY_FAILED;
	case OUTCOME_DELETED: return HISTORY_DELETED;
	case OUTCOME_HELD: return HISTORY_HELD;
	case OUTCOME_ASIDE: return HISTORY_ASIDE;
	case OUTCOME_MOVED: return HISTORY_MOVED;
	case OUTCOME_WAIT: break;
	}
	if (o->attempted)
		return HISTORY_DEFERRED;
	/* that its time was changed is nobody's question; that it was let go is */
	return r->state != RECIPIENT_WAITING ? HISTORY_RELEASED : HISTORY_KIND_END;
}

void
history_outcome(struct batch *b, const struct report *rep, const struct message *m,
    const struct recipient *r, const struct outcome *o)
{
	enum history_kind kind = kind_of(r, o);
	if (b->spool->history == NULL || kind == HISTORY_KIND_END)
		return;
	bool said = o->attempted || o->reply.n > 0;
	bool dated = kind == HISTORY_DEFERRED || kind == HISTORY_RELEASED;
	struct history_event e = {.kind = kind,
	    .when = rep->when,
	    .id = rep->id,
	    .attempts = r->attempts + o->attempted,
	    .due = dated ? o->due : (struct wall){0},
	    .sender = m->sender,
	    .recipient = r->address,
	    .dest = kind == HISTORY_MOVED ? o->dest : rep->dest,
	    .host = said ? o->host : r->host,
	    .reply = said ? o->reply : r->reply};
	for (size_t i = 0; i < o->drops; i++) {
		e.owner = o->drop[i].owner;
		put(b, &e);
	}
	if (o->drops == 0)
		put(b, &e);
}

/* ---- life */

static void
measure(struct history *h)
{
	char day[HISTORY_DAY] = "";
	while (history_next_day(h->dir, day, false, day))
		h->total += size_of(h->dir, day);
}

enum err
history_open(struct spool *s, unsigned days, uint64_t max)
{
	bool makes = !s->read_only && days > 0;
	if (makes && mkdirat(s->dir, "history", 0700) != 0 && errno != EEXIST)
		return err_from_errno(errno);
	s->history_dir =
	    openat(s->dir, "history", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (!makes)
		return OK;
	if (s->history_dir < 0)
		return err_from_errno(errno);
	struct history *h = s->history = NEW(struct history);
	h->dir = s->history_dir;
	h->fd = -1;
	h->days = days < HISTORY_DAYS_MAX ? days : HISTORY_DAYS_MAX;
	h->max = max;
	measure(h);
	(void)make_room(h, world_wall(s->world), 0);
	return OK;
}

void
history_close(struct spool *s)
{
	if (s->history != NULL) {
		close_day(s->history);
		mem_free(&s->history);
	}
	if (s->history_dir >= 0)
		(void)close(s->history_dir);
	s->history_dir = -1;
}
