/* SPDX-License-Identifier: ISC */
/*
 * log - lines gathered in memory, written in batches.
 *
 * A line is built in place behind those that wait (or in the same buffer for
 * the hook), under `lock`; so lines stand in the order of their times.
 * Writing has a lock of its own, held while the descriptor may block: other
 * threads go on adding lines meanwhile, and batches leave in order.
 *
 * A value over VALUE_MAX bytes is cut and ends in "..."; a field that does not
 * fit into LINE_MAX any more is left out, and the line ends with cut=1 (JSON:
 * "cut":true).  When the descriptor refuses, the batch is lost: nobody is left
 * to tell.
 */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/tap.h"

#define LINE_MAX_BYTES 8192
#define CUT_ROOM 16    /* for the mark, bracket and newline of a line that was cut */
#define VALUE_MAX 1024 /* escaped six times as long it still fits */
#define PENDING_MAX (64u << 10) /* then the batch is written whoever adds to it */
#define WRITE_PATIENCE_MS 1000

struct log {
	struct world *world; /* borrowed */
	int fd;
	atomic_int level;

	pthread_mutex_t lock; /* the fields below */
	enum log_format format;
	bool journal;
	struct buf pending;
	char room[VALUE_MAX]; /* for a value that is cut */
	void (*hook)(void *arg, enum log_level level, struct span line);
	void *hook_arg;

	struct tap_board *taps;

	pthread_mutex_t writing; /* taken before lock */
	struct buf batch;
};

static const struct {
	const char *name;
	enum log_level level;
} events[EV_COUNT] = {
#define EVENT(id, name, level, about) [EV_##id] = {name, level},
#include "base/log_events.def"
#undef EVENT
};

static const char *const level_names[] = {[LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug"};

const char *
log_event_name(enum log_event ev)
{
	CHECK((unsigned)ev < EV_COUNT);
	return events[ev].name;
}

enum log_level
log_event_level(enum log_event ev)
{
	CHECK((unsigned)ev < EV_COUNT);
	return events[ev].level;
}

struct log *
log_new(struct world *world, int fd)
{
	struct log *l = NEW(struct log);
	l->world = world;
	l->fd = fd;
	l->taps = tap_board_new();
	atomic_init(&l->level, LOG_INFO);
	CHECK(pthread_mutex_init(&l->lock, NULL) == 0);
	CHECK(pthread_mutex_init(&l->writing, NULL) == 0);
	return l;
}

void
log_free(struct log **lp)
{
	struct log *l = *lp;
	if (l == NULL)
		return;
	log_flush(l);
	tap_board_free(&l->taps);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->writing);
	buf_clear(&l->pending);
	buf_clear(&l->batch);
	mem_free(lp);
}

struct tap_board *
log_taps(struct log *l)
{
	return l->taps;
}

void
log_hook(struct log *l, void (*hook)(void *arg, enum log_level level, struct span line),
    void *arg)
{
	pthread_mutex_lock(&l->lock);
	l->hook = hook;
	l->hook_arg = arg;
	pthread_mutex_unlock(&l->lock);
}

void
log_set(struct log *l, enum log_level level, enum log_format format)
{
	pthread_mutex_lock(&l->lock);
	atomic_store_explicit(&l->level, (int)level, memory_order_relaxed);
	l->format = format;
	pthread_mutex_unlock(&l->lock);
}

void
log_journal(struct log *l)
{
	pthread_mutex_lock(&l->lock);
	l->journal = true;
	pthread_mutex_unlock(&l->lock);
}

bool
log_wants(const struct log *l, enum log_event ev)
{
	return (int)log_event_level(ev) <=
	       atomic_load_explicit(&l->level, memory_order_relaxed);
}

/* ---- one line */

struct line {
	struct buf *out;
	size_t from; /* where the line begins in out */
	struct json json;
	bool as_json;
	char *room; /* borrowed */
};

/* The value, or its beginning and "..." in room (VALUE_MAX bytes). */
static struct span
short_value(struct span value, char *room)
{
	if (value.n <= VALUE_MAX)
		return value;
	size_t n = VALUE_MAX - 3;
	for (int i = 0; i < 3 && ((unsigned char)value.p[n] & 0xc0) == 0x80; i++)
		n--; /* not through a UTF-8 character */
	memcpy(room, value.p, n);
	memcpy(room + n, "...", 3);
	return (struct span){room, n + 3};
}

static bool
is_plain(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '=')
			return false;
	}
	return true;
}

