/* SPDX-License-Identifier: ISC */
/* counters - what is counted of mail on its way out. */
#include <string.h>

#include "base/mem.h"
#include "relay/egress/egress.h"

void
egress_counters_init(struct egress_counters *c)
{
	/* from the next hop's neighbourhood to the end of a long outage */
	static const uint64_t ms[] = {10, 50, 250, 1000, 5000, 30 * 1000, 2 * 60 * 1000,
	    10 * 60 * 1000, 30 * 60 * 1000, 3600 * 1000, 4 * 3600 * 1000,
	    12 * 3600 * 1000, 24 * 3600 * 1000, 3 * 24 * 3600 * 1000};
	histogram_init(&c->seconds, ms, COUNT_OF(ms));
}

const char *
bounce_class_name(enum bounce_class c)
{
	static const char *const names[BOUNCE_CLASSES] = {
	    [BOUNCE_OTHER] = "other",
	    [BOUNCE_ADDRESS] = "address",
	    [BOUNCE_MAILBOX] = "mailbox",
	    [BOUNCE_SYSTEM] = "system",
	    [BOUNCE_NETWORK] = "network",
	    [BOUNCE_PROTOCOL] = "protocol",
	    [BOUNCE_CONTENT] = "content",
	    [BOUNCE_POLICY] = "policy",
	    [BOUNCE_EXPIRED] = "expired",
	};
	return names[c];
}

/* "5.1.1": the subject is the digit in the middle (RFC 3463 2). */
static enum bounce_class
class_of(const char *status)
{
	if (strcmp(status, "5.4.7") == 0)
		return BOUNCE_EXPIRED;
	if (strlen(status) < 4 || status[1] != '.' || status[3] != '.' ||
	    status[2] < '1' || status[2] > '7')
		return BOUNCE_OTHER;
	return (enum bounce_class)(status[2] - '0');
}

void
egress_count_connection(struct egress_counters *c, const struct tls_info *tls)
{
	atomic_fetch_add_explicit(tls != NULL ? &c->tls[tls_version_of(tls)] : &c->clear,
	    1, memory_order_relaxed);
}

void
egress_count_bounce(struct egress_counters *c, const char *status)
{
	atomic_fetch_add_explicit(&c->failed, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(
	    &c->bounced_by[class_of(status)], 1, memory_order_relaxed);
}
