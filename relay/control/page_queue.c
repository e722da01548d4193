/* SPDX-License-Identifier: ISC */
/* page_queue - what waits: searched with control's selector, ticked, acted upon. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "relay/control/page_private.h"

#define SHOWN 100 /* messages on one page */

static const char *
str(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));
	return s != NULL ? s : "";
}

/* ---- the search */

static const struct {
	const char *name, *title, *hint;
} fields[] = {
    {"id", "Id", "0ABC..."},
    {"from", "From", "*@example.org"},
    {"to", "To", "ann@*"},
    {"domain", "Domain", "example.org"},
    {"code", "Reply", "451 or 4.7.1"},
    {"older", "Older than", "2h"},
};

static const char *const states[] = {"new", "deferred", "held", "aside"};

/* Well-formed UTF-8 only: whatever else a link holds is left out. */
static void
take(json_t *selector, struct span query, const char *name)
{
	struct buf b;
	buf_init(&b, 1024);
	if (form_get(query, name, 0, &b)) {
		struct span s = span_trim(buf_span(&b));
		json_t *value = s.n > 0 ? json_stringn(s.p, s.n) : NULL;
		if (value != NULL)
			(void)json_object_set_new(selector, name, value);
	}
	buf_clear(&b);
}

json_t *
query_selector(struct span query)
{
	json_t *s = json_object();
	for (size_t i = 0; i < COUNT_OF(fields); i++)
		take(s, query, fields[i].name);
	take(s, query, "state");
	if (json_object_size(s) > 0)
		return s;
	json_decref(s);
	return NULL;
}

static void
put_search(struct visit *v, const json_t *selector)
{
	struct buf *b = &v->out;
	const char *state = str(selector, "state");
	buf_add_str(b, "<form class=\"card search\" method=\"get\" action=\"/queue\" "
		       "role=\"search\" aria-label=\"Messages that wait\">\n");
	for (size_t i = 0; i < COUNT_OF(fields); i++)
		HTML(b,
		    "<p><label for=\"s-{}\">{}</label><input id=\"s-{}\" name=\"{}\" "
		    "value=\"{}\" placeholder=\"{}\" autocapitalize=\"none\" "
		    "spellcheck=\"false\" maxlength=\"300\"></p>\n",
		    fields[i].name, fields[i].title, fields[i].name, fields[i].name,
		    str(selector, fields[i].name), fields[i].hint);
	buf_add_str(b, "<p><label for=\"s-state\">State</label><select id=\"s-state\" "
		       "name=\"state\"><option value=\"\">any</option>");
	for (size_t i = 0; i < COUNT_OF(states); i++)
		HTML(b,
		    strcmp(states[i], state) == 0 ? "<option selected>{}</option>"
						  : "<option>{}</option>",
		    states[i]);
	buf_add_str(b,
	    "</select></p>\n<p class=\"go\"><button class=\"main\">Search</button> "
	    "<a href=\"/queue\">All</a></p>\n</form>\n");
}

/* ---- the list */

static void
put_recipient(struct buf *b, const json_t *r)
{
	buf_add_str(b, "<li>");
	html_state(b, str(r, "state"));
	HTML(b, " <span class=\"address\">{}</span>", str(r, "address"));
	if (str(r, "delay_reason")[0] != '\0')
		HTML(b, "<small class=\"reply\">{}</small>", str(r, "delay_reason"));
	buf_add_str(b, "</li>");
}

/* The soonest of its recipients' next attempts, in local time. */
static struct text
next_of(const json_t *recipients)
{
	const char *soonest = "";
	for (size_t i = 0; i < json_array_size(recipients); i++) {
		const char *t = str(json_array_get(recipients, i), "next_attempt");
		if (t[0] != '\0' && (soonest[0] == '\0' || strcmp(t, soonest) < 0))
			soonest = t;
	}
	return text_iso(soonest);
}

