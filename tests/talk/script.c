/* SPDX-License-Identifier: ISC */
/*
 * script - the parser.  Line by line; what belongs to a block is read by the
 * function that met its brace.  A script lives as long as its process, so
 * nothing of it is freed.
 */
#include "tests/talk/script.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"

static const char default_config[] =
    "hostname = \"relay.test\"\n"
    "spool { path = \"${SPOOL}\"  min-free = \"0\" }\n"
    "networks = {\"127.0.0.0/8\", \"192.0.2.0/24\"}\n"
    "listener \"smtp\" { bind = {\"203.0.113.25:25\"}  protocol = \"smtp\" }\n";
static const char default_retry[] = "retry { jitter = \"0%\" }\n";
static const char default_route[] = "route \"world\" { deliver = \"mx\" }\n";

struct parser {
	struct script *script;
	struct span rest; /* lines not yet read */
	unsigned line;
	bool failed;
};

__attribute__((format(printf, 2, 3))) static void
wrong(struct parser *p, const char *fmt, ...)
{
	va_list ap;
	if (p->failed)
		return;
	p->failed = true;
	printf("%s:%u: ", p->script->path, p->line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

/* The script frees it. */
static char *
own(struct parser *p, char *text)
{
	struct script *s = p->script;
	s->owned = mem_resize(s->owned, s->owneds + 1, sizeof(char *));
	s->owned[s->owneds++] = text;
	return text;
}

static char *
keep(struct parser *p, struct span text)
{
	return own(p, span_dup(text));
}

static bool
next_line(struct parser *p, struct span *line)
{
	if (p->rest.n == 0 || p->failed)
		return false;
	size_t n = span_find(p->rest, '\n');
	*line = span_cut(p->rest, 0, n);
	p->rest = span_cut(p->rest, n + 1, SIZE_MAX);
	p->line++;
	return true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The next word of *s, quotes kept together; {NULL,0} at the end. */
static struct span
take_word(struct span *s)
{
	*s = span_trim(*s);
	size_t n = 0;
	bool quoted = false;
	while (n < s->n && (quoted || !is_blank(s->p[n])))
		quoted ^= s->p[n++] == '"';
	struct span word = {n ? s->p : NULL, n};
	*s = span_trim(span_cut(*s, n, SIZE_MAX));
	return word;
}

static struct step *
add_step(struct parser *p, enum step_kind kind)
{
	struct script *s = p->script;
	s->step = mem_resize(s->step, s->steps + 1, sizeof(struct step));
	struct step *step = &s->step[s->steps++];
	*step = (struct step){.kind = kind, .line = p->line};
	return step;
}

static void
take_words(struct parser *p, struct step *step, struct span s)
{
	struct span w;
	while ((w = take_word(&s)).n > 0) {
		step->word = mem_resize(step->word, step->words + 1, sizeof(char *));
		step->word[step->words++] = keep(p, w);
	}
}

/* ---- items */

static bool
starts_word(struct span s, const char *word)
{
	size_t n = strlen(word);
	return span_starts(s, span_str(word)) && (s.n == n || is_blank(s.p[n]));
}

static const struct {
	const char *sign;
	enum item_kind kind;
	bool word; /* must be followed by a blank or the end */
} signs[] = {
    {">>", ITEM_RAW, false},
    {">", ITEM_SEND, false},
    {"<~", ITEM_MATCH, false},
    {"<body!~", ITEM_BODY_NOT, true},
    {"<body~", ITEM_BODY_IS, true},
    {"<body", ITEM_BODY, true},
    {"<bdat", ITEM_BDAT, true},
    {"<eof", ITEM_EOF, true},
    {"<tls~", ITEM_TLS_IS, true},
    {"<", ITEM_EXPECT, false},
    {"|", ITEM_DATA, false},
    {"close", ITEM_CLOSE, true},
    {"reset", ITEM_RESET, true},
    {"tls off", ITEM_TLS_OFF, true},
    {"tls", ITEM_TLS, true},
};

/* Which sign s begins with; COUNT_OF(signs) if none. */
static size_t
sign_at(struct span s)
{
	size_t i = 0;
	for (; i < COUNT_OF(signs); i++)
		if (signs[i].word ? starts_word(s, signs[i].sign)
				  : span_starts(s, span_str(signs[i].sign)))
			break;
	return i;
}

static bool
is_last_brace(struct span s)
{
	return s.n > 0 && s.p[0] == '}' && span_trim(span_cut(s, 1, SIZE_MAX)).n == 0;
}

/* Where the text of an item ends: before two blanks and a sign, before the last brace. */
static size_t
item_end(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_blank(s.p[i]))
			continue;
		size_t j = i;
		while (j < s.n && is_blank(s.p[j]))
			j++;
		struct span after = span_cut(s, j, SIZE_MAX);
		if (is_last_brace(after) || after.n == 0)
			return i;
		if (j - i >= 2 && sign_at(after) < COUNT_OF(signs))
			return i;
		i = j - 1;
	}
	return s.n;
}

static int
hex_value(char c)
{
	c = ascii_lower(c);
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \r \n \t \0 \s (a blank) \\ \xNN, and \*1000*A for a thousand A. */
static struct span
unescape(struct parser *p, struct span s)
{
	struct buf out;
	buf_init(&out, 0);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '\\' || i + 1 == s.n) {
			buf_add_char(&out, s.p[i]);
			continue;
		}
		char c = s.p[++i];
		if (c == 'x' && i + 2 < s.n + 0 && hex_value(s.p[i + 1]) >= 0 &&
		    hex_value(s.p[i + 2]) >= 0) {
			buf_add_char(&out,
			    (char)(hex_value(s.p[i + 1]) * 16 + hex_value(s.p[i + 2])));
			i += 2;
		} else if (c == '*') {
			struct span more = span_cut(s, i + 1, SIZE_MAX);
			size_t star = span_find(more, '*');
			uint64_t n = 0;
			if (units_u64(span_cut(more, 0, star), 100000000, &n) != OK ||
			    star + 1 >= more.n)
				wrong(p, "\\*N*C repeats the octet C N times");
			for (; n > 0 && star + 1 < more.n; n--)
				buf_add_char(&out, more.p[star + 1]);
			i += star + 2;
		} else {
			static const char from[] = "rnt0s", to[] = "\r\n\t\0 ";
			const char *at = strchr(from, c);
			buf_add_char(&out, at ? to[at - from] : c);
		}
	}
	size_t n = out.n;
	return (struct span){own(p, buf_take(&out)), n};
}

