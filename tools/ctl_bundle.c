/* SPDX-License-Identifier: ISC */
/*
 * ctl_bundle - "relayctl support-bundle": what somebody needs who is asked for help,
 * in one tar file, and no secret of the configuration or of an account.
 *
 * Secrets cannot slip in: accounts are not asked for, passwords of next hops stand in
 * files of their own that are not read, comments (where people keep old passwords) are
 * left out, and whatever is set by a key that sounds like a secret is removed.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "relay/version.h"
#include "tools/ctl.h"

#define BLOCK 512
#define PART_MAX (16u << 20)

/* ---- tar: the ustar of POSIX */

static void
octal(char *field, size_t width, unsigned long long v)
{
	(void)snprintf(field, width, "%0*llo", (int)width - 1, v);
}

static bool
put_entry(FILE *to, const char *dir, const char *name, struct span text, time_t now)
{
	char h[BLOCK] = {0};
	static const char zero[BLOCK];
	unsigned sum = 0;
	(void)snprintf(h, 100, "%s/%s", dir, name);
	octal(h + 100, 8, 0600);
	octal(h + 108, 8, 0);
	octal(h + 116, 8, 0);
	octal(h + 124, 12, text.n);
	octal(h + 136, 12, (unsigned long long)now);
	memset(h + 148, ' ', 8);
	h[156] = '0';
	memcpy(h + 257,
	    "ustar\0"
	    "00",
	    8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += (unsigned char)h[i];
	(void)snprintf(h + 148, 8, "%06o", sum);
	size_t pad = (BLOCK - text.n % BLOCK) % BLOCK;
	return fwrite(h, 1, BLOCK, to) == BLOCK &&
	       fwrite(text.p, 1, text.n, to) == text.n && fwrite(zero, 1, pad, to) == pad;
}

static bool
put_end(FILE *to)
{
	static const char zero[2 * BLOCK];
	return fwrite(zero, 1, sizeof(zero), to) == sizeof(zero);
}

/* ---- the configuration without secrets */

/* A name as people give to secrets; "secret-file" names a file, which is none. */
static bool
sounds_secret(struct span key)
{
	static const char *const words[] = {"secret", "pass", "token", "credential"};
	char name[64];
	span_copy(key, name, sizeof(name));
	for (char *p = name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	size_t n = strlen(name);
	if (n > 5 && strcmp(name + n - 5, "-file") == 0)
		return false;
	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (strstr(name, words[i]) != NULL)
			return true;
	return false;
}

/* "user:password@" of something like a URL. */
static void
add_value(struct buf *out, struct span value)
{
	size_t at = value.n, slash = value.n;
	for (size_t i = 0; i + 1 < value.n; i++)
		if (value.p[i] == '/' && value.p[i + 1] == '/' && slash == value.n)
			slash = i + 2;
	for (size_t i = slash; i < value.n; i++)
		if (value.p[i] == '@')
			at = i;
	if (at < value.n) {
		buf_add_span(out, span_cut(value, 0, slash));
		buf_add_str(out, "(removed)");
		value = span_cut(value, at, value.n);
	}
	buf_add_span(out, value);
}

static size_t
end_of_string(struct span s, size_t i)
{
	char quote = s.p[i];
	for (i++; i < s.n && s.p[i] != quote; i++)
		if (s.p[i] == '\\')
			i++;
	return i < s.n ? i + 1 : s.n;
}

static size_t
end_of_comment(struct span s, size_t i)
{
	if (s.p[i] == '/' && i + 1 < s.n && s.p[i + 1] == '*') {
		for (i += 2; i + 1 < s.n && (s.p[i] != '*' || s.p[i + 1] != '/');)
			i++;
		return i + 2 < s.n ? i + 2 : s.n;
	}
	while (i < s.n && s.p[i] != '\n')
		i++;
	return i;
}

static bool
is_comment(struct span s, size_t i)
{
	return s.p[i] == '#' ||
	       (s.p[i] == '/' && i + 1 < s.n && (s.p[i + 1] == '/' || s.p[i + 1] == '*'));
}

static bool
is_word(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.' ||
	       c == ':' || c == '$' || c == '@';
}

/* Names, strings and signs one after the other; a value that follows a secret's name is
 * left out, a list of them too. */
void
ctl_bundle_config(struct span s, struct buf *out)
{
	struct span key = {0};
	bool value = false, list = false;
	for (size_t i = 0; i < s.n;) {
		char c = s.p[i];
		size_t from = i;
		if (is_comment(s, i)) {
			i = end_of_comment(s, i);
			continue;
		}
		if (c == '"' || c == '\'' || is_word(c)) {
			if (c == '"' || c == '\'')
				i = end_of_string(s, i);
			else
				while (i < s.n && is_word(s.p[i]))
					i++;
			struct span text = span_cut(s, from, i - from);
			if (value && sounds_secret(key))
				buf_add_str(out, "\"(removed)\"");
			else
				add_value(out, text);
			if (!value)
				key = text;
			value = value && list;
			continue;
		}
		if (c == '=')
			value = true;
		else if (c == '{' && value)
			list = true;
		else if (c == '}')
			value = list = false;
		buf_add_char(out, c);
		i++;
	}
}

static void
read_file(const char *path, struct buf *out)
{
	char chunk[16u << 10];
	FILE *f = fopen(path, "re");
	size_t n;
	if (f == NULL) {
		buf_addf(out, "# %s: %s\n", path, strerror(errno));
		return;
	}
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0 && !out->overflow)
		buf_add(out, chunk, n);
	(void)fclose(f);
}

/* ---- what others print */

/* The output of a program that may not be there; nothing of ours is its input. */
static void
run_program(char *const *argv, struct buf *out)
{
	int ends[2];
	char chunk[16u << 10];
	ssize_t n;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return;
	pid_t child = fork();
	if (child == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		(void)execvp(argv[0], argv);
		_exit(127);
	}
	(void)close(ends[1]);
	while (child > 0 &&
	       ((n = read(ends[0], chunk, sizeof(chunk))) > 0 || errno == EINTR))
		if (n > 0)
			buf_add(out, chunk, (size_t)n);
	(void)close(ends[0]);
	if (child > 0)
		(void)waitpid(child, NULL, 0);
}

static void
add_log(struct buf *out)
{
	char *const journal[] = {(char[]){"journalctl"}, (char[]){"-u"},
	    (char[]){"relayd"}, (char[]){"-n"}, (char[]){"3000"}, (char[]){"--no-pager"},
	    (char[]){"-o"}, (char[]){"short-iso"}, NULL};
	run_program(journal, out);
	if (out->n == 0)
		buf_add_str(out,
		    "there is no journal of a unit relayd here that could be "
		    "read; add the log by hand\n");
}

static void
add_version(struct buf *out, const struct ctl *c)
{
	struct utsname u;
	buf_addf(out, "relayctl %s\nconfiguration %s\n", RELAYD_VERSION, c->config_file);
	if (uname(&u) == 0)
		buf_addf(
		    out, "%s %s %s %s\n", u.sysname, u.release, u.version, u.machine);
	buf_addf(out, "processors %ld, memory %lld MiB\n", sysconf(_SC_NPROCESSORS_ONLN),
	    (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) >> 20);
	read_file("/etc/os-release", out);
}

/* ---- what relayd answers */

static void
ask(struct ctl *c, const char *cmd, const char *by, struct buf *out)
{
	json_t *request = json_pack("{s:i,s:s,s:{}}", "v", 1, "cmd", cmd, "selector");
	if (by != NULL)
		json_object_set_new(request, "by", json_string(by));
	c->command = cmd;
	c->capture = out;
	c->nothing_is_fine = true;
	if (ctl_run(c, request) != CTL_DONE && out->n == 0)
		buf_add_str(out, "{\"error\":\"no answer\"}\n");
	c->capture = NULL;
	json_decref(request);
}

static const struct part {
	const char *name, *cmd, *by;
} parts[] = {
    {"status.json", "status", NULL},
    {"hosts.json", "hosts", NULL},
    {"spool.json", "spool-stat", NULL},
    {"shape-domain.json", "shape", "domain"},
    {"shape-route.json", "shape", "route"},
    {"shape-error.json", "shape", "error"},
};

static const char about[] =
    "What relayctl support-bundle has gathered:\n"
    "  relayd.conf    the configuration, without comments, passwords and included files\n"
    "  version.txt    of relayd, the system, the machine\n"
    "  status.json hosts.json spool.json shape-*.json    as relayctl --json prints them\n"
    "  log.txt        the last lines of the journal: they name senders, recipients and\n"
    "                 clients; remove it if nobody else is to see those\n"
    "No password, hash, key, account or message is in here.\n";

static bool
put_all(struct ctl *c, FILE *to, const char *dir)
{
	struct buf text, raw;
	time_t now = (time_t)(world_wall(world_real()).ms / 1000);
	buf_init(&text, PART_MAX);
	buf_init(&raw, PART_MAX);
	bool ok = put_entry(to, dir, "README.txt", span_str(about), now);
	read_file(c->config_file, &raw);
	ctl_bundle_config(buf_span(&raw), &text);
	ok = ok && put_entry(to, dir, "relayd.conf", buf_span(&text), now);
	buf_reset(&text);
	add_version(&text, c);
	ok = ok && put_entry(to, dir, "version.txt", buf_span(&text), now);
	for (size_t i = 0; ok && i < COUNT_OF(parts); i++) {
		buf_reset(&text);
		ask(c, parts[i].cmd, parts[i].by, &text);
		ok = put_entry(to, dir, parts[i].name, buf_span(&text), now);
	}
	buf_reset(&text);
	add_log(&text);
	ok = ok && put_entry(to, dir, "log.txt", buf_span(&text), now);
	buf_clear(&text);
	buf_clear(&raw);
	return ok && put_end(to) && fflush(to) == 0;
}

int
ctl_bundle(struct ctl *c, const char *file)
{
	char name[80], dir[64];
	time_t now = (time_t)(world_wall(world_real()).ms / 1000);
	struct tm tm;
	if (gmtime_r(&now, &tm) == NULL ||
	    strftime(dir, sizeof(dir), "relayd-support-%Y%m%d-%H%M%S", &tm) == 0)
		return CTL_NOTHING;
	(void)snprintf(name, sizeof(name), "%s.tar", dir);
	bool out = file != NULL && strcmp(file, "-") == 0;
	if (file == NULL)
		file = name;
	int fd = out ? dup(STDOUT_FILENO)
		     : open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *to = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (to == NULL) {
		fprintf(stderr, "relayctl: cannot make %s: %s; name another file\n", file,
		    strerror(errno));
		return CTL_NOTHING;
	}
	bool ok = put_all(c, to, dir);
	ok = fclose(to) == 0 && ok;
	if (!ok)
		fprintf(stderr, "relayctl: writing %s: %s\n", file, strerror(errno));
	else if (!out)
		printf("%s: look through it before you give it away (it says what is in "
		       "it)\n",
		    file);
	return ok ? CTL_DONE : CTL_NOTHING;
}
