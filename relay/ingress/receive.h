/* SPDX-License-Identifier: ISC */
/*
 * receive - one message on its way in: the bytes of DATA or BDAT become content
 * in the spool.
 *
 *	wire -> undot (DATA) or crlf (BDAT) -> header_scan -> spool_body
 *
 *	r = receive_new(&options);
 *	n = receive_data(r, bytes);   or   receive_chunk(r, bytes);
 *	while receive_busy(r): no more bytes until on_room
 *	fault = receive_end(r);       what is wrong with it, if anything
 *	receive_store(r, message, done, arg);
 *	receive_free(&r);             at any time: whatever is not stored is gone
 *
 * What is certainly refused keeps no memory: its further bytes are only looked
 * at for the end of the data.  The first fault stays.
 */
#ifndef RELAY_INGRESS_RECEIVE_H
#define RELAY_INGRESS_RECEIVE_H

#include "base/loop.h"
#include "policy/header.h"
#include "policy/verdict.h"
#include "relay/ingress/crlf.h"
#include "spool/spool.h"

#define LINE_LENGTH_MAX 998 /* RFC 5321 4.5.3.1.6, CRLF not counted */
#define OWN_HOPS_MAX 5      /* so often may one message pass through us */

enum receive_fault {
	RECEIVE_FINE,
	RECEIVE_TOO_LARGE,
	RECEIVE_HEADER_SIZE,
	RECEIVE_HEADER_FIELDS,
	RECEIVE_HOPS,
	RECEIVE_LOOP,
	RECEIVE_NUL,
	RECEIVE_BARE,
	RECEIVE_LONG_LINE,
};

struct receive_options {
	struct spool *spool;
	struct loop *loop;
	struct content_budget *budget;
	struct span hostname; /* ours; borrowed for its life */
	uint64_t size_max;    /* 0: none */
	unsigned hops_max;
	bool own;    /* from our own: bare line ends are repaired, long lines taken */
	bool binary; /* BODY=BINARYMIME: bytes are bytes */
	bool shape;  /* some of it goes into mailboxes: what it is made of is kept beside it */
	void (*on_room)(void *arg);
	void *arg;
};

struct receive;

struct receive *receive_new(const struct receive_options *o);
void receive_free(struct receive **r);

/* DATA: how many octets were taken; fewer than all only at the end of the data. */
size_t receive_data(struct receive *r, struct span wire);
bool receive_ended(const struct receive *r);

/* BDAT: all are taken. */
void receive_chunk(struct receive *r, struct span bytes);

bool receive_busy(const struct receive *r);
uint64_t receive_size(const struct receive *r); /* octets of content so far */
struct instant receive_began(const struct receive *r);

enum receive_fault receive_fault(const struct receive *r); /* so far */
enum receive_fault receive_end(struct receive *r);         /* no more bytes */
struct verdict receive_verdict(enum receive_fault f);

/* After receive_end(): what was seen, and the MESSAGE_ flags that follow from the bytes.
 */
const struct header_scan *receive_header(const struct receive *r);
uint32_t receive_flags(const struct receive *r);

/*
 * Put the content into m (size, crc, file, content) and m into the spool; m is
 * complete otherwise, and borrowed.  done comes once, later, unless the
 * receive is freed before.
 */
void receive_store(struct receive *r, struct message *m, spool_done_fn *done, void *arg);

#endif
