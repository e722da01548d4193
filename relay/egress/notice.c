/* SPDX-License-Identifier: ISC */
/*
 * notice - composes multipart/report: a text that a person understands, the
 * fields that a program reads, and the original's header or the whole of it.
 */
#include "relay/egress/notice.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "policy/address.h"

struct composer {
	const struct notice *n;
	struct buf out;
	char boundary[40];
	bool utf8; /* an address is not ASCII: RFC 6533 types */
};

static void
put_crlf_line(struct buf *b, const char *text)
{
	buf_add_str(b, text);
	buf_add_str(b, "\r\n");
}

/* Text from outside on one header or body line: control characters become '?'. */
static void
put_clean(struct composer *c, struct span s, size_t max)
{
	for (size_t i = 0; i < s.n && i < max; i++) {
		unsigned char ch = (unsigned char)s.p[i];
		bool fine = (ch >= 0x20 && ch < 0x7f) || (ch >= 0x80 && c->utf8);
		buf_add_char(&c->out, fine ? (char)ch : '?');
	}
}

static void
put_field(struct composer *c, const char *name, struct span value)
{
	buf_addf(&c->out, "%s: ", name);
	put_clean(c, value, 900);
	buf_add_str(&c->out, "\r\n");
}

static void
put_date_field(struct composer *c, const char *name, struct wall t)
{
	buf_addf(&c->out, "%s: ", name);
	wall_add_rfc5322(&c->out, t);
	buf_add_str(&c->out, "\r\n");
}

