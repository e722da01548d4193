/* SPDX-License-Identifier: ISC */
/*
 * history - what became of messages, whether they are still here or not.  A
 * slice of the files is searched in the pool, what it gave is sent, and the
 * next slice follows when the client has taken the lines.
 */
#include "base/mem.h"
#include "relay/control/client.h"
#include "relay/control/search.h"

#define LINES_MAX (256u << 10) /* octets of answer lines from one slice */

struct hunt {
	struct control_client *client; /* NULL: the connection is gone */
	struct spool_query *query;
	struct search search;
	struct history_cursor at;
	uint64_t limit, found;
	bool why; /* a sentence about the end of each recipient, and nothing else */
	enum err err;
	struct buf lines; /* of this slice, each with its LF */
	size_t sent;
	struct later step;
};

static void
hunt_free(void *arg)
{
	struct hunt *h = arg;
	search_clear(&h->search);
	buf_clear(&h->lines);
	later_clear(&h->step);
	mem_free(&h);
}

static void
hunt_gone(struct control_client *cc)
{
	struct hunt *h = cc->command;
	if (h->query != NULL)
		spool_cancel_query(&h->query); /* it comes back to hunt_free */
	else
		hunt_free(h);
}

/* ---- in the pool */

static bool
on_event(void *arg, const struct history_event *e)
{
	struct hunt *h = arg;
	if (!search_wants(&h->search, e) || (h->why && !search_is_last(e)))
		return true;
	struct json j = {.out = &h->lines};
	search_show(&j, e, h->why);
	buf_add_char(&h->lines, '\n');
	h->found++;
	return h->lines.n < LINES_MAX && (h->limit == 0 || h->found < h->limit);
}

static void
hunt_run(struct spool_reader *r, void *arg)
{
	struct hunt *h = arg;
	h->err = spool_read_history(r, &h->at, SEARCH_SLICE, on_event, h);
}

/* ---- on the loop */

static void hunt_done(void *arg);

static void
search_on(struct hunt *h)
{
	struct control *c = h->client->control;
	buf_reset(&h->lines);
	h->sent = 0;
	h->query = spool_query_start(
	    c->spool, hunt_run, hunt_done, hunt_free, h, loop_inbox(c->loop));
}

static void
hunt_over(struct hunt *h)
{
	struct control_client *cc = h->client;
	enum err e = h->err;
	bool found = h->found > 0, off = control_config(cc->control)->history.days == 0;
	cc->command = NULL;
	hunt_free(h);
	if (e != OK)
		control_endf(cc, 1, "history cannot be read: %s", err_text(e));
	else if (found)
		control_end(cc, 0, NULL);
	else
		control_end(cc, 1,
		    off ? "nothing matched; no history is kept: set history { days }"
			: "nothing matched");
}

static void
send_line(struct control_client *cc, struct span line)
{
	struct json *j = control_line(cc);
	buf_add_span(j->out, line);
	control_send(cc);
}

static void
hunt_step(void *arg)
{
	struct hunt *h = arg;
	while (h->sent < h->lines.n) {
		struct span rest = span_cut(buf_span(&h->lines), h->sent, h->lines.n);
		if (control_full(h->client)) {
			io_want_drained(h->client->io);
			return;
		}
		size_t n = span_find(rest, '\n');
		send_line(h->client, span_cut(rest, 0, n));
		h->sent += n + 1;
	}
	bool enough = h->limit > 0 && h->found >= h->limit;
	if (h->err != OK || h->at.done || enough)
		hunt_over(h);
	else
		search_on(h);
}

static void
hunt_done(void *arg)
{
	struct hunt *h = arg;
	h->query = NULL;
	later_set(&h->step);
}

static void
hunt_more(struct control_client *cc)
{
	struct hunt *h = cc->command;
	if (h->query == NULL)
		later_set(&h->step);
}

/* s is moved in. */
static void
start(struct control_client *cc, struct search *s, uint64_t limit, bool why)
{
	struct hunt *h = NEW(struct hunt);
	h->client = cc;
	h->search = *s;
	*s = (struct search){0};
	h->at = search_begin(&h->search);
	h->limit = limit;
	h->why = why;
	buf_init(&h->lines, 2 * LINES_MAX);
	later_init(&h->step, cc->control->loop, hunt_step, h);
	cc->command = h;
	cc->more = hunt_more;
	cc->gone = hunt_gone;
	search_on(h);
}

void
history_why(struct control_client *cc, uint64_t id)
{
	struct search s = {.selector = {.has_id = true, .id = id},
	    .now = world_wall(loop_world(cc->control->loop))};
	start(cc, &s, 0, true);
}

void
command_history(struct control_client *cc, const json_t *request)
{
	struct search s;
	struct buf why;
	buf_init(&why, 512);
	struct wall now = world_wall(loop_world(cc->control->loop));
	if (search_read(&s, request, now, &why))
		start(cc, &s, command_limit(request), false);
	else
		control_endf(cc, 2, "%.*s", SPAN_ARG(buf_span(&why)));
	buf_clear(&why);
}
