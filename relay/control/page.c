/* SPDX-License-Identifier: ISC */
/* page - see page.h: life, which path is whose, and who may ask at all. */
#include "relay/control/page.h"

#include <string.h>

#include "base/mem.h"
#include "relay/control/page_private.h"

void
page_say(struct http_client *c, unsigned status, const char *text)
{
	struct buf b;
	buf_init(&b, 4096);
	buf_addf(&b, "%s\n", text);
	struct http_reply r = {
	    .status = status, .type = "text/plain; charset=utf-8", .body = buf_span(&b)};
	http_answer(c, &r);
	buf_clear(&b);
}

/* ---- by which name it was called */

/* Without its port; of "[::1]:9525" what stands in the brackets. */
static struct span
host_name(struct span host)
{
	if (host.n > 0 && host.p[0] == '[')
		return span_cut(host, 1, span_find(host, ']') - 1);
	return span_cut(host, 0, span_find(host, ':'));
}

/*
 * A page from elsewhere can let its own name point here (DNS rebinding), and a browser
 * would then let it read what we answer.  It cannot write another name into Host.
 */
static bool
host_known(const struct page *p, struct span host)
{
	const struct config *c = page_config(p);
	struct span name = host_name(host);
	struct net_addr ip;
	if (net_parse_ip(name, &ip) == OK || span_ieq(name, SPAN("localhost")) ||
	    span_ieq(name, span_str(c->policy.hostname)))
		return true;
	for (size_t i = 0; i < c->metrics.hosts.n; i++)
		if (span_ieq(name, span_str(c->metrics.hosts.name[i])))
			return true;
	return false;
}

/* ---- files, and signing in and out */

static const char icon[] =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 32 32\">"
    "<rect x=\"2\" y=\"6\" width=\"28\" height=\"20\" rx=\"5\" fill=\"#0f766e\"/>"
    "<path d=\"M7 12l9 7 9-7\" fill=\"none\" stroke=\"#fff\" stroke-width=\"2.6\" "
    "stroke-linecap=\"round\" stroke-linejoin=\"round\"/></svg>\n";

static void
serve_file(struct page *p, struct http_client *c, const struct http_request *r)
{
	static const struct {
		const char *path, *type, *text;
	} files[] = {
	    {"/style.css", "text/css; charset=utf-8", page_style_css},
	    {"/page.js", "text/javascript; charset=utf-8", page_script_js},
	    {"/icon.svg", "image/svg+xml", icon},
	};
	(void)p;
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		struct http_reply reply = {.status = 200,
		    .type = files[i].type,
		    .body = span_str(files[i].text)};
		if (span_eq(r->path, span_str(files[i].path))) {
			http_answer(c, &reply);
			return;
		}
	}
}

static void
serve_signin(struct page *p, struct http_client *c, const struct http_request *r)
{
	struct http_request as_form = {.body = r->query};
	char *back = form_back(&as_form);
	page_signin(p, c, back, SIGNIN_FIRST);
	mem_free(&back);
}

static void
serve_signout(struct page *p, struct http_client *c, const struct http_request *r)
{
	struct page_session *s = session_of(p, r);
	if (s == NULL || form_is_ours(s, r))
		session_sign_out(p, c, s);
	else
		page_say(c, 403, "This form is too old, or not ours.");
}

/* ---- paths */

static const struct {
	const char *path;
	void (*serve)(struct page *p, struct http_client *c);
} plain[] = {
    {"/metrics", metrics_serve},
    {"/healthz", health_serve},
    {"/readyz", ready_serve},
};

static const struct {
	const char *path;
	enum http_method method; /* GET stands for HEAD, too */
	void (*serve)(
	    struct page *p, struct http_client *c, const struct http_request *r);
} paths[] = {
    {"/", HTTP_GET, overview_serve},
    {"/live", HTTP_GET, live_serve},
    {"/queue", HTTP_GET, queue_serve},
    {"/history", HTTP_GET, history_serve},
    {"/sign-in", HTTP_GET, serve_signin},
    {"/sign-in", HTTP_POST, session_sign_in},
    {"/sign-out", HTTP_POST, serve_signout},
    {"/act", HTTP_POST, acts_serve},
    {"/style.css", HTTP_GET, serve_file},
    {"/page.js", HTTP_GET, serve_file},
    {"/icon.svg", HTTP_GET, serve_file},
};

static void
serve_path(struct page *p, struct http_client *c, const struct http_request *r)
{
	enum http_method method = r->method == HTTP_HEAD ? HTTP_GET : r->method;
	bool known = false;
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		if (!span_eq(r->path, span_str(paths[i].path)))
			continue;
		known = true;
		if (method != paths[i].method)
			continue;
		if (method == HTTP_POST && !request_is_ours(c, r))
			page_say(c, 403, "That request comes from another site.");
		else
			paths[i].serve(p, c, r);
		return;
	}
	if (known)
		page_say(c, 405, "This page does not take that method.");
	else if (method == HTTP_GET && span_starts(r->path, SPAN("/message/")))
		message_serve(p, c, r);
	else
		page_say(c, 404, "There is no such page.");
}

static void
serve(void *arg, struct http_client *c, const struct http_request *r)
{
	struct page *p = arg;
	if (!host_known(p, r->host)) {
		page_say(c, 421,
		    "This relay is not known by that name. Write it into relayd.conf: "
		    "metrics { hosts = {\"...\"} }, or use its address.");
		return;
	}
	for (size_t i = 0; i < COUNT_OF(plain); i++) {
		if (!span_eq(r->path, span_str(plain[i].path)))
			continue;
		if (r->method == HTTP_POST)
			page_say(c, 405, "There is nothing to post here.");
		else
			plain[i].serve(p, c);
		return;
	}
	serve_path(p, c, r);
}

/* As it was when the sockets were bound, whatever a reload says: never in the clear by
 * mistake. The certificates are those of the moment. */
static bool
tls_of_the_moment(void *arg, struct tls_server **tls)
{
	const struct page *p = arg;
	*tls = p->tls ? page_config(p)->tls_modern : NULL;
	return !p->tls || *tls != NULL;
}

/* ---- life */

struct page *
page_new(const struct page_options *o)
{
	struct page *p = NEW(struct page);
	p->o = *o;
	p->tls = page_config(p)->metrics.tls;
	p->started = world_wall(loop_world(o->loop));
	struct http_server_options so = {.loop = o->loop,
	    .log = o->log,
	    .tls = tls_of_the_moment,
	    .serve = serve,
	    .arg = p};
	p->server = http_server_new(&so);
	list_init(&p->signing_in);
	list_init(&p->visits);
	figures_start(p);
	survey_start(p);
	health_start(p);
	return p;
}

void
page_free(struct page **pp)
{
	struct page *p = *pp;
	if (p == NULL)
		return;
	http_server_free(&p->server);
	visits_clear(p);
	sessions_clear(p);
	health_stop(p);
	survey_stop(p);
	figures_stop(p);
	mem_free(pp);
}

void
page_listen(struct page *p, int fd)
{
	http_listen(p->server, fd);
}

void
page_serve(struct page *p, int fd, const struct net_addr *peer)
{
	http_serve(p->server, fd, peer);
}
