/* SPDX-License-Identifier: ISC */
/*
 * flips - bits of a spool turn over, and what is there is named or read as it was.
 *
 *	flips [--seed N] [--rounds N] [--only ROUND] [--self-test]
 *
 * A life of the spool is played (tests/power/story.c: waiting mail, large files,
 * mailboxes with folders, pages that are free again).  In each round one bit, or up to
 * eight, which the seed chooses, are turned over: in the database anywhere, in the heads
 * of its pages, or in a content file.  The real spool code then opens it as `relayctl
 * spool check` does, checks it, and reads all there is.  A round is good if
 *
 *	- nothing crashes, hangs, or is found by a sanitizer;
 *	- all that is read is what was stored, octet for octet;
 *	- whatever cannot be read, or is missing, has been told: it does not open, and
 *says why, or the check names a violation.
 *
 * --self-test: without the look at the pages something crashes, and where the check is
 * not listened to something is missing without a word.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "spool/mailbox.h"
#include "tests/lib/tree.h"
#include "tests/power/story.h"

#define FILES_MAX 400
#define FACTS_MAX 4000
#define PAGE 4096
#define PATIENCE_S 20
#define BITS_MAX 8
#define WORDS 4000

/* ---- what a spool holds: a line for each message and mail */

struct fact {
	char key[400];
	uint32_t crc;
	bool seen;
};

struct facts {
	struct fact *fact;
	size_t n;
};

static void
add_fact(struct facts *f, const char *key, uint32_t crc)
{
	CHECK(f->n < FACTS_MAX);
	(void)snprintf(f->fact[f->n].key, sizeof(f->fact[f->n].key), "%s", key);
	f->fact[f->n].seen = false;
	f->fact[f->n++].crc = crc;
}

static uint32_t
crc_span(uint32_t crc, struct span s)
{
	return crc32c(crc32c(crc, (const char *)&s.n, sizeof(s.n)), s.p, s.n);
}

/* Header fields and content, as they are sent. */
static bool
crc_message(const struct message *m, uint32_t *crc)
{
	char chunk[16u << 10];
	uint64_t at = 0;
	size_t n = 1;
	*crc = crc_span(crc_span(*crc, m->sender), m->prefix);
	while (n > 0) {
		if (content_read(m->content, at, chunk, sizeof(chunk), &n) != OK)
			return false;
		*crc = crc32c(*crc, chunk, n);
		at += n;
	}
	return true;
}

static void
read_message(struct spool_reader *r, uint64_t id, struct facts *out)
{
	struct message *m = NULL;
	char key[400], text[SPOOL_ID_LEN + 1];
	uint32_t crc = 0;
	if (spool_read_message(r, id, true, &m) != OK)
		return;
	spool_id_format(id, text);
	if (crc_message(m, &crc)) {
		(void)snprintf(key, sizeof(key), "message %s", text);
		add_fact(out, key, crc);
	}
	for (size_t i = 0; i < m->rcpts; i++) {
		const struct recipient *x = &m->rcpt[i];
		if (x->address.n == 0) /* its record is damaged, and it is set aside */
			continue;
		(void)snprintf(
		    key, sizeof(key), "recipient %s %.*s", text, SPAN_ARG(x->address));
		/* where it goes is found anew from its address (delivery.c) */
		add_fact(out, key, crc32c(0, (const char *)&x->due, sizeof(x->due)));
	}
	message_unref(&m);
}

static void
read_queue(struct spool_reader *r, struct facts *out)
{
	struct message *m[50];
	uint64_t after = 0;
	size_t n = COUNT_OF(m);
	while (
	    n == COUNT_OF(m) && spool_read_messages(r, after, m, COUNT_OF(m), &n) == OK)
		for (size_t i = 0; i < n; i++) {
			after = m[i]->id;
			message_unref(&m[i]);
			read_message(r, after, out);
		}
}

