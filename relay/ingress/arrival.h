/* SPDX-License-Identifier: ISC */
/*
 * arrival - what a session does with a message that is arriving: DATA and BDAT
 * begin one, feed it, keep pace with the disk, and come together at its end.
 */
#ifndef RELAY_INGRESS_ARRIVAL_H
#define RELAY_INGRESS_ARRIVAL_H

#include "relay/ingress/session.h"

/* s->tx->receive is there afterwards. */
void arrival_begin(struct session *s);

/* Bytes were handed to the receive: pause while the disk is behind; close a client that
 * is too slow. */
void arrival_pace(struct session *s);

/* All bytes are there: judge, complete and store the message, answer, forget it. */
void arrival_end(struct session *s);

/* Answer and log that the message is refused; the transaction is left as it is.  all:
 * behind its last octet, where LMTP wants an answer for each recipient. */
void arrival_refuse(struct session *s, const struct verdict *v);
void arrival_refuse_all(struct session *s, const struct verdict *v);

#endif
