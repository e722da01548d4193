/* SPDX-License-Identifier: ISC */
/* witness - a session as its two streams of octets tell it. */
#include "tests/fuzz/witness.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/scan.h"

#define WINDOW 100 /* commands without an answer, at most */

void
witness_reset(struct witness *w, bool lmtp, bool socks)
{
	struct buf heard = w->heard, said = w->said;
	buf_reset(&heard);
	buf_reset(&said);
	w->lmtp = lmtp;
	w->socks = socks ? 2 : 0;
	w->user = w->clear = w->tls_must = w->tls_right = w->implicit = false;
	w->unsure = w->dark = w->secured = w->must_end = false;
	w->early = SIZE_MAX;
	w->heard = heard;
	w->said = said;
	w->heard_at = w->said_at = w->answer_at = 0;
	w->code = 0;
	w->answers = w->hello = w->from = 0;
	w->mail = NULL;
	w->utf8 = w->body = w->chunk = false;
	w->item[0] = (struct witness_item){.kind = SAYS_NOTHING};
	w->items = 1;
}

/* ---- what is known */

bool
witness_awaits(const struct witness *w)
{
	return w->items > w->answers;
}

unsigned
witness_code(const struct witness *w, size_t item)
{
	return item < w->answers ? w->answer[item].code : 0;
}

static bool
taken(const struct witness *w, size_t item)
{
	return witness_code(w, item) / 100 == 2;
}

static struct span
line_of(const struct witness *w, size_t item)
{
	return span_cut(buf_span(&w->heard), w->item[item].at, w->item[item].n);
}

bool
witness_ready(const struct witness *w)
{
	size_t i = w->items;
	if (w->hello == 0 || !taken(w, w->hello) || w->dark)
		return false;
	while (i > 0 && w->item[i - 1].kind != SAYS_AUTH)
		i--;
	return !w->user || (i > 0 && witness_code(w, i - 1) == 235);
}

bool
witness_offered(const struct witness *w, const char *word)
{
	if (w->hello == 0 || !taken(w, w->hello) ||
	    span_starts(line_of(w, w->hello), SPAN("HELO")))
		return false;
	const struct witness_answer *a = &w->answer[w->hello];
	struct span text = span_cut(buf_span(&w->said), a->at, a->n);
	struct span want = span_str(word);
	for (; text.n >= want.n; text = span_cut(text, 1, text.n))
		if (span_istarts(text, want))
			return true;
	return false;
}

size_t
witness_find(const struct witness *w, enum witness_kind kind)
{
	size_t i = w->from;
	while (i < w->items && w->item[i].kind != kind)
		i++;
	return i;
}

/* Recipients of the mail that were accepted, of those before the item `end`. */
static size_t
accepted(const struct witness *w, size_t end)
{
	size_t n = 0, mail = witness_find(w, SAYS_MAIL);
	if (!taken(w, mail))
		return 0;
	for (size_t i = mail; i < end; i++)
		n += w->item[i].kind == SAYS_RCPT && taken(w, i);
	return n;
}

bool
witness_is_for_somebody(const struct witness *w)
{
	return accepted(w, w->items) > 0;
}

/* "RCPT TO:<b@x.test> ..." */
static struct span
address_in(struct span line)
{
	size_t at = span_find(line, '<') + 1;
	return span_cut(line, at, span_find(span_cut(line, at, line.n), '>'));
}

static bool
is_address(const struct witness *w, const struct witness_address *a, struct span s)
{
	if (w->utf8)
		return span_eq(s, a->is);
	return a->ascii.p != NULL && span_eq(s, a->ascii);
}

static size_t
find_rcpt(const struct witness *w, size_t i)
{
	for (size_t k = w->from; k < w->items; k++)
		if (w->item[k].kind == SAYS_RCPT &&
		    is_address(w, &w->mail->rcpt[i], address_in(line_of(w, k))))
			return k;
	return w->items;
}

/* 354 is nobody's verdict. */
static unsigned
final_code(const struct witness *w, size_t item)
{
	unsigned code = witness_code(w, item);
	return code / 100 == 3 ? 0 : code;
}

unsigned
witness_verdict(const struct witness *w, size_t i)
{
	size_t mail = witness_find(w, SAYS_MAIL), rcpt = find_rcpt(w, i);
	size_t data = witness_find(w, SAYS_DATA), dot = witness_find(w, SAYS_DOT);
	if (!taken(w, mail))
		return final_code(w, mail);
	if (!taken(w, rcpt))
		return final_code(w, rcpt);
	if (witness_code(w, data) >= 400)
		return witness_code(w, data);
	if (w->lmtp && dot < w->items)
		dot += accepted(w, rcpt);
	return final_code(w, dot);
}

