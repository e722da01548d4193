/* SPDX-License-Identifier: ISC */
/* The directory: whose an address is, whatever way it is written; settings, quotas,
 * header fields; reading the accounts, and what a failure leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/mem.h"
#include "relay/directory.h"
#include "spool/mailbox.h"
#include "tests/lib/fake_world.h"
#include "tests/lib/spool_rig.h"

static const char configuration[] =
    "hostname = \"gw.example.org\"\n"
    "spool { path = \"/nowhere\" }\n"
    "postmaster = \"ann+post@example.org\"\n"
    "listener \"smtp\" { bind = {\"127.0.0.1:25\"} }\n"
    "mailboxes { quota-messages = 100 }\n"
    "mailbox ann  { account = {\"ANN\"} quota = 1000B over-quota = reject }\n"
    "mailbox old  { domain = {\"old.example\"} quota = 0 quota-messages = 0 }\n"
    "mailbox late { account = {\"ann\", \"old\"} quota = 5B }\n"
    "mailbox many { account = {\"bob\"} quota-messages = 3 }\n"
    "route own   { to = {\"example.org\"} deliver = mailbox }\n"
    "route catch { to = {\"example.net\"} deliver = mailbox catch-all = \"Bob\" }\n"
    "route none  { to = {\"example.com\"} deliver = mailbox catch-all = nobody }\n";

/* ---- the helper: the program's own signin_admin() stands before the real one */

struct signin {
	char request[1000];
	void (*told)(void *arg, struct span object, bool end);
	void *arg;
};

void
signin_admin(struct signin *s, struct span request,
    void (*told)(void *arg, struct span object, bool end), void *arg)
{
	span_copy(request, s->request, sizeof(s->request));
	s->told = told;
	s->arg = arg;
}

/* ---- the fixture */

struct fixture {
	struct fake_world w;
	struct directory *d;
	const struct config *c;
	const struct config *plain; /* no delimiter, no postmaster */
	struct signin signin;
	struct directory_match match;
	int done; /* -1: not yet */
	char list[4000];
};

static const struct config *
read_config(const char *text)
{
	struct buf errors;
	buf_init(&errors, 4096);
	const struct config *c = config_parse("t.conf", text, &errors);
	if (c == NULL)
		fail_msg("%.*s", SPAN_ARG(buf_span(&errors)));
	buf_clear(&errors);
	return c;
}

static int
setup(void **state)
{
	struct fixture *f = NEW(struct fixture);
	fake_world_init(&f->w);
	f->d = directory_new(&f->w.world);
	f->c = read_config(configuration);
	f->plain = read_config("hostname = \"gw.example.org\"\n"
			       "spool { path = \"/nowhere\" }\n"
			       "mailboxes { delimiter = \"\" }\n"
			       "listener \"smtp\" { bind = {\"127.0.0.1:25\"} }\n"
			       "route own { deliver = mailbox }\n");
	f->done = -1;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	directory_free(&f->d);
	assert_null(f->d);
	config_unref(&f->c);
	config_unref(&f->plain);
	mem_free(state);
	return 0;
}

#define PUT(f, name, ...) put(f, name, (const char *const[]){__VA_ARGS__, NULL}, false)

static void
put(struct fixture *f, const char *name, const char *const *address, bool disabled)
{
	struct span list[ACCOUNT_SENDERS_MAX + 1];
	size_t n = 0;
	for (; n < COUNT_OF(list) && address[n] != NULL; n++)
		list[n] = span_str(address[n]);
	directory_put(f->d, span_str(name), list, n, disabled);
}

static void
people(struct fixture *f)
{
	PUT(f, "Ann", "Ann.Lee@Example.ORG", "ann@example.org", "sales@example.org", "<>",
	    "@example.org", ".example.org", "*", "ann@EXAMPLE.org", "gone@");
	PUT(f, "bob", "bob@example.net", "sales@example.org", "\"b o\\b\"@example.org",
	    "bob+lists@example.org", "bob@b\u00fccher.example", "bob@[192.0.2.1]");
	PUT(f, "zoe", "zoe@old.example", "sales@example.org", "j\u00f6rg@example.org");
	put(f, "off", (const char *const[]){"off@example.org", NULL}, true);
	directory_set_ready(f->d);
}

