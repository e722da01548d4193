/* SPDX-License-Identifier: ISC */
/* Signing in by SCRAM: clients of three hands, and those who are none. */
#include "tests/unit/signin_rig.h"

#include "base/base64.h"

static void
test_scram(void **state)
{
	static const enum sasl_mechanism both[] = {SASL_SCRAM_SHA_256, SASL_SCRAM_SHA_1};
	(void)state;
	struct rig *r = rig_new();
	struct sasl_credentials right = {.user = "joe", .secret = "open sesame"},
				wrong = {.user = "joe", .secret = "shut"},
				nobody = {.user = "nobody", .secret = "open sesame"};
	add_joe(r);
	for (size_t i = 0; i < COUNT_OF(both); i++) {
		assert_int_equal(scram(r, both[i], NULL, &right), 0);
		assert_string_equal(r->card->name, "Joe");
		assert_int_equal(scram(r, both[i], NULL, &wrong), 535);
		assert_int_equal(scram(r, both[i], NULL, &nobody), 535);
	}
	rig_free(r);
}

static void
test_scram_plus(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_facts f = facts();
	struct sasl_credentials c = {.user = "joe", .secret = "open sesame"};
	static const char data[] = "0123456789abcdef0123456789abcdef";
	add_joe(r);
	c.binding = SASL_BIND_EXPORTER;
	c.binding_data = SPAN(data);
	f.exporter = SPAN(data);
	assert_int_equal(scram(r, SASL_SCRAM_SHA_256_PLUS, &f, &c), 0);
	/* somebody between has another connection with us */
	f.exporter = SPAN("0123456789abcdef0123456789abcdeX");
	assert_int_not_equal(scram(r, SASL_SCRAM_SHA_256_PLUS, &f, &c), 0);
	f.exporter = (struct span){0};
	f.unique = SPAN("0123456789ab");
	c.binding = SASL_BIND_UNIQUE;
	c.binding_data = f.unique;
	assert_int_equal(scram(r, SASL_SCRAM_SHA_256_PLUS, &f, &c), 0);
	/* without TLS it is not offered */
	(void)begin(r, "SCRAM-SHA-256-PLUS", NULL, SPAN("p=tls-exporter,,n=joe,r=x"));
	(void)wait_for(r, 1);
	assert_int_equal(r->verdict.code, 504);
	rig_free(r);
}

/* A client by libgsasl, which is nobody of ours. 0, or the reply code. */
static unsigned
stranger(struct rig *r, const char *mechanism, const struct signin_facts *f,
    const char *exporter)
{
	Gsasl *ctx;
	Gsasl_session *c;
	char *out = NULL;
	size_t length = 0;
	unsigned n = 1;
	assert_int_equal(gsasl_init(&ctx), GSASL_OK);
	assert_int_equal(gsasl_client_start(ctx, mechanism, &c), GSASL_OK);
	(void)gsasl_property_set(c, GSASL_AUTHID, "joe");
	(void)gsasl_property_set(c, GSASL_PASSWORD, "open sesame");
	if (exporter != NULL) {
		struct buf b;
		buf_init(&b, 1000);
		base64_encode(span_str(exporter), &b);
		(void)gsasl_property_set_raw(c, GSASL_CB_TLS_EXPORTER, b.p, b.n);
		buf_clear(&b);
	}
	assert_int_equal(gsasl_step(c, NULL, 0, &out, &length), GSASL_NEEDS_MORE);
	struct signin_exchange *x = begin(r, mechanism, f, (struct span){out, length});
	gsasl_free(out);
	for ((void)wait_for(r, n); r->kind == SIGNIN_CHALLENGE; (void)wait_for(r, ++n)) {
		assert_int_equal(
		    gsasl_step(c, r->data.p, r->data.n, &out, &length), GSASL_NEEDS_MORE);
		signin_respond(x, (struct span){out, length});
		gsasl_free(out);
	}
	if (r->kind == SIGNIN_DONE) { /* it believes us, too */
		assert_int_equal(
		    gsasl_step(c, r->last.p, r->last.n, &out, &length), GSASL_OK);
		gsasl_free(out);
	}
	gsasl_finish(c);
	gsasl_done(ctx);
	return r->kind == SIGNIN_DONE ? 0 : r->verdict.code;
}

