/* SPDX-License-Identifier: ISC */
/*
 * power - cuts the power at every moment of a recorded life of the spool.
 *
 *	power [--seed N] [--cuts N] [--random N] [--batches N] [--jobs N]
 *	      [--plant NAME]...
 *	power --self-test      each planted bug must be found, and nothing without one
 *	power --only POSITION:STATE --seed N    one state again, which stays for a look
 *	power --recorded STREAM    that of a relayd (daemon.py), not of lives of its own
 *
 * A life (story.c) is played by other processes under the shim, which records what they
 * write (stream.h); then the disk (disk.c) is asked, behind each record, for what it may
 * hold: everything, what is flushed, and so many random states in between.  Each is
 * judged by the oracle.  Lives follow each other with seeds that rise by one until there
 * were enough cuts.  All is repeated by the same seed.
 *
 * Plants: early (acknowledged before the commit), no-meta-sync, no-sync (LMDB's flags),
 * file-sync, dir-sync (flushes that are left out); late-marks, late-removals: how
 * acknowledgements behind the next batch's flush would do.
 */
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
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
#include "tests/power/disk.h"
#include "tests/power/oracle.h"
#include "tests/power/story.h"

#define PHASES 6          /* processes of one life; every other one is killed */
#define BATCHES 12        /* of one process, unless it is killed before */
#define CRASHES_MAX 5     /* of judges: that is enough to see */
#define MORE_EVERY 16     /* states that also take mail and go on */
#define BIRTH_RANDOM 40   /* states of a cut before the spool is there: they are few */
#define SEARCH_CUTS 50000 /* at most, until a planted bug is found */
#define TOLD_MAX 5        /* findings of one judge */
#define PROGRESS 5000     /* cuts, from word to word */
#define JOBS_MAX 16

struct plant {
	const char *name;
	bool early, late_marks, late_removals;
	const char *variable, *value; /* environment of the life */
};

static const struct plant plants[] = {
    {.name = "early", .early = true},
    {.name = "no-meta-sync", .variable = "RELAY_TEST_NOMETASYNC", .value = "1"},
    {.name = "no-sync", .variable = "RELAY_TEST_NOSYNC", .value = "1"},
    {.name = "file-sync", .variable = "STREAM_SKIP", .value = "file-sync"},
    {.name = "dir-sync", .variable = "STREAM_SKIP", .value = "dir-sync"},
    {.name = "late-marks", .late_marks = true},
    {.name = "late-removals", .late_removals = true},
};

struct tally {
	uint64_t cuts, lost, damaged, duplicates;
};

/* What a judge shares with its parent. */
struct progress {
	struct tally tally;
	uint64_t state; /* that is being judged */
	uint64_t position;
	unsigned which;
};

struct power {
	const struct plant *plant[COUNT_OF(plants)];
	size_t planted;
	uint64_t seed, cuts;
	unsigned random, jobs, batches;
	bool stop_at_first, quiet;
	uint64_t only_position;
	int only_which;       /* -1: all */
	const char *recorded; /* a stream that is there already; NULL: lives are played */
	char self[1024], work[64], root[96], stream[1024];
	struct progress *progress; /* of each job */
};

/* ---- recording */

static int
remove_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	(void)st, (void)what, (void)ftw;
	return remove(path);
}

static void
remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* All that is planted, in one. */
static struct plant
all_plants(const struct power *p)
{
	struct plant sum = {0};
	for (size_t i = 0; i < p->planted; i++) {
		sum.early = sum.early || p->plant[i]->early;
		sum.late_marks = sum.late_marks || p->plant[i]->late_marks;
		sum.late_removals = sum.late_removals || p->plant[i]->late_removals;
	}
	return sum;
}

