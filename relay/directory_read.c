/* SPDX-License-Identifier: ISC */
/*
 * directory_read - asking the accounts' helper who there is.  Its answers are in the
 * order of our questions, so what comes later is never older than what is known.
 */
#include <jansson.h>

#include "base/json.h"
#include "base/mem.h"
#include "relay/directory_private.h"

struct reading {
	struct link link;
	struct directory *directory;
	struct directory_tables fresh; /* what has been told so far of all */
	char *name;                    /* of one account; NULL: all */
	json_t *one;                   /* what was told of it; NULL: nothing yet */
	bool broken;                   /* something was told that is not understood */
	void (*done)(void *arg, bool ok);
	void *arg;
};

struct told_account {
	struct span name, address[ACCOUNT_SENDERS_MAX];
	size_t n;
	bool disabled;
};

static void
reading_free(struct reading *r)
{
	list_remove(&r->link);
	tables_clear(&r->fresh);
	json_decref(r->one);
	mem_free(&r->name);
	mem_free(&r);
}

void
readings_clear(struct directory *d)
{
	LIST_EACH (&d->readings, k)
		reading_free(CONTAINER_OF(k, struct reading, link));
}

static struct span
text_of(const json_t *v)
{
	return (struct span){json_string_value(v), json_string_length(v)};
}

/* {"name":"ann","address":["ann@example.org", ...],"disabled":false, ...} */
static bool
read_account(const json_t *o, struct told_account *out)
{
	const json_t *list = json_object_get(o, "address");
	*out = (struct told_account){.name = text_of(json_object_get(o, "name")),
	    .disabled = json_is_true(json_object_get(o, "disabled"))};
	if (out->name.n == 0 || out->name.n > ACCOUNT_NAME_MAX || !json_is_array(list))
		return false;
	for (; out->n < json_array_size(list) && out->n < COUNT_OF(out->address);
	     out->n++) {
		out->address[out->n] = text_of(json_array_get(list, out->n));
		if (out->address[out->n].p == NULL)
			return false;
	}
	return true;
}

static bool
take_account(struct reading *r, json_t *o)
{
	struct told_account a;
	if (!read_account(o, &a))
		return false;
	if (r->name == NULL) {
		tables_put(&r->fresh, a.name, a.address, a.n, a.disabled);
		return true;
	}
	json_decref(r->one);
	r->one = json_incref(o);
	return true;
}

static bool
take_end(const json_t *o)
{
	const json_t *status = json_object_get(o, "status");
	return json_is_integer(status) && json_integer_value(status) == 0;
}

/* The one account: as it was told now, or gone. */
static void
settle_one(struct reading *r)
{
	struct told_account a;
	if (r->one != NULL && read_account(r->one, &a))
		directory_put(r->directory, a.name, a.address, a.n, a.disabled);
	else
		directory_remove(r->directory, span_str(r->name));
}

static void
finish(struct reading *r, bool ok)
{
	void (*done)(void *, bool) = r->done;
	void *arg = r->arg;
	if (ok && r->name != NULL)
		settle_one(r);
	else if (ok)
		directory_replace(r->directory, &r->fresh);
	reading_free(r);
	done(arg, ok);
}

static void
told(void *arg, struct span object, bool end)
{
	struct reading *r = arg;
	json_t *o = json_loadb(object.p, object.n, JSON_REJECT_DUPLICATES, NULL);
	if (!end)
		r->broken = !take_account(r, o) || r->broken;
	else
		finish(r, take_end(o) && !r->broken);
	json_decref(o);
}

static void
ask(struct directory *d, struct signin *s, struct span name,
    void (*done)(void *arg, bool ok), void *arg)
{
	struct reading *r = NEW(struct reading);
	struct buf text;
	struct json j = {.out = &text};
	r->directory = d;
	r->name = name.n > 0 ? span_dup(name) : NULL;
	r->done = done;
	r->arg = arg;
	tables_init(&r->fresh, d->seed);
	list_push(&d->readings, &r->link);
	buf_init(&text, 4096);
	json_open(&j, '{');
	json_cstr(&j, "cmd", "user-list");
	if (r->name != NULL)
		json_str(&j, "name", name);
	json_bool(&j, "may_be_none", true);
	json_close(&j, '}');
	signin_admin(s, buf_span(&text), told, r);
	buf_clear(&text);
}

void
directory_load(
    struct directory *d, struct signin *s, void (*done)(void *arg, bool ok), void *arg)
{
	ask(d, s, SPAN(""), done, arg);
}

void
directory_refresh(struct directory *d, struct signin *s, struct span name,
    void (*done)(void *arg, bool ok), void *arg)
{
	ask(d, s, name, done, arg);
}
