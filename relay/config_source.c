/* SPDX-License-Identifier: ISC */
/*
 * config_source - a file's text before libconfuse sees it.  libconfuse 3.3
 * counts a comment as a line more than it is, and takes a section, a string or a
 * comment that is never closed for closed.  So comments are blanked here (their
 * line ends stay), and quotes and braces are looked at first: then its line
 * numbers are right, and it can only meet what it understands.
 */
#include "relay/config_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define BRACES_MAX 16

/* ---- the file */

static ssize_t
read_all(int fd, char *text, size_t size)
{
	size_t n = 0;
	while (n < size) {
		ssize_t got = read(fd, text + n, size - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	return (ssize_t)n;
}

/* NULL, or why this cannot be a configuration. */
static const char *
load(int fd, char **out)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "not a file";
	char *text = mem_alloc(CONFIG_FILE_MAX + 3);
	ssize_t n = read_all(fd, text, CONFIG_FILE_MAX + 1);
	const char *why =
	    n < 0                           ? strerror(errno)
	    : n > CONFIG_FILE_MAX           ? "larger than 1M; that is no configuration"
	    : memchr(text, '\0', (size_t)n) ? "has a NUL in it; that is no text"
					    : NULL;
	if (why != NULL)
		mem_free(&text);
	else if (n == 0 || text[n - 1] != '\n')
		text[n] = '\n';
	*out = text;
	return why;
}

char *
source_load(struct reading *r, const char *path, struct place at)
{
	char *text = NULL;
	/* Not blocking: a name may turn out to be a FIFO. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const char *why = fd < 0 ? strerror(errno) : load(fd, &text);
	if (fd >= 0)
		(void)close(fd);
	if (why != NULL)
		reading_problem(r, at, "cannot read \"%s\": %s%s", path, why,
		    at.file == 0 && at.line <= 1 ? "; name the right file with -c, or "
						   "try without one: relayd --try DIR"
						 : "");
	return text;
}

/* ---- its lexical form */

struct source {
	struct reading *r;
	char *p;
	struct place at;
	struct place open[BRACES_MAX]; /* where each { stands that is not closed yet */
	unsigned braces;
	bool ok;
};

static void
wrong(struct source *s, struct place at, const char *what)
{
	reading_problem(s->r, at, "%s", what);
	s->ok = false;
}

static void
blank(struct source *s)
{
	if (*s->p == '\n')
		s->at.line++;
	else
		*s->p = ' ';
	s->p++;
}

static void
blank_line(struct source *s)
{
	while (*s->p != '\0' && *s->p != '\n')
		blank(s);
}

static void
blank_comment(struct source *s)
{
	struct place start = s->at;
	blank(s);
	blank(s);
	while (*s->p != '\0' && strncmp(s->p, "*/", 2) != 0)
		blank(s);
	if (*s->p == '\0') {
		wrong(s, start, "this comment is never closed; a */ is missing");
		return;
	}
	blank(s);
	blank(s);
}

/* "${NAME}" or "${NAME:-default}"; p is at the $. */
static void
environment(struct source *s)
{
	size_t n = strcspn(s->p, "}\n");
	if (s->p[n] != '}') {
		wrong(s, s->at,
		    "this ${ is not closed on its line; write ${NAME} or "
		    "${NAME:-default}");
		s->p += 2;
		return;
	}
	char *name = mem_dup(s->p + 2, n - 2);
	if (strstr(name, ":-") == NULL && getenv(name) == NULL) {
		reading_problem(s->r, s->at,
		    "the environment has no \"%.60s\"; set it, or write "
		    "${%.60s:-default}",
		    name, name);
		s->ok = false;
	}
	mem_free(&name);
	s->p += n + 1;
}

/* A quoted string is not a key; libconfuse would take it for one. */
static void
after_string(struct source *s)
{
	const char *p = s->p + strspn(s->p, " \t");
	if (*p == '=' || strncmp(p, "+=", 2) == 0)
		wrong(s, s->at, "a key stands without quotes");
}

static void
string(struct source *s)
{
	struct place start = s->at;
	char quote = *s->p++;
	while (*s->p != '\0' && *s->p != quote) {
		if (quote == '"' && strncmp(s->p, "${", 2) == 0) {
			environment(s);
			continue;
		}
		if (*s->p == '\\' && s->p[1] != '\0')
			s->p++;
		if (*s->p == '\n')
			s->at.line++;
		s->p++;
	}
	if (*s->p == '\0') {
		wrong(s, start, "this string is never closed; a quote is missing");
		return;
	}
	s->p++;
	after_string(s);
}

static void
brace(struct source *s)
{
	const char *why = NULL;
	if (*s->p == '}' && s->braces == 0)
		why = "this } closes nothing; remove it, or put the { where it begins";
	else if (*s->p == '{' && s->braces == BRACES_MAX)
		why = "too many { within each other";
	else if (*s->p == '{')
		s->open[s->braces++] = s->at;
	else
		s->braces--;
	s->p++;
	if (why != NULL) {
		wrong(s, s->at, why);
		s->p += strlen(s->p); /* what follows would only look wrong */
	}
}

/* A bare word, in which slashes begin no comment. */
static void
word(struct source *s)
{
	size_t n = strcspn(s->p, " #\"'\t\n\r={}()+,*|");
	if (n == 0 && *s->p == '|')
		wrong(s, s->at, "a | means nothing here; put it in quotes");
	s->p += n ? n : 1;
}

static void
step(struct source *s)
{
	if (*s->p == '#' || strncmp(s->p, "//", 2) == 0)
		blank_line(s);
	else if (strncmp(s->p, "/*", 2) == 0)
		blank_comment(s);
	else if (*s->p == '"' || *s->p == '\'')
		string(s);
	else if (strncmp(s->p, "${", 2) == 0)
		environment(s);
	else if (*s->p == '{' || *s->p == '}')
		brace(s);
	else if (*s->p == '\n' || *s->p == '\r')
		blank(s);
	else
		word(s);
}

bool
source_prepare(struct reading *r, unsigned file, char *text)
{
	struct source s = {.r = r, .p = text, .at = {file, 1}, .ok = true};
	while (*s.p != '\0')
		step(&s);
	if (s.ok && s.braces > 0)
		wrong(&s, s.open[s.braces - 1], "this { is never closed; a } is missing");
	return s.ok;
}
