/* SPDX-License-Identifier: ISC */
/* show - messages in words and in JSON. */
#include "relay/control/show.h"

#include "relay/egress/backoff.h"
#include "relay/egress/egress.h"

const char *
recipient_state_name(const struct recipient *r)
{
	switch (r->state) {
	case RECIPIENT_HELD: return "held";
	case RECIPIENT_ASIDE: return "aside";
	case RECIPIENT_WAITING: break;
	}
	return r->attempts > 0 ? "deferred" : "new";
}

static void
put_time(struct json *j, const char *name, struct wall t)
{
	if (t.ms == 0) {
		json_nothing(j, name);
		return;
	}
	struct buf b;
	buf_init(&b, 64);
	wall_add_iso(&b, t);
	json_str(j, name, buf_span(&b));
	buf_clear(&b);
}

static struct wall
next_attempt(const struct show *s, const struct message *m, const struct recipient *r)
{
	if (r->state != RECIPIENT_WAITING)
		return (struct wall){0};
	if (s->scheduler != NULL)
		return scheduler_next_attempt(s->scheduler, m, r);
	return r->due;
}

static void
put_recipient(struct json *j, const struct show *s, const struct message *m,
    const struct recipient *r)
{
	json_open(j, '{');
	json_str(j, "address", r->address);
	json_cstr(j, "state", recipient_state_name(r));
	if (!s->brief)
		json_int(j, "attempts", r->attempts);
	put_time(j, "next_attempt", next_attempt(s, m, r));
	json_str(j, "delay_reason", r->reply);
	if (s->full) {
		json_str(j, "host", r->host);
		put_time(j, "first_try", r->first_try);
		put_time(j, "last_try", r->last_try);
		json_str(j, "orcpt", r->orcpt);
	}
	if (!s->brief)
		json_str(j, "destination", r->dest);
	json_close(j, '}');
}

static void
put_envelope(struct json *j, const struct show *s, const struct message *m)
{
	json_str(j, "client", m->client);
	json_str(j, "helo", m->helo);
	json_str(j, "protocol", m->protocol);
	json_str(j, "listener", m->listener);
	json_str(j, "envid", m->envid);
	json_bool(j, "smtputf8", (m->flags & MESSAGE_SMTPUTF8) != 0);
	json_bool(j, "notice", (m->flags & MESSAGE_NOTICE) != 0);
	json_str(j, "added_headers", m->prefix);
	if (s->config != NULL)
		put_time(j, "expires",
		    backoff_expiry(&s->config->retry, m->arrival, m->sender.n == 0));
}

static const char *
queue_name(const struct message *m)
{
	for (size_t i = 0; i < m->rcpts; i++)
		if (m->rcpt[i].state != RECIPIENT_WAITING)
			return "hold";
	for (size_t i = 0; i < m->rcpts; i++)
		if (m->rcpt[i].attempts > 0)
			return "deferred";
	return "active";
}

void
show_message(struct json *j, const struct show *s, const struct message *m,
    const uint16_t *index, size_t n)
{
	char id[SPOOL_ID_LEN + 1];
	spool_id_format(m->id, id);
	json_open(j, '{');
	if (!s->brief)
		json_cstr(j, "queue_name", queue_name(m));
	json_cstr(j, "queue_id", id);
	if (!s->brief)
		json_int(j, "arrival_time", m->arrival.ms / 1000);
	json_int(j, "age_s", wall_since(s->now, m->arrival) / 1000);
	json_int(j, "message_size", (int64_t)(m->size + m->prefix.n));
	json_str(j, "sender", m->sender);
	if (s->full)
		put_envelope(j, s, m);
	json_open_as(j, "recipients", '[');
	for (size_t i = 0; i < n; i++) {
		const struct recipient *r = message_find_rcpt(m, index[i]);
		if (r != NULL)
			put_recipient(j, s, m, r);
	}
	json_close(j, ']');
	json_close(j, '}');
}

static void
why_arrived(struct buf *out, const struct message *m, struct wall now)
{
	buf_add_str(out, "It arrived ");
	duration_add(out, wall_since(now, m->arrival));
	buf_add_str(out, " ago from ");
	buf_add_escaped(out, m->client.n ? m->client : SPAN("this relay itself"));
	buf_add_str(out, " (sender <");
	buf_add_escaped(out, m->sender);
	buf_add_str(out, ">). ");
}

static void
why_attempts(struct buf *out, const struct recipient *r, struct wall now)
{
	if (r->attempts == 0) {
		buf_add_str(out, "It has not been tried yet. ");
		return;
	}
	buf_addf(out, "It was tried %u time%s, last ", r->attempts,
	    r->attempts == 1 ? "" : "s");
	duration_add(out, wall_since(now, r->last_try));
	buf_add_str(out, " ago");
	if (r->host.n > 0) {
		buf_add_str(out, " at ");
		buf_add_escaped(out, r->host);
	}
	buf_add_str(out, ": ");
	buf_add_escaped(out, r->reply.n ? r->reply : SPAN("no answer"));
	buf_add_str(out, ". ");
}

void
show_why(struct buf *out, const struct show *s, const struct message *m,
    const struct recipient *r)
{
	why_arrived(out, m, s->now);
	why_attempts(out, r, s->now);
	if (s->scheduler != NULL)
		scheduler_explain(s->scheduler, m, r, out);
	else
		buf_add_str(
		    out, "relayd is not running: nothing moves until it is started.");
	if (s->config != NULL) {
		struct wall end =
		    backoff_expiry(&s->config->retry, m->arrival, m->sender.n == 0);
		buf_addf(out, " It is given up, %s, at ",
		    m->sender.n ? "and its sender told" : "without a notice");
		wall_add_local(out, end);
		buf_add_str(out, ".");
	}
}

void
show_stat(struct json *j, const struct spool_stat *s)
{
	json_open(j, '{');
	json_int(j, "messages", (int64_t)s->messages);
	json_int(j, "recipients", (int64_t)s->recipients);
	json_int(j, "held_messages", (int64_t)s->kept);
	json_int(j, "mails", (int64_t)s->mails);
	json_int(j, "destinations", (int64_t)s->destinations);
	json_int(j, "bytes", (int64_t)s->bytes);
	json_int(j, "file_bytes", (int64_t)s->file_bytes);
	json_int(j, "used_pages", (int64_t)s->used_pages);
	json_int(j, "free_pages", (int64_t)s->free_pages);
	json_int(j, "disk_free", (int64_t)s->disk_free);
	json_close(j, '}');
}
