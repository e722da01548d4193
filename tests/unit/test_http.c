/* SPDX-License-Identifier: ISC */
/* HTTP: heads read whole and octet by octet, what is refused, forms, cookies, escaping,
 * and a server on a socket pair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/control/http.h"
#include "relay/control/page_private.h"
#include "tests/lib/fake_world.h"

#define HOST "Host: localhost\r\n"

static enum http_parsed
parse(const char *text, size_t n, struct http_request *r, size_t *head, unsigned *status)
{
	return http_parse((struct span){text, n}, r, head, status);
}

static void
test_good(void **state)
{
	static const char text[] =
	    "GET /queue?from=a HTTP/1.1\r\nhost:\tgw.test:9525 \r\n"
	    "Cookie: a=1; relayd-session=xyz\r\nX:\r\n\r\nGET /";
	struct http_request r;
	size_t head;
	unsigned status;
	(void)state;
	size_t whole = sizeof(text) - 1 - 5;
	for (size_t n = 0; n < whole; n++)
		assert_int_equal(parse(text, n, &r, &head, &status), HTTP_MORE);
	for (size_t n = whole; n < sizeof(text); n++) {
		assert_int_equal(parse(text, n, &r, &head, &status), HTTP_OK);
		assert_int_equal(head, whole);
	}
	assert_true(span_eq(r.path, SPAN("/queue")));
	assert_true(span_eq(r.query, SPAN("from=a")));
	assert_true(span_eq(r.host, SPAN("gw.test:9525")));
	assert_true(span_eq(http_cookie(r.cookie, "relayd-session"), SPAN("xyz")));
	assert_int_equal(r.method, HTTP_GET);
	assert_true(r.keep);
	assert_int_equal(r.length, 0);
}

static void
test_wrong(void **state)
{
	static const struct {
		unsigned status; /* 0: fine */
		const char *text;
	} cases[] = {
	    {0, "POST /act HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n"},
	    {0, "HEAD / HTTP/1.0\r\n" HOST "\r\n"},
	    {0, "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"},
	    {400, "GET / HTTP/1.1\n" HOST "\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST "X: a\nY: b\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST "X: a\x01\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST "X : a\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST " X: a\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST ": a\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST "X\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n\r\n"},
	    {400, "GET / HTTP/1.0\r\n\r\n"},
	    {400, "\r\n\r\n"},
	    {400, "\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST "Cookie: a=1\r\nCookie: b=2\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST "Origin: a\r\norigin: a\r\n\r\n"},
	    {400, "GET http://localhost/ HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "GET * HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "GET /#a HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "GET /  HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "GET\t/ HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "GET / HTTP/1.1 \r\n" HOST "\r\n"},
	    {400, "GET / HTTP/1.2\r\n" HOST "\r\n"},
	    {400, "GET /\r\n" HOST "\r\n"},
	    {501, "get / HTTP/1.1\r\n" HOST "\r\n"},
	    {501, "PUT / HTTP/1.1\r\n" HOST "\r\n"},
	    {501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"},
	    {501, "POST / HTTP/1.1\r\n" HOST
		  "Content-Length: 3\r\ntransfer-encoding: identity\r\n\r\n"},
	    {417, "POST / HTTP/1.1\r\n" HOST
		  "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"},
	    {411, "POST / HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: -3\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 3 3\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x3\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: \r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST
		  "Content-Length: 18446744073709551617\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST
		  "Content-Length: 3\r\nContent-Length: 3\r\n\r\n"},
	    {413, "POST / HTTP/1.1\r\n" HOST "Content-Length: 16385\r\n\r\n"},
	};
	struct http_request r;
	size_t head;
	unsigned status;
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *text = cases[i].text;
		enum http_parsed want = cases[i].status == 0 ? HTTP_OK : HTTP_WRONG;
		enum http_parsed got = parse(text, strlen(text), &r, &head, &status);
		if (got != want || status != cases[i].status)
			fail_msg("%s: %d, %u", text, got, status);
		/* once an answer is there it does not change, octet by octet */
		got = HTTP_MORE;
		for (size_t n = 0; n <= strlen(text) && got == HTTP_MORE; n++)
			got = parse(text, n, &r, &head, &status);
		if (got != want || status != cases[i].status)
			fail_msg("octet by octet: %s: %d, %u", text, got, status);
	}
}

static void
test_bounds(void **state)
{
	struct buf b;
	struct http_request r;
	size_t head;
	unsigned status;
	(void)state;
	buf_init(&b, 100000);
	buf_add_str(&b, "GET / HTTP/1.1\r\n" HOST);
	for (int i = 1; i < HTTP_FIELDS_MAX; i++)
		buf_add_str(&b, "X: y\r\n");
	buf_add_str(&b, "\r\n");
	assert_int_equal(parse(b.p, b.n, &r, &head, &status), HTTP_OK);
	b.n -= 2;
	buf_add_str(&b, "X: y\r\n\r\n");
	assert_int_equal(parse(b.p, b.n, &r, &head, &status), HTTP_WRONG);
	assert_int_equal(status, 431);
	buf_reset(&b);
	buf_add_str(&b, "GET /");
	while (b.n < HTTP_HEAD_MAX - 1)
		buf_add_char(&b, 'a');
	assert_int_equal(parse(b.p, b.n, &r, &head, &status), HTTP_MORE);
	buf_add_char(&b, 'a');
	assert_int_equal(parse(b.p, b.n, &r, &head, &status), HTTP_WRONG);
	assert_int_equal(status, 431);
	buf_clear(&b);
	assert_int_equal(parse("GET / \0", 7, &r, &head, &status), HTTP_WRONG);
}

