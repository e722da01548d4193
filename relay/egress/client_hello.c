/* SPDX-License-Identifier: ISC */
/*
 * client_hello - from the greeting to the first transaction (RFC 5321 3.1, 3.2,
 * 4.1.1.1).
 *
 *	GREETING   220: EHLO;  4xx, 5xx: lost, in the server's words
 *	EHLO       250: its extensions;  5xx: HELO (not for LMTP);  4xx: lost
 *	HELO       250: no extensions;  otherwise lost
 *
 * After TLS has begun, EHLO is said again, and nothing of the first answer counts
 * (RFC 3207 4.2).
 */
#include "base/scan.h"
#include "relay/egress/client_private.h"

static const struct client_state *on_greeting(struct client *c);
static const struct client_state *on_ehlo(struct client *c);
static const struct client_state *on_helo(struct client *c);

const struct client_state CLIENT_GREETING = {
    "the greeting", on_greeting, CLIENT_TIMEOUT(greeting_ms), STAGE_GREETING};
static const struct client_state EHLO = {
    "the answer to EHLO", on_ehlo, CLIENT_TIMEOUT(helo_ms), STAGE_EHLO};
static const struct client_state HELO = {
    "the answer to HELO", on_helo, CLIENT_TIMEOUT(helo_ms), STAGE_EHLO};

static const struct extension {
	struct span keyword;
	enum client_ext bit;
} extensions[] = {
    {{"PIPELINING", 10}, EXT_PIPELINING},
    {{"8BITMIME", 8}, EXT_8BITMIME},
    {{"SIZE", 4}, EXT_SIZE},
    {{"DSN", 3}, EXT_DSN},
    {{"CHUNKING", 8}, EXT_CHUNKING},
    {{"BINARYMIME", 10}, EXT_BINARYMIME},
    {{"SMTPUTF8", 8}, EXT_SMTPUTF8},
    {{"ENHANCEDSTATUSCODES", 19}, EXT_ENHANCED},
    {{"STARTTLS", 8}, EXT_STARTTLS},
};

/* "SIZE 35882577"; without a number that can be read there is no limit to obey. */
static void
take_size(struct client *c, struct scan *s)
{
	uint64_t limit;
	if (scan_blanks(s) && scan_u64(s, UINT64_MAX, &limit))
		c->size_limit = limit;
}

static void
take_extension(struct client *c, struct span line)
{
	struct scan s = scan_over(line);
	struct span word;
	if (!scan_word(&s, &word))
		return;
	if (span_ieq(word, SPAN("AUTH")))
		auth_take_words(c, scan_rest(&s));
	else if (span_istarts(word, SPAN("AUTH="))) /* as before RFC 2554 */
		auth_take_words(c, span_cut(line, 5, line.n));
	for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
		if (!span_ieq(word, extensions[i].keyword))
			continue;
		c->extensions |= extensions[i].bit;
		if (extensions[i].bit == EXT_SIZE)
			take_size(c, &s);
	}
}

static void
forget(struct client *c)
{
	c->extensions = 0;
	c->size_limit = 0;
	auth_forget(c);
}

/* All lines but the first, which is the server's name. */
static void
take_extensions(struct client *c)
{
	forget(c);
	struct scan s = scan_over(buf_span(&c->reply.text));
	struct span line;
	if (!scan_until(&s, '\n', &line))
		return;
	while (scan_until(&s, '\n', &line))
		take_extension(c, line);
	take_extension(c, scan_rest(&s));
}

static const struct client_state *
ready(struct client *c)
{
	later_set(&c->tell);
	if (c->log != NULL)
		LOG(c->log, EV_NEXT_HOP, F_STR("host", c->peer),
		    F_STR("connection", "new"),
		    F_STR("tls", c->tls != NULL ? c->tls->version : "no"));
	return &CLIENT_IDLE;
}

const struct client_state *
hello_send(struct client *c)
{
	io_addf(c->io, "%s %s\r\n", c->wish.lmtp ? "LHLO" : "EHLO", c->helo);
	return &EHLO;
}

const struct client_state *
hello_done(struct client *c)
{
	if (tls_is_due(c))
		return tls_ask(c);
	if (auth_is_due(c))
		return auth_start(c);
	return ready(c);
}

static const struct client_state *
on_greeting(struct client *c)
{
	if (reply_class(&c->reply) >= 4)
		return client_refused(c);
	if (c->reply.code != 220)
		return client_garbled(c, "no 220");
	return hello_send(c);
}

static const struct client_state *
on_ehlo(struct client *c)
{
	switch (reply_class(&c->reply)) {
	case 2: take_extensions(c); return hello_done(c);
	case 4: return client_refused(c);
	case 5: break;
	default: return client_garbled(c, "neither taken nor refused");
	}
	if (c->wish.lmtp)
		return client_refused(c);
	io_addf(c->io, "HELO %s\r\n", c->helo);
	return &HELO;
}

static const struct client_state *
on_helo(struct client *c)
{
	switch (reply_class(&c->reply)) {
	case 2: forget(c); return hello_done(c);
	case 4:
	case 5: return client_refused(c);
	default: return client_garbled(c, "neither taken nor refused");
	}
}
