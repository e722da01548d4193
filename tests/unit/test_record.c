/* SPDX-License-Identifier: ISC */
/*
 * What is on disk: ids, keys and records.  decode(encode(x)) = x; cut at any
 * octet, or with any octet changed, a record is refused; and no octets whatever
 * make a decoder do anything worse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "spool/private.h"

/* ---- ids */

static void
test_id_text(void **state)
{
	static const struct {
		uint64_t id;
		const char *text;
	} cases[] = {
	    {0, "0000000000000"},
	    {1, "0000000000001"},
	    {31, "000000000000Z"},
	    {32, "0000000000010"},
	    {UINT64_MAX, "FZZZZZZZZZZZZ"},
	    {UINT64_C(0x0123456789abcdef), "028T5CY4TQKFF"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char text[SPOOL_ID_LEN + 1];
		uint64_t id = 99;
		spool_id_format(cases[i].id, text);
		assert_string_equal(text, cases[i].text);
		assert_true(spool_id_parse(span_str(text), &id));
		assert_int_equal(id, cases[i].id);
	}
}

static void
test_id_parse(void **state)
{
	static const char *const wrong[] = {"", "0", "00000000000000", "000000000000",
	    "000000000000U", "000000000000-", "G000000000000", "ZZZZZZZZZZZZZ",
	    "000000 000000"};
	uint64_t id = 7;
	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrong); i++)
		assert_false(spool_id_parse(span_str(wrong[i]), &id));
	assert_int_equal(id, 7);
	assert_true(spool_id_parse(SPAN("028t5cy4tqkff"), &id));
	assert_int_equal(id, UINT64_C(0x0123456789abcdef));
	assert_true(spool_id_parse(SPAN("00000000OOIL1"), &id));
	assert_int_equal(id, (1u << 10) | (1u << 5) | 1u);
}

static void
test_id_next(void **state)
{
	struct wall t = {ID_EPOCH_MS + 123456789};
	uint64_t last = 0;
	(void)state;
	last = id_next(last, t, 5);
	assert_int_equal(last >> 22, 123456789);
	assert_int_equal(last >> 12 & 1023, 5);
	assert_int_equal(spool_id_time(last).ms, t.ms);
	/* many in one millisecond, a clock that goes back: always rising */
	for (int i = 0; i < 20000; i++) {
		struct wall now = wall_after(t, i % 7 == 0 ? -DAY_MS : i / 5000);
		uint64_t id = id_next(last, now, 5);
		assert_true(id > last);
		last = id;
	}
	assert_true(spool_id_time(last).ms - t.ms < SECOND_MS);
	assert_int_equal(
	    id_next(0, (struct wall){0}, 1), 1 << 12); /* a clock before 2020 */
}

/* ---- keys */

static void
test_keys(void **state)
{
	static const struct sched_key rows[] = {
	    {0, 0, 0, 0},
	    {LANE_READY, 1, 0, UINT64_MAX},
	    {LANE_READY, 1, 1, 0},
	    {LANE_READY, 1, DUE_MAX, 2},
	    {LANE_READY, 256, 0, 0},
	    {LANE_HELD, 0, 255, 1},
	    {LANE_HELD, 0, 256, 0},
	    {255, UINT32_MAX, DUE_MAX, UINT64_MAX},
	};
	unsigned char before[KEY_SCHED] = {0}, key[KEY_SCHED];
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct sched_key back;
		sched_key_put(key, &rows[i]);
		sched_key_get(key, &back);
		assert_int_equal(back.lane, rows[i].lane);
		assert_int_equal(back.dest, rows[i].dest);
		assert_int_equal(back.due, rows[i].due);
		assert_int_equal(back.id, rows[i].id);
		assert_true(i == 0 || memcmp(before, key, sizeof(key)) < 0);
		memcpy(before, key, sizeof(key));
	}
	unsigned char rcpt[KEY_RCPT];
	rcpt_key_put(rcpt, 0x0102030405060708u, 0x090a0b0cu, 0x0d0e);
	for (unsigned i = 0; i < KEY_RCPT; i++)
		assert_int_equal(rcpt[i], i + 1);
	assert_int_equal(sane_due((struct wall){-5}).ms, 0);
	assert_int_equal(sane_due((struct wall){INT64_MAX}).ms, DUE_MAX);
	assert_int_equal(sane_due((struct wall){17}).ms, 17);
	assert_int_equal(lane_of(RECIPIENT_WAITING), LANE_READY);
	assert_int_equal(lane_of(RECIPIENT_HELD), LANE_HELD);
	assert_int_equal(lane_of(RECIPIENT_ASIDE), LANE_ASIDE);
}

/* ---- records */

