/* SPDX-License-Identifier: ISC */
/*
 * ctl_user - "relayctl user ...": words and options become a request about an
 * account.  A password comes from standard input or a terminal without echo,
 * never from the command line, and every copy of it here is wiped.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "tools/ctl.h"

#define PASSWORD_MAX 1000

enum secret { SECRET_NONE, SECRET_NEEDED, SECRET_OR_CERTIFICATE };

static const struct verb {
	const char *word, *second; /* "secret", "add" */
	const char *cmd;
	int least, most; /* names: the account, the label */
	const char *takes;
	enum secret secret;
	const char *usage;
} verbs[] = {
    {"add", NULL, "user-add", 1, 1, " address certificate service mail dry_run ",
	SECRET_OR_CERTIFICATE,
	"add NAME [--address PATTERN]... [--certificate FP]... [--service smtp]...\n"
	"                           [--password-stdin | --hash-stdin] [--keep-mail] "
	"[--dry-run]"},
    {"passwd", NULL, "user-passwd", 1, 1, " dry_run ", SECRET_NEEDED,
	"passwd NAME [--password-stdin | --hash-stdin] [--dry-run]"},
    {"list", NULL, "user-list", 0, 1, " ", SECRET_NONE, "list [NAME]"},
    {"delete", NULL, "user-delete", 1, 1, " mail dry_run ", SECRET_NONE,
	"delete NAME [--keep-mail | --delete-mail] [--dry-run]"},
    {"set", NULL, "user-set", 1, 1, " address certificate disabled dry_run ", SECRET_NONE,
	"set NAME [--address PATTERN]... [--certificate FP]... [--disable | --enable]\n"
	"                           [--dry-run]"},
    {"secret", "add", "user-secret-add", 2, 2, " service recoverable dry_run ",
	SECRET_NONE,
	"secret add NAME LABEL [--service smtp|pop3|imap|queue]... [--recoverable]\n"
	"                           [--dry-run]"},
    {"secret", "delete", "user-secret-delete", 2, 2, " dry_run ", SECRET_NONE,
	"secret delete NAME LABEL [--dry-run]"},
};

void
ctl_user_usage(FILE *to)
{
	for (size_t i = 0; i < COUNT_OF(verbs); i++)
		fprintf(to, "  user %s\n", verbs[i].usage);
}

static int
wrong(const struct verb *v)
{
	if (v != NULL)
		fprintf(stderr, "usage: relayctl user %s\n", v->usage);
	else
		fputs("usage:\n", stderr);
	if (v == NULL)
		ctl_user_usage(stderr);
	return CTL_USAGE;
}

static const struct verb *
find_verb(int argc, char **argv)
{
	for (size_t i = 0; argc > 0 && i < COUNT_OF(verbs); i++)
		if (strcmp(verbs[i].word, argv[0]) == 0 &&
		    (verbs[i].second == NULL ||
			(argc > 1 && strcmp(verbs[i].second, argv[1]) == 0)))
			return &verbs[i];
	return NULL;
}

/* ---- a secret from standard input */

/* One line, its end not included; a byte at a time, so that no buffer of stdio keeps it.
 * `stop` (a signalfd, or -1) ends it. */
static bool
read_secret(char out[PASSWORD_MAX + 1], size_t *n, int stop)
{
	*n = 0;
	for (;;) {
		char c;
		struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
		    {.fd = stop, .events = POLLIN}};
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return false;
		if (p[1].revents != 0)
			return false;
		if (p[0].revents == 0)
			continue;
		ssize_t got = read(STDIN_FILENO, &c, 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0 || c == '\n')
			break;
		if (*n == PASSWORD_MAX)
			return false;
		out[(*n)++] = c;
	}
	if (*n > 0 && out[*n - 1] == '\r')
		(*n)--;
	out[*n] = '\0';
	return true;
}

/* What would end us while the echo is off waits until it is on again. */
static bool
ask(const char *prompt, char out[PASSWORD_MAX + 1], size_t *n)
{
	struct termios before, quiet;
	sigset_t stop, old;
	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGINT);
	(void)sigaddset(&stop, SIGTERM);
	(void)sigaddset(&stop, SIGHUP);
	(void)sigaddset(&stop, SIGQUIT);
	(void)sigaddset(&stop, SIGTSTP);
	if (tcgetattr(STDIN_FILENO, &before) != 0)
		return false;
	(void)sigprocmask(SIG_BLOCK, &stop, &old);
	int fd = signalfd(-1, &stop, SFD_CLOEXEC);
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	fputs(prompt, stderr);
	(void)fflush(stderr);
	bool ok = read_secret(out, n, fd);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputc('\n', stderr);
	if (fd >= 0)
		(void)close(fd);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	return ok;
}

static bool
ask_twice(bool may_be_empty, char out[PASSWORD_MAX + 1], size_t *n)
{
	char again[PASSWORD_MAX + 1];
	size_t again_n = 0;
	bool ok = ask(
	    may_be_empty ? "Password (empty: by certificate only): " : "New password: ",
	    out, n);
	if (!ok)
		fputs("relayctl: no password was read; nothing was changed\n", stderr);
	if (!ok || *n == 0)
		return ok;
	ok = ask("The same again: ", again, &again_n) && again_n == *n &&
	     memcmp(out, again, *n) == 0;
	explicit_bzero(again, sizeof(again));
	if (!ok)
		fputs(
		    "relayctl: the two are not the same; nothing was changed\n", stderr);
	return ok;
}

