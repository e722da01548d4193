/* SPDX-License-Identifier: ISC */
/*
 * service - what a service manager and its service say to each other, by the
 * protocol of systemd (sd_notify(3), sd_listen_fds(3)), in our own words and
 * without its library:
 *
 *	we say	READY=1, STATUS=..., RELOADING=1, STOPPING=1, WATCHDOG=1
 *	we get	sockets that are bound already, and how often it wants to hear
 *		that we are well
 *
 * Everything comes in the environment, is read once and taken out of it, so that
 * no child believes it is meant.  Without a service manager nothing is said.
 */
#ifndef BASE_SERVICE_H
#define BASE_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/net.h"

struct service;

/* Before the first thread, and before a sandbox closes. */
struct service *service_new(void);
void service_free(struct service **s);

/* Whether what is written to this descriptor goes to the journal. */
bool service_journal(int fd);

/* "READY=1\nSTATUS=..."; s may be NULL. */
void service_say(struct service *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* RELOADING=1 with the time that Type=notify-reload wants; READY=1 ends it. */
void service_say_reloading(struct service *s);

/* WATCHDOG=1 has to come within so long; 0: nobody waits for it. */
int64_t service_watchdog_ms(const struct service *s);

/*
 * A descriptor of our own of the stream socket that was handed over bound to this
 * address, non-blocking, or -1.  It may be taken several times: its copies share one
 * queue of connections.
 */
int service_socket(struct service *s, const struct net_addr *at);

/* What was handed over and never taken, as text ("[::]:25"); false: nothing. */
bool service_left_over(const struct service *s, struct buf *out);

#endif