static void
add_item(struct parser *p, struct part *part, enum item_kind kind, struct span text)
{
	part->item = mem_resize(part->item, part->items + 1, sizeof(struct item));
	struct item *i = &part->item[part->items++];
	*i = (struct item){.kind = kind, .line = p->line};
	i->text =
	    kind == ITEM_RAW ? unescape(p, text) : (struct span){keep(p, text), text.n};
}

static void
check_tls_words(struct parser *p, const struct part *part, struct span text)
{
	static const char *const client[] = {
	    "1.0", "1.1", "1.2", "1.3", "certificate", "fails", NULL};
	static const char *const server[] = {
	    "1.2", "1.3", "wrong", "expired", "self-signed", "unknown", "fails", NULL};
	const char *const *known = part->kind == PART_SERVER ? server : client;
	struct span w;
	while ((w = take_word(&text)).n > 0) {
		size_t i = 0;
		while (known[i] != NULL && !span_eq(w, span_str(known[i])))
			i++;
		bool names = part->kind != PART_SERVER && span_starts(w, SPAN("alpn="));
		if (known[i] == NULL && !names)
			wrong(p, "tls has no word \"%.*s\" here", SPAN_ARG(w));
	}
	p->script->secure_hosts |= part->kind == PART_SERVER;
}

/* The items of one line; true at the block's end. */
static bool
read_items(struct parser *p, struct part *part, struct span s)
{
	for (;;) {
		struct span whole = s;
		while (s.n > 0 && is_blank(s.p[0]))
			s = span_cut(s, 1, SIZE_MAX);
		if (s.n == 0)
			return false;
		if (is_last_brace(s))
			return true;
		size_t i = sign_at(s);
		if (i == COUNT_OF(signs)) {
			wrong(p, "no item begins like \"%.*s\"", SPAN_ARG(whole));
			return true;
		}
		s = span_cut(s, strlen(signs[i].sign), SIZE_MAX);
		if (signs[i].kind == ITEM_DATA) {
			bool blank = s.n > 0 && s.p[0] == ' ';
			add_item(
			    p, part, ITEM_DATA, span_cut(s, blank ? 1 : 0, SIZE_MAX));
			return false;
		}
		size_t end = item_end(s);
		if (signs[i].kind == ITEM_TLS)
			check_tls_words(p, part, span_cut(s, 0, end));
		add_item(p, part, signs[i].kind, span_trim(span_cut(s, 0, end)));
		s = span_cut(s, end, SIZE_MAX);
	}
}

