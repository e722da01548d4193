/* SPDX-License-Identifier: ISC */
/*
 * What a POP3 session sees of a mailbox: numbers and uids, however many and however far
 * apart; and who has it open.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/pickup/maildrop.h"
#include "relay/pickup/pickup.h"
#include "tests/lib/fake_world.h"
#include "tests/lib/spool_rig.h"

#define ALICE SPAN("alice")
#define T(ms) ((struct instant){1000000 + (ms)})

static void
test_runs(void **state)
{
	static const uint32_t uids[] = {3, 4, 5, 9, 11, 12, 4000000000u, 4000000001u};
	struct maildrop d = {0};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(uids); i++)
		assert_true(maildrop_add(&d, uids[i], 10 + i));
	assert_int_equal(d.count, COUNT_OF(uids));
	assert_int_equal(d.octets, 80 + 28);
	assert_int_equal(d.runs, 4);
	for (uint32_t n = 1; n <= d.count; n++)
		assert_int_equal(maildrop_uid(&d, n), uids[n - 1]);
	maildrop_clear(&d);
}

/* A hundred thousand mails in a row cost what one costs. */
static void
test_memory(void **state)
{
	struct maildrop d = {0};
	(void)state;
	for (uint32_t i = 1; i <= 100000; i++)
		assert_true(maildrop_add(&d, 70 + i, 4096));
	assert_int_equal(d.runs, 1);
	assert_int_equal(d.cap, 1);
	assert_null(d.deleted);
	assert_int_equal(maildrop_uid(&d, 100000), 100070);
	maildrop_clear(&d);
	/* and at worst eight octets each: every other one is gone */
	for (uint32_t i = 1; i <= 1000; i++)
		assert_true(maildrop_add(&d, 2 * i, 1));
	assert_int_equal(d.runs, 1000);
	for (uint32_t i = 1; i <= 1000; i++)
		assert_int_equal(maildrop_uid(&d, i), 2 * i);
	maildrop_clear(&d);
}

static void
test_bound(void **state)
{
	struct maildrop d = {0};
	(void)state;
	for (uint32_t i = 1; i <= MAILDROP_MAX; i++)
		assert_true(maildrop_add(&d, i, 1));
	assert_false(maildrop_add(&d, MAILDROP_MAX + 1, 1));
	assert_int_equal(d.count, MAILDROP_MAX);
	assert_int_equal(d.octets, MAILDROP_MAX);
	maildrop_clear(&d);
}

static void
test_marks(void **state)
{
	struct maildrop d = {0};
	(void)state;
	for (uint32_t i = 1; i <= 17; i++)
		(void)maildrop_add(&d, i, i);
	assert_null(maildrop_change(&d, ALICE));
	maildrop_delete(&d, 1, 1);
	maildrop_delete(&d, 17, 17);
	maildrop_delete(&d, 17, 17); /* twice is once */
	assert_int_equal(d.deleted_n, 2);
	assert_int_equal(d.deleted_octets, 18);
	assert_true(maildrop_is_deleted(&d, 1));
	assert_false(maildrop_is_deleted(&d, 2));
	assert_true(maildrop_is_deleted(&d, 17));
	maildrop_pick(&d, 8);
	maildrop_pick(&d, 8);
	assert_int_equal(d.picked_n, 1);
	struct mail_change *c = maildrop_change(&d, ALICE);
	assert_non_null(c);
	mail_change_free(&c);
	maildrop_reset(&d); /* what was fetched stays fetched */
	assert_int_equal(d.deleted_n, 0);
	assert_int_equal(d.deleted_octets, 0);
	assert_false(maildrop_is_deleted(&d, 17));
	assert_int_equal(d.picked_n, 1);
	maildrop_clear(&d);
}

/* From a real spool: what came after it was opened is not in it, what went leaves a gap.
 */
static void
test_read(void **state)
{
	struct maildrop d = {0};
	(void)state;
	struct spool_rig *r = spool_rig_new(0);
	assert_int_equal(spool_rig_open(r), OK);
	struct spool_reader *reader = spool_reader_new(r->spool);
	assert_int_equal(maildrop_read(reader, ALICE, &d), OK);
	assert_int_equal(d.count, 0); /* nothing was ever delivered */
	for (unsigned i = 0; i < 1203; i++) {
		struct message *m = spool_rig_message(20, i);
		spool_rig_drop(m, "alice", "");
		(void)spool_rig_stored(r, m);
	}
	struct mail_change *c = mail_change_new(ALICE, SPAN(MAILBOX_INBOX));
	mail_change_delete(c, 500);
	mail_change_delete(c, 501);
	assert_int_equal(spool_rig_change(r, c), OK);
	assert_int_equal(maildrop_read(reader, ALICE, &d), OK);
	assert_int_equal(d.count, 1201);
	assert_int_equal(d.runs, 2);
	assert_int_equal(maildrop_uid(&d, 499), 499);
	assert_int_equal(maildrop_uid(&d, 500), 502);
	assert_int_equal(maildrop_uid(&d, 1201), 1203);
	struct mailbox_usage u;
	spool_mailbox_usage(r->spool, ALICE, &u);
	assert_int_equal(d.octets, u.octets);
	maildrop_clear(&d);
	spool_reader_free(&reader);
	spool_rig_free(&r);
}

/* ---- drops */

static void
test_drops(void **state)
{
	struct fake_world w;
	(void)state;
	fake_world_init(&w);
	struct drops *d = drops_new(&w.world);
	assert_int_equal(drops_take(d, ALICE, T(0), 0), DROPS_TAKEN);
	assert_int_equal(drops_take(d, ALICE, T(9), 0), DROPS_IN_USE);
	assert_int_equal(drops_take(d, SPAN("bob"), T(0), 0), DROPS_TAKEN);
	drops_leave(d, ALICE);
	assert_int_equal(drops_take(d, ALICE, T(59999), MINUTE_MS), DROPS_TOO_EARLY);
	assert_int_equal(drops_take(d, ALICE, T(60000), MINUTE_MS), DROPS_TAKEN);
	/* being turned away is no sign-in */
	assert_int_equal(drops_take(d, ALICE, T(60001), MINUTE_MS), DROPS_IN_USE);
	drops_leave(d, ALICE);
	assert_int_equal(drops_take(d, ALICE, T(119999), MINUTE_MS), DROPS_TOO_EARLY);
	assert_int_equal(drops_take(d, ALICE, T(120000), MINUTE_MS), DROPS_TAKEN);
	drops_leave(d, ALICE);
	drops_leave(d, SPAN("bob"));
	/* those who left are kept up to a bound, the youngest */
	char name[20];
	for (unsigned i = 0; i < 10001; i++) {
		(void)snprintf(name, sizeof(name), "u%u", i);
		assert_int_equal(drops_take(d, span_str(name), T(0), 0), DROPS_TAKEN);
		drops_leave(d, span_str(name));
	}
	assert_int_equal(drops_take(d, SPAN("u0"), T(1), MINUTE_MS), DROPS_TAKEN);
	assert_int_equal(drops_take(d, SPAN("u10000"), T(1), MINUTE_MS), DROPS_TOO_EARLY);
	drops_free(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_runs),
	    cmocka_unit_test(test_memory),
	    cmocka_unit_test(test_bound),
	    cmocka_unit_test(test_marks),
	    cmocka_unit_test(test_read),
	    cmocka_unit_test(test_drops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
