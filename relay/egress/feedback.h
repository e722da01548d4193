/* SPDX-License-Identifier: ISC */
/*
 * feedback - how many connections a destination stands at once, learnt from
 * what happens.
 *
 * The window grows by 1/sqrt(window) per delivered message, applied at the end
 * of a full step; it shrinks by the same amount per failed session, applied at
 * the beginning of a step, so that overshoot is corrected at once.  Growth
 * stops while the window is not used.  When as many sessions have failed in a
 * row as ran at once, the destination counts as down, whatever the window.
 */
#ifndef RELAY_EGRESS_FEEDBACK_H
#define RELAY_EGRESS_FEEDBACK_H

#include <stdbool.h>

struct feedback {
	unsigned window; /* connections allowed now, >= 1 */
	unsigned initial, limit;
	double success, failure; /* parts of a step, 0..1 */
	double cohorts; /* failed sessions in a row, in units of those that ran at once */
};

void feedback_init(struct feedback *f, unsigned initial, unsigned limit);

/* A session worked; busy: how many were running, this one included. */
void feedback_success(struct feedback *f, unsigned busy);

/* A session could not be had. True: the destination is down. */
bool feedback_failure(struct feedback *f, unsigned busy);

#endif
