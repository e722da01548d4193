/* SPDX-License-Identifier: ISC */
/* commands - the table of what can be asked, and the commands that list. */
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/units.h"
#include "relay/control/client.h"
#include "relay/control/shape.h"
#include "relay/version.h"

#define PROTOCOL_VERSION 1

/* ---- queue */

bool
command_selector(struct control_client *cc, const json_t *request, struct selector *out)
{
	struct buf why;
	buf_init(&why, 512);
	json_t *given = json_object_get(request, "selector");
	bool ok =
	    (given == NULL || json_is_object(given)) && selector_read(out, given, &why);
	if (!ok)
		control_endf(cc, 2, "%.*s",
		    SPAN_ARG(why.n ? buf_span(&why) : SPAN("selector is not an object")));
	else
		out->routes = &control_config(cc->control)->policy.routes;
	buf_clear(&why);
	return ok;
}

uint64_t
command_limit(const json_t *request)
{
	json_int_t limit = json_integer_value(json_object_get(request, "limit"));
	return limit > 0 ? (uint64_t)limit : 0;
}

enum much { MUCH_BRIEF, MUCH_LIST, MUCH_FULL };

static struct show
show_here(struct control_client *cc, enum much much)
{
	struct control *c = cc->control;
	return (struct show){
	    .config = control_config(c),
	    .scheduler = c->scheduler,
	    .now = world_wall(loop_world(c->loop)),
	    .full = much == MUCH_FULL,
	    .brief = much == MUCH_BRIEF,
	};
}

static void
queue_each(struct walk *w, const struct message *m, const uint16_t *index, size_t n)
{
	struct control_client *cc = walk_client(w);
	struct show s = show_here(cc, *(enum much *)walk_arg(w));
	show_message(control_line(cc), &s, m, index, n);
	control_send(cc);
}

static void
queue_end(struct walk *w, uint64_t messages, uint64_t recipients)
{
	struct control_client *cc = walk_client(w);
	(void)recipients;
	control_end(cc, messages > 0 ? 0 : 1, messages > 0 ? NULL : "nothing matched");
}

static void
list(struct control_client *cc, const json_t *request, enum much much)
{
	struct walk_options o = {.each = queue_each, .end = queue_end};
	if (!command_selector(cc, request, &o.selector))
		return;
	o.limit = command_limit(request);
	walk_start(cc, &o, &much, sizeof(much));
}

void
command_queue(struct control_client *cc, const json_t *request)
{
	bool brief = json_is_true(json_object_get(request, "brief"));
	list(cc, request, brief ? MUCH_BRIEF : MUCH_LIST);
}

void
command_show(struct control_client *cc, const json_t *request)
{
	list(cc, request, MUCH_FULL);
}

/* ---- shape */

#define SHAPE_TOLD 1000 /* names, unless more are asked for */

static void
shape_each(struct walk *w, const struct message *m, const uint16_t *index, size_t n)
{
	struct shape *s = *(struct shape **)walk_arg(w);
	struct wall now = world_wall(loop_world(walk_client(w)->control->loop));
	for (size_t i = 0; i < n; i++) {
		const struct recipient *r = message_find_rcpt(m, index[i]);
		if (r != NULL)
			shape_add(s, m, r, now);
	}
}

static void
shape_line(void *arg, struct span object)
{
	struct control_client *cc = arg;
	(void)control_line(cc);
	buf_add_span(&cc->line, object);
	control_send(cc);
}

static void
shape_end(struct walk *w, uint64_t messages, uint64_t recipients)
{
	struct control_client *cc = walk_client(w);
	struct buf text;
	(void)recipients;
	buf_init(&text, 64u << 10);
	if (messages > 0)
		shape_tell(
		    *(struct shape **)walk_arg(w), SHAPE_TOLD, &text, shape_line, cc);
	buf_clear(&text);
	control_end(cc, messages > 0 ? 0 : 1, messages > 0 ? NULL : "nothing matched");
}

static void
shape_drop(void *arg)
{
	shape_free(arg);
}

void
command_shape(struct control_client *cc, const json_t *request)
{
	struct walk_options o = {
	    .each = shape_each, .end = shape_end, .drop = shape_drop};
	struct shape_options so;
	struct buf why;
	buf_init(&why, 512);
	if (!shape_read(&so, request, &why)) {
		control_endf(cc, 2, "%.*s", SPAN_ARG(buf_span(&why)));
	} else if (command_selector(cc, request, &o.selector)) {
		struct world *world = loop_world(cc->control->loop);
		uint64_t seed[2] = {world_random_u64(world), world_random_u64(world)};
		so.routes = &control_config(cc->control)->policy.routes;
		struct shape *s = shape_new(&so, seed);
		walk_start(cc, &o, &s, sizeof(struct shape *));
	}
	buf_clear(&why);
}

/* ---- why */

