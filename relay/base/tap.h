/* SPDX-License-Identifier: ISC */
/*
 * tap - what is said on connections, for whoever watches.
 *
 * One board belongs to the process (log_taps()).  A watch on it says which
 * connections it wants; a connection that begins while somebody watches gets a
 * tap (io_tap()), and each line that goes over it is then told to every watch
 * that wants it, through the watcher's inbox.  Where nobody watches, a
 * connection costs one look at a number when it begins, and nothing later.
 *
 *	w = tap_watch_start(board, &want, loop_inbox(l), on_line, me);
 *	... on_line(me, &line)
 *	tap_watch_stop(&w);        no line comes any more
 *
 * Secrets and content are the connection's business: it hides them
 * (io_tap_hide()), and the watcher is told that, or how much, it does not see.
 * A watcher that is slower than the wire loses lines, and is told how many.
 */
#ifndef BASE_TAP_H
#define BASE_TAP_H

#include "base/inbox.h"
#include "base/net.h"
#include "base/when.h"

#define TAP_LINE_MAX 512    /* octets of a line that are told */
#define TAP_NAME_MAX 256    /* of a name */
#define TAP_UNREAD_MAX 2000 /* lines on their way to one watcher */
#define TAP_WATCHES_MAX 16  /* at a time */

enum tap_side { TAP_INBOUND, TAP_OUTBOUND };

/* What all watchers of a connection are told of it. */
struct tap_facts {
	enum tap_side side;
	struct net_addr who;
	const char *name;  /* inbound: the listener; outbound: the host */
	const char *about; /* outbound: the destination; else NULL */
};

struct tap_want {
	enum tap_side side;
	struct net_cidr net; /* of the other end; base.family NET_NONE: anybody */
	const char
	    *name; /* "*" and "?" match, case ignored; of name or about; NULL: any */
};

struct tap_line {
	uint64_t connection; /* a number of it, for as long as the process lives */
	enum tap_side side;
	struct net_addr who;
	bool sent;        /* by us; else it came */
	struct span text; /* without CRLF; valid in the callback */
	const char *name, *about;
	uint64_t lost; /* lines in front of this one that were not told */
};

struct tap_board;
struct tap_watch;
struct tap;

struct tap_board *tap_board_new(void);
void tap_board_free(struct tap_board **b); /* nobody watches, nothing is tapped */

/* NULL: there are TAP_WATCHES_MAX already. */
struct tap_watch *
tap_watch_start(struct tap_board *b, const struct tap_want *want, struct inbox *reply,
    void (*on_line)(void *arg, const struct tap_line *line), void *arg);
void tap_watch_stop(struct tap_watch **w); /* on the thread of its inbox */

/* A tap for this connection; NULL, and cheap, unless somebody wants it. */
struct tap *tap_new(struct tap_board *b, const struct tap_facts *f);
void tap_free(struct tap **t);
void tap_came(struct tap *t, struct span line);   /* a whole line */
void tap_sent(struct tap *t, struct span octets); /* any part of any number of them */
void tap_passed(struct tap *t, uint64_t octets);  /* sent, and not to be seen */
void tap_hide(struct tap *t, bool came, bool sent);

#endif
