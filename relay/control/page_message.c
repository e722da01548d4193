/* SPDX-License-Identifier: ISC */
/* page_message - one message: why it waits, what happened so far, what comes next. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "relay/control/page_private.h"

static const char *
str(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));
	return s != NULL ? s : "";
}

/* ---- the envelope */

static void
put_fact(struct buf *b, const char *name, const char *value)
{
	if (value[0] != '\0')
		HTML(b, "<div><dt>{}</dt><dd>{}</dd></div>\n", name, value);
}

static void
put_envelope(struct buf *b, const json_t *m)
{
	int64_t size = json_integer_value(json_object_get(m, "message_size"));
	int64_t arrival = json_integer_value(json_object_get(m, "arrival_time"));
	buf_add_str(b, "<section class=\"card\"><h2>Envelope</h2><dl class=\"facts\">\n");
	put_fact(b, "From", str(m, "sender")[0] ? str(m, "sender") : "<> (a notice)");
	put_fact(b, "Arrived", text_time(arrival).s);
	put_fact(b, "Client", str(m, "client"));
	put_fact(b, "Called itself", str(m, "helo"));
	put_fact(b, "Protocol", str(m, "protocol"));
	put_fact(b, "Listener", str(m, "listener"));
	put_fact(b, "Size", text_size(size > 0 ? (uint64_t)size : 0).s);
	put_fact(b, "Given up", text_iso(str(m, "expires")).s);
	put_fact(b, "Envelope id", str(m, "envid"));
	HTML(b,
	    "</dl>\n<details><summary>Header fields that were added</summary>"
	    "<pre tabindex=\"0\">{}</pre></details></section>\n",
	    str(m, "added_headers"));
}

/* ---- a recipient's story */

static void
put_moment(struct buf *b, const char *class, struct text when, const char *what,
    const char *detail)
{
	if (when.s[0] == '\0')
		return;
	HTML(b, "<li class=\"{}\"><time>{}</time> <b>{}</b>", class, when.s, what);
	if (detail[0] != '\0')
		HTML(b, "<span class=\"reply\">{}</span>", detail);
	buf_add_str(b, "</li>\n");
}

static void
put_last_attempt(struct buf *b, const json_t *r, json_int_t attempts)
{
	char what[80];
	struct buf said;
	buf_init(&said, 2000);
	buf_add_str(&said, str(r, "delay_reason"));
	if (str(r, "host")[0] != '\0')
		buf_addf(&said, " (%s)", str(r, "host"));
	buf_add_char(&said, '\0');
	(void)snprintf(what, sizeof(what),
	    attempts == 1 ? "Tried once" : "Tried the %lldth time", (long long)attempts);
	if (attempts == 2 || attempts == 3)
		(void)snprintf(what, sizeof(what), "Tried the %s time",
		    attempts == 2 ? "second" : "third");
	put_moment(b, "tried", text_iso(str(r, "last_try")), what, said.p);
	buf_clear(&said);
}

static void
put_timeline(struct buf *b, const json_t *m, const json_t *r)
{
	json_int_t attempts = json_integer_value(json_object_get(r, "attempts"));
	int64_t arrival = json_integer_value(json_object_get(m, "arrival_time"));
	buf_add_str(b, "<ol class=\"timeline\">\n");
	put_moment(b, "arrived", text_time(arrival), "Arrived", str(m, "client"));
	if (attempts > 1)
		put_moment(
		    b, "tried", text_iso(str(r, "first_try")), "First attempt", "");
	if (attempts > 0)
		put_last_attempt(b, r, attempts);
	put_moment(b, "next", text_iso(str(r, "next_attempt")), "Next attempt",
	    str(r, "destination"));
	put_moment(b, "end", text_iso(str(m, "expires")),
	    "Given up, if nothing works until "
	    "then",
	    "");
	buf_add_str(b, "</ol>\n");
}

