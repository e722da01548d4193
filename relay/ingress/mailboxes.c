/* SPDX-License-Identifier: ISC */
/* mailboxes - see mailboxes.h. */
#include "relay/ingress/mailboxes.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "relay/directory.h"

struct verdict
mailboxes_admit(const struct session *s, const struct route *r, struct span address)
{
	const struct directory *d = s->in->o.directory;
	struct verdict v = verdict_make(451, "4.3.0", "Accounts are not known yet");
	if (d == NULL)
		return v;
	struct directory_match *match = NEW(struct directory_match);
	switch (directory_find(d, s->config, r, address, match)) {
	case DIRECTORY_NOT_READY: break;
	case DIRECTORY_UNKNOWN:
		v = verdict_make(550, "5.1.1", "No such mailbox here");
		break;
	case DIRECTORY_FOUND:
		/* one of several who has room is enough: the others wait in the queue */
		for (size_t i = 0; i < match->n; i++) {
			v = directory_admit(d, s->config, s->in->o.spool,
			    span_str(match->owner[i].name), s->tx->declared);
			if (verdict_ok(&v))
				break;
		}
		break;
	}
	mem_free(&match);
	return v;
}

/* ---- who has got this message already */

struct had {
	struct map_node node;
	char name[ACCOUNT_NAME_MAX + 1];
};

struct settle {
	struct session *s;
	struct message *m;
	struct directory_match match;
	struct map had; /* owners; who is caught gets one for each address */
	struct buf own;
	size_t full; /* recipients whom the client has named, and none of whose owners
			has room */
	struct verdict why;
};

static bool
has_it(struct settle *x, const char *owner)
{
	if (map_get(&x->had, span_str(owner)) != NULL)
		return true;
	struct had *h = NEW(struct had);
	span_copy(span_str(owner), h->name, sizeof(h->name));
	map_put(&x->had, &h->node, span_str(h->name));
	return false;
}

static void
add_drop(struct settle *x, const struct recipient *r, const struct directory_owner *o)
{
	if (!o->caught && has_it(x, o->name))
		return;
	buf_reset(&x->own);
	directory_own_fields(x->m->sender, r->address, o, &x->own);
	message_add_drop(
	    x->m, &(struct drop){span_str(o->name), r->address, buf_span(&x->own)});
}

/* ---- one recipient */

static const struct route *
mailbox_route(const struct session *s, const struct recipient *r)
{
	struct route_key_parts k = route_key_split(r->dest);
	if (!span_eq(k.kind, SPAN("mailbox")))
		return NULL;
	const struct route *route = route_named(&s->config->policy.routes, k.route);
	return route != NULL && route->deliver == ROUTE_MAILBOX ? route : NULL;
}

bool
mailboxes_wanted(const struct session *s)
{
	const struct message *m = s->tx->message;
	for (size_t i = 0; i < m->rcpts; i++)
		if (span_eq(route_key_split(m->rcpt[i].dest).kind, SPAN("mailbox")))
			return true;
	return false;
}

/* Those that have room for the message as it is stay in the match.  A lazy owner does not
 * keep it from the others of his address. */
static bool
have_room(struct settle *x, const struct recipient *r, struct verdict *v)
{
	const struct ingress_options *o = &x->s->in->o;
	size_t n = directory_keep_room(o->directory, x->s->config, o->spool,
	    receive_size(x->s->tx->receive), &x->match, v);
	for (size_t i = n; n > 0 && i < x->match.n; i++)
		LOG(o->log, EV_OVER_QUOTA, F_STR("mailbox", x->match.owner[i].name),
		    F_ADDR("to", r->address), F_ADDR("from", x->m->sender));
	x->match.n = n;
	return n > 0;
}

/* By LMTP he is told so; else he waits in the queue beside those that take it.  So does a
 * copy that the client knows nothing of.  True: it leaves the envelope. */
static bool
no_room(struct settle *x, const struct recipient *r, const struct verdict *v)
{
	struct session *s = x->s;
	if (transaction_is_copy(s->tx, r))
		return false;
	if (x->full++ == 0 || verdict_temporary(v))
		x->why = *v;
	if (!session_is_lmtp(s))
		return false;
	session_log_refused(s, "rcpt", v, "mailbox-room", x->m->sender, r->address);
	transaction_refuse_late(s->tx, r->index, v);
	return true;
}

/* True: it leaves the envelope. */
static bool
settle_one(struct settle *x, const struct recipient *r)
{
	const struct session *s = x->s;
	const struct route *route = mailbox_route(s, r);
	struct verdict v;
	if (route == NULL || r->state != RECIPIENT_WAITING ||
	    directory_find(s->in->o.directory, s->config, route, r->address, &x->match) !=
		DIRECTORY_FOUND)
		return false;
	if (!have_room(x, r, &v))
		return no_room(x, r, &v);
	if ((r->notify & NOTIFY_SUCCESS) != 0)
		return false;
	for (size_t i = 0; i < x->match.n; i++)
		add_drop(x, r, &x->match.owner[i]);
	return true;
}

bool
mailboxes_settle(struct session *s, struct verdict *why)
{
	struct transaction *t = s->tx;
	struct message *m = t->message;
	if (s->in->o.directory == NULL)
		return true;
	size_t left = 0, named = transaction_named(t);
	uint64_t seed[2];
	world_random(loop_world(s->in->o.loop), seed, sizeof(seed));
	struct settle *x = NEW(struct settle);
	x->s = s;
	x->m = m;
	map_init(&x->had, seed);
	buf_init(&x->own, MAIL_PREFIX_MAX);
	for (size_t i = 0; i < m->rcpts; i++)
		if (!settle_one(x, &m->rcpt[i]))
			m->rcpt[left++] = m->rcpt[i];
	m->rcpts = left;
	if (session_is_lmtp(s))
		t->taken -= x->full;
	bool somebody = x->full < named;
	*why = x->why;
	MAP_EACH (&x->had, k) {
		struct had *h = CONTAINER_OF(k, struct had, node);
		map_remove(&x->had, k);
		mem_free(&h);
	}
	map_clear(&x->had);
	buf_clear(&x->own);
	mem_free(&x);
	return somebody;
}

void
mailboxes_log(const struct session *s, const char *id)
{
	const struct message *m = s->tx->message;
	for (size_t i = 0; i < m->drops; i++)
		LOG(s->in->o.log, EV_DELIVERED, F_STR("id", id),
		    F_ADDR("to", m->drop[i].recipient), F_ADDR("from", m->sender),
		    F_SPAN("mailbox", m->drop[i].owner));
}
