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
	char name[64];       /* "": any place */
	char text[64];       /* of FAULT_CRASH and FAULT_HANG */
	unsigned long left;  /* passes of name until it strikes; 0: spent */
	unsigned long times; /* it strikes; then it is spent */
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
	plan.times = 1;
}

static void
set_text(struct span text)
{
	CHECK(text.n > 0 && text.n < sizeof(plan.text));
	span_copy(text, plan.text, sizeof(plan.text));
}

/* "die:NAME:N", "fail:NAME:N", "crash:NAME:TEXT" or "hang:NAME:TEXT"; NAME may be empty.
 */
static void
plan_from_text(struct span text)
{
	static const struct {
		const char *word;
		enum fault_what what;
	} words[] = {{"die:", FAULT_DIE}, {"fail:", FAULT_FAIL}, {"crash:", FAULT_CRASH},
	    {"hang:", FAULT_HANG}};
	struct scan in = scan_over(text);
	enum fault_what what = FAULT_NONE;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && what == FAULT_NONE;
	     i++)
		if (scan_text(&in, span_str(words[i].word)))
			what = words[i].what;
	struct span name;
	uint64_t n = 0;
	bool good = what != FAULT_NONE && scan_until(&in, ':', &name);
	if (good && (what == FAULT_CRASH || what == FAULT_HANG))
		set_text(scan_rest(&in));
	else
		good = good && scan_u64(&in, UINT32_MAX, &n) && n > 0 && scan_done(&in);
	CHECK(good); /* RELAY_FAULT is one of these */
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
	if (--plan.times > 0) {
		plan.left = 1;
		span_copy(span_str(name), plan.name, sizeof(plan.name));
	}
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

static bool
text_strikes(const char *name, struct span bytes)
{
	bool meant = plan.name[0] == '\0' || strcmp(plan.name, name) == 0;
	return meant && (plan.what == FAULT_CRASH || plan.what == FAULT_HANG) &&
	       bytes.n > 0 &&
	       memmem(bytes.p, bytes.n, plan.text, strlen(plan.text)) != NULL;
}

void
fault_bytes(const char *name, struct span bytes)
{
	pthread_mutex_lock(&plan.lock);
	if (!plan.planned)
		plan_from_environment();
	bool strikes = text_strikes(name, bytes);
	enum fault_what what = plan.what;
	pthread_mutex_unlock(&plan.lock);
	if (!strikes)
		return;
	if (what == FAULT_CRASH)
		abort();
	for (;;)
		(void)pause();
}

void
fault_plan_bytes(enum fault_what what, const char *name, const char *text)
{
	pthread_mutex_lock(&plan.lock);
	set_plan(what, name != NULL ? span_str(name) : SPAN(""), 0);
	set_text(span_str(text));
	pthread_mutex_unlock(&plan.lock);
}

void
fault_plan(enum fault_what what, const char *name, unsigned long n)
{
	pthread_mutex_lock(&plan.lock);
	set_plan(what, span_str(name), n);
	plan.passes = 0;
	pthread_mutex_unlock(&plan.lock);
}

void
fault_plan_times(unsigned long times)
{
	CHECK(times > 0);
	pthread_mutex_lock(&plan.lock);
	plan.times = times;
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
