/* SPDX-License-Identifier: ISC */
/*
 * client (private to control) - one administrator's connection and the command
 * it runs.  A command answers with lines and ends with control_end(); one that
 * takes longer keeps its own state behind `command` and is told when there is
 * room again (more) or when the connection is gone (gone).
 */
#ifndef RELAY_CONTROL_CLIENT_H
#define RELAY_CONTROL_CLIENT_H

#include <jansson.h>

#include "base/io.h"
#include "base/json.h"
#include "base/list.h"
#include "relay/control/control.h"
#include "relay/control/select.h"
#include "relay/control/show.h"

struct control {
	struct loop *loop;
	struct log *log;
	struct spool *spool;
	struct scheduler *scheduler;
	const struct ingress_counters *ingress;
	const struct egress_counters *egress;
	const struct pickup_counters *pickup;
	struct control_host host;
	struct watch accept;
	struct timer accept_again;
	int fd;
	struct list clients;
	unsigned client_count;
	struct later reap; /* frees clients outside of their callbacks */
	struct list dead;
};

struct control_client {
	struct link link;
	struct control *control;
	struct io *io; /* NULL: from inside, or gone */
	uint32_t uid;
	/* from inside (control_ask) */
	char *account;
	json_t *request;
	struct control_inquiry inquiry;
	struct later begin;
	struct buf line; /* the answer line under construction */
	struct json json;
	/* the command under way */
	void *command;                           /* its state; NULL: none */
	void (*more)(struct control_client *cc); /* room to write again */
	void (*gone)(struct control_client *cc); /* give up; frees `command` */
	bool until_eof; /* the command ends when the client says anything, or goes */
	bool dead;
};

static inline const struct config *
control_config(const struct control *c)
{
	return c->host.config(c->host.arg);
}

/* A line: control_line() ... members ... control_send(). */
struct json *control_line(struct control_client *cc);
void control_send(struct control_client *cc);
bool control_full(const struct control_client *cc); /* stop writing; `more` comes */

/* Who did it, for the log: F_INT("uid", ...) or F_STR("account", ...). */
struct log_field control_by(const struct control_client *cc);

/* The last line. error may be NULL. The command's state must be gone. */
void control_end(struct control_client *cc, int status, const char *error);
void control_endf(struct control_client *cc, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* commands.c: run what the request says; request is borrowed. */
void control_run(struct control_client *cc, const json_t *request);

/* ---- walk.c: over the messages that a selector picks, a slice at a time */

struct walk;

struct walk_options {
	struct selector selector; /* moved in */
	uint64_t limit;           /* messages at most; 0: all */
	unsigned at_once;         /* so many may be under way; 0: one */
	/* A message with the indices that match; may call walk_hold(): it is under way
	 * until walk_resume(). */
	void (*each)(
	    struct walk *w, const struct message *m, const uint16_t *index, size_t n);
	void (*end)(struct walk *w, uint64_t messages, uint64_t recipients);
	void (*drop)(void *arg); /* what arg holds, at last; may be NULL */
};

void
walk_start(struct control_client *cc, struct walk_options *o, void *arg, size_t arg_size);
struct control_client *walk_client(struct walk *w);
void *walk_arg(struct walk *w);
void walk_hold(struct walk *w);   /* one more is under way */
void walk_resume(struct walk *w); /* one less */

/* A request may hold a password: overwrite its bytes, which are ours (io's, jansson's).
 */
void control_wipe(struct span s);
void control_wipe_secrets(const json_t *request);

/* ---- commands that act (acts.c, accounts.c) and those that explain (explain.c, trial.c)
 */
void
command_act(struct control_client *cc, const json_t *request, enum admin_action action);
void command_pause(struct control_client *cc, const json_t *request);
void command_resume(struct control_client *cc, const json_t *request);
void command_reload(struct control_client *cc, const json_t *request);
void command_dns(struct control_client *cc, const json_t *request);
void command_route_test(struct control_client *cc, const json_t *request);
void command_probe(struct control_client *cc, const json_t *request);
void command_policy_test(struct control_client *cc, const json_t *request);
void command_user(struct control_client *cc, const json_t *request); /* accounts.c */
void command_spool_check(struct control_client *cc, const json_t *request);
void command_status(struct control_client *cc, const json_t *request);
void command_hosts(struct control_client *cc, const json_t *request);
void command_queue(struct control_client *cc, const json_t *request);
void command_show(struct control_client *cc, const json_t *request);
void command_why(struct control_client *cc, const json_t *request);
void command_cat(struct control_client *cc, const json_t *request);
void command_shape(struct control_client *cc, const json_t *request);
/* operate.c */
void command_drain(struct control_client *cc, const json_t *request);
void command_spool_stat(struct control_client *cc, const json_t *request);
void command_spool_hold(struct control_client *cc, const json_t *request);
/* mailboxes.c */
void command_mailbox_list(struct control_client *cc, const json_t *request);
void command_mailbox_show(struct control_client *cc, const json_t *request);
void command_mailbox_export(struct control_client *cc, const json_t *request);
void command_mailbox_delete(struct control_client *cc, const json_t *request);

void command_trace(struct control_client *cc, const json_t *request); /* trace.c */
/* history.c */
void command_history(struct control_client *cc, const json_t *request);
/* What became of a message that is not in the queue any more: ends the command. */
void history_why(struct control_client *cc, uint64_t id);

uint64_t command_limit(const json_t *request); /* messages at most; 0: all */

/* The selector of a request, with this configuration's routes; false: the client has been
 * told. */
bool
command_selector(struct control_client *cc, const json_t *request, struct selector *out);

#endif
