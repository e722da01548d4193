/* SPDX-License-Identifier: ISC */
/* ctl_import_server - who may come: listeners, networks, TLS, limits, times. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/net.h"
#include "tools/ctl_import.h"

static void
host_name(struct import *im)
{
	char *host = import_get(im, "myhostname");
	if (host != NULL) {
		buf_add_str(&im->out, "hostname = ");
		import_quote(&im->out, span_str(host));
		buf_add_char(&im->out, '\n');
	}
	mem_free(&host);
	buf_add_str(&im->out, "user = \"relayd\"\n"
			      "spool { path = \"/var/lib/relayd\" }\n"
			      "control { path = \"/run/relayd/control.sock\" }\n"
			      "submit { path = \"/run/relayd/submit.sock\" }\n");
}

/* "[::1]/128" is ours without brackets; host bits that are set are cut off. */
static bool
network(struct span word, struct net_cidr *out)
{
	char text[128];
	size_t n = 0;
	for (size_t i = 0; i < word.n && n < sizeof(text) - 1; i++)
		if (word.p[i] != '[' && word.p[i] != ']')
			text[n++] = word.p[i];
	return net_parse_cidr((struct span){text, n}, out) == OK;
}

static void
put_networks(struct import *im, const char *value)
{
	struct span rest = span_str(value), word;
	bool any = false;
	buf_add_str(&im->out, "networks = {");
	while (import_word(&rest, &word)) {
		struct net_cidr net;
		char text[NET_TEXT];
		if (!network(word, &net)) {
			import_note(im,
			    "mynetworks: %.*s (a file, a table, an exclusion, or no "
			    "network); write its networks down",
			    SPAN_ARG(word));
			continue;
		}
		if (net_cidr_any(&net)) {
			import_note(im,
			    "mynetworks: %.*s lets anyone relay, which relayd does "
			    "not do",
			    SPAN_ARG(word));
			continue;
		}
		net_format_ip(&net.base, text);
		buf_addf(&im->out, "%s\"%s/%u\"", any ? ", " : "", text, net.bits);
		any = true;
	}
	buf_add_str(&im->out, "}\n");
}

static void
networks(struct import *im)
{
	char *value = import_get(im, "mynetworks");
	char *style = import_get(im, "mynetworks_style");
	if (value == NULL && style != NULL && strcmp(style, "host") != 0)
		import_note(im,
		    "mynetworks_style = %s: relayd does not guess who is near; "
		    "only this machine may relay until networks says more",
		    style);
	put_networks(im, value != NULL ? value : "127.0.0.0/8 ::1/128");
	mem_free(&value);
	mem_free(&style);
}

/* ---- listeners */

static void
put_bind(struct import *im, const char *port)
{
	char *value = import_get(im, "inet_interfaces");
	struct span rest = span_str(value ? value : "all"), word;
	bool any = false;
	while (import_word(&rest, &word)) {
		struct net_addr a;
		struct buf *o = &im->out;
		const char *comma = any ? ", " : "";
		if (span_eq(word, SPAN("all")))
			buf_addf(o, "%s\"[::]:%s\"", comma, port);
		else if (span_eq(word, SPAN("loopback-only")) ||
			 span_eq(word, SPAN("localhost")))
			buf_addf(
			    o, "%s\"127.0.0.1:%s\", \"[::1]:%s\"", comma, port, port);
		else if (net_parse_ip(word, &a) == OK)
			buf_addf(o,
			    a.family == NET_IPV6 ? "%s\"[%.*s]:%s\"" : "%s\"%.*s:%s\"",
			    comma, SPAN_ARG(word), port);
		else {
			import_note(im,
			    "inet_interfaces: %.*s is a name; listener { bind } takes "
			    "addresses",
			    SPAN_ARG(word));
			continue;
		}
		any = true;
	}
	if (!any)
		buf_addf(&im->out, "\"127.0.0.1:%s\"", port);
	mem_free(&value);
}

static void
put_tls_files(struct import *im)
{
	static const char *const from[][2] = {{"smtpd_tls_chain_files", "certificate"},
	    {"smtpd_tls_cert_file", "certificate"}, {"smtpd_tls_key_file", "key"},
	    {"smtp_tls_CAfile", "ca"}};
	bool open = false, certificate = false;
	for (size_t i = 0; i < COUNT_OF(from); i++) {
		char *file = import_get(im, from[i][0]);
		bool again = strcmp(from[i][1], "certificate") == 0 && certificate;
		if (file != NULL && *file == '/' && !again) {
			struct span rest = span_str(file), word;
			(void)import_word(&rest, &word); /* several: the first */
			buf_addf(&im->out, "%s%s = ", open ? "  " : "tls { ", from[i][1]);
			import_quote(&im->out, word);
			if (import_word(&rest, &word))
				import_hint(im,
				    "%s named several files; relayd has the first",
				    from[i][0]);
			open = true;
			certificate |= strcmp(from[i][1], "certificate") == 0;
		}
		mem_free(&file);
	}
	if (open)
		buf_add_str(&im->out, " }\n");
}