static void
put_message(struct visit *v, const json_t *m)
{
	struct buf *b = &v->out;
	const char *id = str(m, "queue_id"), *sender = str(m, "sender");
	const json_t *recipients = json_object_get(m, "recipients");
	int64_t age = json_integer_value(json_object_get(m, "age_s"));
	int64_t size = json_integer_value(json_object_get(m, "message_size"));
	size_t n = json_array_size(recipients);
	HTML(b,
	    "<tr role=\"row\"><td role=\"cell\" class=\"tick\"><input type=\"checkbox\" "
	    "name=\"id\" value=\"{}\" aria-label=\"Select {}\"></td>"
	    "<th role=\"rowheader\" scope=\"row\"><a href=\"/message/{}\">{}</a></th>"
	    "<td role=\"cell\" class=\"n\" data-label=\"Age\">{}</td>"
	    "<td role=\"cell\" class=\"n\" data-label=\"Size\">{}</td>"
	    "<td role=\"cell\" class=\"address\" data-label=\"From\">{}</td>"
	    "<td role=\"cell\" data-label=\"To\"><ul class=\"to\">",
	    id, id, id, id, text_ms(age * 1000).s,
	    text_size(size > 0 ? (uint64_t)size : 0).s, sender[0] ? sender : "<>");
	for (size_t i = 0; i < n && i < 3; i++)
		put_recipient(b, json_array_get(recipients, i));
	if (n > 3)
		HTML(b, "<li><a href=\"/message/{}\">and {} more</a></li>", id,
		    text_number(n - 3).s);
	struct text next = next_of(recipients);
	HTML(b,
	    "</ul></td><td role=\"cell\" class=\"when\" data-label=\"Next "
	    "attempt\">{}</td></tr>\n",
	    next.s[0] != '\0' ? next.s : "-");
}

static void
put_actions(struct buf *b)
{
	buf_add_str(b,
	    "<div class=\"actions\" role=\"group\" aria-label=\"What to do with the "
	    "ticked "
	    "messages\">"
	    "<label class=\"all\"><input type=\"checkbox\" data-all> all on this "
	    "page</label> "
	    "<button name=\"do\" value=\"retry\" class=\"main\">Retry now</button> "
	    "<button name=\"do\" value=\"hold\">Hold</button> "
	    "<button name=\"do\" value=\"release\">Release</button> "
	    "<button name=\"do\" value=\"bounce\" class=\"danger\">Bounce</button> "
	    "<button name=\"do\" value=\"delete\" class=\"danger\">Delete</button>"
	    "</div>\n");
}

static void
put_list(struct visit *v, const json_t *lines)
{
	struct buf *b = &v->out;
	size_t n = json_array_size(lines);
	buf_add_str(b, "<form class=\"card\" method=\"post\" action=\"/act\">\n");
	html_token(v);
	buf_add_str(b, "<table class=\"rows queue\" role=\"table\">"
		       "<caption class=\"hide\">Messages that wait</caption>"
		       "<thead role=\"rowgroup\"><tr role=\"row\">"
		       "<th role=\"columnheader\" scope=\"col\"><span "
		       "class=\"hide\">Select</span></th>"
		       "<th role=\"columnheader\" scope=\"col\">Id</th>"
		       "<th role=\"columnheader\" scope=\"col\" class=\"n\">Age</th>"
		       "<th role=\"columnheader\" scope=\"col\" class=\"n\">Size</th>"
		       "<th role=\"columnheader\" scope=\"col\">From</th>"
		       "<th role=\"columnheader\" scope=\"col\">To</th>"
		       "<th role=\"columnheader\" scope=\"col\">Next attempt</th>"
		       "</tr></thead><tbody role=\"rowgroup\">\n");
	for (size_t i = 0; i < n && i < SHOWN; i++)
		put_message(v, json_array_get(lines, i));
	buf_add_str(b, "</tbody></table>\n");
	put_actions(b);
	buf_add_str(b, "</form>\n");
	if (n > SHOWN)
		HTML(b,
		    "<p class=\"hint\">The first {}; there are more. Search for what you "
		    "need, or use relayctl queue.</p>\n",
		    text_number(SHOWN).s);
}

static void
render(struct visit *v)
{
	struct buf *b = &v->out;
	if (!visit_signed_in(v, v->target))
		return;
	const struct visit_ask *a = &v->ask[0];
	html_begin(v, "Queue", "/queue");
	buf_add_str(b, "<h1>Queue</h1>\n");
	put_search(v, json_object_get(a->request, "selector"));
	if (a->status == 2)
		HTML(b, "<p class=\"trouble\" role=\"alert\">{}</p>\n",
		    a->error != NULL ? a->error : "That cannot be searched for.");
	else if (json_array_size(a->lines) == 0)
		buf_add_str(
		    b, json_object_get(a->request, "selector") != NULL
			   ? "<p class=\"card empty\">Nothing that waits is like this."
			     "</p>\n"
			   : "<p class=\"card empty\">Nothing waits. All mail is "
			     "where it should be.</p>\n");
	else
		put_list(v, a->lines);
	html_end(v);
	visit_answer(v, 200);
}

void
queue_serve(struct page *p, struct http_client *c, const struct http_request *r)
{
	struct visit *v = visit_new(p, c, r, render);
	if (v->signed_in) {
		json_t *ask = json_pack(
		    "{s:i,s:s,s:i}", "v", 1, "cmd", "queue", "limit", SHOWN + 1);
		json_t *selector = query_selector(v->query);
		if (selector != NULL)
			(void)json_object_set_new(ask, "selector", selector);
		visit_ask(v, ask);
	}
	visit_go(v);
}