static void
read_mails(struct spool_reader *r, const char *owner, uint32_t box, struct facts *out)
{
	struct mail_row row[50];
	size_t n = COUNT_OF(row);
	uint32_t after = 0;
	while (n == COUNT_OF(row) &&
	       spool_read_mails(r, box, after, 0, row, COUNT_OF(row), &n) == OK)
		for (size_t i = 0; i < n; i++) {
			struct kept_mail *m = NULL;
			char key[400];
			after = row[i].uid;
			if (spool_read_mail(r, box, after, true, &m) != OK)
				continue;
			uint32_t crc = crc_span(crc_span(0, m->own), m->recipient);
			crc = crc32c(crc, (const char *)&m->row.flags, 4);
			if (crc_message(m->message, &crc)) {
				(void)snprintf(
				    key, sizeof(key), "mail %s %u %u", owner, box, after);
				add_fact(out, key, crc);
			}
			kept_mail_free(&m);
		}
}

static void
read_mailboxes(struct spool_reader *r, struct facts *out)
{
	static struct mailbox_name name[100];
	struct owner_row o = {0};
	while (spool_read_owner(r, span_str(o.name), &o) == OK) {
		size_t n = 0;
		if (spool_read_names(r, span_str(o.name), SPAN(""), name, 100, &n) != OK)
			continue;
		for (size_t i = 0; i < n; i++) {
			char key[400];
			struct mailbox_view box;
			if (name[i].number == 0) /* a mere subscription has no witness */
				continue;
			if (spool_read_mailbox(
				r, span_str(o.name), span_str(name[i].name), &box) != OK)
				continue;
			(void)snprintf(key, sizeof(key), "mailbox %.60s %.200s", o.name,
			    name[i].name);
			add_fact(out, key, box.number);
			read_mails(r, o.name, box.number, out);
		}
	}
}

/* ---- one opening */

struct opening {
	bool hasty, deaf; /* for the self-test */
	struct facts facts;
	struct buf said; /* why it does not open, or what is violated */
	uint64_t found;
	bool open;
};

static void
told(void *arg, const char *sentence)
{
	struct opening *o = arg;
	if (o->said.n < 300)
		buf_addf(&o->said, "%s%s", o->said.n > 0 ? "; " : "", sentence);
}

static void
look(const char *dir, struct opening *o)
{
	struct spool *s;
	struct log *log = log_new(world_real(), 2);
	const struct spool_options so = {.path = dir,
	    .thorough = !o->hasty,
	    .read_only = true,
	    .world = world_real(),
	    .log = log};
	if (spool_open(&s, &so, &o->said) == OK) {
		struct spool_reader *r = spool_reader_new(s);
		o->open = true;
		if (!o->hasty && spool_check(r, told, NULL, o, &o->found) != OK)
			o->found++;
		o->found = o->deaf ? 0 : o->found;
		read_queue(r, &o->facts);
		read_mailboxes(r, &o->facts);
		spool_reader_free(&r);
		spool_close(&s);
	}
	log_free(&log);
}

/* ---- the spool and its files */

struct file {
	char path[300];
	uint64_t size;
};

enum verdict_is { INTACT, NAMED, BAD, DIED, VERDICTS };

static const char *const verdict_text[VERDICTS] = {"intact", "named", "BAD", "DIED"};

struct rig {
	char root[64], dir[80];
	struct file file[FILES_MAX]; /* the first: the database */
	size_t files;
	struct facts facts;
	uint64_t seed, dice;
	bool hasty, deaf, quiet;
	unsigned rounds, is[VERDICTS];
	long only; /* -1: all rounds */
};

