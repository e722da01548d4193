/* SPDX-License-Identifier: ISC */
/*
 * relayd - the daemon's entrance: arguments, configuration, and the words that
 * a person sees at the start.  Everything else is in daemon.c.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "relay/daemon.h"
#include "relay/environment.h"
#include "relay/init.h"
#include "relay/signin/helper.h"
#include "relay/version.h"

enum { EXIT_USAGE = 64, EXIT_UNAVAILABLE = 69, EXIT_CONFIG_ERROR = 78 };

static const char default_file[] = "/etc/relayd/relayd.conf";

/*
 * What `relayd --try DIR` runs with: loopback only, everything under DIR.  %s is
 * DIR, twice.
 */
static const char try_config[] =
    "hostname = \"relay.example\"\n"
    "spool { path = \"%s/spool\" min-free = \"64M\" }\n"
    "control { path = \"%s/control.sock\" }\n"
    "metrics { bind = \"127.0.0.1:9525\" }\n"
    "networks = {\"127.0.0.0/8\", \"::1/128\"}\n"
    "listener \"smtp\" { bind = {\"127.0.0.1:2525\"} protocol = \"smtp\" }\n"
    "# what is sent to *.test goes to port 2526 here: start something there, or see it "
    "wait\n"
    "route \"test\" { to = {\"test\", \".test\"} via = {\"127.0.0.1:2526\"} }\n"
    "# all the rest goes where the DNS says\n"
    "route \"world\" { deliver = \"mx\" }\n";

struct arguments {
	const char *file;
	const char *try_dir;
	bool check, environment;
};

static void
usage(FILE *to)
{
	fputs(
	    "usage: relayd [-c FILE]       run in the foreground, log to standard error\n"
	    "       relayd -t [-c FILE]    check the configuration and exit\n"
	    "       relayd --env           run with a configuration from RELAYD_... "
	    "variables\n"
	    "       relayd --try DIR       run on loopback ports with a built-in "
	    "configuration\n"
	    "       relayd -V              print the version\n"
	    "The default FILE is $RELAYD_CONF or /etc/relayd/relayd.conf; see "
	    "relayd.conf(5).\n",
	    to);
}

