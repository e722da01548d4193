/* SPDX-License-Identifier: ISC */
/*
 * relay-sendmail - the sendmail-compatible submission command: reads a message
 * on standard input and hands it to relayd by SMTP (sendmail_smtp.c).  Exit status as in
 * sysexits.h.  It holds no privileges and writes no files: what relayd did not
 * acknowledge has not been accepted, and the caller is told so.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/net.h"
#include "policy/address.h"
#include "relay/config.h"
#include "tools/sendmail.h"

#define DOMAIN_SIZE 256

#define RECIPIENTS_MAX 10000
#define MESSAGE_MAX (256u << 20)

_Noreturn void
sendmail_fail(int status, const char *what, const char *detail)
{
	fprintf(stderr, "relay-sendmail: %s%s", what, detail ? ": " : "");
	for (const char *p = detail; p != NULL && *p; p++) /* words of others, too */
		putc((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p, stderr);
	putc('\n', stderr);
	exit(status);
}

/* ---- recipients */

static void
add_recipient(struct mail *m, struct span address)
{
	address = span_trim(address);
	if (address.n >= 2 && address.p[0] == '<' && address.p[address.n - 1] == '>')
		address = span_cut(address, 1, address.n - 2);
	if (address.n == 0)
		return;
	for (size_t i = 0; i < address.n; i++)
		if ((unsigned char)address.p[i] < 0x20 || address.p[i] == 0x7f)
			sendmail_fail(
			    EX_USAGE, "a recipient with a control character", NULL);
	if (m->rcpts >= RECIPIENTS_MAX)
		sendmail_fail(EX_USAGE, "too many recipients", NULL);
	m->rcpt = mem_resize(m->rcpt, m->rcpts + 1, sizeof(char *));
	m->rcpt[m->rcpts++] = span_dup(address);
}

/* Skips what belongs together: "quoted, text", (comments), <routes>. One address of the
 * list. */
static size_t
address_length(struct span s)
{
	bool quoted = false, angle = false;
	unsigned comment = 0;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '\\' && i + 1 < s.n)
			i++;
		else if (c == '"' && comment == 0)
			quoted = !quoted;
		else if (c == '(' && !quoted)
			comment++;
		else if (c == ')' && !quoted && comment > 0)
			comment--;
		else if (c == '<' && !quoted && comment == 0)
			angle = true;
		else if (c == '>' && !quoted)
			angle = false;
		else if ((c == ',' || c == ';' || c == ':') && !quoted && !angle &&
			 comment == 0)
			return i;
	}
	return s.n;
}

/* "Name <a@b> (comment)" or "a@b (comment)": the address itself. */
static void
add_header_address(struct mail *m, struct span one)
{
	struct buf plain;
	bool quoted = false, angle = false, had_angle = false;
	unsigned comment = 0;
	buf_init(&plain, 4096);
	for (size_t i = 0; i < one.n; i++) {
		char c = one.p[i];
		bool escaped = c == '\\' && i + 1 < one.n;
		if (c == '(' && !quoted && !angle)
			comment++;
		if (c == '<' && !quoted && comment == 0) {
			buf_reset(&plain);
			angle = had_angle = true;
			continue;
		}
		if (c == '>' && !quoted && comment == 0)
			angle = false;
		else if (comment == 0 && (angle || !had_angle)) {
			buf_add_char(&plain, c);
			if (escaped)
				buf_add_char(&plain, one.p[i + 1]);
		}
		if (c == '"' && comment == 0)
			quoted = !quoted;
		if (c == ')' && !quoted && comment > 0)
			comment--;
		i += escaped;
	}
	struct span s = span_trim(buf_span(&plain));
	if (span_find(s, ' ') < s.n && !had_angle)
		s = span_cut(s, 0, span_find(s, ' '));
	add_recipient(m, s);
	buf_clear(&plain);
}

static void
add_header_list(struct mail *m, struct span value)
{
	while (value.n > 0) {
		size_t n = address_length(value);
		/* "Group: a, b;": what stands before the colon is a name */
		if (n == value.n || value.p[n] != ':')
			add_header_address(m, span_cut(value, 0, n));
		value = span_cut(value, n + 1, value.n);
	}
}

/* ---- the message */

/* A line from standard input, LF or CRLF ended; false at the end. */
static bool
read_line(struct buf *line)
{
	int c;
	buf_reset(line);
	while ((c = getc(stdin)) != EOF && c != '\n')
		buf_add_char(line, (char)c);
	if (line->n > 0 && line->p[line->n - 1] == '\r')
		line->n--;
	return c != EOF || line->n > 0;
}

