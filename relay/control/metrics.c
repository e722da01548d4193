/* SPDX-License-Identifier: ISC */
/*
 * metrics - /metrics in the Prometheus text format 0.0.4.  Names never change their
 * meaning; each is in relayd-metrics(7).  Nothing is counted here: all of it stands in
 * counters already, in the last reading of the spool's figures, or in the last survey.
 */
#include <inttypes.h>
#include <sys/resource.h>

#include "base/hand.h"
#include "base/mem.h"
#include "relay/control/page_private.h"
#include "relay/version.h"

/* ---- the format */

static void
head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
one(struct buf *b, const char *name, const char *type, const char *help, uint64_t value)
{
	head(b, name, type, help);
	buf_addf(b, "%s %" PRIu64 "\n", name, value);
}

static void
counter(struct buf *b, const char *name, const char *help, uint64_t value)
{
	one(b, name, "counter", help, value);
}

static void
gauge(struct buf *b, const char *name, const char *help, uint64_t value)
{
	one(b, name, "gauge", help, value);
}

/* value / unit as a decimal: unit is a power of ten. */
static void
put_decimal(struct buf *b, uint64_t value, uint64_t unit)
{
	buf_addf(b, "%" PRIu64, value / unit);
	if (value % unit == 0)
		return;
	buf_add_char(b, '.');
	for (uint64_t rest = value % unit; rest > 0; rest = rest * 10 % unit)
		buf_add_char(b, (char)('0' + rest * 10 / unit));
}

static void
seconds(struct buf *b, const char *name, const char *type, const char *help, int64_t ms)
{
	head(b, name, type, help);
	buf_addf(b, "%s ", name);
	put_decimal(b, ms > 0 ? (uint64_t)ms : 0, 1000);
	buf_add_char(b, '\n');
}

