/* SPDX-License-Identifier: ISC */
/* Fuzz: paths, whole addresses, canonical domains, xtext; what was parsed parses again.
 */
#include <stdlib.h>

#include "policy/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};
	struct scan s = scan_over(in);
	struct address a, again;
	struct buf b;
	buf_init(&b, 64u << 10);
	if (address_path(&s, ADDRESS_FORWARD, true, &a) == OK) {
		if (a.text.n > PATH_MAX_OCTETS - 2 || s.p > s.end)
			abort();
		if (a.domain.n > 0 &&
		    (address_parse(a.text, &again) != OK || !address_same(&a, &again)))
			abort();
		(void)domain_canonical(a.domain, &b);
	}
	buf_reset(&b);
	if (domain_canonical(in, &b) == OK && in.n < 250) {
		struct buf twice;
		buf_init(&twice, 64u << 10);
		if (domain_canonical(buf_span(&b), &twice) != OK ||
		    !span_eq(buf_span(&b), buf_span(&twice)))
			abort();
		buf_clear(&twice);
	}
	(void)address_is_helo(in);
	buf_reset(&b);
	(void)xtext_decode(in, &b);
	buf_reset(&b);
	xtext_encode(in, &b);
	buf_clear(&b);
	return 0;
}