void
witness_mail(struct witness *w, const struct witness_mail *m)
{
	w->mail = m;
	w->from = w->items;
	w->utf8 = false;
}

/* ---- the next hop */

static void
answered(struct witness *w, size_t end)
{
	size_t i = w->answers;
	CHECK(i < WITNESS_ITEMS);
	w->answer[w->answers++] =
	    (struct witness_answer){w->code, w->answer_at, end - w->answer_at};
	if (w->code == 421)
		w->must_end = true;
	if (i >= w->items && !w->unsure) {
		w->must_end = true;
		w->early = i < w->early ? i : w->early;
	}
	if (i < w->items && w->item[i].kind == SAYS_STARTTLS && w->code == 220)
		w->dark = true;
	w->code = 0;
	w->answer_at = end;
}

/* "250-text", its CRLF gone. False: it is no line of a reply. */
static bool
reply_line(struct witness *w, struct span line, size_t end)
{
	if (line.n < 3 || memchr(line.p, '\r', line.n) != NULL ||
	    memchr(line.p, '\0', line.n) != NULL)
		return false;
	for (size_t i = 0; i < 3; i++)
		if (!is_digit((unsigned char)line.p[i]))
			return false;
	unsigned code = (unsigned)(line.p[0] - '0') * 100 +
			(unsigned)(line.p[1] - '0') * 10 + (unsigned)(line.p[2] - '0');
	if (code < 200 || code > 599)
		return false;
	if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
		return false;
	w->code = code > w->code ? code : w->code;
	if (line.n == 3 || line.p[3] == ' ')
		answered(w, end);
	return true;
}

/* RFC 1928: two octets that choose a method, then the answer to CONNECT. */
static void
proxy_says(struct witness *w)
{
	struct span in = span_cut(buf_span(&w->said), w->said_at, w->said.n);
	const unsigned char *p = (const unsigned char *)in.p;
	size_t need = 2;
	if (w->socks == 1) {
		need = 5;
		if (in.n >= need)
			need = p[3] == 1 ? 10 : p[3] == 4 ? 22 : 7 + (size_t)p[4];
	}
	if (in.n < need)
		return;
	if (p[0] != 5 || p[1] != 0 || (w->socks == 2 && in.n > 2) ||
	    (w->socks == 1 && p[3] != 1 && p[3] != 3 && p[3] != 4)) {
		w->must_end = true;
		return;
	}
	w->socks--;
	w->said_at += need;
	w->answer_at = w->said_at;
	w->dark = w->socks == 0 && w->implicit;
}

void
witness_says(struct witness *w, struct span octets)
{
	if (w->dark || w->must_end)
		return;
	buf_add_span(&w->said, octets);
	if (w->socks > 0)
		proxy_says(w);
	while (w->socks == 0 && !w->dark && !w->must_end) {
		struct span in = span_cut(buf_span(&w->said), w->said_at, w->said.n);
		size_t n = span_find(in, '\n');
		if (n == in.n)
			return;
		w->said_at += n + 1;
		if (n == 0 || in.p[n - 1] != '\r' ||
		    !reply_line(w, span_cut(in, 0, n - 1), w->said_at))
			w->must_end = true;
	}
	if (w->dark && w->said_at < w->said.n)
		w->must_end = true; /* words in the clear behind "go ahead" */
}

/* ---- the client */

static void
push(struct witness *w, enum witness_kind kind, struct span line)
{
	enum witness_kind last = w->item[w->items - 1].kind;
	CHECK(w->items < WITNESS_ITEMS);
	if (witness_awaits(w) && kind != SAYS_DOT) {
		CHECK(witness_offered(w, "PIPELINING"));
		CHECK(kind == SAYS_RCPT || kind == SAYS_DATA ||
		      (kind == SAYS_MAIL && last == SAYS_RSET));
		CHECK(last == SAYS_RSET || last == SAYS_MAIL || last == SAYS_RCPT);
		CHECK(w->items - w->answers < WINDOW);
	}
	size_t at = line.n > 0 ? (size_t)(line.p - w->heard.p) : 0;
	w->item[w->items++] = (struct witness_item){kind, at, line.n};
}

static void
hello(struct witness *w, struct span line)
{
	size_t last = w->items - 1;
	enum witness_kind kind = w->item[last].kind;
	if (kind == SAYS_HELLO) {
		CHECK(!w->lmtp && span_eq(line, SPAN("HELO me.test")));
		CHECK(witness_code(w, last) / 100 == 5);
	} else {
		CHECK(kind == SAYS_NOTHING || (kind == SAYS_STARTTLS && w->secured));
		CHECK(
		    span_eq(line, w->lmtp ? SPAN("LHLO me.test") : SPAN("EHLO me.test")));
		CHECK(witness_code(w, last) == 220);
	}
	w->hello = w->items;
	push(w, SAYS_HELLO, line);
}