static void
histogram(struct buf *b, const char *name, const char *help, const struct histogram *h,
    uint64_t unit)
{
	struct histogram_reading r;
	histogram_read(h, &r);
	head(b, name, "histogram", help);
	for (size_t i = 0; i < h->bounds; i++) {
		buf_addf(b, "%s_bucket{le=\"", name);
		put_decimal(b, h->bound[i], unit);
		buf_addf(b, "\"} %" PRIu64 "\n", r.up_to[i]);
	}
	uint64_t all = r.up_to[h->bounds];
	buf_addf(b, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum ", name, all, name);
	put_decimal(b, r.sum, unit);
	buf_addf(b, "\n%s_count %" PRIu64 "\n", name, all);
}

/* A label's value: names of listeners may hold anything. */
static void
put_label(struct buf *b, const char *value)
{
	for (; *value != '\0'; value++) {
		if (*value == '\n') {
			buf_add_str(b, "\\n");
			continue;
		}
		if (*value == '"' || *value == '\\')
			buf_add_char(b, '\\');
		buf_add_char(b, *value);
	}
}

static void
labelled(struct buf *b, const char *name, const char *label, const char *value,
    uint64_t number)
{
	buf_addf(b, "%s{%s=\"", name, label);
	put_label(b, value);
	buf_addf(b, "\"} %" PRIu64 "\n", number);
}

/* ---- the process */

static void
put_process(struct buf *b, const struct page *p)
{
	struct rusage u;
	if (getrusage(RUSAGE_SELF, &u) == 0) {
		int64_t ms = ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
			     (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
		seconds(b, "process_cpu_seconds_total", "counter",
		    "Processor time that relayd has used, all threads.", ms);
		gauge(b, "process_resident_memory_max_bytes",
		    "The most memory that relayd has had in use.",
		    (uint64_t)u.ru_maxrss * 1024);
	}
	seconds(b, "process_start_time_seconds", "gauge", "When relayd was started.",
	    p->started.ms);
	head(b, "relayd_build_info", "gauge", "Always 1; says which version runs.");
	labelled(b, "relayd_build_info", "version", RELAYD_VERSION, 1);
	gauge(b, "relayd_watchdog_still_threads",
	    "Threads that have not come round for half a minute: must be 0.",
	    p->o.host.still != NULL ? p->o.host.still(p->o.host.arg) : 0);
	gauge(b, "relayd_ready", "1 while mail is taken, else 0, as /readyz.",
	    p->o.host.not_ready(p->o.host.arg) == NULL);
	gauge(b, "relayd_memory_content_bytes",
	    "Messages held in memory until their first delivery attempt.",
	    page_load(&p->o.budget->used));
	gauge(b, "relayd_memory_content_limit_bytes",
	    "Over this, messages are read back from the spool.", p->o.budget->limit);
}

/* ---- mail coming in */

static void
put_in(struct buf *b, const struct page *p)
{
	const struct ingress_counters *in = p->o.ingress;
	counter(b, "relayd_accepted_messages_total", "Messages on disk and acknowledged.",
	    page_load(&in->messages));
	counter(b, "relayd_accepted_recipients_total", "Their recipients.",
	    page_load(&in->recipients));
	counter(b, "relayd_accepted_bytes_total", "Their size.", page_load(&in->bytes));
	counter(b, "relayd_refused_total",
	    "Messages, senders and recipients that were refused, for now or for good.",
	    page_load(&in->refused));
	counter(b, "relayd_turned_away_total",
	    "Clients refused at connect, by a limit or by policy.",
	    page_load(&in->turned_away));
	gauge(b, "relayd_sessions", "Open connections of clients, all protocols.",
	    p->o.host.sessions(p->o.host.arg));
	head(b, "relayd_connections_total", "counter", "Connections by listener.");
	for (size_t i = 0; i < COUNT_OF(in->listener) && in->listener[i].name; i++)
		labelled(b, "relayd_connections_total", "listener", in->listener[i].name,
		    page_load(&in->listener[i].connections));
}

static const char *const tls_names[TLS_VERSIONS] = {"1.0", "1.1", "1.2", "1.3"};

static void
put_versions(struct buf *b, const char *protocol, const atomic_uint_fast64_t *n)
{
	for (size_t i = 0; i < TLS_VERSIONS; i++)
		buf_addf(b,
		    "relayd_tls_handshakes_total{protocol=\"%s\",version=\"%s\"} %" PRIu64
		    "\n",
		    protocol, tls_names[i], page_load(&n[i]));
}

static void
put_signins(struct buf *b, const char *protocol, uint64_t good, uint64_t bad)
{
	buf_addf(b,
	    "relayd_signins_total{protocol=\"%s\",result=\"ok\"} %" PRIu64
	    "\nrelayd_signins_total{protocol=\"%s\",result=\"failed\"} %" PRIu64 "\n",
	    protocol, good, protocol, bad);
}

static void
put_doors(struct buf *b, const struct page *p)
{
	const struct ingress_counters *in = p->o.ingress;
	const struct pickup_counters *out = p->o.pickup;
	head(b, "relayd_tls_handshakes_total", "counter",
	    "TLS handshakes of clients, by version; pickup is POP3 and IMAP.");
	put_versions(b, "smtp", in->tls);
	put_versions(b, "pickup", out->tls);
	head(b, "relayd_tls_failures_total", "counter", "Those that failed.");
	labelled(b, "relayd_tls_failures_total", "protocol", "smtp",
	    page_load(&in->tls_failed));
	labelled(b, "relayd_tls_failures_total", "protocol", "pickup",
	    page_load(&out->tls_failed));
	head(
	    b, "relayd_signins_total", "counter", "Clients that signed in, or tried to.");
	put_signins(b, "smtp", page_load(&in->signins), page_load(&in->failed_signins));
	put_signins(b, "pickup", page_load(&out->logins), page_load(&out->failed_logins));
}

/* ---- mail going out */

static void
put_out(struct buf *b, const struct page *p)
{
	const struct egress_counters *out = p->o.egress;
	counter(b, "relayd_delivery_attempts_total",
	    "Attempts to deliver: one message to one destination each.",
	    page_load(&out->attempts));
	counter(b, "relayd_delivered_recipients_total",
	    "Recipients that a next hop or a mailbox has taken.",
	    page_load(&out->delivered));
	counter(b, "relayd_deferred_recipients_total",
	    "Attempts for a recipient that will be made again.",
	    page_load(&out->deferred));
	head(b, "relayd_bounced_recipients_total", "counter",
	    "Recipients that failed for good, by the subject of the status (RFC 3463).");
	for (unsigned i = 0; i < BOUNCE_CLASSES; i++)
		labelled(b, "relayd_bounced_recipients_total", "class",
		    bounce_class_name((enum bounce_class)i),
		    page_load(&out->bounced_by[i]));
	head(b, "relayd_outgoing_connections_total", "counter",
	    "Connections to next hops that mail could be sent on, by TLS version.");
	labelled(b, "relayd_outgoing_connections_total", "tls", "none",
	    page_load(&out->clear));
	for (size_t i = 0; i < TLS_VERSIONS; i++)
		labelled(b, "relayd_outgoing_connections_total", "tls", tls_names[i],
		    page_load(&out->tls[i]));
	counter(b, "relayd_outgoing_tls_failures_total",
	    "Those that TLS has kept from that: not offered, failed, not to be trusted.",
	    page_load(&out->tls_failed));
	counter(b, "relayd_notices_total", "Notices written to senders.",
	    page_load(&out->notices));
	counter(b, "relayd_possible_duplicates_total",
	    "Links that broke after the final dot: the next hop may have taken the "
	    "message.",
	    page_load(&out->duplicates));
	histogram(b, "relayd_time_in_queue_seconds",
	    "From arrival to delivery, of each delivered recipient.", &out->seconds,
	    1000);
}

static void
put_destinations(struct buf *b, const struct page *p)
{
	struct scheduler_status s;
	scheduler_status(p->o.scheduler, &s);
	gauge(b, "relayd_destinations", "Destinations that something waits for.",
	    s.destinations);
	gauge(b, "relayd_destinations_down", "Those that cannot be reached.", s.down);
	gauge(b, "relayd_destinations_paused", "Those that an administrator has paused.",
	    s.paused);
	gauge(b, "relayd_deliveries_running", "Deliveries under way.", s.running);
	gauge(b, "relayd_deliveries_ready", "Deliveries that wait for a free connection.",
	    s.ready);
	const struct egress_counters *out = p->o.egress;
	counter(b, "relayd_schedule_fetches_total",
	    "Slices of the schedule that were read from the spool.",
	    page_load(&out->fetches));
	counter(b, "relayd_schedule_rows_total", "Rows in them.", page_load(&out->rows));
	gauge(b, "relayd_damaged_entries",
	    "Messages that are damaged in the spool and not tried.", s.stuck);
	uint64_t id[HAND_SUSPECTS], condemned = 0;
	size_t suspects = hand_suspects(id);
	for (size_t i = 0; i < suspects; i++)
		condemned += hand_condemned(id[i]);
	gauge(b, "relayd_crash_suspects",
	    "Messages that relayd had in hand at one crash, and that are tried alone.",
	    suspects - condemned);
	gauge(b, "relayd_crash_set_aside",
	    "Messages that are set aside because relayd has crashed of them.", condemned);
}

static void
put_dns(struct buf *b, const struct page *p)
{
	const struct resolver_counters *r = p->o.resolver;
	head(b, "relayd_dns_lookups_total", "counter",
	    "Look-ups of next hops, by outcome.");
	for (unsigned i = 0; i < MX_OUTCOMES; i++)
		labelled(b, "relayd_dns_lookups_total", "outcome",
		    mx_outcome_name((enum mx_outcome)i), page_load(&r->outcome[i]));
	counter(b, "relayd_dns_cached_total", "Look-ups for which nothing was asked.",
	    page_load(&r->cached));
}

/* ---- what waits */

static void
put_survey(struct buf *b, const struct page *p)
{
	static const char name[] = "relayd_queue_recipients";
	const struct survey *s = &p->survey;
	if (!s->known)
		return;
	head(b, name, "gauge",
	    "Recipients that wait, by state and by age since arrival (up to; each "
	    "once).");
	for (unsigned i = 0; i < SURVEY_STATES; i++)
		for (unsigned k = 0; k < SURVEY_AGES; k++)
			buf_addf(b, "%s{state=\"%s\",age=\"%s\"} %" PRIu64 "\n", name,
			    survey_state_name[i], survey_age_name[k],
			    s->last.recipients[i][k]);
	struct wall now = world_wall(loop_world(p->o.loop));
	seconds(b, "relayd_queue_oldest_seconds", "gauge",
	    "Age of the oldest message that waits; 0: nothing does.",
	    s->last.oldest.ms ? wall_since(now, s->last.oldest) : 0);
	gauge(b, "relayd_watchdog_stuck_recipients",
	    "Recipients that wait, and that nobody will come back for: must be 0.",
	    s->stuck);
	seconds(b, "relayd_survey_age_seconds", "gauge",
	    "When the queue was last walked for these figures.",
	    instant_since(loop_now(p->o.loop), s->finished));
	seconds(b, "relayd_survey_duration_seconds", "gauge", "How long that took.",
	    s->took_ms);
}

static void
put_spool(struct buf *b, const struct page *p)
{
	const struct spool_stat *s = &p->figures.stat;
	const struct spool_meters *m = spool_meters(p->o.spool);
	const struct spool_config *c = &page_config(p)->spool;
	histogram(b, "relayd_spool_commit_seconds",
	    "Time of a commit, both its flushes included.", &m->commit_us, 1000000);
	histogram(b, "relayd_spool_batch_requests", "Changes that shared one commit.",
	    &m->batch, 1);
	if (!p->figures.known)
		return;
	gauge(b, "relayd_queue_messages", "Messages that wait for delivery.",
	    s->messages - s->kept);
	counter(b, "relayd_spool_commits_total", "Commits; each flushes the disk twice.",
	    s->commits);
	counter(b, "relayd_spool_requests_total", "Changes that were asked for.",
	    s->requests);
	gauge(b, "relayd_spool_bytes", "What the quota counts.", s->bytes);
	gauge(b, "relayd_spool_max_bytes", "The quota; 0: none.", c->max_size);
	gauge(b, "relayd_spool_file_bytes", "Size of the spool's main file.",
	    s->file_bytes);
	head(b, "relayd_spool_pages", "gauge", "Pages of that file.");
	labelled(b, "relayd_spool_pages", "state", "used", s->used_pages);
	labelled(b, "relayd_spool_pages", "state", "free", s->free_pages);
	gauge(b, "relayd_spool_disk_free_bytes", "Free space of the spool's file system.",
	    s->disk_free);
	gauge(b, "relayd_spool_min_free_bytes",
	    "With less free space new mail is turned away.", c->min_free);
	gauge(b, "relayd_mailbox_mails", "Mails in all mailboxes.", s->mails);
}

static void
put_pickup(struct buf *b, const struct page *p)
{
	const struct pickup_counters *c = p->o.pickup;
	counter(b, "relayd_pickup_sessions_total", "Sessions of POP3 and IMAP.",
	    page_load(&c->sessions));
	counter(b, "relayd_pickup_retrieved_total", "Messages fetched by POP3.",
	    page_load(&c->retrieved));
	counter(b, "relayd_pickup_deleted_total", "Messages deleted by POP3.",
	    page_load(&c->deleted));
	counter(b, "relayd_pickup_bytes_total", "Octets of messages fetched by POP3.",
	    page_load(&c->octets));
}

void
metrics_write(struct page *p, struct buf *out)
{
	put_process(out, p);
	put_in(out, p);
	put_doors(out, p);
	put_out(out, p);
	put_destinations(out, p);
	put_dns(out, p);
	put_survey(out, p);
	put_spool(out, p);
	put_pickup(out, p);
}

/* ---- a scrape */

struct scrape {
	struct figures_wait wait;
	struct page *page;
	struct http_client *client;
};

static void
on_gone(void *arg)
{
	struct scrape *s = arg;
	list_remove(&s->wait.link);
	mem_free(&s);
}

static void
on_figures(void *arg)
{
	struct scrape *s = arg;
	struct buf b;
	buf_init(&b, 1u << 20);
	metrics_write(s->page, &b);
	struct http_reply r = {.status = 200,
	    .type = "text/plain; version=0.0.4; charset=utf-8",
	    .body = buf_span(&b)};
	http_answer(s->client, &r);
	buf_clear(&b);
	mem_free(&s);
}

void
metrics_serve(struct page *p, struct http_client *c)
{
	struct scrape *s = NEW(struct scrape);
	s->page = p;
	s->client = c;
	s->wait.told = on_figures;
	s->wait.arg = s;
	http_on_gone(c, on_gone, s);
	figures_want(p, &s->wait);
}
