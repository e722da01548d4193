/* SPDX-License-Identifier: ISC */
/* crc32c - the Castagnoli checksum (RFC 3720 B.4), by SSE4.2 where the processor has it.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continue crc (0 to begin) over n bytes: crc32c(crc32c(0, a), b) is that of a followed
 * by b. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

#endif
