/* SPDX-License-Identifier: ISC */
/*
 * job - one message for one destination, on its way from the scheduler to a
 * courier and back.  The scheduler makes it; between courier_post() and the
 * parcel's return it belongs to the courier.
 */
#ifndef RELAY_EGRESS_JOB_H
#define RELAY_EGRESS_JOB_H

#include "base/inbox.h"
#include "policy/verdict.h"
#include "relay/egress/egress.h"
#include "relay/egress/health.h"
#include "spool/spool.h"

#define JOB_HOST_TEXT 320

enum job_end {
	JOB_DONE,        /* every recipient has its result */
	JOB_UNREACHABLE, /* no host of the destination took a session; `verdict` says why
			  */
	JOB_GONE,        /* the message does not exist any more */
	JOB_DAMAGED,     /* the stored bytes are wrong; set it aside */
	JOB_UNREADABLE,  /* the spool could not be read now */
	JOB_CANCELLED,   /* the courier is closing */
};

/* Why no session could be had, if it is something that no other message would change. */
enum job_trouble { TROUBLE_NONE, TROUBLE_TLS, TROUBLE_SIGN_IN };

struct job_result {
	uint16_t index;         /* of the recipient */
	enum outcome_kind kind; /* DELIVERED, FAILED, WAIT, HELD, MOVED */
	bool attempted;
	bool earlier; /* said by earlier_host */
	bool relayed; /* delivered, but the next hop has no DSN and success was to be told
		       */
	struct verdict verdict;
	char *moved_to;          /* MOVED: the new key, owned */
	struct mailing *mailing; /* DELIVERED into mailboxes, owned; NULL */
};

/* The mails that one recipient becomes; their spans point into own and name. */
struct mailing {
	struct drop *drop;
	size_t n;
	struct buf text;
};

struct job {
	struct parcel parcel; /* there: courier opens it; back: the scheduler does */
	struct courier *courier;
	struct inbox *back;
	void (*ended)(struct job *); /* on the main loop */
	void *owner;                 /* the scheduler's entry */
	struct health *health;       /* borrowed from the scheduler */
	uint64_t id;
	char *dest;              /* key, owned */
	struct message *message; /* a reference, or NULL: to be read from the spool */
	struct wall now;         /* recipients due later than this are left alone */
	/* what came of it */
	enum job_end end;
	struct job_result *result; /* owned */
	size_t results;
	struct verdict verdict;   /* UNREACHABLE */
	enum job_trouble trouble; /* UNREACHABLE */
	/* A host refused our sign-in, whatever came of the job: its words, and who. */
	struct verdict sign_in; /* code 0: none */
	char sign_in_host[JOB_HOST_TEXT];
	char host[JOB_HOST_TEXT];         /* who was spoken to last */
	char earlier_host[JOB_HOST_TEXT]; /* before IPv4 was tried in place of IPv6 */
	bool kept;            /* a connection to this destination stays open there */
	bool maybe_delivered; /* the link broke after the final dot */
	bool session;         /* a session was established */
	bool local;           /* no network involved: feedback does not count it */
	int64_t took_ms;
};

struct job *job_new(uint64_t id, const char *dest, struct message *m);
void job_free(struct job **j);
void mailing_free(struct mailing **m); /* NULL inside is fine */
struct job_result *job_add(struct job *j, const struct recipient *r,
    enum outcome_kind kind, const struct verdict *v);

/* Hand a job to its courier. Any thread. */
void courier_post(
    struct courier *c, struct job *j, struct inbox *back, void (*ended)(struct job *));

#endif
