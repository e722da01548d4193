/* SPDX-License-Identifier: ISC */
/* failed - see failed.h. */
#include "relay/egress/failed.h"

#include "base/mem.h"
#include "spool/mailbox.h"

#define MORE 60 /* octets of the field that tells of more */

/* What comes from outside may hold anything: no line can begin in it. */
static void
add_text(struct buf *out, struct span text)
{
	buf_add_escaped(out, span_cut(text, 0, 300));
}

static void
add_recipient(const struct recipient *r, const struct outcome *o, struct buf *out)
{
	bool now = o->reply.n > 0;
	struct span reply = now ? o->reply : r->reply, host = now ? o->host : r->host;
	buf_add_str(out, "X-Relay-To: <");
	add_text(out, r->address);
	buf_addf(out, ">;\r\n state=failed; attempts=%u;\r\n route=\"",
	    r->attempts + (o->attempted ? 1 : 0));
	add_text(out, r->dest);
	buf_add_str(out, "\"");
	if (host.n > 0) {
		buf_add_str(out, ";\r\n host=\"");
		add_text(out, host);
		buf_add_str(out, "\"");
	}
	if (reply.n > 0) {
		buf_add_str(out, ";\r\n reply=\"");
		add_text(out, reply);
		buf_add_str(out, "\"");
	}
	buf_add_str(out, "\r\n");
}

static void
add_head(const struct message *m, struct wall when, struct buf *out)
{
	char id[SPOOL_ID_LEN + 1];
	spool_id_format(m->id, id);
	buf_addf(out, "X-Relay-Id: %s\r\nX-Relay-From: <", id);
	add_text(out, m->sender);
	buf_add_str(out, ">\r\nX-Relay-Arrival: ");
	wall_add_rfc5322(out, m->arrival);
	buf_add_str(out, "\r\nX-Relay-Failed: ");
	wall_add_rfc5322(out, when);
	buf_add_str(out, "\r\n");
}

/* Whether there was room for it. */
static bool
add_if_fits(const struct recipient *r, const struct outcome *o, struct buf *out)
{
	struct buf one;
	buf_init(&one, 0);
	add_recipient(r, o, &one);
	bool fits = out->n + one.n + MORE <= MAIL_PREFIX_MAX;
	if (fits)
		buf_add_span(out, buf_span(&one));
	buf_clear(&one);
	return fits;
}

void
failed_keep(const struct spool *s, const struct config *c, struct report *r,
    const struct message *m)
{
	struct mailbox_usage held;
	struct buf own;
	const struct recipient *first = NULL;
	size_t at = 0, shown = 0, more = 0;
	if (c->retry.keep_failed_ms == 0 || m == NULL)
		return;
	spool_mailbox_usage(s, SPAN(FAILED_OWNER), &held);
	if (held.messages >= FAILED_MAX)
		return;
	buf_init(&own, 0);
	for (size_t i = 0; i < r->outcomes; i++) {
		const struct outcome *o = &r->outcome[i];
		const struct recipient *to = message_find_rcpt(m, o->index);
		if (o->kind != OUTCOME_FAILED || to == NULL)
			continue;
		if (first == NULL) {
			first = to;
			at = i;
			add_head(m, r->when, &own);
		}
		if (shown < FAILED_RCPTS_SHOWN && add_if_fits(to, o, &own))
			shown++;
		else
			more++;
	}
	if (more > 0)
		buf_addf(&own, "X-Relay-More: %zu recipients\r\n", more);
	if (first != NULL)
		report_keep(r, at,
		    &(struct drop){SPAN(FAILED_OWNER), first->address, buf_span(&own)});
	buf_clear(&own);
}
