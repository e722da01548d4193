/* SPDX-License-Identifier: ISC */
/* ctl_progress - how far long work is, on a terminal; colours, where they are wanted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/when.h"
#include "tools/ctl.h"

#define BAR 30
#define AGAIN_MS 100

bool
ctl_progress_wanted(const struct ctl *c)
{
	return isatty(STDERR_FILENO) && !c->json;
}

void
ctl_progress(struct ctl *c, const char *what, uint64_t done, uint64_t total)
{
	char bar[BAR + 1];
	if (!ctl_progress_wanted(c))
		return;
	struct instant now = world_now(world_real());
	bool last = total > 0 && done >= total;
	if (c->progress && !last && instant_since(now, c->progressed) < AGAIN_MS)
		return;
	c->progress = true;
	c->progressed = now;
	if (total == 0) {
		fprintf(stderr, "\r\033[K%s ...", what);
	} else {
		size_t n = done >= total ? BAR : (size_t)(done * BAR / total);
		memset(bar, ' ', BAR);
		memset(bar, '#', n);
		bar[BAR] = '\0';
		fprintf(stderr, "\r\033[K%-12s [%s] %3u%%", what, bar,
		    (unsigned)(done >= total ? 100 : done * 100 / total));
	}
	(void)fflush(stderr);
}

void
ctl_progress_end(struct ctl *c)
{
	if (c->progress)
		fputs("\r\033[K", stderr);
	c->progress = false;
}

/* As https://no-color.org has it: any value that is not empty. */
bool
ctl_wants_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	return isatty(STDOUT_FILENO) && (no == NULL || *no == '\0') && term != NULL &&
	       *term != '\0' && strcmp(term, "dumb") != 0;
}

static const struct {
	const char *word, *colour;
} colours[] = {
    {"up", "32"},
    {"new", "32"},
    {"deferred", "33"},
    {"paused", "33"},
    {"probing", "33"},
    {"held", "35"},
    {"down", "31"},
    {"aside", "31"},
};

void
ctl_cell_state(const struct ctl *c, const char *state, size_t width)
{
	const char *colour = NULL;
	for (size_t i = 0; i < sizeof(colours) / sizeof(*colours); i++)
		if (strcmp(colours[i].word, state) == 0)
			colour = colours[i].colour;
	if (c->colour && colour != NULL)
		printf("\033[%sm", colour);
	ctl_cell(state, width, false);
	if (c->colour && colour != NULL)
		fputs("\033[0m", stdout);
}

void
ctl_bold(const struct ctl *c, bool on)
{
	if (c->colour)
		fputs(on ? "\033[1m" : "\033[0m", stdout);
}