static void
starttls(struct witness *w, struct span line)
{
	CHECK(line.n == 8 && w->item[w->items - 1].kind == SAYS_HELLO && !w->secured);
	CHECK(witness_offered(w, "STARTTLS"));
	push(w, SAYS_STARTTLS, line);
}

static void
auth(struct witness *w, struct span line)
{
	CHECK(w->user && !w->tls_must && w->hello > 0 && taken(w, w->hello));
	CHECK(witness_offered(w, "AUTH"));
	CHECK(w->clear || (!span_starts(line, SPAN("AUTH PLAIN")) &&
			      !span_starts(line, SPAN("AUTH LOGIN"))));
	push(w, SAYS_AUTH, line);
}

static void
rset(struct witness *w, struct span line)
{
	CHECK(line.n == 4 && w->items == w->from);
	push(w, SAYS_RSET, line);
}

/* Does a transaction of before stand open at the peer? */
static bool
stands_open(const struct witness *w)
{
	for (size_t i = w->items; i-- > 0;) {
		enum witness_kind kind = w->item[i].kind;
		if (kind == SAYS_RSET || (kind == SAYS_DOT && taken(w, i)))
			return false;
		if (kind == SAYS_MAIL && taken(w, i))
			return true;
	}
	return false;
}

/* The parameters of MAIL; returns how many tell of 8-bit content. */
static size_t
mail_parameters(struct witness *w, struct span rest)
{
	struct scan s = scan_over(rest);
	struct span word;
	size_t bodies = 0;
	char size[40];
	snprintf(size, sizeof(size), "SIZE=%zu", w->mail->octets.n);
	while (scan_char(&s, ' ')) {
		CHECK(scan_word(&s, &word));
		bool eight = span_eq(word, SPAN("BODY=8BITMIME"));
		bool binary = span_eq(word, SPAN("BODY=BINARYMIME"));
		bodies += eight || binary;
		if (span_eq(word, SPAN("SMTPUTF8")))
			w->utf8 = true;
		CHECK(
		    (eight && w->mail->eight && witness_offered(w, "8BITMIME")) ||
		    (binary && w->mail->binary && witness_offered(w, "BINARYMIME")) ||
		    (span_eq(word, span_str(size)) && witness_offered(w, "SIZE")) ||
		    (span_eq(word, SPAN("SMTPUTF8")) && witness_offered(w, "SMTPUTF8")) ||
		    ((span_eq(word, SPAN("RET=HDRS")) ||
			 span_eq(word, SPAN("ENVID=QQ+3D1"))) &&
			witness_offered(w, "DSN")));
	}
	CHECK(scan_done(&s));
	return bodies;
}

static void
mail(struct witness *w, struct span line)
{
	CHECK(w->mail != NULL && witness_ready(w) && !w->tls_must && !stands_open(w));
	CHECK(witness_find(w, SAYS_MAIL) == w->items);
	struct span address = address_in(line);
	size_t end = sizeof("MAIL FROM:<>") - 1 + address.n;
	size_t bodies = mail_parameters(w, span_cut(line, end, line.n));
	CHECK(bodies == (w->mail->eight || w->mail->binary));
	CHECK(is_address(w, &w->mail->sender, address));
	push(w, SAYS_MAIL, line);
}

static void
rcpt(struct witness *w, struct span line)
{
	size_t i = 0, end = span_find(line, '>') + 1;
	struct span address = address_in(line);
	enum witness_kind last = w->item[w->items - 1].kind;
	CHECK(last == SAYS_MAIL || last == SAYS_RCPT);
	while (i < w->mail->rcpts && !is_address(w, &w->mail->rcpt[i], address))
		i++;
	CHECK(i < w->mail->rcpts && find_rcpt(w, i) == w->items);
	CHECK(end == line.n || (line.p[end] == ' ' && witness_offered(w, "DSN")));
	push(w, SAYS_RCPT, line);
}

static void
data(struct witness *w, struct span line)
{
	CHECK(line.n == 4 && w->item[w->items - 1].kind == SAYS_RCPT);
	CHECK(w->unsure || witness_awaits(w) || accepted(w, w->items) > 0);
	push(w, SAYS_DATA, line);
}

static void
bdat(struct witness *w, struct span line)
{
	char want[40];
	snprintf(want, sizeof(want), "BDAT %zu LAST", w->mail->octets.n);
	CHECK(span_eq(line, span_str(want)) && witness_offered(w, "CHUNKING"));
	CHECK(w->item[w->items - 1].kind == SAYS_RCPT && !witness_awaits(w));
	CHECK(accepted(w, w->items) > 0);
	w->chunk = true;
	w->left = w->mail->octets;
}