static void
test_forms(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 20);
	struct span form = SPAN("a=1&b=x+y%21&a=2&c&=d&e=%zz&f=%4&g=%00&h=%&i=%41");
	assert_true(form_get(form, "b", 0, &b) && span_eq(buf_span(&b), SPAN("x y!")));
	assert_true(form_get(form, "a", 1, &b) && span_eq(buf_span(&b), SPAN("2")));
	assert_false(form_get(form, "a", 2, &b));
	assert_true(form_get(form, "c", 0, &b) && b.n == 0);
	assert_true(form_get(form, "i", 0, &b) && span_eq(buf_span(&b), SPAN("A")));
	static const char *const bad[] = {"e", "f", "g", "h", "z"};
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_false(form_get(form, bad[i], 0, &b));
	assert_false(form_get(SPAN("a=123456789012345678901"), "a", 0, &b));
	assert_false(form_get((struct span){NULL, 0}, "a", 0, &b));
	buf_clear(&b);
	buf_init(&b, 100);
	form_add(&b, SPAN("a b&=\xc3\xa9~"));
	assert_true(span_eq(buf_span(&b), SPAN("a%20b%26%3D%C3%A9~")));
	buf_clear(&b);
}

static void
test_cookies(void **state)
{
	(void)state;
	assert_true(span_eq(http_cookie(SPAN("a=1;b=2 ; c=3"), "b"), SPAN("2")));
	assert_null(http_cookie(SPAN("aa=1; b"), "a").p);
	assert_null(http_cookie(SPAN("a=1; a=2"), "a").p);
	assert_null(http_cookie((struct span){NULL, 0}, "a").p);
}

static void
test_escaping(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 1000);
	HTML(&b, "<a title=\"{}\">{}</a>{}", "\"'<>&", "x\x01y", "");
	assert_true(span_eq(buf_span(&b),
	    SPAN("<a title=\"&quot;&#39;&lt;&gt;&amp;\">x\xef\xbf\xbdy</a>")));
	buf_clear(&b);
	assert_string_equal(text_number(1234).s, "1234");
	assert_string_equal(text_number(1234567).s, "1\xe2\x80\xaf"
						    "234\xe2\x80\xaf"
						    "567");
	assert_string_equal(text_size(1536).s, "1.5\xe2\x80\xafKiB");
	assert_string_equal(text_size(12).s, "12\xe2\x80\xaf"
					     "B");
	assert_string_equal(text_iso("never").s, "");
}

/* ---- a server */

struct fixture {
	struct fake_world w;
	struct loop *loop;
	struct log *log;
	struct http_server *server;
	struct http_client *kept; /* not yet answered */
	bool gone;
	unsigned served;
	char got[70000];
};

static void
on_gone(void *arg)
{
	struct fixture *f = arg;
	f->gone = true;
	f->kept = NULL;
}

static void
answer(struct http_client *c)
{
	http_answer(c, &(struct http_reply){
			   .status = 200, .type = "text/plain", .body = SPAN("hello")});
}

static void
serve(void *arg, struct http_client *c, const struct http_request *r)
{
	struct fixture *f = arg;
	f->served++;
	if (span_eq(r->path, SPAN("/later"))) {
		f->kept = c;
		http_on_gone(c, on_gone, f);
	} else {
		answer(c);
	}
}

static int
setup(void **state)
{
	struct fixture *f = NEW(struct fixture);
	fake_world_init(&f->w);
	f->loop = loop_new(&f->w.world);
	f->log = log_new(&f->w.world, STDERR_FILENO);
	struct http_server_options o = {
	    .loop = f->loop, .log = f->log, .serve = serve, .arg = f};
	f->server = http_server_new(&o);
	*state = f;
	return 0;
}

static void
settle(struct fixture *f)
{
	while (loop_turn(f->loop, false))
		;
}

static void
pass(struct fixture *f, int64_t ms)
{
	fake_world_pass(&f->w, ms);
	settle(f);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	http_server_free(&f->server);
	pass(f, MINUTE_MS); /* what was finished lingers no longer */
	loop_free(&f->loop);
	log_free(&f->log);
	mem_free(state);
	return 0;
}

static int
dial(struct fixture *f)
{
	static const struct net_addr peer = {NET_IPV4, {127, 0, 0, 1}, 1, 0};
	int pair[2];
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	http_serve(f->server, pair[0], &peer);
	return pair[1];
}

