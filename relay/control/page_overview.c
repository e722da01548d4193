/* SPDX-License-Identifier: ISC */
/*
 * page_overview - how the relay does, at a glance.  What stands in <div id="live"> is
 * also served alone (/live): the script puts it in place every few seconds.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"
#include "relay/control/page_private.h"

#define SHOWN 100 /* destinations on one page */
#define SKIP_MAX 100000000

/* ---- what kind of day it is */

/* "1 destination", "3 destinations" */
static const char *
destinations(uint64_t n, char *room, size_t size)
{
	(void)snprintf(
	    room, size, "%llu destination%s", (unsigned long long)n, n == 1 ? "" : "s");
	return room;
}

static void
put_headline(struct visit *v)
{
	struct page *p = v->page;
	const char *why = p->o.host.not_ready(p->o.host.arg), *kind = "warn";
	struct scheduler_status s;
	char text[300], n[60];
	scheduler_status(p->o.scheduler, &s);
	if (why != NULL) {
		kind = "bad";
		(void)snprintf(text, sizeof(text), "New mail is turned away: %s.", why);
	} else if (p->survey.stuck > 0) {
		kind = "bad";
		(void)snprintf(text, sizeof(text),
		    "%llu recipients are stuck: nobody will come back for them.",
		    (unsigned long long)p->survey.stuck);
	} else if (s.paused > 0) {
		(void)snprintf(text, sizeof(text),
		    "Taking mail; delivery to %s is paused.",
		    destinations(s.paused, n, sizeof(n)));
	} else if (s.down > 0) {
		(void)snprintf(text, sizeof(text), "Taking mail; %s cannot be reached.",
		    destinations(s.down, n, sizeof(n)));
	} else {
		kind = "good";
		(void)snprintf(text, sizeof(text), "Taking mail and delivering it.");
	}
	HTML(&v->out, "<p class=\"headline {}\" data-headline>{}</p>\n", kind, text);
}

/* ---- figures */

static void
put_tile(struct buf *b, const char *name, const char *value, const char *about)
{
	HTML(b, "<div class=\"tile\"><dt>{}</dt><dd>{}<small>{}</small></dd></div>\n",
	    name, value, about);
}

struct change {
	uint64_t accepted, delivered, deferred, bounced;
	int64_t ms;
};

static struct change
last_hour(const struct page *p)
{
	struct sample a = figures_since(p);
	struct change d = {
	    .accepted = page_load(&p->o.ingress->messages) - a.accepted,
	    .delivered = page_load(&p->o.egress->delivered) - a.delivered,
	    .deferred = page_load(&p->o.egress->deferred) - a.deferred,
	    .bounced = page_load(&p->o.egress->failed) - a.bounced,
	    .ms = wall_since(world_wall(loop_world(p->o.loop)), a.at),
	};
	return d;
}

static void
put_tiles(struct visit *v)
{
	struct buf *b = &v->out;
	struct page *p = v->page;
	const struct spool_stat *s = &p->figures.stat;
	struct change d = last_hour(p);
	struct scheduler_status sch;
	char text[100], since[100];
	scheduler_status(p->o.scheduler, &sch);
	(void)snprintf(since, sizeof(since), "in %s", text_ms(d.ms).s);
	buf_add_str(b, "<dl class=\"tiles\">\n");
	uint64_t waiting = s->messages - s->kept;
	struct wall oldest = p->survey.last.oldest;
	if (waiting > 0 && oldest.ms != 0)
		(void)snprintf(text, sizeof(text), "oldest %s",
		    text_ms(wall_since(world_wall(loop_world(p->o.loop)), oldest)).s);
	else
		(void)snprintf(text, sizeof(text), "messages");
	put_tile(b, "Waiting", text_number(waiting).s, text);
	put_tile(b, "Accepted", text_number(d.accepted).s, since);
	put_tile(b, "Delivered", text_number(d.delivered).s, since);
	put_tile(b, "Deferred", text_number(d.deferred).s, since);
	put_tile(b, "Bounced", text_number(d.bounced).s, since);
	(void)snprintf(
	    text, sizeof(text), "%llu running", (unsigned long long)sch.running);
	put_tile(
	    b, "Connections", text_number(p->o.host.sessions(p->o.host.arg)).s, text);
	(void)snprintf(text, sizeof(text), "free; %s used", text_size(s->bytes).s);
	put_tile(b, "Spool", text_size(s->disk_free).s, text);
	buf_add_str(b, "</dl>\n");
}