static void
why_each(struct walk *w, const struct message *m, const uint16_t *index, size_t n)
{
	struct control_client *cc = walk_client(w);
	struct show s = show_here(cc, MUCH_FULL);
	char id[SPOOL_ID_LEN + 1];
	spool_id_format(m->id, id);
	struct buf text;
	buf_init(&text, 16u << 10);
	for (size_t i = 0; i < m->rcpts; i++) {
		bool wanted = false;
		for (size_t k = 0; k < n; k++)
			wanted = wanted || index[k] == m->rcpt[i].index;
		if (!wanted)
			continue;
		buf_reset(&text);
		show_why(&text, &s, m, &m->rcpt[i]);
		struct json *j = control_line(cc);
		json_open(j, '{');
		json_cstr(j, "queue_id", id);
		json_str(j, "sender", m->sender);
		json_str(j, "address", m->rcpt[i].address);
		json_cstr(j, "state", recipient_state_name(&m->rcpt[i]));
		json_str(j, "why", buf_span(&text));
		json_close(j, '}');
		control_send(cc);
	}
	buf_clear(&text);
}

/* What is not in the queue may have been there. */
static void
why_end(struct walk *w, uint64_t messages, uint64_t recipients)
{
	uint64_t id = *(uint64_t *)walk_arg(w);
	if (messages == 0 && id != 0)
		history_why(walk_client(w), id);
	else
		queue_end(w, messages, recipients);
}

void
command_why(struct control_client *cc, const json_t *request)
{
	struct walk_options o = {.each = why_each, .end = why_end};
	if (!command_selector(cc, request, &o.selector))
		return;
	if (selector_is_empty(&o.selector)) {
		control_end(cc, 2, "say which message: relayctl why ID");
		return;
	}
	uint64_t id = o.selector.has_id ? o.selector.id : 0;
	walk_start(cc, &o, &id, sizeof(id));
}

/* ---- cat: the message's bytes, in base64 because JSON holds text */

#define CAT_CHUNK (12u << 10)

struct cat {
	struct control_client *client; /* NULL: the connection is gone */
	struct spool_query *query;
	uint64_t id;
	enum err err;
	struct message *m;
	uint64_t at;
	struct later step;
};

static void
cat_free(void *arg)
{
	struct cat *cat = arg;
	message_unref(&cat->m);
	later_clear(&cat->step);
	mem_free(&cat);
}

static void
cat_drop(void *arg) /* comes back from the pool after the client has gone */
{
	cat_free(arg);
}

static void
cat_gone(struct control_client *cc)
{
	struct cat *cat = cc->command;
	if (cat->query != NULL)
		spool_cancel_query(&cat->query); /* cat_drop comes */
	else
		cat_free(cat);
}

static void
cat_run(struct spool_reader *r, void *arg)
{
	struct cat *cat = arg;
	cat->err = spool_read_message(r, cat->id, true, &cat->m);
}

static void
cat_send(struct control_client *cc, struct span bytes)
{
	struct buf text;
	buf_init(&text, 2 * CAT_CHUNK);
	base64_encode(bytes, &text);
	struct json *j = control_line(cc);
	json_open(j, '{');
	json_str(j, "data", buf_span(&text));
	json_close(j, '}');
	control_send(cc);
	buf_clear(&text);
}

static void
cat_over(struct cat *cat, int status, const char *error)
{
	struct control_client *cc = cat->client;
	cc->command = NULL;
	cat_free(cat);
	control_end(cc, status, error);
}

static void
cat_step(void *arg)
{
	struct cat *cat = arg;
	struct control_client *cc = cat->client;
	char chunk[CAT_CHUNK];
	while (!control_full(cc)) {
		size_t got = 0;
		if (content_read(cat->m->content, cat->at, chunk, sizeof(chunk), &got) !=
		    OK) {
			cat_over(cat, 1, "the content cannot be read");
			return;
		}
		if (got == 0) {
			cat_over(cat, 0, NULL);
			return;
		}
		cat_send(cc, (struct span){chunk, got});
		cat->at += got;
	}
	io_want_drained(cc->io);
}

static void
cat_more(struct control_client *cc)
{
	struct cat *cat = cc->command;
	if (cat->m != NULL)
		later_set(&cat->step);
}

static void
cat_done(void *arg)
{
	struct cat *cat = arg;
	cat->query = NULL;
	if (cat->err == OK) {
		cat_send(cat->client, cat->m->prefix);
		later_set(&cat->step);
		return;
	}
	cat_over(cat, 1,
	    cat->err == ERR_NOT_FOUND ? "no such message (any more)"
				      : err_text(cat->err));
}

void
command_cat(struct control_client *cc, const json_t *request)
{
	struct selector sel;
	if (!command_selector(cc, request, &sel))
		return;
	uint64_t id = sel.id;
	bool has = sel.has_id;
	selector_clear(&sel);
	if (!has) {
		control_end(cc, 2, "say which message: relayctl cat ID");
		return;
	}
	struct cat *cat = NEW(struct cat);
	cat->client = cc;
	cat->id = id;
	later_init(&cat->step, cc->control->loop, cat_step, cat);
	cc->command = cat;
	cc->more = cat_more;
	cc->gone = cat_gone;
	cat->query = spool_query_start(cc->control->spool, cat_run, cat_done, cat_drop,
	    cat, loop_inbox(cc->control->loop));
}