/* The sentence of `why` for this address. */
static const char *
why_of(const json_t *whys, const char *address)
{
	for (size_t i = 0; i < json_array_size(whys); i++) {
		const json_t *w = json_array_get(whys, i);
		if (strcmp(str(w, "address"), address) == 0)
			return str(w, "why");
	}
	return "";
}

static void
put_recipient(struct buf *b, const json_t *m, const json_t *r, const json_t *whys)
{
	HTML(b,
	    "<section class=\"card recipient\"><h2><span class=\"address\">{}</span> ",
	    str(r, "address"));
	html_state(b, str(r, "state"));
	HTML(b, "</h2>\n<p class=\"why\">{}</p>\n", why_of(whys, str(r, "address")));
	put_timeline(b, m, r);
	buf_add_str(b, "</section>\n");
}

static void
put_buttons(struct visit *v, const char *id)
{
	struct buf *b = &v->out;
	buf_add_str(b, "<form method=\"post\" action=\"/act\">\n");
	html_token(v);
	HTML(b,
	    "<input type=\"hidden\" name=\"id\" value=\"{}\">"
	    "<div class=\"actions\" role=\"group\" aria-label=\"What to do with it\">"
	    "<button name=\"do\" value=\"retry\" class=\"main\">Retry now</button> "
	    "<button name=\"do\" value=\"hold\">Hold</button> "
	    "<button name=\"do\" value=\"release\">Release</button> "
	    "<button name=\"do\" value=\"bounce\" class=\"danger\">Bounce</button> "
	    "<button name=\"do\" value=\"delete\" class=\"danger\">Delete</button>"
	    "</div></form>\n",
	    id);
}

static void
render(struct visit *v)
{
	struct buf *b = &v->out;
	if (!visit_signed_in(v, v->target))
		return;
	const json_t *m = json_array_get(v->ask[0].lines, 0);
	if (m == NULL && json_array_size(v->ask[2].lines) > 0) {
		html_begin(v, "Message", "");
		buf_add_str(b, "<h1>A message that has left</h1>\n");
		history_list(v, v->ask[2].lines);
		html_end(v);
		visit_answer(v, 200);
		return;
	}
	if (m == NULL) {
		html_sorry(v, 404, "No such message (any more)",
		    "It is not in the queue, and the history does not know it (any "
		    "more).");
		return;
	}
	const json_t *recipients = json_object_get(m, "recipients");
	html_begin(v, str(m, "queue_id"), "");
	HTML(b, "<h1>Message <code>{}</code></h1>\n", str(m, "queue_id"));
	put_buttons(v, str(m, "queue_id"));
	for (size_t i = 0; i < json_array_size(recipients); i++)
		put_recipient(b, m, json_array_get(recipients, i), v->ask[1].lines);
	put_envelope(b, m);
	if (json_array_size(v->ask[2].lines) > 0) {
		buf_add_str(b, "<h2>All that happened</h2>\n");
		history_list(v, v->ask[2].lines);
	}
	html_end(v);
	visit_answer(v, 200);
}

static json_t *
about(const char *cmd, const char *id)
{
	return json_pack("{s:i,s:s,s:i,s:{s:s}}", "v", 1, "cmd", cmd, "limit", 200,
	    "selector", "id", id);
}

void
message_serve(struct page *p, struct http_client *c, const struct http_request *r)
{
	static const struct span dir = {"/message/", 9};
	char id[SPOOL_ID_LEN + 1];
	uint64_t number;
	struct span name = span_cut(r->path, dir.n, r->path.n);
	struct visit *v = visit_new(p, c, r, render);
	if (!spool_id_parse(name, &number)) {
		html_sorry(v, 404, "No such page",
		    "A message's id has 13 letters and "
		    "digits.");
		visit_end(v);
		return;
	}
	spool_id_format(number, id);
	if (v->signed_in) {
		visit_ask(v, about("show", id));
		visit_ask(v, about("why", id));
		visit_ask(v, about("history", id));
	}
	visit_go(v);
}
