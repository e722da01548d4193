/* SPDX-License-Identifier: ISC */
/*
 * probe - try a route's next hops without sending anything: look up, connect,
 * TLS, sign in, QUIT; one line of findings per host.  Uses the same connection
 * code as a delivery, and says what each host offered and how long it took.
 *
 *	probe_start(courier, route_name, domain, told, done, arg)   on its thread
 */
#ifndef RELAY_EGRESS_PROBE_H
#define RELAY_EGRESS_PROBE_H

#include "relay/egress/egress.h"

struct probe;

struct probe_finding {
	const char *host;  /* "mx1.example.org[192.0.2.1]:25"; the name, if not found */
	bool ok;           /* a message could have been sent */
	const char *stage; /* where it ended: "look-up", "connect", "greeting", "ehlo",
			      "tls", "sign-in", "ready" */
	/* the verdict, or what was found: "TLSv1.3 ..., certificate verified; signed in
	 * by SCRAM-SHA-256; SIZE 35882577, PIPELINING" */
	const char *text;
	int64_t ms;
};

/*
 * domain: whose MX records are asked for a route by MX; else ignored.  At most
 * PROBE_HOSTS_MAX hosts, one after the other; where TLS is only preferred and
 * fails, a host is tried once more in the clear, as a delivery does.  done(arg,
 * why) comes once, why NULL or a sentence (no such route, no hosts), and the probe
 * is gone with it; both come on the courier's loop, never before probe_start() has
 * returned.  probe_cancel(): nothing comes any more.  The courier must outlive it.
 */
#define PROBE_HOSTS_MAX 20
struct probe *probe_start(struct courier *c, struct span route, struct span domain,
    void (*told)(void *arg, const struct probe_finding *f),
    void (*done)(void *arg, const char *why), void *arg);
void probe_cancel(struct probe **p);

#endif
