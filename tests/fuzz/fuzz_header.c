/* SPDX-License-Identifier: ISC */
/* Fuzz: the header scanner gives the same whole and in pieces. */
#include <stdlib.h>
#include <string.h>

#include "policy/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct header_scan whole, pieces;
	struct span in = {(const char *)data, size};
	size_t step = size ? 1 + data[0] % 17u : 1;
	header_scan_init(&whole, SPAN("relay.test"));
	header_scan_init(&pieces, SPAN("relay.test"));
	header_scan_take(&whole, in);
	for (size_t i = 0; i < size; i += step)
		header_scan_take(&pieces, span_cut(in, i, step));
	header_scan_end(&whole);
	header_scan_end(&pieces);
	if (whole.fields != pieces.fields || whole.received != pieces.received ||
	    whole.own_hops != pieces.own_hops || whole.malformed != pieces.malformed ||
	    whole.size != pieces.size ||
	    strcmp(whole.message_id_text, pieces.message_id_text) != 0 ||
	    strcmp(whole.subject_text, pieces.subject_text) != 0)
		abort();
	if (whole.own_hops > whole.received || whole.received > whole.fields ||
	    whole.size > size)
		abort();
	(void)header_find(in, SPAN("Subject"));
	return 0;
}
