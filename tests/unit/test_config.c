/* SPDX-License-Identifier: ISC */
/* config: what is taken, what is refused and in which line, snapshots, the manual page.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/when.h"
#include "relay/config_private.h"

/* The least that works; what a test adds begins in line 4. */
#define BASE                                     \
	"hostname = \"gw.example.org\"\n"        \
	"spool { path = \"/var/lib/relayd\" }\n" \
	"listener \"smtp\" { bind = {\"127.0.0.1:25\"} }\n"

/* A SHA-256 of 64 digits, and its ends of 63 and 62. */
#define FP62 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd"
#define FP63 FP62 "e"
#define FP FP62 "ef"

static struct config *
parse(const char *text, struct buf *errors)
{
	buf_init(errors, 64u << 10);
	struct config *c = config_parse("t.conf", text, errors);
	buf_add_char(errors, '\0');
	return c;
}

/* Without an error and without a warning. */
static struct config *
good(const char *text)
{
	struct buf errors;
	struct config *c = parse(text, &errors);
	if (c == NULL || errors.n > 1)
		fail_msg("%s\ngave\n%s", text, errors.p);
	buf_clear(&errors);
	return c;
}

static void
drop(struct config *c)
{
	const struct config *gone = c;
	config_unref(&gone);
	assert_null(gone);
}

static void
bad(const char *text, const char *want)
{
	struct buf errors;
	struct config *c = parse(text, &errors);
	if (c != NULL || strstr(errors.p, want) == NULL)
		fail_msg("%s\ngave\n%s\nnot\n%s", text, errors.p, want);
	buf_clear(&errors);
}

/* ---- what is taken */

static void
test_defaults(void **state)
{
	(void)state;
	struct config *c = good(BASE);
	assert_string_equal(c->file, "t.conf");
	assert_string_equal(c->policy.hostname, "gw.example.org");
	assert_int_equal(c->policy.networks.n, 2);
	assert_int_equal(c->policy.networks.net[0].bits, 32);
	assert_int_equal(c->policy.networks.net[1].bits, 128);
	assert_int_equal(c->policy.message_size_max, 50u << 20);
	assert_int_equal(c->policy.routes.n, 1);
	assert_string_equal(c->policy.routes.route[0].name, "default");
	assert_int_equal(c->policy.routes.route[0].deliver, ROUTE_MX);
	assert_int_equal(c->policy.routes.route[0].port, 25);
	assert_int_equal(c->retry.interval_ms, 30 * MINUTE_MS);
	assert_int_equal(c->retry.first_ms, 5 * MINUTE_MS);
	assert_int_equal(c->retry.jitter_percent, 10);
	assert_int_equal(c->retry.expire_ms, 5 * DAY_MS);
	assert_int_equal(c->retry.warn_ms, 4 * HOUR_MS);
	assert_int_equal(c->retry.bounce_expire_ms, DAY_MS);
	assert_int_equal(c->server.recipients, 1000);
	assert_int_equal(c->server.memory, 128u << 20);
	assert_int_equal(c->server.data_ms, 3 * MINUTE_MS);
	assert_int_equal(c->client.concurrency, 20);
	assert_int_equal(c->client.dot_ms, 10 * MINUTE_MS);
	assert_int_equal(c->client.idle_ms, 5 * SECOND_MS);
	assert_null(c->dns.servers);
	assert_int_equal(c->dns.timeout_ms, 5 * SECOND_MS);
	assert_int_equal(c->spool.max_size, 0);
	assert_int_equal(c->spool.min_free, 128u << 20);
	assert_int_equal(c->spool.inline_max, 256u << 10);
	assert_string_equal(c->control_path, "/run/relayd/control.sock");
	assert_int_equal(c->control_mode, 0660);
	assert_int_equal(c->log_level, LOG_INFO);
	assert_int_equal(c->log_format, LOG_TEXT);
	assert_null(c->postmaster);
	assert_null(c->user);
	assert_false(c->open_relay);
	assert_false(c->listener[0].has_networks);
	assert_int_equal(c->listener[0].line, 3);
	drop(c);
}

/* What people write, all of it at once. */
static const char example[] =
    "hostname = \"gw.example.lan\"\n"
    "spool { path = \"/var/lib/relayd\"  max-size = \"64G\"  inline-max = \"256K\" }\n"
    "networks = {\"127.0.0.0/8\", \"::1/128\", \"192.168.0.0/16\"}    # may relay\n"
    "\n"
    "listener \"smtp\"        { bind = {\"[::]:25\"}   protocol = \"smtp\" }\n"
    "listener \"printers\"    { bind = {\"192.168.7.1:2525\"} protocol = \"smtp\" "
    "networks = {\"192.168.7.0/24\"} }\n"
    "\n"
    "retry { interval = \"30m\"  first = \"5m\"  jitter = \"10%\"  expire = \"5d\"  "
    "warn = \"4h\"  bounce-expire = \"1d\" }\n"
    "\n"
    "route \"partner\" { to = {\"partner.example\"}  via = {\"mx1.partner.example:25\", "
    "\"[2001:db8::1]:2525\"} }\n"
    "route \"ours\"    { to = {\"example.lan\", \".example.lan\"} inbound = true "
    "deliver = \"mx\" port = 2500 allow-loopback = yes }\n"
    "route \"nobody\"  { to = {\"nobody@example.org\"} from = {\"<>\"} deliver = "
    "\"reject\" "
    "text = \"nobody here\" }\n"
    "route \"world\"   { deliver = \"mx\" concurrency = 7 }\n"
    "\n"
    "dns { servers = {\"127.0.0.1:53\", \"::1\"}  timeout = \"5s\" }  // default: "
    "resolv.conf\n"
    "control { path = \"/run/relayd/control.sock\" mode = \"0600\" }\n"
    "log { format = json level = debug }\n";

static void
test_example(void **state)
{
	(void)state;
	struct config *c = good(example);
	assert_int_equal(c->listeners, 2);
	assert_string_equal(c->listener[1].name, "printers");
	assert_true(c->listener[1].has_networks);
	assert_int_equal(c->listener[1].networks.n, 1);
	assert_int_equal(c->listener[1].line, 6);
	assert_int_equal(c->listener[0].bind[0].family, NET_IPV6);
	assert_int_equal(c->listener[0].bind[0].port, 25);
	assert_int_equal(c->spool.max_size, UINT64_C(64) << 30);
	assert_string_equal(c->dns.servers, "127.0.0.1:53,[::1]:53");
	assert_int_equal(c->control_mode, 0600);
	assert_int_equal(c->log_level, LOG_DEBUG);
	assert_int_equal(c->log_format, LOG_JSON);

	assert_int_equal(c->policy.routes.n, 4);
	const struct route *route = c->policy.routes.route;
	assert_int_equal(route[0].deliver, ROUTE_VIA);
	assert_int_equal(route[0].hops, 2);
	assert_string_equal(route[0].hop[0].host, "mx1.partner.example");
	assert_int_equal(route[0].hop[0].addr.family, NET_NONE);
	assert_string_equal(route[0].hop[1].host, "2001:db8::1");
	assert_int_equal(route[0].hop[1].addr.family, NET_IPV6);
	assert_int_equal(route[0].hop[1].port, 2525);
	assert_int_equal(route[0].line, 10);
	assert_int_equal(route[1].port, 2500);
	assert_true(route[1].allow_loopback && route[1].inbound);
	assert_int_equal(route[1].to.n, 2);
	assert_int_equal(route[2].deliver, ROUTE_REJECT);
	assert_string_equal(route[2].reject_text, "nobody here");
	assert_int_equal(route[3].concurrency, 7);
	struct route_facts f = {
	    .sender = SPAN("a@b.example"), .recipient = SPAN("x@sub.example.lan")};
	assert_ptr_equal(route_find(&c->policy.routes, &f), &route[1]);
	drop(c);
}

static void
test_good(void **state)
{
	(void)state;
	static const char *const texts[] = {
	    BASE,
	    "/* a comment\nof two lines */" BASE "# at the end, without a newline",
	    "#\n" BASE,
	    BASE "//comment\n//\n",
	    BASE "networks = {}\n",
	    BASE "networks = {10.0.0.0/8}\n",
	    BASE "networks = 10.0.0.0/8\n",
	    BASE "spool { max-size = 1G }\n", /* in two pieces */
	    BASE "postmaster = 'root@example.org'\nuser = \"relayd\"\nthreads = 2\n",
	    BASE "networks = {\"0.0.0.0/1\"}\n",
	    BASE "networks = {\"0.0.0.0/0\"}\ni-want-an-open-relay = true\n",
	    BASE "route a { inbound = true }\ni-want-an-open-relay = true\n",
	    BASE "route trap { inbound = true deliver = discard }\n",
	    BASE "route a { via = {\"localhost\"} }\n",
	    BASE "route a { via = {\"b\\303\\274cher.example:25\"} }\n",
	    BASE "retry { warn = \"0\" }\n",
	    BASE "retry { first = \"2h\" interval = \"1h\" }\n",
	    BASE "outgoing { concurrency = 2 }\n",
	    BASE "log { level = \"warn\" }\r\n",
	    BASE "route a { text = \"a # is // no /* comment \\\" {\" deliver = "
		 "\"reject\" }\n",
	    BASE "listener b { bind = {\"192.0.2.1:25\", \"[2001:db8::1]:25\"} }\n",
	    BASE "listener b { bind += {\"192.0.2.1:25\"} bind += {\"192.0.2.2:25\"} }\n",
	    BASE "listener b { bind = {\"127.0.0.1:26\"} tls = \"none\" auth = \"no\" "
		 "networks = {} }\n",
	};
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		drop(good(texts[i]));
}

