/* SPDX-License-Identifier: ISC */
/*
 * directory - two maps under one lock: accounts by name, and addresses, each with the
 * accounts that have it.
 *
 * An address is looked for in one form: its local part without quotes and in lower
 * case, "@", its domain as the DNS knows it.
 */
#include "relay/directory.h"

#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/directory_private.h"

/* ---- one form for all */

/* A local part as it is meant, whatever of it is quoted. */
static void
add_local(struct span local, struct buf *out)
{
	bool quoted = local.n >= 2 && local.p[0] == '"';
	for (size_t i = 0; i < local.n; i++) {
		if (quoted && local.p[i] == '"')
			continue;
		if (quoted && local.p[i] == '\\' && i + 1 < local.n)
			i++;
		buf_add_char(out, ascii_lower(local.p[i]));
	}
}

/* False: it has no domain that anybody could have. */
static bool
add_key(struct span local, struct span domain, struct buf *out)
{
	add_local(local, out);
	buf_add_char(out, '@');
	return domain.n > 0 && domain_canonical(domain, out) == OK && !out->overflow;
}

static void
lower(struct span name, char out[ACCOUNT_NAME_MAX + 1])
{
	span_copy(name, out, ACCOUNT_NAME_MAX + 1);
	for (char *p = out; *p != '\0'; p++)
		*p = ascii_lower(*p);
}

/* ---- the tables */

struct account_entry *
tables_account(const struct directory_tables *t, struct span name)
{
	char key[ACCOUNT_NAME_MAX + 1];
	if (name.n == 0 || name.n > ACCOUNT_NAME_MAX)
		return NULL;
	lower(name, key);
	struct map_node *k = map_get(&t->accounts, span_str(key));
	return k != NULL ? CONTAINER_OF(k, struct account_entry, node) : NULL;
}

static struct address_entry *
find_address(const struct directory_tables *t, struct span key)
{
	struct map_node *k = map_get(&t->addresses, key);
	return k != NULL ? CONTAINER_OF(k, struct address_entry, node) : NULL;
}

static struct address_entry *
make_address(struct directory_tables *t, struct span key)
{
	struct address_entry *a = find_address(t, key);
	if (a == NULL) {
		a = NEW(struct address_entry);
		a->key = span_dup(key);
		map_put(&t->addresses, &a->node, span_str(a->key));
	}
	return a;
}

/* By name, so that all tell the same story. */
static void
add_owner(struct address_entry *a, struct account_entry *e)
{
	size_t at = a->n;
	while (at > 0 && strcmp(a->owner[at - 1]->name, e->name) > 0)
		at--;
	if (at > 0 && a->owner[at - 1] == e)
		return; /* it lists the address twice */
	a->owner = mem_resize(a->owner, a->n + 1, sizeof(*a->owner));
	memmove(&a->owner[at + 1], &a->owner[at], (a->n - at) * sizeof(*a->owner));
	a->owner[at] = e;
	a->n++;
	e->address = mem_resize(e->address, e->n + 1, sizeof(*e->address));
	e->address[e->n++] = a;
}

static void
drop_owner(
    struct directory_tables *t, struct address_entry *a, const struct account_entry *e)
{
	size_t at = 0;
	while (a->owner[at] != e)
		CHECK(++at < a->n);
	a->n--;
	memmove(&a->owner[at], &a->owner[at + 1], (a->n - at) * sizeof(*a->owner));
	if (a->n > 0)
		return;
	map_remove(&t->addresses, &a->node);
	mem_free(&a->owner);
	mem_free(&a->key);
	mem_free(&a);
}

static void
remove_account(struct directory_tables *t, struct account_entry *e)
{
	for (size_t i = 0; i < e->n; i++)
		drop_owner(t, e->address[i], e);
	map_remove(&t->accounts, &e->node);
	mem_free(&e->address);
	mem_free(&e);
}

void
tables_init(struct directory_tables *t, const uint64_t seed[2])
{
	map_init(&t->accounts, seed);
	map_init(&t->addresses, seed);
}

