/* SPDX-License-Identifier: ISC */
/*
 * client_reply - replies of a next hop (RFC 5321 4.2, RFC 2034), line by line.
 *
 *	250-first line          code, '-': more lines follow
 *	250-2.1.0 second        an enhanced code in front of the text is taken off
 *	250 last                code and a blank, or the code alone: complete
 *
 * The next hop is an enemy (CVE-2020-8794): every byte is looked at through a
 * cursor, every number and length has its bound, and whatever is not a reply is
 * ERR_SYNTAX instead of being guessed at.  An enhanced code that is not exactly
 * three bounded numbers is plain text.
 */
#include "base/scan.h"
#include "relay/egress/client.h"

#define ENHANCED_DIGITS_MAX 999

struct enhanced {
	uint8_t klass;
	uint16_t subject, detail;
};

void
reply_reset(struct reply *r)
{
	buf_reset(&r->text);
	r->text.overflow = false;
	*r = (struct reply){.text = r->text};
}

/* Three digits, the first of them 2 to 5. */
static bool
scan_code(struct scan *s, unsigned *code)
{
	if (scan_rest(s).n < 3)
		return false;
	unsigned n = 0;
	for (int i = 0; i < 3; i++) {
		if (!is_digit((unsigned char)s->p[i]))
			return false;
		n = n * 10 + (unsigned)(s->p[i] - '0');
	}
	if (n < 200 || n > 599)
		return false;
	s->p += 3;
	*code = n;
	return true;
}

/* "5.1.1" and a blank or the end behind it; the blank is consumed. */
static bool
scan_enhanced(struct scan *s, struct enhanced *out)
{
	struct scan t = *s;
	uint64_t klass, subject, detail;
	if (!scan_u64(&t, 5, &klass) || (klass != 2 && klass != 4 && klass != 5))
		return false;
	if (!scan_char(&t, '.') || !scan_u64(&t, ENHANCED_DIGITS_MAX, &subject))
		return false;
	if (!scan_char(&t, '.') || !scan_u64(&t, ENHANCED_DIGITS_MAX, &detail))
		return false;
	if (!scan_done(&t) && !scan_blanks(&t))
		return false;
	*out = (struct enhanced){(uint8_t)klass, (uint16_t)subject, (uint16_t)detail};
	*s = t;
	return true;
}

static void
take_code(struct reply *r, unsigned code)
{
	/* Where the lines differ, the gravest counts: better to try again than to lose.
	 */
	if (code > r->code)
		r->code = code;
}

static void
take_text(struct reply *r, struct scan *s)
{
	struct enhanced e;
	bool enhanced = scan_enhanced(s, &e);
	if (r->lines > 0) {
		buf_add_char(&r->text, '\n');
	} else if (enhanced) {
		r->klass = e.klass;
		r->subject = e.subject;
		r->detail = e.detail;
	}
	buf_add_span(&r->text, scan_rest(s));
}

enum err
reply_add_line(struct reply *r, struct span line)
{
	if (r->complete)
		reply_reset(r);
	if (r->lines >= CLIENT_REPLY_LINES || line.n > CLIENT_REPLY_MAX ||
	    r->text.n + line.n > CLIENT_REPLY_MAX)
		return ERR_RANGE;

	struct scan s = scan_over(line);
	unsigned code;
	if (!scan_code(&s, &code))
		return ERR_SYNTAX;
	bool more = scan_char(&s, '-');
	if (!more && !scan_done(&s) && !scan_char(&s, ' '))
		return ERR_SYNTAX;
	take_code(r, code);
	take_text(r, &s);
	r->lines++;
	r->complete = !more;
	return OK;
}

struct verdict
reply_verdict(const struct reply *r)
{
	struct span text = buf_span(&r->text);
	size_t n = text.n < VERDICT_TEXT ? text.n : VERDICT_TEXT;
	char flat[VERDICT_TEXT];
	for (size_t i = 0; i < n; i++)
		flat[i] = text.p[i] == '\n' ? ' ' : text.p[i];
	struct verdict v = verdict_make(r->code, NULL, "%.*s", (int)n, flat);
	v.peer = true;
	if (r->klass != 0 && r->klass == r->code / 100) {
		v.klass = r->klass;
		v.subject = r->subject;
		v.detail = r->detail;
	}
	return v;
}
