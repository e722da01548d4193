/* SPDX-License-Identifier: ISC */
/* actors - items are played against a descriptor, never waiting in the kernel. */
#include "tests/talk/actors.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/scan.h"
#include "tests/lib/secure.h"

/* `< QUIT` lets the time go by that the daemon keeps an unused connection for. */
#define QUIT_PATIENCE_MS (6 * SECOND_MS)
#define COMMANDS 64

/* A command that a client has sent and that is not answered yet. */
enum verb { VERB_OTHER, VERB_MAIL, VERB_RCPT, VERB_DATA, VERB_DOT };

struct command {
	enum verb verb;
	char address[128];
};

struct actor {
	struct link link;
	struct stage *stage;
	enum part_kind kind;
	const char *name;
	int fd; /* -1: none yet, or closed */
	struct secure *secure;
	bool eof;
	struct buf in, out;
	const struct part *part;
	size_t at;       /* the item to be played */
	bool patient;    /* time was given for the item already */
	struct buf body; /* read last, with LF for CRLF */
	bool body_fresh; /* nothing was sent since */
	/* for the ledger */
	struct command command[COMMANDS];
	size_t commands;
	bool in_data;    /* client: its data is going out */
	unsigned marked; /* client: the number given to it */
	struct ledger_message promise;
	struct ledger_body take;
	bool take_ready; /* server: data was read; its next 2xx takes it */
};

struct cast {
	struct stage *stage;
	struct list actors;
};

enum played { PLAYED, WAITS };

static const struct item *
item_now(const struct actor *a)
{
	return &a->part->item[a->at];
}

static _Noreturn void
fail_item(const struct actor *a, struct span came)
{
	static const char *const sign[] = {
	    [ITEM_SEND] = ">",
	    [ITEM_RAW] = ">>",
	    [ITEM_DATA] = "|",
	    [ITEM_EXPECT] = "<",
	    [ITEM_MATCH] = "<~",
	    [ITEM_BODY] = "<body",
	    [ITEM_BODY_IS] = "<body~",
	    [ITEM_BODY_NOT] = "<body!~",
	    [ITEM_BDAT] = "<bdat",
	    [ITEM_EOF] = "<eof",
	    [ITEM_TLS] = "tls",
	    [ITEM_TLS_OFF] = "tls off",
	    [ITEM_TLS_IS] = "<tls~",
	    [ITEM_CLOSE] = "close",
	    [ITEM_RESET] = "reset",
	};
	const struct item *i = item_now(a);
	const char *closed = a->eof ? " and then the end" : "";
	stage_fail(a->stage, i->line, "%s expected %s %.*s; came: %s%.*s%s", a->name,
	    sign[i->kind], SPAN_ARG(i->text), came.n ? "" : "nothing", SPAN_ARG(came),
	    closed);
}

/* ---- bytes */

/* What comes now is for the handshake. */
static bool
shaking(const struct actor *a)
{
	return a->at < a->part->items && item_now(a)->kind == ITEM_TLS;
}

/* One piece; -1 with EAGAIN: nothing now. */
static ssize_t
receive(struct actor *a, char *p, size_t n)
{
	if (a->secure == NULL)
		return recv(a->fd, p, n, MSG_DONTWAIT);
	ssize_t got = secure_recv(a->secure, p, n);
	errno = EAGAIN;
	return got;
}

static void
take_in(struct actor *a)
{
	char piece[16384];
	while (a->fd >= 0 && !a->eof && !shaking(a)) {
		ssize_t n = receive(a, piece, sizeof(piece));
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			a->eof = true;
		else
			buf_add(&a->in, piece, (size_t)n);
	}
}

