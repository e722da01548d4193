/* SPDX-License-Identifier: ISC */
/* search - which events of history are meant, and how they are told. */
#include "relay/control/search.h"

#include <fnmatch.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/units.h"

/* ---- the request */

static bool
read_date(const char *text, struct wall *out)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
	    "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"};
	for (size_t i = 0; i < COUNT_OF(forms); i++) {
		struct tm tm = {.tm_isdst = -1};
		const char *end = strptime(text, forms[i], &tm);
		if (end == NULL || (*end != '\0' && strcmp(end, "Z") != 0))
			continue;
		time_t t = *end == 'Z' ? timegm(&tm) : mktime(&tm);
		out->ms = (int64_t)t * SECOND_MS;
		return t > 0;
	}
	return false;
}

static bool
read_time(const json_t *request, const char *name, struct wall now, struct wall *out,
    struct buf *why)
{
	const json_t *given = json_object_get(request, name);
	const char *text = json_string_value(given);
	int64_t ago;
	if (given == NULL)
		return true;
	if (text != NULL && units_duration(span_str(text), &ago) == OK && ago >= 0) {
		*out = wall_after(now, -ago);
		return true;
	}
	if (text != NULL && read_date(text, out))
		return true;
	buf_addf(why,
	    "%s takes a duration (2h, 3d) or a time: 2026-11-29, \"2026-11-29 10:30\", "
	    "2026-11-29T10:30:00Z",
	    name);
	return false;
}

static bool
known_event(const char *name)
{
	for (unsigned k = HISTORY_ACCEPTED; k < HISTORY_KIND_END; k++)
		if (strcmp(history_kind_name((enum history_kind)k), name) == 0)
			return true;
	return false;
}

static bool
read_text(const json_t *request, const char *name, char **out, struct buf *why)
{
	const json_t *given = json_object_get(request, name);
	if (given == NULL)
		return true;
	if (!json_is_string(given)) {
		buf_addf(why, "%s takes a text", name);
		return false;
	}
	*out = mem_strdup(json_string_value(given));
	return true;
}

static bool
read_members(struct search *s, const json_t *request, struct buf *why)
{
	const json_t *given = json_object_get(request, "selector");
	if (given != NULL && !json_is_object(given)) {
		buf_addf(why, "selector is not an object");
		return false;
	}
	if (!selector_read(&s->selector, given, why) ||
	    !read_text(request, "msgid", &s->message_id, why) ||
	    !read_text(request, "event", &s->event, why) ||
	    !read_time(request, "since", s->now, &s->since, why) ||
	    !read_time(request, "until", s->now, &s->until, why))
		return false;
	if (s->selector.state != NULL || s->selector.route != NULL) {
		buf_addf(
		    why, "history knows no state and no route; use event, or domain");
		return false;
	}
	if (s->event == NULL || known_event(s->event))
		return true;
	buf_addf(why, "event is accepted, delivered, deferred, failed, deleted, held, "
		      "released, moved or aside");
	return false;
}

bool
search_read(struct search *s, const json_t *request, struct wall now, struct buf *why)
{
	*s = (struct search){.now = now};
	if (!read_members(s, request, why)) {
		search_clear(s);
		return false;
	}
	bool narrow = !selector_is_empty(&s->selector) || s->message_id != NULL ||
		      s->since.ms > 0 || s->until.ms > 0;
	if (!narrow)
		s->since = wall_after(now, -DAY_MS);
	return true;
}

void
search_clear(struct search *s)
{
	selector_clear(&s->selector);
	mem_free(&s->message_id);
	mem_free(&s->event);
	mem_free(&s->id);
	*s = (struct search){0};
}

struct history_cursor
search_begin(const struct search *s)
{
	struct history_cursor at = {.since = s->since};
	if (s->selector.has_id && history_begin(s->selector.id).ms > at.since.ms)
		at.since = history_begin(s->selector.id);
	return at;
}

/* ---- is it meant? */

