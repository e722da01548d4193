/* SPDX-License-Identifier: ISC */
/*
 * http_server - connections, and one request after the other on each.
 *
 *	READING   the head and the body come; HTTP_REQUEST_MS for all of it
 *	WORKING   serve() was called; input is paused until http_answer()
 *	...and READING again, or the connection is finished
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/check.h"
#include "base/io.h"
#include "base/list.h"
#include "base/mem.h"
#include "relay/control/http.h"

#define ACCEPT_AGAIN_MS SECOND_MS
#define LINGER_MS (5 * SECOND_MS)
#define LISTENERS_MAX 16

struct listening {
	struct http_server *server;
	struct watch watch;
	struct timer again;
	int fd;
};

struct http_server {
	struct http_server_options o;
	struct listening listening[LISTENERS_MAX];
	size_t listenings;
	struct list clients; /* those served least recently first */
	struct list dead;
	unsigned count;
	struct later reap;
};

struct http_client {
	struct link link;
	struct http_server *server;
	struct io *io; /* NULL: gone */
	struct net_addr peer;
	unsigned requests;
	bool begun;   /* octets of the request that is being read are here */
	bool working; /* serve() has it */
	bool keep, head_only;
	void (*gone)(void *arg);
	void *arg;
};

/* ---- life of a client */

static void
reap(void *arg)
{
	struct http_server *s = arg;
	struct link *k;
	while ((k = list_pop(&s->dead)) != NULL) {
		struct http_client *c = CONTAINER_OF(k, struct http_client, link);
		mem_free(&c);
	}
}

static void
bury(struct http_client *c)
{
	list_remove(&c->link);
	list_push(&c->server->dead, &c->link);
	c->server->count--;
	later_set(&c->server->reap);
}

static void
client_drop(struct http_client *c)
{
	void (*gone)(void *) = c->working ? c->gone : NULL;
	io_free(&c->io);
	c->working = false;
	bury(c);
	if (gone != NULL)
		gone(c->arg);
}

static void
client_finish(struct http_client *c)
{
	io_finish(&c->io, LINGER_MS);
	bury(c);
}

const struct net_addr *
http_peer(const struct http_client *c)
{
	return &c->peer;
}

bool
http_is_tls(const struct http_client *c)
{
	return c->io != NULL && io_tls(c->io) != NULL;
}

void
http_on_gone(struct http_client *c, void (*gone)(void *arg), void *arg)
{
	CHECK(c->working);
	c->gone = gone;
	c->arg = arg;
}

/* ---- answers */