void
tables_clear(struct directory_tables *t)
{
	MAP_EACH (&t->accounts, k)
		remove_account(t, CONTAINER_OF(k, struct account_entry, node));
	map_clear(&t->accounts);
	map_clear(&t->addresses);
}

void
tables_put(struct directory_tables *t, struct span name, const struct span *address,
    size_t n, bool disabled)
{
	struct account_entry *e = tables_account(t, name);
	struct buf key;
	if (e != NULL)
		remove_account(t, e);
	if (name.n == 0 || name.n > ACCOUNT_NAME_MAX)
		return;
	e = NEW(struct account_entry);
	lower(name, e->name);
	e->disabled = disabled;
	map_put(&t->accounts, &e->node, span_str(e->name));
	buf_init(&key, 2 * DIRECTORY_ADDRESS_MAX);
	for (size_t i = 0; i < n && i < ACCOUNT_SENDERS_MAX; i++) {
		struct address a;
		key.overflow = false;
		buf_reset(&key);
		if (address_parse(address[i], &a) == OK &&
		    add_key(a.local, a.domain, &key))
			add_owner(make_address(t, buf_span(&key)), e);
	}
	buf_clear(&key);
}

void
tables_remove(struct directory_tables *t, struct span name)
{
	struct account_entry *e = tables_account(t, name);
	if (e != NULL)
		remove_account(t, e);
}

/* ---- the directory */

/* Readers change nothing but the lock. */
static struct directory *
read_lock(const struct directory *d)
{
	struct directory *w = (struct directory *)(uintptr_t)d;
	CHECK(pthread_rwlock_rdlock(&w->lock) == 0);
	return w;
}

static void
unlock(struct directory *d)
{
	CHECK(pthread_rwlock_unlock(&d->lock) == 0);
}

static void
write_lock(struct directory *d)
{
	CHECK(pthread_rwlock_wrlock(&d->lock) == 0);
}

struct directory *
directory_new(struct world *w)
{
	struct directory *d = NEW(struct directory);
	world_random(w, d->seed, sizeof(d->seed));
	tables_init(&d->now, d->seed);
	list_init(&d->readings);
	CHECK(pthread_rwlock_init(&d->lock, NULL) == 0);
	return d;
}

void
directory_free(struct directory **dp)
{
	struct directory *d = *dp;
	if (d == NULL)
		return;
	readings_clear(d);
	tables_clear(&d->now);
	CHECK(pthread_rwlock_destroy(&d->lock) == 0);
	mem_free(dp);
}

void
directory_put(struct directory *d, struct span name, const struct span *address, size_t n,
    bool disabled)
{
	write_lock(d);
	tables_put(&d->now, name, address, n, disabled);
	unlock(d);
}

void
directory_remove(struct directory *d, struct span name)
{
	write_lock(d);
	tables_remove(&d->now, name);
	unlock(d);
}

bool
directory_ready(const struct directory *d)
{
	struct directory *locked = read_lock(d);
	bool ready = d->ready;
	unlock(locked);
	return ready;
}

void
directory_set_ready(struct directory *d)
{
	write_lock(d);
	d->ready = true;
	unlock(d);
}

void
directory_replace(struct directory *d, struct directory_tables *t)
{
	write_lock(d);
	struct directory_tables old = d->now;
	d->now = *t;
	d->ready = true;
	unlock(d);
	*t = old;
}

/* ---- who gets it */

struct search {
	const struct directory_tables *tables;
	const char *delimiter;
	struct directory_match *out;
};

static struct directory_owner *
add_match(struct search *q, const struct account_entry *e, const struct address_entry *by)
{
	if (q->out->n == DIRECTORY_OWNERS_MAX)
		return NULL;
	struct directory_owner *o = &q->out->owner[q->out->n++];
	memcpy(o->name, e->name, sizeof(o->name));
	span_copy(span_str(by != NULL ? by->key : ""), o->address, sizeof(o->address));
	o->caught = o->tagged = false;
	return o;
}