static void
read_part_items(struct parser *p, struct part *part, struct span rest)
{
	bool end = read_items(p, part, rest);
	while (!end) {
		struct span line;
		if (!next_line(p, &line)) {
			wrong(p, "the block of line %u does not end", part->line);
			return;
		}
		struct span t = span_trim(line);
		if (t.n > 0 && t.p[0] != '#')
			end = read_items(p, part, line);
	}
}

/* ---- parts: NAME [again] [from ADDR] [on LISTENER] { items } */

static void
read_part_head(struct parser *p, struct part *part, struct span head)
{
	struct span w = take_word(&head);
	if (part->kind == PART_CONTROL)
		part->name = "control";
	else if (w.n == 0)
		wrong(p, "who? a name stands before the brace");
	else
		part->name = keep(p, w);
	if (part->kind != PART_CONTROL)
		w = take_word(&head);
	for (; w.n > 0; w = take_word(&head)) {
		if (span_eq(w, SPAN("again"))) {
			part->again = true;
		} else if (span_eq(w, SPAN("from"))) {
			if (net_parse_ip(take_word(&head), &part->from) != OK)
				wrong(p, "`from` is followed by an address");
			part->from.port = 40000;
		} else if (span_eq(w, SPAN("on"))) {
			part->listener = keep(p, take_word(&head));
		} else {
			wrong(p, "\"%.*s\" before the brace is not known", SPAN_ARG(w));
		}
	}
}

static struct part *
new_part(struct parser *p, struct step *step, enum part_kind kind, struct span name)
{
	step->part = mem_resize(step->part, step->parts + 1, sizeof(struct part));
	struct part *part = &step->part[step->parts++];
	*part = (struct part){.kind = kind, .line = p->line, .listener = "smtp"};
	part->name = keep(p, name);
	(void)net_parse_ip(SPAN("192.0.2.10"), &part->from);
	part->from.port = 40000;
	return part;
}

static void
read_part(struct parser *p, struct step *step, enum part_kind kind, struct span s)
{
	struct part *part = new_part(p, step, kind, SPAN(""));
	size_t brace = span_find(s, '{');
	if (brace == s.n) {
		wrong(p, "a { is missing");
		return;
	}
	read_part_head(p, part, span_cut(s, 0, brace));
	read_part_items(p, part, span_cut(s, brace + 1, SIZE_MAX));
}

static const struct {
	const char *word;
	enum part_kind kind;
} part_words[] = {
    {"client", PART_CLIENT}, {"server", PART_SERVER}, {"control", PART_CONTROL}};

static bool
try_part(struct parser *p, struct step *step, struct span word, struct span rest)
{
	for (size_t i = 0; i < COUNT_OF(part_words); i++) {
		if (!span_eq(word, span_str(part_words[i].word)))
			continue;
		read_part(p, step, part_words[i].kind, rest);
		return true;
	}
	return false;
}

static void
read_together(struct parser *p, struct span rest)
{
	struct step *step = add_step(p, STEP_PLAY);
	if (!span_eq(span_trim(rest), SPAN("{")))
		wrong(p, "together {, and its blocks on the lines below");
	struct span line;
	while (next_line(p, &line)) {
		struct span s = span_trim(line);
		if (s.n == 0 || s.p[0] == '#')
			continue;
		if (is_last_brace(s))
			return;
		struct span word = take_word(&s);
		if (!try_part(p, step, word, s))
			wrong(p, "only client, server and control stand in together");
	}
	wrong(p, "the block of line %u does not end", step->line);
}

/* ---- raw blocks: up to a line that begins with a brace */

static char *
read_raw(struct parser *p, struct span rest)
{
	struct buf text;
	buf_init(&text, 0);
	size_t brace = span_find(rest, '{');
	if (brace == rest.n)
		wrong(p, "a { is missing");
	struct span first = span_trim(span_cut(rest, brace + 1, SIZE_MAX));
	if (first.n > 0 && first.p[first.n - 1] == '}') {
		buf_add_span(&text, span_cut(first, 0, first.n - 1));
		buf_add_char(&text, '\n');
		return own(p, buf_take(&text));
	}
	buf_add_span(&text, first);
	struct span line;
	while (next_line(p, &line)) {
		if (line.n > 0 && line.p[0] == '}')
			return own(p, buf_take(&text));
		buf_add_span(&text, line);
		buf_add_char(&text, '\n');
	}
	wrong(p, "the block does not end: a } at the beginning of a line");
	return own(p, buf_take(&text));
}

