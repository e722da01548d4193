/* SPDX-License-Identifier: ISC */
/*
 * daemon_secrets - who may read what.  The order at start is the point:
 *
 *	the spool's files are made       the sandbox knows paths, not wishes
 *	the helper is started            it alone opens the accounts' directory
 *	the sandbox closes               before the first thread, so that it holds for all
 *
 * In single mode (talks) the engine lives here, and there is no sandbox.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/dir.h"
#include "base/mem.h"
#include "relay/daemon_private.h"
#include "relay/signin/engine.h"
#include "relay/signin/helper.h"

#define LOOK_AT_FILES_MS (3 * SECOND_MS)

/* ---- accounts */

struct signin_settings
daemon_signin_settings(const struct config *c)
{
	return (struct signin_settings){
	    .delay_ms = c->accounts.delay_ms,
	    .attempts = c->accounts.attempts,
	    .lockout_ms = c->accounts.lockout_ms,
	    .cache_ms = c->accounts.cache_ms,
	};
}

static int
accounts_fd(const char *dir, struct buf *why)
{
	if (dir_make(dir, 0700) != OK) {
		buf_addf(why,
		    "accounts: cannot make %s: %s; make it, owned by the user that "
		    "relayd "
		    "runs as",
		    dir, strerror(errno));
		return -1;
	}
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		buf_addf(why,
		    "accounts: cannot open %s: %s; it must be a directory that belongs "
		    "to "
		    "the user that relayd runs as",
		    dir, strerror(errno));
	return fd;
}

static enum err
start_engine(struct daemon *d, const char *dir, struct buf *why)
{
	struct signin_engine_options o = {.loop = d->loop,
	    .pool = d->pool,
	    .log = d->log,
	    .dir = accounts_fd(dir, why)};
	if (o.dir < 0)
		return ERR_CONFIG;
	d->engine = signin_engine_new(&o, why);
	return d->engine != NULL ? OK : ERR_CONFIG;
}

enum err
open_accounts(struct daemon *d, struct buf *why)
{
	char *dir = config_accounts_dir(d->config);
	enum err e = d->single ? start_engine(d, dir, why)
			       : helper_start(&d->helper, dir, worker_count(d) + 1, why);
	mem_free(&dir);
	return e;
}

/* One for each thread; the last channel is the main thread's. */
struct signin *
daemon_signin(struct daemon *d, struct loop *l, unsigned channel)
{
	if (d->engine != NULL)
		return signin_new_inline(l, d->log, d->engine);
	return signin_new(l, d->log, helper_channel(d->helper, channel));
}

void
close_accounts(struct daemon *d)
{
	if (d->helper != NULL)
		helper_stop(&d->helper);
	if (d->engine != NULL)
		signin_engine_free(&d->engine);
}

/* ---- the sandbox */

#define PATHS_MAX 4200

struct paths {
	char *path[PATHS_MAX];
	size_t n;
	const char *never; /* the accounts: nothing above them may be given */
	char *alone;       /* a file that for their sake is given without its directory */
};

static void
add(struct paths *p, char *path)
{
	if (p->n < PATHS_MAX - 1)
		p->path[p->n++] = path;
	else
		mem_free(&path);
}

static void
add_in(struct paths *p, const char *dir, const char *name)
{
	struct buf b;
	buf_init(&b, 0);
	buf_addf(&b, "%s/%s", dir, name);
	add(p, buf_take(&b));
}

/* Is `dir` the accounts' directory, or does it hold it? */
static bool
is_above(const char *dir, const char *accounts)
{
	char *a = realpath(dir, NULL), *b = realpath(accounts, NULL);
	size_t n = a != NULL ? strlen(a) : 0;
	bool above = a == NULL || b == NULL || strcmp(a, "/") == 0 ||
		     (strncmp(a, b, n) == 0 && (b[n] == '/' || b[n] == '\0'));
	free(a);
	free(b);
	return above;
}

