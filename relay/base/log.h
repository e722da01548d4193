/* SPDX-License-Identifier: ISC */
/*
 * log - one event, one line.
 *
 *	LOG(log, EV_DELIVERED, F_ID(id), F_STR("to", address), F_INT("delay_ms", ms));
 *
 * gives, as text (or the same members as one JSON object):
 *
 *	2026-11-23T11:39:00.123Z info delivered id=0ABC... to=<b@example.org> delay_ms=12
 *
 * The set of events is a table (log_events.def), documented there.  Every
 * value is escaped: nothing from outside reaches a terminal or a log collector
 * raw.  A value that is empty or has a blank, "=" or anything escaped is
 * quoted; one that is too long is cut and marked, and so is a line.  Lines are
 * gathered per log and written by log_flush(), which every loop calls at the
 * end of a turn; warnings and errors are written at once.  Any thread.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "base/world.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

enum log_event {
#define EVENT(id, name, level, about) EV_##id,
#include "base/log_events.def"
#undef EVENT
	EV_COUNT
};

enum log_kind { FIELD_STR, FIELD_INT, FIELD_ADDR };

struct log_field {
	const char *name;
	enum log_kind kind;
	struct span
	    str;     /* FIELD_STR; FIELD_ADDR: in text between < and >, in JSON bare */
	int64_t num; /* FIELD_INT */
};

#define F_SPAN(name, s) ((struct log_field){(name), FIELD_STR, (s), 0})
#define F_STR(name, s) ((struct log_field){(name), FIELD_STR, span_str(s), 0})
#define F_ADDR(name, s) ((struct log_field){(name), FIELD_ADDR, (s), 0})
#define F_INT(name, v) ((struct log_field){(name), FIELD_INT, {0}, (int64_t)(v)})

struct log;
struct tap_board;

/* fd: where lines go (STDERR_FILENO). hook, if not NULL, gets each finished line instead
 * (tests): without its newline, under the log's lock, so it must not log. */
struct log *log_new(struct world *world, int fd);
void log_free(struct log **l);
void log_hook(struct log *l,
    void (*hook)(void *arg, enum log_level level, struct span line), void *arg);
/* Lines go to a journal, which takes their level from a mark in front. */
void log_journal(struct log *l);
void log_set(struct log *l, enum log_level level, enum log_format format);

void log_write(struct log *l, enum log_event ev, const struct log_field *field, size_t n);
#define LOG(l, ev, ...)                                               \
	log_write((l), (ev), (const struct log_field[]){__VA_ARGS__}, \
	    sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

/* Where whoever watches connections is told of them (tap.h). */
struct tap_board *log_taps(struct log *l);

bool log_wants(const struct log *l, enum log_event ev); /* would a line be written? */
void log_flush(struct log *l);

const char *log_event_name(enum log_event ev);
enum log_level log_event_level(enum log_event ev);

#endif