/* The process to be recorded: this program again, behind the shim. */
static void
become_life(struct power *p, uint64_t seed, unsigned phase)
{
	char shim[1100], number[4][24];
	unsigned long dies = phase % 2 == 0 && phase + 1 < PHASES
				 ? 1 + (unsigned long)((seed * 31 + phase * 17) % 160)
				 : 0;
	(void)snprintf(shim, sizeof(shim), "%s-shim.so", p->self);
	(void)snprintf(number[0], sizeof(number[0]), "%llu", (unsigned long long)seed);
	(void)snprintf(number[1], sizeof(number[1]), "%u", phase);
	(void)snprintf(number[2], sizeof(number[2]), "%lu", dies);
	(void)snprintf(number[3], sizeof(number[3]), "%u", p->batches);
	CHECK(setenv("LD_PRELOAD", shim, 1) == 0);
	CHECK(setenv("STREAM_FILE", p->stream, 1) == 0);
	CHECK(setenv("STREAM_ROOT", p->root, 1) == 0);
	for (size_t i = 0; i < p->planted; i++)
		if (p->plant[i]->variable != NULL)
			CHECK(setenv(p->plant[i]->variable, p->plant[i]->value, 1) == 0);
	(void)execl(p->self, p->self, "--play", number[0], number[1], number[2],
	    number[3], all_plants(p).early ? "1" : "0", p->root, p->stream, (char *)NULL);
	_exit(127);
}

static bool
record(struct power *p, uint64_t seed)
{
	(void)unlink(p->stream);
	remove_tree(p->root);
	CHECK(mkdir(p->root, 0700) == 0);
	for (unsigned phase = 0; phase < PHASES; phase++) {
		int status;
		(void)fflush(stdout);
		pid_t pid = fork();
		CHECK(pid >= 0);
		if (pid == 0)
			become_life(p, seed, phase);
		CHECK(waitpid(pid, &status, 0) == pid);
		if (!WIFEXITED(status) ||
		    (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != FAULT_EXIT)) {
			printf("power: the life with seed %llu ended with status %d\n",
			    (unsigned long long)seed, status);
			return false;
		}
	}
	return true;
}

/* "--play SEED PHASE DIES BATCHES EARLY ROOT STREAM" */
static int
play(char **argv)
{
	const struct story_options o = {
	    .seed = strtoull(argv[0], NULL, 10),
	    .phase = (unsigned)strtoul(argv[1], NULL, 10),
	    .dies = strtoul(argv[2], NULL, 10),
	    .batches = (unsigned)strtoul(argv[3], NULL, 10),
	    .early = argv[4][0] == '1',
	    .root = argv[5],
	    .stream = argv[6],
	};
	return story_play(&o);
}

/* ---- a judge */

struct judge {
	struct power *power;
	struct disk *disk;
	struct oracle oracle;
	struct progress *out;
	uint64_t seed, state, after; /* states up to `after` are judged already */
	uint64_t delivers;           /* the batch under way that delivers; 0: none */
	unsigned job;
	char dir[96], spool[104];
};

static void
take_mark(struct judge *j, const struct stream_head *h)
{
	struct oracle *o = &j->oracle;
	switch ((enum story_mark)h->ino) {
	case STORY_DONE:
		o->done = h->at;
		o->opened = true;
		j->delivers = 0;
		break;
	case STORY_DELIVERS:
		j->delivers = h->at;
		o->begun = h->at;
		break;
	case STORY_BEGUN: o->begun = h->at; break;
	case STORY_ACCOUNT: o->account = h->at; break;
	case STORY_ACCOUNT_BEGUN: o->account_begun = h->at; break;
	case STORY_HELD:
		oracle_held(o, h->at);
		o->opened = true;
		break;
	}
}

static void
say(struct judge *j, unsigned which, const struct buf *why)
{
	if (!j->power->quiet && j->out->tally.lost + j->out->tally.damaged <= TOLD_MAX)
		printf("power: seed %llu, record %llu, state %u: %.*s\n"
		       "  again: power --batches %u --seed %llu --only %llu:%u\n",
		    (unsigned long long)j->seed,
		    (unsigned long long)disk_position(j->disk), which,
		    SPAN_ARG(buf_span(why)), j->power->batches,
		    (unsigned long long)j->seed,
		    (unsigned long long)disk_position(j->disk), which);
	(void)fflush(stdout);
}

