/* SPDX-License-Identifier: ISC */
/*
 * page_session - signing in and out.
 *
 * A session is a random token in a cookie that scripts cannot read and that no other site
 * makes a browser send (HttpOnly, SameSite=Strict), and a second one in every form: what
 * comes by POST without that is refused, and so is what a browser says comes from
 * elsewhere (Origin, Sec-Fetch-Site).  A session ends after SESSION_IDLE_MS without a
 * request, after SESSION_MS in any case, with its account, and with relayd.
 *
 * Passwords go to signin's engine as those of IMAP clients do: it counts failures,
 * delays them, and locks out.  In the clear they are taken from this very machine only.
 */
#include <string.h>

#include "base/crypto.h"
#include "base/io.h"
#include "base/mem.h"
#include "relay/control/page_private.h"

#define SESSION_IDLE_MS (30 * MINUTE_MS)
#define SESSION_MS (12 * HOUR_MS)
#define SIGNING_IN_MAX 16 /* at once */
#define PASSWORD_MAX 1024

struct signing_in {
	struct link link;
	struct page *page;
	struct http_client *client; /* NULL: gone */
	struct signin_exchange *exchange;
	char *back; /* the page to go to */
};

static void
signing_in_drop(struct signing_in *x)
{
	list_remove(&x->link);
	x->page->signing_in_n--;
	signin_cancel(&x->exchange);
	mem_free(&x->back);
	mem_free(&x);
}

static void
make_token(struct page *p, char out[TOKEN_LEN + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char raw[TOKEN_LEN / 2];
	world_random(loop_world(p->o.loop), raw, sizeof(raw));
	for (size_t i = 0; i < sizeof(raw); i++) {
		out[2 * i] = hex[raw[i] >> 4];
		out[2 * i + 1] = hex[raw[i] & 15];
	}
	out[TOKEN_LEN] = '\0';
}

/* ---- sessions */

static void
session_end(struct page_session *s)
{
	mem_free(&s->account);
	explicit_bzero(s, sizeof(*s));
}

static bool
is_over(const struct page_session *s, struct instant now)
{
	return instant_since(now, s->began) > SESSION_MS ||
	       instant_since(now, s->used) > SESSION_IDLE_MS;
}

struct page_session *
session_of(struct page *p, const struct http_request *r)
{
	struct instant now = loop_now(p->o.loop);
	struct span token = http_cookie(r->cookie, "relayd-session");
	if (token.n != TOKEN_LEN)
		return NULL;
	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		struct page_session *s = &p->session[i];
		if (s->account == NULL || !same_secret(token, span_str(s->token)))
			continue;
		if (is_over(s, now)) {
			session_end(s);
			return NULL;
		}
		s->used = now;
		return s;
	}
	return NULL;
}

/* A free place, or that of whoever has not been seen for longest. */
static struct page_session *
session_new(struct page *p, const char *account)
{
	struct page_session *s = &p->session[0];
	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		struct page_session *x = &p->session[i];
		if (x->account == NULL) {
			s = x;
			break;
		}
		if (x->used.ms < s->used.ms)
			s = x;
	}
	session_end(s);
	s->account = mem_strdup(account);
	s->began = s->used = loop_now(p->o.loop);
	make_token(p, s->token);
	make_token(p, s->form);
	return s;
}

void
page_end_account(struct page *p, struct span name)
{
	for (size_t i = 0; p != NULL && i < SESSIONS_MAX; i++) {
		struct page_session *s = &p->session[i];
		if (s->account != NULL && span_ieq(span_str(s->account), name))
			session_end(s);
	}
}

void
sessions_clear(struct page *p)
{
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		session_end(&p->session[i]);
	LIST_EACH (&p->signing_in, k)
		signing_in_drop(CONTAINER_OF(k, struct signing_in, link));
}

/* ---- requests that another site has made a browser send */

/* "http://HOST", and "https://HOST" where we speak that. */
static bool
origin_is_ours(const struct http_client *c, const struct http_request *r)
{
	struct span scheme = http_is_tls(c) ? SPAN("https://") : SPAN("http://");
	return span_istarts(r->origin, scheme) &&
	       span_ieq(span_cut(r->origin, scheme.n, r->origin.n), r->host);
}

bool
request_is_ours(const struct http_client *c, const struct http_request *r)
{
	if (r->site.p != NULL && !span_ieq(r->site, SPAN("same-origin")) &&
	    !span_ieq(r->site, SPAN("none")))
		return false;
	return r->origin.p == NULL || origin_is_ours(c, r);
}

bool
form_is_ours(const struct page_session *s, const struct http_request *r)
{
	struct buf token;
	buf_init(&token, 2 * TOKEN_LEN);
	bool same = form_get(r->body, "token", 0, &token) &&
		    same_secret(buf_span(&token), span_str(s->form));
	buf_clear(&token);
	return same;
}

/* ---- signing in */

static void
on_gone(void *arg)
{
	signing_in_drop(arg);
}

