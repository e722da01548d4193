/* SPDX-License-Identifier: ISC */
/*
 * page_private - what the files of the page share:
 *
 *	page.c           life; which path is whose; who may ask at all
 *	page_figures.c   what is read every few seconds, and kept for the plots
 *	page_survey.c    the walk over the queue: how old, in which state; the watchdog
 *	page_health.c    /healthz, /readyz
 *	metrics.c        /metrics
 *	page_session.c   signing in and out, tokens against forged requests
 *	page_visit.c     one request that asks control first
 *	page_html.c      the frame of every page, escaping
 *	page_plot.c      SVG
 *	page_overview.c page_queue.c page_message.c page_history.c   the pages
 *	page_acts.c      what forms do
 */
#ifndef RELAY_CONTROL_PAGE_PRIVATE_H
#define RELAY_CONTROL_PAGE_PRIVATE_H

#include <jansson.h>

#include "base/list.h"
#include "relay/control/http.h"
#include "relay/control/page.h"

/* ---- figures (page_figures.c) */

#define SAMPLE_MS (10 * SECOND_MS)
#define SAMPLES 360         /* of each series: an hour, a day */
#define SAMPLES_PER_SLOW 24 /* four minutes */

struct sample {
	struct wall at;                                  /* 0: none */
	uint64_t accepted, delivered, deferred, bounced; /* counters as they stood */
	uint64_t messages;                               /* in the queue */
};

struct series {
	struct sample sample[SAMPLES];
	size_t next, n;
};

/* The i-th from the oldest. */
const struct sample *series_at(const struct series *s, size_t i);

struct figures {
	struct spool_query *query;
	struct timer timer;
	unsigned ticks;
	struct spool_stat stat;
	enum err err;
	struct instant read; /* when stat was */
	bool known;
	struct list waiting; /* struct figures_wait */
	struct series hour, day;
};

/* Wait for figures of this moment; told once on the main loop, maybe at once. */
struct figures_wait {
	struct link link;
	void (*told)(void *arg);
	void *arg;
};

void figures_start(struct page *p);
void figures_stop(struct page *p);
void figures_want(struct page *p, struct figures_wait *w);
/* How it was an hour ago, or when relayd was started. */
struct sample figures_since(const struct page *p);

/* ---- the survey (page_survey.c) */

#define SURVEY_AGES 8
extern const int64_t survey_age_ms[SURVEY_AGES - 1]; /* upper bounds; the last has none */
extern const char *const survey_age_name[SURVEY_AGES];

enum survey_state {
	SURVEY_NEW,
	SURVEY_DEFERRED,
	SURVEY_HELD,
	SURVEY_ASIDE,
	SURVEY_STATES
};
extern const char *const survey_state_name[SURVEY_STATES];

#define SUSPECTS_MAX 256

struct suspect {
	uint64_t id;
	uint16_t index;
};

struct tally {
	uint64_t recipients[SURVEY_STATES][SURVEY_AGES];
	uint64_t messages;
	struct wall oldest; /* arrival; 0: nothing waits */
	struct suspect suspect[SUSPECTS_MAX];
	size_t suspects;
};

struct survey {
	struct spool_query *query;
	struct timer timer;
	uint64_t after; /* the cursor */
	struct instant began;
	struct tally now, last; /* being counted; the last whole one */
	bool known;
	struct instant finished;
	int64_t took_ms;
	uint64_t stuck;  /* suspects of two surveys in a row */
	bool told_stuck; /* in the log */
};

void survey_start(struct page *p);
void survey_stop(struct page *p);

/* ---- health (page_health.c) */

struct ping {
	struct page *page;
	bool out; /* sent, and not yet back */
};

struct health_check {
	struct ping ping[PAGE_THREADS_MAX];
	struct timer deadline;
	struct list waiting; /* struct health_visit */
};

void health_start(struct page *p);
void health_stop(struct page *p);
void health_serve(struct page *p, struct http_client *c);
void ready_serve(struct page *p, struct http_client *c);

/* ---- metrics.c */
void metrics_write(struct page *p, struct buf *out);
void metrics_serve(struct page *p, struct http_client *c);

/* ---- who is signed in (page_session.c) */

#define TOKEN_LEN 64
#define SESSIONS_MAX 32

struct page_session {
	char *account;             /* NULL: nobody */
	char token[TOKEN_LEN + 1]; /* in the cookie */
	char form[TOKEN_LEN + 1];  /* in every form */
	struct instant began, used;
	char notice[400]; /* what came of the last action, shown once */
};

/* Whose request it is; NULL: nobody's who has signed in. */
struct page_session *session_of(struct page *p, const struct http_request *r);
void sessions_clear(struct page *p);
bool may_sign_in(const struct page *p, const struct http_client *c);
void session_sign_in(struct page *p, struct http_client *c, const struct http_request *r);
void session_sign_out(struct page *p, struct http_client *c, struct page_session *s);

