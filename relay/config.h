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
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/net.h"
#include "base/tls.h"
#include "policy/access.h"

#define CONFIG_LISTENER_MAX 64
#define CONFIG_BIND_MAX 16
#define CONFIG_LIMIT_MAX 100
#define CONFIG_DNSBL_MAX 20
#define CONFIG_MAILBOX_MAX 200

enum listener_protocol { LISTENER_SMTP, LISTENER_LMTP, LISTENER_POP3, LISTENER_IMAP };
enum listener_auth {
	AUTH_NO,
	AUTH_OPTIONAL,
	AUTH_REQUIRED,
	AUTH_ANY, /* any name and password will do: for devices that insist on signing in
		   */
};
enum listener_tls { TLS_NONE, TLS_STARTTLS, TLS_IMPLICIT, TLS_LEGACY };
enum listener_certificate { CERTIFICATE_NO, CERTIFICATE_ASK, CERTIFICATE_REQUIRED };

struct listener_config {
	char *name;
	struct net_addr bind[CONFIG_BIND_MAX];
	size_t binds;
	enum listener_protocol protocol;
	enum listener_tls tls; /* with a certificate and nothing said: TLS_STARTTLS */
	bool tls_required;     /* no MAIL in the clear */
	enum listener_certificate certificate;
	enum listener_auth auth;
	bool apop;          /* POP3: offer APOP, for accounts with a recoverable secret */
	bool auth_in_clear; /* passwords without TLS, from auth_in_clear_from (empty:
			       anyone) */
	struct network_list auth_in_clear_from;
	bool has_networks; /* its own list replaces the global one */
	struct network_list networks;
	struct network_list
	    clients; /* others are turned away; empty: everyone may come */
	struct network_list proxy_from;   /* these begin with a PROXY header */
	struct network_list xclient_from; /* these may say XCLIENT */
	uint64_t message_size;            /* 0: the global one */
	unsigned recipients;              /* 0: the global one */
	unsigned line;
};

/* limit "name" { }: how much one client, account or sender may do in a time. */
enum limit_per { LIMIT_PER_CLIENT, LIMIT_PER_ACCOUNT, LIMIT_PER_SENDER };

struct limit_config {
	char *name;
	enum limit_per per;
	struct rate_list connections, messages, recipients;
	struct name_list listeners;  /* empty: all */
	struct network_list clients; /* empty: all */
	unsigned line;
};

/* dnsbl "name" { }: a DNS block list, asked about strangers. */
enum dnsbl_action { DNSBL_REJECT, DNSBL_DEFER, DNSBL_LOG };

struct dnsbl_config {
	char *name;
	char *zone;
	struct network_list
	    answers; /* what counts; empty: all of 127.0.0.0/8 but 127.255/16 */
	enum dnsbl_action action;
	char *text; /* NULL: our own words */
	unsigned line;
};

struct tls_config {
	struct name_list certificates,
	    keys;        /* by place; a key may stand in the certificate's file */
	char *client_ca; /* who signs the certificates of clients that may relay */
	struct name_list
	    client_fingerprints; /* certificates that may relay, whoever signed them */
	char *ca;                /* authorities for next hops; NULL: the system's */
};

struct accounts_config {
	char *path; /* a directory; NULL: "accounts" in the spool's */
	int64_t delay_ms, lockout_ms, cache_ms;
	unsigned attempts;
};

/* mailbox "name" { }: settings of the mailboxes of some accounts or domains; the first
 * that fits.  "mailboxes" { } has the defaults of all others. */
enum quota_over { QUOTA_DEFER, QUOTA_REJECT };
enum mailbox_unread { UNREAD_STAY, UNREAD_DELETE, UNREAD_RETURN };

enum mailbox_folders { FOLDERS_FULL, FOLDERS_INBOX_ONLY }; /* by IMAP */

/* What EXPUNGE does in Queue to a message that nothing was done with. */
enum admin_expunge { ADMIN_EXPUNGE_REFUSE, ADMIN_EXPUNGE_DISCARD };

/* How mail in an administrator's folders is shown. */
enum admin_view { ADMIN_VIEW_WHOLE, ADMIN_VIEW_SOURCE, ADMIN_VIEW_HEADER };

struct mailbox_config {
	char *name; /* NULL: the defaults */
	struct name_list accounts, domains;
	uint64_t quota;             /* octets; 0: none */
	unsigned quota_messages;    /* 0: none */
	enum quota_over over;       /* 452 or 552 */
	enum mailbox_unread unread; /* what becomes of mail that nobody fetches */
	int64_t unread_ms;          /* in so long; 0 just where unread is UNREAD_STAY */
	int64_t picked_ms; /* what was fetched is deleted so long after; 0: it stays */
	enum mailbox_folders folders;
	int64_t login_delay_ms; /* between two sign-ins by POP3 (RFC 2449); 0: none */
	unsigned line;
};