static int
parse_arguments(int argc, char **argv, struct arguments *a)
{
	static const struct option longs[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"check", no_argument, NULL, 't'},
	    {"try", required_argument, NULL, 'T'},
	    {"env", no_argument, NULL, 'E'},
	    {"version", no_argument, NULL, 'V'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	const char *env = getenv("RELAYD_CONF");
	*a = (struct arguments){.file = env && *env ? env : default_file};
	int c;
	while ((c = getopt_long(argc, argv, "c:tVh", longs, NULL)) != -1) {
		switch (c) {
		case 'c': a->file = optarg; break;
		case 't': a->check = true; break;
		case 'T': a->try_dir = optarg; break;
		case 'E': a->environment = true; break;
		case 'V': printf("relayd %s\n", RELAYD_VERSION); exit(EXIT_SUCCESS);
		case 'h': usage(stdout); exit(EXIT_SUCCESS);
		default: usage(stderr); return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "relayd: what is \"%s\"?\n", argv[optind]);
		usage(stderr);
		return EXIT_USAGE;
	}
	return 0;
}

static struct config *
from_environment(struct buf *errors)
{
	struct buf text;
	struct config *c = NULL;
	buf_init(&text, 1u << 20);
	if (environment_config(environ, &text, errors)) {
		char *string = buf_take(&text);
		c = config_parse("environment", string, errors);
		mem_free(&string);
	}
	buf_clear(&text);
	return c;
}

static struct config *
configuration(const struct arguments *a, struct buf *errors)
{
	if (a->environment)
		return from_environment(errors);
	if (a->try_dir == NULL)
		return config_read(a->file, errors);
	char *dir = realpath(a->try_dir, NULL);
	if (dir == NULL) {
		buf_addf(errors, "%s: %s; make the directory first\n", a->try_dir,
		    strerror(errno));
		return NULL;
	}
	struct buf text;
	buf_init(&text, 16u << 10);
	buf_addf(&text, try_config, dir, dir);
	char *string = buf_take(&text);
	struct config *c = config_parse("built-in", string, errors);
	free(dir);
	mem_free(&string);
	return c;
}

static void
print_errors(const struct buf *errors)
{
	if (errors->n == 0)
		return;
	fwrite(errors->p, 1, errors->n, stderr);
	if (errors->p[errors->n - 1] != '\n')
		fputc('\n', stderr);
}

static void
raise_file_limit(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* What a person needs to know next; only on --try, and only once. */
static void
say_what_to_try(const struct config *c)
{
	char at[NET_TEXT];
	net_format(&c->listener[0].bind[0], at);
	printf(
	    "\n"
	    "relayd %s takes mail on %s from this machine only; it refuses everyone "
	    "else,\n"
	    "because nobody else is in `networks`.  *.test goes to 127.0.0.1:2526, all "
	    "else where the DNS says.\n"
	    "  send: printf 'Subject: hi\\n\\nhello\\n' | RELAYD_SUBMIT=%s "
	    "build/relay-sendmail you@inbox.test\n"
	    "  see:  RELAYD_SOCKET=%s build/relayctl queue     (why ID, shape, status, "
	    "--help)\n"
	    "        http://127.0.0.1:9525/ in a browser\n"
	    "  end:  Ctrl-C; what waits stays in %s and goes on next time\n\n",
	    RELAYD_VERSION, at, at, c->control_path, c->spool.path);
	fflush(stdout);
}

static int
run(const struct arguments *a, const struct config *c, bool locked)
{
	struct log *log = log_new(world_real(), STDERR_FILENO);
	log_set(log, c->log_level, c->log_format);
	if (service_journal(STDERR_FILENO))
		log_journal(log);
	struct daemon_options o = {
	    .config = c,
	    .config_file = a->try_dir || a->environment ? NULL : a->file,
	    .world = world_real(),
	    .log = log,
	    .sockets = true,
	    .signals = true,
	};
	struct daemon *d;
	struct buf why;
	buf_init(&why, 4096);
	if (!locked)
		LOG(log, EV_LIMIT,
		    F_STR("what", "private keys cannot be locked in memory"),
		    F_STR("now", "they may go to the swap: raise RLIMIT_MEMLOCK "
				 "(LimitMEMLOCK=) to so many bytes"),
		    F_INT("bytes", crypto_keys_room()));
	struct service *service = service_new();
	o.service = service;
	int status = EXIT_UNAVAILABLE;
	if (daemon_new(&d, &o, &why) == OK) {
		LOG(log, EV_STARTED, F_STR("version", RELAYD_VERSION),
		    F_STR("hostname", c->policy.hostname), F_STR("spool", c->spool.path));
		if (a->try_dir != NULL)
			say_what_to_try(c);
		status = daemon_run(d);
		daemon_free(&d);
	} else {
		LOG(log, EV_FAILED, F_STR("what", "starting"),
		    F_SPAN("why", buf_span(&why)));
	}
	buf_clear(&why);
	service_free(&service);
	log_free(&log);
	return status;
}

int
main(int argc, char **argv)
{
	struct arguments a;
	if (argc > 1 && strcmp(argv[1], HELPER_ARGUMENT) == 0)
		return helper_main(argc, argv);
	int status = parse_arguments(argc, argv, &a);
	if (status != 0)
		return status;
	umask(077);
	init_if_first();
	(void)signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	struct buf errors;
	buf_init(&errors, 256u << 10);
	struct config *read = configuration(&a, &errors);
	const struct config *c = read;
	/* of the process that stays, before it reads any */
	bool locked = read != NULL && crypto_lock_keys(config_connections(read));
	if (read != NULL && !config_open(read, !a.check, &errors))
		config_unref(&c);
	print_errors(&errors); /* warnings, too */
	buf_clear(&errors);
	if (c == NULL)
		return EXIT_CONFIG_ERROR;
	if (a.check) {
		printf("%s: fine\n", a.try_dir       ? "built-in"
				     : a.environment ? "environment"
						     : a.file);
		status = EXIT_SUCCESS;
	} else {
		raise_file_limit();
		status = run(&a, c, locked);
	}
	config_unref(&c);
	return status;
}
