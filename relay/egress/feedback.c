/* SPDX-License-Identifier: ISC */
/* feedback - additive steps of 1/sqrt(window) with reverse hysteresis. */
#include "relay/egress/feedback.h"

/* 1/sqrt(n) for small n, without the maths library: two Newton steps from a fair guess.
 */
static double
inverse_sqrt(unsigned n)
{
	double x = n, root = x > 16 ? x / 4 : (x + 1) / 2;
	for (int i = 0; i < 6; i++)
		root = (root + x / root) / 2;
	return 1 / root;
}

void
feedback_init(struct feedback *f, unsigned initial, unsigned limit)
{
	if (limit < 1)
		limit = 1;
	if (initial < 1)
		initial = 1;
	if (initial > limit)
		initial = limit;
	*f = (struct feedback){.window = initial, .initial = initial, .limit = limit};
}

void
feedback_success(struct feedback *f, unsigned busy)
{
	f->cohorts = 0;
	f->failure = 0;
	if (f->window >= f->limit || f->window >= busy + f->initial)
		return;
	f->success += inverse_sqrt(f->window);
	if (f->success >= 1) {
		f->window++;
		f->success -= 1;
	}
}

bool
feedback_failure(struct feedback *f, unsigned busy)
{
	f->success = 0;
	f->cohorts += 1.0 / (busy ? busy : 1);
	if (f->failure <= 0 && f->window > 1)
		f->window--;
	f->failure += inverse_sqrt(f->window);
	if (f->failure >= 1)
		f->failure = 0;
	return f->cohorts >= 1.0 - 1e-9;
}
