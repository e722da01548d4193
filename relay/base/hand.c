/* SPDX-License-Identifier: ISC */
/*
 * hand - the sheet, the signals' handler, and the judgement at the next start.
 *
 * A line is its thread's own; others only read it.  Lines are given out as threads ask
 * for them, and a sheet that is opened anew gives them out anew (generation).
 *
 * The file is not mapped: to write to a page of a file may wait for the disk, and where
 * the file system copies on write a full disk makes it a SIGBUS.  So the sheet is memory,
 * and the handler writes it out.  What stands in the file is believed only as far as it
 * makes sense: a power cut may have left any of it.
 */
#include "base/hand.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

/* "RlyHand2": another for each change of the sheet's layout, so that what an older relayd
 * wrote is ignored, and not read as something else. */
#define MAGIC UINT64_C(0x32646e6148796c52)
#define FORGET_MS (7 * DAY_MS) /* a suspect that has not crashed us again */
#define STILL_LOOKS 2          /* unchanged so often: it stands still */
#define NOBODY 0               /* thread: none is to blame by itself */
#define STACK_SIZE (16u << 10) /* of the handler, for a thread whose own is full */

struct line {
	_Alignas(64) atomic_uint_fast64_t now; /* in hand */
	atomic_uint_fast64_t last;             /* the message before that */
	atomic_uint turn;                      /* raised by each hand_back() */
	/* the watching thread's */
	uint64_t seen;
	unsigned seen_turn;
	struct instant since;
	atomic_uint still; /* looks in a row that have found the same */
};

struct suspect {
	atomic_uint_fast64_t id; /* 0: free */
	atomic_uint crashes;
	int signal;
	struct wall when; /* of the last one */
};

struct sheet {
	uint64_t magic;
	atomic_int signal;  /* that ended the process; 0: none */
	atomic_uint thread; /* its line + 1; NOBODY */
	atomic_bool still;  /* it came from outside: those that stood still */
	struct suspect suspect[HAND_SUSPECTS];
	struct line line[HAND_THREADS];
};

static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
#define FATALS (sizeof(fatal) / sizeof(fatal[0]))

static struct {
	struct sheet *sheet; /* NULL: none */
	int fd;              /* of its file */
	atomic_uint generation, lines, suspects;
	atomic_bool blameless;
	struct sigaction old[FATALS];
	pthread_mutex_t lock; /* of the table of suspects, for those who change it */
	/* whoever looks */
	atomic_uint looker; /* line + 1 */
	atomic_int_fast64_t looked_ms, every_ms;
} board = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local struct {
	struct line *line;
	unsigned generation;
	bool known;
	char stack[STACK_SIZE];
} self;

/* ---- the file; of the handler, too */

static bool
write_part(const struct sheet *s, size_t from, size_t to)
{
	while (from < to) {
		ssize_t n =
		    pwrite(board.fd, (const char *)s + from, to - from, (off_t)from);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		from += (size_t)n;
	}
	return true;
}

/* The end is told of by what comes first, so that is written last. */
static bool
write_out(const struct sheet *s)
{
	size_t head = offsetof(struct sheet, line);
	return write_part(s, head, sizeof(*s)) && write_part(s, 0, head);
}

/* A shorter file leaves the rest as it is. */
static bool
read_in(struct sheet *s)
{
	size_t at = 0;
	while (at < sizeof(*s)) {
		ssize_t n = pread(board.fd, (char *)s + at, sizeof(*s) - at, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0)
			break;
		at += (size_t)n;
	}
	return true;
}

/* ---- lines */

/* A thread whose stack has overflowed needs another one for the handler. */
static void
give_stack(void)
{
	stack_t old, own = {.ss_sp = self.stack, .ss_size = sizeof(self.stack)};
	if (sigaltstack(NULL, &old) == 0 && (old.ss_flags & SS_DISABLE))
		(void)sigaltstack(&own, NULL);
}

