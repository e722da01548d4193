/* SPDX-License-Identifier: ISC */
/*
 * load - what its files share: the run (all that was asked for, and what has been
 * counted), and its senders, one for each connection.
 *
 * load.c has options and results, load_sender.c the SMTP client.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/content.h"
#include "base/io.h"

struct sender;

/* One message whose final answer is known. */
struct sent {
	uint64_t number;
	int64_t dot_us, answered_us; /* clock_us() */
};

struct run {
	struct loop *loop;
	struct net_addr to;
	/* asked for */
	uint64_t messages, size, per_connection, rcpts, domains;
	unsigned connections;
	const char *domain, *tag;
	bool pipeline, tls, no_mail, hold;
	struct tls_client *tls_client;
	char *auth; /* base64 of the PLAIN message */
	int ledger;
	int64_t give_up_ms, seconds_ms, pause_ms;
	struct content *body; /* what follows the header */
	size_t body_n;
	/* so far */
	uint64_t next, accepted, refused, unknown, redials;
	unsigned open, held;
	bool over; /* --seconds have passed: no new message */
	struct instant last;
	int64_t began_us, last_us;
	struct sent *sent; /* accepted ones, in the order of their answers */
	struct sender *sender;
};

/* Dial all connections; the loop stops when all are done (or, with hold, never). */
void senders_start(struct run *r);
void senders_free(struct run *r);

#endif