/* A browser sends it because of a page of ours, not of another site. */
bool request_is_ours(const struct http_client *c, const struct http_request *r);
/* The page that a form wants to go back to: a path of ours. mem_free it. */
char *form_back(const struct http_request *r);
/* The form holds this session's token. */
bool form_is_ours(const struct page_session *s, const struct http_request *r);

/* ---- visits (page_visit.c) */

#define VISIT_LINES_MAX 1000
#define VISIT_OUT_MAX (4u << 20)

struct visit_ask {
	json_t *request, *lines; /* owned */
	int status;
	char *error; /* NULL: none */
};

struct visit {
	struct link link;
	struct page *page;
	struct http_client *client;   /* NULL: gone, or answered */
	struct page_session *session; /* NULL: not signed in */
	bool signed_in;
	char *account;
	char form_token[TOKEN_LEN + 1];
	char *target;      /* path and query */
	struct span query; /* in target */
	struct figures_wait wait;
	struct visit_ask *ask;
	size_t asks, at;
	struct control_client *inquiry;
	void (*render)(struct visit *v);
	struct buf out;
	size_t last; /* keep only so many lines, the last ones; 0: the first */
	/* of an action (page_acts.c) */
	bool acts;
	char *back, *verb;
};

struct visit *visit_new(struct page *p, struct http_client *c,
    const struct http_request *r, void (*render)(struct visit *v));
void visit_ask(struct visit *v, json_t *request); /* takes it */
void visit_go(struct visit *v);
void visit_answer(struct visit *v, unsigned status); /* v->out, as HTML */
void visit_redirect(struct visit *v, const char *to);
/* False: nobody has; the answer is a page to sign in on, which leads back there. */
bool visit_signed_in(struct visit *v, const char *back);
void visit_end(struct visit *v); /* answered before visit_go() */
void visits_clear(struct page *p);

/* ---- writing pages (page_html.c) */

/* Append the text with each "{}" replaced by the next of these strings, escaped.  What
 * comes from outside gets into a page in no other way. */
#define HTML(b, ...) html_fill((b), (const char *const[]){__VA_ARGS__, NULL})
void html_fill(struct buf *b, const char *const *part);
void html_escape(struct buf *b, struct span s);

struct text { /* a figure as a string, for HTML() */
	char s[64];
};
struct text text_number(uint64_t n);    /* 12 345 */
struct text text_size(uint64_t octets); /* 1.5 GiB */
struct text text_ms(int64_t ms);        /* 2h5m */
struct text text_time(int64_t seconds); /* local time; "" for 0 */
struct text text_iso(const char *iso);  /* "2026-11-23T11:39:00.123Z" in local time */

void html_begin(struct visit *v, const char *title, const char *here);
void html_end(struct visit *v);
/* A sentence on a page of its own. */
void html_sorry(struct visit *v, unsigned status, const char *title, const char *text);
/* The token of forms, and the page to come back to. */
void html_token(struct visit *v);
void html_state(struct buf *b, const char *state); /* a badge */

enum signin_trouble { SIGNIN_FIRST, SIGNIN_WRONG, SIGNIN_NO_RIGHT, SIGNIN_LATER };
void page_signin(
    struct page *p, struct http_client *c, const char *back, enum signin_trouble trouble);

/* ---- plots (page_plot.c) */
void plot_rates(struct buf *b, const struct series *s, const char *span);
void plot_queue(struct buf *b, const struct series *s, const char *span);

/* ---- pages; each is a visit's beginning */
void overview_serve(struct page *p, struct http_client *c, const struct http_request *r);
void live_serve(struct page *p, struct http_client *c, const struct http_request *r);
void queue_serve(struct page *p, struct http_client *c, const struct http_request *r);
void message_serve(struct page *p, struct http_client *c, const struct http_request *r);
void history_serve(struct page *p, struct http_client *c, const struct http_request *r);
void acts_serve(struct page *p, struct http_client *c, const struct http_request *r);

/* A table of events, in a page that is being written. */
void history_list(struct visit *v, const json_t *events);

/* What of a query selects messages, as control's selector; NULL: nothing. */
json_t *query_selector(struct span query);

/* Files that make turns into C (page/). */
extern const char page_style_css[], page_script_js[];

/* ---- page.c */

struct page {
	struct page_options o;
	struct http_server *server;
	struct figures figures;
	struct survey survey;
	struct health_check health;
	struct wall started;
	bool tls;
	struct page_session session[SESSIONS_MAX];
	struct list signing_in, visits;
	unsigned signing_in_n;
};

static inline const struct config *
page_config(const struct page *p)
{
	return p->o.host.config(p->o.host.arg);
}

static inline uint64_t
page_load(const atomic_uint_fast64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

/* An answer in plain words. */
void page_say(struct http_client *c, unsigned status, const char *text);

#endif
