/* SPDX-License-Identifier: ISC */
/* page_html - the frame of every page, and how text gets into it: escaped. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/units.h"
#include "relay/control/page_private.h"
#include "relay/version.h"

/* ---- text */

void
html_escape(struct buf *b, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		switch (c) {
		case '&': buf_add_str(b, "&amp;"); break;
		case '<': buf_add_str(b, "&lt;"); break;
		case '>': buf_add_str(b, "&gt;"); break;
		case '"': buf_add_str(b, "&quot;"); break;
		case '\'': buf_add_str(b, "&#39;"); break;
		default:
			if (c < ' ' && c != '\n' && c != '\t')
				buf_add_str(b, "\xef\xbf\xbd");
			else
				buf_add_char(b, s.p[i]);
		}
	}
}

void
html_fill(struct buf *b, const char *const *part)
{
	struct span text = span_str(*part++);
	while (text.p != NULL && text.n > 0) {
		size_t at = 0;
		while (at < text.n &&
		       !(text.p[at] == '{' && at + 1 < text.n && text.p[at + 1] == '}'))
			at++;
		buf_add(b, text.p, at);
		text = span_cut(text, at + 2, text.n);
		if (text.p == NULL || *part == NULL)
			continue;
		html_escape(b, span_str(*part++));
	}
}

/* A space that does not break, every three digits. */
struct text
text_number(uint64_t n)
{
	char digits[24];
	struct text t = {""};
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	size_t k = 0;
	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0 && len > 4) {
			memcpy(t.s + k, "\xe2\x80\xaf", 3);
			k += 3;
		}
		t.s[k++] = digits[i];
	}
	return t;
}

struct text
text_size(uint64_t octets)
{
	struct text t = {""};
	struct buf b;
	buf_init(&b, 60);
	units_add_size(&b, octets);
	bool unit = b.n > 0 && b.p[b.n - 1] > '9';
	(void)snprintf(t.s, sizeof(t.s), "%.*s\xe2\x80\xaf%.1s%s", (int)(b.n - unit), b.p,
	    unit ? b.p + b.n - 1 : "", unit ? "iB" : "B");
	buf_clear(&b);
	return t;
}

struct text
text_ms(int64_t ms)
{
	struct text t = {""};
	struct buf b;
	buf_init(&b, 60);
	duration_add(&b, ms);
	span_copy(buf_span(&b), t.s, sizeof(t.s));
	buf_clear(&b);
	return t;
}

struct text
text_time(int64_t seconds)
{
	struct text t = {""};
	struct buf b;
	if (seconds == 0)
		return t;
	buf_init(&b, 60);
	wall_add_local(&b, (struct wall){seconds * 1000});
	span_copy(buf_span(&b), t.s, sizeof(t.s));
	buf_clear(&b);
	return t;
}

