/* SPDX-License-Identifier: ISC */
/* Fuzz: no control character comes out of xtext; what was decoded encodes and decodes to
 * itself. */
#include <stdint.h>
#include <stdlib.h>

#include "policy/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
has_control(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	return false;
}

/* encode gives xtext; it decodes to the same bytes, or to nothing where there is a
 * control. */
static void
round_trip(struct span plain)
{
	struct buf text, back;
	buf_init(&text, 4 * plain.n + 1);
	buf_init(&back, 4 * plain.n + 1);
	xtext_encode(plain, &text);
	enum err e = xtext_decode(buf_span(&text), &back);
	if (text.overflow || (e == OK) == has_control(plain) ||
	    (e == OK && !span_eq(buf_span(&back), plain)))
		abort();
	buf_clear(&text);
	buf_clear(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};
	struct buf plain;
	buf_init(&plain, size + 1);
	if (xtext_decode(in, &plain) == OK) {
		if (plain.overflow || plain.n > in.n || has_control(buf_span(&plain)))
			abort();
		round_trip(buf_span(&plain));
	}
	round_trip(in);
	buf_clear(&plain);
	return 0;
}
