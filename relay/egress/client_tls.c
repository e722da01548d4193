/* SPDX-License-Identifier: ISC */
/*
 * client_tls - STARTTLS and the handshake (RFC 3207, RFC 8314).
 *
 *	STARTTLS   220: HANDSHAKE;  refused: in the clear, or lost if TLS must be
 *	HANDSHAKE  done: EHLO anew (the greeting, if TLS is implicit);  failed: lost
 *
 * Whatever was said in the clear is forgotten.  Octets behind the 220 were sent by
 * somebody who wants them to be read inside TLS (CVE-2011-0411): the connection ends.
 * Where TLS must be, not a word of mail is said before it stands and is right.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "relay/egress/client_private.h"

static const struct client_state *on_starttls(struct client *c);

static const struct client_state STARTTLS = {
    "the answer to STARTTLS", on_starttls, CLIENT_TIMEOUT(helo_ms), STAGE_TLS};
const struct client_state CLIENT_HANDSHAKE = {
    "the TLS handshake", NULL, CLIENT_TIMEOUT(helo_ms), STAGE_TLS};

static bool
is_demanded(const struct client *c)
{
	return c->wish.tls == ROUTE_TLS_REQUIRED || c->wish.tls == ROUTE_TLS_VERIFY;
}

/* ---- not had */

static const struct client_state *
not_had(struct client *c, const char *why)
{
	struct verdict v =
	    verdict_make(451, "4.7.4", "%s %s, and TLS is required", c->peer, why);
	client_enter(c, &STARTTLS); /* this is the stage where it ends */
	return client_lost(c, &v, true);
}

/* 4.7.5: what was tried did not come to be, or is not to be trusted. */
const struct client_state *
tls_failed(struct client *c, const char *how)
{
	const char *tls = strncmp(how, "TLS", 3) == 0 ? "" : "TLS: ";
	struct verdict v = verdict_make(451, "4.7.5", "%s: %s%s", c->peer, tls, how);
	return client_lost(c, &v, false);
}

/* ---- STARTTLS */

bool
tls_is_due(const struct client *c)
{
	return c->tls == NULL && !c->tls_asked && c->wish.tls != ROUTE_TLS_NONE;
}

const struct client_state *
tls_ask(struct client *c)
{
	c->tls_asked = true;
	if (client_has(c, EXT_STARTTLS) && c->wish.tls_client != NULL) {
		io_add_span(c->io, SPAN("STARTTLS\r\n"));
		return &STARTTLS;
	}
	if (is_demanded(c))
		return not_had(c, client_has(c, EXT_STARTTLS)
				      ? "offers STARTTLS, but TLS is not available here"
				      : "offers no STARTTLS");
	return hello_done(c);
}

static const struct client_state *
on_starttls(struct client *c)
{
	if (c->reply.code == 220)
		return tls_handshake(c);
	if (reply_class(&c->reply) < 4)
		return client_garbled(c, "no 220");
	if (is_demanded(c)) {
		struct verdict v = reply_verdict(&c->reply);
		char why[VERDICT_TEXT];
		snprintf(
		    why, sizeof(why), "refuses STARTTLS (%u %.200s)", v.code, v.text);
		return not_had(c, why);
	}
	return hello_done(c);
}

/* ---- handshake */

const struct client_state *
tls_handshake(struct client *c)
{
	struct tls_client *tc = c->wish.tls_client;
	if (tc == NULL)
		return not_had(c, "speaks TLS only, but TLS is not available here");
	enum err e = io_start_tls_client(c->io, tc, &c->wish.peer);
	if (e == ERR_SYNTAX)
		return client_garbled(c, "input ahead of the TLS handshake");
	if (e != OK)
		return tls_failed(c, err_text(e));
	return &CLIENT_HANDSHAKE;
}

const struct client_state *
tls_done(struct client *c)
{
	const struct tls_info *info = io_tls(c->io);
	if (info == NULL)
		return tls_failed(c, "there is none after the handshake");
	c->tls = mem_dup(info, sizeof(*info));
	if (c->wish.tls == ROUTE_TLS_VERIFY && !info->verified)
		return tls_failed(c, info->trouble[0] != '\0'
					 ? info->trouble
					 : "the certificate is not verified");
	return c->wish.tls_implicit ? &CLIENT_GREETING : hello_send(c);
}

/* ---- the policy that was asked for, copied */

static char *
dup(const char *s)
{
	return s != NULL ? mem_strdup(s) : NULL;
}

void
tls_peer_copy(struct tls_peer *to, const struct tls_peer *from)
{
	*to = (struct tls_peer){.verify = from->verify,
	    .name = dup(from->name),
	    .ca_file = dup(from->ca_file),
	    .session = dup(from->session),
	    .fingerprints = from->fingerprints};
	const char **list = mem_alloc((from->fingerprints + 1) * sizeof(*list));
	for (size_t i = 0; i < from->fingerprints; i++)
		list[i] = mem_strdup(from->fingerprint[i]);
	to->fingerprint = list;
}

void
tls_peer_clear(struct tls_peer *p)
{
	const char **list;
	memcpy(&list, &p->fingerprint, sizeof(list));
	for (size_t i = 0; i < p->fingerprints; i++)
		mem_free(&list[i]);
	mem_free(&list);
	mem_free(&p->name);
	mem_free(&p->ca_file);
	mem_free(&p->session);
	*p = (struct tls_peer){0};
}
