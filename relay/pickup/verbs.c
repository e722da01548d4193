/* SPDX-License-Identifier: ISC */
/* verbs - the commands of POP3: which state each belongs to, and the short ones. */
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"
#include "relay/door.h"
#include "relay/pickup/pop.h"
#include "relay/version.h"

/* ---- message numbers */

uint32_t
pop_number(struct pop *s, struct span text)
{
	struct scan in = scan_over(text);
	uint64_t n = 0;
	if (!scan_u64(&in, UINT32_MAX, &n) || !scan_done(&in) || n == 0 ||
	    n > s->drop.count) {
		pop_error(s, "", "no such message");
		return 0;
	}
	if (maildrop_is_deleted(&s->drop, (uint32_t)n)) {
		pop_error(s, "", "this message is marked as deleted");
		return 0;
	}
	return (uint32_t)n;
}

/* ---- CAPA */

#define NEVER (-1)

/* Whole days that a mail stays at least; NEVER: nothing is ever deleted (RFC 2449 6.7).
 */
static int64_t
expires(const struct mailbox_config *m)
{
	int64_t ms = INT64_MAX;
	if (m->picked_ms > 0)
		ms = m->picked_ms;
	if (m->unread != UNREAD_STAY && m->unread_ms > 0 && m->unread_ms < ms)
		ms = m->unread_ms;
	return ms == INT64_MAX ? NEVER : ms / DAY_MS;
}

/* Before anybody has signed in: the strictest of all, and whether they differ. */
static void
settings_of_all(const struct config *c, int64_t *days, int64_t *delay, bool *differ)
{
	*days = expires(&c->mailbox_default);
	*delay = c->mailbox_default.login_delay_ms;
	*differ = false;
	for (size_t i = 0; i < c->mailboxes; i++) {
		int64_t d = expires(&c->mailbox[i]), l = c->mailbox[i].login_delay_ms;
		*differ = *differ || d != *days || l != *delay;
		if (d != NEVER && (*days == NEVER || d < *days))
			*days = d;
		if (l > *delay)
			*delay = l;
	}
}

static void
say_policy(struct pop *s)
{
	int64_t days, delay;
	bool differ = false;
	if (s->state == POP_AUTHORIZATION) {
		settings_of_all(s->config, &days, &delay, &differ);
	} else {
		days = expires(pop_settings(s));
		delay = pop_settings(s)->login_delay_ms;
	}
	const char *user = differ ? " USER" : "";
	if (days == NEVER)
		pop_line(s, "EXPIRE NEVER%s", user);
	else
		pop_line(s, "EXPIRE %lld%s", (long long)days, user);
	if (delay > 0)
		pop_line(s, "LOGIN-DELAY %lld%s",
		    (long long)((delay + SECOND_MS - 1) / SECOND_MS), user);
}

static void
run_capa(struct pop *s, struct span args)
{
	struct buf mechanisms;
	(void)args;
	buf_init(&mechanisms, 0);
	pop_ok(s, "Capabilities");
	pop_line(s, "TOP");
	pop_line(s, "UIDL");
	pop_line(s, "RESP-CODES");
	pop_line(s, "AUTH-RESP-CODE");
	pop_line(s, "PIPELINING");
	pop_line(s, "UTF8 USER");
	pop_line(s, "LANG");
	if (s->tls != NULL && io_tls(s->io) == NULL)
		pop_line(s, "STLS");
	if (login_clear_ok(s)) {
		login_mechanisms(s, &mechanisms);
		pop_line(s, "USER");
		if (mechanisms.n > 0)
			pop_line(s, "SASL %.*s", SPAN_ARG(buf_span(&mechanisms)));
	}
	say_policy(s);
	if (s->state == POP_TRANSACTION)
		pop_line(s, "IMPLEMENTATION relayd-%s", RELAYD_VERSION);
	pop_line(s, ".");
	buf_clear(&mechanisms);
}

/* ---- before signing in */

static void
run_stls(struct pop *s, struct span args)
{
	(void)args;
	if (s->tls == NULL) {
		pop_error(s, "", "TLS is not offered here");
	} else if (io_tls(s->io) != NULL) {
		pop_error(s, "", "TLS is active already");
	} else {
		pop_ok(s, "Begin TLS");
		pop_forget(s);
		pop_start_tls(s);
	}
}

static void
run_utf8(struct pop *s, struct span args)
{
	(void)args;
	s->utf8 = true;
	pop_ok(s, "UTF-8 it is");
}

/* RFC 6856 3: one language. */
static void
run_lang(struct pop *s, struct span args)
{
	if (args.n == 0) {
		pop_ok(s, "Languages");
		pop_line(s, "en English");
		pop_line(s, ".");
	} else if (span_eq(args, SPAN("*")) || span_ieq(args, SPAN("en"))) {
		pop_ok(s, "en English it is");
	} else {
		pop_error(s, "", "no such language; LANG lists them");
	}
}

