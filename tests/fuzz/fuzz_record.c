/* SPDX-License-Identifier: ISC */
/*
 * Records on disk, of each table.  Octet 0 chooses the decoder, and whether the
 * checksum is made to fit, so that the fields behind it are reached.  What decodes
 * encodes to something that decodes to the same, older records included.
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

/* Decoded, encoded, decoded and encoded: the last two are the same. */
static void
same_twice(void (*again)(struct span value, struct buf *out), const struct buf *once)
{
	struct buf twice;
	buf_init(&twice, 0);
	again(buf_span(once), &twice);
	CHECK(span_eq(buf_span(once), buf_span(&twice)));
	buf_clear(&twice);
}

static void
mail_again(struct span value, struct buf *out)
{
	struct mail_record m;
	CHECK(record_get_mail(value, &m) == OK);
	record_put_mail(out, &m);
}

static void
try_mail(struct span value)
{
	struct mail_record m;
	struct buf b;
	buf_init(&b, 0);
	if (record_get_mail(value, &m) == OK) {
		record_put_mail(&b, &m);
		same_twice(mail_again, &b);
	}
	buf_clear(&b);
}

static void
mbox_again(struct span value, struct buf *out)
{
	struct mbox_record m;
	CHECK(record_get_mbox(value, &m) == OK && m.counted);
	record_put_mbox(out, &m);
}

/* Who upgrades a record of format 2 fills in what it did not have. */
static void
try_mbox(struct span value)
{
	struct mbox_record m = {0};
	struct buf b;
	buf_init(&b, 0);
	if (record_get_mbox(value, &m) == OK) {
		record_put_mbox(&b, &m);
		same_twice(mbox_again, &b);
	}
	buf_clear(&b);
}

static void
owner_again(struct span value, struct buf *out)
{
	struct owner_record o;
	CHECK(record_get_owner(value, &o) == OK);
	record_put_owner(out, &o);
}

static void
try_owner(struct span value)
{
	struct owner_record o;
	struct buf b;
	buf_init(&b, 0);
	if (record_get_owner(value, &o) == OK) {
		record_put_owner(&b, &o);
		same_twice(owner_again, &b);
	}
	buf_clear(&b);
}

static void
try_name(struct span value)
{
	struct name_record n, back;
	char out[NAME_RECORD];
	if (record_get_name(value, &n) != OK)
		return;
	record_put_name(out, &n);
	CHECK(record_get_name((struct span){out, NAME_RECORD}, &back) == OK);
	CHECK(back.number == n.number && back.subscribed == n.subscribed);
}

static void
octets_again(struct span value, struct buf *out)
{
	struct span octets;
	CHECK(record_get_octets(value, &octets) == OK);
	record_put_octets(out, octets);
}

static void
try_octets(struct span value)
{
	struct span octets;
	struct buf b;
	buf_init(&b, 0);
	if (record_get_octets(value, &octets) == OK) {
		record_put_octets(&b, octets);
		CHECK(span_eq(buf_span(&b), value));
		same_twice(octets_again, &b);
	}
	buf_clear(&b);
}

/* The short way to a message's fields says what the long way says. */
static void
try_front(struct span value)
{
	struct front_record f;
	struct message_extra x;
	struct message *m = message_new();
	enum err front = record_get_front(value, &f);
	if (record_get_message(value, m, &x) == OK)
		CHECK(front == OK && f.flags == m->flags && f.size == m->size &&
		      f.chunks == x.chunks && span_eq(f.prefix, m->prefix));
	message_unref(&m);
}

static void
decode(unsigned which, struct span value)
{
	static void (*const decoders[])(struct span value) = {try_rcpt, try_message,
	    try_history, try_mail, try_mbox, try_owner, try_name, try_octets, try_front};
	decoders[which % (COUNT_OF(decoders))](value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	char *value = mem_alloc_raw(size - 1);
	memcpy(value, data + 1, size - 1);
	if (data[0] & 1)
		seal(value, size - 1);
	decode(data[0] >> 1, (struct span){value, size - 1});
	uint64_t id;
	(void)spool_id_parse((struct span){value, size - 1}, &id);
	mem_free(&value);
	return 0;
}