static void
test_scram_stranger(void **state)
{
	static const char data[] = "0123456789abcdef0123456789abcdef";
	(void)state;
	struct rig *r = rig_new();
	struct signin_facts f = facts();
	add_joe(r);
	assert_int_equal(stranger(r, "SCRAM-SHA-1", NULL, NULL), 0);
	assert_int_equal(stranger(r, "SCRAM-SHA-256", NULL, NULL), 0);
	f.exporter = SPAN(data);
	assert_int_equal(stranger(r, "SCRAM-SHA-256-PLUS", &f, data), 0);
	assert_int_not_equal(stranger(r, "SCRAM-SHA-256-PLUS", &f, "another"), 0);
	assert_int_equal(stranger(r, "SCRAM-SHA-256", &f, NULL), 0);
	rig_free(r);
}

static void
add_coded(struct buf *b, struct span data)
{
	struct buf text;
	buf_init(&text, 1000);
	base64_encode(data, &text);
	buf_add_span(b, buf_span(&text));
	buf_clear(&text);
}

/* The client's last message of SCRAM-SHA-256 as RFC 5802 3 has it, for this answer. */
static void
add_proof(struct buf *out, struct span header, struct span first, struct span answer)
{
	struct buf said, salt;
	uint8_t salted[SHA256_SIZE], key[SHA256_SIZE], stored[SHA256_SIZE],
	    proof[SHA256_SIZE];
	size_t nonce = span_find(answer, ','), after = nonce + 3;
	size_t length = span_find(span_cut(answer, after, answer.n), ',');
	buf_init(&salt, 100);
	buf_init(&said, 1000);
	assert_int_equal(base64_decode(span_cut(answer, after, length), &salt), OK);
	pbkdf2_of(DIGEST_SHA256, SPAN("open sesame"), buf_span(&salt), SCRAM_ITERATIONS,
	    salted);
	hmac_of(DIGEST_SHA256, (struct span){(const char *)salted, SHA256_SIZE},
	    SPAN("Client Key"), key);
	digest_of(DIGEST_SHA256, (struct span){(const char *)key, SHA256_SIZE}, stored);
	buf_add_str(out, "c=");
	add_coded(out, header);
	buf_add_char(out, ',');
	buf_add_span(out, span_cut(answer, 0, nonce));
	buf_add_span(&said, first);
	buf_add_char(&said, ',');
	buf_add_span(&said, answer);
	buf_add_char(&said, ',');
	buf_add_span(&said, buf_span(out));
	hmac_of(DIGEST_SHA256, (struct span){(const char *)stored, SHA256_SIZE},
	    buf_span(&said), proof);
	for (size_t i = 0; i < SHA256_SIZE; i++)
		proof[i] ^= key[i];
	buf_add_str(out, ",p=");
	add_coded(out, (struct span){(const char *)proof, SHA256_SIZE});
	buf_clear(&salt);
	buf_clear(&said);
}

/* joe's SCRAM-SHA-256 by hand, with this header. 0, or the reply code. */
static unsigned
by_hand(struct rig *r, const struct signin_facts *f, const char *header)
{
	struct span first = SPAN("n=joe,r=abcdefgh");
	struct buf b;
	buf_init(&b, 1000);
	buf_add_str(&b, header);
	buf_add_span(&b, first);
	struct signin_exchange *x = begin(r, "SCRAM-SHA-256", f, buf_span(&b));
	(void)wait_for(r, 1);
	if (r->kind == SIGNIN_CHALLENGE) {
		buf_reset(&b);
		add_proof(&b, span_str(header), first, buf_span(&r->data));
		signin_respond(x, buf_span(&b));
		(void)wait_for(r, 2);
	}
	buf_clear(&b);
	return r->kind == SIGNIN_DONE ? 0 : r->verdict.code;
}

/*
 * "y": the client could bind to the connection, had it been offered.  Where it was,
 * somebody between has taken it out of our answer (RFC 5802 6).
 */
