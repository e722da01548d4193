/* SPDX-License-Identifier: ISC */
/*
 * config - an immutable snapshot of the configuration, shared by reference.
 *
 * Read with libconfuse; our own table on top knows every key's unit, range and
 * default, so that the parser, the manual and the messages cannot drift apart.
 * Unknown keys, wrong units and impossible combinations are errors that name
 * file and line and say what would be right.
 */
#ifndef RELAY_CONFIG_H
#define RELAY_CONFIG_H

#include <stdatomic.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/net.h"
#include "policy/access.h"

#define CONFIG_LISTENER_MAX 64
#define CONFIG_BIND_MAX 16

enum listener_protocol { LISTENER_SMTP };
enum listener_auth { AUTH_NO, AUTH_OPTIONAL, AUTH_REQUIRED };
enum listener_tls { TLS_NONE, TLS_STARTTLS, TLS_IMPLICIT, TLS_LEGACY };

struct listener_config {
	char *name;
	struct net_addr bind[CONFIG_BIND_MAX];
	size_t binds;
	enum listener_protocol protocol;
	enum listener_tls tls;
	enum listener_auth auth;
	bool has_networks; /* its own list replaces the global one */
	struct network_list networks;
	unsigned line;
};

struct retry_config {
	int64_t interval_ms;      /* 30m */
	int64_t first_ms;         /* 5m */
	unsigned jitter_percent;  /* 10 */
	int64_t expire_ms;        /* 5d */
	int64_t warn_ms;          /* 4h; 0: never */
	int64_t bounce_expire_ms; /* 1d, for the null sender */
};

struct smtp_server_config {          /* limits { } and timeouts { } of the ingress */
	uint64_t message_size;       /* 50M */
	unsigned recipients;         /* 1000 per message */
	unsigned messages;           /* 1000 per connection */
	unsigned connections;        /* 10000 in all */
	unsigned client_connections; /* 200 per client address */
	unsigned errors;             /* 20 per session, then 421 */
	unsigned hops;               /* 50 Received fields */
	uint64_t memory;             /* 128M: content in memory, all sessions together */
	int64_t command_ms;          /* 5m */
	int64_t data_ms;             /* 3m between blocks of data (server waits 5m) */
	int64_t greeting_delay_ms;   /* reserved: 0 */
};

struct smtp_client_config {
	unsigned concurrency; /* 20: most connections to one destination */
	unsigned initial;     /* 5: at first */
	unsigned connections; /* 500: in all */
	unsigned recipients;  /* 100 per transaction */
	unsigned messages;    /* 1000 per connection */
	int64_t idle_ms;      /* 5s: an unused connection is kept so long */
	int64_t connect_ms;   /* 30s */
	int64_t greeting_ms, helo_ms, mail_ms, rcpt_ms; /* 5m each */
	int64_t data_ms;                                /* 2m */
	int64_t block_ms;                               /* 3m */
	int64_t dot_ms;                                 /* 10m */
	int64_t quit_ms;                                /* 5s */
	char *source4, *source6;                        /* reserved: NULL */
};

struct dns_config {
	char *servers;      /* "host:port,..."; NULL: resolv.conf */
	int64_t timeout_ms; /* 5s */
};

struct spool_config {
	char *path;
	uint64_t max_size;   /* 0: no quota */
	uint64_t min_free;   /* 128M */
	uint64_t inline_max; /* 256K */
	unsigned node;
};

struct config {
	char *file;           /* where it was read from, for messages */
	struct policy policy; /* networks, routes, hostname, message size */
	struct listener_config listener[CONFIG_LISTENER_MAX];
	size_t listeners;
	struct spool_config spool;
	struct retry_config retry;
	struct smtp_server_config server;
	struct smtp_client_config client;
	struct dns_config dns;
	char *postmaster; /* where double bounces and <Postmaster> go; NULL:
			     postmaster@hostname */
	char *control_path;
	unsigned control_mode; /* 0660 */
	unsigned threads;      /* io threads, at most 64; 0: one per core */
	enum log_level log_level;
	enum log_format log_format;
	bool open_relay;  /* "i-want-an-open-relay = true" */
	char *user;       /* drop to this user when started as root; NULL: stay */
	atomic_uint refs; /* config_ref, config_unref */
};

/*
 * Read and check a file.  On error NULL, and each problem is one line in
 * `errors`: "relayd.conf:14: listener "smtp": unknown key "bnid"; did you mean "bind"?"
 * What is allowed but looks wrong is a line there, too: "relayd.conf:20: warning: ...".
 * libconfuse has one lexer per process: one thread at a time (the main thread).
 */
struct config *config_read(const char *path, struct buf *errors);

/* The same from text (the embedded default, tests). name stands for the file in messages.
 */
struct config *config_parse(const char *name, const char *text, struct buf *errors);

/* Shared between threads. */
struct config *config_ref(const struct config *c);
void config_unref(const struct config **c);

/* What a reload cannot change; lines "spool path: restart relayd to change it" in notes.
 */
void config_diff(const struct config *from, const struct config *to, struct buf *notes);

/*
 * The documented keys, for the manual page and completion: calls told(section, key, type,
 * default, about).  section "": outside of all.  A default in parentheses is words, no
 * value.
 */
void config_keys(void (*told)(void *arg, const char *section, const char *key,
		     const char *type, const char *fallback, const char *about),
    void *arg);

#endif