static bool
owned(struct search *q, struct span key, bool tagged)
{
	const struct address_entry *a = find_address(q->tables, key);
	for (size_t i = 0; a != NULL && i < a->n; i++) {
		struct directory_owner *o = add_match(q, a->owner[i], a);
		if (o != NULL)
			o->tagged = tagged;
	}
	return a != NULL;
}

/* Without its detail: from the last delimiter to the first, so that with "-" the mail
 * for jean-paul-lists is jean-paul's, not jean's. */
static bool
owned_base(struct search *q, struct span key)
{
	struct span local, domain = address_domain_of(key, &local);
	struct buf base;
	bool found = false;
	if (q->delimiter == NULL || *q->delimiter == '\0')
		return false;
	buf_init(&base, DIRECTORY_ADDRESS_MAX);
	for (size_t at = local.n; !found && at-- > 1;) {
		if (local.p[at] != *q->delimiter)
			continue;
		buf_reset(&base);
		buf_add(&base, local.p, at);
		buf_add_char(&base, '@');
		buf_add_span(&base, domain);
		found = owned(q, buf_span(&base), true);
	}
	buf_clear(&base);
	return found;
}

static bool
by_address(struct search *q, struct span key)
{
	return owned(q, key, false) || owned_base(q, key);
}

/* Found, but not by what the mail was sent to. */
static bool catch (struct search *q)
{
	for (size_t i = 0; i < q->out->n; i++) {
		q->out->owner[i].caught = true;
		q->out->owner[i].tagged = false;
	}
	return q->out->n > 0;
}

static bool
by_postmaster(struct search *q, const struct config *c, struct span key)
{
	struct buf text;
	struct address a;
	bool found = false;
	if (!span_starts(key, SPAN("postmaster@")))
		return false;
	buf_init(&text, 2 * DIRECTORY_ADDRESS_MAX);
	if (c->postmaster != NULL && address_parse(span_str(c->postmaster), &a) == OK)
		found = add_key(a.local, a.domain, &text);
	else if (c->postmaster == NULL && c->policy.hostname != NULL)
		found = add_key(SPAN("postmaster"), span_str(c->policy.hostname), &text);
	found = found && by_address(q, buf_span(&text)) && catch (q);
	buf_clear(&text);
	return found;
}

static bool
by_catch_all(struct search *q, const struct route *r)
{
	const struct account_entry *e = tables_account(q->tables, span_str(r->catch_all));
	return e != NULL && add_match(q, e, e->n > 0 ? e->address[0] : NULL) != NULL &&
	       catch (q);
}

enum directory_answer
directory_find(const struct directory *d, const struct config *c, const struct route *r,
    struct span address, struct directory_match *out)
{
	struct span local, domain = address_domain_of(address, &local);
	struct buf key;
	out->n = 0;
	buf_init(&key, 2 * DIRECTORY_ADDRESS_MAX);
	bool good = add_key(local, domain, &key);
	struct directory *locked = read_lock(d);
	struct search q = {&d->now, c->delimiter, out};
	bool ready = d->ready;
	bool found = ready && good &&
		     (by_address(&q, buf_span(&key)) ||
			 by_postmaster(&q, c, buf_span(&key)) || by_catch_all(&q, r));
	unlock(locked);
	buf_clear(&key);
	if (!ready)
		return DIRECTORY_NOT_READY;
	return found ? DIRECTORY_FOUND : DIRECTORY_UNKNOWN;
}

/* ---- accounts */

bool
directory_has(const struct directory *d, struct span name)
{
	struct directory *locked = read_lock(d);
	bool there = tables_account(&d->now, name) != NULL;
	unlock(locked);
	return there;
}

bool
directory_disabled(const struct directory *d, struct span name)
{
	struct directory *locked = read_lock(d);
	const struct account_entry *e = tables_account(&d->now, name);
	bool disabled = e != NULL && e->disabled;
	unlock(locked);
	return disabled;
}