/* ---- how old is what waits */

static void
put_ages(struct visit *v)
{
	struct buf *b = &v->out;
	const struct survey *s = &v->page->survey;
	static const char *const ages[SURVEY_AGES] = {
	    "up to 1 m", "5 m", "30 m", "2 h", "8 h", "1 d", "3 d", "older"};
	if (!s->known || s->last.messages == 0)
		return;
	buf_add_str(b, "<section class=\"card\"><h2>How old is what waits</h2>\n"
		       "<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
		       "aria-label=\"Ages of what waits\"><table class=\"ages\">"
		       "<caption class=\"hide\">Recipients by state and age</caption>\n"
		       "<thead><tr><th scope=\"col\">State</th>");
	for (size_t k = 0; k < SURVEY_AGES; k++)
		HTML(b, "<th scope=\"col\" class=\"n\">{}</th>", ages[k]);
	buf_add_str(b, "</tr></thead><tbody>\n");
	for (size_t i = 0; i < SURVEY_STATES; i++) {
		HTML(b, "<tr><th scope=\"row\">");
		html_state(b, survey_state_name[i]);
		buf_add_str(b, "</th>");
		for (size_t k = 0; k < SURVEY_AGES; k++) {
			uint64_t n = s->last.recipients[i][k];
			HTML(b,
			    n > 0 ? "<td class=\"n\">{}</td>"
				  : "<td class=\"n none\">{}</td>",
			    text_number(n).s);
		}
		buf_add_str(b, "</tr>\n");
	}
	HTML(b,
	    "</tbody></table></div>\n<p class=\"hint\">Recipients; counted {} ago.</p>"
	    "</section>\n",
	    text_ms(instant_since(loop_now(v->page->o.loop), s->finished)).s);
}

/* ---- destinations, for who has signed in */

static bool
wants_day(const struct visit *v)
{
	struct buf span;
	buf_init(&span, 20);
	bool day =
	    form_get(v->query, "span", 0, &span) && span_eq(buf_span(&span), SPAN("day"));
	buf_clear(&span);
	return day;
}

static const char *
str(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));
	return s != NULL ? s : "";
}

static uint64_t
num(const json_t *o, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(o, name));
	return n > 0 ? (uint64_t)n : 0;
}

static void
put_destination(struct visit *v, const json_t *d)
{
	struct buf *b = &v->out;
	const char *key = str(d, "destination"), *state = str(d, "state");
	bool paused = strcmp(state, "paused") == 0;
	HTML(b,
	    "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}</th>"
	    "<td role=\"cell\" data-label=\"State\">",
	    key);
	html_state(b, state);
	HTML(b,
	    "</td><td role=\"cell\" class=\"n\" data-label=\"Running\">{} of {}</td>"
	    "<td role=\"cell\" class=\"n\" data-label=\"Ready\">{}</td>"
	    "<td role=\"cell\" data-label=\"Next attempt\">{}</td>"
	    "<td role=\"cell\" class=\"reply\" data-label=\"Last error\">{}</td>"
	    "<td role=\"cell\"><form method=\"post\" action=\"/act\">",
	    text_number(num(d, "running")).s, text_number(num(d, "window")).s,
	    text_number(num(d, "ready")).s, text_time((int64_t)num(d, "next_attempt")).s,
	    str(d, "reason"));
	html_token(v);
	HTML(b,
	    "<input type=\"hidden\" name=\"what\" value=\"{}\">"
	    "<button name=\"do\" value=\"{}\">{}<span class=\"hide\"> {}</span></button>"
	    "</form></td></tr>\n",
	    key, paused ? "resume" : "pause", paused ? "Go on" : "Pause", key);
}

/* A link to another part of the list. */
static void
put_turn(struct visit *v, uint64_t skip, const char *title)
{
	struct buf *b = &v->out;
	buf_addf(b,
	    "<a href=\"/?%sskip=%llu&amp;find=", wants_day(v) ? "span=day&amp;" : "",
	    (unsigned long long)skip);
	form_add(b, span_str(str(v->ask[0].request, "match")));
	HTML(b, "#destinations\">{}</a> ", title);
}