/* A file, by its directory if that can be had: who replaces a file makes a new one. */
static void
add_path(struct paths *p, const char *file)
{
	const char *slash = strrchr(file, '/');
	char *dir = slash == NULL ? mem_strdup(".")
		    : slash == file
			? mem_strdup("/")
			: span_dup((struct span){file, (size_t)(slash - file)});
	if (!is_above(dir, p->never)) {
		add(p, dir);
		return;
	}
	mem_free(&dir);
	add(p, mem_strdup(file));
	if (p->alone == NULL)
		p->alone = mem_strdup(file);
}

/* As it is named, and where links lead to now: the next one is mostly beside it. */
static void
add_file(struct paths *p, const char *file)
{
	if (file == NULL)
		return;
	add_path(p, file);
	char *target = realpath(file, NULL);
	if (target != NULL && strcmp(target, file) != 0)
		add_path(p, target);
	free(target);
}

static void
add_names(struct paths *p, const struct name_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		add_file(p, l->name[i]);
}

static void
readable(struct paths *p, const struct daemon *d)
{
	static const char *const system[] = {"/etc", "/usr", "/lib", "/lib64", "/proc",
	    "/sys/devices/system/cpu", "/dev/null", "/dev/urandom"};
	const struct config *c = d->config;
	for (size_t i = 0; i < COUNT_OF(system); i++)
		add(p, mem_strdup(system[i]));
	add_file(p, d->config_file);
	add_names(p, &c->tls.certificates);
	add_names(p, &c->tls.keys);
	add_file(p, c->tls.client_ca);
	add_file(p, c->tls.ca);
	for (size_t i = 0; i < c->policy.routes.n; i++) {
		add_file(p, c->policy.routes.route[i].tls_ca);
		add_file(p, c->policy.routes.route[i].secret_file);
	}
}

static void
writable(struct paths *p, const struct config *c)
{
	static const char *const own[] = {"data.mdb", "data.mdb-lock", "owner.lock",
	    "reserve", "hands", "big", "history", "tls"};
	for (size_t i = 0; i < COUNT_OF(own); i++)
		add_in(p, c->spool.path, own[i]);
	add(p, mem_strdup("/dev/null"));
}

static void
paths_clear(struct paths *p)
{
	while (p->n > 0)
		mem_free(&p->path[--p->n]);
	mem_free(&p->alone);
}

void
close_sandbox(struct daemon *d)
{
	char *accounts = config_accounts_dir(d->config);
	struct paths *write = NEW(struct paths), *read = NEW(struct paths);
	write->never = read->never = accounts;
	writable(write, d->config);
	readable(read, d);
	const char *list[] = {d->config->spool.path, NULL};
	enum err e = sandbox_relayd(
	    (const char *const *)write->path, (const char *const *)read->path, list);
	if (e != OK)
		LOG(d->log, EV_LIMIT, F_STR("what", "no landlock in this kernel"),
		    F_STR("now", "file permissions alone keep relayd from other files"));
	else if (read->alone != NULL)
		LOG(d->log, EV_CONFIG, F_STR("file", read->alone),
		    F_STR("why", "the accounts lie below its directory, so that relayd "
				 "may read this "
				 "file but none that replaces it: change it in place, or "
				 "restart"));
	paths_clear(write);
	paths_clear(read);
	mem_free(&write);
	mem_free(&read);
	mem_free(&accounts);
}

/* ---- files that change */

static void
on_look_at_files(void *arg)
{
	struct daemon *d = arg;
	timer_set(&d->look_at_files, LOOK_AT_FILES_MS);
	if (!config_files_changed(d->config))
		return;
	struct buf text;
	buf_init(&text, 64u << 10);
	(void)daemon_reload(d, &text);
	buf_clear(&text);
}

void
watch_files(struct daemon *d)
{
	timer_init(&d->look_at_files, d->loop, on_look_at_files, d);
	if (!d->single && d->config_file != NULL)
		timer_set(&d->look_at_files, LOOK_AT_FILES_MS);
}
