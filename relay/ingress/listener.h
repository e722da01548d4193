/* SPDX-License-Identifier: ISC */
/* listener - the listening sockets of one ingress, and what accept() can say. */
#ifndef RELAY_INGRESS_LISTENER_H
#define RELAY_INGRESS_LISTENER_H

#include "base/list.h"
#include "base/loop.h"
#include "relay/config.h"

struct ingress;

struct listeners {
	struct ingress *in;
	struct list list;
	int reserve;  /* a descriptor to give up when there is none left; -1: given up */
	bool starved; /* there was none when we last tried */
	struct timer reopen; /* accept again */
};

void listeners_init(struct listeners *l, struct ingress *in);
void listeners_clear(struct listeners *l); /* closes all; harmless twice */

void listeners_add(struct listeners *l, int fd, const char *name); /* takes fd */

/* A Unix socket, of local users; it stays whatever the configuration names. */
void listeners_add_local(struct listeners *l, int fd);

/* Close those that this configuration does not name. */
void listeners_keep(struct listeners *l, const struct config *config);

#endif