static void
listeners(struct import *im)
{
	char *level = import_get(im, "smtpd_tls_security_level");
	bool sasl = import_is(im, "smtpd_sasl_auth_enable", "yes");
	put_tls_files(im);
	buf_add_str(&im->out, "listener \"smtp\" { bind = {");
	put_bind(im, "25");
	buf_add_str(&im->out, "}");
	if (level == NULL || strcmp(level, "none") == 0)
		buf_add_str(&im->out, "  tls = \"none\"");
	else
		buf_add_str(&im->out, "  tls = \"starttls\"");
	if (level != NULL && strcmp(level, "encrypt") == 0)
		buf_add_str(&im->out, "  tls-required = true");
	if (sasl && (level == NULL || strcmp(level, "none") == 0))
		import_note(im,
		    "smtpd_sasl_auth_enable without TLS: give a certificate, then "
		    "auth = \"optional\" on a listener");
	else if (sasl)
		buf_add_str(&im->out, "  auth = \"optional\"");
	if (sasl)
		import_hint(im,
		    "smtpd_sasl: accounts are relayd's own; add each with relayctl "
		    "user add NAME");
	if (import_is(im, "smtpd_tls_auth_only", "no"))
		import_hint(
		    im, "smtpd_tls_auth_only = no: passwords are taken inside TLS only");
	buf_add_str(&im->out, " }\n");
	mem_free(&level);
}

/* ---- restrictions: what they allow is what relayd does anyway */

static bool
is_usual(struct span word)
{
	static const char *const usual[] = {"permit_mynetworks",
	    "permit_sasl_authenticated", "reject_unauth_destination",
	    "defer_unauth_destination", "permit", "reject", "reject_unauth_pipelining",
	    "reject_non_fqdn_sender", "reject_non_fqdn_recipient",
	    "permit_auth_destination"};
	for (size_t i = 0; i < COUNT_OF(usual); i++)
		if (span_eq(word, span_str(usual[i])))
			return true;
	return false;
}

static void
restrictions(struct import *im, const char *name)
{
	char *value = import_get(im, name);
	struct span rest = span_str(value ? value : ""), word;
	while (import_word(&rest, &word)) {
		struct span zone;
		if (span_eq(word, SPAN("reject_rbl_client")) &&
		    import_word(&rest, &zone)) {
			buf_addf(&im->out, "dnsbl \"list%u\" { zone = ", ++im->names);
			import_quote(&im->out, span_cut(zone, 0, span_find(zone, '=')));
			buf_add_str(&im->out, " }\n");
		} else if (!is_usual(word)) {
			bool table = span_starts(word, SPAN("check_"));
			import_note(im, "%s: %.*s%s", name, SPAN_ARG(word),
			    table ? "; see rule in relayd.conf(5)" : "");
			if (table)
				(void)import_word(&rest, &word);
		}
	}
	mem_free(&value);
}

/* ---- numbers and times */

static void
add_number(struct import *im, struct buf *members, const char *from, const char *key,
    const char *unit, long long most)
{
	char *value = import_get(im, from);
	long long n = value != NULL ? strtoll(value, NULL, 10) : 0;
	const char *quote = *unit ? "\"" : "";
	if (n > 0)
		buf_addf(members, "  %s = %s%lld%s%s", key, quote, n > most ? most : n,
		    unit, quote);
	mem_free(&value);
}

static void
put_section(struct import *im, const char *section, struct buf *members)
{
	if (members->n > 0)
		buf_addf(&im->out, "%s {%.*s }\n", section, SPAN_ARG(buf_span(members)));
	buf_clear(members);
}

static void
numbers(struct import *im)
{
	struct buf limits, outgoing;
	buf_init(&limits, 4096);
	buf_init(&outgoing, 4096);
	add_number(im, &limits, "message_size_limit", "message-size", "B", 4294967296LL);
	add_number(im, &limits, "smtpd_recipient_limit", "recipients", "", 100000);
	add_number(im, &limits, "smtpd_client_connection_count_limit",
	    "client-connections", "", 1000000);
	add_number(im, &limits, "hopcount_limit", "hops", "", 1000);
	add_number(im, &outgoing, "default_destination_concurrency_limit", "concurrency",
	    "", 10000);
	add_number(im, &outgoing, "default_destination_recipient_limit", "recipients", "",
	    10000);
	put_section(im, "limits", &limits);
	put_section(im, "outgoing", &outgoing);
}

/* "5d", "300s", "1000"; without a unit it is in what Postfix takes it for. */
static void
add_time(struct buf *members, const char *key, const char *value, char unit)
{
	size_t n = strspn(value, "0123456789");
	char last = value[n] != '\0' ? value[n] : unit;
	long long count = strtoll(value, NULL, 10);
	if (last == 'w') {
		count *= 7;
		last = 'd';
	}
	if (n > 0)
		buf_addf(members, "  %s = \"%lld%c\"", key, count, last);
}

static void
times(struct import *im)
{
	static const struct {
		const char *from, *key;
		char unit;
	} all[] = {
	    {"minimal_backoff_time", "first", 's'},
	    {"maximal_backoff_time", "interval", 's'},
	    {"maximal_queue_lifetime", "expire", 'd'},
	    {"bounce_queue_lifetime", "bounce-expire", 'd'},
	    {"delay_warning_time", "warn", 'h'},
	};
	struct buf members;
	buf_init(&members, 4096);
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		char *value = import_get(im, all[i].from);
		if (value != NULL)
			add_time(&members, all[i].key, value, all[i].unit);
		mem_free(&value);
	}
	put_section(im, "retry", &members);
}

void
import_server(struct import *im)
{
	static const char *const lists[] = {"smtpd_relay_restrictions",
	    "smtpd_recipient_restrictions", "smtpd_client_restrictions",
	    "smtpd_sender_restrictions", "smtpd_helo_restrictions",
	    "smtpd_data_restrictions"};
	host_name(im);
	networks(im);
	listeners(im);
	for (size_t i = 0; i < COUNT_OF(lists); i++)
		restrictions(im, lists[i]);
	numbers(im);
	times(im);
}