/* ---- the maildrop */

static void
run_stat(struct pop *s, struct span args)
{
	(void)args;
	pop_ok(s, "%u %llu", s->drop.count - s->drop.deleted_n,
	    (unsigned long long)(s->drop.octets - s->drop.deleted_octets));
}

static void
list_or_uidl(struct pop *s, struct span args, bool uidl)
{
	uint32_t n;
	if (args.n == 0)
		listing_start(s, uidl);
	else if ((n = pop_number(s, args)) != 0)
		listing_one(s, uidl, n);
}

static void
run_list(struct pop *s, struct span args)
{
	list_or_uidl(s, args, false);
}

static void
run_uidl(struct pop *s, struct span args)
{
	list_or_uidl(s, args, true);
}

static void
run_retr(struct pop *s, struct span args)
{
	uint32_t n = pop_number(s, args);
	if (n != 0)
		retrieve_start(s, n, false, 0);
}

static void
run_top(struct pop *s, struct span args)
{
	struct scan in = scan_over(args);
	struct span number;
	uint64_t lines = 0;
	if (!scan_word(&in, &number) || !scan_blanks(&in) ||
	    !scan_u64(&in, UINT32_MAX, &lines) || !scan_done(&in)) {
		pop_error(s, "", "Syntax: TOP message lines");
		return;
	}
	uint32_t n = pop_number(s, number);
	if (n != 0)
		retrieve_start(s, n, true, lines);
}

static void
delete_fetched(struct pop *s)
{
	uint32_t n = s->asked;
	const struct mail_row *row = fetch_row(s, n);
	if (row == NULL) {
		pop_error(s, "", "this message is gone already");
		return;
	}
	maildrop_delete(&s->drop, n, row->size);
	pop_ok(s, "message %u deleted", n);
}

static void
run_dele(struct pop *s, struct span args)
{
	uint32_t n = pop_number(s, args);
	if (n == 0)
		return;
	s->asked = n;
	fetch_start(s, n, false, delete_fetched);
}

static void
run_rset(struct pop *s, struct span args)
{
	(void)args;
	maildrop_reset(&s->drop);
	pop_ok(s, "%u messages, nothing is deleted", s->drop.count);
}

static void
run_noop(struct pop *s, struct span args)
{
	(void)args;
	pop_ok(s, "here");
}

static void
run_quit(struct pop *s, struct span args)
{
	(void)args;
	if (s->state == POP_TRANSACTION) {
		update_start(s);
		return;
	}
	pop_ok(s, "Bye");
	pop_end(s, "QUIT");
}

/* ---- the table */

enum { BEFORE = 1 << POP_AUTHORIZATION, IN = 1 << POP_TRANSACTION, EVER = BEFORE | IN };
enum args { NONE, SOME, ANY };

static const struct verb {
	const char *name;
	unsigned states;
	enum args args;
	void (*run)(struct pop *s, struct span args);
} verbs[] = {
    {"RETR", IN, SOME, run_retr},
    {"DELE", IN, SOME, run_dele},
    {"LIST", IN, ANY, run_list},
    {"UIDL", IN, ANY, run_uidl},
    {"TOP", IN, SOME, run_top},
    {"STAT", IN, NONE, run_stat},
    {"NOOP", IN, NONE, run_noop},
    {"RSET", IN, NONE, run_rset},
    {"QUIT", EVER, NONE, run_quit},
    {"CAPA", EVER, NONE, run_capa},
    {"USER", BEFORE, SOME, login_user},
    {"PASS", BEFORE, SOME, login_pass},
    {"APOP", BEFORE, SOME, login_apop},
    {"AUTH", BEFORE, ANY, login_auth},
    {"STLS", BEFORE, NONE, run_stls},
    {"UTF8", BEFORE, ANY, run_utf8},
    {"LANG", EVER, ANY, run_lang},
};

void
pop_run(struct pop *s, struct span line)
{
	size_t n = span_find(line, ' ');
	struct span name = span_cut(line, 0, n),
		    args =
			n < line.n ? span_cut(line, n + 1, line.n) : (struct span){"", 0};
	for (size_t i = 0; i < COUNT_OF(verbs); i++) {
		const struct verb *v = &verbs[i];
		if (!span_ieq(name, span_str(v->name)))
			continue;
		if (!(v->states & 1u << s->state))
			pop_error(s, "",
			    s->state == POP_AUTHORIZATION ? "sign in first"
							  : "signed in already");
		else if (v->args == NONE && args.n > 0)
			pop_error(s, "", "this command has no arguments");
		else if (v->args == SOME && args.n == 0)
			pop_error(s, "", "an argument is missing");
		else
			v->run(s, args);
		return;
	}
	if (door_is_http(name)) {
		pop_line(s, "-ERR [SYS/PERM] this is a mail server");
		pop_end(s, "speaks HTTP");
		return;
	}
	pop_error(s, "", "no such command; CAPA tells what there is");
}
