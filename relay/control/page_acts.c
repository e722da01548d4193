/* SPDX-License-Identifier: ISC */
/*
 * page_acts - what forms do: the same requests that relayctl sends, in the name of the
 * account that has signed in.  What cannot be undone (bounce, delete) is asked about
 * first, with the messages that it concerns.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "relay/control/page_private.h"

#define IDS_MAX 100 /* messages of one form */

static const struct verb {
	const char *name, *one,
	    *done;  /* "1 recipient is held", "3 recipients are held" */
	bool final; /* asked about first */
	bool whole; /* of a destination, not of messages */
} verbs[] = {
    {"retry", "is tried now", "are tried now", false, false},
    {"hold", "is held", "are held", false, false},
    {"release", "is released", "are released", false, false},
    {"bounce", "was returned to its sender", "were returned to their sender", true,
	false},
    {"delete", "was deleted", "were deleted", true, false},
    {"pause", "is paused", "", false, true},
    {"resume", "goes on", "", false, true},
};

static const struct verb *
verb_find(struct span name)
{
	for (size_t i = 0; i < COUNT_OF(verbs); i++)
		if (span_eq(name, span_str(verbs[i].name)))
			return &verbs[i];
	return NULL;
}

/* ---- afterwards */

static void
tell_of(struct visit *v, char *out, size_t size)
{
	const struct verb *verb = verb_find(span_str(v->verb));
	json_int_t applied = 0;
	const char *trouble = NULL;
	for (size_t i = 0; i < v->asks; i++) {
		const json_t *line = json_array_get(v->ask[i].lines, 0);
		applied += json_integer_value(json_object_get(line, "applied"));
		if (v->ask[i].status != 0 && v->ask[i].error != NULL)
			trouble = v->ask[i].error;
	}
	if (verb->whole && trouble == NULL)
		(void)snprintf(out, size, "%s %s.",
		    json_string_value(json_object_get(v->ask[0].request, "what")),
		    verb->one);
	else if (trouble != NULL && applied == 0)
		(void)snprintf(out, size, "Nothing was done: %s.", trouble);
	else
		(void)snprintf(out, size, "%lld recipient%s %s.%s%s%s",
		    (long long)applied, applied == 1 ? "" : "s",
		    applied == 1 ? verb->one : verb->done, trouble ? " Others not: " : "",
		    trouble ? trouble : "", trouble ? "." : "");
}

static void
render(struct visit *v)
{
	if (v->session != NULL)
		tell_of(v, v->session->notice, sizeof(v->session->notice));
	visit_redirect(v, v->back);
}

/* ---- first */

/* A page that lists what will go, with the same form and one button. */
static void
render_question(struct visit *v)
{
	struct buf *b = &v->out;
	bool bounce = strcmp(v->verb, "bounce") == 0;
	if (!visit_signed_in(v, "/"))
		return;
	mem_free(&v->target);
	v->target = mem_strdup(v->back);
	html_begin(v, bounce ? "Bounce?" : "Delete?", "");
	HTML(b, "<section class=\"card sure\"><h1>{}</h1>\n<p>{}</p>\n<ul>\n",
	    bounce ? "Return to the sender?" : "Delete for good?",
	    bounce ? "Each sender gets a notice that the mail was returned by the "
		     "administrator of this relay."
		   : "Nobody is told. The mail is gone.");
	for (size_t i = 0; i < v->asks; i++) {
		const json_t *id =
		    json_object_get(json_object_get(v->ask[i].request, "selector"), "id");
		const json_t *line = json_array_get(v->ask[i].lines, 0);
		json_int_t n = json_integer_value(json_object_get(line, "matched"));
		HTML(b, "<li><code>{}</code>, {} recipient{}</li>\n",
		    json_string_value(id), text_number(n > 0 ? (uint64_t)n : 0).s,
		    n == 1 ? "" : "s");
	}
	buf_add_str(b, "</ul>\n<form method=\"post\" action=\"/act\">");
	html_token(v);
	for (size_t i = 0; i < v->asks; i++) {
		const json_t *id =
		    json_object_get(json_object_get(v->ask[i].request, "selector"), "id");
		HTML(b, "<input type=\"hidden\" name=\"id\" value=\"{}\">",
		    json_string_value(id));
	}
	HTML(b,
	    "<input type=\"hidden\" name=\"sure\" value=\"yes\">"
	    "<div class=\"actions\"><button name=\"do\" value=\"{}\" class=\"danger\" "
	    "autofocus>{}</button> <a class=\"button\" href=\"{}\">No, go back</a></div>"
	    "</form></section>\n",
	    v->verb, bounce ? "Return them" : "Delete them", v->back);
	html_end(v);
	visit_answer(v, 200);
}

/* ---- what a form asks for */

static bool
is_sure(const struct http_request *r)
{
	struct buf b;
	buf_init(&b, 20);
	bool yes = form_get(r->body, "sure", 0, &b) && span_eq(buf_span(&b), SPAN("yes"));
	buf_clear(&b);
	return yes;
}

static void
ask_messages(
    struct visit *v, const struct http_request *r, const struct verb *verb, bool question)
{
	struct buf id;
	buf_init(&id, 100);
	for (unsigned i = 0; i < IDS_MAX && form_get(r->body, "id", i, &id); i++) {
		json_t *text = json_stringn(id.p != NULL ? id.p : "", id.n);
		if (text != NULL)
			visit_ask(v,
			    json_pack("{s:i,s:s,s:b,s:{s:o}}", "v", 1, "cmd", verb->name,
				"dry_run", question, "selector", "id", text));
	}
	buf_clear(&id);
}

static void
ask_destination(struct visit *v, const struct http_request *r, const struct verb *verb)
{
	struct buf what;
	buf_init(&what, 400);
	if (form_get(r->body, "what", 0, &what) && what.n > 0) {
		json_t *text = json_stringn(what.p, what.n);
		if (text != NULL)
			visit_ask(
			    v, json_pack("{s:i,s:s,s:o,s:s}", "v", 1, "cmd", verb->name,
				   "what", text, "reason", "from the status page"));
	}
	buf_clear(&what);
}

static void
begin(struct page *p, struct http_client *c, const struct http_request *r,
    const struct verb *verb)
{
	bool question = verb->final && !is_sure(r);
	struct visit *v = visit_new(p, c, r, question ? render_question : render);
	v->back = form_back(r);
	v->verb = mem_strdup(verb->name);
	v->acts = !question;
	if (verb->whole)
		ask_destination(v, r, verb);
	else
		ask_messages(v, r, verb, question);
	if (v->asks == 0) {
		(void)snprintf(v->session->notice, sizeof(v->session->notice),
		    "Nothing was done: tick a message first.");
		visit_redirect(v, v->back);
		visit_end(v);
		return;
	}
	visit_go(v);
}

void
acts_serve(struct page *p, struct http_client *c, const struct http_request *r)
{
	struct buf name;
	struct page_session *s = session_of(p, r);
	buf_init(&name, 40);
	const struct verb *verb =
	    form_get(r->body, "do", 0, &name) ? verb_find(buf_span(&name)) : NULL;
	if (s == NULL)
		page_signin(p, c, "/", SIGNIN_FIRST);
	else if (!form_is_ours(s, r))
		page_say(c, 403,
		    "This form is too old, or not ours. Go back and load the "
		    "page again.");
	else if (verb == NULL)
		page_say(c, 400, "What shall be done?");
	else
		begin(p, c, r, verb);
	buf_clear(&name);
}
