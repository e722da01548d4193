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
#include "spool/history.h"

#define K (UINT64_C(1) << 10)
#define M (UINT64_C(1) << 20)
#define G (UINT64_C(1) << 30)
#define T (UINT64_C(1) << 40)

#define SUN_PATH_MAX 107 /* sockaddr_un.sun_path without its NUL */
#define WAIT_MIN 100     /* ms */
#define WAIT_MAX ((uint64_t)DAY_MS)
#define KEEP_MAX (3660 * (uint64_t)DAY_MS)
#define QUOTA_MESSAGES_MAX 1000000000
#define OF_MAILBOXES "(that of mailboxes)"

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
#define LISTENER(name, type, min, max, fallback, field, about)        \
	{                                                             \
		"listener", name, type, 0, min, max, fallback, NULL,  \
		    offsetof(struct listener_config, field), 0, about \
	}
#define ROUTE(name, type, min, max, fallback, field, about)       \
	{                                                         \
		"route", name, type, 0, min, max, fallback, NULL, \
		    offsetof(struct route, field), 0, about       \
	}

#define MAILBOX(name, type, max, field, about)                        \
	{                                                             \
		"mailbox", name, type, 0, 0, max, OF_MAILBOXES, NULL, \
		    offsetof(struct mailbox_config, field), 0, about  \
	}

/* Each in the order of its enum. */
static const char *const protocols[] = {"smtp", "lmtp", "pop3", "imap", NULL};
static const char *const tls_words[] = {"none", "starttls", "implicit", "legacy", NULL};
static const char *const certificate_words[] = {"no", "ask", "required", NULL};
static const char *const auth_words[] = {"no", "optional", "required", "any", NULL};
static const char *const route_tls_words[] = {
    "none", "opportunistic", "required", "verify", NULL};
static const char *const family_words[] = {
    "any", "ipv4", "ipv6", "ipv4-first", "ipv6-first", NULL};
static const char *const action_words[] = {"accept", "reject", "defer", "hold", NULL};
static const char *const per_words[] = {"client", "account", "sender", NULL};
static const char *const dnsbl_words[] = {"reject", "defer", "log", NULL};
static const char *const deliver_words[] = {
    "mx", "via", "discard", "reject", "hold", "lmtp", "mailbox", NULL};
static const char *const over_words[] = {"defer", "reject", NULL};
static const char *const folder_words[] = {"full", "inbox-only", NULL};
static const char *const expunge_words[] = {"refuse", "discard", NULL};
static const char *const unread_words[] = {"stay", "delete", "return", NULL};
static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const formats[] = {"text", "json", NULL};

