/* SPDX-License-Identifier: ISC */
/*
 * ctl_spool - "relayctl spool ...": what relayd must not do itself, because its
 * sandbox knows no directory but its own, is done here, beside it or without it.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/units.h"
#include "spool/backup.h"
#include "tools/ctl.h"

static const struct verb {
	const char *word, *usage, *about;
	int names;
} verbs[] = {
    {"check", "check", "every invariant and checksum", 0},
    {"stat", "stat", "what there is, and how much room it takes", 0},
    {"backup", "backup DIRECTORY", "a copy, also while relayd runs", 1},
    {"restore", "restore DIRECTORY", "a copy becomes the spool, which must be empty", 1},
    {"compact", "compact", "give free pages back to the disk; relayd is stopped", 0},
};

void
ctl_spool_usage(FILE *to)
{
	for (size_t i = 0; i < COUNT_OF(verbs); i++)
		fprintf(to, "  spool %-20s %s\n", verbs[i].usage, verbs[i].about);
}

static int
wrong(void)
{
	fputs("usage: relayctl spool check|stat|backup|restore|compact ...\n", stderr);
	ctl_spool_usage(stderr);
	return CTL_USAGE;
}

/* ---- progress */

static void
on_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
	ctl_progress(arg, what, done, total);
}

static void
add_size(struct buf *b, const char *before, uint64_t n, const char *after)
{
	buf_add_str(b, before);
	units_add_size(b, n);
	buf_add_str(b, after);
}

static void
put_report(const struct ctl *c, const char *action, const char *where,
    const struct backup_report *r, bool dry)
{
	if (c->json) {
		json_t *line = json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b}",
		    "action", action, "directory", where, "messages",
		    (json_int_t)r->messages, "mails", (json_int_t)r->mails, "bytes",
		    (json_int_t)r->bytes, "bytes_before", (json_int_t)r->before, "files",
		    (json_int_t)r->files, "files_linked", (json_int_t)r->linked,
		    "bytes_grown", (json_int_t)r->grown, "dry_run", dry);
		(void)json_dumpf(line, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(line);
		return;
	}
	struct buf b;
	buf_init(&b, 8192);
	if (dry) {
		buf_addf(&b, "would %s %s", action, where);
	} else if (strcmp(action, "compact") == 0) {
		add_size(&b, "compacted: ", r->before, " are now ");
		units_add_size(&b, r->bytes);
	} else {
		buf_addf(&b, "%s: %llu waiting messages, %llu mails in mailboxes, ",
		    where, (unsigned long long)r->messages, (unsigned long long)r->mails);
		if (r->bytes > 0)
			add_size(&b, "", r->bytes, ", ");
		buf_addf(&b, "%llu large files; every checksum is right",
		    (unsigned long long)r->files);
		if (r->grown > 0)
			add_size(&b, "; meanwhile the spool grew by ", r->grown, "");
	}
	buf_add_char(&b, '\0');
	ctl_put(b.p);
	putchar('\n');
	buf_clear(&b);
}

/* ---- the work */

struct job {
	struct ctl *ctl;
	const struct config *config;
	struct backup_options o;
	struct log *log;
};

/* What root makes for relayd must be relayd's: the owner of what is there, or the user
 * of the configuration. */
static void
choose_owner(struct job *j, const char *there)
{
	struct stat st;
	j->o.uid = j->o.gid = (unsigned)-1;
	if (geteuid() != 0)
		return;
	if (stat(there, &st) == 0 && st.st_uid != 0) {
		j->o.uid = st.st_uid;
		j->o.gid = st.st_gid;
		return;
	}
	const struct passwd *pw =
	    j->config->user != NULL ? getpwnam(j->config->user) : NULL;
	if (pw != NULL) {
		j->o.uid = pw->pw_uid;
		j->o.gid = pw->pw_gid;
	}
}

static bool
begin(struct job *j, struct ctl *c)
{
	*j = (struct job){.ctl = c, .config = ctl_config(c)};
	if (j->config == NULL)
		return false;
	j->log = log_new(world_real(), STDERR_FILENO);
	log_set(j->log, LOG_ERROR, LOG_TEXT);
	j->o = (struct backup_options){.world = world_real(),
	    .log = j->log,
	    .progress = on_progress,
	    .arg = c,
	    .uid = (unsigned)-1,
	    .gid = (unsigned)-1};
	return true;
}

static int
end(struct job *j, const char *action, const char *where, enum err e,
    const struct backup_report *r, struct buf *why)
{
	ctl_progress_end(j->ctl);
	if (e == OK) {
		put_report(j->ctl, action, where, r, j->ctl->dry_run);
	} else {
		fputs("relayctl: ", stderr);
		buf_add_char(why, '\0');
		ctl_put_to(stderr, why->n > 1 ? why->p : err_text(e));
		fputc('\n', stderr);
	}
	buf_clear(why);
	log_free(&j->log);
	return e == OK ? CTL_DONE : CTL_NOTHING;
}