static struct message *
sample(void)
{
	struct message *m = message_new();
	m->flags = MESSAGE_8BIT | MESSAGE_OWN;
	m->warned = true;
	m->arrival.ms = INT64_C(1795435200000);
	m->size = UINT64_C(0x123456789a);
	m->file = UINT64_MAX - 3;
	m->crc = 0xdeadbeef;
	m->sender = message_keep(m, SPAN("a@b.example"));
	m->envid = message_keep(m, SPAN("QQ+2B1"));
	m->client = message_keep(m, SPAN("2001:db8::1"));
	m->helo = message_keep(m, SPAN("c.example"));
	m->protocol = message_keep(m, SPAN("ESMTPS"));
	m->listener = message_keep(m, SPAN(""));
	m->account = message_keep(m, SPAN("al\0ce"));
	m->prefix = message_keep(m, SPAN("Received: from x\r\n\tby y\r\n"));
	return m;
}

static void
assert_span(struct span a, struct span b)
{
	assert_int_equal(a.n, b.n);
	assert_memory_equal(a.p, b.p, a.n);
}

static void
assert_same_message(const struct message *a, const struct message *b)
{
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->warned, b->warned);
	assert_int_equal(a->arrival.ms, b->arrival.ms);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->file, b->file);
	assert_int_equal(a->crc, b->crc);
	assert_span(a->sender, b->sender);
	assert_span(a->envid, b->envid);
	assert_span(a->client, b->client);
	assert_span(a->helo, b->helo);
	assert_span(a->protocol, b->protocol);
	assert_span(a->listener, b->listener);
	assert_span(a->account, b->account);
	assert_span(a->prefix, b->prefix);
}

/* Decode out of memory of exactly that size, so that a sanitizer sees a step too far. */
static enum err
try_message(const char *p, size_t n, struct message *out)
{
	struct message_extra x;
	uint64_t size, file;
	char *exact = mem_alloc_raw(n);
	struct message *m = out ? out : message_new();
	if (n > 0)
		memcpy(exact, p, n);
	enum err e = record_get_message((struct span){exact, n}, m, &x);
	enum err sizes = record_get_sizes((struct span){exact, n}, &size, &file, &x);
	assert_true(e == OK || e == ERR_DAMAGED);
	assert_true(sizes == OK || e == ERR_DAMAGED);
	mem_free(&exact);
	if (out == NULL)
		message_unref(&m);
	return e;
}

static enum err
try_rcpt(const char *p, size_t n)
{
	struct recipient r = {0};
	char *exact = mem_alloc_raw(n);
	if (n > 0)
		memcpy(exact, p, n);
	enum err e = record_get_rcpt((struct span){exact, n}, &r);
	assert_true(e == OK || e == ERR_DAMAGED);
	assert_true(r.state <= RECIPIENT_ASIDE);
	mem_free(&exact);
	return e;
}

static void
test_message(void **state)
{
	struct message *m = sample(), *back = message_new();
	struct message_extra x = {65535, 1000}, got;
	struct buf b = {0};
	uint64_t size, file;
	(void)state;
	record_put_message(&b, m, &x);
	assert_int_equal(record_get_message(buf_span(&b), back, &got), OK);
	assert_same_message(m, back);
	assert_int_equal(got.chunks, x.chunks);
	assert_int_equal(got.rcpts_total, x.rcpts_total);
	assert_int_equal(record_get_sizes(buf_span(&b), &size, &file, &got), OK);
	assert_int_equal(size, m->size);
	assert_int_equal(file, m->file);
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(try_message(b.p, n, NULL), ERR_DAMAGED);
	for (size_t i = 0; i < b.n; i++) {
		b.p[i] ^= 0x10;
		assert_int_equal(try_message(b.p, b.n, NULL), ERR_DAMAGED);
		b.p[i] ^= 0x10;
	}
	assert_int_equal(try_message(b.p, b.n, NULL), OK);
	buf_clear(&b);
	message_unref(&m);
	message_unref(&back);
}

static void
test_rcpt(void **state)
{
	struct recipient r = {.state = RECIPIENT_HELD,
			     .notify = NOTIFY_SUCCESS | NOTIFY_DELAY,
			     .attempts = 7,
			     .due = {INT64_C(1795435200001)},
			     .first_try = {INT64_C(1795435200002)},
			     .last_try = {INT64_C(1795435200003)},
			     .address = SPAN("u@d.example"),
			     .orcpt = SPAN("rfc822;u+2B@d.example"),
			     .reply = SPAN("451 4.3.0 later"),
			     .host = SPAN("mx [192.0.2.1]:25")},
			 back = {0};
	struct buf b = {0};
	(void)state;
	record_put_rcpt(&b, &r);
	assert_int_equal(record_get_rcpt(buf_span(&b), &back), OK);
	assert_int_equal(back.state, r.state);
	assert_int_equal(back.notify, r.notify);
	assert_int_equal(back.attempts, r.attempts);
	assert_int_equal(back.due.ms, r.due.ms);
	assert_int_equal(back.first_try.ms, r.first_try.ms);
	assert_int_equal(back.last_try.ms, r.last_try.ms);
	assert_span(back.address, r.address);
	assert_span(back.orcpt, r.orcpt);
	assert_span(back.reply, r.reply);
	assert_span(back.host, r.host);
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(try_rcpt(b.p, n), ERR_DAMAGED);
	for (size_t i = 0; i < b.n; i++) {
		b.p[i] ^= 1;
		assert_int_equal(try_rcpt(b.p, b.n), ERR_DAMAGED);
		b.p[i] ^= 1;
	}
	buf_clear(&b);
}