static void
test_scram_downgrade(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_facts f = facts();
	add_joe(r);
	assert_int_equal(by_hand(r, &f, "n,,"), 0);
	assert_int_equal(by_hand(r, &f, "y,,"), 0);
	assert_int_equal(by_hand(r, &f, "n,a=joe,"), 0);
	assert_int_equal(by_hand(r, &f, "n,a=ann,"), 535);
	f.unique = SPAN("0123456789ab");
	assert_int_equal(by_hand(r, &f, "n,,"), 0);
	assert_int_equal(by_hand(r, &f, "y,,"), 535);
	f.unique = (struct span){0};
	f.exporter = SPAN("0123456789abcdef0123456789abcdef");
	assert_int_equal(by_hand(r, &f, "n,,"), 0);
	assert_int_equal(by_hand(r, &f, "y,,"), 535);
	rig_free(r);
}

/* The salt of a name that is not there does not change: the client cannot tell. */
static void
test_scram_made_up(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct buf salt[2];
	for (int i = 0; i < 2; i++) {
		struct signin_exchange *x =
		    begin(r, "SCRAM-SHA-256", NULL, SPAN("n,,n=nobody,r=abcdefgh"));
		(void)wait_for(r, 1);
		assert_int_equal(r->kind, SIGNIN_CHALLENGE);
		size_t s = span_find(buf_span(&r->data), ',');
		buf_init(&salt[i], 1000);
		buf_add_span(&salt[i], span_cut(buf_span(&r->data), s, r->data.n));
		signin_cancel(&x);
		turns(r);
		if (i == 0) { /* nor does a restart change it, once there is a file */
			add_joe(r);
			buf_clear(&salt[0]);
			x = begin(
			    r, "SCRAM-SHA-256", NULL, SPAN("n,,n=nobody,r=abcdefgh"));
			(void)wait_for(r, 1);
			buf_add_span(
			    &salt[0], span_cut(buf_span(&r->data), s, r->data.n));
			signin_cancel(&x);
			turns(r);
			rig_close(r);
			rig_open(r);
		}
	}
	assert_true(salt[0].n > 20);
	assert_true(span_eq(buf_span(&salt[0]), buf_span(&salt[1])));
	buf_clear(&salt[0]);
	buf_clear(&salt[1]);
	rig_free(r);
}