static uint64_t
roll(struct rig *g, uint64_t below)
{
	g->dice += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = g->dice;
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

static int
by_path(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

static void
add_files(struct rig *g, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	CHECK(d != NULL);
	while ((e = readdir(d)) != NULL) {
		struct stat st;
		struct file *f = &g->file[g->files];
		char path[300];
		if (e->d_name[0] == '.')
			continue;
		CHECK(g->files < FILES_MAX);
		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		CHECK(stat(path, &st) == 0);
		if (S_ISDIR(st.st_mode)) {
			add_files(g, path);
		} else if (st.st_size > 0) {
			memcpy(f->path, path, sizeof(path));
			f->size = (uint64_t)st.st_size;
			g->files++;
		}
	}
	(void)closedir(d);
}

static void
play_story(const struct rig *g)
{
	char stream[80];
	int status;
	(void)snprintf(stream, sizeof(stream), "%s/stream", g->root);
	const struct story_options so = {
	    .root = g->root, .stream = stream, .seed = g->seed, .batches = 60};
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		_exit(story_play(&so));
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* What the spool holds, and that the check finds nothing while all is well. */
static void
begin(struct rig *g)
{
	struct opening o = {0};
	struct stat st;
	char big[100];
	(void)snprintf(g->root, sizeof(g->root), "%s/relayd-flips.XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	CHECK(mkdtemp(g->root) != NULL);
	(void)snprintf(g->dir, sizeof(g->dir), "%s/spool", g->root);
	play_story(g);
	(void)snprintf(g->file[0].path, sizeof(g->file[0].path), "%s/data.mdb", g->dir);
	CHECK(stat(g->file[0].path, &st) == 0);
	g->file[0].size = (uint64_t)st.st_size;
	g->files = 1;
	(void)snprintf(big, sizeof(big), "%s/big", g->dir);
	add_files(g, big);
	qsort(&g->file[1], g->files - 1, sizeof(g->file[0]), by_path);
	buf_init(&o.said, 64u << 10);
	o.facts.fact = mem_alloc(FACTS_MAX * sizeof(struct fact));
	look(g->dir, &o);
	if (!o.open || o.found > 0)
		(void)fprintf(stderr, "%.*s\n", SPAN_ARG(buf_span(&o.said)));
	CHECK(o.open && o.found == 0 && g->files > 1);
	g->facts = o.facts;
	buf_clear(&o.said);
}

static void
end(struct rig *g)
{
	tree_remove(g->root);
	mem_free(&g->facts.fact);
}

/* ---- bits */

struct flip {
	const char *path;
	uint64_t at;
	unsigned bit;
};

static struct flip
choose(struct rig *g)
{
	const struct file *f = &g->file[0];
	struct flip x = {.bit = (unsigned)roll(g, 8)};
	switch (roll(g, 4)) {
	case 0: x.at = roll(g, f->size / PAGE) * PAGE + roll(g, 64); break;
	case 1:
		f = &g->file[1 + roll(g, g->files - 1)];
		x.at = roll(g, f->size);
		break;
	default: x.at = roll(g, f->size);
	}
	x.path = f->path;
	return x;
}

static void
turn(const struct flip *x)
{
	unsigned char c;
	int fd = open(x->path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0 && pread(fd, &c, 1, (off_t)x->at) == 1);
	c ^= (unsigned char)(1u << x->bit);
	CHECK(pwrite(fd, &c, 1, (off_t)x->at) == 1 && close(fd) == 0);
}

/* ---- a round */

static struct fact *
find(struct facts *f, const char *key)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->fact[i].key, key) == 0)
			return &f->fact[i];
	return NULL;
}

static enum verdict_is
compare(struct facts *want, const struct facts *got, bool named, struct buf *words)
{
	enum verdict_is is = named ? NAMED : INTACT;
	for (size_t i = 0; i < got->n; i++) {
		const struct fact *x = &got->fact[i];
		struct fact *was = find(want, x->key);
		if (was != NULL && was->crc == x->crc) {
			was->seen = true;
		} else if (was != NULL || !named) {
			is = BAD;
			buf_addf(words, "%s %s; ", x->key,
			    was != NULL ? "is another" : "never was");
		}
	}
	for (size_t i = 0; i < want->n && !named; i++)
		if (!want->fact[i].seen) {
			is = BAD;
			buf_addf(words, "%s is missing; ", want->fact[i].key);
		}
	return is;
}

/* In a process of its own. */
static void
judge(struct rig *g, int out)
{
	struct opening o = {.hasty = g->hasty, .deaf = g->deaf};
	struct buf words;
	(void)alarm(PATIENCE_S);
	if (g->quiet && dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2) < 0)
		_exit(DIED);
	buf_init(&words, 256u << 10);
	buf_init(&o.said, 64u << 10);
	o.facts.fact = mem_alloc(FACTS_MAX * sizeof(struct fact));
	look(g->dir, &o);
	enum verdict_is is = compare(&g->facts, &o.facts, !o.open || o.found > 0, &words);
	buf_addf(&words, "%.*s", SPAN_ARG(buf_span(&o.said)));
	(void)!write(out, words.p, words.n < WORDS ? words.n : WORDS);
	buf_clear(&words);
	buf_clear(&o.said);
	mem_free(&o.facts.fact);
	mem_free(&g->facts.fact); /* for whoever looks for leaks */
	exit((int)is);
}

