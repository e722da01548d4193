/* SPDX-License-Identifier: ISC */
/* view_private - between view.c, which sessions use, and hub.c, which the writer tells.
 */
#ifndef RELAY_IMAP_VIEW_PRIVATE_H
#define RELAY_IMAP_VIEW_PRIVATE_H

#include "relay/imap/view.h"

/* The hub's lock is taken before a view's. */
struct hub {
	pthread_mutex_t mutex;
	struct map views;
	struct list listeners; /* of NOTIFY */
	struct list idle;      /* that nobody has open, the oldest first */
	size_t idle_n, idle_marks;
};

/* Events of this view, under its lock. */
void view_apply(struct view *v, const struct mail_event *event, size_t n);
void view_forget_backlog(struct view *v);

#endif
