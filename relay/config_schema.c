/* SPDX-License-Identifier: ISC */
/*
 * config_schema - the one table of what a configuration may say.  Parser,
 * defaults, messages, relayd.conf(5) (through its test) and the notes of a
 * reload are all made from it; a new key is a new row.
 */
#include "relay/config_private.h"

#include <string.h>

#include "base/mem.h"
#include "base/when.h"

#define K (UINT64_C(1) << 10)
#define M (UINT64_C(1) << 20)
#define G (UINT64_C(1) << 30)
#define T (UINT64_C(1) << 40)

#define SUN_PATH_MAX 107 /* sockaddr_un.sun_path without its NUL */
#define WAIT_MIN 100     /* ms */
#define WAIT_MAX ((uint64_t)DAY_MS)

#define TOP(name, type, flags, min, max, fallback, field, about) \
	{                                                        \
		"", name, type, flags, min, max, fallback, NULL, \
		    offsetof(struct config, field), 0, about     \
	}
#define IN(section, name, type, flags, min, max, fallback, field, about) \
	{                                                                \
		section, name, type, flags, min, max, fallback, NULL,    \
		    offsetof(struct config, field), 0, about             \
	}
#define WORDS(section, name, words, fallback, base, field, about)   \
	{                                                           \
		section, name, TYPE_WORD, 0, 0, 0, fallback, words, \
		    offsetof(base, field), 0, about                 \
	}
#define LIST(section, name, type, flags, fallback, base, field, count, about)            \
	{                                                                                \
		section, name, type, flags, 0, 0, fallback, NULL, offsetof(base, field), \
		    offsetof(base, count), about                                         \
	}
#define ROUTE(name, type, min, max, fallback, field, about)       \
	{                                                         \
		"route", name, type, 0, min, max, fallback, NULL, \
		    offsetof(struct route, field), 0, about       \
	}

/* Each in the order of its enum. */
static const char *const protocols[] = {"smtp", NULL};
static const char *const tls_words[] = {"none", NULL};
static const char *const auth_words[] = {"no", NULL};
static const char *const deliver_words[] = {
    "mx", "via", "discard", "reject", "hold", NULL};
static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const formats[] = {"text", "json", NULL};

const struct config_section config_sections[] = {
    {"", false, ""},
    {"spool", false, "where messages are kept"},
    {"listener", true, "where mail is taken"},
    {"limits", false, "what one client may do"},
    {"timeouts", false, "how long a client may be silent"},
    {"route", true, "where mail goes; the first that fits"},
    {"retry", false, "when a delivery is tried again, and for how long"},
    {"outgoing", false, "connections to other servers"},
    {"dns", false, "who is asked for names"},
    {"control", false, "the socket of relayctl"},
    {"log", false, "what is written to standard error"},
    {NULL, false, NULL},
};

