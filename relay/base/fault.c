/* SPDX-License-Identifier: ISC */
/*
 * fault - counts the passes of named places and strikes at the planned one.
 *
 * There is one plan per process, and so the only mutable file-scope state of
 * the house: a place deep in the spool cannot be handed a plan.  A plan strikes
 * once.  RELAY_FAULT is read at the first pass unless fault_plan() came before;
 * a value that cannot be read aborts, for a crash test without its crash would
 * prove nothing.
 */
#include "base/fault.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/scan.h"

static struct {
	pthread_mutex_t lock;
	bool planned; /* by fault_plan() or the environment, which is read once */
	enum fault_what what;
	char name[64];      /* "": any place */
	unsigned long left; /* passes of name until it strikes; 0: spent */
	unsigned long passes;
} plan = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void
set_plan(enum fault_what what, struct span name, unsigned long n)
{
	CHECK(name.n < sizeof(plan.name));
	plan.planned = true;
	plan.what = what;
	span_copy(name, plan.name, sizeof(plan.name));
	plan.left = n;
}

/* "die:NAME:N" or "fail:NAME:N"; NAME may be empty. */
static void
plan_from_text(struct span text)
{
	struct scan in = scan_over(text);
	enum fault_what what = FAULT_NONE;
	if (scan_text(&in, SPAN("die:")))
		what = FAULT_DIE;
	else if (scan_text(&in, SPAN("fail:")))
		what = FAULT_FAIL;
	struct span name;
	uint64_t n = 0;
	bool good = what != FAULT_NONE && scan_until(&in, ':', &name) &&
		    scan_u64(&in, UINT32_MAX, &n) && n > 0 && scan_done(&in);
	CHECK(good); /* RELAY_FAULT is die:NAME:N or fail:NAME:N */
	set_plan(what, name, (unsigned long)n);
}

static void
plan_from_environment(void)
{
	const char *text = getenv("RELAY_FAULT");
	plan.planned = true;
	if (text != NULL && *text != '\0')
		plan_from_text(span_str(text));
}

/* Count this pass; what is to happen at it. */
static enum fault_what
count_pass(const char *name)
{
	plan.passes++;
	bool meant = plan.name[0] == '\0' || strcmp(plan.name, name) == 0;
	if (plan.left == 0 || !meant || --plan.left > 0)
		return FAULT_NONE;
	return plan.what;
}

bool
fault_hit(const char *name)
{
	pthread_mutex_lock(&plan.lock);
	if (!plan.planned)
		plan_from_environment();
	enum fault_what what = count_pass(name);
	if (what == FAULT_DIE)
		_exit(FAULT_EXIT);
	pthread_mutex_unlock(&plan.lock);
	return what == FAULT_FAIL;
}

void
fault_plan(enum fault_what what, const char *name, unsigned long n)
{
	pthread_mutex_lock(&plan.lock);
	set_plan(what, span_str(name), n);
	plan.passes = 0;
	pthread_mutex_unlock(&plan.lock);
}

unsigned long
fault_passes(void)
{
	pthread_mutex_lock(&plan.lock);
	unsigned long n = plan.passes;
	pthread_mutex_unlock(&plan.lock);
	return n;
}
