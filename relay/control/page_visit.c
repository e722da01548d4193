/* SPDX-License-Identifier: ISC */
/*
 * page_visit - one request for a page that asks control first.
 *
 *	v = visit_new(p, client, request, render);
 *	visit_ask(v, json);  ...     any number, run one after the other
 *	visit_go(v);                 then render(v) once, with all answers
 *
 * If the browser goes away, what only looks is given up; what acts goes on to its end.
 */
#include <string.h>

#include "base/mem.h"
#include "relay/control/page_private.h"

static void next(struct visit *v);

static void
visit_free(struct visit *v)
{
	list_remove(&v->link);
	list_remove(&v->wait.link);
	control_ask_cancel(&v->inquiry);
	for (size_t i = 0; i < v->asks; i++) {
		json_decref(v->ask[i].request);
		json_decref(v->ask[i].lines);
		mem_free(&v->ask[i].error);
	}
	mem_free(&v->ask);
	mem_free(&v->account);
	mem_free(&v->back);
	mem_free(&v->target);
	mem_free(&v->verb);
	buf_clear(&v->out);
	mem_free(&v);
}

static void
on_gone(void *arg)
{
	struct visit *v = arg;
	v->client = NULL;
	if (!v->acts)
		visit_free(v);
}

struct visit *
visit_new(struct page *p, struct http_client *c, const struct http_request *r,
    void (*render)(struct visit *v))
{
	struct visit *v = NEW(struct visit);
	v->page = p;
	v->client = c;
	v->render = render;
	v->session = session_of(p, r);
	v->account = v->session != NULL ? mem_strdup(v->session->account) : NULL;
	v->signed_in = v->session != NULL;
	struct span target = r->path;
	if (r->query.n > 0)
		target.n += 1 + r->query.n;
	v->target = span_dup(target);
	v->query = span_cut(span_str(v->target), r->path.n + 1, target.n);
	buf_init(&v->out, VISIT_OUT_MAX);
	list_push(&p->visits, &v->link);
	http_on_gone(c, on_gone, v);
	return v;
}

void
visit_ask(struct visit *v, json_t *request)
{
	v->ask = mem_resize(v->ask, v->asks + 1, sizeof(*v->ask));
	v->ask[v->asks++] = (struct visit_ask){.request = request, .lines = json_array()};
}

static void
on_line(void *arg, const json_t *object)
{
	struct visit *v = arg;
	json_t *lines = v->ask[v->at].lines;
	if (v->last > 0 && json_array_size(lines) == v->last)
		(void)json_array_remove(lines, 0);
	if (json_array_size(lines) < VISIT_LINES_MAX)
		(void)json_array_append_new(lines, json_deep_copy(object));
}

static void
on_done(void *arg, int status, const char *error)
{
	struct visit *v = arg;
	struct visit_ask *a = &v->ask[v->at++];
	v->inquiry = NULL;
	a->status = status;
	a->error = error != NULL ? mem_strdup(error) : NULL;
	next(v);
}

static void
finish(struct visit *v)
{
	/* a session may have ended while we were asking */
	v->session = NULL;
	for (size_t i = 0; v->signed_in && i < SESSIONS_MAX; i++) {
		struct page_session *s = &v->page->session[i];
		if (s->account != NULL && strcmp(s->account, v->account) == 0 &&
		    memcmp(s->form, v->form_token, TOKEN_LEN) == 0)
			v->session = s;
	}
	v->signed_in = v->session != NULL;
	if (v->client != NULL)
		v->render(v);
	visit_free(v);
}

static void
next(struct visit *v)
{
	static const struct control_inquiry to = {.told = on_line, .done = on_done};
	if (v->at == v->asks) {
		finish(v);
		return;
	}
	struct control_inquiry inquiry = to;
	inquiry.arg = v;
	v->inquiry = control_ask(v->page->o.control, v->account != NULL ? v->account : "",
	    v->ask[v->at].request, &inquiry);
}

static void
on_figures(void *arg)
{
	next(arg);
}

void
visit_go(struct visit *v)
{
	if (v->session != NULL)
		memcpy(v->form_token, v->session->form, sizeof(v->form_token));
	v->wait = (struct figures_wait){.told = on_figures, .arg = v};
	figures_want(v->page, &v->wait);
}

void
visit_answer(struct visit *v, unsigned status)
{
	struct http_reply r = {.status = status,
	    .type = "text/html; charset=utf-8",
	    .body = buf_span(&v->out)};
	http_answer(v->client, &r);
	v->client = NULL;
}

void
visit_redirect(struct visit *v, const char *to)
{
	struct http_reply r = {.status = 303, .location = to};
	http_answer(v->client, &r);
	v->client = NULL;
}

bool
visit_signed_in(struct visit *v, const char *back)
{
	if (v->signed_in)
		return true;
	page_signin(v->page, v->client, back, SIGNIN_FIRST);
	v->client = NULL;
	return false;
}

void
visit_end(struct visit *v)
{
	visit_free(v);
}

void
visits_clear(struct page *p)
{
	LIST_EACH (&p->visits, k)
		visit_free(CONTAINER_OF(k, struct visit, link));
}