const struct config_key config_schema[] = {
    /* ---- outside of all sections */
    TOP("hostname", TYPE_DOMAIN, KEY_RESTART, 0, 0, "(this machine's name)",
	policy.hostname, "the name in greetings, Received fields and notices"),
    LIST("", "networks", TYPE_NETWORKS, KEY_EMPTY_OK, "127.0.0.1/32, ::1/128",
	struct config, policy.networks.net, policy.networks.n,
	"clients that may relay without a password"),
    TOP("postmaster", TYPE_MAILBOX, 0, 0, 0, "(postmaster@HOSTNAME)", postmaster,
	"who gets mail to <Postmaster> and notices that cannot be returned"),
    TOP("user", TYPE_TEXT, KEY_RESTART, 1, 32, "(stay who one is)", user,
	"the user to become when started as root"),
    TOP("threads", TYPE_COUNT, KEY_RESTART, 0, 64, "0", threads,
	"threads for connections; 0: one per processor"),
    TOP("i-want-an-open-relay", TYPE_BOOL, 0, 0, 0, "false", open_relay,
	"let anyone send to anyone"),

    /* ---- spool */
    IN("spool", "path", TYPE_PATH, KEY_RESTART, 1, 4000, "(none: it must be given)",
	spool.path, "the directory of the queue"),
    IN("spool", "max-size", TYPE_SIZE, KEY_RESTART, 0, 1024 * T, "0", spool.max_size,
	"how much the queue may hold; 0: as much as the disk"),
    IN("spool", "min-free", TYPE_SIZE, KEY_RESTART, 0, 1024 * T, "128M", spool.min_free,
	"how much of the disk stays free"),
    IN("spool", "inline-max", TYPE_SIZE, KEY_RESTART, 0, 64 * M, "256K", spool.inline_max,
	"larger messages are files of their own"),
    IN("spool", "node", TYPE_COUNT, KEY_RESTART, 0, 1023, "0", spool.node,
	"a number of this relay, part of every message id"),

    /* ---- listener */
    LIST("listener", "bind", TYPE_BIND, 0, "[::]:25", struct listener_config, bind, binds,
	"addresses and ports to listen on"),
    WORDS("listener", "protocol", protocols, "smtp", struct listener_config, protocol,
	"what is spoken there"),
    WORDS("listener", "tls", tls_words, "none", struct listener_config, tls,
	"whether the connection is encrypted"),
    WORDS("listener", "auth", auth_words, "no", struct listener_config, auth,
	"whether clients sign in"),
    LIST("listener", "networks", TYPE_NETWORKS, KEY_EMPTY_OK, "(the global list)",
	struct listener_config, networks.net, networks.n,
	"replaces the global list on this listener"),

    /* ---- limits */
    IN("limits", "message-size", TYPE_SIZE, 0, 1 * K, 4 * G, "50M", server.message_size,
	"the largest message that is taken"),
    IN("limits", "recipients", TYPE_COUNT, 0, 1, 100000, "1000", server.recipients,
	"recipients of one message"),
    IN("limits", "messages", TYPE_COUNT, 0, 1, 1000000, "1000", server.messages,
	"messages on one connection"),
    IN("limits", "connections", TYPE_COUNT, 0, 1, 1000000, "10000", server.connections,
	"connections of all clients together"),
    IN("limits", "client-connections", TYPE_COUNT, 0, 1, 1000000, "200",
	server.client_connections, "connections of one client address"),
    IN("limits", "errors", TYPE_COUNT, 0, 1, 10000, "20", server.errors,
	"refused commands until the connection is closed"),
    IN("limits", "hops", TYPE_COUNT, 0, 1, 1000, "50", server.hops,
	"Received fields of a message; with more of them it is in a loop"),
    IN("limits", "memory", TYPE_SIZE, 0, 1 * M, 1 * T, "128M", server.memory,
	"message content in memory, all connections together"),

    /* ---- timeouts */
    IN("timeouts", "command", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "5m",
	server.command_ms, "until a client's next command"),
    IN("timeouts", "data", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "3m", server.data_ms,
	"until the next piece of a message"),

    /* ---- route */
    LIST("route", "to", TYPE_PATTERNS, 0, "(any)", struct route, to, to_n,
	"recipients that it is for"),
    LIST("route", "from", TYPE_PATTERNS, 0, "(any)", struct route, from, from_n,
	"senders that it is for"),
    WORDS("route", "deliver", deliver_words, "(via where via is given, else mx)",
	struct route, deliver, "what is done with the mail"),
    LIST("route", "via", TYPE_HOPS, 0, "(none)", struct route, hop, hops,
	"next hops, in order of preference"),
    ROUTE("port", TYPE_PORT, 1, 65535, "25", port, "port of the servers found by MX"),
    ROUTE("allow-loopback", TYPE_BOOL, 0, 0, "false", allow_loopback,
	"an MX may lead to this machine"),
    ROUTE("inbound", TYPE_BOOL, 0, 0, "false", inbound,
	"strangers may send to the recipients of this route"),
    ROUTE("text", TYPE_TEXT, 1, 200, "(relayd's own words)", reject_text,
	"the reason that a refused sender reads"),
    ROUTE("concurrency", TYPE_COUNT, 1, 10000, "(that of outgoing)", concurrency,
	"most connections at once to one destination"),

    /* ---- retry */
    IN("retry", "interval", TYPE_DURATION, 0, WAIT_MIN, 7 * (uint64_t)DAY_MS, "30m",
	retry.interval_ms, "between attempts"),
    IN("retry", "first", TYPE_DURATION, 0, WAIT_MIN, (uint64_t)DAY_MS, "5m",
	retry.first_ms, "from the first attempt to the second"),
    IN("retry", "jitter", TYPE_PERCENT, 0, 0, 50, "10%", retry.jitter_percent,
	"how much an interval is stretched or shortened by chance"),
    IN("retry", "expire", TYPE_DURATION, 0, SECOND_MS, 366 * (uint64_t)DAY_MS, "5d",
	retry.expire_ms, "after which a message goes back to its sender"),
    IN("retry", "warn", TYPE_DURATION, 0, 0, 366 * (uint64_t)DAY_MS, "4h", retry.warn_ms,
	"after which the sender is told that it waits; 0: never"),
    IN("retry", "bounce-expire", TYPE_DURATION, 0, SECOND_MS, 366 * (uint64_t)DAY_MS,
	"1d", retry.bounce_expire_ms,
	"after which a notice that cannot be delivered is given up"),

    /* ---- outgoing */
    IN("outgoing", "concurrency", TYPE_COUNT, 0, 1, 10000, "20", client.concurrency,
	"most connections at once to one destination"),
    IN("outgoing", "initial", TYPE_COUNT, 0, 1, 10000, "5", client.initial,
	"so many at first, until it is known what the destination takes"),
    IN("outgoing", "connections", TYPE_COUNT, 0, 1, 1000000, "500", client.connections,
	"connections to all destinations together"),
    IN("outgoing", "recipients", TYPE_COUNT, 0, 1, 10000, "100", client.recipients,
	"recipients in one transaction"),
    IN("outgoing", "messages", TYPE_COUNT, 0, 1, 1000000, "1000", client.messages,
	"messages on one connection"),
    IN("outgoing", "idle", TYPE_DURATION, 0, 0, 10 * (uint64_t)MINUTE_MS, "5s",
	client.idle_ms, "how long an unused connection is kept"),
    IN("outgoing", "connect", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "30s",
	client.connect_ms, "wait for a connection"),
    IN("outgoing", "greeting", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "5m",
	client.greeting_ms, "wait for the greeting"),
    IN("outgoing", "helo", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "5m", client.helo_ms,
	"wait for the answer to EHLO or HELO"),
    IN("outgoing", "mail", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "5m", client.mail_ms,
	"wait for the answer to MAIL"),
    IN("outgoing", "rcpt", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "5m", client.rcpt_ms,
	"wait for the answer to RCPT"),
    IN("outgoing", "data", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "2m", client.data_ms,
	"wait for the answer to DATA"),
    IN("outgoing", "block", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "3m", client.block_ms,
	"wait until the server takes the next piece of a message"),
    IN("outgoing", "final-dot", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "10m",
	client.dot_ms, "wait for the answer to the end of a message"),
    IN("outgoing", "quit", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "5s", client.quit_ms,
	"wait for the answer to QUIT"),

    /* ---- dns */
    LIST("dns", "servers", TYPE_SERVERS, KEY_RESTART, "(those of /etc/resolv.conf)",
	struct config, dns.servers, dns.servers, "name servers, with or without a port"),
    IN("dns", "timeout", TYPE_DURATION, KEY_RESTART, WAIT_MIN, 5 * (uint64_t)MINUTE_MS,
	"5s", dns.timeout_ms, "wait for one answer"),

    /* ---- control */
    IN("control", "path", TYPE_PATH, KEY_RESTART, 1, SUN_PATH_MAX,
	"/run/relayd/control.sock", control_path, "the socket"),
    IN("control", "mode", TYPE_MODE, KEY_RESTART, 0, 0777, "0660", control_mode,
	"its permissions"),

    /* ---- log */
    WORDS("log", "level", levels, "info", struct config, log_level,
	"what is left out is less important"),
    WORDS("log", "format", formats, "text", struct config, log_format,
	"lines for people, or JSON objects"),

    {.name = NULL},
};

