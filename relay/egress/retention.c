/* SPDX-License-Identifier: ISC */
/*
 * retention - owners one after the other; of each a slice of its oldest mails is read in
 * the pool, together with the messages that a notice needs; what is due is deleted by one
 * change, or, with a notice, by one for each mail.  One query or change is under way at
 * a time, so that a sweep of any size costs nobody his turn.
 */
#include "relay/egress/retention.h"

#include <string.h>

#include "base/mem.h"
#include "policy/header.h"
#include "relay/egress/failed.h"
#include "relay/egress/notice.h"
#include "relay/routing.h"

#define SWEEP_MS HOUR_MS
#define FIRST_MS MINUTE_MS
#define CLOCK_JUMP_MS HOUR_MS
#define ROWS 100
#define OCTETS_MAX (1u << 20) /* of mail in memory at a time, that a notice may be of */

struct slice {
	struct retention *retention; /* NULL: it was freed meanwhile */
	char owner[MAILBOX_OWNER_MAX + 1];
	bool next_owner; /* the one behind `owner` is wanted */
	bool end;        /* there is none */
	uint32_t mailbox, after;
	struct wall unread_before, picked_before; /* 0: none is due */
	bool back; /* unread mail goes back to its sender */
	/* what was found */
	bool more;
	size_t n;
	struct due {
		uint32_t uid;
		bool picked;
		uint64_t message;
		struct kept_mail *mail; /* NULL: damaged; with its content if it goes
					   back */
	} due[ROWS];
};

struct retention {
	struct retention_options o;
	const struct config *config;
	struct timer timer;
	struct slice *slice;
	struct spool_query *query;
	struct spool_request *request;
	const struct mailbox_config *settings; /* of the slice's owner, in config */
	size_t at;                             /* in slice->due */
	struct wall wall; /* clocks at the last look: a jump is seen by comparing them */
	struct instant mono;
};

/* ---- in the pool */

static void
slice_clear(struct slice *x)
{
	for (size_t i = 0; i < x->n; i++)
		kept_mail_free(&x->due[i].mail);
	x->n = 0;
}

static bool
is_due(const struct slice *x, const struct mail_row *row, bool *picked)
{
	*picked = (row->flags & MAIL_PICKED) != 0;
	if (row->id == 0) /* damaged: an administrator's business */
		return false;
	return *picked ? row->picked.ms < x->picked_before.ms
		       : row->arrival.ms < x->unread_before.ms;
}

static void
run_mails(struct spool_reader *r, struct slice *x)
{
	struct mail_row row[ROWS];
	struct mailbox_view box;
	size_t n = 0;
	uint64_t octets = 0;
	if (spool_read_mailbox(r, span_str(x->owner), SPAN(MAILBOX_INBOX), &box) != OK ||
	    spool_read_mails(r, box.number, x->after, 0, row, ROWS, &n) != OK)
		return;
	x->more = n == ROWS;
	for (size_t i = 0; i < n; i++) {
		if (octets > OCTETS_MAX) {
			x->more = true;
			break;
		}
		struct due d = {.uid = row[i].uid, .message = row[i].message};
		x->after = row[i].uid;
		if (!is_due(x, &row[i], &d.picked))
			continue;
		bool returns = x->back && !d.picked;
		if (spool_read_mail(r, box.number, d.uid, returns, &d.mail) ==
		    ERR_NOT_FOUND)
			continue; /* its owner was faster */
		octets += returns ? row[i].size : 0;
		x->due[x->n++] = d;
	}
}

static void
run(struct spool_reader *r, void *arg)
{
	struct slice *x = arg;
	struct owner_row o;
	if (!x->next_owner) {
		run_mails(r, x);
		return;
	}
	x->end = spool_read_owner(r, span_str(x->owner), &o) != OK;
	if (!x->end)
		memcpy(x->owner, o.name, sizeof(x->owner));
}

static void
slice_drop(void *arg)
{
	struct slice *x = arg;
	slice_clear(x);
	mem_free(&x);
}

