/* SPDX-License-Identifier: ISC */
/*
 * A configuration's text: whatever it is, there is a snapshot without an error or
 * at least one error that names the file; what is taken is closed and complete,
 * and reading it again gives no difference.  (libconfuse's own lexer is in the
 * way of the bytes, so this fuzzes it, too.)
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/when.h"
#include "relay/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_lines(const struct buf *errors)
{
	static const struct span name = {"fuzz:", 5};
	struct span rest = buf_span(errors);
	while (rest.n > 0) {
		size_t end = span_find(rest, '\n');
		CHECK(end < rest.n);
		CHECK(span_starts(rest, name) || span_starts(rest, SPAN("... and ")));
		rest = span_cut(rest, end + 1, rest.n);
	}
}

static void
check_mailbox(const struct mailbox_config *m)
{
	CHECK((m->unread == UNREAD_STAY) == (m->unread_ms == 0));
	CHECK(m->picked_ms >= 0 && m->login_delay_ms >= 0);
}

static void
check_snapshot(const struct config *c)
{
	CHECK(c->policy.hostname != NULL && c->spool.path != NULL &&
	      c->spool.path[0] == '/');
	CHECK(c->control_path != NULL && c->listeners > 0 && c->policy.routes.n > 0);
	for (size_t i = 0; i < c->policy.networks.n; i++)
		CHECK(c->open_relay || !net_cidr_any(&c->policy.networks.net[i]));
	for (size_t i = 0; i < c->listeners; i++)
		CHECK(c->listener[i].binds > 0 && c->listener[i].name != NULL);
	for (size_t i = 0; i < c->policy.routes.n; i++) {
		const struct route *r = &c->policy.routes.route[i];
		CHECK((r->deliver == ROUTE_VIA || r->deliver == ROUTE_LMTP) ==
		      (r->hops > 0));
		CHECK(c->open_relay || !r->inbound || r->to.n > 0 ||
		      r->deliver == ROUTE_DISCARD || r->deliver == ROUTE_REJECT ||
		      (r->deliver == ROUTE_MAILBOX && r->catch_all == NULL));
		CHECK(r->catch_all == NULL || r->deliver == ROUTE_MAILBOX);
	}
	check_mailbox(&c->mailbox_default);
	for (size_t i = 0; i < c->mailboxes; i++) {
		CHECK(c->mailbox[i].accounts.n + c->mailbox[i].domains.n > 0);
		check_mailbox(&c->mailbox[i]);
	}
	CHECK(c->delimiter != NULL && strlen(c->delimiter) <= 1);
	CHECK(c->server.pickup_ms >= 10 * MINUTE_MS);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf errors = {0}, notes = {0};
	char *text = mem_dup(data, size);
	const struct config *c = config_parse("fuzz", text, &errors);
	check_lines(&errors);
	if (c != NULL) {
		const struct config *again = config_parse("fuzz", text, &notes);
		CHECK(again != NULL);
		check_snapshot(c);
		buf_reset(&notes);
		config_diff(c, again, &notes);
		CHECK(notes.n == 0);
		config_unref(&again);
	} else {
		CHECK(errors.n > 0);
	}
	config_unref(&c);
	buf_clear(&errors);
	buf_clear(&notes);
	mem_free(&text);
	return 0;
}