const struct config_section *
config_section_find(const char *name)
{
	for (const struct config_section *s = config_sections; s->name != NULL; s++)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

const struct config_key *
config_key_find(const char *section, const char *name)
{
	for (const struct config_key *k = config_schema; k->name != NULL; k++)
		if (strcmp(k->section, section) == 0 && strcmp(k->name, name) == 0)
			return k;
	return NULL;
}

const char *
config_fallback(const struct config_key *k)
{
	return k->fallback != NULL && k->fallback[0] != '(' ? k->fallback : NULL;
}

/* ---- what is not yet there */

#define NEXT(what, remedy) what " comes with the next release; " remedy
#define NEXT_LINE(what) NEXT(what, "remove this line")

static const struct {
	const char *section, *name,
	    *word; /* word NULL: the key, or a section of that name */
	const char *text;
} later[] = {
    {"", "tls", NULL, NEXT("TLS", "remove this section")},
    {"", "metrics", NULL, NEXT("the metrics page", "remove this section")},
    {"listener", "tls", "starttls", NEXT_LINE("TLS")},
    {"listener", "tls", "implicit", NEXT_LINE("TLS")},
    {"listener", "tls", "legacy", NEXT_LINE("TLS")},
    {"listener", "auth", "optional", NEXT_LINE("sign-in")},
    {"listener", "auth", "required", NEXT_LINE("sign-in")},
    {"listener", "auth-in-clear", NULL, NEXT_LINE("sign-in")},
    {"listener", "protocol", "pop3", NEXT("POP3", "remove this listener")},
    {"listener", "protocol", "imap", NEXT("IMAP", "remove this listener")},
    {"route", "deliver", "mailbox", NEXT("delivery to mailboxes", "remove this route")},
    {"route", "tls", NULL, NEXT_LINE("TLS")},
    {"route", "user", NULL, NEXT_LINE("sign-in")},
    {"route", "secret-file", NULL, NEXT_LINE("sign-in")},
    {"route", "auth-in-clear", NULL, NEXT_LINE("sign-in")},
};

static bool
same_word(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

const char *
config_later(const char *section, const char *name, const char *word)
{
	for (size_t i = 0; i < COUNT_OF(later); i++)
		if (strcmp(later[i].section, section) == 0 &&
		    strcmp(later[i].name, name) == 0 && same_word(later[i].word, word))
			return later[i].text;
	return NULL;
}