static bool
is_field(struct span s)
{
	size_t colon = span_find(s, ':');
	if (colon == 0 || colon == s.n)
		return false;
	for (size_t i = 0; i < colon; i++)
		if (s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
			return i > 0 && (s.p[i] == ' ' || s.p[i] == '\t') &&
			       s.p[colon - 1] <= ' ';
	return true;
}

static bool
named(struct span field, const char *name)
{
	struct span n = span_str(name);
	return span_istarts(field, n) && field.n > n.n && field.p[n.n] == ':';
}

/* One whole field (folds unfolded into blanks): recipients for -t; Bcc is not sent. */
static bool
keep_field(struct mail *m, struct span field)
{
	size_t colon = span_find(field, ':');
	struct span value = span_cut(field, colon + 1, field.n);
	bool bcc = named(field, "Bcc");
	if (m->from_headers && (bcc || named(field, "To") || named(field, "Cc")))
		add_header_list(m, value);
	return !bcc;
}

static void
end_field(struct mail *m, struct buf *field, struct buf *raw)
{
	if (field->n == 0)
		return;
	if (keep_field(m, buf_span(field)))
		buf_add_span(&m->text, buf_span(raw));
	buf_reset(field);
	buf_reset(raw);
}

static bool
read_header(struct mail *m, struct buf *line)
{
	struct buf field, raw;
	bool more, body = false;
	buf_init(&field, 1u << 20);
	buf_init(&raw, 1u << 20);
	while ((more = read_line(line))) {
		struct span s = buf_span(line);
		bool fold = s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t') && field.n > 0;
		if (s.n == 0 || (!fold && !is_field(s))) {
			body = s.n > 0; /* no empty line: this one begins the body */
			break;
		}
		if (!fold)
			end_field(m, &field, &raw);
		buf_add_span(&field, s);
		buf_add_span(&raw, s);
		buf_add_str(&raw, "\r\n");
	}
	end_field(m, &field, &raw);
	m->header_end = m->text.n;
	buf_add_str(&m->text, "\r\n");
	buf_clear(&field);
	buf_clear(&raw);
	return body || more;
}

static void
add_body_line(struct mail *m, struct span s)
{
	buf_add_span(&m->text, s);
	buf_add_str(&m->text, "\r\n");
}

static void
read_message(struct mail *m)
{
	struct buf line;
	buf_init(&line, 16u << 20);
	bool more = read_header(m, &line);
	if (more && line.n > 0)
		add_body_line(m, buf_span(&line));
	while (more && read_line(&line)) {
		if (m->dot_ends && line.n == 1 && line.p[0] == '.')
			break;
		add_body_line(m, buf_span(&line));
	}
	if (ferror(stdin))
		sendmail_fail(EX_IOERR, "reading standard input", strerror(errno));
	if (line.overflow || m->text.overflow)
		sendmail_fail(EX_DATAERR, "the message is too large", NULL);
	for (size_t i = 0; i < m->text.n;
	     i++) { /* a CR alone would be refused: a line end it was */
		if (m->text.p[i] == '\0')
			sendmail_fail(EX_DATAERR, "the message holds a NUL byte", NULL);
	}
	buf_clear(&line);
}

/* ---- the command line */

/* The first word of Debian's file of that name; false: there is none. */
static bool
read_mailname(char out[DOMAIN_SIZE])
{
	FILE *in = fopen("/etc/mailname", "re");
	if (in == NULL)
		return false;
	char line[DOMAIN_SIZE] = "";
	bool got = fgets(line, sizeof(line), in) != NULL;
	(void)fclose(in);
	line[strcspn(line, " \t\r\n")] = '\0';
	got = got && *line != '\0' && strchr(line, '@') == NULL;
	if (got)
		memcpy(out, line, sizeof(line));
	return got;
}

/* What local addresses end in: the mail name of this machine, its full name, or that of
 * the relay, so that whoever gets the mail can answer. */
static void
local_domain(const struct mail *m, char out[DOMAIN_SIZE])
{
	(void)snprintf(out, DOMAIN_SIZE, "localhost");
	(void)gethostname(out, DOMAIN_SIZE - 1);
	if (read_mailname(out) || strchr(out, '.') != NULL ||
	    access(m->config_file, R_OK) != 0)
		return;
	struct buf errors;
	buf_init(&errors, 64u << 10);
	const struct config *c = config_read(m->config_file, &errors);
	if (c != NULL)
		span_copy(span_str(c->policy.hostname), out, DOMAIN_SIZE);
	config_unref(&c);
	buf_clear(&errors);
}

static char *
callers_address(const char *host)
{
	struct buf b;
	const struct passwd *pw = getpwuid(getuid());
	buf_init(&b, 1024);
	buf_addf(&b, "%s@%s", pw ? pw->pw_name : "nobody", host);
	return buf_take(&b);
}

static void
add_from_header(struct mail *m)
{
	struct span header = {m->text.p, m->header_end};
	struct buf line;
	for (struct span rest = header; rest.n > 0;) {
		if (named(rest, "From"))
			return;
		size_t nl = span_find(rest, '\n');
		rest = span_cut(rest, nl + 1, rest.n);
	}
	if (m->full_name == NULL || *m->from == '\0')
		return; /* relayd adds a plain one */
	buf_init(&line, MESSAGE_MAX);
	buf_add_str(&line, "From: \"");
	for (const char *p = m->full_name; *p; p++)
		if ((unsigned char)*p >= 0x20 && *p != '"' && *p != '\\' && *p != 0x7f)
			buf_add_char(&line, *p);
	buf_addf(&line, "\" <%s>\r\n", m->from);
	m->header_end += line.n;
	buf_add_span(&line, buf_span(&m->text));
	buf_clear(&m->text);
	m->text = line;
}

static void
set_from(struct mail *m, const char *from)
{
	struct span s = span_trim(span_str(from));
	if (s.n >= 2 && s.p[0] == '<' && s.p[s.n - 1] == '>')
		s = span_cut(s, 1, s.n - 2);
	mem_free(&m->from);
	m->from = span_dup(s);
}

static void
usage(void)
{
	fputs("usage: relay-sendmail [-t] [-i] [-f SENDER] [-F NAME] [-N NOTIFY] [-R "
	      "hdrs|full]\n"
	      "                      [-V ENVID] [--] [RECIPIENT...]   < message\n"
	      "Other sendmail options are accepted and have no effect.  Where relayd "
	      "listens\n"
	      "is taken from $RELAYD_SUBMIT (a socket's path, or ADDRESS:PORT) or the\n"
	      "configuration (-C FILE): submit { path }, else its first listener.\n",
	    stderr);
	exit(EX_USAGE);
}

static void
mode(char c)
{
	if (c == 'm' || c == '\0')
		return; /* -bm: what we do */
	if (c == 'p')
		sendmail_fail(EX_USAGE, "the queue is shown by", "relayctl queue");
	sendmail_fail(
	    EX_USAGE, "this mode is not offered here; relayd is the daemon", NULL);
}

static void
parse(struct mail *m, int argc, char **argv)
{
	int c;
	opterr = 0;
	while ((c = getopt(argc, argv,
		    "+tif:r:F:C:N:R:V:b:o:O:q::h:B:L:X:p:d:M:A:vnUGem")) != -1) {
		switch (c) {
		case 't': m->from_headers = true; break;
		case 'i': m->dot_ends = false; break;
		case 'f':
		case 'r': set_from(m, optarg); break;
		case 'F': m->full_name = optarg; break;
		case 'C': m->config_file = optarg; break;
		case 'N': m->notify = optarg; break;
		case 'R':
			m->ret = strcasecmp(optarg, "full") == 0 ? "FULL" : "HDRS";
			break;
		case 'V': m->envid = optarg; break;
		case 'b': mode(optarg[0]); break;
		case 'o':
			if (optarg[0] == 'i')
				m->dot_ends = false;
			break;
		case 'q': exit(EX_OK); /* the queue runs by itself */
		case '?': usage(); break;
		default: break;
		}
	}
	for (int i = optind; i < argc; i++)
		for (struct span rest = span_str(argv[i]); rest.n > 0;) {
			size_t n = address_length(rest);
			add_header_address(m, span_cut(rest, 0, n));
			rest = span_cut(rest, n + 1, rest.n);
		}
}

static void
check_addresses(const struct mail *m)
{
	struct address a;
	if (*m->from != '\0' && address_parse(span_str(m->from), &a) != OK)
		sendmail_fail(EX_USAGE,
		    "the sender is not an address; use -f user@domain", m->from);
	for (size_t i = 0; i < m->rcpts; i++)
		if (address_parse(span_str(m->rcpt[i]), &a) != OK &&
		    strchr(m->rcpt[i], '@') != NULL)
			sendmail_fail(EX_NOUSER, "not an address", m->rcpt[i]);
	for (const char *p = m->notify; p && *p; p++)
		if (strchr("NEVERSUCFAILDY,neversucfaildy", *p) == NULL)
			sendmail_fail(EX_USAGE,
			    "-N takes never, or success, failure, delay with commas",
			    m->notify);
}

/* "user" alone means somebody at this host. */
static void
complete_addresses(struct mail *m, const char *host)
{
	for (size_t i = 0; i <= m->rcpts; i++) {
		char **a = i < m->rcpts ? &m->rcpt[i] : &m->from;
		if (**a == '\0' || strchr(*a, '@') != NULL)
			continue;
		struct buf b;
		buf_init(&b, 2048);
		buf_addf(&b, "%s@%s", *a, host);
		mem_free(a);
		*a = buf_take(&b);
	}
}

int
main(int argc, char **argv)
{
	const char *file = getenv("RELAYD_CONF");
	struct mail m = {.dot_ends = true};
	m.config_file = file && *file ? file : "/etc/relayd/relayd.conf";
	buf_init(&m.text, MESSAGE_MAX);
	parse(&m, argc, argv);
	read_message(&m);
	if (m.rcpts == 0)
		sendmail_fail(EX_USAGE,
		    "no recipient; name one, or use -t to take them from the header",
		    NULL);
	char host[DOMAIN_SIZE];
	local_domain(&m, host);
	if (m.from == NULL)
		m.from = callers_address(host);
	complete_addresses(&m, host);
	check_addresses(&m);
	add_from_header(&m);
	sendmail_hand_in(&m);
	for (size_t i = 0; i < m.rcpts; i++)
		mem_free(&m.rcpt[i]);
	mem_free(&m.rcpt);
	mem_free(&m.from);
	buf_clear(&m.text);
	return EX_OK;
}
