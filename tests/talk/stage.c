/* SPDX-License-Identifier: ISC */
/*
 * stage - clock, dice and network are scripted; the daemon is the real one, in
 * one thread.  A dial is answered from the script ahead: it finds somebody if a
 * server block for that address is still to come before a `refuse` of it.
 */
#include "tests/talk/stage.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/mem.h"
#include "tests/talk/robot.h"

#define TURNS_MAX 2000000 /* without time going by: something spins */
#define LINES_SHOWN 30
#define DRAIN_MS (15 * SECOND_MS)

/* ---- failing */

static void
print_escaped(struct span s)
{
	struct buf b;
	buf_init(&b, 0);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '\n')
			buf_add_str(&b, "\n        ");
		else if (c >= 0x20 && c < 0x7f)
			buf_add_char(&b, (char)c);
		else
			buf_addf(&b, "\\x%02x", c);
	}
	printf("%.*s", SPAN_ARG(buf_span(&b)));
	buf_clear(&b);
}

static void
print_log(const struct stage *s)
{
	size_t from = s->lines > LINES_SHOWN ? s->lines - LINES_SHOWN : 0;
	for (size_t i = from; !s->verbose && i < s->lines; i++)
		printf("    %s\n", s->line[i].text);
}

void
stage_fail(struct stage *s, unsigned line, const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	if (s->ledger->failing) {
		s->ledger->faults = fault_passes();
		_exit(1);
	}
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printf("%s:%u: ", s->script->path, line);
	print_escaped(span_str(text));
	printf("\n");
	print_log(s);
	(void)fflush(stdout);
	_exit(1);
}

void
stage_say(struct stage *s, const char *who, const char *sign, struct span text)
{
	if (!s->verbose)
		return;
	printf("%s %s ", who, sign);
	print_escaped(text);
	printf("\n");
}

static unsigned
line_now(const struct stage *s)
{
	return s->step < s->script->steps ? s->script->step[s->step].line : 0;
}

/* ---- the world */

static struct instant
stage_now(struct world *w)
{
	return (struct instant){((struct stage *)w)->ledger->mono_ms};
}

static struct wall
stage_wall(struct world *w)
{
	return (struct wall){((struct stage *)w)->ledger->wall_ms};
}

