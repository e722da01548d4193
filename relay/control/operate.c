/* SPDX-License-Identifier: ISC */
/*
 * operate - the relay as a whole: drained before a machine goes down, its spool
 * measured, its files kept while relayctl copies them.
 */
#include "base/mem.h"
#include "base/units.h"
#include "relay/control/client.h"

/* ---- drain: no new mail, until nothing is ready any more */

#define DRAIN_LOOK_MS 100
#define DRAIN_TELL_MS SECOND_MS
#define DRAIN_MS (10 * MINUTE_MS)

struct draining {
	struct control_client *client;
	struct timer look;
	struct instant began, told;
	int64_t most_ms;
	bool dry;                            /* only said */
	int64_t delivered, deferred, failed; /* when it began */
	unsigned running, ready;             /* now */
	struct spool_query *query;
	struct spool_stat stat;
	enum err err;
};

static int64_t
load(const atomic_uint_fast64_t *v)
{
	return (int64_t)atomic_load_explicit(v, memory_order_relaxed);
}

static void
draining_free(void *arg)
{
	struct draining *d = arg;
	timer_clear(&d->look);
	mem_free(&d);
}

static void
draining_gone(struct control_client *cc)
{
	struct draining *d = cc->command;
	timer_clear(&d->look);
	if (d->query != NULL)
		spool_cancel_query(&d->query); /* draining_free comes as its drop */
	else
		draining_free(d);
}

/* What a destination that works still has to do; one that is down or paused waits for
 * its time, however long we do. */
static void
count_ready(void *arg, const struct destination_view *v)
{
	struct draining *d = arg;
	d->running += (unsigned)v->running;
	if (span_eq(span_str(v->state), SPAN("up")))
		d->ready += (unsigned)v->ready;
}

static void
put_work(struct json *j, const struct draining *d)
{
	const struct egress_counters *e = d->client->control->egress;
	json_int(j, "running", d->running);
	json_int(j, "ready", d->ready);
	json_int(j, "delivered", load(&e->delivered) - d->delivered);
	json_int(j, "deferred", load(&e->deferred) - d->deferred);
	json_int(j, "failed", load(&e->failed) - d->failed);
}

static void
drain_stat(struct spool_reader *r, void *arg)
{
	struct draining *d = arg;
	d->err = spool_read_stat(r, &d->stat);
}

static void
drain_report(void *arg)
{
	struct draining *d = arg;
	struct control_client *cc = d->client;
	bool empty = d->running == 0 && d->ready == 0;
	d->query = NULL;
	struct json *j = control_line(cc);
	json_open(j, '{');
	json_bool(j, "drained", empty && !d->dry);
	if (d->dry)
		json_bool(j, "dry_run", true);
	put_work(j, d);
	if (d->err == OK)
		json_int(j, "waiting", (int64_t)d->stat.recipients);
	json_int(j, "sessions", cc->control->host.sessions(cc->control->host.arg));
	json_close(j, '}');
	control_send(cc);
	cc->command = NULL;
	bool fine = empty || d->dry;
	draining_free(d);
	control_end(cc, fine ? 0 : 1,
	    fine ? NULL
		 : "there is mail under way still; new mail stays refused: ask again, or "
		   "relayctl resume in");
}

static void
drain_look(void *arg)
{
	struct draining *d = arg;
	struct control *c = d->client->control;
	struct instant now = loop_now(c->loop);
	d->running = d->ready = 0;
	scheduler_each_destination(c->scheduler, count_ready, d);
	if ((d->running == 0 && d->ready == 0) ||
	    instant_since(now, d->began) >= d->most_ms) {
		d->query = spool_query_start(c->spool, drain_stat, drain_report,
		    draining_free, d, loop_inbox(c->loop));
		return;
	}
	if (instant_since(now, d->told) >= DRAIN_TELL_MS) {
		d->told = now;
		struct json *j = control_line(d->client);
		json_open(j, '{');
		json_bool(j, "progress", true);
		put_work(j, d);
		json_close(j, '}');
		control_send(d->client);
	}
	timer_set(&d->look, DRAIN_LOOK_MS);
}