/* which: 0 everything, 1 what is flushed, 2... random */
static void
make_state(struct judge *j, unsigned which)
{
	static const enum disk_choice how[] = {DISK_ALL, DISK_NONE};
	uint64_t dice =
	    j->seed * UINT64_C(1000003) + disk_position(j->disk) * UINT64_C(7919) + which;
	disk_make(j->disk, which < 2 ? how[which] : DISK_RANDOM, dice, j->dir);
}

static void
judge_state(struct judge *j, unsigned which)
{
	struct tally *t = &j->out->tally;
	struct buf why;
	uint64_t number;
	buf_init(&why, 4000);
	j->out->position = disk_position(j->disk);
	j->out->which = which;
	j->out->state = j->state;
	make_state(j, which);
	enum oracle_finding f =
	    oracle_judge(&j->oracle, j->spool, j->state % MORE_EVERY == 0, &number, &why);
	t->cuts++;
	t->lost += f == ORACLE_LOST;
	t->damaged += f == ORACLE_DAMAGED;
	t->duplicates += f == ORACLE_GOOD && number < j->delivers;
	if (f != ORACLE_GOOD)
		say(j, which, &why);
	buf_clear(&why);
}

static bool
is_mine(const struct judge *j, unsigned which)
{
	const struct power *p = j->power;
	if (p->only_which >= 0)
		return p->only_position == disk_position(j->disk) &&
		       (unsigned)p->only_which == which;
	return j->state % p->jobs == j->job && j->state > j->after;
}

/* The states behind one record. */
static void
judge_cut(struct judge *j)
{
	unsigned born = j->power->recorded != NULL ? BIRTH_RANDOM / 4 : BIRTH_RANDOM;
	unsigned random = j->oracle.opened ? j->power->random : born;
	unsigned n = disk_pending(j->disk) ? 2 + random : 1;
	for (unsigned which = 0; which < n; which++) {
		j->state++;
		if (is_mine(j, which))
			judge_state(j, which);
		if (j->power->stop_at_first &&
		    j->out->tally.lost + j->out->tally.damaged > 0)
			return;
	}
}

static void
walk(struct judge *j)
{
	struct stream_head h;
	while (disk_step(j->disk, &h)) {
		if (h.kind == STREAM_MARK)
			take_mark(j, &h);
		if (disk_committed(j->disk)) {
			make_state(j, 0);
			oracle_committed(&j->oracle, j->spool);
		}
		/* what begins changes nothing */
		if (h.kind != STREAM_MARK || h.ino == STORY_DONE ||
		    h.ino == STORY_ACCOUNT)
			judge_cut(j);
		if (j->power->stop_at_first &&
		    j->out->tally.lost + j->out->tally.damaged > 0)
			return;
	}
}

static void
become_judge(struct power *p, uint64_t seed, unsigned job, uint64_t after)
{
	const struct plant sum = all_plants(p);
	const struct disk_order order = {sum.late_marks, sum.late_removals};
	struct judge j = {.power = p,
	    .oracle = {.begun = p->recorded != NULL ? UINT64_MAX : 0},
	    .out = &p->progress[job],
	    .seed = seed,
	    .after = after,
	    .job = job};
	(void)snprintf(j.dir, sizeof(j.dir), "%s/%u", p->work, job);
	(void)snprintf(j.spool, sizeof(j.spool), "%s/spool", j.dir);
	(void)mkdir(j.dir, 0700);
	fault_plan(FAULT_NONE, NULL, 0);
	j.disk = disk_open(p->stream, &order);
	walk(&j);
	disk_free(&j.disk);
	_exit(0);
}

/* ---- all judges of a life */

static pid_t
start_judge(struct power *p, uint64_t seed, unsigned job, uint64_t after)
{
	(void)fflush(stdout);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		become_judge(p, seed, job, after);
	return pid;
}

/* A judge that a state has killed is one more finding; the next goes on behind it. */
static bool
crashed(struct power *p, uint64_t seed, unsigned job, int status)
{
	struct progress *g = &p->progress[job];
	g->tally.cuts++;
	g->tally.damaged++;
	if (!p->quiet)
		printf("power: seed %llu, record %llu, state %u: the process ended with "
		       "status %d\n",
		    (unsigned long long)seed, (unsigned long long)g->position, g->which,
		    status);
	return g->tally.damaged < CRASHES_MAX && !p->stop_at_first;
}