/* ---- hosts */

struct hosts {
	struct control_client *client;
	struct span match; /* in the destination's key; empty: all */
	bool some, well;   /* only those that are well, or those that are not */
	json_int_t skip, limit;
};

/* Upper and lower case are the same. */
static bool
holds(struct span s, struct span what)
{
	for (size_t i = 0; i + what.n <= s.n; i++)
		if (span_ieq(span_cut(s, i, what.n), what))
			return true;
	return false;
}

static void
host_line(void *arg, const struct destination_view *v)
{
	struct hosts *h = arg;
	if (!holds(v->key, h->match) ||
	    (h->some && h->well != (strcmp(v->state, "up") == 0)) || h->limit == 0)
		return;
	if (h->skip > 0) {
		h->skip--;
		return;
	}
	h->limit--;
	struct control_client *cc = h->client;
	struct json *j = control_line(cc);
	json_open(j, '{');
	json_str(j, "destination", v->key);
	json_cstr(j, "state", v->state);
	json_int(j, "running", v->running);
	json_int(j, "ready", v->ready);
	json_int(j, "window", v->window);
	json_int(j, "failures", v->failures);
	json_int(j, "next_attempt", v->next.ms / 1000);
	json_str(j, "reason", v->reason);
	json_close(j, '}');
	control_send(cc);
}

void
command_hosts(struct control_client *cc, const json_t *request)
{
	struct hosts h = {.client = cc, .limit = INT64_MAX};
	const json_t *limit = json_object_get(request, "limit");
	h.match = span_str(json_string_value(json_object_get(request, "match")));
	h.skip = json_integer_value(json_object_get(request, "skip"));
	if (json_is_integer(limit) && json_integer_value(limit) >= 0)
		h.limit = json_integer_value(limit);
	h.some = json_is_true(json_object_get(request, "trouble_first"));
	scheduler_each_destination(cc->control->scheduler, host_line, &h);
	h.well = true;
	if (h.some)
		scheduler_each_destination(cc->control->scheduler, host_line, &h);
	control_end(cc, 0, NULL);
}

/* ---- the table */

static void
command_retry(struct control_client *cc, const json_t *request)
{
	command_act(cc, request, ADMIN_RETRY);
}

static void
command_hold(struct control_client *cc, const json_t *request)
{
	command_act(cc, request, ADMIN_HOLD);
}

static void
command_release(struct control_client *cc, const json_t *request)
{
	command_act(cc, request, ADMIN_RELEASE);
}

static void
command_bounce(struct control_client *cc, const json_t *request)
{
	command_act(cc, request, ADMIN_BOUNCE);
}

static void
command_delete(struct control_client *cc, const json_t *request)
{
	command_act(cc, request, ADMIN_DELETE);
}

static const struct command {
	const char *name;
	void (*run)(struct control_client *cc, const json_t *request);
} commands[] = {
    {"status", command_status},
    {"queue", command_queue},
    {"show", command_show},
    {"why", command_why},
    {"history", command_history},
    {"trace", command_trace},
    {"cat", command_cat},
    {"hosts", command_hosts},
    {"shape", command_shape},
    {"retry", command_retry},
    {"hold", command_hold},
    {"release", command_release},
    {"bounce", command_bounce},
    {"delete", command_delete},
    {"pause", command_pause},
    {"resume", command_resume},
    {"reload", command_reload},
    {"drain", command_drain},
    {"dns", command_dns},
    {"route-test", command_route_test},
    {"spool-check", command_spool_check},
    {"spool-stat", command_spool_stat},
    {"spool-hold", command_spool_hold},
    {"policy-test", command_policy_test},
    {"probe", command_probe},
    {"mailbox-list", command_mailbox_list},
    {"mailbox-show", command_mailbox_show},
    {"mailbox-export", command_mailbox_export},
    {"mailbox-delete", command_mailbox_delete},
    {"user-add", command_user},
    {"user-passwd", command_user},
    {"user-set", command_user},
    {"user-list", command_user},
    {"user-delete", command_user},
    {"user-secret-add", command_user},
    {"user-secret-delete", command_user},
};

void
control_run(struct control_client *cc, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "cmd"));
	json_int_t version = json_integer_value(json_object_get(request, "v"));
	if (version != PROTOCOL_VERSION) {
		control_endf(cc, 2,
		    "this relayd (%s) speaks version %d of the control protocol; use its "
		    "own relayctl",
		    RELAYD_VERSION, PROTOCOL_VERSION);
		return;
	}
	for (size_t i = 0; name != NULL && i < COUNT_OF(commands); i++) {
		if (strcmp(commands[i].name, name) == 0) {
			commands[i].run(cc, request);
			return;
		}
	}
	control_endf(cc, 2, "unknown command \"%.40s\"", name ? name : "");
}
