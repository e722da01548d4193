/* SPDX-License-Identifier: ISC */
/*
 * talk - plays talks against the daemon's code in this process.
 *
 *	talk [-v] [-j N] FILES...          each once, N side by side
 *	talk [-v] [-j N] --crash [--every=N] FILES...
 *
 * The second plays each again and again, dying (then: with a call that fails) at the
 * first, second, ... pass of any fault, until one run meets no more of them.
 *
 * Each talk is played in a child process, so that it may die.  After a planned
 * death a new child goes on behind the next `restart`; in a crash run it opens
 * the spool, checks it against the ledger and lets everything go out.  The
 * ledger, and in it the clock, is shared memory.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/mem.h"
#include "tests/lib/tree.h"
#include "tests/talk/actors.h"
#include "tests/talk/picture.h"

#define PATIENCE_S 300 /* of real time, for one child */

/* What workers side by side share. */
struct tally {
	atomic_int next, passed, failed; /* talks */
	atomic_ulong deaths, failures;
};

struct talk {
	struct script *script;
	struct ledger *ledger;
	char dir[64];
	bool verbose;
	unsigned long every; /* fault points of a crash run: 1, 1 + every, ... */
	struct tally *tally;
};

/* So that a leak is told from a failed talk. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "exitcode=99";
}

/* ---- steps */

static void
set_dns(struct stage *s, const struct step *step)
{
	if (strcmp(step->text, "clear") == 0)
		fake_dns_clear(s->dns);
	else if (!fake_dns_add(s->dns, step->text))
		stage_fail(
		    s, step->line, "the zone cannot have: %s", fake_dns_error(s->dns));
}

static void
set_doors(struct stage *s, const struct step *step)
{
	for (size_t i = 0; i < step->words; i++) {
		if (step->kind == STEP_ACCEPT)
			stage_open(s, step->word[i]);
		else
			stage_close(s, step->word[i], step->kind == STEP_SILENT);
	}
}

static void
reload(struct stage *s, const struct step *step)
{
	struct buf text;
	buf_init(&text, 0);
	stage_write_config(s, step->text);
	bool ok = daemon_reload(s->daemon, &text);
	if (ok == step->wrong)
		stage_fail(s, step->line, "the configuration was %s: %.*s",
		    ok ? "taken" : "refused", SPAN_ARG(buf_span(&text)));
	log_set(s->log, LOG_DEBUG, LOG_TEXT);
	buf_clear(&text);
	stage_settle(s);
}

static void
check_spool(struct stage *s, const struct step *step)
{
	stage_settle(s);
	uint64_t n = stage_spool(s, step->line);
	if (n != step->n)
		stage_fail(
		    s, step->line, "the spool has %llu messages", (unsigned long long)n);
}

/* Whether the mailboxes are now as the step says; out: as they are. */
static bool
is_as(struct stage *s, const struct step *step, struct buf *out)
{
	struct spool_reader *r = spool_reader_new(daemon_spool(s->daemon));
	buf_reset(out);
	picture_of(r, span_str(step->word[0]), out);
	spool_reader_free(&r);
	return span_eq(buf_span(out), span_str(step->text));
}

static void
check_mailboxes(struct stage *s, const struct step *step)
{
	struct buf now;
	buf_init(&now, 0);
	stage_settle(s);
	if (!is_as(s, step, &now))
		stage_fail(
		    s, step->line, "the mailboxes are: %.*s", SPAN_ARG(buf_span(&now)));
	buf_clear(&now);
}

static void
plan(struct stage *s, const struct step *step)
{
	s->ledger->dying = step->kind != STEP_FAIL;
	if (step->kind == STEP_CRASH) {
		fault_plan_bytes(FAULT_CRASH, step->word[0], step->text);
		return;
	}
	fault_plan(step->kind == STEP_DIE ? FAULT_DIE : FAULT_FAIL, step->text, step->n);
	fault_plan_times(step->times);
}

/* As after a backup that did not have them. */
static void
lose(struct stage *s, const struct step *step)
{
	for (size_t i = 0; i < step->words; i++) {
		struct buf path;
		buf_init(&path, 0);
		buf_addf(&path, "%s/spool/%s", s->dir, step->word[i]);
		char *name = buf_take(&path);
		if (unlink(name) != 0)
			stage_fail(s, step->line, "%s cannot be removed", name);
		mem_free(&name);
	}
}

static void
stop(struct stage *s, struct cast *c)
{
	stage_drain(s);
	cast_hang_up(c);
	stage_stop(s);
}