static void
judge_life(struct power *p, uint64_t seed, struct tally *sum)
{
	pid_t pid[JOBS_MAX];
	memset(p->progress, 0, JOBS_MAX * sizeof(*p->progress));
	for (unsigned i = 0; i < p->jobs; i++)
		pid[i] = start_judge(p, seed, i, 0);
	for (unsigned i = 0; i < p->jobs; i++) {
		int status;
		CHECK(waitpid(pid[i], &status, 0) == pid[i]);
		if (status != 0 && crashed(p, seed, i, status)) {
			pid[i] = start_judge(p, seed, i, p->progress[i].state);
			i--;
		}
	}
	for (unsigned i = 0; i < p->jobs; i++) {
		const struct tally *t = &p->progress[i].tally;
		sum->cuts += t->cuts;
		sum->lost += t->lost;
		sum->damaged += t->damaged;
		sum->duplicates += t->duplicates;
	}
}

/* Lives until there were enough cuts. False: one could not be played. */
static bool
run(struct power *p, struct tally *sum)
{
	*sum = (struct tally){0};
	if (p->recorded != NULL) {
		judge_life(p, p->seed, sum);
		return true;
	}
	for (uint64_t seed = p->seed; sum->cuts < p->cuts; seed++) {
		if (!record(p, seed))
			return false;
		unsigned long long before = sum->cuts;
		judge_life(p, seed, sum);
		if (before / PROGRESS != sum->cuts / PROGRESS && sum->cuts < p->cuts)
			(void)fprintf(stderr, "power: %llu of %llu cuts, %llu lost\n",
			    (unsigned long long)sum->cuts, (unsigned long long)p->cuts,
			    (unsigned long long)sum->lost);
		if (p->only_which >= 0 ||
		    (p->stop_at_first && sum->lost + sum->damaged > 0))
			break;
	}
	return true;
}

/* ---- the test of the test */

static bool
plant(struct power *p, const char *name)
{
	for (size_t i = 0; i < COUNT_OF(plants); i++) {
		if (strcmp(plants[i].name, name) != 0 || p->planted == COUNT_OF(plants))
			continue;
		p->plant[p->planted++] = &plants[i];
		return true;
	}
	return false;
}

struct trial {
	const char *plant[3];
	bool bad;         /* must be found */
	unsigned batches; /* at least: a short life has little of it */
};

static const struct trial trials[] = {
    {{"early"}, true, 0},
    {{"no-meta-sync"}, true, 0},
    {{"no-sync"}, true, 0},
    {{"file-sync"}, true, 0},
    {{"dir-sync"}, true, 0},
    {{"no-meta-sync", "late-marks"}, true, 12}, /* files go before the word does */
    {{"no-meta-sync", "late-marks", "late-removals"}, false, 0},
};

static int
self_test(struct power *p)
{
	int passed = 0, failed = 0;
	const uint64_t cuts = p->cuts;
	const unsigned batches = p->batches;
	for (size_t i = 0; i < COUNT_OF(trials); i++) {
		const struct trial *t = &trials[i];
		struct tally sum;
		char name[80] = "";
		p->planted = 0;
		for (size_t k = 0; k < COUNT_OF(t->plant) && t->plant[k] != NULL; k++) {
			CHECK(plant(p, t->plant[k]));
			(void)snprintf(name + strlen(name), sizeof(name) - strlen(name),
			    "%s%s", k ? ", " : "", t->plant[k]);
		}
		p->stop_at_first = p->quiet = t->bad;
		p->batches = batches > t->batches ? batches : t->batches;
		p->cuts = t->bad ? SEARCH_CUTS : cuts;
		bool played = run(p, &sum);
		bool ok = played && (sum.lost + sum.damaged > 0) == t->bad;
		printf("power: %s: %s after %llu cuts (lost %llu, damaged %llu)%s\n",
		    name, sum.lost + sum.damaged > 0 ? "found" : "nothing found",
		    (unsigned long long)sum.cuts, (unsigned long long)sum.lost,
		    (unsigned long long)sum.damaged, ok ? "" : ": NOT AS IT MUST BE");
		passed += ok;
		failed += !ok;
	}
	printf("%d passed, %d failed\n", passed, failed);
	return failed > 0;
}

