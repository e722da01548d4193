/* SPDX-License-Identifier: ISC */
/*
 * page_history - what became of mail, by control's command "history": the newest first.
 * Without a search it shows the last hour.
 */
#include <string.h>

#include "base/mem.h"
#include "relay/control/page_private.h"

#define SHOWN 200

/* A column, and the members that may hold it, the best first. */
static const struct column {
	const char *title;
	const char *member[3];
} columns[] = {
    {"When", {"time"}},
    {"What", {"event"}},
    {"Id", {"queue_id"}},
    {"From", {"sender"}},
    {"To", {"address", "mailbox"}},
    {"Where", {"host", "destination", "client"}},
    {"Reply", {"reply"}},
};

static struct text
time_of(const json_t *value)
{
	if (json_is_integer(value))
		return text_time(json_integer_value(value));
	return text_iso(json_is_string(value) ? json_string_value(value) : "");
}

static void
put_cell(struct buf *b, const struct column *col, const json_t *event)
{
	const json_t *value = NULL;
	for (size_t i = 0; i < COUNT_OF(col->member) && col->member[i] != NULL; i++) {
		value = json_object_get(event, col->member[i]);
		if (json_is_integer(value) ||
		    (json_is_string(value) && json_string_length(value) > 0))
			break;
	}
	const char *text = json_is_string(value) ? json_string_value(value) : "";
	HTML(b, "<td role=\"cell\" data-label=\"{}\">", col->title);
	if (col == &columns[0])
		HTML(b, "{}", time_of(value).s);
	else if (col == &columns[1])
		html_state(b, text);
	else if (col == &columns[2])
		HTML(b, "<a href=\"/message/{}\">{}</a>", text, text);
	else
		HTML(b, "<span class=\"address\">{}</span>", text);
	buf_add_str(b, "</td>");
}

void
history_list(struct visit *v, const json_t *events)
{
	struct buf *b = &v->out;
	buf_add_str(b, "<div class=\"card\"><table class=\"rows\" role=\"table\">"
		       "<caption class=\"hide\">What happened</caption>"
		       "<thead role=\"rowgroup\"><tr role=\"row\">");
	for (size_t k = 0; k < COUNT_OF(columns); k++)
		HTML(b, "<th role=\"columnheader\" scope=\"col\">{}</th>",
		    columns[k].title);
	buf_add_str(b, "</tr></thead><tbody role=\"rowgroup\">\n");
	for (size_t i = json_array_size(events); i-- > 0;) {
		buf_add_str(b, "<tr role=\"row\">");
		for (size_t k = 0; k < COUNT_OF(columns); k++)
			put_cell(b, &columns[k], json_array_get(events, i));
		buf_add_str(b, "</tr>\n");
	}
	buf_add_str(b, "</tbody></table></div>\n");
}

/* ---- the search */

static const struct field {
	const char *name, *title, *hint;
	bool selects; /* a member of the selector, or of the request */
} fields[] = {
    {"id", "Id", "0ABC...", true},
    {"from", "From", "*@example.org", true},
    {"to", "To", "ann@*", true},
    {"msgid", "Message-ID", "<...>", false},
    {"since", "Since", "2d, or a date", false},
};

static void
put_search(struct visit *v)
{
	struct buf *b = &v->out;
	struct buf value;
	buf_init(&value, 1024);
	buf_add_str(b, "<form class=\"card search\" method=\"get\" action=\"/history\" "
		       "role=\"search\" aria-label=\"What became of mail\">\n");
	for (size_t i = 0; i < COUNT_OF(fields); i++) {
		if (!form_get(v->query, fields[i].name, 0, &value))
			buf_reset(&value);
		buf_add_char(&value, '\0');
		HTML(b,
		    "<p><label for=\"h-{}\">{}</label><input id=\"h-{}\" name=\"{}\" "
		    "value=\"{}\" placeholder=\"{}\" autocapitalize=\"none\" "
		    "spellcheck=\"false\" maxlength=\"300\"></p>\n",
		    fields[i].name, fields[i].title, fields[i].name, fields[i].name,
		    value.p, fields[i].hint);
		buf_reset(&value);
	}
	buf_add_str(b, "<p class=\"go\"><button class=\"main\">Search</button> "
		       "<a href=\"/history\">The last hour</a></p></form>\n");
	buf_clear(&value);
}

static void
render(struct visit *v)
{
	struct buf *b = &v->out;
	if (!visit_signed_in(v, v->target))
		return;
	html_begin(v, "History", "/history");
	buf_add_str(b, "<h1>History</h1>\n");
	put_search(v);
	const struct visit_ask *a = &v->ask[0];
	size_t n = json_array_size(a->lines);
	if (a->status == 2)
		HTML(b, "<p class=\"trouble\" role=\"alert\">{}</p>\n",
		    a->error != NULL ? a->error : "That cannot be searched for.");
	else if (n == 0)
		buf_add_str(
		    b, "<p class=\"card empty\">Nothing like this in the history.</p>\n");
	else
		history_list(v, a->lines);
	if (n == SHOWN)
		HTML(b,
		    "<p class=\"hint\">The newest {}; search, or use relayctl "
		    "history.</p>\n",
		    text_number(SHOWN).s);
	html_end(v);
	visit_answer(v, 200);
}

/* True: something was searched for. */
static bool
take_fields(json_t *ask, struct span query)
{
	json_t *selector = json_object();
	struct buf b;
	buf_init(&b, 1024);
	bool any = false;
	for (size_t i = 0; i < COUNT_OF(fields); i++) {
		if (!form_get(query, fields[i].name, 0, &b))
			continue;
		struct span s = span_trim(buf_span(&b));
		json_t *value = s.n > 0 ? json_stringn(s.p, s.n) : NULL;
		if (value == NULL)
			continue;
		any = true;
		(void)json_object_set_new(
		    fields[i].selects ? selector : ask, fields[i].name, value);
	}
	(void)json_object_set_new(ask, "selector", selector);
	buf_clear(&b);
	return any;
}

void
history_serve(struct page *p, struct http_client *c, const struct http_request *r)
{
	struct visit *v = visit_new(p, c, r, render);
	v->last = SHOWN;
	if (v->signed_in) {
		json_t *ask = json_pack("{s:i,s:s}", "v", 1, "cmd", "history");
		if (!take_fields(ask, v->query))
			(void)json_object_set_new(ask, "since", json_string("1h"));
		visit_ask(v, ask);
	}
	visit_go(v);
}