const struct config_section config_sections[] = {
    {"", false, ""},
    {"spool", false, "where messages are kept"},
    {"history", false, "what became of each recipient"},
    {"listener", true, "where mail is taken"},
    {"tls", false, "certificates"},
    {"accounts", false, "people and programs that sign in"},
    {"mailboxes", false, "mail that is held until its people fetch it"},
    {"mailbox", true, "the same for some accounts or domains; the first that fits"},
    {"submit", false, "the socket of relay-sendmail"},
    {"rule", true, "who is let in or kept out; the first that fits"},
    {"limit", true, "how much one client, account or sender may do in a time"},
    {"dnsbl", true, "DNS block lists, asked about strangers"},
    {"limits", false, "what one client may do"},
    {"timeouts", false, "how long a client may be silent"},
    {"route", true, "where mail goes; the first that fits"},
    {"retry", false, "when a delivery is tried again, and for how long"},
    {"outgoing", false, "connections to other servers"},
    {"dns", false, "who is asked for names"},
    {"control", false, "the socket of relayctl"},
    {"metrics", false, "figures, health and the status page, by HTTP"},
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

    /* ---- history */
    IN("history", "days", TYPE_COUNT, KEY_RESTART, 0, HISTORY_DAYS_MAX, "14",
	history.days,
	"how many days what became of each recipient is kept; 0: not at all"),
    IN("history", "max-size", TYPE_SIZE, KEY_RESTART, 0, 1024 * T, "1G", history.max_size,
	"all of it; the oldest days go first; 0: no bound"),

    /* ---- listener */
    LIST("listener", "bind", TYPE_BIND, 0, "[::]:25", struct listener_config, bind, binds,
	"addresses and ports to listen on"),
    WORDS("listener", "protocol", protocols, "smtp", struct listener_config, protocol,
	"what is spoken there"),
    WORDS("listener", "tls", tls_words,
	"(starttls where a certificate is given, else none)", struct listener_config, tls,
	"how the connection is encrypted"),
    LISTENER(
	"tls-required", TYPE_BOOL, 0, 0, "false", tls_required, "no mail without TLS"),
    WORDS("listener", "client-certificate", certificate_words, "no",
	struct listener_config, certificate, "whether clients show a certificate"),
    WORDS("listener", "auth", auth_words, "no", struct listener_config, auth,
	"whether clients sign in"),
    LISTENER("auth-in-clear", TYPE_BOOL, 0, 0, "false", auth_in_clear,
	"passwords may come without TLS"),
    LISTENER("apop", TYPE_BOOL, 0, 0, "false", apop,
	"POP3: offer APOP, which needs secrets that are kept readable"),
    LIST("listener", "auth-in-clear-from", TYPE_NETWORKS, 0, "(everyone)",
	struct listener_config, auth_in_clear_from.net, auth_in_clear_from.n,
	"but only from these clients"),
    LIST("listener", "networks", TYPE_NETWORKS, KEY_EMPTY_OK, "(the global list)",
	struct listener_config, networks.net, networks.n,
	"replaces the global list on this listener"),
    LIST("listener", "clients", TYPE_NETWORKS, 0, "(everyone)", struct listener_config,
	clients.net, clients.n, "who may connect at all"),
    LIST("listener", "proxy-from", TYPE_NETWORKS, 0, "(none)", struct listener_config,
	proxy_from.net, proxy_from.n,
	"proxies: their connections begin with a PROXY header"),
    LIST("listener", "xclient-from", TYPE_NETWORKS, 0, "(none)", struct listener_config,
	xclient_from.net, xclient_from.n, "who may use XCLIENT, for tests"),
    LISTENER("message-size", TYPE_SIZE, 0, 4 * G, "(that of limits)", message_size,
	"the largest message that is taken here"),
    LISTENER("recipients", TYPE_COUNT, 0, 100000, "(that of limits)", recipients,
	"recipients of one message here"),

    /* ---- tls */
    LIST("tls", "certificate", TYPE_PATHS, 0, "(a self-signed one is made)",
	struct config, tls.certificates.name, tls.certificates.n,
	"PEM files: a certificate and its chain each"),
    LIST("tls", "key", TYPE_PATHS, 0, "(in the certificate's file)", struct config,
	tls.keys.name, tls.keys.n, "PEM files of their keys, in the same order"),
    IN("tls", "client-ca", TYPE_FILE, 0, 1, 4000, "(none)", tls.client_ca,
	"PEM file: clients with a certificate signed by these may relay"),
    LIST("tls", "client-fingerprints", TYPE_FINGERPRINTS, 0, "(none)", struct config,
	tls.client_fingerprints.name, tls.client_fingerprints.n,
	"SHA-256 of clients' certificates that may relay"),
    IN("tls", "ca", TYPE_FILE, 0, 1, 4000, "(the system's)", tls.ca,
	"PEM file: who signs the certificates of next hops"),

    /* ---- accounts */
    IN("accounts", "path", TYPE_PATH, KEY_RESTART, 1, 4000,
	"(the directory accounts in that of the spool)", accounts.path,
	"a directory of their own"),
    IN("accounts", "delay", TYPE_DURATION, 0, 0, MINUTE_MS, "2s", accounts.delay_ms,
	"until a wrong password is answered"),
    IN("accounts", "attempts", TYPE_COUNT, 0, 1, 10000, "10", accounts.attempts,
	"wrong passwords from one client until it is locked out"),
    IN("accounts", "lockout", TYPE_DURATION, 0, SECOND_MS, (uint64_t)DAY_MS, "15m",
	accounts.lockout_ms, "for so long"),
    IN("accounts", "cache", TYPE_DURATION, 0, 0, (uint64_t)DAY_MS, "5m",
	accounts.cache_ms, "how long a right password is believed again at once"),

    /* ---- mailboxes */
    IN("mailboxes", "delimiter", TYPE_TEXT, 0, 0, 1, "+", delimiter,
	"what parts an address from its detail: ann+lists@example.org"),
    IN("mailboxes", "quota", TYPE_SIZE, 0, 0, 1024 * T, "0", mailbox_default.quota,
	"how much all mail of one account may take; 0: no limit"),
    IN("mailboxes", "quota-messages", TYPE_COUNT, 0, 0, QUOTA_MESSAGES_MAX, "0",
	mailbox_default.quota_messages, "how many messages that may be; 0: no limit"),
    WORDS("mailboxes", "over-quota", over_words, "defer", struct config,
	mailbox_default.over, "whether mail that does not fit may come again later"),
    WORDS("mailboxes", "unread", unread_words, "stay", struct config,
	mailbox_default.unread, "what becomes of mail that nobody fetches"),
    IN("mailboxes", "unread-after", TYPE_DURATION, 0, 0, KEEP_MAX, "0",
	mailbox_default.unread_ms, "after so long"),
    IN("mailboxes", "picked-after", TYPE_DURATION, 0, 0, KEEP_MAX, "0",
	mailbox_default.picked_ms,
	"how long mail stays that was fetched and left there; 0: for ever"),
    WORDS("mailboxes", "folders", folder_words, "full", struct config,
	mailbox_default.folders, "whether people may have more than INBOX, by IMAP"),
    WORDS("mailboxes", "admin-expunge", expunge_words, "refuse", struct config,
	admin_expunge, "what EXPUNGE does in an administrator's folder Queue"),
    IN("mailboxes", "login-delay", TYPE_DURATION, 0, 0, (uint64_t)DAY_MS, "0",
	mailbox_default.login_delay_ms,
	"how long after a sign-in by POP3 the next one may come"),

    /* ---- mailbox */
    LIST("mailbox", "account", TYPE_NAMES, 0, "(none)", struct mailbox_config,
	accounts.name, accounts.n, "accounts that it is for"),
    LIST("mailbox", "domain", TYPE_DOMAINS, 0, "(none)", struct mailbox_config,
	domains.name, domains.n, "accounts with an address in these domains"),
    MAILBOX("quota", TYPE_SIZE, 1024 * T, quota,
	"how much all mail of one account may take; 0: no limit"),
    MAILBOX("quota-messages", TYPE_COUNT, QUOTA_MESSAGES_MAX, quota_messages,
	"how many messages that may be; 0: no limit"),
    WORDS("mailbox", "over-quota", over_words, OF_MAILBOXES, struct mailbox_config, over,
	"whether mail that does not fit may come again later"),
    WORDS("mailbox", "unread", unread_words, OF_MAILBOXES, struct mailbox_config, unread,
	"what becomes of mail that nobody fetches"),
    MAILBOX("unread-after", TYPE_DURATION, KEEP_MAX, unread_ms, "after so long"),
    MAILBOX("picked-after", TYPE_DURATION, KEEP_MAX, picked_ms,
	"how long mail stays that was fetched and left there; 0: for ever"),
    WORDS("mailbox", "folders", folder_words, OF_MAILBOXES, struct mailbox_config,
	folders, "whether people may have more than INBOX, by IMAP"),
    MAILBOX("login-delay", TYPE_DURATION, (uint64_t)DAY_MS, login_delay_ms,
	"how long after a sign-in by POP3 the next one may come"),

    /* ---- submit */
    IN("submit", "path", TYPE_PATH, KEY_RESTART, 1, SUN_PATH_MAX, "(none)", submit.path,
	"where relay-sendmail hands in the mail of local users"),
    IN("submit", "mode", TYPE_MODE, KEY_RESTART, 0, 0777, "0666", submit.mode,
	"its permissions"),

    /* ---- rule */
    WORDS("rule", "action", action_words, "reject", struct rule, action,
	"what becomes of the recipient"),
    LIST("rule", "from", TYPE_PATTERNS, 0, "(any)", struct rule, from.pattern, from.n,
	"senders that it is for"),
    LIST("rule", "to", TYPE_PATTERNS, 0, "(any)", struct rule, to.pattern, to.n,
	"recipients that it is for"),
    LIST("rule", "helo", TYPE_PATTERNS, 0, "(any)", struct rule, helo.pattern, helo.n,
	"names in EHLO that it is for"),
    LIST("rule", "client", TYPE_NETWORKS, 0, "(any)", struct rule, clients.net, clients.n,
	"clients that it is for"),
    LIST("rule", "listener", TYPE_NAMES, 0, "(any)", struct rule, listeners.name,
	listeners.n, "listeners that it is for"),
    LIST("rule", "account", TYPE_NAMES, 0, "(any)", struct rule, accounts.name,
	accounts.n, "accounts that it is for"),
    {"rule", "text", TYPE_TEXT, 0, 1, 200, "(relayd's own words)", NULL,
	offsetof(struct rule, text), 0, "the reason that a refused client reads"},

    /* ---- limit */
    WORDS("limit", "per", per_words, "client", struct limit_config, per,
	"who is counted: each client address, account, or sender"),
    LIST("limit", "connections", TYPE_RATES, 0, "(none)", struct limit_config,
	connections.rate, connections.n, "connections in a time: 100/1m"),
    LIST("limit", "messages", TYPE_RATES, 0, "(none)", struct limit_config, messages.rate,
	messages.n, "messages in a time"),
    LIST("limit", "recipients", TYPE_RATES, 0, "(none)", struct limit_config,
	recipients.rate, recipients.n, "recipients in a time"),
    LIST("limit", "listener", TYPE_NAMES, 0, "(all)", struct limit_config, listeners.name,
	listeners.n, "on these listeners"),
    LIST("limit", "client", TYPE_NETWORKS, 0, "(all)", struct limit_config, clients.net,
	clients.n, "for these clients"),

    /* ---- dnsbl */
    {"dnsbl", "zone", TYPE_ZONE, 0, 1, 255, "(none: it must be given)", NULL,
	offsetof(struct dnsbl_config, zone), 0, "the zone of the list"},
    LIST("dnsbl", "answers", TYPE_NETWORKS, 0, "(127.0.0.0/8 but 127.255.0.0/16)",
	struct dnsbl_config, answers.net, answers.n, "the answers that count"),
    WORDS("dnsbl", "action", dnsbl_words, "reject", struct dnsbl_config, action,
	"what becomes of a stranger who is listed"),
    {"dnsbl", "text", TYPE_TEXT, 0, 1, 200, "(relayd's own words)", NULL,
	offsetof(struct dnsbl_config, text), 0, "the reason that a refused client reads"},

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
    IN("limits", "account-sessions", TYPE_COUNT, 0, 1, 100000, "60",
	server.account_sessions, "IMAP sessions of one account at a time"),
    IN("limits", "hops", TYPE_COUNT, 0, 1, 1000, "50", server.hops,
	"Received fields of a message; with more of them it is in a loop"),
    IN("limits", "memory", TYPE_SIZE, 0, 1 * M, 1 * T, "128M", server.memory,
	"message content in memory, all connections together"),

    /* ---- timeouts */
    IN("timeouts", "command", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "5m",
	server.command_ms, "until a client's next command"),
    IN("timeouts", "data", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "3m", server.data_ms,
	"until the next piece of a message"),
    IN("timeouts", "pickup", TYPE_DURATION, 0, 10 * (uint64_t)MINUTE_MS, WAIT_MAX, "10m",
	server.pickup_ms, "until the next command of a client that fetches mail by POP3"),
    IN("timeouts", "imap", TYPE_DURATION, 0, 30 * (uint64_t)MINUTE_MS, WAIT_MAX, "30m",
	server.imap_ms,
	"the same by IMAP, once it has signed in; IDLE is renewed sooner"),

    /* ---- route */
    LIST("route", "to", TYPE_PATTERNS, 0, "(any)", struct route, to.pattern, to.n,
	"recipients that it is for"),
    LIST("route", "from", TYPE_PATTERNS, 0, "(any)", struct route, from.pattern, from.n,
	"senders that it is for"),
    LIST("route", "account", TYPE_NAMES, 0, "(any)", struct route, accounts.name,
	accounts.n, "accounts that it is for"),
    LIST("route", "listener", TYPE_NAMES, 0, "(any)", struct route, listeners.name,
	listeners.n, "listeners that it is for"),
    LIST("route", "client", TYPE_NETWORKS, 0, "(any)", struct route, clients.net,
	clients.n, "clients that it is for"),
    WORDS("route", "deliver", deliver_words, "(via where via is given, else mx)",
	struct route, deliver, "what is done with the mail"),
    LIST("route", "via", TYPE_HOPS, 0, "(none)", struct route, hop, hops,
	"next hops, in order of preference"),
    ROUTE("port", TYPE_PORT, 1, 65535, "25", port, "port of the servers found by MX"),
    ROUTE("allow-loopback", TYPE_BOOL, 0, 0, "false", allow_loopback,
	"an MX may lead to this machine"),
    ROUTE("inbound", TYPE_BOOL, 0, 0, "(true with deliver = mailbox, else false)",
	inbound, "strangers may send to the recipients of this route"),
    ROUTE("catch-all", TYPE_TEXT, 1, 128, "(nobody: it is refused)", catch_all,
	"the account that gets what is for nobody"),
    ROUTE("text", TYPE_TEXT, 1, 200, "(relayd's own words)", reject_text,
	"the reason that a refused sender reads"),
    WORDS("route", "tls", route_tls_words, "opportunistic", struct route, tls,
	"how connections are encrypted"),
    ROUTE("tls-name", TYPE_DOMAIN, 0, 0, "(the next hop's)", tls_name,
	"the name that its certificate must have"),
    ROUTE("tls-ca", TYPE_FILE, 1, 4000, "(that of tls)", tls_ca,
	"PEM file: who signs its certificate"),
    LIST("route", "tls-fingerprints", TYPE_FINGERPRINTS, 0, "(none)", struct route,
	fingerprints.name, fingerprints.n, "SHA-256 of the certificates that are right"),
    ROUTE(
	"user", TYPE_TEXT, 1, 255, "(do not sign in)", user, "the name to sign in with"),
    ROUTE("secret-file", TYPE_FILE, 1, 4000, "(none)", secret_file,
	"file whose first line is the password"),
    ROUTE("auth-in-clear", TYPE_BOOL, 0, 0, "false", auth_in_clear,
	"the password may go without TLS"),
    LIST("route", "source", TYPE_SOURCE, 0, "(the system's choice)", struct route, source,
	sources, "own address of connections, one of a family"),
    ROUTE("helo", TYPE_DOMAIN, 0, 0, "(hostname)", helo, "our name in EHLO"),
    WORDS("route", "family", family_words, "any", struct route, family, "IPv4 or IPv6"),
    ROUTE("ipv4-fallback", TYPE_BOOL, 0, 0, "true", ipv4_fallback,
	"what is refused over IPv6 by policy is tried over IPv4"),
    LIST("route", "socks", TYPE_SOCKS, 0, "(none)", struct route, socks, socks_n,
	"a SOCKS5 proxy to go through"),
    ROUTE("concurrency", TYPE_COUNT, 1, 10000, "(that of outgoing)", concurrency,
	"most connections at once to one destination"),
    LIST("route", "rate", TYPE_RATES, 0, "(none)", struct route, rates.rate, rates.n,
	"messages in a time: 10/1s, 2000/1d"),
    LIST("route", "rewrite-sender", TYPE_REWRITES, 0, "(none)", struct route,
	rewriting.sender.rule, rewriting.sender.n,
	"senders that are replaced: @office.lan=relay@example.org"),
    LIST("route", "rewrite-from", TYPE_REWRITES, 0, "(none)", struct route,
	rewriting.from.rule, rewriting.from.n,
	"the same for From and the other authors in the header"),
    ROUTE("keep-reply-to", TYPE_BOOL, 0, 0, "false", rewriting.keep_reply_to,
	"the author that was replaced is kept in Reply-To"),
    LIST("route", "rewrite-to", TYPE_REWRITES, 0, "(none)", struct route,
	rewriting.recipient.rule, rewriting.recipient.n, "recipients that are replaced"),
    LIST("route", "masquerade", TYPE_MASQUERADE, 0, "(none)", struct route,
	rewriting.masquerade.rule, rewriting.masquerade.n,
	"domains whose inner names stay inside, in sender and header"),
    ROUTE("always-bcc", TYPE_MAILBOX, 0, 0, "(none)", always_bcc,
	"one more recipient of every message"),

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
    IN("retry", "keep-failed", TYPE_DURATION, 0, 0, 366 * (uint64_t)DAY_MS, "0",
	retry.keep_failed_ms,
	"how long mail that has failed is kept for an administrator; 0: not at all"),

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

    /* ---- metrics */
    LIST("metrics", "bind", TYPE_BIND, 0,
	"(127.0.0.1:9525 where this section stands)", struct config, metrics.bind,
	metrics.binds, "addresses and ports of the status page and the figures"),
    IN("metrics", "tls", TYPE_BOOL, KEY_RESTART, 0, 0, "false", metrics.tls,
	"by https, with the certificates of tls"),
    IN("metrics", "in-clear", TYPE_BOOL, 0, 0, 0, "false", metrics.in_clear,
	"other machines may look without TLS; nobody signs in that way"),
    LIST("metrics", "hosts", TYPE_DOMAINS, 0, "(the hostname, localhost, the addresses)",
	struct config, metrics.hosts.name, metrics.hosts.n,
	"more names that browsers may call it by"),

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