static void
restart(struct stage *s, struct cast *c, const struct step *step)
{
	if (s->ledger->dying)
		stage_fail(s, step->line, "the planned death did not come");
	stop(s, c);
	stage_start(s);
}

static void
play_step(struct stage *s, struct cast *c, struct step *step)
{
	switch (step->kind) {
	case STEP_DNS: set_dns(s, step); break;
	case STEP_PLAY: cast_play(c, step); break;
	case STEP_PASS: stage_pass(s, step->ms); break;
	case STEP_CLOCK: s->ledger->wall_ms += step->ms; break;
	case STEP_REFUSE:
	case STEP_SILENT:
	case STEP_ACCEPT: set_doors(s, step); break;
	case STEP_LOG:
		if (!stage_log(s, step))
			stage_fail(s, step->line, "the log has no such line");
		break;
	case STEP_NOLOG: stage_no_log(s, step); break;
	case STEP_SPOOL: check_spool(s, step); break;
	case STEP_MAILBOXES: check_mailboxes(s, step); break;
	case STEP_RELOAD: reload(s, step); break;
	case STEP_LOSE: lose(s, step); break;
	case STEP_STOP: stop(s, c); break;
	case STEP_START: stage_start(s); break;
	case STEP_RESTART: restart(s, c, step); break;
	case STEP_DIE:
	case STEP_CRASH:
	case STEP_FAIL: plan(s, step); break;
	}
}

/* ---- a child */

/* What earlier steps have set, without playing them. */
static void
catch_up(struct stage *s, size_t to)
{
	for (size_t i = 0; i < to; i++) {
		struct step *step = &s->script->step[i];
		for (size_t k = 0; k < step->parts; k++)
			step->part[k].attached = true;
		if (step->kind == STEP_DNS)
			set_dns(s, step);
		if (step->kind == STEP_REFUSE || step->kind == STEP_SILENT ||
		    step->kind == STEP_ACCEPT)
			set_doors(s, step);
		if (step->kind == STEP_RELOAD && !step->wrong)
			stage_write_config(s, step->text);
	}
}

static void
finish(struct stage *s, struct cast *c)
{
	cast_free(&c);
	if (s->daemon != NULL) {
		stage_settle(s);
		(void)stage_spool(s, s->script->step[s->step - 1].line);
		stage_stop(s);
	}
	stage_unexpected(s);
	stage_free(&s);
}

/* From step `from` on; a restart at `from` is the one after a death. */
static int
play_talk(struct talk *t, size_t from)
{
	struct stage *s = stage_new(t->script, t->ledger, t->dir, t->verbose);
	struct cast *c = cast_new(s);
	s->step = from;
	catch_up(s, from);
	stage_start(s);
	for (s->step = from ? from + 1 : 0; s->step < s->script->steps; s->step++) {
		t->ledger->step = s->step;
		play_step(s, c, &s->script->step[s->step]);
	}
	if (t->ledger->dying)
		stage_fail(s, s->script->step[s->step - 1].line,
		    "the planned death did not come");
	t->ledger->faults = fault_passes();
	finish(s, c);
	return 0;
}

/* The picture that was seen last, or the one that comes next: each command between two
 * of them is done, or was never begun. */
static void
check_pictures(struct stage *s)
{
	const struct script *x = s->script;
	size_t last = s->step, next = last;
	struct buf now;
	while (last > 0 && x->step[last - 1].kind != STEP_MAILBOXES)
		last--;
	if (last == 0)
		return;
	while (next < x->steps && x->step[next].kind != STEP_MAILBOXES)
		next++;
	buf_init(&now, 0);
	if (!is_as(s, &x->step[last - 1], &now) &&
	    (next == x->steps || !is_as(s, &x->step[next], &now)))
		stage_fail(s, x->step[last - 1].line,
		    "neither this nor what comes next: the mailboxes are %.*s",
		    SPAN_ARG(buf_span(&now)));
	buf_clear(&now);
}

/* After a death in a crash run: is everything there, and does it go out? */
static int
recover(struct talk *t)
{
	struct stage *s = stage_new(t->script, t->ledger, t->dir, t->verbose);
	struct buf why;
	buf_init(&why, 0);
	s->step = s->script->steps;
	catch_up(s, s->step);
	s->recovering = true;
	stage_start(s);
	s->step = t->ledger->step;
	check_pictures(s);
	s->step = s->script->steps;
	(void)stage_spool(s, 0);
	struct spool_reader *r = spool_reader_new(daemon_spool(s->daemon));
	if (!ledger_check(t->ledger, r, &why))
		stage_fail(s, 0, "%.*s", SPAN_ARG(buf_span(&why)));
	stage_recover(s);
	if (!ledger_check(t->ledger, r, &why))
		stage_fail(s, 0, "later: %.*s", SPAN_ARG(buf_span(&why)));
	spool_reader_free(&r);
	stage_stop(s);
	stage_free(&s);
	buf_clear(&why);
	return 0;
}

