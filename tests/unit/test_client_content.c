/* SPDX-License-Identifier: ISC */
/* What the SMTP client makes of a message's content on the wire, and of its stalling. */
#include "tests/unit/client_rig.h"

/* The wire's bytes for this content, read `step` at a time through small buffers. */
static char *
wire_of(struct rig *r, struct content *content, size_t step, size_t *n)
{
	char *got = mem_alloc((size_t)content_size(content) * 2 + 1000);
	content_unref(&r->message.content);
	r->message.content = content;
	r->message.prefix = (struct span){0};
	r->sndbuf = 8192;
	rig_ready(r, PIPE);
	rig_post(r);
	rig_hears(r, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nDATA\r\n");
	rig_says(r, "250 ok\r\n250 ok\r\n354 go\r\n");
	*n = 0;
	for (ssize_t k; (k = read(r->peer, got + *n, step)) > 0; rig_settle(r)) {
		*n += (size_t)k;
		if (r->client->io != NULL)
			assert_true(io_queued(r->client->io) <= IO_HIGH);
		rig_pass(r, 20 * SECOND_MS); /* slow, but it moves */
	}
	return got;
}

/* content -> the wire, the other way round */
static char *
unstuffed(const char *wire, size_t n, size_t *out_n)
{
	char *out = mem_alloc(n + 1);
	size_t k = 0;
	bool start = true;
	assert_true(n >= 5 && memcmp(wire + n - 5, "\r\n.\r\n", 5) == 0);
	for (size_t i = 0; i < n - 3; i++) {
		if (!(start && wire[i] == '.'))
			out[k++] = wire[i];
		else
			assert_int_equal(wire[i + 1], '.');
		start = i > 0 && wire[i - 1] == '\r' && wire[i] == '\n';
		if (start && wire[i + 1] == '.' && i + 1 < n - 3)
			assert_int_equal(wire[i + 2], '.');
		if (i + 1 < n - 3 && start && wire[i + 1] == '.') {
			i++; /* the stuffed one goes, the next one stays */
			start = false;
		}
	}
	*out_n = k;
	return out;
}

#define BIG 700000

static char *
big_text(size_t n, bool dots)
{
	char *text = mem_alloc(n + 100);
	size_t at = 0;
	for (unsigned i = 0; at < n; i++)
		at += (size_t)snprintf(text + at, 100, "%sline %u%.*s\r\n",
		    dots && i % 7 == 0 ? "." : "", i, (int)(i % 61),
		    "..............................................................");
	memcpy(text + n - 2, "\r\n", 2);
	if (text[n - 3] == '\r' || text[n - 3] == '\n')
		text[n - 3] = 'x';
	if (text[n - 4] == '\r')
		text[n - 4] = 'x';
	return text;
}

static struct content *
content_in_file(const char *text, size_t n)
{
	FILE *f = tmpfile();
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	fflush(f);
	int fd = dup(fileno(f));
	fclose(f);
	return content_from_file(fd, n);
}

static void
big(struct rig *r, bool file, bool dots)
{
	char *text = big_text(BIG, dots);
	rig_message(r, 1);
	size_t wire_n, back_n;
	struct content *c = file ? content_in_file(text, BIG) : rig_content_of(text, BIG);
	char *wire = wire_of(r, c, 4096, &wire_n);
	assert_int_equal(r->lost, 0);
	assert_int_equal(client_stage(r->client), STAGE_DOT);
	char *back = unstuffed(wire, wire_n, &back_n);
	assert_int_equal(back_n, BIG);
	assert_memory_equal(back, text, BIG);
	rig_says(r, "250 taken\r\n");
	rig_rcpt(r, 0, "250 2.0.0 taken");
	mem_free(&back);
	mem_free(&wire);
	mem_free(&text);
}

static void
test_big_memory(void **state)
{
	big(*state, false, true);
}

static void
test_big_memory_clean(void **state)
{
	big(*state, false, false);
}

static void
test_big_file(void **state)
{
	big(*state, true, true);
}

/* Seen to be plain when it came: it goes out as it is, of a file or of memory. */
static void
test_big_plain(void **state)
{
	(void)state;
	char *text = big_text(BIG, false), *wire;
	size_t n;
	for (unsigned file = 0; file < 2; file++) {
		void *p;
		rig_setup(&p);
		struct rig *r = p;
		rig_message(r, 1);
		r->message.flags |= MESSAGE_PLAIN;
		/* in steps of what sendfile() puts into a Unix socket at once */
		wire = wire_of(r,
		    file ? content_in_file(text, BIG) : rig_content_of(text, BIG), 65536,
		    &n);
		assert_int_equal(n, BIG + 3);
		assert_memory_equal(wire, text, BIG);
		assert_memory_equal(wire + BIG, ".\r\n", 3);
		rig_says(r, "250 taken\r\n");
		rig_rcpt(r, 0, "250 2.0.0 taken");
		mem_free(&wire);
		rig_teardown(&p);
	}
	mem_free(&text);
}

static void
test_stuffing(void **state)
{
	(void)state;
	static const struct {
		const char *content, *wire;
	} cases[] = {
	    {"", ".\r\n"},
	    {"x", "x\r\n.\r\n"},
	    {".", "..\r\n.\r\n"},
	    {".\r\n", "..\r\n.\r\n"},
	    {"\r\n", "\r\n.\r\n"},
	    {"a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"},
	    {"a\r\n..b\r\n", "a\r\n...b\r\n.\r\n"},
	    {"a.\r\n.b.c", "a.\r\n..b.c\r\n.\r\n"},
	    {"\r\n.\r\nMAIL FROM:<x>\r\n", "\r\n..\r\nMAIL FROM:<x>\r\n.\r\n"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		for (int file = 0; file < 2; file++) {
			void *p;
			rig_setup(&p);
			struct rig *r = p;
			rig_message(r, 1);
			const char *text = cases[i].content;
			size_t n;
			char *wire = wire_of(r,
			    file ? content_in_file(text, strlen(text))
				 : rig_content_of(text, strlen(text)),
			    3, &n);
			assert_int_equal(n, strlen(cases[i].wire));
			assert_memory_equal(wire, cases[i].wire, n);
			mem_free(&wire);
			rig_teardown(&p);
		}
	}
}

/* Every position of a line end and a dot around the edge of a slice. */
static void
test_slice_edges(void **state)
{
	(void)state;
	for (size_t at = CONTENT_SLICE - 5; at <= CONTENT_SLICE + 2; at++) {
		for (unsigned bare = 0; bare < 3; bare++) {
			char text[CONTENT_SLICE + 20];
			memset(text, 'x', sizeof(text));
			memcpy(text + at,
			    bare == 0   ? "\r\n.\r\n"
			    : bare == 1 ? "\r.\r\n."
					: "-\n.\r\n",
			    5);
			memcpy(text + sizeof(text) - 2, "\r\n", 2);
			void *p;
			rig_setup(&p);
			struct rig *r = p;
			rig_message(r, 1);
			size_t n;
			char *wire =
			    wire_of(r, rig_content_of(text, sizeof(text)), 100000, &n);
			if (bare > 0) {
				assert_int_equal(r->lost, 1);
				rig_rcpt(r, 0, "554 5.6.0");
				assert_false(client_maybe_delivered(r->client));
			} else {
				assert_int_equal(n, sizeof(text) + 4);
				assert_memory_equal(wire, text, at + 2);
				assert_memory_equal(wire + at + 2, "..\r\n", 4);
			}
			mem_free(&wire);
			rig_teardown(&p);
		}
	}
}

static void
test_bare(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t n;
	} cases[] = {{"a\nb\r\n", 5}, {"a\rb\r\n", 5}, {"a\r\n\n", 4}, {"\n", 1},
	    {"\r", 1}, {"a\r", 2}, {"a\r\r\n", 4}, {"a\n.\r\nb\r\n", 8}, {"a\0b\r\n", 5},
	    {"a\r\n\0.\r\n", 7}};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		void *p;
		rig_setup(&p);
		struct rig *r = p;
		rig_message(r, 1);
		size_t n;
		char *wire =
		    wire_of(r, rig_content_of(cases[i].text, cases[i].n), 100, &n);
		assert_int_equal(n, 0);
		assert_int_equal(r->lost, 1);
		rig_rcpt(r, 0, "554 5.6.0");
		mem_free(&wire);
		rig_teardown(&p);
	}
}