/* ---- the program */

static void
place(struct power *p)
{
	ssize_t n = readlink("/proc/self/exe", p->self, sizeof(p->self) - 1);
	CHECK(n > 0);
	p->self[n] = '\0';
	(void)snprintf(p->work, sizeof(p->work), "%s/power.XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	CHECK(mkdtemp(p->work) != NULL);
	(void)snprintf(p->root, sizeof(p->root), "%s/root", p->work);
	(void)snprintf(p->stream, sizeof(p->stream), "%s/stream", p->work);
	p->progress = mmap(NULL, JOBS_MAX * sizeof(*p->progress), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(p->progress != MAP_FAILED);
}

static int
usage(void)
{
	(void)fprintf(stderr,
	    "usage: power [--seed N] [--cuts N] [--random N] [--batches N] "
	    "[--jobs N] [--plant NAME]... [--only POSITION:STATE] "
	    "[--self-test]\n");
	return 2;
}

static bool
parse(struct power *p, int argc, char **argv, bool *test)
{
	static const struct option longs[] = {{"seed", required_argument, NULL, 's'},
	    {"cuts", required_argument, NULL, 'c'},
	    {"random", required_argument, NULL, 'r'},
	    {"batches", required_argument, NULL, 'b'},
	    {"jobs", required_argument, NULL, 'j'},
	    {"plant", required_argument, NULL, 'p'},
	    {"only", required_argument, NULL, 'o'},
	    {"recorded", required_argument, NULL, 'R'},
	    {"self-test", no_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
	int c;
	char *end;
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 's': p->seed = strtoull(optarg, NULL, 10); break;
		case 'c': p->cuts = strtoull(optarg, NULL, 10); break;
		case 'r': p->random = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'b': p->batches = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'j': p->jobs = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'o':
			p->only_position = strtoull(optarg, &end, 10);
			p->only_which = *end == ':' ? (int)strtol(end + 1, NULL, 10) : 0;
			p->jobs = 1;
			break;
		case 'p':
			if (!plant(p, optarg))
				return false;
			break;
		case 'R': p->recorded = optarg; break;
		case 't': *test = true; break;
		default: return false;
		}
	}
	return p->jobs > 0 && p->jobs <= JOBS_MAX && optind == argc;
}

static int
report(const struct power *p, bool played, const struct tally *t)
{
	bool good = played && t->lost + t->damaged == 0;
	printf(
	    "power: %llu cuts, losses %llu, damaged %llu, duplicates %llu (seed %llu)\n",
	    (unsigned long long)t->cuts, (unsigned long long)t->lost,
	    (unsigned long long)t->damaged, (unsigned long long)t->duplicates,
	    (unsigned long long)p->seed);
	printf("%llu passed, %llu failed\n",
	    (unsigned long long)(t->cuts - t->lost - t->damaged),
	    (unsigned long long)(t->lost + t->damaged + !played));
	return good ? 0 : 1;
}

int
main(int argc, char **argv)
{
	struct power p = {.seed = 1,
	    .cuts = 2000,
	    .random = 2,
	    .jobs = 2,
	    .batches = BATCHES,
	    .only_which = -1};
	struct tally sum;
	bool test = false;
	int status;
	if (argc == 9 && strcmp(argv[1], "--play") == 0)
		return play(argv + 2);
	if (!parse(&p, argc, argv, &test))
		return usage();
	place(&p);
	if (p.recorded != NULL)
		(void)snprintf(p.stream, sizeof(p.stream), "%s", p.recorded);
	if (test)
		status = self_test(&p);
	else
		status = report(&p, run(&p, &sum), &sum);
	if (p.only_which >= 0)
		printf("the state is in %s/0\n", p.work);
	else
		remove_tree(p.work);
	return status;
}
