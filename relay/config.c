/* SPDX-License-Identifier: ISC */
/* config - snapshots: read, shared, compared. See config_private.h for how they come
 * about. */
#include "relay/config_private.h"

#include <string.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/crypto.h"
#include "base/mem.h"

/* ---- reading */

/* text is changed; NULL: it could not be loaded. */
static struct config *
read_text(struct reading *r, const char *name, char *text, struct buf *errors)
{
	struct config *c = NULL;
	if (text != NULL && source_prepare(r, 0, text)) {
		reading_parse(r, 0, text);
		c = config_build(r, name);
	}
	if (c != NULL && r->errors > 0) {
		config_free(c);
		c = NULL;
	}
	reading_print(r, errors);
	return c;
}

struct config *
config_read(const char *path, struct buf *errors)
{
	struct reading r = {0};
	(void)reading_file(&r, path);
	char *text = source_load(&r, path, (struct place){0, 1});
	struct config *c = read_text(&r, path, text, errors);
	mem_free(&text);
	reading_clear(&r);
	return c;
}

struct config *
config_parse(const char *name, const char *text, struct buf *errors)
{
	struct reading r = {0};
	struct buf copy;
	(void)reading_file(&r, name);
	buf_init(&copy, 0);
	buf_add_str(&copy, text);
	if (copy.n == 0 || copy.p[copy.n - 1] != '\n')
		buf_add_char(&copy, '\n');
	char *own = buf_take(&copy);
	struct config *c = read_text(&r, name, own, errors);
	mem_free(&own);
	reading_clear(&r);
	return c;
}

/* ---- sharing */

/* The count is the one thing in a snapshot that changes. */
static struct config *
writable(const struct config *c)
{
	return (struct config *)(uintptr_t)c;
}

struct config *
config_ref(const struct config *c)
{
	struct config *w = writable(c);
	atomic_fetch_add_explicit(&w->refs, 1, memory_order_relaxed);
	return w;
}

void
config_unref(const struct config **cp)
{
	if (*cp == NULL)
		return;
	struct config *w = writable(*cp);
	*cp = NULL;
	if (atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel) == 1)
		config_free(w);
}

#define SPARE 1000 /* connections that nothing counts: of the page, of relayctl */

/* ---- comparing */

static const struct listener_config *
listener_find(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->listeners; i++)
		if (strcmp(c->listener[i].name, name) == 0)
			return &c->listener[i];
	return NULL;
}

static bool
same_binds(const struct net_addr *a, size_t a_n, const struct net_addr *b, size_t b_n)
{
	if (a_n != b_n)
		return false;
	for (size_t i = 0; i < a_n; i++)
		if (!net_same_ip(&a[i], &b[i]) || a[i].port != b[i].port ||
		    a[i].scope != b[i].scope)
			return false;
	return true;
}

static void
diff_listeners(const struct config *from, const struct config *to, struct buf *notes)
{
	for (size_t i = 0; i < from->listeners; i++) {
		const struct listener_config *l = &from->listener[i];
		const struct listener_config *now = listener_find(to, l->name);
		if (now == NULL)
			buf_addf(notes, "listener \"%s\": closed\n", l->name);
		else if (!same_binds(l->bind, l->binds, now->bind, now->binds))
			buf_addf(notes,
			    "listener \"%s\" bind: restart relayd to change it\n",
			    l->name);
	}
	for (size_t i = 0; i < to->listeners; i++)
		if (listener_find(from, to->listener[i].name) == NULL)
			buf_addf(notes, "listener \"%s\": restart relayd to open it\n",
			    to->listener[i].name);
}

size_t
config_connections(const struct config *c)
{
	size_t all = (size_t)c->server.connections + c->client.connections + SPARE;
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_max < all)
		all = (size_t)r.rlim_max;
	return all;
}

static void
diff_keys(const struct config *to, struct buf *notes)
{
	if (config_connections(to) > crypto_keys_connections())
		buf_addf(notes,
		    "limits connections: restart relayd, or more than %zu of them cannot "
		    "be encrypted\n",
		    crypto_keys_connections());
}

void
config_diff(const struct config *from, const struct config *to, struct buf *notes)
{
	for (const struct config_key *k = config_schema; k->name != NULL; k++)
		if ((k->flags & KEY_RESTART) && !value_same(k, from, to))
			buf_addf(notes, "%s%s%s: restart relayd to change it\n",
			    k->section, *k->section ? " " : "", k->name);
	diff_listeners(from, to, notes);
	if (!same_binds(from->metrics.bind, from->metrics.binds, to->metrics.bind,
		to->metrics.binds))
		buf_add_str(notes, "metrics bind: restart relayd to change it\n");
	diff_keys(to, notes);
}

/* ---- telling */

void
config_keys(
    void (*told)(void *arg, const char *section, const char *key, const char *type,
	const char *range, const char *fallback, const char *about),
    void *arg)
{
	for (const struct config_key *k = config_schema; k->name != NULL; k++) {
		struct buf room, range;
		buf_init(&room, 200);
		buf_init(&range, 200);
		value_add_range(k, &range);
		buf_add_char(&range, '\0');
		told(arg, k->section, k->name, value_type_name(k, &room), range.p,
		    k->fallback != NULL ? k->fallback : "", k->about);
		buf_clear(&room);
		buf_clear(&range);
	}
}