static void
test_adding_to_a_list(void **state)
{
	(void)state;
	struct config *c =
	    good(BASE "networks += {\"10.0.0.0/8\"}\nnetworks += {\"172.16.0.0/12\"}\n");
	assert_int_equal(c->policy.networks.n, 4);
	assert_int_equal(c->policy.networks.net[0].bits, 32);
	assert_int_equal(c->policy.networks.net[3].bits, 12);
	drop(c);
	c = good(BASE "networks = {}\n");
	assert_int_equal(c->policy.networks.n, 0);
	drop(c);
	c = good(BASE "listener b { bind = {\"127.0.0.1:26\"} networks = {} }\n");
	assert_true(c->listener[1].has_networks);
	assert_int_equal(c->listener[1].networks.n, 0);
	drop(c);
	c = good(BASE "outgoing { concurrency = 2 }\n");
	assert_int_equal(c->client.initial, 2);
	drop(c);
}

/* ---- what is refused */

static void
test_bad(void **state)
{
	(void)state;
	static const struct {
		const char *text, *want;
	} cases[] = {
	    /* keys and sections */
	    {BASE "hostnmae = \"x.example\"\n",
		"t.conf:4: unknown key or section \"hostnmae\"; did you mean "
		"\"hostname\"?"},
	    {BASE "listener \"b\" {\n bnid = {\"[::]:25\"}\n}\n",
		"t.conf:5: listener \"b\": unknown key \"bnid\"; did you mean \"bind\"?"},
	    {BASE "spool { zzz = 1 }\n",
		"t.conf:4: spool: unknown key \"zzz\"; known here: path, max-size,"},
	    {BASE "zzz = 1\n", "known here: hostname, networks,"},
	    {BASE "\nlister \"x\" { bind = {1} }\n",
		"t.conf:5: unknown key or section \"lister\"; did you mean "
		"\"listener\"?"},
	    {BASE "rety { interval = 5 }\n",
		"t.conf:4: unknown key or section \"rety\"; did you mean"},
	    {BASE "message-size = 10M\n", "t.conf:4: unknown key or section "
					  "\"message-size\"; it belongs into limits { }"},
	    {BASE "spool { threads = 2 }\n",
		"t.conf:4: spool: unknown key \"threads\"; it belongs outside"},
	    {BASE "hostname = \"b.example\"\n",
		"t.conf:4: \"hostname\" is given twice; it is in line 1 already"},
	    {BASE "spool { path = \"/x\" }\n",
		"t.conf:4: spool: \"path\" is given twice; it is in line 2"},
	    {BASE "listener smtp { }\n",
		"t.conf:4: there already is one called \"smtp\""},
	    {BASE "route a { }\nroute b {}\nroute a { }\n",
		"t.conf:6: there already is one called \"a\""},
	    {BASE "\"hostname\" = x\n", "t.conf:4: a key stands without quotes"},
	    {BASE "spool|path = \"/x\"\n", "t.conf:4: a | means nothing here"},
	    {BASE "x { x { x { } } }\n", "t.conf:4: unknown key or section \"x\""},
	    {BASE "spool {\n x { y { z = 1 } } }\n",
		"t.conf:5: spool: unknown key \"x\""},
	    {BASE "root { root { } }\n", "t.conf:4: unknown key or section \"root\""},
	    {BASE "listener b { spool { path = /x listener c { } } }\n",
		"t.conf:4: listener \"b\": unknown key \"spool\"; it belongs outside of "
		"this section: is a } missing"},
	    /* form */
	    {BASE "log { level = \"info\"\n",
		"t.conf:4: this { is never closed; a } is missing"},
	    {BASE "}\n", "t.conf:4: this } closes nothing"},
	    {BASE "user = \"x\nthreads = 1\n", "t.conf:4: this string is never closed"},
	    {BASE "/* x\n\n", "t.conf:4: this comment is never closed"},
	    {BASE "/*/ x\n\n", "t.conf:4: this comment is never closed"},
	    {BASE "user x\n", "t.conf:4: \"user\" is a key; write user = and its value"},
	    {BASE "user = {a}\n", "t.conf:4: \"{\" does not fit here"},
	    {BASE "user =\n", "t.conf:5: the file ends where more was to come"},
	    {BASE "networks = {\"10.0.0.0/8\" \"11.0.0.0/8\"}\n",
		"t.conf:4: \"11.0.0.0/8\" does not fit here"},
	    {BASE "threads += 2\n", "t.conf:4: \"threads\" is not a list"},
	    {BASE "listener { }\n", "t.conf:4: section \"listener\" needs a name"},
	    {BASE "listener a b { }\n", "t.conf:4: section \"listener\" needs a {"},
	    {BASE "listener \"a b\" { }\n",
		"t.conf:4: listener \"a b\": this name will not do"},
	    {BASE "''\n", "t.conf:4: "},
	    {BASE "user = \"${RELAYD_TEST_NOT_SET}\"\n",
		"t.conf:4: the environment has no \"RELAYD_TEST_NOT_SET\""},
	    {BASE "user = \"${RELAYD_TEST\"\n", "t.conf:4: this ${ is not closed"},
	    {BASE "include(\"/nonexistent/x\")\n",
		"t.conf:4: cannot read \"/nonexistent/x\": No such file"},
	    {BASE "include(\"/dev/zero\")\n",
		"t.conf:4: cannot read \"/dev/zero\": not a file"},
	    {BASE "include()\n", "t.conf:4: include takes one file"},
	    {BASE "include \"x\"\n", "t.conf:4: write include(\"FILE\")"},
	    /* values */
	    {BASE "threads = two\n", "t.conf:4: threads = \"two\" is not a number"},
	    {BASE "threads = 65\n",
		"t.conf:4: threads = \"65\" is out of range; write 0 to 64"},
	    {BASE "threads = 99999999999999999999\n", "out of range; write 0 to 64"},
	    {BASE "threads = -1\n", "t.conf:4: threads = \"-1\" is not a number"},
	    {BASE "limits { message-size = 100 }\n",
		"t.conf:4: limits: message-size = \"100\" is not a size"},
	    {BASE "limits { message-size = \"5m\" }\n", "\"5m\" is not a size"},
	    {BASE "limits { message-size = \"5G\" }\n",
		"\"5G\" is out of range; write 1K to 4G"},
	    {BASE "limits { errors = 0 }\n", "\"0\" is out of range; write 1 to 10000"},
	    {BASE "retry { interval = 30 }\n",
		"t.conf:4: retry: interval = \"30\" is not a duration"},
	    {BASE "retry { interval = \"8d\" }\n",
		"\"8d\" is out of range; write 100ms to 7d"},
	    {BASE "retry { jitter = \"51%\" }\n",
		"t.conf:4: retry: jitter = \"51%\" is out of range; write 0% to 50%"},
	    {BASE "retry { jitter = 10 }\n",
		"\"10\" is not a percentage; write it like \"10%\""},
	    {BASE "i-want-an-open-relay = maybe\n",
		"\"maybe\" is neither true nor false"},
	    {BASE "log { level = inof }\n",
		"t.conf:4: log: level = \"inof\" is not known; did you mean \"info\"?"},
	    {BASE "log { format = xml }\n", "is not known; write \"text\" or \"json\""},
	    {BASE "control { mode = 999 }\n", "\"999\" is not a mode"},
	    {BASE "control { mode = 01777 }\n", "is not a mode"},
	    {BASE "control { path = \"run/x\" }\n", "\"run/x\" is a relative path"},
	    {BASE "control { path = "
		  "\"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" }\n",
		"is too long; 107 octets are the most"},
	    {BASE "user = \"\"\n", "t.conf:4: user = \"\" is empty"},
	    {BASE "user = \"a\\nb\"\n", "user = \"a?b\" has control characters"},
	    {BASE "postmaster = root\n", "\"root\" is not a mail address"},
	    {BASE "networks = {\"10.0.0.0/8\",\n\"10.1.2.3/8\"}\n",
		"t.conf:5: networks = \"10.1.2.3/8\" has bits set behind its first 8"},
	    {BASE "networks = {\"10.0.0.0/33\"}\n", "\"10.0.0.0/33\" is not a network"},
	    {BASE "networks = {\"office\"}\n", "\"office\" is not a network"},
	    {BASE "dns { servers = {\"ns.example\"} }\n",
		"is not a name server's address"},
	    {BASE "dns { servers = {\"192.0.2.1:0\"} }\n",
		"is not a name server's address"},
	    {BASE "dns { servers = {} }\n", "dns: servers = {} is empty"},
	    {"hostname = \"-\"\n", "t.conf:1: hostname = \"-\" is not a domain name"},
	    {"hostname = \"192.0.2.1\"\n", "is not a domain name"},
	    {"hostname = \"a..b\"\n", "is not a domain name"},
	    {"hostname = \"a_b.example\"\n", "is not a domain name"},
	    /* listeners */
	    {BASE "listener b { bind = {\"25\"} }\n",
		"listener \"b\": bind = \"25\" is not an address with a port"},
	    {BASE "listener b { bind = {\"[::]:0\"} }\n", "\"[::]:0\" has no port"},
	    {BASE "listener b { bind = {} }\n",
		"t.conf:4: listener \"b\": bind = {} is empty"},
	    {BASE "listener b { bind = {\"127.0.0.1:25\"} }\n",
		"t.conf:4: listener \"b\": bind = \"127.0.0.1:25\" is taken by listener "
		"\"smtp\" (line 3)"},
	    {BASE "listener b { bind = {\"[::]:26\", \"0.0.0.0:26\"} }\n",
		"is taken by listener \"b\" (line 4); [::] takes IPv4"},
	    {BASE "listener b { tls = startls }\n", "did you mean \"starttls\"?"},
	    {BASE "listener b { auth = yes }\n",
		"write \"no\", \"optional\", \"required\" or \"any\""},
	    {BASE "listener b { protocol = jmap }\n",
		"protocol = \"jmap\" is not known; did you mean \"imap\"?"},
	    {BASE "listener b { protocol = pop3 }\n",
		"t.conf:4: listener \"b\": nobody could sign in"},
	    {BASE "listener b { protocol = pop3\n tls = starttls\n auth = no }\n",
		"t.conf:6: listener \"b\": auth means nothing with protocol = \"pop3\", "
		"where everyone signs in; remove it"},
	    {BASE "listener b { protocol = pop3\n tls = starttls\n networks = {} }\n",
		"listener \"b\": networks means nothing with protocol"},
	    {BASE "listener b { protocol = pop3\n tls = starttls\n recipients = 7 }\n",
		"recipients means nothing with protocol = \"pop3\", which takes no mail"},
	    {BASE "listener b { protocol = pop3\n tls = starttls\n message-size = 1M }\n",
		"message-size means nothing with"},
	    {BASE "listener b { protocol = pop3\n tls = starttls\n"
		  "xclient-from = {\"192.0.2.1\"} }\n",
		"xclient-from means nothing with"},
	    {BASE "listener b { protocol = lmtp\n bind = {\"[::1]:25\"} }\n",
		"t.conf:5: listener \"b\": LMTP must not be spoken on port 25"},
	    {BASE "listener b { protocol = smpt }\n", "did you mean \"smtp\"?"},
	    {BASE "metrics { bind = \"192.0.2.1:9525\" }\n",
		"t.conf:4: metrics: bind = \"192.0.2.1:9525\" can be reached from other "
		"machines, and nothing is encrypted"},
	    {BASE "metrics { bind = {\"127.0.0.1:9525\", \"[::]:9525\"} }\n",
		"t.conf:4: metrics: bind = \"[::]:9525\" can be reached"},
	    {BASE "metrics { hosts = {\"a b\"} }\n", "metrics: hosts = \"a b\""},
	    {BASE "metrics { bind = {\"127.0.0.1:25\"} }\n",
		"t.conf:4: metrics: bind = \"127.0.0.1:25\" is also that of listener "
		"\"smtp\""},
	    /* routes */
	    {BASE "route a { via = {\":25\"} }\n",
		"t.conf:4: route \"a\": via = \":25\" is not a server"},
	    {BASE "route a { via = {\"x.example:0\"} }\n", "\"x.example:0\" has port 0"},
	    {BASE "route a { via = {\"x.example:\"} }\n", "is not a server"},
	    {BASE "route a { via = {\"2001:db8::1\"} }\n", "is not a server"},
	    {BASE "route a { via = {\"[x.example]:25\"} }\n", "is not a server"},
	    {BASE "route a { via = {\"[\"} }\n", "is not a server"},
	    {BASE "route a { via = {\"\"} }\n", "is not a server"},
	    {BASE "route a { via = {} }\n", "via = {} is empty"},
	    {BASE "route a {\n deliver = mx\n via = {\"x.example:25\"} }\n",
		"t.conf:6: route \"a\": via goes with deliver = \"via\" only"},
	    {BASE "route a { deliver = via }\n",
		"t.conf:4: route \"a\": deliver = \"via\" says not where"},
	    {BASE "route a { via = {\"x.example:25\"} port = 26 }\n",
		"port goes with deliver = \"mx\" only"},
	    {BASE "route a { text = \"x\" }\n",
		"text goes with deliver = \"reject\" only"},
	    {BASE "route a { port = 0 }\n", "\"0\" is out of range; write 1 to 65535"},
	    {BASE "route a { to = {\"a b\"} }\n",
		"t.conf:4: route \"a\": to = \"a b\" is not a pattern"},
	    /* the hashes stay out of reach of the process that parses mail */
	    {BASE "accounts { path = \"/etc/relayd/accounts\" }\n",
		"t.conf:4: accounts: path = \"/etc/relayd/accounts\" is where relayd "
		"reads "
		"other things"},
	    /* open relays */
	    {BASE "networks = {\"127.0.0.1/32\",\n\"0.0.0.0/0\"}\n",
		"t.conf:5: networks has everyone in it; that is an open relay"},
	    {BASE "networks = {\"::/0\"}\n", "t.conf:4: networks has everyone in it"},
	    {BASE "networks = {\"2000::/3\"}\n", "networks has everyone in it"},
	    {BASE "networks = {\"128.0.0.0/1\", \"0.0.0.0/1\"}\n",
		"networks has everyone in it"},
	    {BASE "networks = {\"128.0.0.0/1\", \"64.0.0.0/2\", \"0.0.0.0/3\", "
		  "\"32.0.0.0/3\"}\n",
		"everyone"},
	    {BASE "networks = {\"8000::/1\", \"::/1\"}\n", "networks has everyone in it"},
	    {BASE "networks = {\"::ffff:0:0/96\"}\n", "networks has everyone in it"},
	    {BASE "networks += {\"0.0.0.0/0\"}\n",
		"t.conf:4: networks has everyone in it"},
	    {BASE "listener b { networks = {\"0.0.0.0/0\"} bind = {\"127.0.0.1:26\"} }\n",
		"t.conf:4: listener \"b\": networks has everyone in it"},
	    {BASE "listener b { bind = {\"127.0.0.1:26\"}\nxclient-from = "
		  "{\"0.0.0.0/0\"} }\n",
		"t.conf:5: listener \"b\": xclient-from has everyone in it; that is an "
		"open relay"},
	    {BASE "listener b { bind = {\"127.0.0.1:26\"}\nproxy-from = "
		  "{\"10.0.0.1\",\n\"::/0\"} }\n",
		"t.conf:6: listener \"b\": proxy-from has everyone in it"},
	    {BASE "route a {\n inbound = true }\n",
		"t.conf:5: route \"a\": strangers could send to anyone"},
	    {BASE "route a { to = {\"x.example\", \"*\"} inbound = true }\n",
		"strangers could send to anyone"},
	    {BASE "route a { inbound = true deliver = hold }\n",
		"strangers could send to anyone"},
	    /* the whole */
	    {"hostname = a.example\nspool { path = /x }\n",
		"t.conf:1: there is no listener; write listener"},
	    {"hostname = a.example\nlistener a {}\n",
		"t.conf:1: spool: there is no path"},
	    {"hostname = a.example\nlistener a {}\nspool { node = 1 }\n",
		"t.conf:3: spool: there is no path"},
	    {"hostname = a.example\nlistener a {}\nspool { path = \"var/x\" }\n",
		"t.conf:3: spool: path = \"var/x\" is a relative path"},
	    {"", "t.conf:1: there is no listener"},
	    {BASE "retry {\n interval = \"1h\"\n expire = \"30m\" warn = \"1m\" }\n",
		"t.conf:6: retry: expire is shorter than interval"},
	    {BASE "retry { expire = \"4h\" }\n",
		"t.conf:4: retry: warn is not before expire"},
	    {BASE "outgoing { initial = 30 }\n",
		"t.conf:4: outgoing: initial is more than concurrency; write 20 or less"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		bad(cases[i].text, cases[i].want);
}

#define VIA BASE "route a { via = {\"mx.example\"} "
#define LISTEN BASE "listener b { bind = {\"127.0.0.1:26\"} "

/* Transport, sign-in, rules, limits: values and what goes together. */
static void
test_bad_ways(void **state)
{
	(void)state;
	static const struct {
		const char *text, *want;
	} cases[] = {
	    /* rates */
	    {VIA "rate = {\"ten\"} }\n",
		"t.conf:4: route \"a\": rate = \"ten\" is not a rate"},
	    {VIA "rate = {\"10\"} }\n",
		"\"10\" is not a rate; write a number and a time"},
	    {VIA "rate = {\"0/1s\"} }\n", "\"0/1s\" is out of range; write 1 to"},
	    {VIA "rate = {\"1/367d\"} }\n", "\"1/367d\" is out of range"},
	    {VIA "rate = {\"1/500ms\"} }\n", "\"1/500ms\" is out of range"},
	    {VIA "rate = {\"1/s\", \"2/m\", \"3/h\", \"4/d\", \"5/w\"} }\n",
		"\"5/w\" is one too many; 4 rates are the most"},
	    {VIA "rate = {} }\n", "rate = {} is empty"},
	    /* rewritings */
	    {VIA "rewrite-sender = {\"office.lan\"} }\n",
		"rewrite-sender = \"office.lan\" is not a rewriting; write "
		"\"@office.lan="},
	    {VIA "rewrite-from = {\"a b=@x.example\"} }\n", "\"a b\" is not a pattern"},
	    {VIA "rewrite-from = {\"*=*\"} }\n", "\"*=*\" is not a rewriting"},
	    {VIA "rewrite-from = {\"<>=@x.example\"} }\n", "is not a rewriting"},
	    {VIA "rewrite-to = {\"x.example=\"} }\n",
		"\"x.example=\" is not a rewriting"},
	    {VIA "masquerade = {\"a b\"} }\n", "is not a pattern"},
	    {VIA "masquerade = {\"a@x.example\"} }\n", "masquerade = "},
	    {VIA "keep-reply-to = true }\n",
		"keep-reply-to needs rewrite-from or masquerade"},
	    {VIA "keep-reply-to = true rewrite-sender = {\"*=a@x.example\"} }\n",
		"keep-reply-to needs rewrite-from or masquerade"},
	    /* fingerprints */
	    {VIA "tls = verify tls-fingerprints = {\"abcd\"} }\n",
		"\"abcd\" is not a SHA-256 fingerprint; take the one of \"openssl x509"},
	    {VIA "tls = verify tls-fingerprints = {\"sha256:" FP "0\"} }\n",
		"is not a SHA-256 fingerprint"},
	    {VIA "tls = verify tls-fingerprints = {\"g" FP63 "\"} }\n",
		"is not a SHA-256 fingerprint"},
	    {BASE "tls { client-fingerprints = {\"\"} }\n",
		"is not a SHA-256 fingerprint"},
	    /* names, files */
	    {BASE "rule a { account = {\"a b\"} }\n",
		"t.conf:4: rule \"a\": account = \"a b\" is not a name; it has 1 to 128"},
	    {BASE "rule a { listener = {\"\"} }\n", "\"\" is not a name"},
	    {BASE "tls { certificate = {\"\"} }\n",
		"t.conf:4: tls: certificate = \"\" will not do; write up to 64"},
	    {BASE "tls { certificate = {} }\n", "certificate = {} is empty"},
	    {BASE "tls { client-ca = \"\" }\n", "client-ca = \"\" is empty"},
	    {BASE "tls { certificate = {\"a\", \"b\"} key = \"c\" }\n",
		"t.conf:4: tls: there are 2 certificates and 1 keys"},
	    {BASE "tls { key = \"c\" }\n", "there are 0 certificates and 1 keys"},
	    {BASE "accounts { path = \"accounts\" }\n",
		"\"accounts\" is a relative path"},
	    {BASE "accounts { attempts = 0 }\n",
		"\"0\" is out of range; write 1 to 10000"},
	    {BASE "accounts { delay = \"2m\" }\n", "out of range; write 0 to 1m"},
	    {BASE "accounts { lockout = 0 }\n", "out of range; write 1s to 1d"},
	    {BASE "submit { path = \"s\" }\n", "submit: path = \"s\" is a relative path"},
	    {BASE "submit { mode = 1 }\n", "is not a mode"},
	    /* sources, proxies, next hops */
	    {VIA "source = {\"eth0\"} }\n", "source = \"eth0\" is not an address"},
	    {VIA "source = {\"192.0.2.1:25\"} }\n", "is not an address"},
	    {VIA "source = {\"192.0.2.1\", \"192.0.2.2\"} }\n",
		"\"192.0.2.2\" is one too many; write one IPv4 and one IPv6"},
	    {VIA "source = {\"192.0.2.1\", \"2001:db8::1\", \"192.0.2.2\"} }\n",
		"is one too many"},
	    {VIA "socks = \"proxy.example:1080\" }\n",
		"socks = \"proxy.example:1080\" is not the address of a proxy"},
	    {VIA "socks = \"192.0.2.1:0\" }\n", "is not the address of a proxy"},
	    {VIA "socks = \"\" }\n", "is not the address of a proxy"},
	    {VIA "socks = {\"192.0.2.1\", \"192.0.2.2\"} }\n",
		"\"192.0.2.2\" is one too many; one proxy is the most"},
	    {BASE "route a { via = {\"smtps://\"} }\n", "\"smtps://\" is not a server"},
	    {BASE "route a { via = {\"smtps://x.example:0\"} }\n", "has port 0"},
	    {BASE "route a { via = {\"https://x.example\"} }\n", "is not a server"},
	    {BASE "route a { deliver = lmtp }\n",
		"t.conf:4: route \"a\": deliver = \"lmtp\" says not where"},
	    {VIA "helo = \"-\" }\n", "helo = \"-\" is not a domain name"},
	    {VIA "family = ipv5 }\n", "did you mean \"ipv4\"?"},
	    {VIA "always-bcc = archive }\n", "\"archive\" is not a mail address"},
	    /* TLS and sign-in of routes */
	    {VIA "tls-name = x.example }\n",
		"route \"a\": tls-name needs tls = \"verify\""},
	    {VIA "tls = required tls-ca = ca.pem }\n", "tls-ca needs tls = \"verify\""},
	    {VIA "tls-fingerprints = {\"" FP "\"} }\n",
		"tls-fingerprints needs tls = \"verify\""},
	    {VIA "tls = verify user = x }\n",
		"route \"a\": user needs a password: secret-file ="},
	    {VIA "tls = verify secret-file = x }\n", "secret-file needs a name: user ="},
	    {VIA "user = x secret-file = x }\n",
		"user needs tls = \"verify\" (or \"required\")"},
	    {BASE "route a { tls = verify user = x secret-file = x }\n",
		"user needs one server to sign in at: via ="},
	    {BASE "route a { deliver = hold rate = {\"1/s\"} }\n",
		"rate needs a next hop: deliver = \"mx\", \"via\" or \"lmtp\""},
	    {BASE "route a { deliver = discard tls = none }\n", "tls needs a next hop"},
	    {BASE "route a { deliver = reject rewrite-to = {\"*=a@x.example\"} }\n",
		"rewrite-to needs a next hop"},
	    /* listeners */
	    {LISTEN "auth = required }\n",
		"t.conf:4: listener \"b\": nobody could sign in"},
	    {LISTEN "auth = any }\n", "auth = \"any\" takes every password; say from"},
	    {LISTEN "tls-required = true }\n", "tls-required needs tls = \"starttls\""},
	    {LISTEN "client-certificate = ask }\n", "client-certificate needs tls ="},
	    {LISTEN
		"client-certificate = ask tls = legacy clients = {\"10.0.0.0/8\"} }\n",
		"client-certificate needs tls ="},
	    {LISTEN "auth-in-clear-from = {\"10.0.0.0/8\"} }\n",
		"auth-in-clear-from needs auth-in-clear = true"},
	    {LISTEN "tls = legacy }\n",
		"listener \"b\": old TLS is for known devices only"},
	    {LISTEN "clients = {} }\n", "clients = {} is empty"},
	    {LISTEN "message-size = \"5G\" }\n", "is out of range; write 0 to 4G"},
	    /* rules, limits, block lists */
	    {BASE "rule a { action = drop }\n", "action = \"drop\" is not known; write"},
	    {BASE "rule a { text = \"\" }\n", "text = \"\" is empty"},
	    {BASE "rule a { }\nrule a { }\n",
		"t.conf:5: there already is one called \"a\""},
	    {BASE "limit a { }\n",
		"t.conf:4: limit \"a\" limits nothing; write messages"},
	    {BASE "limit a { per = account connections = {\"1/s\"} }\n",
		"limit \"a\": connections needs per = \"client\""},
	    {BASE "dnsbl a { }\n", "t.conf:4: dnsbl \"a\" says not which; write zone"},
	    {BASE "dnsbl a { zone = \"192.0.2.1\" }\n", "is not a zone of the DNS"},
	    {BASE "dnsbl a { zone = bl.example action = hold }\n", "is not known; write"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		bad(cases[i].text, cases[i].want);
}

static void
test_ways(void **state)
{
	(void)state;
	struct config *c = good(BASE
	    "route a { to = {\"x.example\"} via = {\"smtps://mx.example\", "
	    "\"smtp://[2001:db8::1]:587\", "
	    "\"mx.example:465\", \"192.0.2.1\"} tls = verify tls-name = mail.example "
	    "tls-fingerprints = {\"SHA256:AA:" FP62 "\"} user = relay secret-file = "
	    "pw\n source = {\"192.0.2.1\", \"2001:db8::1\"} socks = "
	    "\"socks5://192.0.2.9\" rate = {\"10/s\", \"100/1h\"} family = ipv4-first\n"
	    "rewrite-sender = {\"@office.lan=@office.example\", \"<>=b@office.example\"} "
	    "rewrite-from = {\"*=relay@office.example\"} keep-reply-to = true\n"
	    "rewrite-to = {\"a@b.example=c@d.example\"} masquerade = "
	    "{\"office.example\"} "
	    "always-bcc = archive@office.example }\n"
	    "route b { deliver = lmtp via = {\"lmtp://192.0.2.1:24\"} }\n");
	const struct route *a = &c->policy.routes.route[0];
	assert_true(a->hop[0].tls && a->hop[0].port == 465);
	assert_true(!a->hop[1].tls && a->hop[1].port == 587);
	assert_true(a->hop[2].tls && a->hop[2].port == 465);
	assert_true(!a->hop[3].tls && a->hop[3].port == 25);
	assert_int_equal(a->tls, ROUTE_TLS_VERIFY);
	assert_string_equal(a->fingerprints.name[0], "aa" FP62);
	assert_string_equal(a->secret_file, "pw");
	assert_null(a->secret); /* config_open() reads it */
	assert_int_equal(a->sources, 2);
	assert_int_equal(a->socks_n, 1);
	assert_int_equal(a->socks->port, 1080);
	assert_int_equal(a->rates.n, 2);
	assert_int_equal(a->rates.rate[1].period_ms, HOUR_MS);
	assert_int_equal(a->family, ROUTE_FAMILY_IPV4_FIRST);
	assert_true(a->ipv4_fallback && a->rewriting.keep_reply_to);
	assert_int_equal(a->rewriting.sender.n, 2);
	assert_true(a->rewriting.masquerade.rule[0].match.subdomains);
	assert_string_equal(a->always_bcc, "archive@office.example");
	a++;
	assert_int_equal(a->deliver, ROUTE_LMTP);
	assert_int_equal(a->hop[0].port, 24);
	drop(c);

	c = good(BASE "tls { certificate = {\"a.pem\", \"/b.pem\"} key = {\"a.key\", "
		      "\"b.key\"} client-fingerprints = {\"" FP "\"} }\n"
		      "listener b { bind = {\"127.0.0.1:587\"} tls-required = yes auth = "
		      "required client-certificate = ask }\n"
		      "listener c { bind = {\"127.0.0.1:26\"} tls = legacy auth = any "
		      "clients = {\"10.0.0.0/8\"} auth-in-clear = true recipients = 5 "
		      "proxy-from = {\"192.0.2.1\"} xclient-from = {\"192.0.2.2\"} }\n"
		      "accounts { delay = 0 cache = 0 attempts = 3 }\n"
		      "submit { path = \"/run/relayd/submit\" mode = 0660 }\n"
		      "rule a { action = hold helo = {\".dyn.example\"} account = joe }\n"
		      "limit a { per = sender messages = {\"10/1m\", \"100/1d\"} }\n"
		      "dnsbl a { zone = \"bl.example\" answers = {\"127.0.0.2\"} action "
		      "= log }\n");
	assert_int_equal(c->tls.certificates.n, 2);
	assert_string_equal(c->tls.certificates.name[1], "/b.pem");
	/* with a certificate and nothing said */
	assert_int_equal(c->listener[0].tls, TLS_STARTTLS);
	assert_int_equal(c->listener[1].auth, AUTH_REQUIRED);
	assert_int_equal(c->listener[1].certificate, CERTIFICATE_ASK);
	assert_int_equal(c->listener[2].tls, TLS_LEGACY);
	assert_int_equal(c->listener[2].recipients, 5);
	assert_int_equal(c->listener[2].proxy_from.n, 1);
	assert_int_equal(c->accounts.attempts, 3);
	assert_int_equal(c->submit.mode, 0660);
	assert_int_equal(c->policy.rules.rule[0].action, RULE_HOLD);
	assert_int_equal(c->limit[0].messages.n, 2);
	assert_int_equal(c->dnsbl[0].action, DNSBL_LOG);
	drop(c);
	c = good(BASE);
	assert_int_equal(c->listener[0].tls, TLS_NONE);
	assert_int_equal(c->accounts.delay_ms, 2 * SECOND_MS);
	assert_int_equal(c->accounts.lockout_ms, 15 * MINUTE_MS);
	drop(c);
}

/* Files stand beside the configuration. */
static void
test_files_beside(void **state)
{
	(void)state;
	struct buf errors;
	buf_init(&errors, 64u << 10);
	struct config *c = config_parse("/etc/relayd/t.conf",
	    BASE "tls { certificate = {\"tls/a.pem\", \"/b.pem\"} ca = \"ca.pem\" }\n"
		 "route a { via = {\"mx.example\"} tls = required user = x secret-file = "
		 "\"pw\" }\n",
	    &errors);
	assert_non_null(c);
	assert_int_equal(errors.n, 0);
	assert_string_equal(c->tls.certificates.name[0], "/etc/relayd/tls/a.pem");
	assert_string_equal(c->tls.certificates.name[1], "/b.pem");
	assert_string_equal(c->tls.ca, "/etc/relayd/ca.pem");
	assert_string_equal(c->policy.routes.route[0].secret_file, "/etc/relayd/pw");
	buf_clear(&errors);
	drop(c);
}

static void
test_many_at_once(void **state)
{
	(void)state;
	struct buf errors;
	struct config *c =
	    parse("hostname = \"-\"\n"
		  "threds = 5\n"
		  "listener \"a\" { bnid = {\"[::]:25\"} }\n"
		  "tls { certificate = \"x\" }\n"
		  "listener \"b\" { bnid = {\"[::]:26\"} tls = \"implicit\" }\n"
		  "lister \"c\" { colour = 1 }\n"
		  "lister \"d\" { }\n"
		  "retry { interval = 30 jitter = \"90%\" }\n",
		&errors);
	assert_null(c);
	assert_string_equal(errors.p,
	    "t.conf:1: hostname = \"-\" is not a domain name; write it like "
	    "\"mail.example.org\"\n"
	    "t.conf:1: spool: there is no path; write spool { path = \"/var/lib/relayd\" "
	    "}\n"
	    "t.conf:2: unknown key or section \"threds\"; did you mean \"threads\"?\n"
	    "t.conf:3: listener \"a\": unknown key \"bnid\"; did you mean \"bind\"?\n"
	    "t.conf:5: listener \"b\": unknown key \"bnid\"; did you mean \"bind\"?\n"
	    "t.conf:6: unknown key or section \"lister\"; did you mean \"listener\"?\n"
	    "t.conf:8: retry: interval = \"30\" is not a duration; write numbers with "
	    "ms, s, m, h, d "
	    "or w: \"1h30m\"\n"
	    "t.conf:8: retry: jitter = \"90%\" is out of range; write 0% to 50%\n");
	buf_clear(&errors);
}

static void
test_rule_for_all(void **state)
{
	struct buf said;
	(void)state;
	buf_init(&said, 4096);
	struct config *c = config_parse("t.conf",
	    BASE "rule a { action = hold }\nrule b { action = accept }\n"
		 "rule c { }\n",
	    &said);
	assert_non_null(c);
	buf_add_char(&said, '\0');
	assert_non_null(
	    strstr(said.p, "t.conf:4: warning: rule \"a\" fits all mail; say"));
	assert_null(strstr(said.p, "rule \"b\""));
	assert_null(strstr(said.p, "rule \"c\""));
	buf_clear(&said);
	drop(c);
}

static void
test_warnings(void **state)
{
	(void)state;
	struct buf errors;
	struct config *c =
	    parse(BASE "route a { }\nroute b { to = {\"x.example\"} }\n", &errors);
	assert_non_null(c);
	assert_string_equal(errors.p, "t.conf:5: warning: route \"b\" is never reached, "
				      "because \"a\" (line 4) takes everything; "
				      "put it before that one\n");
	buf_clear(&errors);
	drop(c);
	/* a listener that nothing comes in by: the rule would silently never fit */
	c = parse(BASE "rule a { listener = {\"SMTP\", \"local\"} }\n"
		       "rule b { listener = {\"smtp\",\n\"smpt\"} }\n"
		       "limit l { messages = {\"1/1s\"} listener = {\"x\"} }\n",
	    &errors);
	assert_non_null(c);
	assert_string_equal(errors.p,
	    "t.conf:6: warning: rule \"b\": there is no listener \"smpt\"; nothing comes "
	    "in by it\n"
	    "t.conf:7: warning: limit \"l\": there is no listener \"x\"; nothing comes "
	    "in "
	    "by it\n");
	buf_clear(&errors);
	drop(c);
	/* Without hostname: the machine's, perhaps with a warning. */
	c = parse(strchr(BASE, '\n'), &errors);
	assert_non_null(c);
	assert_non_null(strchr(c->policy.hostname, '.'));
	buf_clear(&errors);
	drop(c);
}

/* ---- environment and files */

static void
test_environment(void **state)
{
	(void)state;
	assert_int_equal(setenv("RELAYD_TEST_USER", "mail", 1), 0);
	struct config *c = good(BASE "user = \"${RELAYD_TEST_USER}\"\n"
				     "threads = ${RELAYD_TEST_THREADS:-3}\n"
				     "networks = {\"${RELAYD_TEST_NET:-10.0.0.0/8}\"}\n");
	assert_string_equal(c->user, "mail");
	assert_int_equal(c->threads, 3);
	assert_int_equal(c->policy.networks.net[0].bits, 8);
	drop(c);
	assert_int_equal(unsetenv("RELAYD_TEST_USER"), 0);
}

struct files {
	char dir[64];
	char path[128]; /* of the last one written */
};

static const char *
put_file(struct files *f, const char *name, const char *text)
{
	snprintf(f->path, sizeof(f->path), "%s/%s", f->dir, name);
	FILE *out = fopen(f->path, "w");
	assert_non_null(out);
	assert_int_equal(fputs(text, out) >= 0, 1);
	assert_int_equal(fclose(out), 0);
	return f->path;
}

static struct config *
read_file(struct files *f, struct buf *errors)
{
	snprintf(f->path, sizeof(f->path), "%s/main.conf", f->dir);
	buf_init(errors, 0);
	struct config *c = config_read(f->path, errors);
	buf_add_char(errors, '\0');
	return c;
}

static int
make_dir(void **state)
{
	struct files *f = NEW(struct files);
	memcpy(f->dir, "/tmp/test_config.XXXXXX", sizeof("/tmp/test_config.XXXXXX"));
	*state = f;
	return mkdtemp(f->dir) == NULL;
}

static int
remove_dir(void **state)
{
	static const char *const names[] = {"main.conf", "a.conf", "b.conf"};
	struct files *f = *state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		snprintf(f->path, sizeof(f->path), "%s/%s", f->dir, names[i]);
		(void)unlink(f->path);
	}
	(void)rmdir(f->dir);
	mem_free(&f);
	return 0;
}

static void
test_includes(void **state)
{
	struct files *f = *state;
	struct buf errors;
	put_file(f, "a.conf", "# two\nuser = \"a\"\nspool { include(\"b.conf\") }\n");
	put_file(f, "b.conf", "node = 7");
	put_file(f, "main.conf", BASE "include(\"a.conf\")\nthreads = 3\n");
	struct config *c = read_file(f, &errors);
	assert_string_equal(errors.p, "");
	assert_string_equal(c->user, "a");
	assert_int_equal(c->spool.node, 7);
	assert_int_equal(c->threads, 3);
	buf_clear(&errors);
	drop(c);

	put_file(f, "b.conf", "\n\nnode = seven\n\nnod = 7\n");
	put_file(f, "main.conf", BASE "include(\"a.conf\")\nthreads = x\n");
	assert_null(read_file(f, &errors));
	char want[512];
	snprintf(want, sizeof(want),
	    "%s/main.conf:5: threads = \"x\" is not a number; write digits without a "
	    "unit\n"
	    "%s/b.conf:3: spool: node = \"seven\" is not a number; write digits without "
	    "a unit\n"
	    "%s/b.conf:5: spool: unknown key \"nod\"; did you mean \"node\"?\n",
	    f->dir, f->dir, f->dir);
	assert_string_equal(errors.p, want);
	buf_clear(&errors);
}

/* As a daemon that is reloaded with a mistake in an included file, again and again. */
static void
test_failing_includes(void **state)
{
	struct files *f = *state;
	struct buf errors;
	put_file(f, "main.conf", BASE "include(\"a.conf\")\n");
	put_file(f, "a.conf", "user = {\n}");
	for (int i = 0; i < 30; i++) {
		assert_null(read_file(f, &errors));
		assert_non_null(strstr(errors.p, "a.conf:1: \"{\" does not fit here"));
		buf_clear(&errors);
	}
	put_file(f, "a.conf", "spool {\n");
	assert_null(read_file(f, &errors));
	assert_non_null(strstr(errors.p, "a.conf:1: this { is never closed"));
	buf_clear(&errors);
	put_file(f, "a.conf", "include(\"a.conf\")\n");
	assert_null(read_file(f, &errors));
	assert_non_null(strstr(errors.p, "is it a circle?"));
	buf_clear(&errors);
	put_file(f, "a.conf", "user = \"b\"\n");
	struct config *c = read_file(f, &errors);
	assert_string_equal(errors.p, "");
	buf_clear(&errors);
	drop(c);
}

static void
test_unreadable(void **state)
{
	struct files *f = *state;
	struct buf errors = {0};
	assert_null(config_read("/nonexistent.conf", &errors));
	buf_add_char(&errors, '\0');
	assert_string_equal(errors.p,
	    "/nonexistent.conf:1: cannot read \"/nonexistent.conf\": No such "
	    "file or directory; name the right file with -c, or try without one: "
	    "relayd --try DIR\n");
	buf_reset(&errors);
	assert_null(config_read(f->dir, &errors));
	buf_clear(&errors);

	FILE *out = fopen(put_file(f, "main.conf", BASE), "a");
	assert_non_null(out);
	assert_int_equal(fputc('\0', out), 0);
	assert_int_equal(fclose(out), 0);
	assert_null(read_file(f, &errors));
	assert_non_null(strstr(errors.p, "has a NUL in it"));
	buf_clear(&errors);
}

/* ---- snapshots */

static void
test_twice_the_same(void **state)
{
	(void)state;
	struct buf notes = {0};
	struct config *a = good(example), *b = good(example);
	config_diff(a, b, &notes);
	assert_int_equal(notes.n, 0);
	assert_int_equal(a->policy.networks.n, b->policy.networks.n);
	for (size_t i = 0; i < a->policy.networks.n; i++) {
		const struct net_cidr *na = &a->policy.networks.net[i];
		const struct net_cidr *nb = &b->policy.networks.net[i];
		assert_true(net_same_ip(&na->base, &nb->base) && na->bits == nb->bits);
	}
	assert_memory_equal(&a->retry, &b->retry, sizeof(a->retry));
	assert_memory_equal(&a->server, &b->server, sizeof(a->server));
	assert_memory_equal(&a->client, &b->client, sizeof(a->client));
	assert_int_equal(a->listeners, b->listeners);
	assert_true(net_same_ip(&a->listener[1].bind[0], &b->listener[1].bind[0]));
	for (size_t i = 0; i < a->policy.routes.n; i++) {
		struct buf da = {0}, db = {0};
		route_describe(&a->policy.routes.route[i], SPAN("x@y.example"), &da);
		route_describe(&b->policy.routes.route[i], SPAN("x@y.example"), &db);
		assert_true(span_eq(buf_span(&da), buf_span(&db)));
		buf_clear(&da);
		buf_clear(&db);
	}
	struct config *more = config_ref(a);
	drop(a);
	assert_string_equal(more->policy.hostname, "gw.example.lan");
	drop(more);
	drop(b);
}

static void
test_metrics(void **state)
{
	(void)state;
	struct config *c = good(BASE);
	assert_int_equal(c->metrics.binds, 0);
	drop(c);
	c = good(BASE "metrics { }\n");
	assert_int_equal(c->metrics.binds, 1);
	assert_int_equal(c->metrics.bind[0].port, 9525);
	assert_true(net_is_loopback(&c->metrics.bind[0]));
	drop(c);
	c = good(BASE "metrics { bind = {\"[::1]:80\", \"192.0.2.1:80\"} in-clear = true "
		      "hosts = {\"Mail.Example.org\"} }\n");
	assert_int_equal(c->metrics.binds, 2);
	assert_true(c->metrics.in_clear && !c->metrics.tls);
	assert_string_equal(c->metrics.hosts.name[0], "mail.example.org");
	drop(c);
}

static void
test_diff(void **state)
{
	(void)state;
	struct buf notes = {0};
	struct config *a = good(BASE "listener x { bind = {\"127.0.0.1:26\"} }\n");
	struct config *b = good("hostname = \"gw.example.org\"\n"
				"spool { path = \"/var/lib/other\" node = 3 }\n"
				"listener \"smtp\" { bind = {\"127.0.0.1:2525\"} }\n"
				"listener \"y\" { bind = {\"127.0.0.1:26\"} }\n"
				"threads = 2 user = mail\n"
				"control { path = \"/run/x\" }\n"
				"dns { servers = {\"192.0.2.1\"} }\n"
				"metrics { tls = true }\n"
				"retry { interval = \"1h\" }\n"
				"log { level = debug }\n");
	config_diff(a, b, &notes);
	buf_add_char(&notes, '\0');
	assert_string_equal(notes.p,
	    "user: restart relayd to change it\n"
	    "threads: restart relayd to change it\n"
	    "spool path: restart relayd to change it\n"
	    "spool node: restart relayd to change it\n"
	    "dns servers: restart relayd to change it\n"
	    "control path: restart relayd to change it\n"
	    "metrics tls: restart relayd to change it\n"
	    "listener \"smtp\" bind: restart relayd to change it\n"
	    "listener \"x\": closed\n"
	    "listener \"y\": restart relayd to open it\n"
	    "metrics bind: restart relayd to change it\n");
	buf_clear(&notes);
	drop(a);
	drop(b);
}

/* ---- mailboxes */

static void
test_mailboxes(void **state)
{
	(void)state;
	struct config *c = good(BASE
	    "mailboxes { quota = \"1G\" quota-messages = 5000 over-quota = reject\n"
	    "  unread = return unread-after = \"90d\" picked-after = \"30d\"\n"
	    "  login-delay = \"1m\" delimiter = \"-\" }\n"
	    "mailbox staff { account = {\"Ann\", \"bob\"} quota = 0 }\n"
	    "mailbox old { domain = {\"OLD.example\", \"b\u00fccher.example\"}\n"
	    "  unread = stay picked-after = 0 over-quota = defer\n"
	    "  quota-messages = 7 login-delay = 0 }\n"
	    "timeouts { pickup = \"30m\" }\n"
	    "route own { to = {\"example.org\"} deliver = mailbox catch-all = ann\n"
	    "  always-bcc = \"archive@example.net\" }\n"
	    "route inner { to = {\"lan.example\"} deliver = mailbox inbound = false }\n"
	    "route all { deliver = mailbox }\n");
	const struct mailbox_config *m = &c->mailbox_default;
	assert_null(m->name);
	assert_int_equal(m->quota, 1 << 30);
	assert_int_equal(m->quota_messages, 5000);
	assert_int_equal(m->over, QUOTA_REJECT);
	assert_int_equal(m->unread, UNREAD_RETURN);
	assert_int_equal(m->unread_ms, 90 * DAY_MS);
	assert_int_equal(m->picked_ms, 30 * DAY_MS);
	assert_int_equal(m->login_delay_ms, MINUTE_MS);
	assert_string_equal(c->delimiter, "-");
	assert_int_equal(c->server.pickup_ms, 30 * MINUTE_MS);

	assert_int_equal(c->mailboxes, 2);
	m = &c->mailbox[0]; /* one key is its own, the rest is inherited */
	assert_string_equal(m->name, "staff");
	assert_int_equal(m->accounts.n, 2);
	assert_int_equal(m->domains.n, 0);
	assert_int_equal(m->quota, 0);
	assert_int_equal(m->quota_messages, 5000);
	assert_int_equal(m->over, QUOTA_REJECT);
	assert_int_equal(m->unread_ms, 90 * DAY_MS);
	m = &c->mailbox[1]; /* the other way round */
	assert_string_equal(m->domains.name[0], "old.example");
	assert_string_equal(m->domains.name[1], "xn--bcher-kva.example");
	assert_int_equal(m->quota, 1 << 30);
	assert_int_equal(m->quota_messages, 7);
	assert_int_equal(m->over, QUOTA_DEFER);
	assert_int_equal(m->unread, UNREAD_STAY);
	assert_int_equal(m->unread_ms, 0);
	assert_int_equal(m->picked_ms, 0);
	assert_int_equal(m->login_delay_ms, 0);

	const struct route *r = c->policy.routes.route;
	assert_int_equal(r[0].deliver, ROUTE_MAILBOX);
	assert_true(r[0].inbound);
	assert_string_equal(r[0].catch_all, "ann");
	assert_string_equal(r[0].always_bcc, "archive@example.net");
	assert_false(r[1].inbound);
	assert_true(r[2].inbound); /* no open relay: who has no account is refused */
	assert_null(r[2].catch_all);
	drop(c);
}

static void
test_mailbox_defaults(void **state)
{
	(void)state;
	struct config *c = good(BASE);
	const struct mailbox_config *m = &c->mailbox_default;
	assert_string_equal(c->delimiter, "+");
	assert_int_equal(m->quota + m->quota_messages, 0);
	assert_int_equal(m->over, QUOTA_DEFER);
	assert_int_equal(m->unread, UNREAD_STAY);
	assert_int_equal(m->unread_ms + m->picked_ms + m->login_delay_ms, 0);
	assert_int_equal(c->server.pickup_ms, 10 * MINUTE_MS);
	assert_int_equal(c->mailboxes, 0);
	drop(c);
	c = good(BASE "mailboxes { delimiter = \"\" }\n");
	assert_string_equal(c->delimiter, "");
	drop(c);
}

static void
test_bad_mailboxes(void **state)
{
	(void)state;
	static const struct {
		const char *text, *want;
	} cases[] = {
	    {"mailboxes { quota = 10 }", "mailboxes: quota = \"10\" is not a size"},
	    {"mailboxes { over-quota = bounce }", "write \"defer\" or \"reject\""},
	    {"mailboxes { unread = return }",
		"t.conf:4: mailboxes: unread = \"return\" needs unread-after, the time"},
	    {"mailboxes { unread = delete unread-after = 0 }",
		"t.conf:4: mailboxes: unread = \"delete\" needs unread-after"},
	    {"mailboxes { unread-after = \"90d\" }",
		"t.conf:4: mailboxes: unread-after says when, but not what then"},
	    {"mailboxes { unread = delete unread-after = \"59m\" }",
		"t.conf:4: mailboxes: unread-after is too short to fetch mail in"},
	    {"mailboxes { picked-after = \"30s\" }",
		"t.conf:4: mailboxes: picked-after is too short"},
	    {"mailboxes { delimiter = \"a\" }",
		"t.conf:4: mailboxes: delimiter = \"a\" will not do"},
	    {"mailboxes { delimiter = \"@\" }", "delimiter = \"@\" will not do"},
	    {"mailboxes { delimiter = \"++\" }", "is too long; 1 octets are the most"},
	    {"mailboxes { login-delay = \"2d\" }", "is out of range"},
	    {"mailboxes { account = {\"ann\"} }", "unknown key \"account\""},
	    {"mailbox ann { quota = 1M }",
		"t.conf:4: mailbox \"ann\" is for nobody; write account ="},
	    {"mailbox ann { account = {\"ann\"} unread = delete }",
		"t.conf:4: mailbox \"ann\": unread = \"delete\" needs unread-after"},
	    {"mailbox ann { domain = {\"a b\"} }", "\"a b\" is not a domain"},
	    {"mailbox \"a b\" { account = {\"ann\"} }", "this name will not do"},
	    {"mailbox ann { account = {\"ann\"} delimiter = \"+\" }",
		"it belongs into mailboxes { }"},
	    {"timeouts { pickup = \"9m59s\" }", "is out of range; write 10m to 1d"},
	    {"route a { deliver = mailbox\n via = {\"mx.example\"} }",
		"t.conf:5: route \"a\": via goes with deliver = \"via\" only"},
	    {"route a { deliver = mailbox\n rate = {\"1/1s\"} }",
		"t.conf:5: route \"a\": rate needs a next hop"},
	    {"route a { deliver = mailbox\n tls = verify }", "tls needs a next hop"},
	    {"route a { deliver = mailbox\n concurrency = 5 }",
		"t.conf:5: route \"a\": concurrency needs a next hop"},
	    {"route a { deliver = mailbox\n masquerade = {\"example.org\"} }",
		"masquerade needs a next hop"},
	    {"route a { deliver = mailbox\n port = 26 }", "port goes with deliver"},
	    {"route a { deliver = mailbox\n text = no }", "text goes with deliver"},
	    {"route a { deliver = mailbox\n catch-all = ann }",
		"t.conf:5: route \"a\": catch-all would get the mail of all the world"},
	    {"route a { deliver = hold\n catch-all = ann }",
		"t.conf:5: route \"a\": catch-all goes with deliver = \"mailbox\" only"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char text[1000];
		snprintf(text, sizeof(text), "%s%s\n", BASE, cases[i].text);
		bad(text, cases[i].want);
	}
	struct buf many;
	buf_init(&many, 0);
	buf_add_str(&many, BASE);
	for (unsigned i = 0; i <= CONFIG_MAILBOX_MAX; i++)
		buf_addf(&many, "mailbox m%u { account = {\"a\"} }\n", i);
	char *text = buf_take(&many);
	bad(text, "t.conf:204: mailbox \"m200\" is one too many; 200 are the most");
	mem_free(&text);
}

static void
test_protocols(void **state)
{
	(void)state;
	struct config *c = good(BASE
	    "listener l { protocol = lmtp }\n"
	    "listener p { protocol = pop3 tls = starttls }\n"
	    "listener s { protocol = pop3 tls = implicit }\n"
	    "listener t { protocol = pop3 auth-in-clear = true bind = {\"[::1]:1110\"}\n"
	    "  proxy-from = {\"192.0.2.1\"} clients = {\"192.0.2.0/24\"} }\n");
	static const struct {
		enum listener_protocol protocol;
		unsigned port;
		enum listener_auth auth;
	} want[] = {{LISTENER_SMTP, 25, AUTH_NO}, {LISTENER_LMTP, 24, AUTH_NO},
	    {LISTENER_POP3, 110, AUTH_REQUIRED}, {LISTENER_POP3, 995, AUTH_REQUIRED},
	    {LISTENER_POP3, 1110, AUTH_REQUIRED}};
	assert_int_equal(c->listeners, COUNT_OF(want));
	for (size_t i = 0; i < COUNT_OF(want); i++) {
		assert_int_equal(c->listener[i].protocol, want[i].protocol);
		assert_int_equal(c->listener[i].bind[0].port, want[i].port);
		assert_int_equal(c->listener[i].auth, want[i].auth);
	}
	drop(c);
}

/* ---- the manual page */

/* The page as it is built. */
static char *
page(void)
{
	FILE *in = fopen("tools/relayd.conf.5.in", "r");
	if (in == NULL)
		fail_msg(
		    "tools/relayd.conf.5.in: tests run from the top of the repository");
	struct buf text, out, problems;
	buf_init(&text, 0);
	buf_init(&out, 0);
	buf_init(&problems, 0);
	for (int c; (c = getc(in)) != EOF;)
		buf_add_char(&text, (char)c);
	assert_int_equal(fclose(in), 0);
	bool fine = config_manual(buf_span(&text), "relayd.conf.5.in", &out, &problems);
	buf_add_char(&problems, '\0');
	if (!fine)
		fail_msg("%s", problems.p);
	buf_clear(&text);
	buf_clear(&problems);
	return buf_take(&out);
}

/* Where the entry of a key ends; lists within it have other items. */
static const char *
entry_end(const char *entry)
{
	const char *next = strstr(entry, " No = Ar "), *end = strstr(entry, "\n.Ss");
	return next != NULL && (end == NULL || next < end) ? next : end;
}

static void
on_key(void *arg, const char *section, const char *key, const char *type,
    const char *range, const char *fallback, const char *about)
{
	char *at = arg, want[200];
	snprintf(want, sizeof(want), "\n.Ss %s%s", section, *section ? " " : "Outside");
	at = strstr(at, want);
	if (at == NULL) {
		fail_msg("the page has no%s", want);
		return;
	}
	const char *end = strstr(at + 1, "\n.Ss");
	snprintf(want, sizeof(want), "\n.It Cm %s No = Ar %s\n", key, type);
	const char *found = strstr(at, want);
	if (found == NULL || (end != NULL && found > end)) {
		fail_msg("the page, %s: no%s", section, want);
		return;
	}
	/* it is said what it is, in a sentence */
	size_t n = strlen(about);
	if (n < 10 || strchr(".:", about[n - 1]) == NULL || about[0] < 'A' ||
	    about[0] > 'Z')
		fail_msg("%s %s: \"%s\" is no sentence", section, key, about);
	/* and what holds where it is not given */
	const char *next = entry_end(strchr(found + 1, '\n')),
		   *value = strstr(found, "\nDefault:\n");
	if (value == NULL || (next != NULL && value > next) || *fallback == '\0')
		fail_msg("the page, %s %s: no default", section, key);
	const char *from = strstr(found, "\nFrom\n");
	if ((from != NULL && from < value) != (strstr(range, " to ") != NULL))
		fail_msg("the page, %s %s: the range is %s", section, key, range);
}

static void
test_manual(void **state)
{
	(void)state;
	char *text = page();
	config_keys(on_key, text);
	assert_non_null(strstr(text,
	    "\n.It Cm jitter No = Ar percentage\n"
	    "How much each of these is made longer or shorter by chance, so\n"
	    "that not all mail moves in one moment; 50% at most.\n"
	    "From\n.Cm 0%\nto\n.Cm 50% .\nDefault:\n.Cm 10% .\n"));
	assert_non_null(
	    strstr(text, "\n.It Cm tls No = Ar none, starttls, implicit or legacy\n"
			 "How connections are encrypted:\n.Bl -tag"));
	assert_non_null(strstr(text,
	    "\nDefault:\n.Cm starttls\nwhere\n.Cm tls { }\nnames a certificate, else\n"
	    ".Cm none .\n"));
	assert_non_null(strstr(
	    text, "\nDefault:\n.Li {\\(dq127.0.0.1/32\\(dq, \\(dq::1/128\\(dq} .\n"));
	assert_non_null(strstr(text, "\n.Cm path , mode\nin\n.Cm submit { } ;\n"));
	assert_non_null(strstr(text, "\nThe socket of\n.Xr relayctl 8 .\n"));

	/* The example in it works. */
	char *begin = strstr(text, "\n.Sh EXAMPLES");
	assert_non_null(begin);
	begin = strstr(begin, ".Bd -literal");
	assert_non_null(begin);
	begin = strchr(begin, '\n') + 1;
	char *end = strstr(begin, "\n.Ed");
	assert_non_null(end);
	end[1] = '\0';
	drop(good(begin));
	mem_free(&text);
}

/* A page that does not fit the schema is not built. */
static void
test_wrong_manual(void **state)
{
	(void)state;
	static const struct {
		const char *text, *want;
	} cases[] = {
	    {"@section spool\n", "p:1: section \"\" is not asked for\n"},
	    {"@section spol\n", "p:1: there is no section \"spol\"\n"},
	    {"@section\n@section\n", "p:2: section \"\" was told already\n"},
	    {".Sh A\n@key path\n", "p:2: there is no key \"path\" here\n"},
	    {"@section spool\n@key pat\n", "p:2: there is no key \"pat\" here\n"},
	    {"@section spool\n@key path\nHere.\n@key path\n",
		"p:4: key \"path\" was told already\n"},
	    {"@section spool\n@text\n@after\n", "p:3: @after is not understood here\n"},
	    {"@restart\n@restrat\n", "p:2: @restrat is not understood here\n"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf out, problems;
		buf_init(&out, 0);
		buf_init(&problems, 0);
		assert_false(
		    config_manual(span_str(cases[i].text), "p", &out, &problems));
		buf_add_char(&problems, '\0');
		if (strstr(problems.p, cases[i].want) == NULL)
			fail_msg("%s, but %s", cases[i].want, problems.p);
		buf_clear(&out);
		buf_clear(&problems);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_example),
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_adding_to_a_list),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_bad_ways),
	    cmocka_unit_test(test_ways),
	    cmocka_unit_test(test_files_beside),
	    cmocka_unit_test(test_many_at_once),
	    cmocka_unit_test(test_warnings),
	    cmocka_unit_test(test_rule_for_all),
	    cmocka_unit_test(test_environment),
	    cmocka_unit_test_setup_teardown(test_includes, make_dir, remove_dir),
	    cmocka_unit_test_setup_teardown(test_failing_includes, make_dir, remove_dir),
	    cmocka_unit_test_setup_teardown(test_unreadable, make_dir, remove_dir),
	    cmocka_unit_test(test_twice_the_same),
	    cmocka_unit_test(test_diff),
	    cmocka_unit_test(test_metrics),
	    cmocka_unit_test(test_mailboxes),
	    cmocka_unit_test(test_mailbox_defaults),
	    cmocka_unit_test(test_bad_mailboxes),
	    cmocka_unit_test(test_protocols),
	    cmocka_unit_test(test_manual),
	    cmocka_unit_test(test_wrong_manual),
	};
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