/* A configuration: the whole of it, or `with {`: the default and these lines before its
 * route. */
static char *
read_config(struct parser *p, struct span rest)
{
	bool with = starts_word(span_trim(rest), "with");
	char *text = read_raw(p, rest);
	if (!with)
		return text;
	struct buf all;
	buf_init(&all, 0);
	buf_add_str(&all, default_config);
	if (strstr(text, "jitter") == NULL)
		buf_add_str(&all, default_retry);
	buf_add_str(&all, text);
	buf_add_str(&all, default_route);
	return own(p, buf_take(&all));
}

/* ---- the zone's addresses, for `server NAME` */

static void
note_host(struct parser *p, struct span line)
{
	struct span name = take_word(&line), w = take_word(&line);
	uint64_t ttl;
	if (units_u64(w, UINT32_MAX, &ttl) == OK)
		w = take_word(&line);
	struct net_addr addr;
	if ((!span_eq(w, SPAN("A")) && !span_eq(w, SPAN("AAAA"))) ||
	    net_parse_ip(take_word(&line), &addr) != OK)
		return;
	struct script *s = p->script;
	s->host = mem_resize(s->host, s->hosts + 1, sizeof(struct host));
	s->host[s->hosts++] = (struct host){keep(p, name), addr};
}

static void
read_dns(struct parser *p, struct span rest)
{
	struct span text = span_trim(rest);
	add_step(p, STEP_DNS)->text = keep(p, text);
	while (text.n > 0) {
		size_t n = span_find(text, ';');
		note_host(p, span_cut(text, 0, n));
		text = span_cut(text, n + 1, SIZE_MAX);
	}
}

/* ---- other steps */

static void
read_talk(struct parser *p, struct span rest)
{
	rest = span_trim(rest);
	if (rest.n < 2 || rest.p[0] != '"' || rest.p[rest.n - 1] != '"')
		wrong(p, "talk \"what it shows\"");
	else
		p->script->title = keep(p, span_cut(rest, 1, rest.n - 2));
}

static void
read_config_step(struct parser *p, struct span rest)
{
	p->script->config = read_config(p, rest);
}

static void
read_reload(struct parser *p, struct span rest)
{
	struct step *step = add_step(p, STEP_RELOAD);
	struct span after = span_trim(rest);
	if (starts_word(after, "wrong")) {
		step->wrong = true;
		(void)take_word(&after);
	}
	step->text = read_config(p, after);
}

static void
read_pass(struct parser *p, struct span rest)
{
	struct step *step = add_step(p, STEP_PASS);
	if (units_duration(span_trim(rest), &step->ms) != OK || step->ms < 0)
		wrong(p, "pass 5m: a duration with its unit");
}

static void
read_clock(struct parser *p, struct span rest)
{
	struct step *step = add_step(p, STEP_CLOCK);
	rest = span_trim(rest);
	bool back = rest.n > 0 && rest.p[0] == '-';
	if (rest.n == 0 || (rest.p[0] != '+' && !back) ||
	    units_duration(span_cut(rest, 1, SIZE_MAX), &step->ms) != OK)
		wrong(p, "clock +2h or clock -2h");
	if (back)
		step->ms = -step->ms;
}

static void
read_spool(struct parser *p, struct span rest)
{
	struct step *step = add_step(p, STEP_SPOOL);
	uint64_t n = 0;
	rest = span_trim(rest);
	if (!span_eq(rest, SPAN("empty")) && units_u64(rest, UINT32_MAX, &n) != OK)
		wrong(p, "spool empty, or spool N");
	step->n = (unsigned long)n;
}

static void
read_mailboxes(struct parser *p, struct span rest)
{
	struct step *step = add_step(p, STEP_MAILBOXES);
	struct span owner = take_word(&rest);
	take_words(p, step, owner);
	step->text = keep(p, span_trim(rest));
	if (owner.n == 0)
		wrong(p, "mailboxes OWNER PICTURE");
}

