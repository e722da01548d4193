/* SPDX-License-Identifier: ISC */
/*
 * http - as much of HTTP/1.1 (RFC 9110, 9112) as a status page needs: GET, HEAD and POST
 * of a small form, one request after the other on a connection.
 *
 * What could be read in two ways is refused, and the connection closed: a bare LF or CR,
 * a name with a blank behind it, folded lines, two Content-Lengths or Hosts, any
 * Transfer-Encoding, a target that is not a path.  Everything is bounded: the head
 * (HTTP_HEAD_MAX octets, HTTP_FIELDS_MAX fields), the body (HTTP_BODY_MAX), the
 * connections, the requests on each, and the time that a client may take for its request
 * and for reading our answer.  When all connections are taken, one more is let in at the
 * expense of the one that was served least recently and has no request with us: whoever
 * holds them all with half a request each keeps nobody from asking /healthz.
 *
 *	s = http_server_new(&options);
 *	http_listen(s, fd);                             takes it
 *	serve(arg, client, request)                     the request is borrowed
 *	http_answer(client, &reply);                    once; then the client is not ours
 *	http_server_free(&s);
 */
#ifndef RELAY_CONTROL_HTTP_H
#define RELAY_CONTROL_HTTP_H

#include "base/buf.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/net.h"
#include "base/span.h"
#include "base/tls.h"

#define HTTP_HEAD_MAX 8192
#define HTTP_FIELDS_MAX 64
#define HTTP_BODY_MAX 16384
#define HTTP_CLIENTS_MAX 64
#define HTTP_REQUESTS_MAX 1000           /* on one connection */
#define HTTP_REQUEST_MS (10 * SECOND_MS) /* for a whole request */
#define HTTP_IDLE_MS (20 * SECOND_MS)    /* between two */
#define HTTP_WORK_MS (60 * SECOND_MS)    /* we think, and the client reads */

/* ---- a request (http_parse.c) */

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST };

struct http_request {
	enum http_method method;
	struct span path;  /* as it came, with "/" at its beginning and no "?" */
	struct span query; /* behind the "?"; empty: none */
	struct span host;
	struct span cookie, origin, site,
	    type;      /* empty: no such field; site: Sec-Fetch-Site */
	size_t length; /* of the body */
	bool keep;     /* the connection may go on */
	struct span body;
};

enum http_parsed { HTTP_MORE, HTTP_OK, HTTP_WRONG };

/*
 * Read a request's head from the beginning of `input`; out's spans point into it.
 * HTTP_OK: *head octets are the head, out->length the body behind it.  HTTP_WRONG:
 * *status is the answer, and what stands behind it cannot be understood any more.
 */
enum http_parsed
http_parse(struct span input, struct http_request *out, size_t *head, unsigned *status);

/* The value of a cookie; p == NULL: there is none, or two. */
struct span http_cookie(struct span cookies, const char *name);

/* ---- forms and queries: application/x-www-form-urlencoded (form.c) */

/* Field number `nth` (from 0) of this name, decoded.  False: there is none, or it is not
 * well encoded, or holds a NUL. */
bool form_get(struct span form, const char *name, unsigned nth, struct buf *out);

/* Append encoded, for a query. */
void form_add(struct buf *out, struct span value);

/* ---- the server (http_server.c) */

struct http_server;
struct http_client;

struct http_server_options {
	struct loop *loop;
	struct log *log;
	/* False: nobody can be served just now. *tls: NULL where it is in the clear. */
	bool (*tls)(void *arg, struct tls_server **tls);
	void (*serve)(
	    void *arg, struct http_client *c, const struct http_request *request);
	void *arg;
};

struct http_server *http_server_new(const struct http_server_options *o);
void http_server_free(struct http_server **s); /* closes all at once */
void http_listen(struct http_server *s, int fd);
/* An established connection (takes it): what a listener does, and the door for tests. */
void http_serve(struct http_server *s, int fd, const struct net_addr *peer);

const struct net_addr *http_peer(const struct http_client *c);
bool http_is_tls(const struct http_client *c);

/* The client goes away before it was answered: gone(arg) comes once, and no answer is
 * taken any more. */
void http_on_gone(struct http_client *c, void (*gone)(void *arg), void *arg);

struct http_reply {
	unsigned status;
	const char *type;     /* of the body */
	struct span body;     /* copied */
	const char *location; /* NULL: none */
	const char *cookie;   /* Set-Cookie; NULL: none */
	const char *fields;   /* more, each with its CRLF; NULL: none */
	bool lasting;         /* may be kept by the browser; otherwise it is no-store */
};
void http_answer(struct http_client *c, const struct http_reply *r);

#endif