static void
log_signin(struct signing_in *x, const char *name, const char *why)
{
	char client[NET_TEXT];
	struct log *log = x->page->o.log;
	net_format_ip(http_peer(x->client), client);
	if (why == NULL)
		LOG(log, EV_SIGNED_IN, F_STR("client", client), F_STR("account", name),
		    F_STR("mechanism", "form"), F_STR("listener", "metrics"));
	else
		LOG(log, EV_SIGN_IN_FAILED, F_STR("client", client), F_STR("name", name),
		    F_STR("why", why), F_STR("mechanism", "form"),
		    F_STR("listener", "metrics"));
}

static void
let_in(struct signing_in *x, const char *account)
{
	struct page_session *s = session_new(x->page, account);
	struct buf cookie;
	buf_init(&cookie, 500);
	buf_addf(&cookie, "relayd-session=%s; Path=/; HttpOnly; SameSite=Strict%s",
	    s->token, http_is_tls(x->client) ? "; Secure" : "");
	buf_add_char(&cookie, '\0');
	struct http_reply r = {.status = 303, .location = x->back, .cookie = cookie.p};
	http_answer(x->client, &r);
	buf_wipe(&cookie);
}

static void
on_answer(void *arg, const struct signin_answer *a)
{
	struct signing_in *x = arg;
	struct account_card *card = a->kind == SIGNIN_DONE ? a->card : NULL;
	x->exchange = NULL;
	if (card != NULL && card->queue) {
		log_signin(x, card->name, NULL);
		let_in(x, card->name);
	} else if (card != NULL) {
		log_signin(x, card->name, "that secret does not show the queue");
		page_signin(x->page, x->client, x->back, SIGNIN_NO_RIGHT);
	} else {
		log_signin(x, a->name, a->why != NULL ? a->why : "refused");
		page_signin(x->page, x->client, x->back,
		    a->verdict.code == 535 ? SIGNIN_WRONG : SIGNIN_LATER);
	}
	account_card_free(&card);
	signing_in_drop(x);
}

/* Only paths of ours: whatever a link says, nobody is sent elsewhere. */
char *
form_back(const struct http_request *r)
{
	struct buf b;
	buf_init(&b, 1024);
	bool ours = form_get(r->body, "back", 0, &b) && b.n > 0 && b.p[0] == '/' &&
		    (b.n == 1 || (b.p[1] != '/' && b.p[1] != '\\'));
	for (size_t i = 0; ours && i < b.n; i++)
		ours = b.p[i] > ' ' && b.p[i] < 0x7f;
	char *back = ours ? span_dup(buf_span(&b)) : mem_strdup("/");
	buf_clear(&b);
	return back;
}

bool
may_sign_in(const struct page *p, const struct http_client *c)
{
	return p->o.signin != NULL && (http_is_tls(c) || net_is_loopback(http_peer(c)));
}

static void
begin(struct page *p, struct http_client *c, const struct http_request *r,
    struct span name, struct span password)
{
	struct buf plain;
	struct signing_in *x = NEW(struct signing_in);
	x->page = p;
	x->client = c;
	x->back = form_back(r);
	list_push(&p->signing_in, &x->link);
	p->signing_in_n++;
	http_on_gone(c, on_gone, x);
	buf_init(&plain, SIGNIN_DATA_MAX);
	buf_add_char(&plain, '\0');
	buf_add_span(&plain, name);
	buf_add_char(&plain, '\0');
	buf_add_span(&plain, password);
	struct signin_facts f = {.service = "queue",
	    .client = *http_peer(c),
	    .hostname = page_config(p)->policy.hostname};
	x->exchange =
	    signin_begin(p->o.signin, SPAN("PLAIN"), &f, buf_span(&plain), on_answer, x);
	buf_wipe(&plain);
}

void
session_sign_in(struct page *p, struct http_client *c, const struct http_request *r)
{
	struct buf name, password;
	buf_init(&name, ACCOUNT_NAME_MAX + 1);
	buf_init(&password, PASSWORD_MAX);
	if (!may_sign_in(p, c)) {
		page_say(
		    c, 403, "Nobody signs in over a connection that others can read.");
	} else if (!form_get(r->body, "name", 0, &name) ||
		   !form_get(r->body, "password", 0, &password) || name.n == 0 ||
		   password.n == 0) {
		char *back = form_back(r);
		page_signin(p, c, back, SIGNIN_WRONG);
		mem_free(&back);
	} else if (p->signing_in_n >= SIGNING_IN_MAX) {
		page_say(c, 429, "Too many are signing in just now; try again.");
	} else {
		begin(p, c, r, buf_span(&name), buf_span(&password));
	}
	buf_wipe(&password);
	buf_clear(&name);
	/* what the io has buffered was the form itself */
	explicit_bzero((char *)(uintptr_t)r->body.p, r->body.n);
}

void
session_sign_out(struct page *p, struct http_client *c, struct page_session *s)
{
	(void)p;
	if (s != NULL)
		session_end(s);
	struct http_reply r = {.status = 303,
	    .location = "/",
	    .cookie = "relayd-session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"};
	http_answer(c, &r);
}