static void
read_fault(struct parser *p, enum step_kind kind, struct span rest)
{
	struct step *step = add_step(p, kind);
	uint64_t n = 1, times = 1;
	struct span at = take_word(&rest), name = take_word(&rest),
		    first = take_word(&rest), word = take_word(&rest);
	rest = span_trim(rest);
	if (!span_eq(at, SPAN("at")) || name.n == 0 ||
	    (first.n > 0 && units_u64(first, UINT32_MAX, &n) != OK) || n == 0)
		wrong(p, "die at NAME, or die at NAME N");
	if (word.n + rest.n > 0 &&
	    (kind == STEP_DIE || !span_eq(word, SPAN("times")) ||
		units_u64(rest, UINT32_MAX, &times) != OK || times == 0))
		wrong(p, "fail at NAME N times M");
	step->text = span_eq(name, SPAN("any")) ? NULL : keep(p, name);
	step->n = (unsigned long)n;
	step->times = (unsigned long)times;
}

static void
read_die(struct parser *p, struct span rest)
{
	read_fault(p, STEP_DIE, rest);
}

static void
read_fail(struct parser *p, struct span rest)
{
	read_fault(p, STEP_FAIL, rest);
}

static void
read_crash(struct parser *p, struct span rest)
{
	struct step *step = add_step(p, STEP_CRASH);
	struct span at = take_word(&rest), name = take_word(&rest);
	if (!span_eq(at, SPAN("at")) || name.n == 0 || span_trim(rest).n == 0)
		wrong(p, "crash at NAME TEXT");
	take_words(p, step, name);
	step->text = keep(p, span_trim(rest));
}

/* ---- blocks that are written over and over: send, take */

static void
add_items(struct parser *p, struct part *part, const char *text)
{
	(void)read_items(p, part, span_str(text));
}

static void
add_envelope_item(
    struct parser *p, struct part *part, const char *head, struct span address)
{
	struct buf text;
	buf_init(&text, 0);
	if (span_eq(address, SPAN("<>")))
		address = SPAN("");
	buf_addf(&text, "> %s:<%.*s>  <250", head, SPAN_ARG(address));
	buf_add_char(&text, '\0');
	add_items(p, part, text.p);
	buf_clear(&text);
}

/* send FROM TO...: a client that hands in one small message. */
static void
read_send(struct parser *p, struct span rest)
{
	struct part *part =
	    new_part(p, add_step(p, STEP_PLAY), PART_CLIENT, SPAN("sender"));
	add_items(p, part, "<220  > EHLO me.test  <250");
	add_envelope_item(p, part, "MAIL FROM", take_word(&rest));
	if (rest.n == 0)
		wrong(p, "send FROM TO...");
	while (rest.n > 0)
		add_envelope_item(p, part, "RCPT TO", take_word(&rest));
	add_items(p, part, "> DATA  <354");
	static const char *const data[] = {"| From: a@me.test", "| Subject: hi", "|",
	    "| hello", "> .  <250  > QUIT  <221  <eof"};
	for (size_t i = 0; i < COUNT_OF(data); i++)
		add_items(p, part, data[i]);
}

/* take NAME [N]: a next hop that takes one message to N recipients. */
static void
read_take(struct parser *p, struct span rest)
{
	struct part *part =
	    new_part(p, add_step(p, STEP_PLAY), PART_SERVER, take_word(&rest));
	uint64_t n = 1;
	if (*part->name == '\0' || (rest.n > 0 && units_u64(rest, 1000, &n) != OK))
		wrong(p, "take NAME, or take NAME N");
	add_items(p, part, "> 220 next  < EHLO  > 250 next  < MAIL FROM  > 250 ok");
	while (n-- > 0)
		add_items(p, part, "< RCPT TO  > 250 ok");
	add_items(p, part, "< DATA  > 354 go  <body  > 250 taken  < QUIT");
}

static const struct {
	const char *word;
	void (*read)(struct parser *p, struct span rest); /* NULL: a step of words */
	enum step_kind kind;
} words[] = {
    {"talk", read_talk, 0},
    {"config", read_config_step, 0},
    {"dns", read_dns, 0},
    {"together", read_together, 0},
    {"send", read_send, 0},
    {"take", read_take, 0},
    {"pass", read_pass, 0},
    {"clock", read_clock, 0},
    {"refuse", NULL, STEP_REFUSE},
    {"silent", NULL, STEP_SILENT},
    {"accept", NULL, STEP_ACCEPT},
    {"log", NULL, STEP_LOG},
    {"nolog", NULL, STEP_NOLOG},
    {"spool", read_spool, 0},
    {"mailboxes", read_mailboxes, 0},
    {"reload", read_reload, 0},
    {"lose", NULL, STEP_LOSE},
    {"stop", NULL, STEP_STOP},
    {"start", NULL, STEP_START},
    {"restart", NULL, STEP_RESTART},
    {"die", read_die, 0},
    {"crash", read_crash, 0},
    {"fail", read_fail, 0},
};