static const char *
phrase(unsigned status)
{
	static const struct {
		unsigned status;
		const char *phrase;
	} known[] = {{200, "OK"}, {303, "See Other"}, {304, "Not Modified"},
	    {400, "Bad Request"}, {403, "Forbidden"}, {404, "Not Found"},
	    {405, "Method Not Allowed"}, {408, "Request Timeout"},
	    {411, "Length Required"}, {413, "Content Too Large"},
	    {417, "Expectation Failed"}, {421, "Misdirected Request"},
	    {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
	    {501, "Not Implemented"}, {503, "Service Unavailable"}};
	for (size_t i = 0; i < COUNT_OF(known); i++)
		if (known[i].status == status)
			return known[i].phrase;
	return "Unknown";
}

static const char security[] =
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
    "Referrer-Policy: same-origin\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Content-Security-Policy: default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'\r\n";

static void
write_reply(struct http_client *c, const struct http_reply *r)
{
	struct io *io = c->io;
	io_addf(io, "HTTP/1.1 %u %s\r\nContent-Length: %zu\r\n", r->status,
	    phrase(r->status), r->body.n);
	if (r->type != NULL)
		io_addf(io, "Content-Type: %s\r\n", r->type);
	if (r->location != NULL)
		io_addf(io, "Location: %s\r\n", r->location);
	if (r->cookie != NULL)
		io_addf(io, "Set-Cookie: %s\r\n", r->cookie);
	if (r->fields != NULL)
		io_addf(io, "%s", r->fields);
	io_addf(io, "Cache-Control: %s\r\n%s%s\r\n",
	    r->lasting ? "private, max-age=3600" : "no-store", security,
	    c->keep ? "" : "Connection: close\r\n");
	if (!c->head_only)
		io_add_span(io, r->body);
}

void
http_answer(struct http_client *c, const struct http_reply *r)
{
	CHECK(c->working && c->io != NULL);
	c->working = false;
	c->gone = NULL;
	if (++c->requests >= HTTP_REQUESTS_MAX || io_eof(c->io))
		c->keep = false;
	write_reply(c, r);
	if (!c->keep) {
		client_finish(c);
		return;
	}
	list_remove(&c->link);
	list_push(&c->server->clients, &c->link);
	io_deadline(c->io, HTTP_IDLE_MS);
	io_resume(c->io);
}

/* What cannot be understood is answered in a word, and nothing is read behind it. */
static void
turn_away(struct http_client *c, unsigned status)
{
	struct buf b;
	buf_init(&b, 200);
	buf_addf(&b, "%u %s\n", status, phrase(status));
	struct http_reply r = {
	    .status = status, .type = "text/plain; charset=utf-8", .body = buf_span(&b)};
	if (status == 501)
		r.fields = "Allow: GET, HEAD, POST\r\n";
	c->keep = c->head_only = false;
	c->working = true;
	http_answer(c, &r);
	buf_clear(&b);
}

/* ---- requests */

static void
read_request(struct http_client *c)
{
	struct http_request r;
	struct span in = io_input(c->io);
	size_t head;
	unsigned status;
	if (in.n == 0)
		return;
	if (!c->begun)
		io_deadline(c->io, HTTP_REQUEST_MS); /* and no longer with every octet */
	c->begun = true;
	enum http_parsed p = http_parse(in, &r, &head, &status);
	if (p == HTTP_WRONG) {
		turn_away(c, status);
		return;
	}
	if (p == HTTP_MORE || in.n - head < r.length)
		return;
	r.body = span_cut(in, head, r.length);
	c->begun = false;
	c->working = true;
	c->keep = r.keep;
	c->head_only = r.method == HTTP_HEAD;
	io_pause(c->io);
	io_deadline(c->io, HTTP_WORK_MS);
	struct io *io = c->io;
	c->server->o.serve(c->server->o.arg, c, &r);
	if (c->io == io)
		io_consume(io, head + r.length);
}

static void
on_timeout(struct http_client *c)
{
	if (!c->working && c->begun)
		turn_away(c, 408);
	else
		client_drop(c);
}

static void
on_io(void *arg, enum io_event ev)
{
	struct http_client *c = arg;
	switch (ev) {
	case IO_INPUT:
		if (!c->working)
			read_request(c);
		break;
	case IO_EOF: /* whoever has asked may still read */
		if (!c->working)
			client_finish(c);
		break;
	case IO_TLS: io_deadline(c->io, HTTP_IDLE_MS); break;
	case IO_TIMEOUT: on_timeout(c); break;
	case IO_DRAINED:
	case IO_CONNECTED: break;
	case IO_ERROR: client_drop(c); break;
	}
}

/* For one more; no request that serve() has is broken off for it. */
static bool
make_room(struct http_server *s)
{
	if (s->count < HTTP_CLIENTS_MAX)
		return true;
	LIST_EACH (&s->clients, k) {
		struct http_client *c = CONTAINER_OF(k, struct http_client, link);
		if (!c->working) {
			client_drop(c);
			return true;
		}
	}
	return false;
}

void
http_serve(struct http_server *s, int fd, const struct net_addr *peer)
{
	struct tls_server *ts = NULL;
	bool open = s->o.tls == NULL || s->o.tls(s->o.arg, &ts);
	if (!open || !make_room(s)) {
		(void)close(fd);
		return;
	}
	struct http_client *c = NEW(struct http_client);
	c->server = s;
	c->peer = *peer;
	c->io = io_new(s->o.loop, fd, on_io, c);
	io_deadline(c->io, HTTP_IDLE_MS);
	list_push(&s->clients, &c->link);
	s->count++;
	if (ts != NULL && io_start_tls_server(c->io, ts) != OK)
		client_drop(c);
}

/* ---- listening */

static void
on_accept(void *arg, unsigned what)
{
	struct listening *l = arg;
	struct sockaddr_storage from;
	socklen_t n = sizeof(from);
	struct net_addr peer;
	(void)what;
	int fd =
	    accept4(l->fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		/* out of descriptors: it keeps waiting, and we do not spin on it */
		watch_set(&l->watch, 0);
		timer_set(&l->again, ACCEPT_AGAIN_MS);
	}
	if (fd < 0)
		return;
	int on = 1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	net_from_sockaddr((const struct sockaddr *)&from, &peer);
	http_serve(l->server, fd, &peer);
}

static void
on_accept_again(void *arg)
{
	watch_set(&((struct listening *)arg)->watch, WATCH_READ);
}

void
http_listen(struct http_server *s, int fd)
{
	CHECK(s->listenings < LISTENERS_MAX);
	struct listening *l = &s->listening[s->listenings++];
	l->server = s;
	l->fd = fd;
	timer_init(&l->again, s->o.loop, on_accept_again, l);
	watch_init(&l->watch, s->o.loop, fd, on_accept, l);
	watch_set(&l->watch, WATCH_READ);
}

/* ---- life */

struct http_server *
http_server_new(const struct http_server_options *o)
{
	struct http_server *s = NEW(struct http_server);
	s->o = *o;
	list_init(&s->clients);
	list_init(&s->dead);
	later_init(&s->reap, o->loop, reap, s);
	return s;
}

void
http_server_free(struct http_server **sp)
{
	struct http_server *s = *sp;
	if (s == NULL)
		return;
	LIST_EACH (&s->clients, k)
		client_drop(CONTAINER_OF(k, struct http_client, link));
	reap(s);
	later_clear(&s->reap);
	for (size_t i = 0; i < s->listenings; i++) {
		watch_clear(&s->listening[i].watch);
		timer_clear(&s->listening[i].again);
		(void)close(s->listening[i].fd);
	}
	mem_free(sp);
}