struct act {
	int (*run)(struct talk *t, size_t from);
	size_t from;
	enum fault_what what; /* in a crash run: at the n-th pass of any fault */
	unsigned long n, times;
};

static int
run_recover(struct talk *t, size_t from)
{
	(void)from;
	return recover(t);
}

/* Run it in a child; its exit status, or -1 if a signal ended it. */
static int
in_child(struct talk *t, const struct act *act)
{
	(void)fflush(stdout);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		(void)alarm(PATIENCE_S);
		fault_plan(act->what, NULL, act->n);
		if (act->times > 0)
			fault_plan_times(act->times);
		int status = act->run(t, act->from);
		(void)fflush(stdout);
		exit(status); /* not _exit: leaks are looked for */
	}
	int status = 0;
	CHECK(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	if (WTERMSIG(status) == SIGABRT && t->ledger->dying)
		return FAULT_EXIT; /* crash at */
	printf("%s: the process was ended by signal %d\n", t->script->path,
	    WTERMSIG(status));
	return -1;
}

/* ---- a talk */

static void
fresh_dir(struct talk *t)
{
	const char *below = getenv("TMPDIR");
	(void)snprintf(t->dir, sizeof(t->dir), "%s/talk.XXXXXX",
	    below != NULL && *below != '\0' && strlen(below) < 40 ? below : "/tmp");
	CHECK(mkdtemp(t->dir) != NULL);
}

static void
remove_dir(struct talk *t)
{
	tree_remove(t->dir);
}

/* The restart behind the step that a process died in; steps if there is none. */
static size_t
next_restart(const struct script *s, size_t from)
{
	while (from < s->steps && s->step[from].kind != STEP_RESTART)
		from++;
	return from;
}

static bool
run_once(struct talk *t)
{
	struct act act = {.run = play_talk};
	ledger_reset(t->ledger);
	for (;;) {
		int status = in_child(t, &act);
		if (status != FAULT_EXIT || !t->ledger->dying) {
			if (status != 0 && status != 1)
				printf("%s: it ended with status %d near line %u\n",
				    t->script->path, status,
				    t->script->step[t->ledger->step].line);
			return status == 0;
		}
		t->ledger->dying = false;
		act.from = next_restart(t->script, t->ledger->step);
		if (act.from == t->script->steps) {
			printf("%s: it died, and no restart follows\n", t->script->path);
			return false;
		}
	}
}

static bool
run_once_in_dir(struct talk *t)
{
	fresh_dir(t);
	bool ok = run_once(t);
	remove_dir(t);
	return ok;
}

/* A talk that plans its own deaths expects them; in a crash run it is played as ever. */
static bool
plans_deaths(const struct script *s)
{
	for (size_t i = 0; i < s->steps; i++)
		if (s->step[i].kind == STEP_DIE || s->step[i].kind == STEP_FAIL ||
		    s->step[i].kind == STEP_CRASH)
			return true;
	return false;
}

/* So often the writer tries to commit on a full disk until it refuses notices. */
#define FULL_TIMES 3

struct crash {
	enum fault_what what;
	unsigned long times;
	const char *word;
};

/*
 * One run that dies, or in which a call fails, at the n-th pass; then the check.
 * *over: the run came to its end without meeting the n-th pass.
 */
static bool
strike(struct talk *t, const struct crash *how, unsigned long n, bool *over)
{
	enum fault_what what = how->what;
	struct act play = {.run = play_talk, .what = what, .n = n, .times = how->times};
	struct act again = {.run = run_recover};
	ledger_reset(t->ledger);
	t->ledger->marks = true;
	t->ledger->failing = what == FAULT_FAIL;
	fresh_dir(t);
	int status = in_child(t, &play);
	bool failing = t->ledger->failing;
	t->ledger->failing = false;
	*over = what == FAULT_DIE ? status != FAULT_EXIT : t->ledger->faults < n;
	if (status == FAULT_EXIT || (failing && (status == 0 || status == 1)))
		status = in_child(t, &again);
	remove_dir(t);
	if (status != 0)
		printf("%s: failed when %s at fault pass %lu\n", t->script->path,
		    how->word, n);
	return status == 0;
}

