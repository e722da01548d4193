/* SPDX-License-Identifier: ISC */
/*
 * ctl_top - a picture of what relayd does, drawn anew every few seconds: what
 * comes in and goes out per second, what waits, and the destinations with most
 * to do or in trouble.  On a terminal it takes the screen and gives it back; any
 * of q, Esc and Ctrl-C ends it.  Elsewhere it prints picture after picture.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/units.h"
#include "base/when.h"
#include "tools/ctl.h"

#define HOSTS_MAX 500 /* of what is drawn, the busiest */

struct top {
	struct ctl ctl;          /* a copy, whose printer is ours */
	int signals;             /* a descriptor: SIGINT and SIGTERM */
	json_t *status, *before; /* owned; NULL: not yet */
	json_t *hosts;           /* owned: an array */
	double seconds;          /* between them */
	bool screen;
	unsigned rows, columns;
};

/* ---- asking */

static void
take_status(struct ctl *c, const json_t *line)
{
	struct top *t = CONTAINER_OF(c, struct top, ctl);
	json_decref(t->status);
	t->status = json_deep_copy(line);
}

static void
take_host(struct ctl *c, const json_t *line)
{
	struct top *t = CONTAINER_OF(c, struct top, ctl);
	if (json_array_size(t->hosts) < HOSTS_MAX)
		json_array_append_new(t->hosts, json_deep_copy(line));
}

static int
ask(struct top *t, const char *what, void (*take)(struct ctl *c, const json_t *line))
{
	json_t *request = json_pack("{s:i,s:s,s:{}}", "v", 1, "cmd", what, "selector");
	t->ctl.command = what;
	t->ctl.print = take;
	int status = ctl_ask(&t->ctl, request);
	json_decref(request);
	return status;
}

static double
seconds_now(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- drawing */

static long long
member(const json_t *status, const char *part, const char *name)
{
	return ctl_number(json_object_get(status, part), name);
}

/* Per second, since the picture before. */
static double
rate(const struct top *t, const char *part, const char *name)
{
	if (t->before == NULL || t->seconds <= 0)
		return 0;
	double more =
	    (double)(member(t->status, part, name) - member(t->before, part, name));
	return more > 0 ? more / t->seconds : 0;
}

static void
put_size(long long n)
{
	struct buf b;
	buf_init(&b, 64);
	units_add_size(&b, n > 0 ? (uint64_t)n : 0);
	printf("%.*s", SPAN_ARG(buf_span(&b)));
	buf_clear(&b);
}

static void
end_line(const struct top *t)
{
	fputs(t->screen ? "\x1b[K\n" : "\n", stdout);
}

static void
draw_head(const struct top *t)
{
	time_t now = time(NULL);
	struct tm tm;
	char clock[16] = "";
	if (localtime_r(&now, &tm) != NULL)
		(void)strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	printf("relayd %s on ", ctl_text(t->status, "version"));
	ctl_put(ctl_text(t->status, "hostname"));
	printf("   %s", clock);
	end_line(t);
	printf("queue  %lld messages, %lld recipients, ",
	    member(t->status, "spool", "messages"),
	    member(t->status, "spool", "recipients"));
	put_size(member(t->status, "spool", "bytes"));
	fputs("; disk free ", stdout);
	put_size(member(t->status, "spool", "disk_free"));
	end_line(t);
	printf("in     %8.1f messages/s  %8.1f refused/s  %6lld sessions",
	    rate(t, "in", "messages"), rate(t, "in", "refused"),
	    member(t->status, "in", "sessions"));
	end_line(t);
	printf("out    %8.1f delivered/s %8.1f deferred/s %6.1f failed/s",
	    rate(t, "out", "delivered"), rate(t, "out", "deferred"),
	    rate(t, "out", "failed"));
	end_line(t);
	printf("disk   %8.1f commits/s", rate(t, "spool", "commits"));
	double commits = rate(t, "spool", "commits");
	if (commits > 0)
		printf("   %.1f changes each, %.1f ms each",
		    rate(t, "spool", "requests") / commits,
		    rate(t, "spool", "flush_us") / commits / 1000);
	end_line(t);
	printf("destinations: %lld known, %lld down, %lld paused",
	    member(t->status, "destinations", "known"),
	    member(t->status, "destinations", "down"),
	    member(t->status, "destinations", "paused"));
	end_line(t);
	end_line(t);
}

static long long
weight(const json_t *host)
{
	bool trouble = strcmp(ctl_text(host, "state"), "up") != 0;
	return ctl_number(host, "running") * 10 + ctl_number(host, "ready") +
	       ctl_number(host, "failures") + (trouble ? 1000000 : 0);
}

static int
by_weight(const void *a, const void *b)
{
	long long x = weight(*(json_t *const *)a), y = weight(*(json_t *const *)b);
	return (x < y) - (x > y);
}

static void
draw_hosts(const struct top *t)
{
	static const size_t wide = 32 + 2 + 8 + 2 + 9 + 2 + 6 + 2 + 5 + 2;
	size_t n = json_array_size(t->hosts), room = t->rows > 10 ? t->rows - 9 : 1;
	json_t **host = mem_alloc((n + 1) * sizeof(json_t *));
	for (size_t i = 0; i < n; i++)
		host[i] = json_array_get(t->hosts, i);
	qsort(host, n, sizeof(json_t *), by_weight);
	printf("%-32s  %-8s  %-9s  %-6s  %-5s  %s", "DESTINATION", "STATE", "BUSY",
	    "READY", "FAILS", "LAST FAILURE");
	end_line(t);
	for (size_t i = 0; i < n && (i < room || !t->screen); i++) {
		char busy[48], ready[32], fails[32];
		(void)snprintf(busy, sizeof(busy), "%lld of %lld",
		    ctl_number(host[i], "running"), ctl_number(host[i], "window"));
		(void)snprintf(
		    ready, sizeof(ready), "%lld", ctl_number(host[i], "ready"));
		(void)snprintf(
		    fails, sizeof(fails), "%lld", ctl_number(host[i], "failures"));
		ctl_cell(ctl_text(host[i], "destination"), 32, false);
		ctl_cell(ctl_text(host[i], "state"), 8, false);
		ctl_cell(busy, 9, false);
		ctl_cell(ready, 6, false);
		ctl_cell(fails, 5, false);
		fputs(t->screen ? "\x1b[K" : "", stdout);
		ctl_cell(ctl_text(host[i], "reason"),
		    t->columns > wide + 10 ? t->columns - wide : 10, true);
	}
	mem_free(&host);
}

static void
draw(struct top *t)
{
	struct winsize w;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 0) {
		t->rows = w.ws_row;
		t->columns = w.ws_col;
	}
	fputs(t->screen ? "\x1b[H" : "", stdout);
	draw_head(t);
	draw_hosts(t);
	fputs(t->screen ? "\x1b[J" : "\n", stdout);
	(void)fflush(stdout);
}