struct submit_config { /* the local socket of relay-sendmail */
	char *path;    /* NULL: none */
	unsigned mode; /* 0666: every local user */
};

struct retry_config {
	int64_t interval_ms;      /* 30m */
	int64_t first_ms;         /* 5m */
	unsigned jitter_percent;  /* 10 */
	int64_t expire_ms;        /* 5d */
	int64_t warn_ms;          /* 4h; 0: never */
	int64_t bounce_expire_ms; /* 1d, for the null sender */
	int64_t keep_failed_ms;   /* 0: not */
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
	int64_t pickup_ms;           /* 10m: a POP3 session may be silent so long */
	unsigned account_sessions;   /* 60: by IMAP, of one account */
	int64_t imap_ms;             /* 30m: an IMAP session, once signed in */
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
};

struct dns_config {
	char *servers;      /* "host:port,..."; NULL: resolv.conf */
	int64_t timeout_ms; /* 5s */
};

struct metrics_config { /* metrics, health and the status page, by HTTP */
	struct net_addr bind[CONFIG_BIND_MAX];
	size_t binds;           /* 0: none */
	bool tls;               /* by the certificates of tls { } */
	bool in_clear;          /* also where others can listen */
	struct name_list hosts; /* more names that it may be called by */
};

struct spool_config {
	char *path;
	uint64_t max_size;   /* 0: no quota */
	uint64_t min_free;   /* 128M */
	uint64_t inline_max; /* 256K */
	unsigned node;
};

struct history_config {
	unsigned days;     /* 14; 0: none is kept */
	uint64_t max_size; /* 1G; 0: no bound */
};

struct config {
	char *file;           /* where it was read from, for messages */
	struct policy policy; /* networks, routes, hostname, message size */
	struct listener_config listener[CONFIG_LISTENER_MAX];
	size_t listeners;
	struct limit_config limit[CONFIG_LIMIT_MAX];
	size_t limits;
	struct dnsbl_config dnsbl[CONFIG_DNSBL_MAX];
	size_t dnsbls;
	struct tls_config tls;
	struct accounts_config accounts;
	struct mailbox_config mailbox[CONFIG_MAILBOX_MAX];
	size_t mailboxes;
	struct mailbox_config mailbox_default;
	enum admin_expunge admin_expunge;
	enum admin_view admin_view;
	char *delimiter; /* between an address and its detail, one octet: "+"; "": none */
	struct submit_config submit;
	struct spool_config spool;
	struct history_config history;
	struct retry_config retry;
	struct smtp_server_config server;
	struct smtp_client_config client;
	struct dns_config dns;
	struct metrics_config metrics;
	char *postmaster; /* where double bounces and <Postmaster> go; NULL:
			     postmaster@hostname */
	char *control_path;
	unsigned control_mode; /* 0660 */
	unsigned threads;      /* io threads, at most 64; 0: one per core */
	enum log_level log_level;
	enum log_format log_format;
	bool open_relay; /* "i-want-an-open-relay = true" */
	char *user;      /* drop to this user when started as root; NULL: stay */
	/* from files, by config_open(); NULL: no listener needs it */
	struct tls_server *tls_modern, *tls_legacy;
	struct tls_server *tls_modern_ask,
	    *tls_modern_require; /* clients' certificates */
	uint64_t
	    files_stamp;  /* of the certificates, keys and secrets when they were read */
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

/*
 * Read the files that the configuration names: certificates and keys, secrets of
 * routes, authorities.  Once, before the snapshot is shared.  False: `errors` says
 * which and why, a line each.  Without certificates, listeners with TLS get a
 * self-signed one, which is made in the spool's directory tls at the first time (said in
 * `errors` as a warning), unless make is false: for `relayd -t`.
 */
bool config_open(struct config *c, bool make, struct buf *errors);

/* Whether one of those files has changed since. Looks at each with stat(2). */
bool config_files_changed(const struct config *c);

/* The TLS of a listener; NULL: it has none. */
struct tls_server *config_tls(const struct config *c, const struct listener_config *l);

/* Where accounts live: accounts.path, or in the spool's directory. mem_free it. */
char *config_accounts_dir(const struct config *c);

/* Shared between threads. */
struct config *config_ref(const struct config *c);
void config_unref(const struct config **c);

/* How many connections there can be at once, incoming and outgoing: by its limits, and by
 * the descriptors that this process may have. */
size_t config_connections(const struct config *c);

/* What a reload cannot change; lines "spool path: restart relayd to change it" in notes.
 */
void config_diff(const struct config *from, const struct config *to, struct buf *notes);

/*
 * The documented keys, for the manual page and completion: calls told(section, key, type,
 * range, default, about).  section "": outside of all.  range "": any; else "1 to 100",
 * as one would write it.  A default in parentheses is words, no value.
 */
void config_keys(
    void (*told)(void *arg, const char *section, const char *key, const char *type,
	const char *range, const char *fallback, const char *about),
    void *arg);

#endif
