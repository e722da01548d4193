/* SPDX-License-Identifier: ISC */
/* shape - a map from names to counts. */
#include "relay/control/shape.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "relay/control/select.h"
#include "relay/routing.h"

#define BUCKETS 10
#define FIRST_MS (5 * MINUTE_MS)
#define NAME_MAX_OCTETS 300
#define OTHERS SPAN("(others)")

struct row {
	struct map_node node;
	char *name;
	uint64_t total, bucket[SHAPE_BUCKETS_MAX + 1];
};

struct shape {
	struct shape_options o;
	struct map rows;
	struct row all;
};

/* ---- what was asked for */

static bool
read_by(const char *text, enum shape_by *out)
{
	static const char *const names[] = {[SHAPE_DOMAIN] = "domain",
	    [SHAPE_SENDER] = "sender",
	    [SHAPE_ROUTE] = "route",
	    [SHAPE_ERROR] = "error"};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (strcmp(names[i], text) == 0) {
			*out = (enum shape_by)i;
			return true;
		}
	return false;
}

bool
shape_read(struct shape_options *o, const json_t *request, struct buf *why)
{
	const json_t *buckets = json_object_get(request, "buckets");
	const char *by = json_string_value(json_object_get(request, "by"));
	const char *first = json_string_value(json_object_get(request, "bucket"));
	*o = (struct shape_options){.buckets = BUCKETS, .first_ms = FIRST_MS};
	o->linear = json_is_true(json_object_get(request, "linear"));
	if (by != NULL && !read_by(by, &o->by)) {
		buf_add_str(why, "--by takes domain, sender, route or error");
		return false;
	}
	if (buckets != NULL) {
		json_int_t n = json_integer_value(buckets);
		o->buckets = n > 0 && n <= SHAPE_BUCKETS_MAX ? (unsigned)n : 0;
	}
	if (o->buckets == 0) {
		buf_addf(why, "--buckets takes a number from 1 to %d", SHAPE_BUCKETS_MAX);
		return false;
	}
	if (first != NULL && (units_duration(span_str(first), &o->first_ms) != OK ||
				 o->first_ms <= 0 || o->first_ms > 365 * DAY_MS)) {
		buf_add_str(why, "--bucket takes a duration with a unit, as in 5m");
		return false;
	}
	return true;
}

/* ---- counting */

struct shape *
shape_new(const struct shape_options *o, const uint64_t seed[2])
{
	struct shape *s = NEW(struct shape);
	s->o = *o;
	map_init(&s->rows, seed);
	return s;
}