/* ---- the terminal */

static bool
take_screen(struct termios *old)
{
	struct termios raw;
	if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO) ||
	    tcgetattr(STDIN_FILENO, old) != 0)
		return false;
	raw = *old;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	fputs("\x1b[?1049h\x1b[?25l\x1b[2J", stdout);
	return true;
}

static void
give_screen(const struct termios *old)
{
	fputs("\x1b[?25h\x1b[?1049l", stdout);
	(void)fflush(stdout);
	(void)tcsetattr(STDIN_FILENO, TCSANOW, old);
}

/* Until the next picture; false: a key or a signal ends it. */
static bool
rest(const struct top *t, int64_t ms)
{
	struct pollfd p[] = {{.fd = t->signals, .events = POLLIN},
	    {.fd = t->screen ? STDIN_FILENO : -1, .events = POLLIN}};
	char key;
	if (poll(p, 2, (int)ms) <= 0)
		return true;
	if (p[0].revents != 0)
		return false;
	return read(STDIN_FILENO, &key, 1) == 1 && strchr("qQ\x1b\x03", key) == NULL;
}

static int
wait_for_signals(void)
{
	sigset_t set;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* ---- the loop */

static int
one_picture(struct top *t, double *last)
{
	json_decref(t->before);
	t->before = t->status;
	t->status = NULL;
	json_array_clear(t->hosts);
	int status = ask(t, "status", take_status);
	if (status == CTL_DONE)
		status = ask(t, "hosts", take_host);
	double now = seconds_now();
	t->seconds = now - *last;
	*last = now;
	if (status == CTL_DONE && t->status != NULL)
		draw(t);
	return status;
}

int
ctl_top(struct ctl *c, const json_t *request)
{
	struct top t = {
	    .ctl = *c, .rows = 24, .columns = c->width, .hosts = json_array()};
	const char *every = json_string_value(json_object_get(request, "every"));
	long long limit = json_integer_value(json_object_get(request, "limit"));
	int64_t every_ms = 2 * SECOND_MS;
	struct termios old;
	if (every != NULL && (units_duration(span_str(every), &every_ms) != OK ||
				 every_ms < 100 || every_ms > HOUR_MS)) {
		fputs("relayctl: --every takes a duration from 100ms to 1h, as in 2s\n",
		    stderr);
		json_decref(t.hosts);
		return CTL_USAGE;
	}
	t.ctl.json = false;
	t.signals = wait_for_signals();
	t.screen = take_screen(&old);
	double last = seconds_now();
	int status = CTL_DONE;
	for (long long n = 1; status == CTL_DONE; n++) {
		status = one_picture(&t, &last);
		if ((limit > 0 && n >= limit) || status != CTL_DONE ||
		    !rest(&t, every_ms))
			break;
	}
	if (t.screen)
		give_screen(&old);
	json_decref(t.status);
	json_decref(t.before);
	json_decref(t.hosts);
	if (t.signals >= 0)
		(void)close(t.signals);
	if (status == -1)
		fputs("relayctl: relayd does not answer any more; is it running?\n",
		    stderr);
	return status == -1 ? CTL_NOTHING : status;
}
