/* SPDX-License-Identifier: ISC */
/* init - a parent that waits. */
#include "relay/init.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Until the child is gone: its exit status, as shells say it. */
static int
watch(pid_t child, const sigset_t *set)
{
	for (;;) {
		int signo = sigwaitinfo(set, NULL), status;
		pid_t gone;
		if (signo > 0 && signo != SIGCHLD)
			(void)kill(child, signo);
		while ((gone = waitpid(-1, &status, WNOHANG)) > 0)
			if (gone == child)
				return WIFEXITED(status) ? WEXITSTATUS(status)
							 : 128 + WTERMSIG(status);
		if (gone < 0 && errno == ECHILD)
			return EXIT_FAILURE;
	}
}

void
init_if_first(void)
{
	static const int signals[] = {
	    SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD};
	sigset_t set, old;
	if (getpid() != 1)
		return;
	(void)sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		(void)sigaddset(&set, signals[i]);
	(void)sigprocmask(SIG_BLOCK, &set, &old);
	pid_t child = fork();
	if (child < 0) {
		fprintf(stderr,
		    "relayd: cannot fork as process 1: %s; give the container more "
		    "processes\n",
		    strerror(errno));
		exit(EXIT_FAILURE);
	}
	if (child > 0)
		_exit(watch(child, &set));
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
}
