/* SPDX-License-Identifier: ISC */
/*
 * Signing in, through the engine in this process: PLAIN, LOGIN and EXTERNAL, what is
 * offered, secrets and hashes.  SCRAM is in test_signin_scram.c; what failures look like
 * from outside, in test_signin_failures.c.
 */
#include "tests/unit/signin_rig.h"

/* ---- PLAIN and LOGIN */

static void
test_plain(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	int64_t took;
	add_joe(r);
	assert_int_equal(plain_at(r, NULL, "joe", "open sesame", &took), 0);
	assert_int_equal(took, 0);
	assert_string_equal(r->card->name, "Joe");
	assert_string_equal(r->card->secret, "");
	assert_false(r->has_last);
	assert_true(account_card_may_send(r->card, SPAN("JOE@me.test")));
	assert_true(account_card_may_send(r->card, SPAN("any@sales.test")));
	assert_true(account_card_may_send(r->card, SPAN("")));
	assert_false(account_card_may_send(r->card, SPAN("ann@me.test")));
	assert_int_equal(plain(r, "JOE", "open sesame"), 0);
	assert_int_equal(plain(r, "joe", "open Sesame"), 535);
	rig_free(r);
}

static void
test_plain_messages(void **state)
{
	static const struct {
		struct span message;
		unsigned code;
	} table[] = {
	    {NUL_SPAN("joe\0joe\0open sesame"), 0},
	    {NUL_SPAN("ann\0joe\0open sesame"), 535}, /* for another */
	    {NUL_SPAN(""), 501},
	    {NUL_SPAN("joe"), 501},
	    {NUL_SPAN("\0joe"), 501},
	    {NUL_SPAN("\0joe\0"), 501},
	    {NUL_SPAN("\0\0open sesame"), 501},
	    {NUL_SPAN("\0joe\0open sesame\0"), 501},
	    {NUL_SPAN("\0joe\0open\0sesame"), 501},
	};
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		(void)begin(r, "plain", NULL, table[i].message);
		(void)wait_for(r, 1);
		assert_int_equal(
		    r->kind == SIGNIN_DONE ? 0 : r->verdict.code, table[i].code);
	}
	/* without an initial response an empty challenge asks for it */
	struct signin_exchange *x = begin(r, "PLAIN", NULL, (struct span){0});
	(void)wait_for(r, 1);
	assert_int_equal(r->kind, SIGNIN_CHALLENGE);
	assert_int_equal(r->data.n, 0);
	signin_respond(x, table[0].message);
	(void)wait_for(r, 2);
	assert_int_equal(r->kind, SIGNIN_DONE);
	rig_free(r);
}

/* At the bound of a password, and one more. */
static void
test_password_bound(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	char password[PASSWORD_MAX + 2], request[PASSWORD_MAX + 100];
	memset(password, 'p', sizeof(password));
	password[PASSWORD_MAX + 1] = '\0';
	(void)snprintf(request, sizeof(request),
	    "{\"cmd\":\"user-add\",\"name\":\"a\",\"password\":\"%s\"}", password);
	(void)admin(r, 2, request);
	assert_int_equal(plain(r, "a", password), 501);
	password[PASSWORD_MAX] = '\0';
	(void)snprintf(request, sizeof(request),
	    "{\"cmd\":\"user-add\",\"name\":\"a\",\"password\":\"%s\"}", password);
	(void)admin(r, 0, request);
	assert_int_equal(plain(r, "a", password), 0);
	rig_free(r);
}

static void
test_login(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	for (int initial = 0; initial < 2; initial++) {
		unsigned n = 1;
		struct signin_exchange *x =
		    begin(r, "LOGIN", NULL, initial ? SPAN("joe") : (struct span){0});
		(void)wait_for(r, n);
		if (!initial) {
			assert_true(span_eq(buf_span(&r->data), SPAN("Username:")));
			signin_respond(x, SPAN("joe"));
			(void)wait_for(r, ++n);
		}
		assert_true(span_eq(buf_span(&r->data), SPAN("Password:")));
		signin_respond(x, SPAN("open sesame"));
		(void)wait_for(r, ++n);
		assert_int_equal(r->kind, SIGNIN_DONE);
	}
	struct signin_exchange *x = begin(r, "LOGIN", NULL, SPAN("joe"));
	(void)wait_for(r, 1);
	signin_respond(x, SPAN(""));
	(void)wait_for(r, 2);
	assert_int_equal(r->verdict.code, 501);
	rig_free(r);
}