/* RFC 7677 3: the same keys, the same proof, the same answer. */
static void
test_vector(void **state)
{
	static const char said[] =
	    "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)"
	    "hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%"
	    "hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
	struct scram_keys k = {.iterations = 4096}, other = k;
	uint8_t signature[SHA256_SIZE];
	struct buf b;
	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(base64_decode(SPAN("W22ZaJ0SNY7soEsUEjb6gQ=="), &b), OK);
	assert_int_equal(b.n, SCRAM_SALT);
	memcpy(k.salt, b.p, SCRAM_SALT);
	password_scram(SPAN("pencil"), &k);
	password_scram(SPAN("pencil"), &other); /* of another salt */
	buf_reset(&b);
	assert_int_equal(
	    base64_decode(SPAN("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), &b), OK);
	assert_true(password_proven(DIGEST_SHA256, &k, SPAN(said), buf_span(&b)));
	assert_false(password_proven(DIGEST_SHA256, &other, SPAN(said), buf_span(&b)));
	assert_false(password_proven(DIGEST_SHA1, &k, SPAN(said), buf_span(&b)));
	assert_false(password_proven(
	    DIGEST_SHA256, &k, span_cut(SPAN(said), 1, sizeof(said)), buf_span(&b)));
	assert_false(password_proven(
	    DIGEST_SHA256, &k, SPAN(said), span_cut(buf_span(&b), 0, SHA256_SIZE - 1)));
	assert_false(password_proven(DIGEST_SHA256, &k, SPAN(said), SPAN("")));
	b.p[SHA256_SIZE - 1] ^= 1;
	assert_false(password_proven(DIGEST_SHA256, &k, SPAN(said), buf_span(&b)));
	buf_reset(&b);
	hmac_of(DIGEST_SHA256, (struct span){(const char *)k.server256, SHA256_SIZE},
	    SPAN(said), signature);
	base64_encode((struct span){(const char *)signature, SHA256_SIZE}, &b);
	assert_true(
	    span_eq(buf_span(&b), SPAN("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")));
	buf_clear(&b);
}

/* An application's secret of joe's; what it is. */
static char *
add_secret(struct rig *r, const char *label, const char *services)
{
	char request[200];
	(void)snprintf(request, sizeof(request),
	    "{\"cmd\":\"user-secret-add\",\"name\":\"joe\",\"label\":\"%s\",\"service\":["
	    "%s]}",
	    label, services);
	const char *text = strstr(admin(r, 0, request), "\"password\":\"");
	assert_non_null(text);
	text += strlen("\"password\":\"");
	return span_dup(span_cut(span_str(text), 0, strcspn(text, "\"")));
}

/* By both digests, for this service; which secret it was, or "-". */
static const char *
scram_is(struct rig *r, const char *service, const char *secret)
{
	struct signin_facts f = facts();
	struct sasl_credentials c = {.user = "joe", .secret = secret};
	f.service = service;
	unsigned one = scram(r, SASL_SCRAM_SHA_1, &f, &c);
	assert_int_equal(scram(r, SASL_SCRAM_SHA_256, &f, &c), one);
	return one == 0 ? r->card->secret : "-";
}

/*
 * Any of the secrets that serve: the proof says which it was, and what that one may, and
 * the server proves itself by the same.
 */
static void
test_scram_any_secret(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	char *phone = add_secret(r, "phone", ""),
	     *mail = add_secret(r, "mail", "\"imap\"");
	char *queue = add_secret(r, "admin", "\"queue\"");
	assert_string_equal(scram_is(r, "smtp", "open sesame"), "");
	assert_string_equal(scram_is(r, "smtp", phone), "phone");
	assert_string_equal(scram_is(r, "smtp", mail), "-");
	assert_string_equal(scram_is(r, "smtp", queue), "-");
	assert_string_equal(scram_is(r, "imap", phone), "phone");
	assert_false(r->card->queue);
	assert_string_equal(scram_is(r, "imap", mail), "mail");
	assert_false(r->card->queue);
	assert_string_equal(scram_is(r, "imap", queue), "admin");
	assert_true(r->card->queue);
	assert_string_equal(scram_is(r, "queue", queue), "admin");
	assert_string_equal(scram_is(r, "imap", "open sesame"), "");
	/* another main secret leaves the others what they are */
	(void)admin(
	    r, 0, "{\"cmd\":\"user-passwd\",\"name\":\"joe\",\"password\":\"new\"}");
	assert_string_equal(scram_is(r, "imap", "open sesame"), "-");
	assert_string_equal(scram_is(r, "imap", "new"), "");
	assert_string_equal(scram_is(r, "imap", phone), "phone");
	rig_close(r);
	rig_open(r);
	assert_string_equal(scram_is(r, "imap", mail), "mail");
	(void)admin(
	    r, 0, "{\"cmd\":\"user-secret-delete\",\"name\":\"joe\",\"label\":\"mail\"}");
	assert_string_equal(scram_is(r, "imap", mail), "-");
	assert_string_equal(scram_is(r, "imap", queue), "admin");
	/* a main secret of which only a hash is known does not stand in the way */
	(void)admin(r, 0,
	    "{\"cmd\":\"user-passwd\",\"name\":\"joe\",\"hash\":\"$2b$04$"
	    "abcdefghijklmnopqrstuuyeG8laUfZvsCmc.AE6qIDYSPGM2efmK\"}");
	assert_string_equal(scram_is(r, "imap", phone), "phone");
	assert_string_equal(scram_is(r, "imap", "new"), "-");
	mem_free(&phone);
	mem_free(&mail);
	mem_free(&queue);
	rig_free(r);
}

/* What a client is told before it has proven anything: ",s=...,i=...". */
static char *
salt_of(struct rig *r, const char *service, const char *name)
{
	struct signin_facts f = facts();
	char first[80];
	f.service = service;
	(void)snprintf(first, sizeof(first), "n,,n=%s,r=abcdefgh", name);
	struct signin_exchange *x = begin(r, "SCRAM-SHA-256", &f, span_str(first));
	(void)wait_for(r, 1);
	assert_int_equal(r->kind, SIGNIN_CHALLENGE);
	size_t at = span_find(buf_span(&r->data), ',');
	char *salt = span_dup(span_cut(buf_span(&r->data), at, r->data.n));
	signin_cancel(&x);
	turns(r);
	return salt;
}

/* A name's salt is the same before there is an account, while, and afterwards. */
static void
test_salt_tells_nothing(void **state)
{
	static const char *const changes[] = {
	    "{\"cmd\":\"user-add\",\"name\":\"Joe\",\"password\":\"open sesame\"}",
	    "{\"cmd\":\"user-passwd\",\"name\":\"joe\",\"password\":\"another\"}",
	    "{\"cmd\":\"user-secret-add\",\"name\":\"joe\",\"label\":\"x\"}",
	    "{\"cmd\":\"user-set\",\"name\":\"joe\",\"disabled\":true}",
	    "{\"cmd\":\"user-delete\",\"name\":\"joe\"}"};
	(void)state;
	struct rig *r = rig_new();
	char *salt = salt_of(r, "imap", "joe"), *ann = salt_of(r, "imap", "ann");
	assert_string_not_equal(salt, ann);
	for (size_t i = 0; i < COUNT_OF(changes); i++) {
		(void)admin(r, 0, changes[i]);
		char *now = salt_of(r, "imap", "joe");
		assert_string_equal(now, salt);
		mem_free(&now);
		now = salt_of(r, "pop3", "JOE");
		assert_string_equal(now, salt);
		mem_free(&now);
	}
	mem_free(&salt);
	mem_free(&ann);
	rig_free(r);
}

static void
add_keys(struct buf *out, struct span password, uint8_t salt)
{
	struct scram_keys k = {.iterations = 4096};
	const struct {
		const char *name;
		const uint8_t *p;
		size_t n;
	} octets[] = {{"salt", k.salt, SCRAM_SALT},
	    {"stored256", k.stored256, SHA256_SIZE},
	    {"server256", k.server256, SHA256_SIZE}, {"stored1", k.stored1, SHA1_SIZE},
	    {"server1", k.server1, SHA1_SIZE}};
	k.salt[0] = salt;
	password_scram(password, &k);
	buf_add_str(out, "\"scram\":{\"iterations\":4096");
	for (size_t i = 0; i < COUNT_OF(octets); i++) {
		buf_addf(out, ",\"%s\":\"", octets[i].name);
		base64_encode((struct span){(const char *)octets[i].p, octets[i].n}, out);
		buf_add_char(out, '"');
	}
	buf_add_char(out, '}');
}

/*
 * Accounts as older versions wrote them, each secret with a salt of its own: the main
 * one signs in, or where it does not serve the first that does; any other when it, or
 * the main one, has been made anew.
 */
static void
test_salts_of_old(void **state)
{
	static const char hash[] =
	    "\"hash\":\"$2b$04$abcdefghijklmnopqrstuuyeG8laUfZvsCmc."
	    "AE6qIDYSPGM2efmK\",\"created\":0,";
	(void)state;
	struct rig *r = rig_new();
	struct buf b;
	buf_init(&b, 10000);
	rig_close(r);
	buf_add_str(&b, "{\"relayd-accounts\":1,\"key\":\"");
	base64_encode(SPAN("0123456789abcdef0123456789abcdef"), &b);
	buf_addf(&b, "\"}\n{\"name\":\"joe\",\"secrets\":[{\"label\":\"phone\",%s", hash);
	add_keys(&b, SPAN("phone's"), 1);
	buf_addf(&b, "},{\"label\":\"\",\"service\":[\"imap\",\"smtp\"],%s", hash);
	add_keys(&b, SPAN("main's"), 2);
	buf_addf(&b, "},{\"label\":\"pad\",%s", hash);
	add_keys(&b, SPAN("pad's"), 3);
	buf_add_str(&b, "}]}\n");
	int dir = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = openat(dir, "accounts", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, b.p, b.n), b.n);
	(void)close(fd);
	(void)close(dir);
	buf_clear(&b);
	rig_open(r);
	assert_string_equal(scram_is(r, "imap", "main's"), "");
	assert_string_equal(scram_is(r, "imap", "phone's"), "-");
	assert_string_equal(scram_is(r, "pop3", "phone's"), "phone");
	assert_string_equal(scram_is(r, "pop3", "pad's"), "-");
	char *fresh = add_secret(r, "fresh", ""); /* with the main one's salt */
	assert_string_equal(scram_is(r, "imap", fresh), "fresh");
	assert_string_equal(scram_is(r, "imap", "main's"), "");
	mem_free(&fresh);
	/* the others stay, and so does their salt; the first of them is the phone's */
	(void)admin(r, 0,
	    "{\"cmd\":\"user-secret-delete\",\"name\":\"joe\",\"label\":\"fresh\"}");
	(void)admin(
	    r, 0, "{\"cmd\":\"user-passwd\",\"name\":\"joe\",\"password\":\"new\"}");
	assert_string_equal(scram_is(r, "imap", "new"), "");
	assert_string_equal(scram_is(r, "imap", "phone's"), "phone");
	assert_string_equal(scram_is(r, "imap", "pad's"), "-");
	rig_free(r);
}

static void
test_scram_garbage(void **state)
{
	static const char *const first[] = {"", "n", "n,,", "y,,n=,r=", "n,,n=joe",
	    "n,a=ann,n=joe,r=abc", "p=tls-unique,,n=joe,r=abc", ",,,,,,,,", "\xff\xfe"};
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	for (size_t i = 0; i < COUNT_OF(first); i++) {
		struct signin_exchange *x =
		    begin(r, "SCRAM-SHA-256", NULL, span_str(first[i]));
		unsigned n = 1;
		for ((void)wait_for(r, n); r->kind == SIGNIN_CHALLENGE && n < 4;) {
			signin_respond(x, SPAN("c=biws,r=nonsense,p=AAAA"));
			(void)wait_for(r, ++n);
		}
		assert_int_equal(r->kind, SIGNIN_FAILED);
	}
	rig_free(r);
}

/*
 * The longest message that there may be: what a client says comes back in the challenge,
 * with more behind it.  Whatever is too long ends the exchange, and never the channel,
 * which all other clients need.
 */
static void
test_longest_message(void **state)
{
	static const size_t lengths[] = {64, 4096, SIGNIN_DATA_MAX - 80,
	    SIGNIN_DATA_MAX - 60, SIGNIN_DATA_MAX - 40, SIGNIN_DATA_MAX - 20,
	    SIGNIN_DATA_MAX - 1, SIGNIN_DATA_MAX};
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		struct buf b;
		buf_init(&b, SIGNIN_DATA_MAX);
		buf_add_str(&b, "n,,n=joe,r=");
		while (b.n < lengths[i])
			buf_add_char(&b, 'r');
		struct signin_exchange *x = begin(r, "SCRAM-SHA-256", NULL, buf_span(&b));
		(void)wait_for(r, 1);
		if (r->kind == SIGNIN_CHALLENGE) {
			assert_true(r->data.n > b.n);
			signin_cancel(&x);
		} else {
			assert_int_equal(r->verdict.code, 501);
		}
		buf_clear(&b);
		assert_int_equal(plain(r, "joe", "open sesame"), 0);
	}
	rig_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_scram),
	    cmocka_unit_test(test_scram_plus),
	    cmocka_unit_test(test_scram_stranger),
	    cmocka_unit_test(test_scram_downgrade),
	    cmocka_unit_test(test_scram_made_up),
	    cmocka_unit_test(test_vector),
	    cmocka_unit_test(test_scram_any_secret),
	    cmocka_unit_test(test_salt_tells_nothing),
	    cmocka_unit_test(test_salts_of_old),
	    cmocka_unit_test(test_scram_garbage),
	    cmocka_unit_test(test_longest_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
