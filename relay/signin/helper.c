/* SPDX-License-Identifier: ISC */
/*
 * helper - three processes:
 *
 *	relayd    keeps one end of each channel
 *	keeper    was exec'ed by relayd; forks workers, and does nothing else
 *	worker    serves the other ends
 *
 * The keeper knows that relayd is gone when its own pipe to it ends; the worker,
 * when all its channels do.  A worker that dies is followed by another on the
 * same channels.
 */
#include "relay/signin/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/dir.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/world.h"
#include "relay/signin/accounts.h"
#include "relay/signin/engine.h"
#include "relay/signin/sandbox.h"

#define STATUS_FD 4    /* where the keeper says once whether all is well */
#define LIFE_FD 3      /* the keeper's pipe: its end is relayd's */
#define FIRST_FD 5     /* channels from here on */
#define START_MS 20000 /* until the keeper has said it */
#define STOP_MS 3000   /* to end by itself */
#define SOON_MS 100    /* until a worker is followed by the next */
#define SHORT_MS 5000  /* one that lived less than that ... */
#define LATE_MS 1000   /* ... is followed later */
#define UNFIT_MS 60000 /* and at most so much later if it cannot work at all */
#define UNFIT 78       /* the status of one that finds the accounts so */
#define POOL_THREADS 2
#define WORKER_FILES 256

struct helper {
	pid_t keeper;
	int life;                         /* the write end of its pipe */
	int channel[HELPER_CHANNELS_MAX]; /* -1: handed out */
	unsigned channels;
};

/* ---- relayd's side */

static enum err
make_directory(const char *dir, struct buf *why)
{
	struct stat st;
	if (dir_make(dir, 0700) != OK) {
		buf_addf(why, "accounts: cannot make %s: %s", dir, strerror(errno));
		return err_from_errno(errno);
	}
	if (lstat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
		buf_addf(why, "accounts: %s is no directory", dir);
		return ERR_CONFIG;
	}
	if (st.st_uid != geteuid() && geteuid() != 0) {
		buf_addf(why,
		    "accounts: %s belongs to uid %u, and relayd runs as %u: chown it",
		    dir, (unsigned)st.st_uid, (unsigned)geteuid());
		return ERR_DENIED;
	}
	if ((st.st_mode & 077) != 0 && chmod(dir, 0700) != 0) {
		buf_addf(
		    why, "accounts: others can read %s; run: chmod 700 %s", dir, dir);
		return ERR_DENIED;
	}
	return OK;
}

/* In the child, between fork and exec: nothing but system calls. */
static void
become_keeper(char *const *argv, const int *fd, unsigned n)
{
	/* First out of the way of the places that they shall have. */
	int moved[HELPER_CHANNELS_MAX + 2];
	int base = FIRST_FD + (int)n + 1;
	for (unsigned i = 0; i < n + 2; i++)
		moved[i] = fcntl(fd[i], F_DUPFD, base);
	for (unsigned i = 0; i < n + 2; i++)
		if (moved[i] < 0 || dup2(moved[i], LIFE_FD + (int)i) < 0)
			_exit(127);
	(void)syscall(SYS_close_range, (unsigned)base - 1, ~0u, 0);
	int null = open("/dev/null", O_RDWR);
	if (null >= 0)
		(void)dup2(null, 0);
	execv("/proc/self/exe", argv);
	_exit(127);
}

static enum err
start_keeper(struct helper *h, const char *dir, const int *theirs, struct buf *why)
{
	char number[16];
	char *argv[] = {mem_strdup("relayd: accounts"), mem_strdup(HELPER_ARGUMENT),
	    mem_strdup(dir), number, NULL};
	(void)snprintf(number, sizeof(number), "%u", h->channels);
	h->keeper = fork();
	if (h->keeper == 0)
		become_keeper(argv, theirs, h->channels);
	for (int i = 0; i < 3; i++)
		mem_free(&argv[i]);
	if (h->keeper > 0)
		return OK;
	buf_addf(why, "the accounts helper cannot be started: %s", strerror(errno));
	return ERR_IO;
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

/* theirs[0] is the keeper's pipe, theirs[1] the one to us, then come the channels. */
static bool
make_channels(struct helper *h, int *theirs, int *status)
{
	int pair[2];
	if (pipe2(pair, O_CLOEXEC) != 0)
		return false;
	theirs[0] = pair[0];
	h->life = pair[1];
	if (pipe2(pair, O_CLOEXEC) != 0)
		return false;
	*status = pair[0];
	theirs[1] = pair[1];
	for (unsigned i = 0; i < h->channels; i++) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
			return false;
		h->channel[i] = pair[0];
		theirs[i + 2] = pair[1];
	}
	return true;
}