struct text
text_iso(const char *iso)
{
	struct tm tm = {0};
	if (strptime(iso, "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
		return (struct text){""};
	return text_time(timegm(&tm));
}

void
html_state(struct buf *b, const char *state)
{
	HTML(b, "<span class=\"state {}\">{}</span>", state, state);
}

/* ---- the frame */

static const char head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n"
    "<title>{} - {}</title>\n"
    "<link rel=\"icon\" href=\"/icon.svg\" type=\"image/svg+xml\">\n"
    "<link rel=\"stylesheet\" href=\"/style.css\">\n"
    "<script src=\"/page.js\" defer></script>\n"
    "</head>\n"
    "<body>\n"
    "<a class=\"skip\" href=\"#main\">Skip to the content</a>\n"
    "<header class=\"bar\">\n"
    "<a class=\"brand\" href=\"/\"><svg viewBox=\"0 0 32 32\" aria-hidden=\"true\">"
    "<rect x=\"2\" y=\"6\" width=\"28\" height=\"20\" rx=\"5\"/>"
    "<path d=\"M7 12l9 7 9-7\"/></svg><b>relayd</b> <span>{}</span></a>\n"
    "<nav aria-label=\"Pages\"><ul>\n";

static const struct {
	const char *path, *title;
	bool signed_in;
} pages[] = {
    {"/", "Overview", false},
    {"/queue", "Queue", true},
    {"/history", "History", true},
};

static void
put_nav(struct buf *b, bool signed_in, const char *here)
{
	for (size_t i = 0; i < COUNT_OF(pages); i++) {
		if (pages[i].signed_in && !signed_in)
			continue;
		bool now = strcmp(pages[i].path, here) == 0;
		HTML(b,
		    now ? "<li><a href=\"{}\" aria-current=\"page\">{}</a></li>\n"
			: "<li><a href=\"{}\">{}</a></li>\n",
		    pages[i].path, pages[i].title);
	}
}

static void
put_head(struct buf *b, struct page *p, const struct page_session *s, const char *title,
    const char *here)
{
	const char *host = page_config(p)->policy.hostname;
	HTML(b, head, title, host, host);
	put_nav(b, s != NULL, here);
	buf_add_str(b, "</ul></nav>\n");
	if (s != NULL)
		HTML(b,
		    "<form class=\"who\" method=\"post\" action=\"/sign-out\">"
		    "<input type=\"hidden\" name=\"token\" value=\"{}\">"
		    "<span>{}</span> <button class=\"quiet\">Sign out</button></form>\n",
		    s->form, s->account);
	else if (strcmp(here, "/sign-in") != 0)
		HTML(b, "<a class=\"who\" href=\"/sign-in?back={}\">Sign in</a>\n", here);
	buf_add_str(b, "</header>\n<main id=\"main\" tabindex=\"-1\">\n");
}

static void
put_foot(struct buf *b)
{
	HTML(b,
	    "</main>\n<footer>relayd {} &middot; <a href=\"/metrics\">figures</a> "
	    "&middot; "
	    "<a href=\"/healthz\">health</a> &middot; <a href=\"/readyz\">readiness</a>"
	    "</footer>\n</body>\n</html>\n",
	    RELAYD_VERSION);
}

void
html_begin(struct visit *v, const char *title, const char *here)
{
	put_head(&v->out, v->page, v->session, title, here);
	if (v->session != NULL && v->session->notice[0] != '\0') {
		HTML(&v->out, "<p class=\"notice\" role=\"status\">{}</p>\n",
		    v->session->notice);
		v->session->notice[0] = '\0';
	}
}

void
html_end(struct visit *v)
{
	put_foot(&v->out);
}

void
html_sorry(struct visit *v, unsigned status, const char *title, const char *text)
{
	html_begin(v, title, "");
	HTML(&v->out,
	    "<section class=\"card sorry\"><h1>{}</h1>\n<p>{}</p>\n"
	    "<p><a href=\"/\">Back to the overview</a></p></section>\n",
	    title, text);
	html_end(v);
	visit_answer(v, status);
}

void
html_token(struct visit *v)
{
	HTML(&v->out,
	    "<input type=\"hidden\" name=\"token\" value=\"{}\">"
	    "<input type=\"hidden\" name=\"back\" value=\"{}\">",
	    v->session != NULL ? v->session->form : "", v->target);
}

/* ---- signing in */

static const char form[] =
    "<form method=\"post\" action=\"/sign-in\">\n"
    "<input type=\"hidden\" name=\"back\" value=\"{}\">\n"
    "<label for=\"name\">Account</label>\n"
    "<input id=\"name\" name=\"name\" autocomplete=\"username\" autocapitalize=\"none\" "
    "spellcheck=\"false\" required maxlength=\"128\" autofocus>\n"
    "<label for=\"password\">Password</label>\n"
    "<input id=\"password\" name=\"password\" type=\"password\" "
    "autocomplete=\"current-password\" required maxlength=\"1000\">\n"
    "<button class=\"main\">Sign in</button>\n</form>\n"
    "<p class=\"hint\">Who may: an account with a secret for the queue. "
    "An administrator makes one with<br><code>relayctl user secret add NAME page "
    "--service queue</code></p>\n</section>\n";

static const char *const troubles[] = {
    [SIGNIN_FIRST] = "",
    [SIGNIN_WRONG] = "That account and password do not fit.",
    [SIGNIN_NO_RIGHT] = "That password is right, but it does not show the queue.",
    [SIGNIN_LATER] = "Not now: too many attempts, or no accounts. Try again later.",
};

void
page_signin(
    struct page *p, struct http_client *c, const char *back, enum signin_trouble trouble)
{
	struct buf b;
	buf_init(&b, 64u << 10);
	put_head(&b, p, NULL, "Sign in", "/sign-in");
	if (!may_sign_in(p, c)) {
		HTML(&b,
		    "<section class=\"card sorry\"><h1>Not over this connection</h1>"
		    "<p>Passwords are taken inside TLS, or from this very machine. Use "
		    "<code>metrics { tls = true }</code>, or <code>ssh -L "
		    "9525:127.0.0.1:9525</code>.</p></section>\n");
	} else {
		HTML(&b, "<section class=\"card signin\">\n<h1>Sign in</h1>\n");
		if (trouble != SIGNIN_FIRST)
			HTML(&b, "<p class=\"trouble\" role=\"alert\">{}</p>\n",
			    troubles[trouble]);
		HTML(&b, form, back);
	}
	put_foot(&b);
	struct http_reply r = {.status = trouble == SIGNIN_FIRST   ? 200
					 : trouble == SIGNIN_LATER ? 429
								   : 403,
	    .type = "text/html; charset=utf-8",
	    .body = buf_span(&b)};
	http_answer(c, &r);
	buf_clear(&b);
}