static void
quit(struct witness *w, struct span line)
{
	CHECK(line.n == 4);
	push(w, SAYS_QUIT, line);
}

static void
command(struct witness *w, struct span line)
{
	static const struct {
		struct span begins;
		void (*take)(struct witness *w, struct span line);
	} verbs[] = {{{"EHLO ", 5}, hello}, {{"HELO ", 5}, hello}, {{"LHLO ", 5}, hello},
	    {{"STARTTLS", 8}, starttls}, {{"AUTH ", 5}, auth}, {{"RSET", 4}, rset},
	    {{"MAIL FROM:<", 11}, mail}, {{"RCPT TO:<", 9}, rcpt}, {{"DATA", 4}, data},
	    {{"BDAT ", 5}, bdat}, {{"QUIT", 4}, quit}};
	size_t i = 0;
	while (!span_starts(line, verbs[i].begins))
		CHECK(++i < sizeof(verbs) / sizeof(verbs[0]));
	verbs[i].take(w, line);
}

/* The content is over. */
static void
end_of_content(struct witness *w)
{
	size_t n = w->lmtp ? accepted(w, w->items) : 1;
	CHECK(w->left.n == 0 && n > 0);
	w->body = w->chunk = false;
	while (n-- > 0)
		push(w, SAYS_DOT, (struct span){0});
}

static void
body_line(struct witness *w, struct span line)
{
	if (span_eq(line, SPAN("."))) {
		end_of_content(w);
		return;
	}
	if (line.n > 0 && line.p[0] == '.') {
		CHECK(line.n > 1 && line.p[1] == '.');
		line = span_cut(line, 1, line.n);
	}
	CHECK(w->left.n > 0 && span_starts(w->left, line));
	w->left = span_cut(w->left, line.n, w->left.n);
	/* a last line without an end is given one */
	CHECK(w->left.n == 0 || span_starts(w->left, SPAN("\r\n")));
	w->left = span_cut(w->left, 2, w->left.n);
}

/* What kind of line it is may depend on the answer to the one before. */
static void
line_heard(struct witness *w, struct span line)
{
	size_t last = w->items - 1;
	CHECK(
	    memchr(line.p, '\r', line.n) == NULL && memchr(line.p, '\0', line.n) == NULL);
	if (w->item[last].kind == SAYS_DATA && !w->body) {
		CHECK(witness_code(w, last) != 0);
		w->body = witness_code(w, last) == 354;
		w->left = accepted(w, last) > 0 ? w->mail->octets : (struct span){0};
	}
	if (w->body)
		body_line(w, line);
	else if (w->item[last].kind == SAYS_AUTH && witness_code(w, last) == 334)
		push(w, SAYS_AUTH, line);
	else
		command(w, line);
}

static void
chunk_heard(struct witness *w)
{
	struct span in = span_cut(buf_span(&w->heard), w->heard_at, w->left.n);
	CHECK(span_starts(w->left, in));
	w->left = span_cut(w->left, in.n, w->left.n);
	w->heard_at += in.n;
	if (w->left.n == 0)
		end_of_content(w);
}

/* The greeting of SOCKS5, and 192.0.2.1 at port 25. */
static void
proxy_heard(struct witness *w)
{
	static const char all[] = "\5\1\0\5\1\0\1\xc0\0\2\1\0\x19";
	size_t may = w->socks == 2 ? 3 : sizeof(all) - 1;
	CHECK(w->heard.n <= may && memcmp(w->heard.p, all, w->heard.n) == 0);
	w->heard_at = w->heard.n;
}

void
witness_hears(struct witness *w, struct span octets)
{
	if (w->dark || octets.n == 0)
		return;
	buf_add_span(&w->heard, octets);
	if (w->socks > 0) {
		proxy_heard(w);
		return;
	}
	CHECK(w->answers > 0); /* the greeting */
	while (w->heard_at < w->heard.n) {
		struct span in = span_cut(buf_span(&w->heard), w->heard_at, w->heard.n);
		if (w->chunk) {
			chunk_heard(w);
			continue;
		}
		size_t n = span_find(in, '\n');
		if (n == in.n)
			return;
		CHECK(n > 0 && in.p[n - 1] == '\r');
		w->heard_at += n + 1;
		line_heard(w, span_cut(in, 0, n - 1));
	}
}

void
witness_secured(struct witness *w)
{
	CHECK(w->dark);
	w->dark = false;
	w->secured = w->clear = true;
	w->tls_must = w->tls_right;
	w->hello = 0;
	w->heard_at = w->heard.n;
	w->said_at = w->answer_at = w->said.n;
}