/* "ann ann@example.org tagged, bob ..." */
static const char *
find(struct fixture *f, const struct config *c, const char *route, const char *address)
{
	static char text[20000];
	struct buf b;
	const struct route *r = route_named(&c->policy.routes, span_str(route));
	assert_non_null(r);
	memset(&f->match, 'x', sizeof(f->match));
	enum directory_answer a =
	    directory_find(f->d, c, r, span_str(address), &f->match);
	if (a != DIRECTORY_FOUND) {
		assert_int_equal(f->match.n, 0);
		return a == DIRECTORY_UNKNOWN ? "unknown" : "not ready";
	}
	buf_init(&b, sizeof(text) - 1);
	for (size_t i = 0; i < f->match.n; i++) {
		const struct directory_owner *o = &f->match.owner[i];
		buf_addf(&b, "%s%s %s%s%s", i > 0 ? ", " : "", o->name, o->address,
		    o->tagged ? " tagged" : "", o->caught ? " caught" : "");
	}
	span_copy(buf_span(&b), text, sizeof(text));
	buf_clear(&b);
	return text;
}

static void
test_find(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *route, *address, *want;
	} cases[] = {
	    {"own", "ann@example.org", "ann ann@example.org"},
	    {"own", "ANN@example.ORG", "ann ann@example.org"},
	    {"own", "\"ann\"@example.org", "ann ann@example.org"},
	    {"own", "\"\\a\\nn\"@example.org", "ann ann@example.org"},
	    {"own", "ann.lee@example.org", "ann ann.lee@example.org"},
	    {"own", "b o\\b@example.org", "unknown"},
	    {"own", "\"B OB\"@example.org", "bob b ob@example.org"},
	    {"own", "bob@xn--bcher-kva.example", "bob bob@xn--bcher-kva.example"},
	    {"own", "bob@B\u00dcCHER.example", "bob bob@xn--bcher-kva.example"},
	    {"own", "bob@[192.0.2.1]", "bob bob@[192.0.2.1]"},
	    {"own", "j\u00f6rg@example.org", "zoe j\u00f6rg@example.org"},
	    /* an account that is disabled gets its mail */
	    {"own", "off@example.org", "off off@example.org"},
	    /* several people */
	    {"own", "sales@example.org",
		"ann sales@example.org, bob sales@example.org, zoe sales@example.org"},
	    /* patterns are no addresses, and a name is none */
	    {"own", "x@example.org", "unknown"}, {"own", "x@sub.example.org", "unknown"},
	    {"own", "ann", "unknown"}, {"own", "bob", "unknown"},
	    {"own", "gone@", "unknown"}, {"own", "ann@example.org@", "unknown"},
	    {"own", "@example.org", "unknown"}, {"own", "", "unknown"},
	    {"own", "ann@example.org.", "ann ann@example.org"},
	    {"own", "bob@example.org", "unknown"},
	    /* +detail: the address as it is comes first, then the longest base */
	    {"own", "ann+x@example.org", "ann ann@example.org tagged"},
	    {"own", "ann+@example.org", "ann ann@example.org tagged"},
	    {"own", "ann+x+y@example.org", "ann ann@example.org tagged"},
	    {"own", "\"ann+x y\"@example.org", "ann ann@example.org tagged"},
	    {"own", "bob+lists@example.org", "bob bob+lists@example.org"},
	    {"own", "bob+lists+x@example.org", "bob bob+lists@example.org tagged"},
	    {"own", "bob+other@example.org", "unknown"},
	    {"own", "+x@example.org", "unknown"}, {"own", "+@example.org", "unknown"},
	    {"own", "sales+x@example.org",
		"ann sales@example.org tagged, bob sales@example.org tagged, "
		"zoe sales@example.org tagged"},
	    /* postmaster: as configured, in every domain */
	    {"own", "postmaster@example.org", "ann ann@example.org caught"},
	    {"own", "POSTMASTER@example.org", "ann ann@example.org caught"},
	    {"none", "Postmaster@example.com", "ann ann@example.org caught"},
	    {"own", "postmasters@example.org", "unknown"},
	    /* catch-all */
	    {"catch", "x@example.net", "bob bob@example.net caught"},
	    {"catch", "bob@example.net", "bob bob@example.net"},
	    {"catch", "bob+x@example.net", "bob bob@example.net tagged"},
	    {"catch", "postmaster@example.net", "ann ann@example.org caught"},
	    {"none", "x@example.com", "unknown"}, /* it names nobody that exists */
	};
	assert_string_equal(find(f, f->c, "own", "ann@example.org"), "not ready");
	people(f);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *got = find(f, f->c, cases[i].route, cases[i].address);
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("%s %s: %s, not %s", cases[i].route, cases[i].address,
			    got, cases[i].want);
	}
}