static struct line *
own_line(void)
{
	unsigned generation =
	    atomic_load_explicit(&board.generation, memory_order_acquire);
	if (self.known && self.generation == generation)
		return self.line;
	self.known = true;
	self.generation = generation;
	self.line = NULL;
	if (board.sheet == NULL)
		return NULL;
	unsigned n = atomic_fetch_add(&board.lines, 1);
	if (n < HAND_THREADS)
		self.line = &board.sheet->line[n];
	give_stack();
	return self.line;
}

static bool
is_message(uint64_t id)
{
	return id != 0 && id != HAND_SESSION;
}

uint64_t
hand_take(uint64_t id)
{
	struct line *l = own_line();
	if (l == NULL)
		return 0;
	uint64_t was = atomic_load_explicit(&l->now, memory_order_relaxed);
	atomic_store_explicit(&l->now, id, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst); /* before what is done with it */
	return was;
}

void
hand_back(uint64_t was)
{
	struct line *l = own_line();
	if (l == NULL)
		return;
	atomic_signal_fence(memory_order_seq_cst);
	uint64_t had = atomic_load_explicit(&l->now, memory_order_relaxed);
	if (is_message(had))
		atomic_store_explicit(&l->last, had, memory_order_relaxed);
	atomic_store_explicit(&l->now, was, memory_order_relaxed);
	unsigned turn = atomic_load_explicit(&l->turn, memory_order_relaxed);
	atomic_store_explicit(&l->turn, turn + 1, memory_order_relaxed);
}

void
hand_blameless(void)
{
	atomic_store(&board.blameless, true);
}

/* ---- the end: what a handler may do, and no more */

/* Has the thread that looks at the others not come round itself? */
static bool
looker_is_late(void)
{
	struct timespec t;
	int64_t every = atomic_load(&board.every_ms);
	if (atomic_load(&board.looker) == 0 || clock_gettime(CLOCK_MONOTONIC, &t) != 0)
		return false;
	int64_t now = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
	return now - atomic_load(&board.looked_ms) > (STILL_LOOKS + 1) * every;
}

static void
note_end(struct sheet *s, int signo, bool from_outside)
{
	if (!from_outside) {
		bool own = self.known && self.line != NULL;
		unsigned n = own ? (unsigned)(self.line - s->line) + 1 : NOBODY;
		atomic_store(&s->thread, n);
		atomic_store(&s->signal, signo);
	} else if (signo == SIGABRT) {
		unsigned looker = atomic_load(&board.looker);
		if (looker_is_late())
			atomic_store(&s->line[looker - 1].still, STILL_LOOKS);
		atomic_store(&s->still, true);
		atomic_store(&s->signal, signo);
	}
}

static void
on_fatal(int signo, siginfo_t *info, void *context)
{
	struct sheet *s = board.sheet;
	bool from_outside = info->si_code <= 0 && info->si_pid != getpid();
	int saved = errno;
	(void)context;
	if (s != NULL && !atomic_load(&board.blameless) && atomic_load(&s->signal) == 0) {
		note_end(s, signo, from_outside);
		(void)write_out(s);
	}
	for (size_t i = 0; i < FATALS; i++)
		if (fatal[i] == signo)
			(void)sigaction(signo, &board.old[i], NULL);
	errno = saved;
	if (info->si_code <= 0)
		(void)raise(signo); /* comes when this returns; a fault comes by itself */
}