static void
read_step(struct parser *p, struct span line)
{
	struct span word = take_word(&line);
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if (!span_eq(word, span_str(words[i].word)))
			continue;
		if (words[i].read != NULL)
			words[i].read(p, line);
		else
			take_words(p, add_step(p, words[i].kind), line);
		return;
	}
	for (size_t i = 0; i < COUNT_OF(part_words); i++)
		if (span_eq(word, span_str(part_words[i].word))) {
			(void)try_part(p, add_step(p, STEP_PLAY), word, line);
			return;
		}
	wrong(p, "no step begins with \"%.*s\"", SPAN_ARG(word));
}

static bool
read_file(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "r");
	if (f == NULL) {
		printf("%s: %s\n", path, strerror(errno));
		return false;
	}
	char piece[4096];
	size_t n;
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_add(out, piece, n);
	(void)fclose(f);
	return true;
}

struct span
script_word(struct span *text)
{
	return take_word(text);
}

struct script *
script_read(const char *path)
{
	struct buf text;
	buf_init(&text, 0);
	if (!read_file(path, &text))
		return NULL;
	struct script *s = NEW(struct script);
	s->path = path;
	struct parser p = {.script = s, .rest = buf_span(&text)};
	struct span line;
	while (next_line(&p, &line)) {
		line = span_trim(line);
		if (line.n > 0 && line.p[0] != '#')
			read_step(&p, line);
	}
	if (s->title == NULL)
		wrong(&p, "it has no title: talk \"what it shows\"");
	buf_clear(&text);
	if (s->config == NULL) {
		struct buf all;
		buf_init(&all, 0);
		buf_add_str(&all, default_config);
		buf_add_str(&all, default_retry);
		buf_add_str(&all, default_route);
		s->config = own(&p, buf_take(&all));
	}
	if (p.failed)
		script_free(&s);
	return s;
}

static void
step_clear(struct step *step)
{
	for (size_t i = 0; i < step->parts; i++)
		mem_free(&step->part[i].item);
	mem_free(&step->part);
	mem_free(&step->word);
}

void
script_free(struct script **sp)
{
	struct script *s = *sp;
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->steps; i++)
		step_clear(&s->step[i]);
	for (size_t i = 0; i < s->owneds; i++)
		mem_free(&s->owned[i]);
	mem_free(&s->step);
	mem_free(&s->host);
	mem_free(&s->owned);
	mem_free(sp);
}

bool
script_names(const struct script *s, const char *name, const struct net_addr *a)
{
	struct net_addr literal;
	struct span n = span_str(name);
	if (net_parse_ip(n, &literal) == OK)
		return net_same_ip(&literal, a);
	for (size_t i = 0; i < s->hosts; i++) {
		struct span full = span_str(s->host[i].name);
		bool named = span_ieq(full, n) ||
			     span_ieq(span_cut(full, 0, span_find(full, '.')), n);
		if (named && net_same_ip(&s->host[i].addr, a))
			return true;
	}
	return false;
}

char *
script_cert_names(const struct script *s, const char *name)
{
	struct buf out;
	struct net_addr literal;
	bool address = net_parse_ip(span_str(name), &literal) == OK;
	buf_init(&out, 0);
	for (size_t i = 0; i < s->hosts; i++)
		if (script_names(s, name, &s->host[i].addr))
			buf_addf(&out, "%sDNS:%s", out.n > 0 ? "," : "", s->host[i].name);
	if (address || out.n == 0)
		buf_addf(
		    &out, "%s%s:%s", out.n > 0 ? "," : "", address ? "IP" : "DNS", name);
	return buf_take(&out);
}

const char *
script_server_at(const struct script *s, const struct net_addr *a)
{
	for (size_t i = 0; i < s->steps; i++)
		for (size_t k = 0; k < s->step[i].parts; k++) {
			const struct part *p = &s->step[i].part[k];
			if (p->kind == PART_SERVER && script_names(s, p->name, a))
				return p->name;
		}
	return NULL;
}