/* Garbage at either step; a name at its bound, and one more. */
static void
test_login_garbage(void **state)
{
	char name[ACCOUNT_NAME_MAX + 1], whole[SIGNIN_DATA_MAX];
	memset(name, 'n', sizeof(name));
	memset(whole, 'w', sizeof(whole));
	const struct {
		struct span name, password;
		unsigned code;
	} table[] = {
	    {SPAN(""), {0}, 501},
	    {NUL_SPAN("\0"), {0}, 501},
	    {NUL_SPAN("joe\0"), {0}, 501},
	    {{name, ACCOUNT_NAME_MAX + 1}, {0}, 501},
	    {{whole, sizeof(whole)}, {0}, 501},
	    {{name, ACCOUNT_NAME_MAX}, SPAN("wrong"), 535},
	    {SPAN("\xff\x01\r\n"), SPAN("wrong"), 535},
	    {SPAN("joe"), NUL_SPAN("open sesame\0"), 501},
	    {SPAN("joe"), {whole, sizeof(whole)}, 501},
	};
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct signin_exchange *x = begin(r, "LOGIN", NULL, (struct span){0});
		(void)wait_for(r, 1);
		signin_respond(x, table[i].name);
		(void)wait_for(r, 2);
		if (r->kind == SIGNIN_CHALLENGE) {
			signin_respond(x, table[i].password);
			(void)wait_for(r, 3);
		} else {
			assert_null(table[i].password.p);
		}
		assert_int_equal(r->kind, SIGNIN_FAILED);
		assert_int_equal(r->verdict.code, table[i].code);
	}
	rig_free(r);
}

/* ---- EXTERNAL */

#define FINGERPRINT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void
test_external(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_facts f = facts();
	(void)admin(r, 0,
	    "{\"cmd\":\"user-add\",\"name\":\"device\",\"certificate\":[\"" FINGERPRINT
	    "\"]}");
	add_joe(r);
	f.fingerprint = SPAN(FINGERPRINT);
	static const struct {
		const char *identity;
		unsigned code;
	} table[] = {{"", 0}, {"device", 0}, {"DEVICE", 0}, {"joe", 535}};
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		(void)begin(r, "EXTERNAL", &f, span_str(table[i].identity));
		(void)wait_for(r, 1);
		assert_int_equal(
		    r->kind == SIGNIN_DONE ? 0 : r->verdict.code, table[i].code);
	}
	/* a name in a certificate counts only if our authority vouches for it */
	f.fingerprint =
	    SPAN("ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
	f.certificate_name = SPAN("joe");
	(void)begin(r, "EXTERNAL", &f, SPAN(""));
	(void)wait_for(r, 1);
	assert_int_equal(r->verdict.code, 535);
	f.certificate_verified = true;
	(void)begin(r, "EXTERNAL", &f, SPAN(""));
	(void)wait_for(r, 1);
	assert_int_equal(r->kind, SIGNIN_DONE);
	assert_string_equal(r->card->name, "Joe");
	(void)begin(r, "EXTERNAL", NULL, SPAN(""));
	(void)wait_for(r, 1);
	assert_int_equal(r->verdict.code, 504);
	rig_free(r);
}

/* ---- what is offered */

static void
test_offered(void **state)
{
	struct signin_facts f = facts();
	struct buf b;
	(void)state;
	buf_init(&b, 1000);
	signin_mechanisms(&f, false, &b);
	assert_true(span_eq(buf_span(&b), SPAN("SCRAM-SHA-256 SCRAM-SHA-1")));
	buf_reset(&b);
	f.exporter = SPAN("x");
	f.fingerprint = SPAN(FINGERPRINT);
	signin_mechanisms(&f, true, &b);
	assert_true(span_eq(buf_span(&b),
	    SPAN("SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1 EXTERNAL PLAIN LOGIN")));
	buf_reset(&b);
	f.any = true;
	signin_mechanisms(&f, true, &b);
	assert_true(span_eq(buf_span(&b), SPAN("PLAIN LOGIN")));
	buf_clear(&b);
}

static void
test_any(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_facts f = facts();
	f.any = true;
	assert_int_equal(plain_at(r, &f, "whoever", "whatever", NULL), 0);
	assert_string_equal(r->card->name, "");
	(void)begin(r, "SCRAM-SHA-256", &f, SPAN("n,,n=joe,r=abc"));
	(void)wait_for(r, 1);
	assert_int_equal(r->verdict.code, 504);
	rig_free(r);
}

static void
test_unknown_mechanism(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	static const char *const names[] = {"", "X", "GSSAPI", "PLAIN2", "PLAI"};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		(void)begin(r, names[i], NULL, SPAN(""));
		assert_int_equal(wait_for(r, 1), 0); /* nothing secret in that */
		assert_int_equal(r->verdict.code, 504);
	}
	rig_free(r);
}

/* ---- several secrets */

static void
test_app_passwords(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	char password[64];
	add_joe(r);
	const char *told = admin(r, 0,
	    "{\"cmd\":\"user-secret-add\",\"name\":\"joe\",\"label\":\"printer\","
	    "\"service\":[\"smtp\"]}");
	const char *at = strstr(told, "\"password\":\"");
	assert_non_null(at);
	(void)snprintf(password, sizeof(password), "%s", at + 12);
	*strchr(password, '"') = '\0';
	assert_int_equal(plain(r, "joe", password), 0);
	assert_string_equal(r->card->secret, "printer");
	assert_int_equal(plain(r, "joe", "open sesame"), 0);
	struct signin_facts f = facts();
	f.service = "pop3";
	assert_int_equal(plain_at(r, &f, "joe", password, NULL), 535);
	(void)admin(r, 0,
	    "{\"cmd\":\"user-secret-delete\",\"name\":\"joe\",\"label\":\"printer\"}");
	assert_int_equal(plain(r, "joe", password), 535);
	assert_int_equal(plain(r, "joe", "open sesame"), 0);
	rig_free(r);
}