/* "ok", or a sentence about what is wrong with the accounts. */
static enum err
hear(int status, struct buf *why)
{
	char text[1024];
	size_t n = 0;
	struct pollfd p = {.fd = status, .events = POLLIN};
	while (n < sizeof(text) && poll(&p, 1, START_MS) > 0) {
		ssize_t got = read(status, text + n, sizeof(text) - n);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	struct span said = {text, n};
	if (span_eq(said, SPAN("ok")))
		return OK;
	buf_addf(why, "accounts: %.*s",
	    SPAN_ARG(n > 0 ? said : SPAN("the helper did not start; is /proc mounted?")));
	return ERR_CONFIG;
}

enum err
helper_start(
    struct helper **out, const char *accounts_dir, unsigned channels, struct buf *why)
{
	CHECK(channels <= HELPER_CHANNELS_MAX);
	int theirs[HELPER_CHANNELS_MAX + 2], status = -1;
	*out = NULL;
	enum err e = make_directory(accounts_dir, why);
	if (e != OK)
		return e;
	struct helper *h = NEW(struct helper);
	h->channels = channels;
	h->life = -1;
	memset(h->channel, -1, sizeof(h->channel));
	memset(theirs, -1, sizeof(theirs));
	if (make_channels(h, theirs, &status)) {
		e = start_keeper(h, accounts_dir, theirs, why);
	} else {
		buf_addf(why, "no channels to the accounts helper: %s", strerror(errno));
		e = ERR_IO;
	}
	for (unsigned i = 0; i < channels + 2; i++)
		close_fd(&theirs[i]);
	if (e == OK)
		e = hear(status, why);
	close_fd(&status);
	if (e == OK)
		*out = h;
	else
		helper_stop(&h);
	return e;
}

int
helper_channel(struct helper *h, unsigned i)
{
	CHECK(i < h->channels && h->channel[i] >= 0);
	int fd = h->channel[i];
	h->channel[i] = -1;
	return fd;
}

static bool
ended_in_time(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return false;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n;
	do
		n = poll(&p, 1, STOP_MS);
	while (n < 0 && errno == EINTR);
	(void)close(fd);
	return n == 1;
}

void
helper_stop(struct helper **hp)
{
	struct helper *h = *hp;
	*hp = NULL;
	if (h == NULL)
		return;
	for (unsigned i = 0; i < h->channels; i++)
		close_fd(&h->channel[i]);
	close_fd(&h->life);
	if (h->keeper > 0) {
		if (!ended_in_time(h->keeper))
			(void)kill(h->keeper, SIGKILL); /* the worker goes with it */
		while (waitpid(h->keeper, NULL, 0) < 0 && errno == EINTR)
			;
	}
	mem_free(&h);
}

/* ---- the worker */

struct work {
	struct loop *loop;
	unsigned open;
};

static void
on_channel_closed(void *arg)
{
	struct work *w = arg;
	if (--w->open == 0)
		loop_stop(w->loop);
}

static int
complain(const struct buf *why)
{
	fprintf(stderr, "relayd: accounts helper: %.*s\n", SPAN_ARG(buf_span(why)));
	return UNFIT;
}

static int
work(const char *dir, unsigned channels)
{
	struct work w = {.loop = loop_new(world_real()), .open = channels};
	struct rlimit files = {WORKER_FILES, WORKER_FILES};
	struct buf why;
	buf_init(&why, 1024);
	(void)prctl(PR_SET_NAME, "relayd-accounts", 0, 0, 0);
	(void)setrlimit(RLIMIT_NOFILE, &files);
	sandbox_lock_memory();
	struct signin_engine_options o = {
	    .loop = w.loop,
	    .pool = pool_new(POOL_THREADS, NULL),
	    .dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW),
	};
	struct signin_engine *e = o.dir >= 0 ? signin_engine_new(&o, &why) : NULL;
	if (e == NULL)
		return complain(&why);
	for (unsigned i = 0; i < channels; i++)
		signin_engine_serve(e, FIRST_FD + (int)i, on_channel_closed, &w);
	if (sandbox_calls() != OK && !sandbox_sanitized())
		fputs("relayd: accounts helper: there is no seccomp in this kernel\n",
		    stderr);
	if (w.open > 0)
		loop_run(w.loop);
	signin_engine_free(&e);
	pool_free(&o.pool);
	loop_free(&w.loop);
	return 0;
}

/* ---- the keeper */

static volatile sig_atomic_t told_to_end;

static void
on_term(int signo)
{
	(void)signo;
	told_to_end = 1;
}

