/* SPDX-License-Identifier: ISC */
/*
 * The structure of messages.  Octet 0 says how the rest is split, octet 1 how much of it
 * are fields in front: struct mime and the shape find the same parts, whole and in
 * pieces; BODY of the stored BODYSTRUCTURE is what it would be without one; and any
 * octets may stand where a shape should.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/mime/mime.h"
#include "relay/mime/shape.h"
#include "relay/mime/text_private.h"

#define DEPTH_MAX (2 * MIME_DEPTH_MAX + 2)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mime *
parse(struct span in, size_t step)
{
	struct mime *m = mime_new();
	for (size_t i = 0; i < in.n; i += step)
		mime_take(m, span_cut(in, i, step));
	mime_end(m);
	return m;
}

static void
shape_in_pieces(struct span in, struct span front, size_t step, struct buf *out)
{
	struct shaper *x = shaper_new();
	for (size_t i = 0; i < in.n; i += step)
		shaper_take(x, span_cut(in, i, step));
	shaper_end(x, front, out);
	shaper_free(&x);
}

/* ---- parts */

static void
check_part(const struct mime *m, const struct mime_part *p, enum err e,
    const struct shape_part *got)
{
	size_t n;
	CHECK((e == OK) == (p != NULL));
	if (p == NULL)
		return;
	CHECK(p->header <= p->body && p->body <= p->end);
	CHECK(got->header == (p == mime_parts(m, &n) ? 0 : p->header + 3));
	CHECK(got->body == p->body + 3 && got->end == p->end + 3);
	CHECK(got->is_message == p->is_message);
	CHECK(got->multipart == (p->kind == MIME_MULTIPART));
	CHECK(got->message == (p->kind == MIME_MESSAGE));
}

static void
check_number(
    const struct mime *m, const struct shape *s, const uint32_t *number, size_t n)
{
	struct shape_part got;
	const struct mime_part *p = mime_find(m, number, n);
	check_part(m, p, shape_find(s, 3, number, n, false, &got), &got);
	if (p != NULL && n > 0)
		p = mime_inside(m, p);
	check_part(m, p, shape_find(s, 3, number, n, true, &got), &got);
}

/* Each part by its numbers, the ones behind it, and those that are not there. */
static void
check_all(const struct mime *m, const struct shape *s, const struct mime_part *parts)
{
	for (uint32_t i = 0; i < s->parts; i++) {
		uint32_t number[DEPTH_MAX + 1];
		struct shape_part got;
		size_t n = DEPTH_MAX;
		shape_part(s, 3, i, &got);
		check_part(m, &parts[i], OK, &got);
		for (uint32_t at = i; at != 0; at = parts[at].parent)
			if (parts[parts[at].parent].kind == MIME_MULTIPART)
				number[--n] = parts[at].number;
		number[DEPTH_MAX] = 1;
		check_number(m, s, number + n, DEPTH_MAX - n);
		check_number(m, s, number + n, DEPTH_MAX - n + 1);
		number[DEPTH_MAX] = 2 + i;
		check_number(m, s, number + n, DEPTH_MAX - n + 1);
		if (n < DEPTH_MAX) {
			number[DEPTH_MAX - 1]++;
			check_number(m, s, number + n, DEPTH_MAX - n);
		}
	}
}

/* ---- texts */

static void
check_texts(const struct shape *s)
{
	const struct span texts[] = {s->subject, s->base_subject, s->from, s->to, s->cc,
	    s->bcc, s->sender, s->reply_to, s->preview};
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		CHECK(utf8_valid(texts[i]) == texts[i].n);
	CHECK(s->preview.n <= SHAPE_PREVIEW_MAX);
	CHECK((s->subject.p != NULL) == (s->base_subject.p != NULL));
}

static void
check_body(const struct mime *m, const struct shape *s)
{
	struct buf got = {0}, expected = {0}, envelope = {0};
	size_t n;
	const struct mime_part *parts = mime_parts(m, &n);
	shape_add_body(s, &got);
	mime_add_structure(m, parts, false, &expected);
	CHECK(span_eq(buf_span(&got), buf_span(&expected)));
	mime_add_envelope(m, parts, &envelope);
	buf_clear(&got);
	buf_clear(&expected);
	buf_clear(&envelope);
}

static void
check_message(struct span in, struct span front, size_t step)
{
	struct buf whole = {0}, pieces = {0};
	struct mime *m = parse(in, 1 + step * 7 % 97);
	struct shape s;
	size_t n;
	const struct mime_part *parts = mime_parts(m, &n);
	shape_in_pieces(in, front, in.n + 1, &whole);
	shape_in_pieces(in, front, step, &pieces);
	CHECK(span_eq(buf_span(&whole), buf_span(&pieces)));
	CHECK(shape_open(&s, buf_span(&whole)) == OK);
	CHECK(s.size == in.n && s.header == parts[0].body && s.parts == n);
	check_texts(&s);
	check_all(m, &s, parts);
	check_body(m, &s);
	mime_free(&m);
	buf_clear(&whole);
	buf_clear(&pieces);
}

/* ---- what is stored may be anything */

static void
read_rubbish(struct span in)
{
	struct shape s;
	struct shape_part p;
	struct buf b = {0};
	char *copy = mem_dup(in.p, in.n);
	if (in.n > 0)
		copy[0] = SHAPE_VERSION;
	if (shape_open(&s, (struct span){copy, in.n}) == OK) {
		for (uint32_t i = 0; i < s.parts; i++)
			shape_part(&s, 3, i, &p);
		for (uint32_t i = 0; i < 9; i++)
			(void)shape_find(
			    &s, 3, (const uint32_t[]){i, i % 3, 1}, i % 4, i % 2, &p);
		shape_add_body(&s, &b);
		check_texts(&(struct shape){.preview = SPAN("")});
	}
	s = (struct shape){.structure = in};
	shape_add_body(&s, &b);
	buf_clear(&b);
	mem_free(&copy);
}

/* A record that is right but for one octet. */
static void
read_damaged(struct span in, size_t where, uint8_t what)
{
	struct buf b = {0};
	shape_in_pieces(in, SPAN(""), in.n + 1, &b);
	b.p[where % b.n] = (char)what;
	read_rubbish(buf_span(&b));
	buf_clear(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 4)
		return 0;
	struct span in = {(const char *)data + 4, size - 4};
	struct span front = span_cut(in, 0, data[1]);
	if (data[0] == 0xff) {
		read_rubbish(in);
		return 0;
	}
	check_message(in, front, 1 + data[0] % 100u);
	read_damaged(in, (size_t)data[2] * 7, data[3]);
	return 0;
}