static bool
run_crash(struct talk *t)
{
	static const struct crash hows[] = {{FAULT_DIE, 1, "dying"},
	    {FAULT_FAIL, 1, "a call fails"},
	    {FAULT_FAIL, FULL_TIMES, "a call fails thrice"}};
	unsigned long points[COUNT_OF(hows)];
	if (plans_deaths(t->script))
		return run_once_in_dir(t);
	for (size_t i = 0; i < COUNT_OF(hows); i++) {
		bool over = false;
		for (unsigned long n = 1; !over; n += t->every) {
			if (!strike(t, &hows[i], n, &over))
				return false;
			points[i] = n / t->every;
		}
	}
	points[1] += points[2];
	printf("%s: %lu deaths, %lu failures\n", t->script->path, points[0], points[1]);
	atomic_fetch_add(&t->tally->deaths, points[0]);
	atomic_fetch_add(&t->tally->failures, points[1]);
	return true;
}

static bool
run_file(struct talk *t, const char *path, bool crash)
{
	t->script = script_read(path);
	if (t->script == NULL)
		return false;
	t->ledger = ledger_new();
	bool ok = crash ? run_crash(t) : run_once_in_dir(t);
	ledger_free(&t->ledger);
	script_free(&t->script);
	return ok;
}

/* ---- workers side by side */

/* Memory of all processes that are forked from here on. */
static void *
shared(size_t size)
{
	void *p =
	    mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	return p;
}

static void
work(struct talk *t, bool crash, char **file, int files)
{
	for (int i; (i = atomic_fetch_add(&t->tally->next, 1)) < files;) {
		bool ok = run_file(t, file[i], crash);
		atomic_fetch_add(ok ? &t->tally->passed : &t->tally->failed, 1);
		(void)fflush(stdout);
	}
}

/* A worker that is ended counts as a talk that failed. */
static void
work_side_by_side(
    struct talk *t, bool crash, char **file, int files, unsigned long workers)
{
	int status;
	(void)fflush(stdout);
	for (unsigned long i = 0; i < workers; i++) {
		pid_t pid = fork();
		CHECK(pid >= 0);
		if (pid > 0)
			continue;
		work(t, crash, file, files);
		exit(0); /* not _exit: leaks are looked for */
	}
	while (wait(&status) > 0)
		if (status != 0)
			atomic_fetch_add(&t->tally->failed, 1);
}

static int
run_files(struct talk *t, bool crash, char **file, int files, unsigned long workers)
{
	t->tally = shared(sizeof(*t->tally));
	if (workers == 1)
		work(t, crash, file, files);
	else
		work_side_by_side(t, crash, file, files, workers);
	int failed = atomic_load(&t->tally->failed);
	if (crash)
		printf("%lu deaths, %lu failures in %d talks, losses %s\n",
		    atomic_load(&t->tally->deaths), atomic_load(&t->tally->failures),
		    atomic_load(&t->tally->passed),
		    failed > 0 ? "or defects: above" : "0");
	printf("%d passed, %d failed\n", atomic_load(&t->tally->passed), failed);
	CHECK(munmap(t->tally, sizeof(*t->tally)) == 0);
	return failed > 0;
}

int
main(int argc, char **argv)
{
	struct talk t = {.every = 1};
	bool crash = false;
	unsigned long workers = 1;
	int i = 1;
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "-v") == 0)
			t.verbose = true;
		else if (strcmp(argv[i], "--crash") == 0)
			crash = true;
		else if (strncmp(argv[i], "--every=", 8) == 0)
			t.every = strtoul(argv[i] + 8, NULL, 10);
		else if (strcmp(argv[i], "-j") == 0 && i + 1 < argc)
			workers = strtoul(argv[++i], NULL, 10);
		else
			i = argc;
	}
	if (i >= argc || t.every == 0 || workers == 0 || workers > 64) {
		(void)fprintf(
		    stderr, "usage: talk [-v] [-j N] [--crash [--every=N]] FILES...\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
	CHECK(setenv("RELAY_TEST_NOSYNC", "1", 1) == 0 && setenv("TZ", "UTC", 1) == 0);
	/* What this machine trusts is of no interest here, and reading it is most of a
	 * talk. */
	CHECK(setenv("SSL_CERT_FILE", "/dev/null", 1) == 0 &&
	      setenv("SSL_CERT_DIR", "/dev/null", 1) == 0);
	return run_files(&t, crash, argv + i, argc - i, workers);
}