static pid_t
start_worker(const char *dir, unsigned channels)
{
	pid_t keeper = getpid(), pid = fork();
	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != keeper)
		_exit(0);
	(void)signal(SIGTERM, SIG_DFL);
	(void)close(LIFE_FD);
	exit(work(dir, channels));
}

/* Until the worker ends, or relayd does. True: the worker has ended. */
static bool
watch(pid_t worker, int *status)
{
	int fd = (int)syscall(SYS_pidfd_open, worker, 0);
	struct pollfd p[2] = {
	    {.fd = fd, .events = POLLIN}, {.fd = LIFE_FD, .events = POLLIN}};
	while (!told_to_end && poll(p, 2, -1) < 0 && errno == EINTR)
		;
	bool ended = !told_to_end && (p[0].revents & POLLIN) != 0;
	if (fd >= 0)
		(void)close(fd);
	if (!ended &&
	    !told_to_end) { /* its channels end with relayd, too: let it finish */
		if (ended_in_time(worker))
			ended = true;
	}
	if (!ended)
		(void)kill(worker, SIGKILL);
	while (waitpid(worker, status, 0) < 0 && errno == EINTR)
		;
	return ended;
}

/* Whether relayd is still there after this pause. */
static bool
pause_ms(int ms)
{
	struct pollfd p = {.fd = LIFE_FD, .events = POLLIN};
	return poll(&p, 1, ms) == 0 && !told_to_end;
}

static int64_t
now_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What is wrong with the accounts may be put right: the next worker is tried later and
 * later, but tried. */
static int
keep(const char *dir, unsigned channels)
{
	int unfit_ms = 0;
	for (;;) {
		int status = 0;
		int64_t began = now_ms();
		pid_t worker = start_worker(dir, channels);
		if (worker > 0 && !watch(worker, &status))
			return 0;
		bool ended = worker > 0 && WIFEXITED(status);
		if (ended && WEXITSTATUS(status) == 0)
			return 0;
		if (ended && WEXITSTATUS(status) == UNFIT) {
			unfit_ms = unfit_ms == 0             ? LATE_MS
				   : unfit_ms < UNFIT_MS / 2 ? 2 * unfit_ms
							     : UNFIT_MS;
			fprintf(stderr,
			    "relayd: nobody can sign in; the accounts are read again in "
			    "%d s\n",
			    unfit_ms / 1000);
			if (!pause_ms(unfit_ms))
				return 0;
			continue;
		}
		unfit_ms = 0;
		fprintf(stderr,
		    "relayd: the accounts helper ended by signal %d and is started "
		    "again\n",
		    worker > 0 && WIFSIGNALED(status) ? WTERMSIG(status) : 0);
		if (!pause_ms(now_ms() - began < SHORT_MS ? LATE_MS : SOON_MS))
			return 0;
	}
}

/* relayd shall not start over accounts that cannot be read. */
static bool
say_status(const char *dir)
{
	struct accounts *a = NULL;
	struct buf why;
	buf_init(&why, 1024);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		buf_addf(&why, "cannot open %s: %s", dir, strerror(errno));
	else
		(void)accounts_open(&a, world_real(), fd, &why);
	bool fine = a != NULL;
	struct span text = fine ? SPAN("ok") : buf_span(&why);
	(void)!write(STATUS_FD, text.p, text.n);
	(void)close(STATUS_FD);
	accounts_close(&a);
	buf_clear(&why);
	return fine;
}

int
helper_main(int argc, char **argv)
{
	char *end = NULL;
	unsigned long channels = argc == 4 ? strtoul(argv[3], &end, 10) : 0;
	if (end == NULL || *end != '\0' || channels > HELPER_CHANNELS_MAX) {
		fputs("relayd: this is for relayd's own use\n", stderr);
		return 64;
	}
	const char *dir[] = {argv[2], NULL}, *none[] = {NULL};
	const char *read[] = {sandbox_sanitized() ? "/proc" : NULL, NULL};
	(void)prctl(PR_SET_NAME, "relayd-keeper", 0, 0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(
	    SIGINT, SIG_IGN); /* a terminal's Ctrl-C is for relayd, which then ends us */
	(void)signal(SIGHUP, SIG_IGN);
	struct sigaction term = {.sa_handler = on_term};
	(void)sigaction(SIGTERM, &term, NULL);
	sigset_t all;
	(void)sigemptyset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	sandbox_quiet();
	(void)sandbox_files(dir, read, none);
	if (!say_status(argv[2]))
		return UNFIT;
	return keep(argv[2], (unsigned)channels);
}
