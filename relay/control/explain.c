/* SPDX-License-Identifier: ISC */
/* explain - status, and the commands that answer "what would happen". */
#include <string.h>

#include "base/mem.h"
#include "policy/address.h"
#include "relay/control/client.h"
#include "relay/version.h"

#define PROGRESS_MS 200

/* ---- a command that waits for a function in the pool */

struct asked {
	struct control_client *client;
	struct spool_query *query;
	struct spool_stat stat;
	enum err err;
	struct buf text; /* violations, one per line */
	uint64_t found;
	struct timer tell;                /* how far it is; not set: nobody asked */
	atomic_uint_fast64_t done, total; /* written in the pool */
};

static void
asked_free(void *arg)
{
	struct asked *a = arg;
	timer_clear(&a->tell);
	buf_clear(&a->text);
	mem_free(&a);
}

static void
asked_gone(struct control_client *cc)
{
	struct asked *a = cc->command;
	timer_clear(&a->tell);
	spool_cancel_query(&a->query); /* asked_free comes as its drop */
}

static void tell_progress(void *arg);

static struct asked *
ask_spool(struct control_client *cc, void (*run)(struct spool_reader *, void *),
    void (*done)(void *))
{
	struct asked *a = NEW(struct asked);
	a->client = cc;
	buf_init(&a->text, 512u << 10);
	timer_init(&a->tell, cc->control->loop, tell_progress, a);
	cc->command = a;
	cc->gone = asked_gone;
	a->query = spool_query_start(
	    cc->control->spool, run, done, asked_free, a, loop_inbox(cc->control->loop));
	return a;
}

/* ---- status */

static void
stat_run(struct spool_reader *r, void *arg)
{
	struct asked *a = arg;
	a->err = spool_read_stat(r, &a->stat);
}

static int64_t
load(const atomic_uint_fast64_t *v)
{
	return (int64_t)atomic_load_explicit(v, memory_order_relaxed);
}

static void
put_spool(struct json *j, const struct spool_stat *s)
{
	json_open_as(j, "spool", '{');
	json_int(j, "messages", (int64_t)s->messages);
	json_int(j, "held_messages", (int64_t)s->kept);
	json_int(j, "mails", (int64_t)s->mails);
	json_int(j, "recipients", (int64_t)s->recipients);
	json_int(j, "bytes", (int64_t)s->bytes);
	json_int(j, "file_bytes", (int64_t)s->file_bytes);
	json_int(j, "disk_free", (int64_t)s->disk_free);
	json_int(j, "commits", (int64_t)s->commits);
	json_int(j, "requests", (int64_t)s->requests);
	json_int(j, "flush_us", (int64_t)s->flush_us_total);
	json_close(j, '}');
}

static void
put_traffic(struct json *j, struct control *c)
{
	json_open_as(j, "in", '{');
	json_int(j, "sessions", c->host.sessions(c->host.arg));
	json_bool(j, "paused", c->host.paused_in(c->host.arg));
	json_int(j, "connections", load(&c->ingress->connections));
	json_int(j, "turned_away", load(&c->ingress->turned_away));
	json_int(j, "messages", load(&c->ingress->messages));
	json_int(j, "recipients", load(&c->ingress->recipients));
	json_int(j, "bytes", load(&c->ingress->bytes));
	json_int(j, "refused", load(&c->ingress->refused));
	json_close(j, '}');
	json_open_as(j, "out", '{');
	json_int(j, "attempts", load(&c->egress->attempts));
	json_int(j, "delivered", load(&c->egress->delivered));
	json_int(j, "deferred", load(&c->egress->deferred));
	json_int(j, "failed", load(&c->egress->failed));
	json_int(j, "notices", load(&c->egress->notices));
	json_int(j, "possible_duplicates", load(&c->egress->duplicates));
	json_close(j, '}');
}

static void
put_pickup(struct json *j, const struct pickup_counters *p)
{
	if (p == NULL)
		return;
	json_open_as(j, "pickup", '{');
	json_int(j, "sessions", load(&p->sessions));
	json_int(j, "logins", load(&p->logins));
	json_int(j, "failed_logins", load(&p->failed_logins));
	json_int(j, "retrieved", load(&p->retrieved));
	json_int(j, "deleted", load(&p->deleted));
	json_int(j, "bytes", load(&p->octets));
	json_close(j, '}');
}