static void
test_find_plain(void **state)
{
	struct fixture *f = *state;
	people(f);
	assert_string_equal(find(f, f->plain, "own", "ann+x@example.org"), "unknown");
	assert_string_equal(
	    find(f, f->plain, "own", "postmaster@example.org"), "unknown");
	PUT(f, "admin", "postmaster@gw.example.org");
	assert_string_equal(find(f, f->plain, "own", "postmaster@example.org"),
	    "admin postmaster@gw.example.org caught");
	/* who has that very address comes first */
	PUT(f, "other", "postmaster@example.org");
	assert_string_equal(find(f, f->plain, "own", "postmaster@example.org"),
	    "other postmaster@example.org");
}

/* The longest names there are, and more owners than may be. */
static void
test_bounds(void **state)
{
	struct fixture *f = *state;
	char name[ACCOUNT_NAME_MAX + 2], local[LOCAL_PART_MAX + 1], address[400];
	memset(local, 'L', LOCAL_PART_MAX);
	local[LOCAL_PART_MAX] = '\0';
	snprintf(address, sizeof(address), "%s@%.60s.%.60s.%.59s.example", local,
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
	    "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc");
	memset(name, 'N', sizeof(name) - 1);
	name[ACCOUNT_NAME_MAX + 1] = '\0';
	PUT(f, name, address); /* one octet too long: no account */
	directory_set_ready(f->d);
	assert_false(directory_has(f->d, span_str(name)));
	assert_string_equal(find(f, f->plain, "own", address), "unknown");
	name[ACCOUNT_NAME_MAX] = '\0';
	PUT(f, name, address);
	assert_true(directory_has(f->d, span_str(name)));
	assert_true(strstr(find(f, f->plain, "own", address), "nnnn lllll") != NULL);
	assert_int_equal(f->match.n, 1);
	assert_int_equal(strlen(f->match.owner[0].name), ACCOUNT_NAME_MAX);
	assert_int_equal(strlen(f->match.owner[0].address), strlen(address));
	PUT(f, "", "nobody@example.org");
	assert_string_equal(find(f, f->plain, "own", "nobody@example.org"), "unknown");

	for (unsigned i = 0; i < DIRECTORY_OWNERS_MAX + 5; i++) {
		snprintf(name, sizeof(name), "u%03u", DIRECTORY_OWNERS_MAX + 5 - i);
		PUT(f, name, "all@example.org");
	}
	(void)find(f, f->plain, "own", "all@example.org");
	assert_int_equal(f->match.n, DIRECTORY_OWNERS_MAX);
	for (unsigned i = 0; i < DIRECTORY_OWNERS_MAX; i++) {
		snprintf(name, sizeof(name), "u%03u", i + 1);
		assert_string_equal(f->match.owner[i].name, name);
	}
}

static void
on_address(void *arg, struct span address)
{
	struct fixture *f = arg;
	size_t n = strlen(f->list);
	snprintf(f->list + n, sizeof(f->list) - n, "%.*s ", SPAN_ARG(address));
	assert_true(directory_has(f->d, SPAN("ann"))); /* no lock is held */
}

