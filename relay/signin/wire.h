/* SPDX-License-Identifier: ISC */
/*
 * wire (private to signin) - whole records between relayd and its helper: over a
 * SOCK_SEQPACKET socket, or inside one process through the loop.
 *
 * A record is a version, a kind, the number of an exchange, then the kind's
 * members in a fixed order.  Both sides read with the bounds-checked functions
 * below and close the channel on anything else: a helper that talks nonsense is as
 * little trusted as a client.
 */
#ifndef RELAY_SIGNIN_WIRE_H
#define RELAY_SIGNIN_WIRE_H

#include "base/buf.h"
#include "base/loop.h"

#define WIRE_VERSION 1
#define WIRE_RECORD_MAX (160u << 10) /* octets of one record */
#define WIRE_QUEUE_MAX \
	(128u << 20) /* octets that may wait to be sent: a list of all accounts */

enum wire_kind {
	/* to the engine */
	WIRE_BEGIN = 1, /* mechanism, facts, initial response */
	WIRE_RESPOND,   /* data */
	WIRE_CANCEL,
	WIRE_SETTINGS,
	WIRE_ADMIN, /* request */
	/* from the engine */
	WIRE_CHALLENGE = 64, /* data */
	WIRE_DONE,           /* name, secret, senders, last */
	WIRE_FAILED,         /* verdict, name, why */
	WIRE_OBJECT,         /* of an administrator's answer */
	WIRE_END,            /* the last object of it */
	WIRE_HELLO,          /* a new engine: it knows nothing of what was asked before */
};

struct wire;

/* fn is called for each record, from the loop; closed once, when the other side is gone.
 * Takes fd. */
struct wire *wire_new(struct loop *l, int fd, void (*fn)(void *arg, struct span record),
    void (*closed)(void *arg), void *arg);
/* Two ends on one loop. */
struct wire *
wire_new_inline(struct loop *l, void (*fn)(void *arg, struct span record), void *arg);
void wire_join(struct wire *a, struct wire *b);
void wire_free(struct wire **w); /* also from its own fn */

/* Copied. What does not fit the queue closes the channel. */
void wire_send(struct wire *w, struct span record);

/* ---- writing a record */
void record_begin(struct buf *b, enum wire_kind kind, uint32_t number);
void record_add_u64(struct buf *b, uint64_t v);
void record_add(struct buf *b, struct span s); /* p == NULL stays NULL */

/* ---- reading one: after anything wrong `bad` is set and all further values are empty */
struct record {
	struct span rest;
	bool bad;
	uint8_t kind;
	uint32_t number;
};
bool record_open(struct record *r, struct span bytes);
uint64_t record_u64(struct record *r);
struct span record_span(struct record *r, size_t max); /* points into the record */
bool record_done(const struct record *r);              /* nothing bad, nothing left */

#endif