/* ---- notices */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The field's first word: "no", "no; why", "no (why)". */
static bool
is_word(struct span value, const char *word)
{
	size_t at = 0, n = 0;
	while (at < value.n && is_blank(value.p[at]))
		at++;
	while (at + n < value.n && !is_blank(value.p[at + n]) && value.p[at + n] != ';' &&
	       value.p[at + n] != '(')
		n++;
	return span_ieq(span_cut(value, at, n), span_str(word));
}

/* RFC 3834 2: no answer to what a robot or a list has sent. */
static bool
is_automatic(const struct message *m)
{
	char head[32u << 10];
	size_t n = 0;
	if (content_read(m->content, 0, head, sizeof(head), &n) != OK)
		return true;
	struct span header = {head, n};
	struct span automatic = header_find(header, SPAN("Auto-Submitted"));
	struct span precedence = header_find(header, SPAN("Precedence"));
	return (automatic.p != NULL && !is_word(automatic, "no")) ||
	       is_word(precedence, "bulk") || is_word(precedence, "list") ||
	       is_word(precedence, "junk") ||
	       header_find(header, SPAN("List-Id")).p != NULL;
}

/* Who hands in by LMTP has the mail from wherever it came: that he is one of us says
 * nothing of the sender. */
static bool
is_own(const struct message *m)
{
	bool handed_on = span_istarts(m->protocol, SPAN("LMTP")) ||
			 span_istarts(m->protocol, SPAN("UTF8LMTP"));
	return m->account.n > 0 || ((m->flags & MESSAGE_OWN) != 0 && !handed_on);
}

/* Why nobody is told; NULL: he is. */
static const char *
no_notice(const struct kept_mail *k)
{
	const struct message *m = k->message;
	if (m->sender.n == 0)
		return "it has no sender";
	if (!is_own(m))
		return "a stranger's address proves nothing";
	return is_automatic(m) ? "a robot or a list has sent it" : NULL;
}

static bool
address(const struct config *c, struct message *notice, struct wall now)
{
	struct recipient *to = &notice->rcpt[0];
	const struct route *route = routing_find(&c->policy.routes, notice, to);
	struct buf key;
	buf_init(&key, 400);
	bool ok = route != NULL && route->deliver != ROUTE_REJECT &&
		  route_key(route, to->address, &key) == OK;
	if (ok) {
		to->dest = message_keep(notice, buf_span(&key));
		to->due = now;
		to->state =
		    route->deliver == ROUTE_HOLD ? RECIPIENT_HELD : RECIPIENT_WAITING;
	}
	buf_clear(&key);
	return ok;
}

static struct message *
compose(const struct retention *r, const struct kept_mail *k)
{
	struct world *w = loop_world(r->o.loop);
	struct buf why;
	buf_init(&why, 200);
	bool days = r->settings->unread_ms >= 2 * DAY_MS;
	buf_addf(&why, "550 5.4.7 nobody has fetched it from the mailbox in %lld %s",
	    (long long)(r->settings->unread_ms / (days ? DAY_MS : HOUR_MS)),
	    days ? "days" : "hours");
	struct notice_recipient to = {
	    .address = k->recipient, .status = "5.4.7", .reply = buf_span(&why)};
	struct notice n = {NOTICE_FAILED, r->config->policy.hostname, k->message, &to, 1,
	    world_wall(w), w};
	struct message *m = notice_compose(&n);
	buf_clear(&why);
	if (m != NULL && !address(r->config, m, n.now))
		message_unref(&m);
	return m;
}

static bool
is_failed(const struct slice *x)
{
	return strcmp(x->owner, FAILED_OWNER) == 0;
}

/* ---- what is due */