static void
catch_signals(void)
{
	struct sigaction act = {
	    .sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	(void)sigemptyset(&act.sa_mask);
	for (size_t i = 0; i < FATALS; i++)
		(void)sigaction(fatal[i], &act, &board.old[i]);
}

static void
leave_signals(void)
{
	for (size_t i = 0; i < FATALS; i++)
		(void)sigaction(fatal[i], &board.old[i], NULL);
}

/* ---- suspects */

static struct suspect *
find_suspect(uint64_t id)
{
	struct sheet *s = board.sheet;
	for (size_t i = 0; s != NULL && i < HAND_SUSPECTS; i++)
		if (atomic_load_explicit(&s->suspect[i].id, memory_order_acquire) == id)
			return &s->suspect[i];
	return NULL;
}

unsigned
hand_crashes(uint64_t id)
{
	if (id == 0 || atomic_load_explicit(&board.suspects, memory_order_relaxed) == 0)
		return 0;
	struct suspect *x = find_suspect(id);
	return x != NULL ? atomic_load(&x->crashes) : 0;
}

bool
hand_condemned(uint64_t id)
{
	return hand_crashes(id) >= HAND_CRASHES;
}

size_t
hand_suspects(uint64_t id[HAND_SUSPECTS])
{
	struct sheet *s = board.sheet;
	size_t n = 0;
	for (size_t i = 0; s != NULL && i < HAND_SUSPECTS; i++)
		if (atomic_load(&s->suspect[i].id) != 0)
			id[n++] = atomic_load(&s->suspect[i].id);
	return n;
}

static void
forget(struct suspect *x)
{
	atomic_store(&x->id, 0);
	atomic_store(&x->crashes, 0);
	x->signal = 0;
	x->when.ms = 0;
}

void
hand_clear(uint64_t id)
{
	(void)pthread_mutex_lock(&board.lock);
	struct suspect *x = id != 0 ? find_suspect(id) : NULL;
	if (x != NULL) {
		forget(x);
		atomic_fetch_sub(&board.suspects, 1);
		size_t at = (size_t)((char *)x - (char *)board.sheet);
		(void)write_part(board.sheet, at, at + sizeof(*x));
	}
	(void)pthread_mutex_unlock(&board.lock);
}

/* ---- judgement */

/* A row for one more: a free one, else that of the oldest, condemned ones last. */
static struct suspect *
row_for(struct sheet *s, uint64_t id)
{
	struct suspect *best = &s->suspect[0];
	for (size_t i = 0; i < HAND_SUSPECTS; i++) {
		struct suspect *x = &s->suspect[i];
		if (atomic_load(&x->id) == id)
			return x;
		bool spare = atomic_load(&best->crashes) >= HAND_CRASHES &&
			     atomic_load(&x->crashes) < HAND_CRASHES;
		bool alike = (atomic_load(&best->crashes) >= HAND_CRASHES) ==
			     (atomic_load(&x->crashes) >= HAND_CRASHES);
		if (spare || (alike && x->when.ms < best->when.ms))
			best = x;
	}
	forget(best);
	return best;
}

struct judge {
	struct sheet *sheet;
	struct wall now;
	int signal;
	void (*told)(void *arg, const struct hand_crash *c);
	void *arg;
	uint64_t had[2 * HAND_THREADS]; /* who has been accused */
	size_t n;
};

static void
accuse(struct judge *j, uint64_t id)
{
	for (size_t i = 0; i < j->n; i++)
		if (j->had[i] == id)
			return;
	if (!is_message(id))
		return;
	j->had[j->n++] = id;
	struct suspect *x = row_for(j->sheet, id);
	atomic_store(&x->id, id);
	atomic_fetch_add(&x->crashes, 1);
	x->signal = j->signal;
	x->when = j->now;
	struct hand_crash c = {id, atomic_load(&x->crashes), j->signal};
	if (j->told != NULL)
		j->told(j->arg, &c);
}

static void
accuse_all(struct judge *j)
{
	for (size_t i = 0; i < HAND_THREADS; i++) {
		accuse(j, atomic_load(&j->sheet->line[i].now));
		accuse(j, atomic_load(&j->sheet->line[i].last));
	}
}

static void
judge(struct judge *j)
{
	struct sheet *s = j->sheet;
	unsigned thread = atomic_load(&s->thread);
	uint64_t id = thread > 0 && thread <= HAND_THREADS
			  ? atomic_load(&s->line[thread - 1].now)
			  : 0;
	j->signal = atomic_load(&s->signal);
	if (j->signal == 0)
		return;
	if (atomic_load(&s->still)) {
		for (size_t i = 0; i < HAND_THREADS; i++)
			if (atomic_load(&s->line[i].still) >= STILL_LOOKS)
				accuse(j, atomic_load(&s->line[i].now));
	} else if (id != 0) {
		accuse(j, id);
	} else {
		accuse_all(j);
	}
}

/* What makes no sense, and what was long ago, is forgotten. */
static void
look_over(struct sheet *s, struct wall now)
{
	if (s->magic != MAGIC)
		memset(s, 0, sizeof(*s));
	s->magic = MAGIC;
	for (size_t i = 0; i < HAND_SUSPECTS; i++) {
		struct suspect *x = &s->suspect[i];
		unsigned n = atomic_load(&x->crashes);
		bool sense = atomic_load(&x->id) != 0 && n > 0 && n < 1000;
		bool old = n < HAND_CRASHES && wall_since(now, x->when) > FORGET_MS;
		if (!sense || old)
			forget(x);
	}
}

static void
wipe(struct sheet *s)
{
	atomic_store(&s->signal, 0);
	atomic_store(&s->thread, NOBODY);
	atomic_store(&s->still, false);
	memset(s->line, 0, sizeof(s->line));
	unsigned n = 0;
	for (size_t i = 0; i < HAND_SUSPECTS; i++)
		n += atomic_load(&s->suspect[i].id) != 0;
	atomic_store(&board.suspects, n);
}

/* ---- open, close */

static void
drop_sheet(struct sheet *s)
{
	(void)munmap(s, sizeof(*s));
	(void)close(board.fd);
}

/* All of it takes room in the file now: at a crash there may be none. */
static struct sheet *
make_sheet(int fd, enum err *why)
{
	int e = posix_fallocate(fd, 0, sizeof(struct sheet));
	*why = err_from_errno(e);
	if (e != 0)
		return NULL;
	board.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	*why = err_from_errno(errno);
	if (board.fd < 0)
		return NULL;
	struct sheet *s = mmap(
	    NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s != MAP_FAILED && read_in(s))
		return s;
	*why = err_from_errno(errno);
	if (s != MAP_FAILED)
		(void)munmap(s, sizeof(*s));
	(void)close(board.fd);
	return NULL;
}

enum err
hand_open(int fd, struct wall now, void (*told)(void *arg, const struct hand_crash *c),
    void *arg)
{
	enum err e = ERR_IO;
	if (board.sheet != NULL)
		return ERR_EXISTS;
	struct sheet *s = make_sheet(fd, &e);
	if (s == NULL)
		return e;
	look_over(s, now);
	struct judge j = {.sheet = s, .now = now, .told = told, .arg = arg};
	judge(&j);
	wipe(s);
	if (!write_out(s) || fsync(board.fd) != 0) {
		drop_sheet(s);
		return ERR_IO;
	}
	atomic_store(&board.lines, 0);
	atomic_store(&board.looker, 0);
	atomic_store(&board.blameless, false);
	board.sheet = s;
	atomic_fetch_add_explicit(&board.generation, 1, memory_order_release);
	catch_signals();
	return OK;
}

void
hand_close(void)
{
	struct sheet *s = board.sheet;
	if (s == NULL)
		return;
	leave_signals();
	board.sheet = NULL;
	atomic_fetch_add_explicit(&board.generation, 1, memory_order_release);
	atomic_store(&board.suspects, 0);
	drop_sheet(s);
}

/* ---- who stands still */

int64_t
hand_look(struct instant now, int64_t every_ms, uint64_t *id)
{
	struct sheet *s = board.sheet;
	int64_t longest = 0;
	*id = 0;
	if (s == NULL)
		return 0;
	for (size_t i = 0; i < HAND_THREADS; i++) {
		struct line *l = &s->line[i];
		uint64_t has = atomic_load_explicit(&l->now, memory_order_relaxed);
		unsigned turn = atomic_load_explicit(&l->turn, memory_order_relaxed);
		if (!is_message(has) || has != l->seen || turn != l->seen_turn) {
			l->seen = has;
			l->seen_turn = turn;
			l->since = now;
			atomic_store(&l->still, 0);
			continue;
		}
		if (atomic_fetch_add(&l->still, 1) + 1 >= STILL_LOOKS &&
		    instant_since(now, l->since) > longest) {
			longest = instant_since(now, l->since);
			*id = has;
		}
	}
	struct line *own = own_line();
	atomic_store(&board.looker, own != NULL ? (unsigned)(own - s->line) + 1 : 0);
	atomic_store(&board.looked_ms, now.ms);
	atomic_store(&board.every_ms, every_ms);
	return longest;
}