static void
say(struct fixture *f, int fd, const char *text)
{
	assert_int_equal(
	    send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	settle(f);
}

/* What has come; NULL: the other side has closed. */
static const char *
heard(struct fixture *f, int fd)
{
	settle(f);
	ssize_t n = recv(fd, f->got, sizeof(f->got) - 1, 0);
	f->got[n > 0 ? n : 0] = '\0';
	return n == 0 ? NULL : f->got;
}

static void
test_served(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	static const char text[] = "GET / HTTP/1.1\r\n" HOST "\r\n";
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		say(f, fd, (char[]){text[i], '\0'});
	assert_non_null(strstr(heard(f, fd), "\r\n\r\nhello"));
	/* two at once, the first answered later: in their order, and a HEAD has no body
	 */
	say(f, fd, "GET /later HTTP/1.1\r\n" HOST "\r\nHEAD / HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(f->served, 2);
	assert_non_null(f->kept);
	answer(f->kept);
	const char *got = heard(f, fd);
	assert_int_equal(f->served, 3);
	const char *first = strstr(got, "hello"),
		   *second = strstr(got + 1, "HTTP/1.1 200");
	assert_true(first != NULL && second != NULL && first < second);
	assert_null(strstr(second, "hello"));
	say(f, fd,
	    "POST / HTTP/1.1\r\n" HOST
	    "Connection: close\r\nContent-Length: 3\r\n\r\nab");
	assert_int_equal(f->served, 3);
	say(f, fd, "c");
	assert_int_equal(f->served, 4);
	assert_non_null(strstr(heard(f, fd), "Connection: close"));
	assert_null(heard(f, fd));
	(void)close(fd);
}

static void
test_slow(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f), idle = dial(f);
	say(f, fd, "GET / HT");
	for (int i = 0; i < 9; i++) { /* each octet does not begin the time anew */
		pass(f, SECOND_MS);
		say(f, fd, "T");
	}
	pass(f, 2 * SECOND_MS);
	assert_non_null(strstr(heard(f, fd), "408"));
	assert_null(heard(f, fd));
	pass(f, HTTP_IDLE_MS);
	assert_null(heard(f, idle));
	(void)close(fd);
	(void)close(idle);
}

static void
test_gone(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	say(f, fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
	pass(f, HTTP_WORK_MS + SECOND_MS);
	assert_true(f->gone);
	assert_null(heard(f, fd));
	(void)close(fd);
	int left = dial(f);
	say(f, left, "GET /later HTTP/1.1\r\n" HOST "\r\n");
	(void)close(left); /* learnt when the server ends, or answers */
}

/* All connections at once, each with this much of a request. */
static void
crowd(struct fixture *f, int fd[HTTP_CLIENTS_MAX], const char *text)
{
	for (size_t i = 0; i < HTTP_CLIENTS_MAX; i++) {
		fd[i] = dial(f);
		say(f, fd[i], text);
	}
}

static void
close_all(int fd[HTTP_CLIENTS_MAX])
{
	for (size_t i = 0; i < HTTP_CLIENTS_MAX; i++)
		(void)close(fd[i]);
}

/* Half a request each: one more is served all the same, and the oldest goes for it. */
static void
test_crowd(void **state)
{
	struct fixture *f = *state;
	int fd[HTTP_CLIENTS_MAX];
	crowd(f, fd, "GET / HTTP/1.1\r\nX: ");
	say(f, fd[0], "a");                 /* an octet more makes it no younger */
	say(f, fd[1], "a\r\n" HOST "\r\n"); /* to be served does */
	assert_non_null(strstr(heard(f, fd[1]), "hello"));
	for (size_t i = 0; i < 3; i++) {
		static const size_t goes[] = {0, 2, 3};
		assert_non_null(heard(f, fd[goes[i]]));
		int next = dial(f);
		say(f, next, "GET / HTTP/1.1\r\n" HOST "\r\n");
		assert_non_null(strstr(heard(f, next), "hello"));
		assert_null(heard(f, fd[goes[i]]));
		assert_non_null(heard(f, fd[1]));
		assert_non_null(heard(f, fd[goes[i] + 2]));
		say(f, next, "G"); /* it stays */
	}
	close_all(fd);
}

/* A request that is being worked on is not broken off for a stranger. */
static void
test_busy(void **state)
{
	struct fixture *f = *state;
	int fd[HTTP_CLIENTS_MAX];
	crowd(f, fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
	int next = dial(f);
	assert_null(heard(f, next));
	(void)close(next);
	assert_false(f->gone);
	answer(f->kept);
	assert_non_null(strstr(heard(f, fd[HTTP_CLIENTS_MAX - 1]), "hello"));
	next = dial(f);
	say(f, next, "GET / HTTP/1.1\r\n" HOST "\r\n");
	assert_non_null(strstr(heard(f, next), "hello"));
	assert_null(heard(f, fd[HTTP_CLIENTS_MAX - 1]));
	assert_false(f->gone);
	(void)close(next);
	close_all(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_wrong),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_forms),
	    cmocka_unit_test(test_cookies),
	    cmocka_unit_test(test_escaping),
	    cmocka_unit_test_setup_teardown(test_served, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slow, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_crowd, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_busy, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
