/* SPDX-License-Identifier: ISC */
/* backoff - the retry schedule as three small functions. */
#include "relay/egress/backoff.h"

static int64_t
longest_delay(const struct retry_config *r)
{
	int64_t base = r->interval_ms > r->first_ms ? r->interval_ms : r->first_ms;
	return base + base * (int64_t)r->jitter_percent / 100;
}

int64_t
backoff_delay_ms(const struct retry_config *r, uint32_t attempts, uint64_t dice)
{
	int64_t base = attempts <= 1 ? r->first_ms : r->interval_ms;
	int64_t spread = base * (int64_t)r->jitter_percent / 100;
	if (spread <= 0)
		return base;
	return base - spread + (int64_t)(dice % (uint64_t)(2 * spread + 1));
}

struct wall
backoff_expiry(const struct retry_config *r, struct wall arrival, bool null_sender)
{
	return wall_after(arrival, null_sender ? r->bounce_expire_ms : r->expire_ms);
}

struct wall
backoff_sane_due(const struct retry_config *r, struct wall due, struct wall now)
{
	return wall_since(due, now) > longest_delay(r) + MINUTE_MS ? now : due;
}
