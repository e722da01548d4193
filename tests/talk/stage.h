/* SPDX-License-Identifier: ISC */
/*
 * stage - the world of a talk: the daemon under test, its scripted clock, zone
 * and network, and its log.
 *
 * The world advances only in stage_turn() (what is ready now) and stage_pass()
 * (time goes by, every timer in its order).  Nothing sleeps.
 */
#ifndef TESTS_TALK_STAGE_H
#define TESTS_TALK_STAGE_H

#include "base/list.h"
#include "base/log.h"
#include "relay/daemon.h"
#include "tests/lib/certs.h"
#include "tests/lib/fake_dns.h"
#include "tests/talk/ledger.h"
#include "tests/talk/script.h"

struct log_line {
	enum log_level level;
	char *text;
	bool used; /* a log statement has matched it */
};

/* A connection that the daemon has dialled and nobody has taken yet. */
struct knock {
	struct link link;
	struct net_addr to;
	int fd;
};

struct robot;

struct stage {
	struct world world; /* first */
	struct script *script;
	struct ledger *ledger;
	bool verbose;
	const char *dir; /* of this talk; the spool is in it */
	char *config_file;
	struct fake_dns *dns;
	struct certs *certs; /* NULL until stage_certs() */
	struct log *log;
	struct daemon *daemon;
	struct log_line *line;
	size_t lines;
	struct list knocks;
	size_t step; /* being played */
	struct {
		const char *name;
		bool silent;
	} closed[64];
	size_t closed_n;
	bool recovering; /* every dial is answered by a robot that takes all */
	struct list robots;
	char *capture[10]; /* $1 .. $9 of the last <~ that had groups */
};

struct stage *
stage_new(struct script *script, struct ledger *ledger, const char *dir, bool verbose);
void stage_free(struct stage **s);

/* The daemon; a failure to start fails the talk. */
void stage_start(struct stage *s);
void stage_drain(struct stage *s); /* before stage_stop(), unless it is to be cut off */
void stage_stop(struct stage *s);

bool stage_turn(struct stage *s);   /* one turn; was anything done? */
void stage_settle(struct stage *s); /* turns until nothing is ready */
void stage_pass(struct stage *s, int64_t ms);

void stage_write_config(struct stage *s, const char *text);
int stage_take_knock(struct stage *s, const char *name); /* the descriptor, or -1 */
void stage_close(struct stage *s, const char *name, bool silent); /* refuse, silent */
void stage_open(struct stage *s, const char *name);               /* accept */

struct certs *stage_certs(struct stage *s); /* in the talk's directory */

/* Messages in the spool; violations of its invariants fail the talk. */
uint64_t stage_spool(struct stage *s, unsigned line);

/* Play the robots until the spool is empty. */
void stage_recover(struct stage *s);

/* A line of the log that fits and was not used yet; it is used then. */
bool stage_log(struct stage *s, const struct step *step);
void stage_no_log(struct stage *s, const struct step *step);
void stage_unexpected(struct stage *s); /* warnings that no step names fail the talk */

/* The talk has failed at this line: say so with the end of the log, and end the process.
 */
_Noreturn void stage_fail(struct stage *s, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* With -v: one line of transcript. */
void stage_say(struct stage *s, const char *who, const char *sign, struct span text);

#endif