static void
test_changes(void **state)
{
	struct fixture *f = *state;
	people(f);
	directory_addresses(f->d, SPAN("ANN"), on_address, f);
	assert_string_equal(
	    f->list, "ann.lee@example.org ann@example.org sales@example.org ");
	assert_true(directory_has(f->d, SPAN("OFF")));
	assert_true(directory_disabled(f->d, SPAN("Off")));
	assert_false(directory_disabled(f->d, SPAN("ann")));
	assert_false(directory_disabled(f->d, SPAN("nobody")));
	assert_false(directory_has(f->d, SPAN("")));

	PUT(f, "ANN", "new@example.org"); /* in place of what was known */
	assert_string_equal(find(f, f->c, "own", "ann@example.org"), "unknown");
	assert_string_equal(
	    find(f, f->c, "own", "new@example.org"), "ann new@example.org");
	assert_string_equal(find(f, f->c, "own", "sales@example.org"),
	    "bob sales@example.org, zoe sales@example.org");
	directory_remove(f->d, SPAN("Zoe"));
	directory_remove(f->d, SPAN("zoe"));
	directory_remove(f->d, SPAN("nobody"));
	assert_string_equal(
	    find(f, f->c, "own", "sales@example.org"), "bob sales@example.org");
	directory_remove(f->d, SPAN("bob"));
	assert_string_equal(find(f, f->c, "own", "sales@example.org"), "unknown");
	/* a catch-all whose account has no address of its own is known by its name */
	PUT(f, "bob", "@example.org");
	assert_string_equal(find(f, f->c, "catch", "x@example.net"), "bob  caught");
	f->list[0] = '\0';
	directory_addresses(f->d, SPAN("bob"), on_address, f);
	directory_addresses(f->d, SPAN("nobody"), on_address, f);
	assert_string_equal(f->list, "");
}

static void
test_settings(void **state)
{
	struct fixture *f = *state;
	people(f);
	assert_string_equal(directory_settings(f->d, f->c, SPAN("ann"))->name, "ann");
	assert_string_equal(directory_settings(f->d, f->c, SPAN("zoe"))->name, "old");
	assert_string_equal(directory_settings(f->d, f->c, SPAN("OLD"))->name, "late");
	assert_string_equal(directory_settings(f->d, f->c, SPAN("bob"))->name, "many");
	assert_ptr_equal(
	    directory_settings(f->d, f->c, SPAN("off")), &f->c->mailbox_default);
	assert_ptr_equal(
	    directory_settings(f->d, f->c, SPAN("nobody")), &f->c->mailbox_default);
}

static void
admits(struct fixture *f, const struct spool *spool, const char *owner, uint64_t size,
    unsigned code)
{
	char status[16];
	struct verdict v = directory_admit(f->d, f->c, spool, span_str(owner), size);
	if (v.code != code)
		fail_msg("%s %u: %u, not %u", owner, (unsigned)size, v.code, code);
	verdict_status(&v, status);
	if (code != 250)
		assert_string_equal(status, code == 552 ? "5.2.2" : "4.2.2");
	assert_true(v.text[0] != '\0');
}

static void
deliver(struct spool_rig *r, const char *owner, size_t size)
{
	struct message *m = spool_rig_message(size, 1);
	spool_rig_drop(m, owner, "A: b\r\n");
	assert_int_equal(spool_rig_accept(r, m), OK);
}

static void
test_admit(void **state)
{
	struct fixture *f = *state;
	struct spool_rig *r = spool_rig_new(0);
	struct mailbox_usage u;
	assert_int_equal(spool_rig_open(r), OK);
	people(f);
	/* octets: ann may have 1000 */
	admits(f, r->spool, "ann", 0, 250);
	admits(f, r->spool, "ann", 1000, 250);
	admits(f, r->spool, "ann", 1001, 552);
	admits(f, r->spool, "ann", UINT64_MAX, 552);
	deliver(r, "ann", 700);
	spool_mailbox_usage(r->spool, SPAN("ann"), &u);
	assert_true(u.octets > 700 && u.octets < 1000);
	admits(f, r->spool, "ann", 1000 - u.octets, 250);
	admits(f, r->spool, "ann", 1001 - u.octets, 552);
	admits(f, r->spool, "ann", UINT64_MAX, 552);
	deliver(r, "ann", 700);
	admits(f, r->spool, "ann", 0, 552);
	/* messages: bob may have 3, and everybody else 100 */
	for (unsigned i = 0; i < 3; i++) {
		admits(f, r->spool, "bob", UINT64_MAX, 250);
		deliver(r, "bob", 10);
	}
	admits(f, r->spool, "bob", 0, 452);
	for (unsigned i = 0; i < 101; i++) {
		admits(f, r->spool, "off", 10, i < 100 ? 250 : 452);
		admits(f, r->spool, "zoe", UINT64_MAX, 250);
		deliver(r, "off", 10);
		deliver(r, "zoe", 10);
	}
	spool_rig_free(&r);
}