static void
put_scheduler(struct json *j, const struct scheduler *s)
{
	struct scheduler_status st;
	scheduler_status(s, &st);
	json_open_as(j, "destinations", '{');
	json_int(j, "known", (int64_t)st.destinations);
	json_int(j, "down", (int64_t)st.down);
	json_int(j, "paused", (int64_t)st.paused);
	json_int(j, "running", (int64_t)st.running);
	json_int(j, "ready", (int64_t)st.ready);
	json_int(j, "stuck", (int64_t)st.stuck);
	json_close(j, '}');
}

static void
stat_done(void *arg)
{
	struct asked *a = arg;
	struct control_client *cc = a->client;
	struct json *j = control_line(cc);
	json_open(j, '{');
	json_cstr(j, "version", RELAYD_VERSION);
	json_cstr(j, "hostname", control_config(cc->control)->policy.hostname);
	put_spool(j, &a->stat);
	put_traffic(j, cc->control);
	put_pickup(j, cc->control->pickup);
	put_scheduler(j, cc->control->scheduler);
	json_close(j, '}');
	control_send(cc);
	cc->command = NULL;
	enum err e = a->err;
	asked_free(a);
	control_end(cc, e == OK ? 0 : 1, e == OK ? NULL : err_text(e));
}

void
command_status(struct control_client *cc, const json_t *request)
{
	(void)request;
	(void)ask_spool(cc, stat_run, stat_done);
}

/* ---- spool check */

static void
check_told(void *arg, const char *sentence)
{
	struct asked *a = arg;
	buf_add_str(&a->text, sentence);
	buf_add_char(&a->text, '\n');
}

static void
check_progress(void *arg, uint64_t done, uint64_t total)
{
	struct asked *a = arg;
	atomic_store_explicit(&a->total, total, memory_order_relaxed);
	atomic_store_explicit(&a->done, done, memory_order_relaxed);
}

static void
check_run(struct spool_reader *r, void *arg)
{
	struct asked *a = arg;
	a->err = spool_check(r, check_told, check_progress, a, &a->found);
}

static void
put_progress(struct asked *a)
{
	struct json *j = control_line(a->client);
	json_open(j, '{');
	json_bool(j, "progress", true);
	json_int(j, "done", load(&a->done));
	json_int(j, "total", load(&a->total));
	json_close(j, '}');
	control_send(a->client);
}

static void
tell_progress(void *arg)
{
	struct asked *a = arg;
	put_progress(a);
	timer_set(&a->tell, PROGRESS_MS);
}

static void
check_done(void *arg)
{
	struct asked *a = arg;
	struct control_client *cc = a->client;
	struct span rest = buf_span(&a->text);
	if (timer_is_set(&a->tell))
		put_progress(a);
	while (rest.n > 0) {
		size_t end = span_find(rest, '\n');
		struct json *j = control_line(cc);
		json_open(j, '{');
		json_str(j, "violation", span_cut(rest, 0, end));
		json_close(j, '}');
		control_send(cc);
		rest = span_cut(rest, end + 1, rest.n);
	}
	struct json *j = control_line(cc);
	json_open(j, '{');
	json_int(j, "violations", (int64_t)a->found);
	json_close(j, '}');
	control_send(cc);
	cc->command = NULL;
	bool fine = a->err == OK && a->found == 0;
	asked_free(a);
	control_end(cc, fine ? 0 : 1, fine ? NULL : "the spool is not as it should be");
}

void
command_spool_check(struct control_client *cc, const json_t *request)
{
	struct asked *a = ask_spool(cc, check_run, check_done);
	if (json_is_true(json_object_get(request, "progress")))
		timer_set(&a->tell, PROGRESS_MS);
}

/* ---- dns */

struct dns_command {
	struct control_client *client; /* NULL: gone meanwhile */
};

static void
dns_gone(struct control_client *cc)
{
	((struct dns_command *)cc->command)->client = NULL;
}

static void
dns_host_line(struct control_client *cc, const struct mx_host *h)
{
	char text[NET_TEXT];
	struct json *j = control_line(cc);
	json_open(j, '{');
	json_int(j, "preference", h->preference);
	json_cstr(j, "host", h->name);
	json_open_as(j, "addresses", '[');
	for (size_t i = 0; i < h->addrs; i++) {
		net_format_ip(&h->addr[i], text);
		json_cstr(j, NULL, text);
	}
	json_close(j, ']');
	json_bool(j, "temporary", h->temporary);
	json_close(j, '}');
	control_send(cc);
}

