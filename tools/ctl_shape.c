/* SPDX-License-Identifier: ISC */
/* ctl_shape - the age of the queue as a table, as qshape has taught everyone to read it.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/when.h"
#include "tools/ctl.h"

#define NAME_WIDTH 36
#define WIDTH 5

/* "5m", "40m", "2h", "21h", "3d". */
static void
short_age(char out[32], long long seconds)
{
	if (seconds < 60)
		(void)snprintf(out, 32, "%llds", seconds);
	else if (seconds < 2 * 3600)
		(void)snprintf(out, 32, "%lldm", seconds / 60);
	else if (seconds < 2 * 86400)
		(void)snprintf(out, 32, "%lldh", seconds / 3600);
	else
		(void)snprintf(out, 32, "%lldd", seconds / 86400);
}

/* qshape counts in minutes. */
static void
minutes(char out[32], long long seconds)
{
	(void)snprintf(out, 32, "%lld", seconds / 60);
}

static void
print_head(struct ctl *c, const json_t *until)
{
	char last[32] = "0";
	size_t i;
	json_t *v;
	ctl_bold(c, true);
	printf("%*s %*s", NAME_WIDTH, "", WIDTH, "T");
	json_array_foreach(until, i, v)
	{
		(c->as_qshape ? minutes : short_age)(last, json_integer_value(v));
		printf(" %*s", WIDTH, last);
	}
	printf(" %*s+\n", WIDTH, last);
	ctl_bold(c, false);
}

static void
print_name(const char *name)
{
	size_t n = strlen(name);
	printf("%*s", n < NAME_WIDTH ? (int)(NAME_WIDTH - n) : 0, "");
	ctl_put(n > NAME_WIDTH ? name + n - NAME_WIDTH : name);
}

void
ctl_print_shape(struct ctl *c, const json_t *line)
{
	const json_t *name = json_object_get(line, "name");
	size_t i;
	json_t *v;
	if (!json_is_string(name))
		print_head(c, json_object_get(line, "until_s"));
	print_name(json_is_string(name) ? json_string_value(name) : "TOTAL");
	printf(" %*lld", WIDTH, ctl_number(line, "recipients"));
	json_array_foreach(json_object_get(line, "buckets"), i, v)
	    printf(" %*lld", WIDTH, (long long)json_integer_value(v));
	putchar('\n');
}

void
ctl_print_drain(struct ctl *c, const json_t *line)
{
	if (json_is_true(json_object_get(line, "progress"))) {
		char text[64];
		(void)snprintf(text, sizeof(text), "draining: %lld under way, %lld ready",
		    ctl_number(line, "running"), ctl_number(line, "ready"));
		ctl_progress(c, text, 0, 0);
		return;
	}
	ctl_progress_end(c);
	if (json_is_true(json_object_get(line, "dry_run")))
		printf(
		    "would refuse new mail and wait for %lld under way and %lld ready\n",
		    ctl_number(line, "running"), ctl_number(line, "ready"));
	else
		printf(
		    "%s: %lld delivered, %lld deferred, %lld returned; %lld recipients "
		    "wait for their time\n",
		    json_is_true(json_object_get(line, "drained"))
			? "drained; new mail is refused until relayctl resume in"
			: "not drained yet",
		    ctl_number(line, "delivered"), ctl_number(line, "deferred"),
		    ctl_number(line, "failed"), ctl_number(line, "waiting"));
}