static void
log_gone(const struct retention *r, const struct due *d, const char *what)
{
	char id[SPOOL_ID_LEN + 1];
	spool_id_format(d->message, id);
	LOG(r->o.log, EV_RETENTION, F_STR("mailbox", r->slice->owner),
	    F_INT("uid", d->uid), F_STR("id", id),
	    F_ADDR("from", d->mail != NULL ? d->mail->message->sender : (struct span){0}),
	    F_STR("what", what));
}

static void read_slice(struct retention *r);
static void next_owner(struct retention *r);
static void go_on(struct retention *r);

static void
on_changed(void *arg, enum err e)
{
	struct retention *r = arg;
	r->request = NULL;
	if (e == OK || e == ERR_NOT_FOUND) {
		go_on(r);
		return;
	}
	LOG(r->o.log, EV_FAILED, F_STR("what", "deleting old mail from mailboxes"),
	    F_STR("error", err_text(e)), F_STR("now", "tried again in an hour"));
	slice_drop(r->slice);
	r->slice = NULL;
	timer_set(&r->timer, SWEEP_MS);
}

static void
submit(struct retention *r, struct mail_change *c)
{
	r->request =
	    spool_mail_change_start(r->o.spool, c, loop_inbox(r->o.loop), on_changed, r);
}

/* One mail that goes back; its change carries the notice. */
static void
send_back(struct retention *r, const struct due *d)
{
	struct mail_change *c =
	    mail_change_new(span_str(r->slice->owner), SPAN(MAILBOX_INBOX));
	const char *why = no_notice(d->mail);
	struct message *notice = why == NULL ? compose(r, d->mail) : NULL;
	if (why == NULL && notice == NULL)
		why = "the notice has no route";
	log_gone(r, d, why != NULL ? why : "returned to its sender");
	mail_change_delete(c, d->uid);
	if (notice != NULL) {
		atomic_fetch_add_explicit(
		    &r->o.counters->notices, 1, memory_order_relaxed);
		mail_change_notice(c, notice);
	}
	submit(r, c);
}

/* All that go without a word, at once. */
static void
delete_all(struct retention *r)
{
	struct slice *x = r->slice;
	struct mail_change *c = mail_change_new(span_str(x->owner), SPAN(MAILBOX_INBOX));
	for (; r->at < x->n && (x->due[r->at].picked || !x->back); r->at++) {
		log_gone(r, &x->due[r->at],
		    is_failed(x)           ? "kept long enough"
		    : x->due[r->at].picked ? "fetched long ago"
					   : "never fetched");
		mail_change_delete(c, x->due[r->at].uid);
	}
	submit(r, c);
}

static void
go_on(struct retention *r)
{
	struct slice *x = r->slice;
	while (r->at < x->n) {
		const struct due *d = &x->due[r->at];
		if (d->picked || !x->back) {
			delete_all(r);
			return;
		}
		r->at++;
		if (d->mail != NULL) {
			send_back(r, d);
			return;
		}
		/* Nobody could be told of it: an administrator's business. */
		log_gone(r, d, "kept: the message cannot be read");
	}
	slice_clear(x);
	if (x->more)
		read_slice(r);
	else
		next_owner(r);
}

/* ---- owners */

static void
on_mails(void *arg)
{
	struct slice *x = arg;
	struct retention *r = x->retention;
	r->query = NULL;
	r->at = 0;
	go_on(r);
}

static void
read_slice(struct retention *r)
{
	struct slice *x = r->slice;
	x->next_owner = x->more = false;
	r->query = spool_query_start(
	    r->o.spool, run, on_mails, slice_drop, x, loop_inbox(r->o.loop));
}

static struct wall
before(struct wall now, int64_t ms)
{
	return ms > 0 ? wall_after(now, -ms) : (struct wall){0};
}

static const struct mailbox_config *
settings_of(const struct retention *r)
{
	return directory_settings(r->o.directory, r->config, span_str(r->slice->owner));
}