/* With a checksum that fits, so that the fields themselves are reached. */
static void
seal(char *p, size_t n)
{
	uint32_t crc = n > 5 ? crc32c(0, p + 5, n - 5) : 0;
	p[0] = RECORD_VERSION;
	for (size_t i = 0; i < 4; i++)
		p[1 + i] = (char)(crc >> (8 * i));
}

static void
test_later_version(void **state)
{
	struct message *m = sample(), *back = message_new();
	struct message_extra x = {1, 1}, got;
	struct buf b = {0};
	(void)state;
	record_put_message(&b, m, &x);
	buf_add_str(&b, "what a later relayd adds");
	seal(b.p, b.n);
	assert_int_equal(record_get_message(buf_span(&b), back, &got), OK);
	assert_same_message(m, back);
	buf_clear(&b);
	message_unref(&m);
	message_unref(&back);
}

static void
test_cut_but_sealed(void **state)
{
	struct message *m = sample();
	struct message_extra x = {1, 1};
	struct recipient r = {.address = SPAN("u@d.example")};
	struct buf b = {0};
	(void)state;
	record_put_message(&b, m, &x);
	for (size_t n = b.n - 1; n >= 5; n--) {
		seal(b.p, n);
		assert_int_equal(try_message(b.p, n, NULL), ERR_DAMAGED);
	}
	buf_reset(&b);
	record_put_rcpt(&b, &r);
	for (size_t n = b.n - 1; n >= 5; n--) {
		seal(b.p, n);
		assert_int_equal(try_rcpt(b.p, n), ERR_DAMAGED);
	}
	buf_clear(&b);
	message_unref(&m);
}

static void
test_any_octets(void **state)
{
	char p[200] = "";
	uint64_t dice = 1;
	(void)state;
	for (int round = 0; round < 50000; round++) {
		size_t n = (size_t)(dice >> 33) % sizeof(p);
		for (size_t i = 0; i < n; i++) {
			dice =
			    dice * UINT64_C(6364136223846793005) + 1442695040888963407u;
			unsigned v = (unsigned)(dice >> 33);
			p[i] =
			    (char)((v & 0x700)
				       ? 0
				       : v); /* small lengths are the interesting ones */
		}
		dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407u;
		if (n >= 5 && round % 2 == 0)
			seal(p, n);
		(void)try_message(p, n, NULL);
		(void)try_rcpt(p, n);
	}
}

/* ---- messages and reports in memory */

static void
test_message_memory(void **state)
{
	struct message *m = message_new();
	char big[5000];
	(void)state;
	memset(big, 'x', sizeof(big));
	assert_int_equal(m->id_at, SIZE_MAX);
	for (int i = 0; i < 100; i++) {
		struct span s = message_keep(m, (struct span){big, (size_t)i * 50});
		assert_int_equal(s.n, i * 50);
		assert_int_equal(s.p[s.n], '\0');
	}
	for (unsigned i = 0; i < 100; i++) {
		struct recipient r = {
		    .index = 77, .address = SPAN("a@b"), .dest = SPAN("smtp b")};
		struct recipient *to = message_add_rcpt(m, &r);
		assert_int_equal(to->index, i);
		assert_true(to->address.p != r.address.p);
	}
	assert_int_equal(m->rcpts, 100);
	struct message *again = message_ref(m);
	message_unref(&m);
	assert_null(m);
	assert_int_equal(again->rcpts, 100);
	message_unref(&again);
	message_unref(&again);
}

static void
test_report_memory(void **state)
{
	char text[400], dest[] = "smtp b.example";
	struct report *r = report_new(5, span_str(dest), (struct wall){1});
	struct outcome o = {.index = 1, .kind = OUTCOME_MOVED, .dest = span_str(dest)};
	(void)state;
	memset(text, 'r', sizeof(text));
	o.reply = (struct span){text, sizeof(text)};
	for (int i = 0; i < 10; i++)
		report_add(r, &o);
	memset(dest, 0, sizeof(dest));
	memset(text, 0, sizeof(text));
	assert_int_equal(r->outcomes, 10);
	assert_true(span_eq(r->dest, SPAN("smtp b.example")));
	assert_true(span_eq(r->outcome[9].dest, SPAN("smtp b.example")));
	assert_int_equal(r->outcome[9].reply.n, 300);
	assert_int_equal(r->outcome[9].reply.p[299], 'r');
	r->notice[0] = message_new();
	report_free(&r);
	assert_null(r);
	report_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_id_text),
	    cmocka_unit_test(test_id_parse),
	    cmocka_unit_test(test_id_next),
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_message),
	    cmocka_unit_test(test_rcpt),
	    cmocka_unit_test(test_later_version),
	    cmocka_unit_test(test_cut_but_sealed),
	    cmocka_unit_test(test_any_octets),
	    cmocka_unit_test(test_message_memory),
	    cmocka_unit_test(test_report_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