/* splitmix64 */
static uint64_t
roll(struct ledger *l)
{
	uint64_t z = l->dice += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void
stage_random(struct world *w, void *p, size_t n)
{
	unsigned char *at = p;
	for (size_t i = 0; i < n; i++)
		at[i] = (unsigned char)(roll(((struct stage *)w)->ledger) >> 24);
}

static void
make_pair(int fd[2])
{
	CHECK(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
}

/* Never becomes writable: the end of a pipe that is there to be read. */
static int
silence(void)
{
	int fd[2];
	CHECK(pipe2(fd, O_NONBLOCK | O_CLOEXEC) == 0);
	return fd[0]; /* the other end stays open until the process ends */
}

static bool
step_names(const struct stage *s, const struct step *step, const struct net_addr *a)
{
	for (size_t i = 0; i < step->words; i++)
		if (script_names(s->script, step->word[i], a))
			return true;
	return false;
}

/* How many server blocks wait for a connection to this address, before a refuse of it. */
static size_t
servers_ahead(const struct stage *s, const struct net_addr *a)
{
	size_t n = 0;
	for (size_t i = s->step; i < s->script->steps; i++) {
		const struct step *step = &s->script->step[i];
		if ((step->kind == STEP_REFUSE || step->kind == STEP_SILENT) &&
		    i > s->step && step_names(s, step, a))
			break;
		for (size_t k = 0; k < step->parts; k++) {
			const struct part *p = &step->part[k];
			n += p->kind == PART_SERVER && !p->again && !p->attached &&
			     script_names(s->script, p->name, a);
		}
	}
	return n;
}

static size_t
knocks_at(const struct stage *s, const struct net_addr *a)
{
	size_t n = 0;
	LIST_EACH (&s->knocks, k)
		n += net_same_ip(&CONTAINER_OF(k, struct knock, link)->to, a);
	return n;
}

static const bool *
closed_to(const struct stage *s, const struct net_addr *a)
{
	for (size_t i = 0; i < s->closed_n; i++)
		if (script_names(s->script, s->closed[i].name, a))
			return &s->closed[i].silent;
	return NULL;
}

static int
stage_dial(struct world *w, const struct net_addr *to, const struct net_addr *from)
{
	struct stage *s = (struct stage *)w;
	int fd[2];
	char text[NET_TEXT];
	(void)from;
	net_format(to, text);
	if (s->recovering) {
		make_pair(fd);
		robot_new(s, fd[1], to);
		return fd[0];
	}
	const bool *silent = closed_to(s, to);
	bool somebody = silent == NULL && servers_ahead(s, to) > knocks_at(s, to);
	stage_say(s, "dial",
	    silent && *silent ? "(silent)"
	    : somebody        ? "(taken)"
			      : "(refused)",
	    span_str(text));
	if (silent != NULL && *silent)
		return silence();
	if (!somebody)
		return ERR_REFUSED;
	make_pair(fd);
	struct knock *k = NEW(struct knock);
	*k = (struct knock){.to = *to, .fd = fd[1]};
	list_push(&s->knocks, &k->link);
	return fd[0];
}

static const struct world_ops stage_ops = {
    stage_now, stage_wall, stage_random, stage_dial};

int
stage_take_knock(struct stage *s, const char *name)
{
	LIST_EACH (&s->knocks, l) {
		struct knock *k = CONTAINER_OF(l, struct knock, link);
		if (!script_names(s->script, name, &k->to))
			continue;
		int fd = k->fd;
		list_remove(l);
		mem_free(&k);
		return fd;
	}
	return -1;
}

void
stage_open(struct stage *s, const char *name)
{
	for (size_t i = 0; i < s->closed_n; i++)
		if (strcmp(s->closed[i].name, name) == 0)
			s->closed[i--] = s->closed[--s->closed_n];
}

void
stage_close(struct stage *s, const char *name, bool silent)
{
	stage_open(s, name);
	CHECK(s->closed_n < COUNT_OF(s->closed));
	s->closed[s->closed_n].name = name;
	s->closed[s->closed_n++].silent = silent;
}

/* ---- the log */

static void
on_log(void *arg, enum log_level level, struct span text)
{
	struct stage *s = arg;
	s->line = mem_resize(s->line, s->lines + 1, sizeof(struct log_line));
	s->line[s->lines++] = (struct log_line){level, span_dup(text), false};
	if (s->verbose)
		printf("    %.*s\n", SPAN_ARG(text));
}

static struct span
word_at(struct span *rest)
{
	*rest = span_trim(*rest);
	size_t n = 0;
	bool quoted = false;
	for (; n < rest->n && (quoted || rest->p[n] != ' '); n++) {
		if (quoted && rest->p[n] == '\\' && n + 1 < rest->n)
			n++;
		else if (rest->p[n] == '"')
			quoted = !quoted;
	}
	struct span w = span_cut(*rest, 0, n);
	*rest = span_cut(*rest, n, SIZE_MAX);
	return w;
}

static struct span
without_quotes(struct span s)
{
	if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
		return span_cut(s, 1, s.n - 2);
	return s;
}

static bool
is_number(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

/* want: key=value. A number must be the same; other values begin so. */
static bool
has_field(struct span line, struct span want)
{
	size_t eq = span_find(want, '=');
	struct span key = span_cut(want, 0, eq);
	struct span value = without_quotes(span_cut(want, eq + 1, SIZE_MAX));
	while (line.n > 0) {
		struct span w = word_at(&line);
		size_t at = span_find(w, '=');
		if (at == w.n || !span_eq(span_cut(w, 0, at), key))
			continue;
		struct span got = without_quotes(span_cut(w, at + 1, SIZE_MAX));
		if (is_number(value) ? span_eq(got, value) : span_starts(got, value))
			return true;
	}
	return false;
}

static bool
log_fits(const struct log_line *l, const struct step *step)
{
	struct span rest = span_str(l->text);
	(void)word_at(&rest); /* the time */
	(void)word_at(&rest); /* the level */
	if (!span_eq(word_at(&rest), span_str(step->word[0])))
		return false;
	for (size_t i = 1; i < step->words; i++)
		if (!has_field(rest, span_str(step->word[i])))
			return false;
	return true;
}

static struct log_line *
find_log(const struct stage *s, const struct step *step)
{
	for (size_t i = 0; i < s->lines; i++)
		if (!s->line[i].used && log_fits(&s->line[i], step))
			return &s->line[i];
	return NULL;
}

bool
stage_log(struct stage *s, const struct step *step)
{
	stage_settle(s);
	struct log_line *l = find_log(s, step);
	if (l != NULL)
		l->used = true;
	return l != NULL;
}

void
stage_no_log(struct stage *s, const struct step *step)
{
	stage_settle(s);
	const struct log_line *l = find_log(s, step);
	if (l != NULL)
		stage_fail(s, step->line, "the log has: %s", l->text);
}

/* What only says something about the machine: tsan leaves less room for the spool's map.
 */
static bool
of_the_machine(const struct log_line *l)
{
	return strstr(l->text, "what=\"address space\"") != NULL;
}

static bool
named_somewhere(const struct stage *s, const struct log_line *l)
{
	for (size_t i = 0; i < s->script->steps; i++)
		if (s->script->step[i].kind == STEP_LOG &&
		    log_fits(l, &s->script->step[i]))
			return true;
	return false;
}

void
stage_unexpected(struct stage *s)
{
	for (size_t i = 0; i < s->lines; i++) {
		const struct log_line *l = &s->line[i];
		if (l->level <= LOG_WARN && !l->used && !of_the_machine(l) &&
		    !named_somewhere(s, l))
			stage_fail(s, line_now(s), "nobody expected this in the log: %s",
			    l->text);
	}
}

/* ---- the daemon */

static struct dns_transport *
make_dns(void *arg, struct loop *l)
{
	return fake_dns_transport(((struct stage *)arg)->dns, l);
}

struct certs *
stage_certs(struct stage *s)
{
	if (s->certs == NULL)
		s->certs = certs_new_in(s->dir);
	return s->certs;
}

/* The SHA-256 of the certificate that `server NAME` shows. */
static void
add_fingerprint(struct stage *s, struct span name, struct buf *out)
{
	struct tls_look look;
	const char *key;
	char *host = span_dup(name), *names = script_cert_names(s->script, host);
	CHECK(tls_look(certs_for(stage_certs(s), CERT_GOOD, names, &key), &look) == OK);
	buf_add_str(out, look.fingerprint);
	mem_free(&names);
	mem_free(&host);
}

/* What stands between ${ and }. False: it is not ours. */
static bool
add_mark(struct stage *s, struct span mark, struct buf *out)
{
	struct tls_look look;
	if (span_eq(mark, SPAN("SPOOL")))
		buf_addf(out, "%s/spool", s->dir);
	else if (span_eq(mark, SPAN("CERT")))
		buf_add_str(out, certs_path(stage_certs(s), CERT_GOOD));
	else if (span_eq(mark, SPAN("KEY")))
		buf_add_str(out, certs_key(stage_certs(s), CERT_GOOD));
	else if (span_eq(mark, SPAN("CA")))
		buf_add_str(out, certs_ca(stage_certs(s)));
	else if (span_eq(mark, SPAN("DEVICE")) &&
		 tls_look(certs_path(stage_certs(s), CERT_CLIENT), &look) == OK)
		buf_add_str(out, look.fingerprint);
	else if (span_starts(mark, SPAN("PIN:")))
		add_fingerprint(s, span_cut(mark, 4, mark.n), out);
	else
		return false;
	return true;
}

/* The text with ${SPOOL} and the like filled in. */
static char *
fill_in(struct stage *s, const char *text)
{
	struct buf out;
	buf_init(&out, 0);
	struct span rest = span_str(text);
	while (rest.n > 0) {
		struct span mark = span_starts(rest, SPAN("${"))
				       ? span_cut(rest, 2, span_find(rest, '}') - 2)
				       : SPAN("");
		if (mark.n > 0 && add_mark(s, mark, &out)) {
			rest = span_cut(rest, mark.n + 3, rest.n);
		} else {
			buf_add_char(&out, rest.p[0]);
			rest = span_cut(rest, 1, rest.n);
		}
	}
	return buf_take(&out);
}

/* secret-file = "secret" is beside the configuration. */
static void
write_secret(const struct stage *s)
{
	char path[4096];
	const char *end = strrchr(s->config_file, '/');
	(void)snprintf(path, sizeof(path), "%.*s/secret", (int)(end - s->config_file),
	    s->config_file);
	FILE *f = fopen(path, "w");
	CHECK(f != NULL && fputs("secret\n", f) >= 0 && fclose(f) == 0);
}

void
stage_write_config(struct stage *s, const char *text)
{
	char *whole = fill_in(s, text);
	FILE *f = fopen(s->config_file, "w");
	CHECK(f != NULL && fputs(whole, f) >= 0 && fclose(f) == 0);
	mem_free(&whole);
	write_secret(s);
}

/* Routes that sign in do so with "secret". */
static void
give_secrets(const struct config *c)
{
	for (size_t i = 0; c != NULL && i < c->policy.routes.n; i++) {
		struct route *r = &c->policy.routes.route[i];
		if (r->secret_file != NULL && r->secret == NULL)
			r->secret = mem_strdup("secret");
	}
}

void
stage_start(struct stage *s)
{
	struct buf why;
	buf_init(&why, 0);
	struct config *read = config_read(s->config_file, &why);
	const struct config *c = read;
	if (c == NULL || !config_open(read, true, &why))
		stage_fail(
		    s, line_now(s), "the configuration: %.*s", SPAN_ARG(buf_span(&why)));
	give_secrets(c);
	struct daemon_options o = {
	    .config = c,
	    .config_file = s->config_file,
	    .world = &s->world,
	    .log = s->log,
	    .single = true,
	    .dns = make_dns,
	    .dns_arg = s,
	};
	if (daemon_new(&s->daemon, &o, &why) != OK)
		stage_fail(s, line_now(s), "the daemon does not start: %.*s",
		    SPAN_ARG(buf_span(&why)));
	config_unref(&c);
	buf_clear(&why);
	stage_settle(s);
}

void
stage_drain(struct stage *s)
{
	stage_settle(s);
	daemon_stop(s->daemon);
	stage_settle(s);
	for (int i = 0; i < 15 && !daemon_stopped(s->daemon); i++)
		stage_pass(s, DRAIN_MS / 15);
	if (!daemon_stopped(s->daemon))
		stage_fail(s, line_now(s), "the daemon does not come to an end");
}

void
stage_stop(struct stage *s)
{
	stage_settle(s);
	daemon_free(&s->daemon);
}

/* ---- turning, and time */

bool
stage_turn(struct stage *s)
{
	bool done = s->daemon != NULL && loop_turn(daemon_loop(s->daemon), false);
	return robots_step(s) || done;
}

void
stage_settle(struct stage *s)
{
	unsigned idle = 0;
	for (unsigned long n = 0; idle < 2; n++) {
		idle = stage_turn(s) ? 0 : idle + 1;
		if (n > TURNS_MAX)
			stage_fail(s, line_now(s), "the loop does not come to rest");
	}
}

static void
move_clock(struct stage *s, int64_t ms)
{
	s->ledger->mono_ms += ms;
	s->ledger->wall_ms += ms;
}

void
stage_pass(struct stage *s, int64_t ms)
{
	int64_t end = s->ledger->mono_ms + ms;
	struct instant due;
	unsigned long n = 0;
	stage_settle(s);
	while (s->daemon != NULL && loop_next_timer(daemon_loop(s->daemon), &due) &&
	       due.ms <= end) {
		n = due.ms > s->ledger->mono_ms ? 0 : n + 1;
		if (n > TURNS_MAX)
			stage_fail(s, line_now(s), "a timer fires again and again");
		if (due.ms > s->ledger->mono_ms)
			move_clock(s, due.ms - s->ledger->mono_ms);
		stage_settle(s);
	}
	if (end > s->ledger->mono_ms)
		move_clock(s, end - s->ledger->mono_ms);
	stage_settle(s);
}

/* ---- the spool */

struct told {
	struct stage *stage;
	unsigned line;
};

static void
on_violation(void *arg, const char *sentence)
{
	struct told *t = arg;
	stage_fail(t->stage, t->line, "the spool is not as it should be: %s", sentence);
}

uint64_t
stage_spool(struct stage *s, unsigned line)
{
	struct spool_reader *r = spool_reader_new(daemon_spool(s->daemon));
	struct told t = {s, line};
	struct spool_stat stat;
	uint64_t found = 0;
	if (spool_check(r, on_violation, NULL, &t, &found) != OK || found > 0)
		stage_fail(s, line, "the spool cannot be checked");
	if (spool_read_stat(r, &stat) != OK)
		stage_fail(s, line, "the spool cannot be read");
	spool_reader_free(&r);
	return stat.messages;
}

/* What was held is let go, as an administrator would. */
static void
release_all(struct stage *s)
{
	static const char line[] =
	    "{\"v\":1,\"cmd\":\"release\",\"selector\":{\"all\":true}}\r\n";
	int fd[2];
	make_pair(fd);
	daemon_serve_control(s->daemon, fd[0]);
	CHECK(send(fd[1], line, sizeof(line) - 1, MSG_NOSIGNAL) ==
	      (ssize_t)sizeof(line) - 1);
	stage_settle(s);
	(void)close(fd[1]);
	stage_settle(s);
}

void
stage_recover(struct stage *s)
{
	s->recovering = true;
	for (int i = 0; i < 12 && stage_spool(s, 0) > 0; i++) {
		release_all(s);
		stage_pass(s, HOUR_MS);
	}
	if (stage_spool(s, 0) > 0)
		stage_fail(
		    s, 0, "mail stays in the spool although every next hop takes it");
}

/* ---- life */

struct stage *
stage_new(struct script *script, struct ledger *ledger, const char *dir, bool verbose)
{
	struct stage *s = NEW(struct stage);
	struct buf path;
	s->world.ops = &stage_ops;
	s->script = script;
	s->ledger = ledger;
	s->dir = dir;
	s->verbose = verbose;
	list_init(&s->knocks);
	list_init(&s->robots);
	buf_init(&path, 0);
	buf_addf(&path, "%s/relayd.conf", dir);
	s->config_file = buf_take(&path);
	s->dns = fake_dns_new();
	s->log = log_new(&s->world, STDERR_FILENO);
	log_hook(s->log, on_log, s);
	log_set(s->log, LOG_DEBUG, LOG_TEXT);
	stage_write_config(s, script->config);
	return s;
}

void
stage_free(struct stage **sp)
{
	struct stage *s = *sp;
	robots_free(s);
	LIST_EACH (&s->knocks, l) {
		struct knock *k = CONTAINER_OF(l, struct knock, link);
		(void)close(k->fd);
		mem_free(&k);
	}
	fake_dns_free(&s->dns);
	certs_free(&s->certs);
	log_free(&s->log);
	for (size_t i = 0; i < s->lines; i++)
		mem_free(&s->line[i].text);
	for (size_t i = 0; i < COUNT_OF(s->capture); i++)
		mem_free(&s->capture[i]);
	mem_free(&s->line);
	mem_free(&s->config_file);
	mem_free(sp);
}