static void
on_owner(void *arg)
{
	struct slice *x = arg;
	struct retention *r = x->retention;
	r->query = NULL;
	if (x->end) {
		slice_drop(x);
		r->slice = NULL;
		timer_set(&r->timer, SWEEP_MS);
		return;
	}
	const struct mailbox_config *m = settings_of(r);
	struct wall now = world_wall(loop_world(r->o.loop));
	r->settings = m;
	if (is_failed(x)) {
		/* what is not to be kept any more goes at once */
		int64_t ms = r->config->retry.keep_failed_ms;
		x->back = false;
		x->unread_before = x->picked_before = before(now, ms > 0 ? ms : 1);
		x->after = 0;
		read_slice(r);
		return;
	}
	x->back = m->unread == UNREAD_RETURN;
	x->unread_before = before(now, m->unread != UNREAD_STAY ? m->unread_ms : 0);
	x->picked_before = before(now, m->picked_ms);
	x->after = 0;
	if (x->unread_before.ms == 0 && x->picked_before.ms == 0)
		next_owner(r);
	else
		read_slice(r);
}

static void
next_owner(struct retention *r)
{
	r->slice->next_owner = true;
	r->query = spool_query_start(
	    r->o.spool, run, on_owner, slice_drop, r->slice, loop_inbox(r->o.loop));
}

/* Settings that keep everything cost nothing. */
static bool
deletes_anything(const struct retention *r)
{
	const struct config *c = r->config;
	const struct mailbox_config *d = &c->mailbox_default;
	struct mailbox_usage failed;
	spool_mailbox_usage(r->o.spool, SPAN(FAILED_OWNER), &failed);
	bool any = d->unread_ms > 0 || d->picked_ms > 0 || failed.messages > 0;
	for (size_t i = 0; i < c->mailboxes; i++)
		any = any || c->mailbox[i].unread_ms > 0 || c->mailbox[i].picked_ms > 0;
	return any;
}

/* Mail is not thrown away because a clock ran ahead: what it says is believed when it has
 * said so for as long as a sweep takes. */
static bool
clock_jumped(struct retention *r)
{
	struct wall wall = world_wall(loop_world(r->o.loop));
	struct instant mono = loop_now(r->o.loop);
	bool jumped =
	    r->wall.ms != 0 &&
	    wall_since(wall, r->wall) - instant_since(mono, r->mono) > CLOCK_JUMP_MS;
	r->wall = wall;
	r->mono = mono;
	if (jumped)
		LOG(r->o.log, EV_LIMIT, F_STR("what", "the clock jumped ahead"),
		    F_STR("now", "no mail is deleted from mailboxes for an hour"));
	return jumped;
}

static void
on_timer(void *arg)
{
	struct retention *r = arg;
	if (clock_jumped(r)) {
		timer_set(&r->timer, SWEEP_MS);
		return;
	}
	if (!deletes_anything(r) || !directory_ready(r->o.directory)) {
		timer_set(&r->timer, FIRST_MS);
		return;
	}
	r->slice = NEW(struct slice);
	r->slice->retention = r;
	next_owner(r);
}

/* ---- life */

struct retention *
retention_new(const struct retention_options *o)
{
	struct retention *r = NEW(struct retention);
	r->o = *o;
	r->config = config_ref(o->config);
	timer_init(&r->timer, o->loop, on_timer, r);
	timer_set(&r->timer, FIRST_MS);
	return r;
}

void
retention_free(struct retention **rp)
{
	struct retention *r = *rp;
	if (r == NULL)
		return;
	timer_clear(&r->timer);
	spool_cancel(&r->request);
	if (r->query != NULL)
		spool_cancel_query(&r->query); /* slice_drop() when it is over */
	else if (r->slice != NULL)
		slice_drop(r->slice);
	config_unref(&r->config);
	mem_free(rp);
}

/* A sweep that is under way goes on by the settings of each next owner. */
void
retention_reload(struct retention *r, const struct config *config)
{
	const struct config *old = r->config;
	r->config = config_ref(config);
	if (r->slice != NULL) /* its owner's settings may have been the old ones' */
		r->settings = settings_of(r);
	config_unref(&old);
}
