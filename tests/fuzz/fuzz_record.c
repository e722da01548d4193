/* SPDX-License-Identifier: ISC */
/*
 * Records on disk.  Octet 0 chooses the decoder, and whether the checksum is
 * made to fit, so that the fields behind it are reached.  What decodes encodes
 * to something that decodes to the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "spool/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
seal(char *p, size_t n)
{
	if (n < 5)
		return;
	uint32_t crc = crc32c(0, p + 5, n - 5);
	p[0] = RECORD_VERSION;
	for (size_t i = 0; i < 4; i++)
		p[1 + i] = (char)(crc >> (8 * i));
}

static void
try_message(struct span value)
{
	struct message *m = message_new(), *again = message_new();
	struct message_extra x, y;
	struct buf b, c;
	uint64_t n, file;
	buf_init(&b, 0);
	buf_init(&c, 0);
	enum err sizes = record_get_sizes(value, &n, &file, &x);
	if (record_get_message(value, m, &x) == OK) {
		CHECK(sizes == OK && n == m->size && file == m->file);
		record_put_message(&b, m, &x);
		CHECK(record_get_message(buf_span(&b), again, &y) == OK);
		record_put_message(&c, again, &y);
		CHECK(span_eq(buf_span(&b), buf_span(&c)));
	}
	buf_clear(&b);
	buf_clear(&c);
	message_unref(&m);
	message_unref(&again);
}

static void
try_history(struct span value)
{
	struct history_event e, again;
	struct buf b, c;
	buf_init(&b, 0);
	buf_init(&c, 0);
	if (record_get_history(value, &e) == OK) {
		record_put_history(&b, &e);
		CHECK(b.n <= RECORD_HISTORY_MAX);
		CHECK(record_get_history(buf_span(&b), &again) == OK);
		record_put_history(&c, &again);
		CHECK(span_eq(buf_span(&b), buf_span(&c)));
	}
	buf_clear(&b);
	buf_clear(&c);
}

static void
try_rcpt(struct span value)
{
	struct recipient r = {0}, again = {0};
	struct buf b, c;
	buf_init(&b, 0);
	buf_init(&c, 0);
	if (record_get_rcpt(value, &r) == OK) {
		record_put_rcpt(&b, &r);
		CHECK(record_get_rcpt(buf_span(&b), &again) == OK);
		record_put_rcpt(&c, &again);
		CHECK(span_eq(buf_span(&b), buf_span(&c)));
	}
	CHECK(r.state <= RECIPIENT_ASIDE);
	buf_clear(&b);
	buf_clear(&c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	char *value = mem_alloc_raw(size - 1);
	memcpy(value, data + 1, size - 1);
	if (data[0] & 2)
		seal(value, size - 1);
	if (data[0] & 4)
		try_history((struct span){value, size - 1});
	else if (data[0] & 1)
		try_message((struct span){value, size - 1});
	else
		try_rcpt((struct span){value, size - 1});
	uint64_t id;
	(void)spool_id_parse((struct span){value, size - 1}, &id);
	mem_free(&value);
	return 0;
}
