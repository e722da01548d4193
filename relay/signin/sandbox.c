/* SPDX-License-Identifier: ISC */
/*
 * sandbox - landlock (files) by its raw system calls, seccomp (system calls) by
 * libseccomp.  Rights that this kernel does not know are left out of the rules.
 */
#include "relay/signin/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "relay/signin/helper.h"

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define FILE_READ LANDLOCK_ACCESS_FS_READ_FILE
#define FILE_WRITE \
	(FILE_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define DIR_LIST LANDLOCK_ACCESS_FS_READ_DIR
#define DIR_READ (DIR_LIST | FILE_READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define DIR_WRITE                                                          \
	(DIR_LIST | FILE_WRITE | LANDLOCK_ACCESS_FS_REMOVE_DIR |           \
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | \
	    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |   \
	    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM |   \
	    LANDLOCK_ACCESS_FS_REFER)
#define EVERYTHING                                             \
	(DIR_WRITE | DIR_READ | LANDLOCK_ACCESS_FS_MAKE_CHAR | \
	    LANDLOCK_ACCESS_FS_MAKE_BLOCK)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

void
sandbox_quiet(void)
{
	static const struct rlimit none = {0, 0};
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void
sandbox_lock_memory(void)
{
	struct rlimit r;
	if (!SANITIZED && getrlimit(RLIMIT_MEMLOCK, &r) == 0 &&
	    r.rlim_cur == RLIM_INFINITY)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

/* ---- files */

/* What this kernel can forbid: REFER came with the second version, TRUNCATE with the
 * third. */
static uint64_t
known_rights(long version)
{
	uint64_t rights = EVERYTHING;
	if (version < 2)
		rights &= ~LANDLOCK_ACCESS_FS_REFER;
	if (version < 3)
		rights &= ~LANDLOCK_ACCESS_FS_TRUNCATE;
	return rights;
}

static void
allow(int rules, const char *path, uint64_t of_dir, uint64_t of_file)
{
	struct stat st;
	int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0) {
		struct landlock_path_beneath_attr a = {
		    .allowed_access = S_ISDIR(st.st_mode) ? of_dir : of_file,
		    .parent_fd = fd,
		};
		if (a.allowed_access != 0)
			(void)syscall(SYS_landlock_add_rule, rules,
			    LANDLOCK_RULE_PATH_BENEATH, &a, 0);
	}
	(void)close(fd);
}

enum err
sandbox_files(const char *const *write, const char *const *read, const char *const *list)
{
	long version = syscall(
	    SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (version < 1)
		return ERR_NOT_FOUND;
	uint64_t known = known_rights(version);
	struct landlock_ruleset_attr attr = {.handled_access_fs = known};
	int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (rules < 0)
		return ERR_NOT_FOUND;
	for (; *write != NULL; write++)
		allow(rules, *write, DIR_WRITE & known, FILE_WRITE & known);
	for (; *read != NULL; read++)
		allow(rules, *read, DIR_READ & known, FILE_READ & known);
	for (; *list != NULL; list++)
		allow(rules, *list, DIR_LIST, 0);
	long done = syscall(SYS_landlock_restrict_self, rules, 0);
	(void)close(rules);
	return done == 0 ? OK : ERR_NOT_FOUND;
}

/* ---- system calls */

static const int calls[] = {
    /* memory */
    SCMP_SYS(brk),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mprotect),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    /* threads that are there, and the end */
    SCMP_SYS(futex),
    SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    /* the loop and the channels */
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(close),
    /* time and chance */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    /* the file of accounts */
    SCMP_SYS(openat),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(lseek),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(fchown),
    SCMP_SYS(fchmod),
    SCMP_SYS(flock),
    SCMP_SYS(fcntl),
    SCMP_SYS(geteuid),
    SCMP_SYS(getuid),
    SCMP_SYS(ioctl),
};

bool
sandbox_sanitized(void)
{
	return SANITIZED != 0;
}

enum err
sandbox_calls(void)
{
	if (SANITIZED)
		return ERR_NOT_FOUND;
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (ctx == NULL)
		return ERR_NOT_FOUND;
	bool ok = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1) == 0;
	for (size_t i = 0; ok && i < COUNT_OF(calls); i++)
		ok = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0) == 0;
	/* abort() signals itself, and nobody else is to be signalled */
	struct scmp_arg_cmp self = {
	    .arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)getpid()};
	ok = ok &&
	     seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &self) == 0;
	ok = ok && seccomp_load(ctx) == 0;
	seccomp_release(ctx);
	return ok ? OK : ERR_NOT_FOUND;
}

/*
 * relayd itself needs too much for a list of what it may do; but it never runs
 * another program, never looks into another process, never changes the machine.
 */
static const int never[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(keyctl),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(personality),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(reboot),
    SCMP_SYS(sethostname),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
};

static void
forbid_calls(void)
{
	if (SANITIZED) /* the search for leaks is done with ptrace */
		return;
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	if (ctx == NULL)
		return;
	bool ok = true;
	for (size_t i = 0; ok && i < COUNT_OF(never); i++)
		ok = seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, never[i], 0) == 0;
	if (ok)
		(void)seccomp_load(ctx);
	seccomp_release(ctx);
}

enum err
sandbox_relayd(const char *const *write, const char *const *read, const char *const *list)
{
	sandbox_quiet();
	enum err e = sandbox_files(write, read, list);
	forbid_calls();
	return e;
}