/* What a secret was made for is what it shows: nobody sees the queue by a main password,
 * and nobody by another protocol. */
static void
test_queue_right(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	char password[64];
	add_joe(r);
	const char *told = admin(r, 0,
	    "{\"cmd\":\"user-secret-add\",\"name\":\"joe\",\"label\":\"certificate\","
	    "\"service\":[\"queue\"]}");
	const char *at = strstr(told, "\"password\":\"");
	assert_non_null(at);
	(void)snprintf(password, sizeof(password), "%s", at + 12);
	*strchr(password, '"') = '\0';
	struct signin_facts f = facts();
	f.service = "smtp";
	assert_int_equal(plain_at(r, &f, "joe", password, NULL), 535);
	f.service = "imap";
	assert_int_equal(plain_at(r, &f, "joe", password, NULL), 0);
	assert_true(r->card->queue);
	assert_int_equal(plain_at(r, &f, "joe", "open sesame", NULL), 0);
	assert_false(r->card->queue);
	rig_free(r);
}

/* ---- imported hashes */

static void
test_imported(void **state)
{
	static const struct {
		const char *hash;
		const char *password;
		int status;
	} table[] = {
	    /* sha512crypt, bcrypt */
	    {"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/"
	     "O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
		"Hello world!", 0},
	    {"$2b$04$abcdefghijklmnopqrstuuyeG8laUfZvsCmc.AE6qIDYSPGM2efmK",
		"Hello world!", 0},
	    {"$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/", "password", 2}, /* too weak */
	    {"rl.3StKT.4T8M", "rasmuslerdorf", 2},                 /* DES */
	    {"plaintext", "plaintext", 2},
	    {"", "", 2},
	};
	(void)state;
	struct rig *r = rig_new();
	char request[400];
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		(void)snprintf(request, sizeof(request),
		    "{\"cmd\":\"user-add\",\"name\":\"u%zu\",\"hash\":\"%s\"}", i,
		    table[i].hash);
		(void)admin(r, table[i].status, request);
		char name[8];
		(void)snprintf(name, sizeof(name), "u%zu", i);
		if (table[i].status == 0)
			assert_int_equal(plain(r, name, table[i].password), 0);
	}
	rig_free(r);
}

/* ---- giving up */

static void
test_cancel(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	for (int step = 0; step < 3; step++) {
		struct signin_exchange *x =
		    begin(r, "LOGIN", NULL, step == 0 ? (struct span){0} : SPAN("joe"));
		if (step > 0)
			(void)wait_for(r, 1);
		if (step == 2)
			signin_respond(
			    x, SPAN("wrong")); /* the answer waits for its time */
		unsigned answers = r->answers;
		signin_cancel(&x);
		assert_null(x);
		fake_world_pass(&r->world, MINUTE_MS);
		turns(r);
		assert_int_equal(r->answers, answers);
	}
	struct signin_exchange *none = NULL;
	signin_cancel(&none);
	/* one that is still going on when its side is closed */
	struct signin_exchange *x = begin(r, "LOGIN", NULL, SPAN("joe"));
	(void)wait_for(r, 1);
	signin_cancel(&x);
	rig_free(r);
}

/* Two threads of relayd at one engine. */
static void
test_two_sides(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	struct signin *second = signin_new_inline(r->loop, r->log, r->engine);
	struct signin_facts f = facts();
	r->answers = 0;
	struct signin_exchange *x =
	    signin_begin(second, SPAN("LOGIN"), &f, SPAN("joe"), on_answer, r);
	(void)wait_for(r, 1);
	/* numbers of exchanges are a channel's own */
	assert_int_equal(plain(r, "joe", "open sesame"), 0);
	r->answers = 1;
	signin_respond(x, SPAN("open sesame"));
	(void)wait_for(r, 2);
	assert_int_equal(r->kind, SIGNIN_DONE);
	signin_free(&second);
	turns(r);
	rig_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_plain_messages),
	    cmocka_unit_test(test_password_bound),
	    cmocka_unit_test(test_login),
	    cmocka_unit_test(test_login_garbage),
	    cmocka_unit_test(test_external),
	    cmocka_unit_test(test_offered),
	    cmocka_unit_test(test_any),
	    cmocka_unit_test(test_unknown_mechanism),
	    cmocka_unit_test(test_app_passwords),
	    cmocka_unit_test(test_queue_right),
	    cmocka_unit_test(test_imported),
	    cmocka_unit_test(test_cancel),
	    cmocka_unit_test(test_two_sides),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
