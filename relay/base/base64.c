/* SPDX-License-Identifier: ISC */
/* base64 - a strict front for libcrypto's block functions, which are lenient about their
 * input. */
#include "base/base64.h"

#include <limits.h>
#include <openssl/evp.h>

#include "base/check.h"

#define ENCODE_BLOCK 3072 /* a multiple of 3: only the last block is padded */

void
base64_encode(struct span in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i += ENCODE_BLOCK) {
		struct span part = span_cut(in, i, ENCODE_BLOCK);
		char *at = buf_room(out, (part.n + 2) / 3 * 4 + 1);
		if (at == NULL)
			return;
		int n = EVP_EncodeBlock(
		    (unsigned char *)at, (const unsigned char *)part.p, (int)part.n);
		CHECK(n >= 0);
		out->n += (size_t)n;
	}
}

static bool
in_alphabet(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9') || c == '+' || c == '/';
}

enum err
base64_decode(struct span in, struct buf *out)
{
	if (in.n % 4 != 0 || in.n > INT_MAX)
		return ERR_SYNTAX;
	if (in.n == 0)
		return OK;
	size_t pad = (in.p[in.n - 1] == '=') + (size_t)(in.p[in.n - 2] == '=');
	if (pad == 1 && in.p[in.n - 1] != '=')
		return ERR_SYNTAX;
	for (size_t i = 0; i < in.n - pad; i++)
		if (!in_alphabet((unsigned char)in.p[i]))
			return ERR_SYNTAX;
	char *at = buf_room(out, in.n / 4 * 3);
	if (at == NULL)
		return ERR_FULL;
	int n =
	    EVP_DecodeBlock((unsigned char *)at, (const unsigned char *)in.p, (int)in.n);
	if (n < 0)
		return ERR_SYNTAX;
	out->n += (size_t)n - pad;
	return OK;
}
