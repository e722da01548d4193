/* SPDX-License-Identifier: ISC */
/*
 * control - the administrator's door: a Unix stream socket, mode 0660, where
 * the peer's uid is checked (root, our own, or a member of the socket's group).
 *
 * One request is one line of JSON (at most CONTROL_LINE_MAX octets):
 *
 *	{"v":1,"cmd":"queue","selector":{"domain":"example.org"},"limit":100}
 *
 * The answer is any number of JSON objects, one per line, written with
 * back-pressure, and at last
 *
 *	{"end":true,"status":0}            status as relayctl's exit status: 0 done,
 *	{"end":true,"status":1,"error":"..."}   1 nothing matched or refused, 2 wrong use
 *
 * Commands and members are in relay/control/README.md.  Selecting and showing
 * messages (select.h, show.h) is shared with relayctl, which does the same on a
 * stopped spool.
 */
#ifndef RELAY_CONTROL_CONTROL_H
#define RELAY_CONTROL_CONTROL_H

#include <jansson.h>

#include "base/log.h"
#include "base/loop.h"
#include "relay/config.h"
#include "relay/egress/egress.h"
#include "relay/egress/probe.h"
#include "relay/ingress/ingress.h"
#include "relay/pickup/pickup.h"
#include "relay/signin/signin.h"
#include "resolver/resolver.h"
#include "spool/spool.h"

#define CONTROL_LINE_MAX (64u << 10)
#define CONTROL_CLIENT_MAX 32

struct control;
struct control_client;

/* What control asks of the daemon around it. */
struct control_host {
	/* Read the configuration again. False: `text` says what is wrong with it; true:
	 * what needs a restart. */
	bool (*reload)(void *arg, struct buf *text);
	/* Refuse (or take) new mail: 421 4.3.2. */
	void (*pause_in)(void *arg, bool pause);
	/* The snapshot in force; borrowed until the next turn. */
	const struct config *(*config)(void *arg);
	bool (*paused_in)(void *arg);
	/* Ask an io thread's resolver; told(told_arg, answer) comes once on the main
	 * loop. */
	void (*dns)(void *arg, struct span domain, unsigned flags,
	    void (*told)(void *told_arg, const struct mx_answer *a), void *told_arg);
	unsigned (*sessions)(void *arg); /* open ingress sessions, all threads */
	/* Try a route's next hops on an io thread, sending nothing (egress/probe.h).
	 * told(told_arg, finding) comes once per host, the finding borrowed for the call;
	 * at last done(told_arg, why) once, why NULL or a sentence.  Both on the main
	 * loop, never before this has returned, and also when the administrator has gone
	 * meanwhile.  NULL: there is nothing to try with. */
	void (*probe)(void *arg, struct span route, struct span domain,
	    void (*told)(void *told_arg, const struct probe_finding *f),
	    void (*done)(void *told_arg, const char *why), void *told_arg);
	/* An account has come, changed or gone; told(told_arg) comes once on the main
	 * loop, later, when everyone here knows.  ends: whoever is signed in as it must
	 * go.  NULL: nobody keeps anything of accounts. */
	void (*account_changed)(void *arg, struct span name, bool ends,
	    void (*told)(void *told_arg), void *told_arg);
	const struct directory *directory; /* borrowed; NULL: nobody has a mailbox */
	struct signin *signin; /* the main thread's; borrowed; NULL: no accounts here */
	void *arg;
};

struct control_options {
	struct loop *loop;
	struct log *log;
	struct spool *spool;
	struct scheduler *scheduler;
	const struct ingress_counters *ingress;
	const struct egress_counters *egress;
	const struct pickup_counters *pickup; /* NULL: there is none */
	struct control_host host;
};

struct control *control_new(const struct control_options *o);
void control_free(struct control **c);

/* Serve a listening Unix socket (takes it). */
void control_listen(struct control *c, int fd);
/* Serve an established connection (takes it), peer already checked: the door for tests.
 */
void control_serve(struct control *c, int fd);

/*
 * One request from inside (the status page), as if an administrator had sent it; whoever
 * asks has seen to it that `account` may.  request: borrowed for this call.  told comes
 * once per line of the answer, the object borrowed; at last done comes once, and the
 * inquiry is gone.  Neither comes before this has returned, nor after the cancel; what
 * was begun (an action) goes on.  A wish for many lines needs a limit: nobody holds them
 * back.
 */
struct control_inquiry {
	void (*told)(void *arg, const json_t *object);
	void (*done)(void *arg, int status, const char *error);
	void *arg;
};
struct control_client *control_ask(struct control *c, const char *account,
    const json_t *request, const struct control_inquiry *inquiry);
void control_ask_cancel(struct control_client **cc); /* *cc may be NULL */

/*
 * A listening Unix socket at path with this mode (the directory is made, 0750,
 * if it is missing; a dead socket is replaced).  Negative enum err otherwise;
 * ERR_BUSY: another relayd answers there.
 */
int control_socket(const char *path, unsigned mode);

#endif