/* Told without the lock: whoever is told may ask again. */
void
directory_addresses(const struct directory *d, struct span name,
    void (*told)(void *arg, struct span address), void *arg)
{
	struct buf all;
	buf_init(&all, 0);
	struct directory *locked = read_lock(d);
	const struct account_entry *e = tables_account(&d->now, name);
	for (size_t i = 0; e != NULL && i < e->n; i++)
		buf_addf(&all, "%s\n", e->address[i]->key);
	unlock(locked);
	for (struct span rest = buf_span(&all); rest.n > 0;) {
		size_t end = span_find(rest, '\n');
		told(arg, span_cut(rest, 0, end));
		rest = span_cut(rest, end + 1, rest.n);
	}
	buf_clear(&all);
}

static bool
names_account(const struct mailbox_config *m, struct span name)
{
	for (size_t i = 0; i < m->accounts.n; i++)
		if (span_ieq(span_str(m->accounts.name[i]), name))
			return true;
	return false;
}

static bool
names_domain(const struct mailbox_config *m, const struct account_entry *e)
{
	for (size_t i = 0; e != NULL && i < e->n; i++) {
		struct span local;
		if (name_list_has(&m->domains,
			address_domain_of(span_str(e->address[i]->key), &local)))
			return true;
	}
	return false;
}

const struct mailbox_config *
directory_settings(const struct directory *d, const struct config *c, struct span name)
{
	const struct mailbox_config *found = &c->mailbox_default;
	struct directory *locked = read_lock(d);
	const struct account_entry *e = tables_account(&d->now, name);
	for (size_t i = 0; found == &c->mailbox_default && i < c->mailboxes; i++)
		if (names_account(&c->mailbox[i], name) ||
		    names_domain(&c->mailbox[i], e))
			found = &c->mailbox[i];
	unlock(locked);
	return found;
}

/* ---- into the mailbox */

struct verdict
directory_admit(const struct directory *d, const struct config *c, const struct spool *s,
    struct span owner, uint64_t size)
{
	const struct mailbox_config *m = directory_settings(d, c, owner);
	struct mailbox_usage u = {0};
	if (m->quota > 0 || m->quota_messages > 0)
		spool_mailbox_usage(s, owner, &u);
	bool full = m->quota > 0 && (size > m->quota || u.octets > m->quota - size);
	bool many = m->quota_messages > 0 && u.messages >= m->quota_messages;
	if (!full && !many)
		return verdict_make(250, "2.1.5", "ok");
	if (m->over == QUOTA_REJECT)
		return verdict_make(552, "5.2.2", "the mailbox is full");
	return verdict_make(452, "4.2.2", "the mailbox is full; try again later");
}

/* Addresses were parsed, and so cannot hold the end of a line. Here is seen that they do
 * not. */
static void
add_field(struct buf *out, const char *name, struct span value, const char *brackets)
{
	buf_addf(out, "%s: %.1s", name, brackets);
	for (size_t i = 0; i < value.n && i < PATH_MAX_OCTETS * 2; i++)
		if ((unsigned char)value.p[i] >= 0x20 && value.p[i] != 0x7f)
			buf_add_char(out, value.p[i]);
	buf_addf(out, "%s\r\n", *brackets != '\0' ? brackets + 1 : "");
}

size_t
directory_keep_room(const struct directory *d, const struct config *c,
    const struct spool *s, uint64_t size, struct directory_match *m, struct verdict *why)
{
	size_t n = 0;
	for (size_t i = 0; i < m->n; i++) {
		struct verdict v =
		    directory_admit(d, c, s, span_str(m->owner[i].name), size);
		if (!verdict_ok(&v)) {
			*why = v;
			continue;
		}
		struct directory_owner swap = m->owner[n];
		m->owner[n++] = m->owner[i];
		m->owner[i] = swap;
	}
	return n;
}

void
directory_own_fields(struct span sender, struct span recipient,
    const struct directory_owner *o, struct buf *out)
{
	bool other = o->tagged || o->caught;
	struct span own = span_str(o->address[0] != '\0' ? o->address : o->name);
	add_field(out, "Return-Path", sender, "<>");
	add_field(out, "Delivered-To", other ? own : recipient, "");
	if (other)
		add_field(out, "X-Original-To", recipient, "");
}