static void
dns_told(void *arg, const struct mx_answer *a)
{
	struct dns_command *q = arg;
	struct control_client *cc = q->client;
	mem_free(&q);
	if (cc == NULL)
		return;
	for (size_t i = 0; i < a->hosts; i++)
		dns_host_line(cc, &a->host[i]);
	struct json *j = control_line(cc);
	json_open(j, '{');
	json_cstr(j, "outcome", mx_outcome_name(a->outcome));
	json_bool(j, "implicit", a->implicit);
	json_bool(j, "cached", a->cached);
	json_cstr(j, "explanation", a->why);
	json_close(j, '}');
	control_send(cc);
	cc->command = NULL;
	control_end(cc, a->outcome == MX_HOSTS ? 0 : 1, NULL);
}

void
command_dns(struct control_client *cc, const json_t *request)
{
	const char *domain = json_string_value(json_object_get(request, "domain"));
	struct buf name;
	buf_init(&name, 300);
	if (domain == NULL || domain_canonical(span_str(domain), &name) != OK) {
		control_end(cc, 2, "say which domain: relayctl dns example.org");
	} else {
		struct dns_command *q = NEW(struct dns_command);
		q->client = cc;
		cc->command = q;
		cc->gone = dns_gone;
		struct control_host *host = &cc->control->host;
		host->dns(host->arg, buf_span(&name), RESOLVE_MX, dns_told, q);
	}
	buf_clear(&name);
}

/* ---- probe */

struct probing {
	struct control_client *client; /* NULL: gone meanwhile */
	bool works;                    /* one host, at least */
};

static void
probe_gone(struct control_client *cc)
{
	((struct probing *)cc->command)->client = NULL;
}

static void
probe_told(void *arg, const struct probe_finding *f)
{
	struct probing *p = arg;
	p->works = p->works || f->ok;
	if (p->client == NULL)
		return;
	struct json *j = control_line(p->client);
	json_open(j, '{');
	json_cstr(j, "host", f->host);
	json_bool(j, "ok", f->ok);
	json_cstr(j, "stage", f->stage);
	json_cstr(j, "text", f->text);
	json_int(j, "ms", f->ms);
	json_close(j, '}');
	control_send(p->client);
}

static void
probe_done(void *arg, const char *why)
{
	struct probing *p = arg;
	struct control_client *cc = p->client;
	bool works = p->works;
	mem_free(&p);
	if (cc == NULL)
		return;
	cc->command = NULL;
	control_end(cc, works && why == NULL ? 0 : 1,
	    why != NULL ? why
	    : works     ? NULL
			: "none of them would have taken mail");
}

/* False: the client has been told what is wrong. */
static bool
can_probe(struct control_client *cc, const char *name, const char *domain)
{
	const struct route_table *t = &control_config(cc->control)->policy.routes;
	const struct route *r = name ? route_named(t, span_str(name)) : NULL;
	if (name == NULL)
		control_end(cc, 2, "say which route: relayctl probe ROUTE [DOMAIN]");
	else if (r == NULL)
		control_endf(cc, 2,
		    "there is no route \"%.60s\"; relayctl route-test FROM TO names the "
		    "one that an address takes",
		    name);
	else if (r->deliver == ROUTE_MX && domain == NULL)
		control_endf(cc, 2,
		    "route \"%.60s\" goes by MX records: say whose, as in relayctl probe "
		    "%.60s example.org",
		    name, name);
	else if (r->deliver != ROUTE_MX && r->deliver != ROUTE_VIA &&
		 r->deliver != ROUTE_LMTP)
		control_endf(cc, 2,
		    "route \"%.60s\" speaks to no other host: nothing to try", name);
	else if (cc->control->host.probe == NULL)
		control_end(cc, 1, "this relayd cannot try next hops");
	else
		return true;
	return false;
}

void
command_probe(struct control_client *cc, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "route"));
	const char *domain = json_string_value(json_object_get(request, "domain"));
	struct buf canonical;
	buf_init(&canonical, 300);
	if (domain != NULL && domain_canonical(span_str(domain), &canonical) != OK) {
		control_end(cc, 2, "that is no domain");
	} else if (can_probe(cc, name, domain)) {
		struct probing *p = NEW(struct probing);
		p->client = cc;
		cc->command = p;
		cc->gone = probe_gone;
		struct control_host *host = &cc->control->host;
		host->probe(host->arg, span_str(name), buf_span(&canonical), probe_told,
		    probe_done, p);
	}
	buf_clear(&canonical);
}
