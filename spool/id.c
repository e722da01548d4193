/* SPDX-License-Identifier: ISC */
/*
 * id - 42 bits of milliseconds since 2020, 10 bits of node, 12 bits of
 * sequence: rising with time, never given out twice, 13 characters of base32.
 */
#include "spool/private.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void
spool_id_format(uint64_t id, char out[SPOOL_ID_LEN + 1])
{
	for (int i = SPOOL_ID_LEN - 1; i >= 0; i--) {
		out[i] = alphabet[id & 31];
		id >>= 5;
	}
	out[SPOOL_ID_LEN] = '\0';
}

static int
digit(char c)
{
	char lower = ascii_lower(c);
	if (lower == 'o')
		return 0;
	if (lower == 'i' || lower == 'l')
		return 1;
	for (int i = 0; i < 32; i++)
		if (ascii_lower(alphabet[i]) == lower)
			return i;
	return -1;
}

bool
spool_id_parse(struct span text, uint64_t *id)
{
	uint64_t n = 0;
	if (text.n != SPOOL_ID_LEN)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		int d = digit(text.p[i]);
		if (d < 0 || n >> 59 != 0)
			return false;
		n = n << 5 | (uint64_t)d;
	}
	*id = n;
	return true;
}

struct wall
spool_id_time(uint64_t id)
{
	return (struct wall){(int64_t)(id >> 22) + ID_EPOCH_MS};
}

uint64_t
id_next(uint64_t last, struct wall now, unsigned node)
{
	uint64_t ms = now.ms > ID_EPOCH_MS ? (uint64_t)(now.ms - ID_EPOCH_MS) : 0;
	uint64_t id = ms << 22 | (uint64_t)node << 12;
	if (id > last)
		return id;
	/* the same millisecond, or a clock that went back: go on behind the last one */
	ms = last >> 22;
	uint64_t seq = (last & 0xfff) + 1;
	uint64_t next = ms << 22 | (uint64_t)node << 12 | (seq & 0xfff);
	if (seq > 0xfff || next <= last)
		next = (ms + 1) << 22 | (uint64_t)node << 12;
	return next;
}