static void
test_stalled_reader(void **state)
{
	struct rig *r = *state;
	char *text = big_text(BIG, false);
	rig_message(r, 1);
	content_unref(&r->message.content);
	r->message.content = rig_content_of(text, BIG);
	mem_free(&text);
	rig_ready(r, PIPE);
	rig_post(r);
	rig_says(r, "250 ok\r\n250 ok\r\n354 go\r\n");
	assert_int_equal(client_stage(r->client), STAGE_DATA);
	rig_pass(r, 180 * SECOND_MS); /* it took the first of it meanwhile */
	rig_pass(r, 180 * SECOND_MS);
	assert_int_equal(r->lost, 1);
	rig_rcpt(r, 0,
	    "451 4.4.2 mx.test[192.0.2.1]:25: timed out while waiting for the peer");
	assert_false(client_maybe_delivered(r->client));
}

/* A refusal in the middle of the content is the peer's word; success there is none. */
static void
test_answer_in_body(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
	    {"552 5.3.4 too big\r\n", "552 5.3.4 too big"},
	    {"421 4.3.2 bye\r\n", "421 4.3.2 bye"},
	    {"250 taken\r\n", "451 4.5.0"},
	    {"what\r\n", "451 4.5.0"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		void *p;
		rig_setup(&p);
		struct rig *r = p;
		char *text = big_text(BIG, false);
		rig_message(r, 1);
		content_unref(&r->message.content);
		r->message.content = rig_content_of(text, BIG);
		mem_free(&text);
		rig_ready(r, PIPE);
		rig_post(r);
		rig_says(r, "250 ok\r\n250 ok\r\n354 go\r\n");
		rig_says(r, cases[i][0]);
		assert_int_equal(r->lost, 1);
		rig_rcpt(r, 0, cases[i][1]);
		assert_false(client_maybe_delivered(r->client));
		rig_teardown(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    RIG_TEST(test_big_memory),
	    RIG_TEST(test_big_memory_clean),
	    RIG_TEST(test_big_file),
	    cmocka_unit_test(test_big_plain),
	    cmocka_unit_test(test_stuffing),
	    cmocka_unit_test(test_slice_edges),
	    cmocka_unit_test(test_bare),
	    RIG_TEST(test_stalled_reader),
	    cmocka_unit_test(test_answer_in_body),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