static bool
follows(const struct search *s, uint64_t id)
{
	size_t low = 0, high = s->ids;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (s->id[mid] < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->ids && s->id[low] == id;
}

/* Messages are accepted in the order of their ids, and several times one, once for each
 * recipient. */
static void
follow(struct search *s, uint64_t id)
{
	if (s->ids == SEARCH_IDS_MAX || (s->ids > 0 && s->id[s->ids - 1] >= id))
		return;
	if (s->id == NULL)
		s->id = mem_alloc(SEARCH_IDS_MAX * sizeof(*s->id));
	s->id[s->ids++] = id;
}

static bool
message_id_like(const char *pattern, struct span given)
{
	struct buf b;
	buf_init(&b, 2048);
	buf_addf(&b, "<%s>", pattern);
	char *bracketed = buf_take(&b), *text = span_dup(given);
	bool like = fnmatch(pattern, text, FNM_NOESCAPE) == 0 ||
		    fnmatch(bracketed, text, FNM_NOESCAPE) == 0;
	mem_free(&bracketed);
	mem_free(&text);
	return like;
}

static bool
has_message_id(struct search *s, const struct history_event *e)
{
	if (s->message_id == NULL || follows(s, e->id))
		return true;
	if (e->kind != HISTORY_ACCEPTED || !message_id_like(s->message_id, e->message_id))
		return false;
	follow(s, e->id);
	return true;
}

/* The selector's words are said of a recipient of a message: this is the one. */
static bool
selected(const struct search *s, const struct history_event *e)
{
	struct message m = {.id = e->id, .sender = e->sender, .arrival = e->when};
	struct recipient r = {.address = e->recipient, .reply = e->reply};
	if (s->selector.has_id && e->about != 0 && e->about == s->selector.id)
		m.id = e->about;
	return selector_matches(&s->selector, &m, &r, s->now);
}

bool
search_wants(struct search *s, const struct history_event *e)
{
	return e->when.ms >= s->since.ms &&
	       (s->until.ms == 0 || e->when.ms < s->until.ms) && selected(s, e) &&
	       has_message_id(s, e) &&
	       (s->event == NULL || strcmp(s->event, history_kind_name(e->kind)) == 0);
}

bool
search_is_last(const struct history_event *e)
{
	return e->kind == HISTORY_DELIVERED || e->kind == HISTORY_FAILED ||
	       e->kind == HISTORY_DELETED ||
	       (e->kind == HISTORY_ACCEPTED && e->owner.n > 0);
}

/* ---- how it is told */

static void
put_text(struct json *j, const char *name, struct span text)
{
	if (text.n > 0)
		json_str(j, name, text);
}

static void
put_time(struct json *j, const char *name, struct wall t)
{
	struct buf b;
	if (t.ms == 0)
		return;
	buf_init(&b, 64);
	wall_add_iso(&b, t);
	json_str(j, name, buf_span(&b));
	buf_clear(&b);
}

static void
put_id(struct json *j, const char *name, uint64_t id)
{
	char text[SPOOL_ID_LEN + 1];
	if (id == 0)
		return;
	spool_id_format(id, text);
	json_cstr(j, name, text);
}

static void
add_part(struct buf *b, const char *before, struct span text)
{
	if (text.n == 0)
		return;
	buf_add_str(b, before);
	buf_add_escaped(b, text);
}

static void
sentence(struct buf *b, const struct history_event *e)
{
	static const char *const did[HISTORY_KIND_END] = {
	    [HISTORY_ACCEPTED] = "It was accepted",
	    [HISTORY_DELIVERED] = "It was delivered",
	    [HISTORY_DEFERRED] = "It was deferred",
	    [HISTORY_FAILED] = "It failed for good",
	    [HISTORY_DELETED] = "An administrator deleted it",
	    [HISTORY_HELD] = "It was held",
	    [HISTORY_RELEASED] = "It was released",
	    [HISTORY_MOVED] = "It was given another destination",
	    [HISTORY_ASIDE] = "It was set aside because it is damaged",
	};
	buf_add_str(b, did[e->kind] != NULL ? did[e->kind] : "Something happened");
	buf_add_str(b, " at ");
	wall_add_local(b, e->when);
	add_part(b, ", into the mailbox of ", e->owner);
	if (e->attempts > 0)
		buf_addf(b, ", attempt %u", e->attempts);
	add_part(b, ", by ", e->host);
	add_part(b, ": ", e->reply);
	buf_add_char(b, '.');
}

static void
show_sentence(struct json *j, const struct history_event *e)
{
	struct buf b;
	buf_init(&b, 8192);
	sentence(&b, e);
	json_str(j, "why", buf_span(&b));
	buf_clear(&b);
}

void
search_show(struct json *j, const struct history_event *e, bool why)
{
	json_open(j, '{');
	put_time(j, "time", e->when);
	json_cstr(j, why ? "state" : "event", history_kind_name(e->kind));
	put_id(j, "queue_id", e->id);
	json_str(j, "sender", e->sender);
	json_str(j, "address", e->recipient);
	put_id(j, "notice_about", e->about);
	put_text(j, "mailbox", e->owner);
	put_text(j, "destination", e->dest);
	put_text(j, "host", e->host);
	put_text(j, "reply", e->reply);
	if (e->attempts > 0)
		json_int(j, "attempts", e->attempts);
	put_time(j, "next_attempt", e->due);
	if (e->kind == HISTORY_ACCEPTED) {
		json_int(j, "message_size", (int64_t)e->size);
		put_text(j, "client", e->client);
		put_text(j, "account", e->account);
		put_text(j, "message_id", e->message_id);
	}
	if (why)
		show_sentence(j, e);
	json_close(j, '}');
}
