/* SPDX-License-Identifier: ISC */
/*
 * Challenges of a hostile server to each mechanism.  The first octet chooses the
 * mechanism, the rest is cut at LF into challenges, each in memory of exactly its
 * size; a challenge that begins with '~' goes on from the client's own nonce.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "policy/sasl_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
put(struct sasl_client *sc, struct span line, struct buf *answer)
{
	struct buf challenge = {0};
	if (line.n > 0 && line.p[0] == '~') {
		struct span nonce = buf_span(answer);
		while (nonce.n > 0 && !span_starts(nonce, SPAN("r=")))
			nonce = span_cut(nonce, 1, nonce.n);
		buf_add_span(&challenge, nonce);
		line = span_cut(line, 1, line.n);
	}
	buf_add_span(&challenge, line);
	size_t n = challenge.n;
	char *exact = mem_alloc_raw(n);
	memcpy(exact, buf_span(&challenge).n > 0 ? challenge.p : "", n);
	buf_clear(answer);
	enum err e = sasl_client_step(sc, (struct span){exact, n}, answer);
	CHECK(e == OK || e == ERR_SYNTAX || e == ERR_RANGE);
	CHECK(e == OK || answer->n == 0);
	mem_free(&exact);
	buf_clear(&challenge);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct sasl_credentials c = {.user = "u",
	    .secret = "secret",
	    .binding = SASL_BIND_EXPORTER,
	    .binding_data = SPAN("binding")};
	enum sasl_mechanism m = (enum sasl_mechanism)(data[0] % SASL_MECHANISMS);
	struct sasl_client *sc = sasl_client_new(m, &c);
	struct buf answer = {0};
	struct span rest = {(const char *)data + 1, size - 1};
	(void)sasl_mechanisms(rest);
	while (rest.n > 0) {
		size_t n = span_find(rest, '\n');
		put(sc, span_cut(rest, 0, n), &answer);
		rest = span_cut(rest, n + 1, rest.n);
	}
	/* A stranger cannot know the secret. */
	CHECK(!sasl_client_proven(sc) || m >= SASL_CRAM_MD5);
	sasl_client_free(&sc);
	buf_clear(&answer);
	return 0;
}