static void
fields(
    const char *sender, const char *recipient, struct directory_owner o, const char *want)
{
	struct buf out;
	buf_init(&out, MAIL_PREFIX_MAX);
	directory_own_fields(span_str(sender), span_str(recipient), &o, &out);
	assert_false(out.overflow);
	buf_add_char(&out, '\0');
	assert_string_equal(out.p, want);
	buf_clear(&out);
}

static void
test_own_fields(void **state)
{
	(void)state;
	struct directory_owner o = {.name = "ann", .address = "ann@example.org"};
	fields("x@example.com", "Ann@example.org", o,
	    "Return-Path: <x@example.com>\r\nDelivered-To: Ann@example.org\r\n");
	fields("", "ann@example.org", o,
	    "Return-Path: <>\r\nDelivered-To: ann@example.org\r\n");
	o.tagged = true;
	fields("x@example.com", "ann+l@example.org", o,
	    "Return-Path: <x@example.com>\r\nDelivered-To: ann@example.org\r\n"
	    "X-Original-To: ann+l@example.org\r\n");
	o.tagged = false;
	o.caught = true;
	o.address[0] = '\0';
	fields("x@example.com", "any@example.net", o,
	    "Return-Path: <x@example.com>\r\nDelivered-To: ann\r\n"
	    "X-Original-To: any@example.net\r\n");
	/* whatever comes, it stays in its line */
	fields("x@example.com>\r\nA: b", "a\r\n\r\nb@c\x7f\t", o,
	    "Return-Path: <x@example.com>A: b>\r\nDelivered-To: ann\r\n"
	    "X-Original-To: ab@c\r\n");
}

/* ---- reading */

static void
on_done(void *arg, bool ok)
{
	((struct fixture *)arg)->done = ok;
}

static void
tell(struct fixture *f, const char *object)
{
	f->signin.told(
	    f->signin.arg, span_str(object), strstr(object, "\"end\"") != NULL);
}

#define END_OK "{\"end\":true,\"status\":0}"
#define END_BAD "{\"end\":true,\"status\":1,\"error\":\"the helper does not answer\"}"

static void
test_load(void **state)
{
	struct fixture *f = *state;
	PUT(f, "gone", "gone@example.org");
	directory_load(f->d, &f->signin, on_done, f);
	assert_string_equal(
	    f->signin.request, "{\"cmd\":\"user-list\",\"may_be_none\":true}");
	tell(f, "{\"name\":\"Ann\",\"address\":[\"ann@example.org\",\"@x.example\"],"
		"\"disabled\":false,\"secrets\":[{\"label\":\"\"}]}");
	tell(f, "{\"name\":\"off\",\"address\":[\"off@example.org\"],\"disabled\":true}");
	tell(f, "{\"name\":\"bare\",\"address\":[]}");
	assert_int_equal(f->done, -1);
	assert_string_equal(find(f, f->c, "own", "ann@example.org"), "not ready");
	tell(f, END_OK);
	assert_int_equal(f->done, true);
	assert_string_equal(
	    find(f, f->c, "own", "ann@example.org"), "ann ann@example.org");
	assert_string_equal(find(f, f->c, "own", "gone@example.org"), "unknown");
	assert_true(directory_disabled(f->d, SPAN("off")));
	assert_true(directory_has(f->d, SPAN("bare")));
	assert_false(directory_has(f->d, SPAN("gone")));

	/* again, and nobody is there any more */
	f->done = -1;
	directory_load(f->d, &f->signin, on_done, f);
	tell(f, END_OK);
	assert_int_equal(f->done, true);
	assert_false(directory_has(f->d, SPAN("ann")));
}

