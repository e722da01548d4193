/* SPDX-License-Identifier: ISC */
/* http_parse - a request's head: found, cut into lines, read strictly. */
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"
#include "base/units.h"
#include "relay/control/http.h"

enum { BAD_REQUEST = 400, TOO_LARGE = 413, HEAD_TOO_LARGE = 431, NO_SUCH_METHOD = 501 };

/* RFC 9110 5.6.2 */
static bool
is_token(unsigned char c)
{
	return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool
is_target(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != '#';
}

static bool
is_value(unsigned char c)
{
	return c == '\t' || (c >= ' ' && c != 0x7f);
}

/*
 * The octets up to and with the empty line; 0: not all are here.  Lines end in CR LF and
 * in nothing else: a lone CR or LF, or a NUL, is told as soon as it is seen.
 */
static size_t
find_end(struct span in, bool *bad)
{
	for (size_t i = 0; i < in.n && i < HTTP_HEAD_MAX; i++) {
		char c = in.p[i];
		bool after_cr = i > 0 && in.p[i - 1] == '\r';
		*bad = c == '\0' || (c == '\n') != after_cr;
		if (*bad)
			return 0;
		if (c == '\n' && (i == 1 || (i >= 3 && in.p[i - 2] == '\n')))
			return i + 1;
	}
	return 0;
}

static bool
take_method(struct scan *s, struct http_request *out)
{
	static const struct span names[] = {[HTTP_GET] = {"GET", 3},
	    [HTTP_HEAD] = {"HEAD", 4},
	    [HTTP_POST] = {"POST", 4}};
	struct span word;
	if (!scan_run(s, is_token, &word))
		return false;
	for (unsigned i = 0; i < COUNT_OF(names); i++) {
		if (span_eq(word, names[i])) {
			out->method = (enum http_method)i;
			return true;
		}
	}
	return false;
}

/* method SP path [? query] SP HTTP/1.x */
static unsigned
read_request_line(struct span line, struct http_request *out)
{
	struct scan s = scan_over(line);
	struct span target;
	if (!take_method(&s, out))
		return scan_done(&s) || scan_peek(&s) == ' ' ? NO_SUCH_METHOD
							     : BAD_REQUEST;
	if (!scan_char(&s, ' ') || scan_peek(&s) != '/' ||
	    !scan_run(&s, is_target, &target) || !scan_char(&s, ' '))
		return BAD_REQUEST;
	if (scan_text(&s, SPAN("HTTP/1.1")))
		out->keep = true;
	else if (!scan_text(&s, SPAN("HTTP/1.0")))
		return BAD_REQUEST;
	if (!scan_done(&s))
		return BAD_REQUEST;
	size_t mark = span_find(target, '?');
	out->path = span_cut(target, 0, mark);
	out->query =
	    mark < target.n ? span_cut(target, mark + 1, target.n) : (struct span){"", 0};
	return 0;
}

struct seen {
	bool host, length;
};

/* Keep the one field of this name; a second one is a lie. */
static unsigned
keep_one(bool *seen, struct span value, struct span *out)
{
	if (*seen)
		return BAD_REQUEST;
	*seen = true;
	*out = value;
	return 0;
}

static unsigned
take_length(bool *seen, struct span value, struct http_request *out)
{
	uint64_t n;
	if (*seen || units_u64(value, UINT32_MAX, &n) != OK)
		return BAD_REQUEST;
	*seen = true;
	out->length = (size_t)n;
	return n > HTTP_BODY_MAX ? TOO_LARGE : 0;
}

/* Lists of several fields are refused where we would have to choose. */
static unsigned
take_field(
    struct span name, struct span value, struct http_request *out, struct seen *seen)
{
	if (span_ieq(name, SPAN("host")))
		return keep_one(&seen->host, value, &out->host);
	if (span_ieq(name, SPAN("content-length")))
		return take_length(&seen->length, value, out);
	if (span_ieq(name, SPAN("transfer-encoding")))
		return NO_SUCH_METHOD;
	if (span_ieq(name, SPAN("expect")))
		return 417;
	if (span_ieq(name, SPAN("connection")) && span_ieq(value, SPAN("close")))
		out->keep = false;
	struct {
		struct span name, *to;
	} wanted[] = {{SPAN("cookie"), &out->cookie}, {SPAN("origin"), &out->origin},
	    {SPAN("sec-fetch-site"), &out->site}, {SPAN("content-type"), &out->type}};
	for (size_t i = 0; i < COUNT_OF(wanted); i++) {
		bool twice = wanted[i].to->p != NULL;
		if (span_ieq(name, wanted[i].name))
			return keep_one(&twice, value, wanted[i].to);
	}
	return 0;
}

static unsigned
read_field(struct span line, struct http_request *out, struct seen *seen)
{
	struct scan s = scan_over(line);
	struct span name;
	if (!scan_run(&s, is_token, &name) || !scan_char(&s, ':'))
		return BAD_REQUEST; /* a folded line, too: it begins with a blank */
	struct span value = span_trim(scan_rest(&s));
	for (size_t i = 0; i < value.n; i++)
		if (!is_value((unsigned char)value.p[i]))
			return BAD_REQUEST;
	return take_field(name, value, out, seen);
}

static unsigned
read_head(struct span head, struct http_request *out)
{
	struct seen seen = {false, false};
	unsigned fields = 0, wrong = 0;
	bool first = true;
	while (wrong == 0) {
		struct span line = span_cut(head, 0, span_find(head, '\r'));
		head = span_cut(head, line.n + 2, head.n);
		if (line.n == 0)
			break;
		if (first)
			wrong = read_request_line(line, out);
		else if (++fields > HTTP_FIELDS_MAX)
			wrong = HEAD_TOO_LARGE;
		else
			wrong = read_field(line, out, &seen);
		first = false;
	}
	if (wrong == 0 && (first || !seen.host))
		wrong = BAD_REQUEST; /* of HTTP/1.0, too: no guard against rebinding
					without */
	if (wrong == 0 && out->method == HTTP_POST && !seen.length)
		wrong = 411;
	return wrong;
}

enum http_parsed
http_parse(struct span input, struct http_request *out, size_t *head, unsigned *status)
{
	bool bad = false;
	*out = (struct http_request){0};
	*head = find_end(input, &bad);
	*status = bad                        ? (unsigned)BAD_REQUEST
		  : *head > 0                ? read_head(span_cut(input, 0, *head), out)
		  : input.n >= HTTP_HEAD_MAX ? (unsigned)HEAD_TOO_LARGE
					     : 0;
	if (*status != 0)
		return HTTP_WRONG;
	return *head > 0 ? HTTP_OK : HTTP_MORE;
}

struct span
http_cookie(struct span cookies, const char *name)
{
	struct span found = {NULL, 0};
	while (cookies.n > 0) {
		struct span one = span_cut(cookies, 0, span_find(cookies, ';'));
		cookies = span_cut(cookies, one.n + 1, cookies.n);
		one = span_trim(one);
		size_t mark = span_find(one, '=');
		if (mark == one.n || !span_eq(span_cut(one, 0, mark), span_str(name)))
			continue;
		if (found.p != NULL)
			return (struct span){NULL, 0};
		found = span_cut(one, mark + 1, one.n);
	}
	return found;
}