/* True: something was written. */
static bool
give_out(struct actor *a)
{
	if (a->fd < 0 || a->out.n == 0)
		return false;
	errno = EAGAIN;
	ssize_t n = a->secure != NULL
			? secure_send(a->secure, a->out.p, a->out.n)
			: send(a->fd, a->out.p, a->out.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		buf_reset(&a->out); /* the other side has gone: seen when reading */
	if (n <= 0)
		return false;
	buf_consume(&a->out, (size_t)n);
	return true;
}

static void
close_fd(struct actor *a, bool notify)
{
	secure_free(&a->secure, notify);
	if (a->fd >= 0)
		(void)close(a->fd);
	a->fd = -1;
	a->eof = true;
	buf_reset(&a->out);
}

/* ---- the ledger */

static enum verb
verb_of(struct span line)
{
	static const struct {
		const char *word;
		enum verb verb;
	} verbs[] = {{"MAIL", VERB_MAIL}, {"RCPT", VERB_RCPT}, {"DATA", VERB_DATA}};
	for (size_t i = 0; i < COUNT_OF(verbs); i++)
		if (span_istarts(line, span_str(verbs[i].word)))
			return verbs[i].verb;
	return VERB_OTHER;
}

static void
copy_address(struct span line, char *out, size_t size)
{
	struct span s = span_cut(line, span_find(line, '<') + 1, SIZE_MAX);
	span_copy(span_cut(s, 0, span_find(s, '>')), out, size);
}

static void
note_command(struct actor *a, struct span line)
{
	if (a->commands == COMMANDS || (a->in_data && !span_eq(line, SPAN("."))))
		return;
	struct command *c = &a->command[a->commands++];
	c->verb = a->in_data && span_eq(line, SPAN(".")) ? VERB_DOT : verb_of(line);
	copy_address(line, c->address, sizeof(c->address));
	if (c->verb == VERB_DOT)
		a->in_data = false;
}

static void
note_reply(struct actor *a, struct span reply)
{
	if (a->commands == 0 || reply.n == 0)
		return;
	struct command c = a->command[0];
	memmove(a->command, a->command + 1, --a->commands * sizeof(c));
	bool good = reply.p[0] == '2';
	struct ledger_message *m = &a->promise;
	if (c.verb == VERB_MAIL)
		m->rcpts = 0;
	if (c.verb == VERB_RCPT && good && m->rcpts < LEDGER_RCPTS)
		memcpy(m->rcpt[m->rcpts++], c.address, sizeof(c.address));
	if (c.verb == VERB_DATA && reply.p[0] == '3') {
		a->in_data = true;
		a->marked = 0;
	}
	if (c.verb == VERB_DOT && good && a->marked > 0) {
		static const char word[] = " queued as ";
		const char *at = memmem(reply.p, reply.n, word, sizeof(word) - 1);
		size_t from =
		    at != NULL ? (size_t)(at - reply.p) + sizeof(word) - 1 : reply.n;
		m->number = a->marked;
		span_copy(span_cut(reply, from, SPOOL_ID_LEN), m->id, sizeof(m->id));
		ledger_promise(a->stage->ledger, m);
	}
}

/* The first line of data of a message that needs a mark. */
static void
mark(struct actor *a)
{
	if (!a->stage->ledger->marks || !a->in_data || a->marked > 0)
		return;
	a->marked = ++a->stage->ledger->given;
	buf_addf(&a->out, "X-Talk: %u\r\n", a->marked);
}

/* A command that came to a server. */
static void
note_came(struct actor *a, struct span line)
{
	struct ledger_body *b = &a->take;
	if (verb_of(line) == VERB_MAIL)
		b->rcpts = 0;
	if (verb_of(line) == VERB_RCPT && b->rcpts < LEDGER_RCPTS)
		copy_address(line, b->rcpt[b->rcpts++], sizeof(b->rcpt[0]));
}

static void
note_answer(struct actor *a, struct span line)
{
	if (a->take_ready && line.n > 0 && line.p[0] == '2')
		ledger_take(a->stage->ledger, &a->take);
	a->take_ready = false;
}

/* ---- sending */

static char *
substitute(const struct stage *s, struct span text)
{
	struct buf out;
	buf_init(&out, 0);
	for (size_t i = 0; i < text.n; i++) {
		bool digit =
		    i + 1 < text.n && text.p[i + 1] >= '1' && text.p[i + 1] <= '9';
		const char *had =
		    text.p[i] == '$' && digit ? s->capture[text.p[i + 1] - '0'] : NULL;
		if (had != NULL) {
			buf_add_str(&out, had);
			i++;
		} else {
			buf_add_char(&out, text.p[i]);
		}
	}
	return buf_take(&out);
}

static enum played
send_line(struct actor *a)
{
	char *text = substitute(a->stage, item_now(a)->text);
	struct span line = span_str(text);
	a->body_fresh = false;
	stage_say(a->stage, a->name, ">", line);
	if (a->kind == PART_CLIENT)
		note_command(a, line);
	if (a->kind == PART_SERVER)
		note_answer(a, line);
	buf_add_span(&a->out, line);
	buf_add_str(&a->out, "\r\n");
	mem_free(&text);
	return PLAYED;
}

static enum played
send_data(struct actor *a)
{
	mark(a);
	stage_say(a->stage, a->name, "|", item_now(a)->text);
	buf_add_span(&a->out, item_now(a)->text);
	buf_add_str(&a->out, "\r\n");
	return PLAYED;
}

static enum played
send_raw(struct actor *a)
{
	a->body_fresh = false;
	stage_say(a->stage, a->name, ">>", item_now(a)->text);
	buf_add_span(&a->out, item_now(a)->text);
	return PLAYED;
}

/* ---- expecting */

/* The length of the first line in s with its end, or 0; *line is without it. */
static size_t
line_in(const struct actor *a, struct span s, struct span *line)
{
	size_t n = span_find(s, '\n');
	if (n == s.n)
		return 0;
	bool cr = n > 0 && s.p[n - 1] == '\r';
	if (!cr && a->kind != PART_CONTROL)
		stage_fail(a->stage, item_now(a)->line,
		    "%s got a line that does not end in CR LF: %.*s", a->name,
		    SPAN_ARG(s));
	*line = span_cut(s, 0, cr ? n - 1 : n);
	return n + 1;
}

/* One reply (client), one line (others): its length in the input, 0 if not whole yet. */
static size_t
whole_reply(const struct actor *a, struct buf *text)
{
	struct span s = buf_span(&a->in), line;
	size_t used = 0, n;
	while ((n = line_in(a, span_cut(s, used, SIZE_MAX), &line)) > 0) {
		used += n;
		if (text->n > 0)
			buf_add_char(text, '\n');
		buf_add_span(text, line);
		if (a->kind != PART_CLIENT || line.n < 4 || line.p[3] != '-')
			return used;
	}
	buf_reset(text);
	return 0;
}

/* "250-SIZE" counts as "250 SIZE". */
static bool
line_begins(struct span line, struct span want, bool reply)
{
	if (want.n > line.n)
		return false;
	for (size_t i = 0; i < want.n; i++) {
		char c = reply && i == 3 && line.p[3] == '-' ? ' ' : line.p[i];
		if (c != want.p[i])
			return false;
	}
	return true;
}

static bool
any_line_begins(struct span text, struct span want, bool reply)
{
	struct scan s = scan_over(text);
	struct span line;
	while (scan_until(&s, '\n', &line))
		if (line_begins(line, want, reply))
			return true;
	return line_begins(scan_rest(&s), want, reply);
}

static bool
matches(struct actor *a, struct span text, bool capture)
{
	regex_t re;
	regmatch_t group[10];
	struct stage *s = a->stage;
	char *pattern = substitute(s, item_now(a)->text);
	int e = regcomp(&re, pattern, REG_EXTENDED | REG_NEWLINE);
	if (e != 0) {
		char why[200];
		(void)regerror(e, &re, why, sizeof(why));
		stage_fail(s, item_now(a)->line, "the regular expression: %s", why);
	}
	char *whole = span_dup(text);
	for (size_t i = 0; i < text.n; i++)
		if (whole[i] == '\0')
			whole[i] = '\1'; /* so that a NUL does not hide what follows */
	bool yes = regexec(&re, whole, COUNT_OF(group), group, 0) == 0;
	for (size_t i = 1; yes && capture && i <= re.re_nsub && i < COUNT_OF(group);
	     i++) {
		mem_free(&s->capture[i]);
		struct span at = {0};
		if (group[i].rm_so >= 0)
			at = (struct span){whole + group[i].rm_so,
			    (size_t)(group[i].rm_eo - group[i].rm_so)};
		s->capture[i] = span_dup(at);
	}
	mem_free(&whole);
	mem_free(&pattern);
	regfree(&re);
	return yes;
}

static enum played
nothing_yet(const struct actor *a)
{
	if (a->eof)
		fail_item(a, buf_span(&a->in));
	return WAITS;
}

static enum played
expect(struct actor *a)
{
	struct buf text;
	buf_init(&text, 0);
	size_t n = whole_reply(a, &text);
	if (n == 0) {
		buf_clear(&text);
		return nothing_yet(a);
	}
	struct span got = buf_span(&text);
	stage_say(a->stage, a->name, "<", got);
	bool match = item_now(a)->kind == ITEM_MATCH;
	if (match ? !matches(a, got, true)
		  : !any_line_begins(got, item_now(a)->text, a->kind == PART_CLIENT))
		fail_item(a, got);
	if (a->kind == PART_CLIENT)
		note_reply(a, got);
	if (a->kind == PART_SERVER)
		note_came(a, got);
	buf_consume(&a->in, n);
	buf_clear(&text);
	return PLAYED;
}

/* ---- bodies */

static void
keep_body(struct actor *a, struct span raw, bool stuffed)
{
	buf_reset(&a->body);
	bool start = true;
	for (size_t i = 0; i < raw.n; i++) {
		bool dot = start && stuffed && raw.p[i] == '.';
		start = raw.p[i] == '\n';
		if (dot || (raw.p[i] == '\r' && i + 1 < raw.n && raw.p[i + 1] == '\n'))
			continue;
		buf_add_char(&a->body, raw.p[i]);
	}
	a->body_fresh = true;
	a->take.n = raw.n < LEDGER_BODY ? raw.n : LEDGER_BODY;
	memcpy(a->take.text, raw.p, a->take.n);
	a->take_ready = a->kind == PART_SERVER;
	if (a->kind == PART_CLIENT) /* of a mailbox: he has it now */
		ledger_take(a->stage->ledger, &a->take);
	stage_say(a->stage, a->name, "<body", buf_span(&a->body));
}

/* Where the data ends: behind CRLF, at a lone dot. SIZE_MAX: not there yet. */
static size_t
find_dot(struct span s)
{
	if (span_starts(s, SPAN(".\r\n")))
		return 0;
	const char *at = s.n ? memmem(s.p, s.n, "\r\n.\r\n", 5) : NULL;
	return at ? (size_t)(at - s.p) + 2 : SIZE_MAX;
}

static enum played
read_body(struct actor *a)
{
	struct span in = buf_span(&a->in);
	size_t n = find_dot(in);
	if (n == SIZE_MAX)
		return nothing_yet(a);
	keep_body(a, span_cut(in, 0, n), true);
	buf_consume(&a->in, n + 3);
	return PLAYED;
}

static enum played
read_bdat(struct actor *a)
{
	struct span line = {0}, in = buf_span(&a->in);
	size_t head = line_in(a, in, &line);
	if (head == 0)
		return nothing_yet(a);
	struct scan s = scan_over(line);
	uint64_t n;
	if (!scan_text(&s, SPAN("BDAT ")) || !scan_u64(&s, 1u << 30, &n))
		fail_item(a, line);
	if (in.n < head + n)
		return nothing_yet(a);
	keep_body(a, span_cut(in, head, n), false);
	buf_consume(&a->in, head + n);
	return PLAYED;
}

static enum played
check_body(struct actor *a)
{
	if (!a->body_fresh && read_body(a) == WAITS)
		return WAITS;
	bool wanted = item_now(a)->kind == ITEM_BODY_IS;
	if (matches(a, buf_span(&a->body), wanted) != wanted)
		fail_item(a, buf_span(&a->body));
	return PLAYED;
}

/* ---- the end of a connection */

static enum played
expect_end(struct actor *a)
{
	if (a->in.n > 0)
		fail_item(a, buf_span(&a->in));
	return a->eof ? PLAYED : WAITS;
}

static enum played
close_gently(struct actor *a)
{
	if (a->out.n > 0 && !a->eof)
		return WAITS;
	close_fd(a, true);
	return PLAYED;
}

/* ---- TLS */

static const char *
certificate_for(struct actor *a, struct span word, const char **key)
{
	static const struct {
		const char *word;
		enum cert kind;
	} kinds[] = {{"expired", CERT_EXPIRED}, {"self-signed", CERT_SELF_SIGNED},
	    {"unknown", CERT_UNKNOWN_CA}};
	struct certs *c = stage_certs(a->stage);
	if (span_eq(word, SPAN("wrong")))
		return certs_named(c, "wrong.test", key);
	enum cert kind = CERT_GOOD;
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		if (span_eq(word, span_str(kinds[i].word)))
			kind = kinds[i].kind;
	char *names = script_cert_names(a->stage->script, a->name);
	const char *file = certs_for(c, kind, names, key);
	mem_free(&names);
	return file;
}

static void
begin_tls(struct actor *a)
{
	struct secure_wish w = {.server = a->kind == PART_SERVER};
	struct span text = item_now(a)->text, word;
	if (a->in.n > 0)
		fail_item(a, buf_span(&a->in)); /* it came before TLS */
	if (w.server)
		w.certificate = certificate_for(a, SPAN(""), &w.key);
	while ((word = script_word(&text)).n > 0) {
		if (word.p[0] == '1') {
			w.version = word;
		} else if (span_starts(word, SPAN("alpn="))) {
			w.protocols = span_cut(word, sizeof("alpn=") - 1, word.n);
		} else if (span_eq(word, SPAN("certificate"))) {
			w.certificate = certs_path(stage_certs(a->stage), CERT_CLIENT);
			w.key = certs_key(stage_certs(a->stage), CERT_CLIENT);
		} else if (!span_eq(word, SPAN("fails"))) {
			w.certificate = certificate_for(a, word, &w.key);
		}
	}
	a->secure = secure_new(a->fd, &w);
}

static bool
shall_fail(const struct actor *a)
{
	struct span text = item_now(a)->text, word;
	while ((word = script_word(&text)).n > 0)
		if (span_eq(word, SPAN("fails")))
			return true;
	return false;
}

static enum played
play_tls(struct actor *a)
{
	struct buf text;
	if (a->out.n > 0 && !a->eof)
		return WAITS; /* in the clear, before */
	if (a->fd < 0 || a->eof)
		fail_item(a, SPAN(""));
	if (a->secure == NULL)
		begin_tls(a);
	enum secure_is is = secure_shake(a->secure);
	if (is == SECURE_SHAKING)
		return WAITS;
	if (shall_fail(a) != (is == SECURE_FAILED))
		fail_item(a, is == SECURE_FAILED ? SPAN("a handshake that failed")
						 : SPAN("a handshake that is done"));
	if (is == SECURE_FAILED) {
		stage_say(a->stage, a->name, "tls", SPAN("fails"));
		a->eof = true;
		return PLAYED;
	}
	buf_init(&text, 0);
	secure_describe(a->secure, &text);
	stage_say(a->stage, a->name, "tls", buf_span(&text));
	buf_clear(&text);
	return PLAYED;
}

static enum played
end_tls(struct actor *a)
{
	if (a->out.n > 0 && !a->eof)
		return WAITS;
	if (a->secure == NULL)
		fail_item(a, SPAN("no TLS"));
	stage_say(a->stage, a->name, "tls", SPAN("off"));
	secure_off(a->secure);
	return PLAYED;
}

static enum played
check_tls(struct actor *a)
{
	struct buf text;
	if (a->secure == NULL)
		fail_item(a, SPAN("no TLS"));
	buf_init(&text, 0);
	secure_describe(a->secure, &text);
	if (!matches(a, buf_span(&text), true))
		fail_item(a, buf_span(&text));
	buf_clear(&text);
	return PLAYED;
}

static enum played
play_item(struct actor *a)
{
	switch (item_now(a)->kind) {
	case ITEM_SEND: return send_line(a);
	case ITEM_RAW: return send_raw(a);
	case ITEM_DATA: return send_data(a);
	case ITEM_EXPECT:
	case ITEM_MATCH: return expect(a);
	case ITEM_BODY: return read_body(a);
	case ITEM_BODY_IS:
	case ITEM_BODY_NOT: return check_body(a);
	case ITEM_BDAT: return read_bdat(a);
	case ITEM_EOF: return expect_end(a);
	case ITEM_CLOSE: return close_gently(a);
	case ITEM_RESET: close_fd(a, false); return PLAYED;
	case ITEM_TLS: return play_tls(a);
	case ITEM_TLS_OFF: return end_tls(a);
	case ITEM_TLS_IS: return check_tls(a);
	}
	return PLAYED;
}

/* ---- parts */

/* What a part begins with: its connection. */
static bool
attach(struct actor *a)
{
	struct stage *s = a->stage;
	int fd[2];
	if (a->fd >= 0 || a->eof)
		return true;
	if (a->kind == PART_SERVER) {
		a->fd = stage_take_knock(s, a->name);
		return a->fd >= 0;
	}
	if (s->daemon == NULL)
		stage_fail(s, a->part->line, "there is no daemon to connect to");
	CHECK(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	a->fd = fd[0];
	if (a->kind == PART_CLIENT) {
		a->command[a->commands++].verb =
		    VERB_OTHER; /* the greeting is no answer */
		daemon_serve(s->daemon, fd[1], &a->part->from, a->part->listener);
	} else {
		daemon_serve_control(s->daemon, fd[1]);
	}
	return true;
}

static bool
part_over(const struct actor *a)
{
	return a->at == a->part->items;
}

/* Go on as far as possible; true if something was done. */
static bool
play(struct actor *a)
{
	bool done = false;
	if (a->fd < 0 && !a->eof) {
		if (!attach(a))
			return false;
		done = true;
	}
	take_in(a);
	while (!part_over(a) && play_item(a) == PLAYED) {
		done = true;
		a->at++;
		a->patient = false;
		give_out(a);
	}
	return give_out(a) || done;
}

static struct actor *
actor_new(struct cast *c, const struct part *p)
{
	struct actor *a = NEW(struct actor);
	a->stage = c->stage;
	a->kind = p->kind;
	a->name = p->name;
	a->fd = -1;
	buf_init(&a->in, 0);
	buf_init(&a->out, 0);
	buf_init(&a->body, 0);
	list_unshift(&c->actors, &a->link);
	return a;
}

static struct actor *
find_actor(const struct cast *c, const struct part *p)
{
	LIST_EACH (&c->actors, k) {
		struct actor *a = CONTAINER_OF(k, struct actor, link);
		if (a->kind == p->kind && strcmp(a->name, p->name) == 0)
			return a;
	}
	return NULL;
}

static struct actor *
cast_part(struct cast *c, const struct part *p)
{
	struct actor *a = p->again ? find_actor(c, p) : actor_new(c, p);
	if (a == NULL)
		stage_fail(
		    c->stage, p->line, "%s has no connection to go on with", p->name);
	a->part = p;
	a->at = 0;
	a->patient = false;
	return a;
}

static bool
wants_patience(const struct actor *a)
{
	const struct item *i = item_now(a);
	return a->kind == PART_SERVER && a->fd >= 0 && !a->patient &&
	       i->kind == ITEM_EXPECT && span_eq(i->text, SPAN("QUIT"));
}

/* Nobody can go on: let time go by for one who may wait, or give up. */
static void
stuck(struct actor **actor, size_t n)
{
	struct actor *first = NULL;
	for (size_t i = 0; i < n; i++) {
		struct actor *a = actor[i];
		if (part_over(a) && a->out.n == 0)
			continue;
		if (!part_over(a) && wants_patience(a)) {
			a->patient = true;
			stage_pass(a->stage, QUIT_PATIENCE_MS);
			return;
		}
		if (first == NULL)
			first = a;
	}
	if (first == NULL)
		return;
	if (first->fd < 0 && !first->eof)
		stage_fail(first->stage, first->part->line, "no connection came to %s",
		    first->name);
	if (part_over(first))
		stage_fail(first->stage, first->part->line, "what %s sends is not read",
		    first->name);
	fail_item(first, buf_span(&first->in));
}

static bool
all_over(struct actor **actor, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!part_over(actor[i]) || (actor[i]->out.n > 0 && !actor[i]->eof))
			return false;
	return true;
}

void
cast_play(struct cast *c, struct step *step)
{
	struct actor **actor = mem_alloc(step->parts * sizeof(*actor));
	for (size_t i = 0; i < step->parts; i++)
		actor[i] = cast_part(c, &step->part[i]);
	unsigned idle = 0;
	while (!all_over(actor, step->parts)) {
		bool done = false;
		for (size_t i = 0; i < step->parts; i++) {
			done = play(actor[i]) || done;
			step->part[i].attached = actor[i]->fd >= 0 || actor[i]->eof;
		}
		done = stage_turn(c->stage) || done;
		idle = done ? 0 : idle + 1;
		if (idle > 2) {
			stuck(actor, step->parts);
			idle = 0;
		}
	}
	mem_free(&actor);
}

void
cast_hang_up(struct cast *c)
{
	LIST_EACH (&c->actors, k) {
		struct actor *a = CONTAINER_OF(k, struct actor, link);
		take_in(a);
		if (a->eof)
			close_fd(a, true);
	}
}

struct cast *
cast_new(struct stage *s)
{
	struct cast *c = NEW(struct cast);
	c->stage = s;
	list_init(&c->actors);
	return c;
}

void
cast_free(struct cast **cp)
{
	LIST_EACH (&(*cp)->actors, k) {
		struct actor *a = CONTAINER_OF(k, struct actor, link);
		close_fd(a, true);
		buf_clear(&a->in);
		buf_clear(&a->out);
		buf_clear(&a->body);
		mem_free(&a);
	}
	mem_free(cp);
}
