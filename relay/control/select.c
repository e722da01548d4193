/* SPDX-License-Identifier: ISC */
/* select - which recipients of which messages an administrator means. */
#include "relay/control/select.h"

#include <fnmatch.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"
#include "relay/routing.h"

struct member {
	const char *name;
	size_t offset;
};

static const struct member strings[] = {
    {"from", offsetof(struct selector, from)},
    {"to", offsetof(struct selector, to)},
    {"domain", offsetof(struct selector, domain)},
    {"route", offsetof(struct selector, route)},
    {"state", offsetof(struct selector, state)},
    {"code", offsetof(struct selector, code)},
};

static char **
string_member(struct selector *s, const char *name)
{
	for (size_t i = 0; i < COUNT_OF(strings); i++)
		if (strcmp(strings[i].name, name) == 0)
			return (char **)(void *)((char *)s + strings[i].offset);
	return NULL;
}

static bool
known_state(const char *state)
{
	static const char *const states[] = {
	    "waiting", "held", "aside", "new", "deferred"};
	for (size_t i = 0; i < COUNT_OF(states); i++)
		if (strcmp(states[i], state) == 0)
			return true;
	return false;
}

static bool
read_text_member(struct selector *s, const char *name, const char *text, struct buf *why)
{
	char **at = string_member(s, name);
	if (at != NULL) {
		if (strcmp(name, "state") == 0 && !known_state(text)) {
			buf_addf(why, "state is waiting, held, aside, new or deferred");
			return false;
		}
		mem_free(at);
		*at = mem_strdup(text);
		return true;
	}
	if (strcmp(name, "id") == 0) {
		s->has_id = spool_id_parse(span_str(text), &s->id);
		if (!s->has_id)
			buf_addf(why, "an id has 13 letters and digits, as `relayctl "
				      "queue` shows it");
		return s->has_id;
	}
	int64_t *age = strcmp(name, "older") == 0     ? &s->older_ms
		       : strcmp(name, "younger") == 0 ? &s->younger_ms
						      : NULL;
	if (age == NULL) {
		buf_addf(why, "unknown selector \"%.40s\"", name);
		return false;
	}
	if (units_duration(span_str(text), age) == OK && *age > 0)
		return true;
	buf_addf(why, "%s takes a duration with a unit, as in 2h or 3d", name);
	return false;
}

bool
selector_read(struct selector *s, const json_t *from, struct buf *why)
{
	*s = (struct selector){0};
	if (from == NULL)
		return true;
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)from, name, value)
	{
		bool ok = true;
		if (strcmp(name, "all") == 0 && json_is_boolean(value))
			s->all = json_is_true(value);
		else if (json_is_string(value))
			ok = read_text_member(s, name, json_string_value(value), why);
		else
			ok = false;
		if (!ok) {
			if (why->n == 0)
				buf_addf(why, "selector \"%.40s\" takes a text", name);
			selector_clear(s);
			return false;
		}
	}
	return true;
}

void
selector_clear(struct selector *s)
{
	for (size_t i = 0; i < COUNT_OF(strings); i++)
		mem_free(string_member(s, strings[i].name));
	*s = (struct selector){0};
}

bool
selector_is_empty(const struct selector *s)
{
	return !s->all && !s->has_id && s->from == NULL && s->to == NULL &&
	       s->domain == NULL && s->route == NULL && s->state == NULL &&
	       s->code == NULL && s->older_ms == 0 && s->younger_ms == 0;
}

/* "*" and "?" as in file names, case ignored; "" and "<>" both mean the null sender. */
static bool
address_like(const char *pattern, struct span address)
{
	if (strcmp(pattern, "<>") == 0)
		return address.n == 0;
	char *text = span_dup(address);
	bool like = fnmatch(pattern, text, FNM_CASEFOLD | FNM_NOESCAPE) == 0;
	mem_free(&text);
	return like;
}

struct span
select_domain(struct span address)
{
	size_t at = span_find_last(address, '@');
	return at < address.n ? span_cut(address, at + 1, address.n) : address;
}

static bool
state_is(const char *state, const struct recipient *r)
{
	switch (state[0]) {
	case 'w': return r->state == RECIPIENT_WAITING;
	case 'h': return r->state == RECIPIENT_HELD;
	case 'a': return r->state == RECIPIENT_ASIDE;
	case 'n': return r->attempts == 0;
	default: return r->attempts > 0;
	}
}

static bool
route_is(const struct selector *s, const struct message *m, const struct recipient *r)
{
	if (s->routes == NULL)
		return false;
	const struct route *route = routing_find(s->routes, m, r);
	return route != NULL && strcmp(route->name, s->route) == 0;
}

static bool
code_is(const char *code, struct span reply)
{
	struct span want = span_str(code);
	if (span_starts(reply, want))
		return true;
	/* "451 4.7.1 text": the enhanced code is the second word */
	size_t blank = span_find(reply, ' ');
	return blank < reply.n && span_starts(span_cut(reply, blank + 1, reply.n), want);
}

bool
selector_matches(const struct selector *s, const struct message *m,
    const struct recipient *r, struct wall now)
{
	int64_t age = wall_since(now, m->arrival);
	return (!s->has_id || s->id == m->id) &&
	       (s->from == NULL || address_like(s->from, m->sender)) &&
	       (s->to == NULL || address_like(s->to, r->address)) &&
	       (s->domain == NULL ||
		   span_ieq(select_domain(r->address), span_str(s->domain))) &&
	       (s->state == NULL || state_is(s->state, r)) &&
	       (s->route == NULL || route_is(s, m, r)) &&
	       (s->code == NULL || code_is(s->code, r->reply)) &&
	       (s->older_ms == 0 || age >= s->older_ms) &&
	       (s->younger_ms == 0 || age <= s->younger_ms);
}