static void
add_text_field(struct buf *out, const struct log_field *f, struct span value)
{
	buf_addf(out, " %s=", f->name);
	if (f->kind == FIELD_INT) {
		buf_addf(out, "%" PRId64, f->num);
		return;
	}
	bool addr = f->kind == FIELD_ADDR;
	bool plain = is_plain(value) && (addr || value.n > 0);
	buf_add_str(out, plain ? "" : "\"");
	buf_add_str(out, addr ? "<" : "");
	buf_add_escaped(out, value);
	buf_add_str(out, addr ? ">" : "");
	buf_add_str(out, plain ? "" : "\"");
}

static void
add_field(struct line *line, const struct log_field *f)
{
	struct span value = short_value(f->str, line->room);
	if (!line->as_json)
		add_text_field(line->out, f, value);
	else if (f->kind == FIELD_INT)
		json_int(&line->json, f->name, f->num);
	else
		json_str(&line->json, f->name, value);
}

static void
begin_line(struct line *line, struct wall now, enum log_event ev)
{
	const char *level = level_names[log_event_level(ev)];
	if (!line->as_json) {
		wall_add_iso(line->out, now);
		buf_addf(line->out, " %s %s", level, log_event_name(ev));
		return;
	}
	struct buf time = {0};
	wall_add_iso(&time, now);
	json_open(&line->json, '{');
	json_str(&line->json, "time", buf_span(&time));
	json_cstr(&line->json, "level", level);
	json_cstr(&line->json, "event", log_event_name(ev));
	buf_clear(&time);
}

static void
end_line(struct line *line, bool cut)
{
	if (line->as_json) {
		if (cut)
			json_bool(&line->json, "cut", true);
		json_close(&line->json, '}');
	} else if (cut) {
		buf_add_str(line->out, " cut=1");
	}
}

/* Append a line, without its newline, to out; where it begins. */
static size_t
add_line(struct log *l, enum log_event ev, const struct log_field *field, size_t n)
{
	struct line line = {.out = &l->pending,
	    .from = l->pending.n,
	    .json = {.out = &l->pending},
	    .as_json = l->format == LOG_JSON,
	    .room = l->room};
	static const char mark[] = {[LOG_ERROR] = '3',
	    [LOG_WARN] = '4',
	    [LOG_INFO] = '6',
	    [LOG_DEBUG] = '7'}; /* as syslog(3) numbers them */
	bool cut = false;
	if (l->journal)
		buf_addf(line.out, "<%c>", mark[log_event_level(ev)]);
	begin_line(&line, world_wall(l->world), ev);
	for (size_t i = 0; i < n; i++) {
		size_t before = line.out->n;
		add_field(&line, &field[i]);
		if (line.out->n - line.from > LINE_MAX_BYTES - CUT_ROOM) {
			line.out->n = before;
			cut = true;
		}
	}
	end_line(&line, cut);
	return line.from;
}

/* True if the lines that wait should be written now. */
static bool
add_locked(struct log *l, enum log_event ev, const struct log_field *field, size_t n)
{
	size_t from = add_line(l, ev, field, n);
	enum log_level level = log_event_level(ev);
	if (l->hook != NULL) {
		l->hook(
		    l->hook_arg, level, span_cut(buf_span(&l->pending), from, SIZE_MAX));
		l->pending.n = from;
		return false;
	}
	buf_add_char(&l->pending, '\n');
	return level <= LOG_WARN || l->pending.n >= PENDING_MAX;
}

void
log_write(struct log *l, enum log_event ev, const struct log_field *field, size_t n)
{
	if (!log_wants(l, ev))
		return;
	pthread_mutex_lock(&l->lock);
	bool now = add_locked(l, ev, field, n);
	pthread_mutex_unlock(&l->lock);
	if (now)
		log_flush(l);
}

/* ---- writing */

static void
write_all(int fd, struct span s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);
		if (n > 0) {
			s = span_cut(s, (size_t)n, s.n);
			continue;
		}
		struct pollfd poller = {.fd = fd, .events = POLLOUT};
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && poll(&poller, 1, WRITE_PATIENCE_MS) > 0)
			continue;
		return;
	}
}

void
log_flush(struct log *l)
{
	pthread_mutex_lock(&l->writing);
	pthread_mutex_lock(&l->lock);
	struct buf full = l->pending;
	l->pending = l->batch; /* empty, its memory is used again */
	pthread_mutex_unlock(&l->lock);
	l->batch = full;
	write_all(l->fd, buf_span(&l->batch));
	buf_reset(&l->batch);
	pthread_mutex_unlock(&l->writing);
}