static enum verdict_is
wait_for(pid_t pid, int in, char words[WORDS + 1])
{
	size_t got = 0;
	ssize_t n;
	int status;
	while (got < WORDS && (n = read(in, words + got, WORDS - got)) > 0)
		got += (size_t)n;
	words[got] = '\0';
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) && WEXITSTATUS(status) <= BAD
		   ? (enum verdict_is)WEXITSTATUS(status)
		   : DIED;
}

static void
tell(const struct rig *g, unsigned round, enum verdict_is is, const struct flip *flip,
    size_t n, const char *words)
{
	if (g->only < 0 && (is < BAD || g->quiet))
		return;
	printf("--seed %llu --only %u: %s", (unsigned long long)g->seed, round,
	    verdict_text[is]);
	for (size_t i = 0; i < n; i++)
		printf(", bit %u of %s at %llu (page %llu + %llu)", flip[i].bit,
		    strrchr(flip[i].path, '/') + 1, (unsigned long long)flip[i].at,
		    (unsigned long long)flip[i].at / PAGE,
		    (unsigned long long)flip[i].at % PAGE);
	printf(": %.600s\n", words);
}

static void
play(struct rig *g, unsigned round)
{
	struct flip flip[BITS_MAX];
	char words[WORDS + 1];
	int p[2];
	g->dice = g->seed * 1000003 + round;
	size_t n = roll(g, 2) == 0 ? 1 : 1 + roll(g, BITS_MAX);
	for (size_t i = 0; i < n; i++) {
		flip[i] = choose(g);
		turn(&flip[i]);
	}
	CHECK(pipe(p) == 0);
	(void)fflush(stdout);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		judge(g, p[1]);
	(void)close(p[1]);
	enum verdict_is is = wait_for(pid, p[0], words);
	(void)close(p[0]);
	for (size_t i = n; i-- > 0;)
		turn(&flip[i]);
	g->is[is]++;
	tell(g, round, is, flip, n, words);
}

static void
play_all(struct rig *g)
{
	memset(g->is, 0, sizeof(g->is));
	begin(g);
	if (g->only >= 0)
		play(g, (unsigned)g->only);
	for (unsigned i = 0; g->only < 0 && i < g->rounds; i++)
		play(g, i);
	end(g);
}

/* ---- all */

static bool
self_test(struct rig *g)
{
	g->quiet = true;
	g->hasty = g->deaf = true;
	play_all(g);
	unsigned died = g->is[DIED];
	g->hasty = false;
	play_all(g);
	printf(
	    "self-test: without a look at the pages %u of %u die; where the check is not "
	    "listened to %u are bad\n",
	    died, g->rounds, g->is[BAD]);
	unsigned failed = died == 0;
	failed += g->is[BAD] == 0;
	failed += g->is[DIED] > 0;
	printf("%u passed, %u failed\n", 3 - failed, failed);
	return failed == 0;
}

static bool
campaign(struct rig *g)
{
	play_all(g);
	unsigned failed = g->is[BAD] + g->is[DIED], passed = g->is[INTACT] + g->is[NAMED];
	printf("flips, seed %llu: %zu messages, recipients and mails in %zu files; %u "
	       "intact, %u named, %u bad, %u died\n%u passed, %u failed\n",
	    (unsigned long long)g->seed, g->facts.n, g->files, g->is[INTACT],
	    g->is[NAMED], g->is[BAD], g->is[DIED], passed, failed);
	return failed == 0;
}

int
main(int argc, char **argv)
{
	static struct rig g = {.seed = 1, .rounds = 2000, .only = -1};
	bool tests_itself = false;
	for (int i = 1; i < argc; i++) {
		unsigned long v = i + 1 < argc ? strtoul(argv[i + 1], NULL, 10) : 0;
		if (strcmp(argv[i], "--self-test") == 0)
			tests_itself = true;
		else if (strcmp(argv[i], "--seed") == 0)
			g.seed = v;
		else if (strcmp(argv[i], "--rounds") == 0)
			g.rounds = (unsigned)v;
		else if (strcmp(argv[i], "--only") == 0)
			g.only = (long)v;
	}
	return (tests_itself ? self_test(&g) : campaign(&g)) ? 0 : 1;
}