static char *
without_slash(const char *path)
{
	char *p = mem_strdup(path);
	for (size_t n = strlen(p); n > 1 && p[n - 1] == '/';)
		p[--n] = '\0';
	return p;
}

static enum err
do_backup(struct job *j, const char *to, struct backup_report *r, struct buf *why)
{
	int hold = -1;
	struct stat st;
	if (lstat(to, &st) == 0 && j->ctl->dry_run) {
		buf_addf(why, "%s is there already: a backup gets a name of its own", to);
		return ERR_EXISTS;
	}
	if (j->ctl->dry_run)
		return OK;
	/* a relayd that runs must keep what is being copied */
	if (!ctl_hold(j->ctl, &hold)) {
		buf_add_str(why, "relayd runs, and does not answer: nothing was copied");
		return ERR_BUSY;
	}
	j->o.kept = hold >= 0;
	j->o.min_free = j->config->spool.min_free;
	enum err e = spool_backup(j->config->spool.path, to, &j->o, r, why);
	if (hold >= 0)
		(void)close(hold);
	return e;
}

static int
backup(struct ctl *c, const char *where)
{
	struct job j;
	struct backup_report r = {0};
	struct buf why;
	if (!begin(&j, c))
		return CTL_USAGE;
	buf_init(&why, 8192);
	char *to = without_slash(where);
	enum err e = do_backup(&j, to, &r, &why);
	int status = end(&j, "backup", to, e, &r, &why);
	mem_free(&to);
	return status;
}

static int
restore(struct ctl *c, const char *where)
{
	struct job j;
	struct backup_report r = {0};
	struct buf why;
	if (!begin(&j, c))
		return CTL_USAGE;
	buf_init(&why, 8192);
	char *from = without_slash(where);
	choose_owner(&j, j.config->spool.path);
	enum err e = j.ctl->dry_run
			 ? spool_restore_check(from, j.config->spool.path, &j.o, &r, &why)
			 : spool_restore(from, j.config->spool.path, &j.o, &r, &why);
	int status = end(&j, "restore", from, e, &r, &why);
	mem_free(&from);
	return status;
}

static int
compact(struct ctl *c)
{
	struct job j;
	struct backup_report r = {0};
	struct buf why;
	if (!begin(&j, c))
		return CTL_USAGE;
	buf_init(&why, 8192);
	choose_owner(&j, j.config->spool.path);
	enum err e =
	    j.ctl->dry_run ? OK : spool_compact(j.config->spool.path, &j.o, &r, &why);
	return end(&j, "compact", j.config->spool.path, e, &r, &why);
}

/* Options that would seem to have an effect. */
static bool
options_fit(struct ctl *c, json_t *request, const char *word)
{
	bool acts = strcmp(word, "check") != 0 && strcmp(word, "stat") != 0;
	const char *bad = NULL;
	c->dry_run = json_is_true(json_object_get(request, "dry_run"));
	if (acts)
		json_object_del(request, "dry_run");
	if (json_object_size(json_object_get(request, "selector")) > 0)
		bad = json_object_iter_key(
		    json_object_iter(json_object_get(request, "selector")));
	else if (json_object_size(request) > 2)
		bad = "option";
	if (bad != NULL)
		fprintf(stderr, "relayctl: an %s has no meaning here\n", bad);
	return bad == NULL;
}

int
ctl_spool(struct ctl *c, json_t *request, int argc, char **argv)
{
	const struct verb *v = NULL;
	for (size_t i = 0; argc > 0 && i < COUNT_OF(verbs); i++)
		if (strcmp(verbs[i].word, argv[0]) == 0)
			v = &verbs[i];
	if (v == NULL || argc - 1 != v->names)
		return wrong();
	json_object_del(request, "cmd"); /* that was the group's name */
	if (!options_fit(c, request, v->word))
		return wrong();
	if (strcmp(v->word, "backup") == 0)
		return backup(c, argv[1]);
	if (strcmp(v->word, "restore") == 0)
		return restore(c, argv[1]);
	if (strcmp(v->word, "compact") == 0)
		return compact(c);
	c->command = strcmp(v->word, "check") == 0 ? "spool-check" : "spool-stat";
	ctl_choose_printer(c);
	json_object_set_new(request, "cmd", json_string(c->command));
	if (strcmp(v->word, "check") == 0 && ctl_progress_wanted(c))
		json_object_set_new(request, "progress", json_true());
	return ctl_run(c, request);
}