static void
put_finder(struct visit *v)
{
	struct buf *b = &v->out;
	buf_add_str(b,
	    "<form class=\"finder\" method=\"get\" action=\"/\" role=\"search\" "
	    "aria-label=\"Destinations\">");
	if (wants_day(v))
		buf_add_str(b, "<input type=\"hidden\" name=\"span\" value=\"day\">");
	HTML(b,
	    "<input name=\"find\" value=\"{}\" aria-label=\"Find a destination\" "
	    "placeholder=\"example.org\" autocapitalize=\"none\" spellcheck=\"false\" "
	    "maxlength=\"300\"> <button>Find</button></form>\n",
	    str(v->ask[0].request, "match"));
}

static void
put_destinations(struct visit *v)
{
	struct buf *b = &v->out;
	const json_t *lines = v->ask[0].lines;
	uint64_t skip = num(v->ask[0].request, "skip");
	bool searched = str(v->ask[0].request, "match")[0] != '\0';
	size_t n = json_array_size(lines);
	buf_add_str(
	    b, "<section class=\"card\" id=\"destinations\"><h2>Destinations</h2>\n");
	if (n > SHOWN || skip > 0 || searched)
		put_finder(v);
	if (n == 0) {
		HTML(b, "<p class=\"empty\">{}</p>",
		    searched || skip > 0 ? "There is none like this."
					 : "Nothing waits for anyone.");
		if (searched || skip > 0)
			buf_add_str(
			    b, "<p class=\"hint\"><a href=\"/\">All of them</a></p>");
		buf_add_str(b, "</section>\n");
		return;
	}
	buf_add_str(b, "<table class=\"rows\" role=\"table\"><thead "
		       "role=\"rowgroup\"><tr role=\"row\">"
		       "<th role=\"columnheader\" scope=\"col\">Destination</th>"
		       "<th role=\"columnheader\" scope=\"col\">State</th>"
		       "<th role=\"columnheader\" scope=\"col\" class=\"n\">Running</th>"
		       "<th role=\"columnheader\" scope=\"col\" class=\"n\">Ready</th>"
		       "<th role=\"columnheader\" scope=\"col\">Next attempt</th>"
		       "<th role=\"columnheader\" scope=\"col\">Last error</th>"
		       "<th role=\"columnheader\" scope=\"col\"><span "
		       "class=\"hide\">Action</span></th>"
		       "</tr></thead><tbody role=\"rowgroup\">\n");
	for (size_t i = 0; i < n && i < SHOWN; i++)
		put_destination(v, json_array_get(lines, i));
	buf_add_str(b, "</tbody></table>\n");
	if (skip > 0 || n > SHOWN) {
		buf_add_str(b, "<p class=\"hint turn\">");
		if (skip > 0)
			put_turn(v, skip > SHOWN ? skip - SHOWN : 0, "Those before");
		HTML(b, "{} to {} ", text_number(skip + 1).s,
		    text_number(skip + (n < SHOWN ? n : SHOWN)).s);
		if (n > SHOWN)
			put_turn(v, skip + SHOWN, "Those after");
		buf_add_str(b, "</p>\n");
	}
	buf_add_str(b, "</section>\n");
}

/* ---- pausing everything */

static void
put_switch(struct visit *v, const char *what, const char *title, bool paused)
{
	struct buf *b = &v->out;
	HTML(b,
	    "<form method=\"post\" action=\"/act\" class=\"switch\"><span>{}{}</span> ",
	    title, paused ? " is paused" : "");
	html_token(v);
	HTML(b,
	    "<input type=\"hidden\" name=\"what\" value=\"{}\">"
	    "<button name=\"do\" value=\"{}\">{}<span class=\"hide\"> {}</span>"
	    "</button></form>\n",
	    what, paused ? "resume" : "pause", paused ? "Go on" : "Pause", title);
}

static void
put_switches(struct visit *v)
{
	struct page *p = v->page;
	struct scheduler_status s;
	scheduler_status(p->o.scheduler, &s);
	buf_add_str(&v->out, "<section class=\"card switches\"><h2>All of it</h2>\n");
	put_switch(v, "in", "Taking mail", p->o.host.paused_in(p->o.host.arg));
	put_switch(v, "out", "Delivering mail", s.all_paused);
	buf_add_str(&v->out, "</section>\n");
}