void
shape_free(struct shape **sp)
{
	struct shape *s = *sp;
	if (s == NULL)
		return;
	MAP_EACH (&s->rows, k) {
		struct row *r = CONTAINER_OF(k, struct row, node);
		map_remove(&s->rows, k);
		mem_free(&r->name);
		mem_free(&r);
	}
	map_clear(&s->rows);
	mem_free(sp);
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "451 4.7.1" of a reply; of our own words what stands before a colon. */
static struct span
class_of(struct span reply)
{
	bool code = reply.n >= 3 && is_digit(reply.p[0]) && is_digit(reply.p[1]) &&
		    is_digit(reply.p[2]);
	if (!code)
		return span_cut(reply, 0, span_find(reply, ':'));
	struct span rest = span_cut(reply, 3, reply.n);
	size_t n = rest.n > 1 && is_digit(rest.p[1]) ? 1 : 0;
	while (n > 0 && n < rest.n && (is_digit(rest.p[n]) || rest.p[n] == '.'))
		n++;
	return span_cut(reply, 0, 3 + n);
}

static struct span
name_of(const struct shape *s, const struct message *m, const struct recipient *r)
{
	const struct route *route = NULL;
	struct span name = {0};
	switch (s->o.by) {
	case SHAPE_DOMAIN: name = select_domain(r->address); break;
	case SHAPE_SENDER:
		name = m->sender.n > 0 ? select_domain(m->sender) : SPAN("(notices)");
		break;
	case SHAPE_ROUTE:
		if (s->o.routes != NULL)
			route = routing_find(s->o.routes, m, r);
		name = route != NULL ? span_str(route->name) : SPAN("(no route)");
		break;
	case SHAPE_ERROR:
		name = r->attempts == 0 ? SPAN("(not tried yet)") : class_of(r->reply);
		break;
	}
	return name.n == 0 ? SPAN("(none)")
			   : span_cut(name, 0,
				 name.n < NAME_MAX_OCTETS ? name.n : NAME_MAX_OCTETS);
}

/* The names of domains are alike in either case. */
static struct row *
row_for(struct shape *s, struct span name)
{
	char key[NAME_MAX_OCTETS];
	bool fold = s->o.by == SHAPE_DOMAIN || s->o.by == SHAPE_SENDER;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		key[i] = fold && c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	struct span want = {key, name.n};
	struct map_node *k = map_get(&s->rows, want);
	if (k == NULL && s->rows.n >= SHAPE_NAMES_MAX)
		k = map_get(&s->rows, want = OTHERS);
	if (k != NULL)
		return CONTAINER_OF(k, struct row, node);
	struct row *r = NEW(struct row);
	r->name = span_dup(want);
	map_put(&s->rows, &r->node, span_str(r->name));
	return r;
}

/* The bucket before which an age lies. */
static int64_t
reach(const struct shape_options *o, unsigned i)
{
	return o->linear ? o->first_ms * (i + 1) : o->first_ms << i;
}

void
shape_add(
    struct shape *s, const struct message *m, const struct recipient *r, struct wall now)
{
	struct row *row = row_for(s, name_of(s, m, r));
	int64_t age = wall_since(now, m->arrival);
	unsigned i = 0;
	while (i < s->o.buckets && age >= reach(&s->o, i))
		i++;
	row->total++;
	row->bucket[i]++;
	s->all.total++;
	s->all.bucket[i]++;
}

/* ---- telling */

static void
put_counts(struct json *j, const struct shape *s, const struct row *r)
{
	json_int(j, "recipients", (int64_t)r->total);
	json_open_as(j, "buckets", '[');
	for (unsigned i = 0; i <= s->o.buckets; i++)
		json_int(j, NULL, (int64_t)r->bucket[i]);
	json_close(j, ']');
}

static int
most_first(const void *a, const void *b)
{
	const struct row *x = *(const struct row *const *)a,
			 *y = *(const struct row *const *)b;
	if (x->total != y->total)
		return x->total < y->total ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void
tell_all(const struct shape *s, struct buf *out)
{
	struct json j = {.out = out};
	json_open(&j, '{');
	json_nothing(&j, "name");
	json_open_as(&j, "until_s", '[');
	for (unsigned i = 0; i < s->o.buckets; i++)
		json_int(&j, NULL, reach(&s->o, i) / 1000);
	json_close(&j, ']');
	put_counts(&j, s, &s->all);
	json_close(&j, '}');
}

static void
tell_row(const struct shape *s, const struct row *r, struct buf *out)
{
	struct json j = {.out = out};
	json_open(&j, '{');
	json_cstr(&j, "name", r->name);
	put_counts(&j, s, r);
	json_close(&j, '}');
}

void
shape_tell(const struct shape *s, uint64_t limit, struct buf *scratch,
    void (*told)(void *arg, struct span object), void *arg)
{
	struct row **list = mem_alloc((s->rows.n + 1) * sizeof(struct row *));
	size_t n = 0;
	MAP_EACH (&s->rows, k)
		list[n++] = CONTAINER_OF(k, struct row, node);
	if (n > 1)
		qsort(list, n, sizeof(struct row *), most_first);
	buf_reset(scratch);
	tell_all(s, scratch);
	told(arg, buf_span(scratch));
	for (size_t i = 0; i < n && (limit == 0 || i < limit); i++) {
		buf_reset(scratch);
		tell_row(s, list[i], scratch);
		told(arg, buf_span(scratch));
	}
	mem_free(&list);
}