void
command_drain(struct control_client *cc, const json_t *request)
{
	struct control *c = cc->control;
	const char *text = json_string_value(json_object_get(request, "for"));
	bool dry = json_is_true(json_object_get(request, "dry_run"));
	int64_t most_ms = DRAIN_MS;
	if (text != NULL &&
	    (units_duration(span_str(text), &most_ms) != OK || most_ms <= 0)) {
		control_end(cc, 2, "--for takes a duration with a unit, as in 10m");
		return;
	}
	struct draining *d = NEW(struct draining);
	d->client = cc;
	d->began = d->told = loop_now(c->loop);
	d->most_ms = dry ? 0 : most_ms;
	d->dry = dry;
	d->delivered = load(&c->egress->delivered);
	d->deferred = load(&c->egress->deferred);
	d->failed = load(&c->egress->failed);
	timer_init(&d->look, c->loop, drain_look, d);
	cc->command = d;
	cc->gone = draining_gone;
	if (!dry) {
		c->host.pause_in(c->host.arg, true);
		LOG(c->log, EV_ADMIN, F_STR("what", "drain"), F_INT("uid", cc->uid));
	}
	timer_set(
	    &d->look, 0); /* what was acknowledged before has been heard of by then */
}

/* ---- spool-hold: while the connection lasts, no file goes */

#define HOLD_TELL_MS MINUTE_MS

struct holding {
	struct control_client *client;
	struct timer again;
};

static void
hold_tell(void *arg)
{
	struct holding *h = arg;
	struct json *j = control_line(h->client);
	json_open(j, '{');
	json_bool(j, "held", true);
	json_close(j, '}');
	control_send(h->client);
	timer_set(&h->again, HOLD_TELL_MS);
}

static void
hold_gone(struct control_client *cc)
{
	struct holding *h = cc->command;
	timer_clear(&h->again);
	spool_keep_files(cc->control->spool, false);
	mem_free(&h);
}

void
command_spool_hold(struct control_client *cc, const json_t *request)
{
	struct control *c = cc->control;
	struct holding *h = NEW(struct holding);
	(void)request;
	h->client = cc;
	timer_init(&h->again, c->loop, hold_tell, h);
	cc->command = h;
	cc->gone = hold_gone;
	cc->until_eof = true;
	spool_keep_files(c->spool, true);
	LOG(c->log, EV_ADMIN, F_STR("what", "backup"), F_INT("uid", cc->uid));
	hold_tell(h);
	io_resume(cc->io);
}

/* ---- spool-stat */

struct measured {
	struct control_client *client;
	struct spool_query *query;
	struct spool_stat stat;
	enum err err;
};

static void
measured_free(void *arg)
{
	struct measured *m = arg;
	mem_free(&m);
}

static void
measured_gone(struct control_client *cc)
{
	struct measured *m = cc->command;
	spool_cancel_query(&m->query);
}

static void
measure(struct spool_reader *r, void *arg)
{
	struct measured *m = arg;
	m->err = spool_read_stat(r, &m->stat);
}

static void
measure_done(void *arg)
{
	struct measured *m = arg;
	struct control_client *cc = m->client;
	if (m->err == OK) {
		show_stat(control_line(cc), &m->stat);
		control_send(cc);
	}
	cc->command = NULL;
	enum err e = m->err;
	measured_free(m);
	control_end(cc, e == OK ? 0 : 1, e == OK ? NULL : err_text(e));
}

void
command_spool_stat(struct control_client *cc, const json_t *request)
{
	struct measured *m = NEW(struct measured);
	(void)request;
	m->client = cc;
	cc->command = m;
	cc->gone = measured_gone;
	m->query = spool_query_start(cc->control->spool, measure, measure_done,
	    measured_free, m, loop_inbox(cc->control->loop));
}