static void
test_load_fails(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {"[]", "{", "7", "{\"name\":\"x\"}",
	    "{\"name\":7,\"address\":[]}", "{\"name\":\"\",\"address\":[]}",
	    "{\"name\":\"x\",\"address\":[7]}", "{\"name\":\"x\",\"address\":\"a@b\"}",
	    "{\"name\":\"x\",\"name\":\"y\",\"address\":[]}"};
	people(f);
	directory_load(f->d, &f->signin, on_done, f);
	tell(f, "{\"name\":\"new\",\"address\":[\"new@example.org\"]}");
	tell(f, END_BAD);
	assert_int_equal(f->done, false);
	assert_true(directory_has(f->d, SPAN("ann"))); /* what was known stays */
	assert_false(directory_has(f->d, SPAN("new")));
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		f->done = -1;
		directory_load(f->d, &f->signin, on_done, f);
		tell(f, bad[i]);
		tell(f, END_OK);
		assert_int_equal(f->done, false);
	}
	f->done = -1;
	directory_load(f->d, &f->signin, on_done, f);
	f->signin.told(f->signin.arg, SPAN("nonsense"), true);
	assert_int_equal(f->done, false);
	assert_true(directory_has(f->d, SPAN("ann")));
	/* one is under way at the end: the teardown frees it */
	directory_load(f->d, &f->signin, on_done, f);
	tell(f, "{\"name\":\"new\",\"address\":[\"new@example.org\"]}");
}

static void
test_refresh(void **state)
{
	struct fixture *f = *state;
	people(f);
	directory_refresh(f->d, &f->signin, SPAN("b\"b"), on_done, f);
	assert_string_equal(f->signin.request,
	    "{\"cmd\":\"user-list\",\"name\":\"b\\\"b\",\"may_be_none\":true}");
	tell(f, "{\"name\":\"B\\\"b\",\"address\":[\"\\\"a b\\\"@example.org\"],"
		"\"disabled\":true}");
	assert_int_equal(f->done, -1);
	assert_false(directory_has(f->d, SPAN("b\"b")));
	tell(f, END_OK);
	assert_int_equal(f->done, true);
	assert_string_equal(
	    find(f, f->c, "own", "\"A B\"@example.org"), "b\"b a b@example.org");
	assert_true(directory_disabled(f->d, SPAN("b\"b")));
	assert_true(directory_has(f->d, SPAN("ann")));

	f->done = -1;
	directory_refresh(f->d, &f->signin, SPAN("ann"), on_done, f);
	tell(f, END_BAD);
	assert_int_equal(f->done, false);
	assert_true(directory_has(f->d, SPAN("ann")));

	f->done = -1;
	directory_refresh(f->d, &f->signin, SPAN("Ann"), on_done, f);
	tell(f, END_OK); /* nothing was told: it is gone */
	assert_int_equal(f->done, true);
	assert_false(directory_has(f->d, SPAN("ann")));
	directory_refresh(f->d, &f->signin, SPAN("bob"), on_done, f);
	tell(f, "{\"name\":\"bob\",\"address\":[]}"); /* and the end does not come */
}

/* ---- many threads ask while one writes: for the thread sanitizer, too */

static void *
asks(void *arg)
{
	struct fixture *f = arg;
	const struct route *r = route_named(&f->c->policy.routes, SPAN("own"));
	struct directory_match *m = NEW(struct directory_match);
	uintptr_t found = 0;
	for (unsigned i = 0; i < 2000; i++) {
		found += directory_find(f->d, f->c, r, SPAN("ann+x@example.org"), m) ==
			     DIRECTORY_FOUND &&
			 m->n == 1 && strcmp(m->owner[0].name, "ann") == 0;
		(void)directory_settings(f->d, f->c, SPAN("zoe"));
	}
	mem_free(&m);
	return (void *)found;
}

static void
test_threads(void **state)
{
	struct fixture *f = *state;
	pthread_t thread[3];
	people(f);
	for (size_t i = 0; i < COUNT_OF(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, asks, f), 0);
	for (unsigned i = 0; i < 500; i++) {
		PUT(f, "ann", "ann@example.org");
		directory_remove(f->d, SPAN("zoe"));
		PUT(f, "zoe", "zoe@old.example");
	}
	for (size_t i = 0; i < COUNT_OF(thread); i++) {
		void *found;
		assert_int_equal(pthread_join(thread[i], &found), 0);
		assert_int_equal((uintptr_t)found, 2000);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_find),
	    T(test_find_plain),
	    T(test_bounds),
	    T(test_changes),
	    T(test_settings),
	    T(test_admit),
	    cmocka_unit_test(test_own_fields),
	    T(test_load),
	    T(test_load_fails),
	    T(test_refresh),
	    T(test_threads),
	};
	return cmocka_run_group_tests_name("directory", tests, NULL, NULL);
}
