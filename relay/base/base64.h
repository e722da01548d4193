/* SPDX-License-Identifier: ISC */
/* base64 - RFC 4648 4, by libcrypto. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"
#include "base/err.h"

void base64_encode(struct span in, struct buf *out); /* padded, no line breaks */

/* Strict: only the alphabet, whole groups, padding only at the end. ERR_SYNTAX otherwise.
 */
enum err base64_decode(struct span in, struct buf *out);

#endif