/* True: out holds what is to be sent (n = 0: nothing). */
static bool
get_secret(const struct ctl *c, const struct verb *v, bool certificate,
    char out[PASSWORD_MAX + 1], size_t *n)
{
	bool optional = v->secret == SECRET_OR_CERTIFICATE && certificate;
	*n = 0;
	if (c->secret == CTL_SECRET_ASK && isatty(STDIN_FILENO)) {
		if (!ask_twice(optional, out, n))
			return false;
	} else if (c->secret == CTL_SECRET_ASK) {
		if (!optional)
			fputs("relayctl: no terminal to ask on; pass the password on "
			      "standard input with --password-stdin\n",
			    stderr);
		return optional;
	} else if (!read_secret(out, n, -1)) {
		fprintf(stderr,
		    "relayctl: standard input has no line of at most %d bytes\n",
		    PASSWORD_MAX);
		return false;
	}
	if (*n == 0 && !(optional && c->secret == CTL_SECRET_ASK))
		fputs(
		    "relayctl: an empty password is none; nothing was changed\n", stderr);
	return *n > 0 || (optional && c->secret == CTL_SECRET_ASK);
}

static bool
add_secret(const struct ctl *c, const struct verb *v, json_t *request)
{
	char secret[PASSWORD_MAX + 1];
	size_t n;
	if (v->secret == SECRET_NONE ||
	    (c->secret == CTL_SECRET_ASK &&
		json_is_true(json_object_get(request, "dry_run"))))
		return true;
	bool certificate = json_array_size(json_object_get(request, "certificate")) > 0;
	bool ok = get_secret(c, v, certificate, secret, &n);
	if (ok && n > 0) {
		json_t *text = memchr(secret, '\0', n) ? NULL : json_stringn(secret, n);
		ok = text != NULL;
		if (!ok)
			fputs("relayctl: the password is not UTF-8 text\n", stderr);
		else
			json_object_set_new(request,
			    c->secret == CTL_SECRET_HASH ? "hash" : "password", text);
	}
	explicit_bzero(secret, sizeof(secret));
	return ok;
}

static void
wipe_member(json_t *request, const char *name)
{
	const json_t *v = json_object_get(request, name);
	if (json_is_string(v))
		explicit_bzero(
		    (char *)(uintptr_t)json_string_value(v), json_string_length(v));
	json_object_del(request, name);
}

/* ---- options */

/* Options of other commands are not passed over: they would seem to have had an effect.
 */
static bool
options_fit(const struct ctl *c, const struct verb *v, const json_t *request)
{
	const char *member;
	json_t *value;
	char word[64];
	json_object_foreach((json_t *)(uintptr_t)request, member, value)
	{
		(void)snprintf(word, sizeof(word), " %s ", member);
		if (strcmp(member, "v") == 0 || strstr(v->takes, word) != NULL)
			continue;
		fprintf(stderr, "relayctl: --%s has no meaning here\n",
		    strcmp(member, "dry_run") == 0 ? "dry-run" : member);
		return false;
	}
	if (v->secret == SECRET_NONE && c->secret != CTL_SECRET_ASK) {
		fputs("relayctl: no password is needed here\n", stderr);
		return false;
	}
	return true;
}

int
ctl_user(struct ctl *c, json_t *request, int argc, char **argv)
{
	const struct verb *v = find_verb(argc, argv);
	if (v == NULL)
		return wrong(NULL);
	int words = v->second != NULL ? 2 : 1, names = argc - words;
	char **name = argv + words;
	if (names < v->least || names > v->most)
		return wrong(v);
	json_t *selector = json_object_get(request, "selector");
	if (json_object_size(selector) > 0) {
		fprintf(stderr, "relayctl: --%s has no meaning here\n",
		    json_object_iter_key(json_object_iter(selector)));
		return wrong(v);
	}
	json_object_del(request, "selector");
	json_object_del(request, "cmd"); /* that was the group's name */
	if (!options_fit(c, v, request))
		return wrong(v);
	size_t members = json_object_size(request); /* "v", and perhaps "dry_run" */
	if (json_object_get(request, "dry_run") != NULL)
		members--;
	if (strcmp(v->word, "set") == 0 && members == 1) {
		fputs("relayctl: say what to set\n", stderr);
		return wrong(v);
	}
	c->command = v->cmd;
	c->dry_run = json_is_true(json_object_get(request, "dry_run"));
	ctl_choose_printer(c);
	json_object_set_new(request, "cmd", json_string(v->cmd));
	if (names > 0 &&
	    json_object_set_new(request, "name", json_string(name[0])) != 0) {
		fputs("relayctl: the name is not UTF-8 text\n", stderr);
		return CTL_USAGE;
	}
	if (names > 1 &&
	    json_object_set_new(request, "label", json_string(name[1])) != 0) {
		fputs("relayctl: the label is not UTF-8 text\n", stderr);
		return CTL_USAGE;
	}
	int status = CTL_USAGE;
	if (add_secret(c, v, request))
		status = ctl_run(c, request);
	wipe_member(request, "password");
	wipe_member(request, "hash");
	return status;
}
