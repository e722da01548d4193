/* SPDX-License-Identifier: ISC */
/*
 * ctl (private to relayctl) - a command is a JSON request; its answer is JSON
 * lines, from the running daemon's socket or, with relayd stopped, from the
 * spool opened here.  One printer turns the lines into what a person reads.
 */
#ifndef TOOLS_CTL_H
#define TOOLS_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/when.h"
#include "relay/config.h"

enum { CTL_DONE = 0, CTL_NOTHING = 1, CTL_USAGE = 2 };

enum ctl_secret { CTL_SECRET_ASK, CTL_SECRET_PASSWORD, CTL_SECRET_HASH };

struct ctl {
	const char *config_file;
	const char *socket;          /* $RELAYD_SOCKET, or NULL: from the configuration */
	const struct config *config; /* read when it is needed */
	bool json;                   /* print the lines as they are */
	const char *command;
	void (*print)(struct ctl *c, const json_t *line); /* of this command */
	enum ctl_secret secret; /* where a password comes from: the terminal, stdin */
	bool header;            /* the table's head has been printed */
	unsigned width;         /* of the terminal */
	bool colour;            /* states and heads may be coloured */
	bool dry_run;           /* of a command that is done here, and of user's */
	bool progress;          /* a line of it stands on standard error */
	struct instant progressed;
	/* called by another name (ctl_names.c) */
	bool as_mailq, as_qshape;
	struct buf *capture;  /* lines go there as they are; NULL: to standard output */
	bool nothing_is_fine; /* that nothing matched is no failure */
	unsigned long long listed, listed_bytes;
};

/* The configuration; on error it says why on standard error and returns NULL. */
const struct config *ctl_config(struct ctl *c);

/* Ask the daemon, or look for ourselves where that can be; an exit status. */
int ctl_run(struct ctl *c, const json_t *request);

/* ---- ctl_user.c */
/* "user" has been taken off argv. Uses up the request's secrets. */
int ctl_user(struct ctl *c, json_t *request, int argc, char **argv);
void ctl_user_usage(FILE *to);

/* ---- ctl_socket.c */
/* Ask the daemon and print. -1: nobody answers there (nothing was printed); else an exit
 * status. */
int ctl_ask(struct ctl *c, const json_t *request);
/* Have relayd keep the files of messages that go meanwhile, until *fd is closed; -1: it
 * does not run.  False: it runs, but this cannot be had; that was said. */
bool ctl_hold(struct ctl *c, int *fd);
/* Print an answer line. True: it was the last one, *status is set. */
bool ctl_take_line(struct ctl *c, struct span text, int *status);

/* ---- ctl_offline.c */
/* The same from the stopped spool: queue, show, why, history, cat, spool-check. */
bool ctl_can_offline(const char *command);
int ctl_offline(struct ctl *c, const json_t *request);

/* The spool of the configuration, to read only.  What is wrong is said on standard
 * error, but for ERR_NOT_FOUND (no relayd has been started yet) if that may be. */
struct ctl_spool {
	bool may_be_missing;
	struct spool *spool;
	struct spool_reader *reader;
	struct log *log;
};
enum err ctl_spool_open(struct ctl *c, struct ctl_spool *s);
void ctl_spool_close(struct ctl_spool *s);

/* ---- ctl_history.c */
struct spool_reader;
void ctl_print_history(struct ctl *c, const json_t *line);
/* history, and why about a message that is gone, from the stopped spool. */
int ctl_history_offline(struct ctl *c, struct spool_reader *r, const json_t *request);

/* ---- ctl_top.c */
/* Pictures of what happens, until it is ended or request's limit is reached. */
int ctl_top(struct ctl *c, const json_t *request);

/* ---- ctl_user_offline.c */
/* The same in the accounts' directory. */
bool ctl_user_can_offline(const char *command);
int ctl_user_offline(struct ctl *c, const json_t *request);

/* ---- ctl_mailbox.c */
/* "mailbox" has been taken off argv. */
int ctl_mailbox(struct ctl *c, json_t *request, int argc, char **argv);
void ctl_mailbox_usage(FILE *to);
bool ctl_mailbox_can_offline(const char *command);
int ctl_mailbox_offline(struct ctl *c, const json_t *request);
void ctl_print_mailbox(struct ctl *c, const json_t *line);
void ctl_print_mail(struct ctl *c, const json_t *line);
void ctl_print_mail_deleted(struct ctl *c, const json_t *line);
void ctl_print_export(struct ctl *c, const json_t *line);

/* ---- ctl_print.c */
/* It is wanted as it comes from relayd: nobody looks into it. */
bool ctl_as_it_comes(const struct ctl *c);
/* One answer line (not the last); line may be NULL if ctl_as_it_comes(). */
void ctl_line(struct ctl *c, const json_t *line, const char *text, size_t n);
void ctl_choose_printer(struct ctl *c);
/* It is the table of the queue that is wanted, which needs a few members only. */
bool ctl_shows_queue(const struct ctl *c);
/* Text from outside, safe for a terminal. */
void ctl_put(const char *text);
void ctl_put_to(FILE *to, const char *text);
/* A cell: cut with "~" or filled up to width (0: as it is); the last one ends the line.
 */
void ctl_cell(const char *text, size_t width, bool last);
const char *ctl_text(const json_t *line, const char *name); /* "" if it is not there */
long long ctl_number(const json_t *line, const char *name);

/* ---- ctl_progress.c */
bool ctl_progress_wanted(const struct ctl *c); /* on a terminal */
void ctl_progress(struct ctl *c, const char *what, uint64_t done, uint64_t total);
void ctl_progress_end(struct ctl *c);
bool ctl_wants_colour(void);
void ctl_cell_state(const struct ctl *c, const char *state, size_t width);
void ctl_bold(const struct ctl *c, bool on);

/* ---- ctl_spool.c */
/* "spool" has been taken off argv. */
int ctl_spool(struct ctl *c, json_t *request, int argc, char **argv);
void ctl_spool_usage(FILE *to);

/* ---- ctl_shape.c */
void ctl_print_shape(struct ctl *c, const json_t *line);
void ctl_print_drain(struct ctl *c, const json_t *line);

/* ---- ctl_names.c */
struct ctl_words {
	char *word[16];
	size_t n;
};
/* Called as mailq, postqueue, ...: the words that say the same; none with CTL_DONE: it is
 * done. */
bool ctl_called_otherwise(
    struct ctl *c, int argc, char **argv, struct ctl_words *w, int *status);
void ctl_print_mailq(struct ctl *c, const json_t *line);
void ctl_end_mailq(const struct ctl *c);

/* ---- ctl_bundle.c */
/* A tar file of what helps to find a fault, without a secret. file "-": to stdout. */
int ctl_bundle(struct ctl *c, const char *file);
void ctl_bundle_config(struct span text, struct buf *out); /* without secrets */

/* ---- ctl_import.c */
/* A configuration of Postfix's, as ours, to standard output. */
int ctl_import_postfix(const char *main_cf);

/* ---- ctl_trial.c: one line each */
void ctl_print_user(struct ctl *c, const json_t *line);
void ctl_print_account_change(struct ctl *c, const json_t *line); /* --dry-run's */
void ctl_print_new_secret(struct ctl *c, const json_t *line);
void ctl_print_policy(struct ctl *c, const json_t *line);
void ctl_print_route(struct ctl *c, const json_t *line);
void ctl_print_probe(struct ctl *c, const json_t *line);

#endif