static bool
is_ascii(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

bool
notice_wanted(enum notice_kind kind, const struct message *m, const struct recipient *r)
{
	if (m->sender.n == 0 || (r->notify & NOTIFY_NEVER))
		return false;
	switch (kind) {
	case NOTICE_FAILED: return r->notify == 0 || (r->notify & NOTIFY_FAILURE);
	case NOTICE_DELAYED: return r->notify == 0 || (r->notify & NOTIFY_DELAY);
	case NOTICE_RELAYED:
	case NOTICE_DELIVERED: return (r->notify & NOTIFY_SUCCESS) != 0;
	}
	return false;
}

static const char *
subject(enum notice_kind kind)
{
	switch (kind) {
	case NOTICE_DELAYED: return "Your mail is delayed, and is still being tried";
	case NOTICE_RELAYED: return "Your mail was passed on";
	case NOTICE_DELIVERED: return "Your mail was delivered";
	case NOTICE_FAILED: break;
	}
	return "Your mail could not be delivered";
}

static void
put_top(struct composer *c)
{
	const struct notice *n = c->n;
	uint64_t unique[2];
	world_random(n->world, unique, sizeof(unique));
	(void)snprintf(
	    c->boundary, sizeof(c->boundary), "=_%016llx", (unsigned long long)unique[0]);
	buf_addf(
	    &c->out, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n", n->hostname);
	buf_add_str(&c->out, "To: <");
	put_clean(c, n->original->sender, PATH_MAX_OCTETS * 2);
	buf_add_str(&c->out, ">\r\n");
	buf_addf(&c->out, "Subject: %s\r\n", subject(n->kind));
	put_date_field(c, "Date", n->now);
	buf_addf(&c->out, "Message-ID: <%016llx.%lld@%s>\r\n",
	    (unsigned long long)unique[1], (long long)n->now.ms, n->hostname);
	put_crlf_line(&c->out, "Auto-Submitted: auto-replied");
	put_crlf_line(&c->out, "MIME-Version: 1.0");
	buf_addf(&c->out,
	    "Content-Type: multipart/report; "
	    "report-type=%sdelivery-status;\r\n\tboundary=\"%s\"\r\n",
	    c->utf8 ? "global-" : "", c->boundary);
	if (c->utf8)
		put_crlf_line(&c->out, "Content-Transfer-Encoding: 8bit");
	put_crlf_line(&c->out, "");
	put_crlf_line(&c->out, "This is a report in MIME format.");
}

static void
put_part(struct composer *c, const char *type)
{
	buf_addf(&c->out, "\r\n--%s\r\nContent-Type: %s\r\n", c->boundary, type);
	if (c->utf8)
		put_crlf_line(&c->out, "Content-Transfer-Encoding: 8bit");
	put_crlf_line(&c->out, "");
}

static void
put_explanation(struct composer *c)
{
	const struct notice *n = c->n;
	buf_addf(&c->out, "This is the mail relay at %s.\r\n\r\n", n->hostname);
	switch (n->kind) {
	case NOTICE_FAILED:
		put_crlf_line(
		    &c->out, "Your message could not be delivered to the following");
		put_crlf_line(&c->out,
		    "recipients. It will not be tried again: if it matters, please");
		put_crlf_line(
		    &c->out, "check the address or the reason below and send it anew.");
		break;
	case NOTICE_DELAYED:
		put_crlf_line(
		    &c->out, "Your message has not been delivered yet to the following");
		put_crlf_line(&c->out,
		    "recipients. You need not do anything: it will be tried again");
		put_crlf_line(&c->out, "and you will be told if it fails for good.");
		break;
	case NOTICE_RELAYED:
		put_crlf_line(
		    &c->out, "Your message was passed on to a mail server that does not");
		put_crlf_line(
		    &c->out, "report deliveries. You may hear no more about it.");
		break;
	case NOTICE_DELIVERED:
		put_crlf_line(&c->out,
		    "Your message is in the mailbox of the following recipients.");
		break;
	}
}

static void
put_person_recipient(struct composer *c, const struct notice_recipient *r)
{
	buf_add_str(&c->out, "\r\n  <");
	put_clean(c, r->address, PATH_MAX_OCTETS * 2);
	buf_add_str(&c->out, ">\r\n");
	if (r->reply.n > 0) {
		if (r->host.n > 0) {
			buf_add_str(&c->out, "    ");
			put_clean(c, r->host, 300);
			buf_add_str(&c->out, " said:\r\n");
		}
		buf_add_str(&c->out, "    ");
		put_clean(c, r->reply, 700);
		buf_add_str(&c->out, "\r\n");
	}
	if (c->n->kind == NOTICE_DELAYED) {
		buf_add_str(&c->out, "    It will be tried until ");
		wall_add_rfc5322(&c->out, r->expires);
		buf_add_str(&c->out, ".\r\n");
	}
}

static void
put_text_part(struct composer *c)
{
	put_part(
	    c, c->utf8 ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii");
	put_explanation(c);
	for (size_t i = 0; i < c->n->rcpts; i++)
		put_person_recipient(c, &c->n->rcpt[i]);
}

static const char *
action(enum notice_kind kind)
{
	switch (kind) {
	case NOTICE_DELAYED: return "delayed";
	case NOTICE_RELAYED: return "relayed";
	case NOTICE_DELIVERED: return "delivered";
	case NOTICE_FAILED: break;
	}
	return "failed";
}

/* "rfc822;a@b" or, for addresses beyond ASCII, "utf-8;ä@b" (RFC 6533 3). */
static void
put_address_field(struct composer *c, const char *name, struct span address)
{
	buf_addf(&c->out, "%s: %s;", name, is_ascii(address) ? "rfc822" : "utf-8");
	put_clean(c, address, PATH_MAX_OCTETS * 2);
	buf_add_str(&c->out, "\r\n");
}

/* ORCPT came as "rfc822;" and xtext; the report shows it decoded (RFC 3464 2.3.1). */
static void
put_original_recipient(struct composer *c, struct span orcpt)
{
	size_t semicolon = span_find(orcpt, ';');
	if (semicolon == orcpt.n)
		return;
	struct buf plain;
	buf_init(&plain, 1024);
	if (xtext_decode(span_cut(orcpt, semicolon + 1, orcpt.n), &plain) == OK) {
		buf_add_str(&c->out, "Original-Recipient: ");
		put_clean(c, span_cut(orcpt, 0, semicolon + 1), 40);
		put_clean(c, buf_span(&plain), 600);
		buf_add_str(&c->out, "\r\n");
	}
	buf_clear(&plain);
}

static void
put_machine_recipient(struct composer *c, const struct notice_recipient *r)
{
	put_crlf_line(&c->out, "");
	if (r->orcpt.n > 0)
		put_original_recipient(c, r->orcpt);
	put_address_field(c, "Final-Recipient", r->address);
	buf_addf(&c->out, "Action: %s\r\n", action(c->n->kind));
	buf_addf(&c->out, "Status: %s\r\n", r->status);
	if (r->host.n > 0) {
		/* "mx.example.org[192.0.2.1]:25": the name is what the field wants */
		buf_add_str(&c->out, "Remote-MTA: dns; ");
		put_clean(c, span_cut(r->host, 0, span_find(r->host, '[')), 255);
		buf_add_str(&c->out, "\r\n");
	}
	if (r->reply.n > 0) {
		buf_addf(&c->out, "Diagnostic-Code: %s; ",
		    r->host.n > 0 ? "smtp" : "x-relayd");
		put_clean(c, r->reply, 700);
		buf_add_str(&c->out, "\r\n");
	}
	if (r->last_try.ms != 0)
		put_date_field(c, "Last-Attempt-Date", r->last_try);
	if (c->n->kind == NOTICE_DELAYED)
		put_date_field(c, "Will-Retry-Until", r->expires);
}

static void
put_status_part(struct composer *c)
{
	const struct notice *n = c->n;
	char id[SPOOL_ID_LEN + 1];
	put_part(
	    c, c->utf8 ? "message/global-delivery-status" : "message/delivery-status");
	if (n->original->envid.n > 0) {
		struct buf plain;
		buf_init(&plain, 1024);
		if (xtext_decode(n->original->envid, &plain) == OK)
			put_field(c, "Original-Envelope-Id", buf_span(&plain));
		buf_clear(&plain);
	}
	buf_addf(&c->out, "Reporting-MTA: dns; %s\r\n", n->hostname);
	spool_id_format(n->original->id, id);
	buf_addf(&c->out, "X-Relayd-Queue-Id: %s\r\n", id);
	put_date_field(c, "Arrival-Date", n->original->arrival);
	for (size_t i = 0; i < n->rcpts; i++)
		put_machine_recipient(c, &n->rcpt[i]);
}

/* Where the header section of the content ends (after the empty line), looking at what is
 * in b. */
static size_t
header_end(struct span s)
{
	if (s.n >= 2 && s.p[0] == '\r' && s.p[1] == '\n')
		return 2;
	const char *at = s.n ? memmem(s.p, s.n, "\r\n\r\n", 4) : NULL;
	return at ? (size_t)(at - s.p) + 4 : s.n;
}

/* RFC 3461 6.2 (h): the whole message only on RET=FULL, and only if it is small. */
static bool
returns_whole(const struct notice *n)
{
	return n->kind == NOTICE_FAILED && (n->original->flags & MESSAGE_RET_FULL) &&
	       n->original->size <= NOTICE_CONTENT_MAX / 2 &&
	       !(n->original->flags & (MESSAGE_BINARY | MESSAGE_8BIT));
}

static void
put_original_part(struct composer *c)
{
	const struct message *m = c->n->original;
	if (m->content == NULL)
		return;
	size_t max = NOTICE_CONTENT_MAX / 2, got = 0;
	char *bytes = mem_alloc_raw(max);
	if (content_read(m->content, 0, bytes, max, &got) != OK)
		got = 0;
	struct span s = {bytes, got};
	FAULT_BYTES("notice.compose", s);
	bool whole = returns_whole(c->n);
	if (!whole)
		s.n = header_end(s);
	/* 8-bit octets in a header that is not UTF-8 mail do not travel in a 7-bit part.
	 */
	bool global = c->utf8 || (m->flags & MESSAGE_SMTPUTF8) || !is_ascii(s);
	if (whole)
		put_part(c, global ? "message/global" : "message/rfc822");
	else
		put_part(c,
		    global && c->utf8 ? "message/global-headers" : "text/rfc822-headers");
	if (global && !c->utf8)
		for (size_t i = 0; i < s.n; i++)
			if ((unsigned char)bytes[i] >= 0x80)
				bytes[i] = '?';
	buf_add_span(&c->out, m->prefix);
	buf_add_span(&c->out, s);
	mem_free(&bytes);
}

static bool
needs_utf8(const struct notice *n)
{
	if (!is_ascii(n->original->sender))
		return true;
	for (size_t i = 0; i < n->rcpts; i++)
		if (!is_ascii(n->rcpt[i].address))
			return true;
	return false;
}

static struct message *
as_message(struct composer *c)
{
	const struct notice *n = c->n;
	struct message *m = message_new();
	m->arrival = n->now;
	m->flags = MESSAGE_NOTICE | MESSAGE_OWN |
		   (c->utf8 ? MESSAGE_SMTPUTF8 | MESSAGE_8BIT : 0);
	m->content = content_new(NULL);
	content_append(m->content, c->out.p, c->out.n);
	content_seal(m->content);
	m->size = content_size(m->content);
	m->crc = content_crc(m->content);
	struct recipient to = {.address = n->original->sender, .notify = NOTIFY_NEVER};
	(void)message_add_rcpt(m, &to);
	return m;
}

struct message *
notice_compose(const struct notice *n)
{
	if (n->original->sender.n == 0 || n->rcpts == 0)
		return NULL;
	struct composer c = {.n = n, .utf8 = needs_utf8(n)};
	buf_init(&c.out, NOTICE_CONTENT_MAX + n->rcpts * 4096 + (16u << 10));
	put_top(&c);
	put_text_part(&c);
	put_status_part(&c);
	put_original_part(&c);
	buf_addf(&c.out, "\r\n--%s--\r\n", c.boundary);
	struct message *m = as_message(&c);
	buf_clear(&c.out);
	return m;
}
