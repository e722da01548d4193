/* SPDX-License-Identifier: ISC */
/* units - "30m", "64G", "10%": every duration and size has a unit. */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* Decimal digits only, no sign, at most max. ERR_SYNTAX, ERR_RANGE. */
enum err units_u64(struct span s, uint64_t max, uint64_t *out);

/* "500ms" "30s" "5m" "2h" "5d" "1w", or sums "1h30m" (units falling, each once). A bare
 * number is ERR_SYNTAX, except "0". */
enum err units_duration(struct span s, int64_t *out_ms);

/* "64G" "256K" "10M" "1T" (powers of 1024), "512B". A bare number is ERR_SYNTAX, except
 * "0". */
enum err units_size(struct span s, uint64_t *out);

/* "10%" -> 10, 0..100. */
enum err units_percent(struct span s, unsigned *out);

/* 1536 -> "1.5K", 2048 -> "2K", rounded down; exact below 1024 ("512"). */
void units_add_size(struct buf *b, uint64_t n);

#endif