/* ---- the page */

static void
put_plots(struct visit *v)
{
	struct buf *b = &v->out;
	bool day = wants_day(v);
	const struct series *s = day ? &v->page->figures.day : &v->page->figures.hour;
	buf_add_str(
	    b, "<section class=\"card plots\" aria-label=\"Plots\">\n<p class=\"tabs\">");
	buf_add_str(b, day ? "<a href=\"/\">Hour</a> <a href=\"/?span=day\" "
			     "aria-current=\"true\">Day</a>"
			   : "<a href=\"/\" aria-current=\"true\">Hour</a> "
			     "<a href=\"/?span=day\">Day</a>");
	buf_add_str(b, "</p>\n<div class=\"pair\">");
	plot_rates(b, s, day ? "day" : "hour");
	plot_queue(b, s, day ? "day" : "hour");
	buf_add_str(b, "</div></section>\n");
}

static void
put_live(struct visit *v)
{
	put_headline(v);
	put_tiles(v);
	put_plots(v);
	put_ages(v);
	if (v->signed_in) {
		put_destinations(v);
		put_switches(v);
	}
}

static void
render_live(struct visit *v)
{
	/* forms come back to the page, not to its part */
	struct buf target;
	buf_init(&target, 64u << 10);
	buf_addf(&target, "/%s%.*s", v->query.n > 0 ? "?" : "", SPAN_ARG(v->query));
	size_t n = v->query.n;
	mem_free(&v->target);
	v->target = buf_take(&target);
	v->query = span_cut(span_str(v->target), strlen(v->target) - n, n);
	put_live(v);
	visit_answer(v, 200);
}

static void
render(struct visit *v)
{
	struct buf *b = &v->out;
	html_begin(v, "Overview", "/");
	HTML(b,
	    "<h1 class=\"hide\">Overview</h1>\n"
	    "<p class=\"hide\" role=\"status\" id=\"spoken\"></p>\n"
	    "<div id=\"live\" data-from=\"/live{}{}\">\n",
	    v->query.n > 0 ? "?" : "", v->query.n > 0 ? v->query.p : "");
	put_live(v);
	buf_add_str(b, "</div>\n");
	if (!v->signed_in)
		buf_add_str(b,
		    "<section class=\"card invite\"><p>Destinations, messages and "
		    "what can be done about them are shown to who has signed in."
		    "</p><a class=\"button main\" href=\"/sign-in?back=/\">Sign in"
		    "</a></section>\n");
	html_end(v);
	visit_answer(v, 200);
}

/* What of the destinations is wanted; what is no text and no number is left out. */
static void
narrow(json_t *ask, struct span query)
{
	struct buf b;
	uint64_t skip;
	buf_init(&b, 1024);
	if (form_get(query, "find", 0, &b)) {
		struct span s = span_trim(buf_span(&b));
		json_t *text = s.n > 0 ? json_stringn(s.p, s.n) : NULL;
		if (text != NULL)
			(void)json_object_set_new(ask, "match", text);
	}
	buf_reset(&b);
	if (form_get(query, "skip", 0, &b)) {
		struct scan in = scan_over(buf_span(&b));
		if (scan_u64(&in, SKIP_MAX, &skip) && scan_done(&in))
			(void)json_object_set_new(
			    ask, "skip", json_integer((json_int_t)skip));
	}
	buf_clear(&b);
}

static void
begin(struct page *p, struct http_client *c, const struct http_request *r,
    void (*then)(struct visit *v))
{
	struct visit *v = visit_new(p, c, r, then);
	if (v->signed_in) {
		json_t *ask = json_pack("{s:i,s:s,s:b,s:i}", "v", 1, "cmd", "hosts",
		    "trouble_first", 1, "limit", SHOWN + 1);
		narrow(ask, v->query);
		visit_ask(v, ask);
	}
	visit_go(v);
}

void
overview_serve(struct page *p, struct http_client *c, const struct http_request *r)
{
	begin(p, c, r, render);
}

void
live_serve(struct page *p, struct http_client *c, const struct http_request *r)
{
	begin(p, c, r, render_live);
}
