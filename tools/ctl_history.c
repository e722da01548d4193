/* SPDX-License-Identifier: ISC */
/* ctl_history - what became of messages: the table, and the search in a stopped spool. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "relay/control/search.h"
#include "spool/history.h"
#include "tools/ctl.h"

/* ---- the table */

/* "2026-11-23T11:39:00.123Z" as people read it, in UTC. */
static void
time_cell(const char *iso)
{
	char text[20];
	span_copy(span_cut(span_str(iso), 0, 19), text, sizeof(text));
	if (strlen(text) > 10)
		text[10] = ' ';
	ctl_cell(text, 19, false);
}

static void
add_after(struct buf *b, const char *before, const char *text)
{
	if (*text != '\0')
		buf_addf(b, "%s%s", before, text);
}

void
ctl_print_history(struct ctl *c, const json_t *line)
{
	size_t wide = c->width > 70 ? c->width - 50 : 20;
	if (!c->header) {
		ctl_cell("TIME UTC", 19, false);
		ctl_cell("ID", 13, false);
		ctl_cell("EVENT", 9, false);
		ctl_cell("FROM -> TO: WHAT WAS SAID", wide, true);
		c->header = true;
	}
	time_cell(ctl_text(line, "time"));
	ctl_cell(ctl_text(line, "queue_id"), 13, false);
	ctl_cell(ctl_text(line, "event"), 9, false);
	struct buf b;
	buf_init(&b, 64u << 10);
	buf_addf(&b, "<%s> -> <%s>", ctl_text(line, "sender"), ctl_text(line, "address"));
	add_after(&b, " into the mailbox of ", ctl_text(line, "mailbox"));
	add_after(&b, ", a notice about ", ctl_text(line, "notice_about"));
	add_after(&b, " by ", ctl_text(line, "host"));
	add_after(&b, " from ", ctl_text(line, "client"));
	add_after(&b, ": ", ctl_text(line, "reply"));
	char *all = buf_take(&b);
	ctl_cell(all, c->width >= 80 ? wide : 0, true);
	mem_free(&all);
}

/* ---- relayd does not run */

struct look {
	struct ctl *ctl;
	struct search search;
	uint64_t limit, found;
	bool why;
};

static bool
on_event(void *arg, const struct history_event *e)
{
	struct look *l = arg;
	if (!search_wants(&l->search, e) || (l->why && !search_is_last(e)))
		return true;
	struct buf text;
	buf_init(&text, 64u << 10);
	struct json j = {.out = &text};
	search_show(&j, e, l->why);
	json_t *line = json_loadb(text.p, text.n, 0, NULL);
	if (line != NULL)
		ctl_line(l->ctl, line, text.p, text.n);
	json_decref(line);
	buf_clear(&text);
	l->found++;
	return l->limit == 0 || l->found < l->limit;
}

static int
run(struct look *l, struct spool_reader *r)
{
	struct history_cursor at = search_begin(&l->search);
	while (!at.done && (l->limit == 0 || l->found < l->limit)) {
		enum err e = spool_read_history(r, &at, SEARCH_SLICE, on_event, l);
		if (e != OK) {
			fprintf(stderr, "relayctl: history cannot be read: %s\n",
			    err_text(e));
			return CTL_NOTHING;
		}
	}
	if (l->found == 0)
		fputs("relayctl: nothing matched\n", stderr);
	return l->found > 0 ? CTL_DONE : CTL_NOTHING;
}

int
ctl_history_offline(struct ctl *c, struct spool_reader *r, const json_t *request)
{
	struct look l = {.ctl = c, .why = strcmp(c->command, "why") == 0};
	struct buf why;
	int status = CTL_USAGE;
	buf_init(&why, 512);
	l.limit = (uint64_t)json_integer_value(json_object_get(request, "limit"));
	if (search_read(&l.search, request, world_wall(world_real()), &why)) {
		status = run(&l, r);
		search_clear(&l.search);
	} else {
		fprintf(stderr, "relayctl: %.*s\n", SPAN_ARG(buf_span(&why)));
	}
	buf_clear(&why);
	return status;
}
