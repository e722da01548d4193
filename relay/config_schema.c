/* SPDX-License-Identifier: ISC */
/*
 * config_schema - the one table of what a configuration may say.  Parser,
 * defaults, messages, relayd.conf(5) and the notes of a reload are all made from
 * it; a new key is a new row.  What one sentence cannot say of a key stands in
 * tools/relayd.conf.5.in.
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
#define OF_MAILBOXES "(that of `mailboxes`)"

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
static const char *const view_words[] = {"whole", "source", "header", NULL};
static const char *const unread_words[] = {"stay", "delete", "return", NULL};
static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const formats[] = {"text", "json", NULL};

const struct config_section config_sections[] = {
    {"", false, ""},
    {"spool", false, "Where messages are kept."},
    {"history", false,
	"What became of each recipient, for `relayctl history` and `relayctl why` when "
	"the message has left the queue long ago."},
    {"listener", true,
	"Where mail is taken; at least one is needed, and each has a name of its own "
	"(letters, digits, `-`, `_` and `.`)."},
    {"tls", false, "Certificates."},
    {"accounts", false, "People and programs that sign in."},
    {"mailboxes", false,
	"Mail that is held here until its people fetch it by POP3, or read it in place "
	"by IMAP."},
    {"mailbox", true,
	"The same for some accounts or domains, in place of what `mailboxes` says."},
    {"submit", false,
	"The socket where relay-sendmail(1) hands in the mail of local users."},
    {"rule", true, "Who is let in or kept out."},
    {"limit", true, "How much one client, account or sender may do in a time."},
    {"dnsbl", true, "DNS block lists."},
    {"limits", false, "What clients may do, on all listeners."},
    {"timeouts", false,
	"How long a client may be silent before its connection is closed."},
    {"route", true, "Where mail goes."},
    {"retry", false,
	"When a delivery that failed for now is tried again, and for how long."},
    {"outgoing", false, "Connections to other servers."},
    {"dns", false, "Who is asked for names."},
    {"control", false, "The socket of relayctl(8)."},
    {"metrics", false,
	"Figures for Prometheus, health checks and the status page, by HTTP; see "
	"relayd-metrics(7)."},
    {"log", false, "What is written to standard error."},
    {NULL, false, NULL},
};

const struct config_key config_schema[] = {
    /* ---- outside of all sections */
    TOP("hostname", TYPE_DOMAIN, KEY_RESTART, 0, 0, "(the name of this machine)",
	policy.hostname,
	"The name of this relay: in its greeting and in EHLO, in Received fields and "
	"Message-IDs, as the sender of its notices."),
    LIST("", "networks", TYPE_NETWORKS, KEY_EMPTY_OK, "127.0.0.1/32, ::1/128",
	struct config, policy.networks.net, policy.networks.n,
	"Clients that may send to anyone without a password."),
    TOP("postmaster", TYPE_MAILBOX, 0, 0, 0, "(`postmaster` at the hostname)", postmaster,
	"Gets the mail to <Postmaster> without a domain, and the notices that cannot be "
	"delivered to the sender of a message."),
    TOP("user", TYPE_TEXT, KEY_RESTART, 1, 32, "(it stays who it is)", user,
	"The user that relayd(8) becomes when it was started as root, after it has "
	"opened its ports."),
    TOP("threads", TYPE_COUNT, KEY_RESTART, 0, 64, "0", threads,
	"Threads that serve connections, 64 at most."),
    TOP("i-want-an-open-relay", TYPE_BOOL, 0, 0, 0, "false", open_relay,
	"Anyone may send to anyone through this host, in the Internet also."),

    /* ---- spool */
    IN("spool", "path", TYPE_PATH, KEY_RESTART, 1, 4000, "(none; it must be given)",
	spool.path, "The directory of the queue."),
    IN("spool", "max-size", TYPE_SIZE, KEY_RESTART, 0, 1024 * T, "0", spool.max_size,
	"How much the queue may hold; then clients are told to come back later."),
    IN("spool", "min-free", TYPE_SIZE, KEY_RESTART, 0, 1024 * T, "128M", spool.min_free,
	"With less free space than this on the disk, clients are told to come back "
	"later."),
    IN("spool", "inline-max", TYPE_SIZE, KEY_RESTART, 0, 64 * M, "256K", spool.inline_max,
	"A message that is larger is a file of its own beside the database."),
    IN("spool", "node", TYPE_COUNT, KEY_RESTART, 0, 1023, "0", spool.node,
	"The number of this relay among its siblings, 0 to 1023."),

    /* ---- history */
    IN("history", "days", TYPE_COUNT, KEY_RESTART, 0, HISTORY_DAYS_MAX, "14",
	history.days, "So many days are kept, today included; 0 keeps none."),
    IN("history", "max-size", TYPE_SIZE, KEY_RESTART, 0, 1024 * T, "1G", history.max_size,
	"What all of them may take; the oldest days go first."),

    /* ---- listener */
    LIST("listener", "bind", TYPE_BIND, 0, "[::]:25", struct listener_config, bind, binds,
	"Where it listens, up to 16 addresses, each with its port."),
    WORDS("listener", "protocol", protocols, "smtp", struct listener_config, protocol,
	"What is spoken there."),
    WORDS("listener", "tls", tls_words,
	"(`starttls` where `tls { }` names a certificate, else `none`)",
	struct listener_config, tls, "How connections are encrypted:"),
    LISTENER("tls-required", TYPE_BOOL, 0, 0, "false", tls_required,
	"No mail is taken without TLS."),
    WORDS("listener", "client-certificate", certificate_words, "no",
	struct listener_config, certificate, "Whether clients show a certificate."),
    WORDS("listener", "auth", auth_words, "no", struct listener_config, auth,
	"Whether clients sign in:"),
    LISTENER("auth-in-clear", TYPE_BOOL, 0, 0, "false", auth_in_clear,
	"Passwords may come without TLS."),
    LISTENER("apop", TYPE_BOOL, 0, 0, "false", apop,
	"With `protocol = pop3`, offer APOP (RFC 1939), by which a client proves that "
	"it knows a password without sending it."),
    LIST("listener", "auth-in-clear-from", TYPE_NETWORKS, 0, "(everyone)",
	struct listener_config, auth_in_clear_from.net, auth_in_clear_from.n,
	"Passwords may come without TLS from these clients only."),
    LIST("listener", "networks", TYPE_NETWORKS, KEY_EMPTY_OK,
	"(the list outside of all sections)", struct listener_config, networks.net,
	networks.n,
	"Who may send to anyone by this listener, in place of the list outside of all "
	"sections."),
    LIST("listener", "clients", TYPE_NETWORKS, 0, "(everyone)", struct listener_config,
	clients.net, clients.n, "Who may connect at all; others are turned away."),
    LIST("listener", "proxy-from", TYPE_NETWORKS, 0, "(none)", struct listener_config,
	proxy_from.net, proxy_from.n,
	"Proxies, whose connections begin with a PROXY header."),
    LIST("listener", "xclient-from", TYPE_NETWORKS, 0, "(none)", struct listener_config,
	xclient_from.net, xclient_from.n,
	"Who may use XCLIENT, and so speak as any client address and any account."),
    LISTENER("message-size", TYPE_SIZE, 0, 4 * G, "(that of `limits`)", message_size,
	"The largest message that is taken here."),
    LISTENER("recipients", TYPE_COUNT, 0, 100000, "(that of `limits`)", recipients,
	"Recipients of one message here."),

    /* ---- tls */
    LIST("tls", "certificate", TYPE_PATHS, 0, "(none; a self-signed certificate is made)",
	struct config, tls.certificates.name, tls.certificates.n,
	"PEM files, each with a certificate and behind it its chain."),
    LIST("tls", "key", TYPE_PATHS, 0, "(the key stands in the file of its certificate)",
	struct config, tls.keys.name, tls.keys.n,
	"PEM files with the keys, one for each certificate, in the same order."),
    IN("tls", "client-ca", TYPE_FILE, 0, 1, 4000, "(none)", tls.client_ca,
	"PEM file with authorities."),
    LIST("tls", "client-fingerprints", TYPE_FINGERPRINTS, 0, "(none)", struct config,
	tls.client_fingerprints.name, tls.client_fingerprints.n,
	"Clients that show one of these certificates may send to anyone, whoever signed "
	"it."),
    IN("tls", "ca", TYPE_FILE, 0, 1, 4000, "(those of the system)", tls.ca,
	"PEM file with the authorities for the certificates of next hops."),

    /* ---- accounts */
    IN("accounts", "path", TYPE_PATH, KEY_RESTART, 1, 4000,
	"(the directory `accounts` in that of the queue)", accounts.path,
	"The directory where they are kept."),
    IN("accounts", "delay", TYPE_DURATION, 0, 0, MINUTE_MS, "2s", accounts.delay_ms,
	"A wrong password is answered after this, as an unknown name is."),
    IN("accounts", "attempts", TYPE_COUNT, 0, 1, 10000, "10", accounts.attempts,
	"Wrong passwords from one client, after which it is locked out."),
    IN("accounts", "lockout", TYPE_DURATION, 0, SECOND_MS, (uint64_t)DAY_MS, "15m",
	accounts.lockout_ms, "A client is locked out for so long."),
    IN("accounts", "cache", TYPE_DURATION, 0, 0, (uint64_t)DAY_MS, "5m",
	accounts.cache_ms, "A right password is believed again at once for so long."),

    /* ---- mailboxes */
    IN("mailboxes", "delimiter", TYPE_TEXT, 0, 0, 1, "+", delimiter, "One character."),
    IN("mailboxes", "quota", TYPE_SIZE, 0, 0, 1024 * T, "0", mailbox_default.quota,
	"How much all mail of one account may take."),
    IN("mailboxes", "quota-messages", TYPE_COUNT, 0, 0, QUOTA_MESSAGES_MAX, "0",
	mailbox_default.quota_messages, "How many messages that may be."),
    WORDS("mailboxes", "over-quota", over_words, "defer", struct config,
	mailbox_default.over,
	"What the sender of mail that does not fit is told: with `defer` to come again "
	"later (452), with `reject` that it is refused (552)."),
    WORDS("mailboxes", "unread", unread_words, "stay", struct config,
	mailbox_default.unread,
	"What becomes of mail that its owner has not fetched in the time of "
	"`unread-after`: it stays, it is deleted, or it goes back to its sender with a "
	"notice."),
    IN("mailboxes", "unread-after", TYPE_DURATION, 0, 0, KEEP_MAX, "0",
	mailbox_default.unread_ms,
	"That time, one hour at least; it is needed with `delete` and `return`."),
    IN("mailboxes", "picked-after", TYPE_DURATION, 0, 0, KEEP_MAX, "0",
	mailbox_default.picked_ms,
	"How long mail stays that was fetched and left on the server, one hour at least; "
	"`0`: for ever."),
    WORDS("mailboxes", "folders", folder_words, "full", struct config,
	mailbox_default.folders, "Whether people may have more than INBOX, by IMAP."),
    WORDS("mailboxes", "admin-expunge", expunge_words, "refuse", struct config,
	admin_expunge, "What EXPUNGE does in an administrator's folder Queue."),
    WORDS("mailboxes", "admin-view", view_words, "whole", struct config, admin_view,
	"How mail in an administrator's folders is shown: as it is; or as a text, that "
	"of "
	"the whole message as it stands, or of its header alone."),
    IN("mailboxes", "login-delay", TYPE_DURATION, 0, 0, (uint64_t)DAY_MS, "0",
	mailbox_default.login_delay_ms,
	"How long after a sign-in by POP3 the next one of the same account may come."),

    /* ---- mailbox */
    LIST("mailbox", "account", TYPE_NAMES, 0, "(none)", struct mailbox_config,
	accounts.name, accounts.n, "Accounts that it is for."),
    LIST("mailbox", "domain", TYPE_DOMAINS, 0, "(none)", struct mailbox_config,
	domains.name, domains.n,
	"The accounts that have an address in one of these domains."),
    MAILBOX("quota", TYPE_SIZE, 1024 * T, quota,
	"How much all mail of one account may take."),
    MAILBOX("quota-messages", TYPE_COUNT, QUOTA_MESSAGES_MAX, quota_messages,
	"How many messages that may be."),
    WORDS("mailbox", "over-quota", over_words, OF_MAILBOXES, struct mailbox_config, over,
	"What the sender of mail that does not fit is told: with `defer` to come again "
	"later (452), with `reject` that it is refused (552)."),
    WORDS("mailbox", "unread", unread_words, OF_MAILBOXES, struct mailbox_config, unread,
	"What becomes of mail that its owner has not fetched in the time of "
	"`unread-after`: it stays, it is deleted, or it goes back to its sender with a "
	"notice."),
    MAILBOX("unread-after", TYPE_DURATION, KEEP_MAX, unread_ms,
	"That time, one hour at least."),
    MAILBOX("picked-after", TYPE_DURATION, KEEP_MAX, picked_ms,
	"How long mail stays that was fetched and left on the server, one hour at least; "
	"`0`: for ever."),
    WORDS("mailbox", "folders", folder_words, OF_MAILBOXES, struct mailbox_config,
	folders, "Whether people may have more than INBOX, by IMAP."),
    MAILBOX("login-delay", TYPE_DURATION, (uint64_t)DAY_MS, login_delay_ms,
	"How long after a sign-in by POP3 the next one of the same account may come."),

    /* ---- submit */
    IN("submit", "path", TYPE_PATH, KEY_RESTART, 1, SUN_PATH_MAX,
	"(none; then relay-sendmail(1) speaks to a listener)", submit.path,
	"The socket; 107 octets at most."),
    IN("submit", "mode", TYPE_MODE, KEY_RESTART, 0, 0777, "0666", submit.mode,
	"Its permissions: who may write to it may send mail."),

    /* ---- rule */
    WORDS("rule", "action", action_words, "reject", struct rule, action,
	"What becomes of the recipient:"),
    LIST("rule", "from", TYPE_PATTERNS, 0, "(any)", struct rule, from.pattern, from.n,
	"Senders that it is for."),
    LIST("rule", "to", TYPE_PATTERNS, 0, "(any)", struct rule, to.pattern, to.n,
	"Recipients that it is for."),
    LIST("rule", "helo", TYPE_PATTERNS, 0, "(any)", struct rule, helo.pattern, helo.n,
	"Names that the client gives in EHLO."),
    LIST("rule", "client", TYPE_NETWORKS, 0, "(any)", struct rule, clients.net, clients.n,
	"Clients that it is for."),
    LIST("rule", "listener", TYPE_NAMES, 0, "(any)", struct rule, listeners.name,
	listeners.n, "Listeners that it is for."),
    LIST("rule", "account", TYPE_NAMES, 0, "(any)", struct rule, accounts.name,
	accounts.n, "Accounts that it is for."),
    {"rule", "text", TYPE_TEXT, 0, 1, 200, "(words of our own)", NULL,
	offsetof(struct rule, text), 0, "The reason that a refused client reads."},

    /* ---- limit */
    WORDS("limit", "per", per_words, "client", struct limit_config, per,
	"Who is counted: each client address, each account or each sender."),
    LIST("limit", "connections", TYPE_RATES, 0, "(no limit)", struct limit_config,
	connections.rate, connections.n, "Connections; with `per = client` only."),
    LIST("limit", "messages", TYPE_RATES, 0, "(no limit)", struct limit_config,
	messages.rate, messages.n, "Messages in a time."),
    LIST("limit", "recipients", TYPE_RATES, 0, "(no limit)", struct limit_config,
	recipients.rate, recipients.n, "Recipients in a time."),
    LIST("limit", "listener", TYPE_NAMES, 0, "(all of them)", struct limit_config,
	listeners.name, listeners.n, "On these listeners."),
    LIST("limit", "client", TYPE_NETWORKS, 0, "(all of them)", struct limit_config,
	clients.net, clients.n, "For these clients."),

    /* ---- dnsbl */
    {"dnsbl", "zone", TYPE_ZONE, 0, 1, 255, "(none; it must be given)", NULL,
	offsetof(struct dnsbl_config, zone), 0, "The zone of the list."},
    LIST("dnsbl", "answers", TYPE_NETWORKS, 0,
	"(127.0.0.0/8 without 127.255.0.0/16, by which lists tell of errors)",
	struct dnsbl_config, answers.net, answers.n, "The answers that count."),
    WORDS("dnsbl", "action", dnsbl_words, "reject", struct dnsbl_config, action,
	"What becomes of a stranger who is listed."),
    {"dnsbl", "text", TYPE_TEXT, 0, 1, 200, "(words of our own)", NULL,
	offsetof(struct dnsbl_config, text), 0,
	"The reason that a refused client reads."},

    /* ---- limits */
    IN("limits", "message-size", TYPE_SIZE, 0, 1 * K, 4 * G, "50M", server.message_size,
	"The largest message that is taken, from 1K to 4G."),
    IN("limits", "recipients", TYPE_COUNT, 0, 1, 100000, "1000", server.recipients,
	"Recipients of one message; the client is told to send again for the others."),
    IN("limits", "messages", TYPE_COUNT, 0, 1, 1000000, "1000", server.messages,
	"Messages on one connection."),
    IN("limits", "connections", TYPE_COUNT, 0, 1, 1000000, "10000", server.connections,
	"Connections of all clients together."),
    IN("limits", "client-connections", TYPE_COUNT, 0, 1, 1000000, "200",
	server.client_connections, "Connections of one client address."),
    IN("limits", "errors", TYPE_COUNT, 0, 1, 10000, "20", server.errors,
	"Refused commands; then the connection is closed with code 421."),
    IN("limits", "account-sessions", TYPE_COUNT, 0, 1, 100000, "60",
	server.account_sessions,
	"IMAP sessions of one account at a time; mail programs open five or so each."),
    IN("limits", "hops", TYPE_COUNT, 0, 1, 1000, "50", server.hops,
	"Received fields of a message; one with more of them goes in circles and is "
	"refused."),
    IN("limits", "memory", TYPE_SIZE, 0, 1 * M, 1 * T, "128M", server.memory,
	"Message content held in memory for all connections together."),

    /* ---- timeouts */
    IN("timeouts", "command", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "5m",
	server.command_ms, "Until the next command."),
    IN("timeouts", "data", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "3m", server.data_ms,
	"Until the next piece of a message."),
    IN("timeouts", "pickup", TYPE_DURATION, 0, 10 * (uint64_t)MINUTE_MS, WAIT_MAX, "10m",
	server.pickup_ms,
	"Until the next command of a client that fetches mail by POP3, 10 minutes at "
	"least."),
    IN("timeouts", "imap", TYPE_DURATION, 0, 30 * (uint64_t)MINUTE_MS, WAIT_MAX, "30m",
	server.imap_ms,
	"The same by IMAP, 30 minutes at least, once it has signed in; clients renew "
	"IDLE sooner than that."),

    /* ---- route */
    LIST("route", "to", TYPE_PATTERNS, 0, "(any recipient)", struct route, to.pattern,
	to.n, "Patterns for the recipient, one of which must match."),
    LIST("route", "from", TYPE_PATTERNS, 0, "(any sender)", struct route, from.pattern,
	from.n, "Patterns for the sender, one of which must match."),
    LIST("route", "account", TYPE_NAMES, 0, "(any, and none)", struct route,
	accounts.name, accounts.n, "Accounts, one of which must have sent it."),
    LIST("route", "listener", TYPE_NAMES, 0, "(any)", struct route, listeners.name,
	listeners.n,
	"Listeners, by one of which it must have come; `local` is the socket of "
	"`submit`."),
    LIST("route", "client", TYPE_NETWORKS, 0, "(any)", struct route, clients.net,
	clients.n, "Clients, from one of which it must have come."),
    WORDS("route", "deliver", deliver_words, "(`via` where a `via` is given, else `mx`)",
	struct route, deliver, "What is done with the mail:"),
    LIST("route", "via", TYPE_HOPS, 0, "(none)", struct route, hop, hops,
	"The next hops, up to 16 in the order of preference: when one cannot be reached "
	"the next is tried, and after a while the first again."),
    ROUTE("port", TYPE_PORT, 1, 65535, "25", port,
	"The port of the servers, for `deliver = mx`."),
    ROUTE("allow-loopback", TYPE_BOOL, 0, 0, "false", allow_loopback,
	"With `deliver = mx`, a server may have a loopback or another special address."),
    ROUTE("inbound", TYPE_BOOL, 0, 0, "(`true` with `deliver = mailbox`, else `false`)",
	inbound,
	"Strangers, too, may send to the recipients of this route: mail for the own "
	"domains."),
    ROUTE("catch-all", TYPE_TEXT, 1, 128, "(nobody; such mail is refused)", catch_all,
	"With `deliver = mailbox`: the account that gets what is for nobody."),
    ROUTE("text", TYPE_TEXT, 1, 200, "(words of our own)", reject_text,
	"For `deliver = reject`, what the client is told."),
    WORDS("route", "tls", route_tls_words, "opportunistic", struct route, tls,
	"How connections are encrypted:"),
    ROUTE("tls-name", TYPE_DOMAIN, 0, 0, "(that of the next hop)", tls_name,
	"With `tls = verify`: the name that the certificate must have."),
    ROUTE("tls-ca", TYPE_FILE, 1, 4000, "(that of `tls`)", tls_ca,
	"With `tls = verify`: PEM file with the authorities for this route."),
    LIST("route", "tls-fingerprints", TYPE_FINGERPRINTS, 0, "(none)", struct route,
	fingerprints.name, fingerprints.n,
	"With `tls = verify`: the certificates that are right, whatever their name, "
	"authority and dates."),
    ROUTE("user", TYPE_TEXT, 1, 255, "(none; it does not sign in)", user,
	"The name to sign in with."),
    ROUTE("secret-file", TYPE_FILE, 1, 4000, "(none)", secret_file,
	"The password is the first line of this file."),
    ROUTE("auth-in-clear", TYPE_BOOL, 0, 0, "false", auth_in_clear,
	"The password may go without TLS."),
    LIST("route", "source", TYPE_SOURCE, 0, "(as the system chooses)", struct route,
	source, sources, "Own addresses for connections, one IPv4 and one IPv6 at most."),
    ROUTE("helo", TYPE_DOMAIN, 0, 0, "(the hostname)", helo, "Our name in EHLO."),
    WORDS("route", "family", family_words, "any", struct route, family,
	"Addresses of which kind are used, or used first."),
    ROUTE("ipv4-fallback", TYPE_BOOL, 0, 0, "true", ipv4_fallback,
	"What a server refuses over IPv6 because of who we are is tried over IPv4 at "
	"once."),
    LIST("route", "socks", TYPE_SOCKS, 0, "(none)", struct route, socks, socks_n,
	"A SOCKS5 proxy to go through."),
    ROUTE("concurrency", TYPE_COUNT, 1, 10000, "(that of `outgoing`)", concurrency,
	"Most connections at once to one destination of this route."),
    LIST("route", "rate", TYPE_RATES, 0, "(no limit)", struct route, rates.rate, rates.n,
	"Messages of this route in a time; others wait for their turn."),
    LIST("route", "rewrite-sender", TYPE_REWRITES, 0, "(none)", struct route,
	rewriting.sender.rule, rewriting.sender.n, "For the sender of the envelope."),
    LIST("route", "rewrite-from", TYPE_REWRITES, 0, "(none)", struct route,
	rewriting.from.rule, rewriting.from.n,
	"For From, Sender, Reply-To, Resent-From and Resent-Sender in the header."),
    ROUTE("keep-reply-to", TYPE_BOOL, 0, 0, "false", rewriting.keep_reply_to,
	"When From is replaced, the old one goes into Reply-To, unless there is one."),
    LIST("route", "rewrite-to", TYPE_REWRITES, 0, "(none)", struct route,
	rewriting.recipient.rule, rewriting.recipient.n,
	"For the recipients of the envelope; the header stays."),
    LIST("route", "masquerade", TYPE_MASQUERADE, 0, "(none)", struct route,
	rewriting.masquerade.rule, rewriting.masquerade.n,
	"In the sender and in the header, a subdomain of one of these becomes the domain "
	"itself."),
    ROUTE("always-bcc", TYPE_MAILBOX, 0, 0, "(nobody)", always_bcc,
	"Gets each message of this route as well."),

    /* ---- retry */
    IN("retry", "interval", TYPE_DURATION, 0, WAIT_MIN, 7 * (uint64_t)DAY_MS, "30m",
	retry.interval_ms, "From one attempt to the next, after the second."),
    IN("retry", "first", TYPE_DURATION, 0, WAIT_MIN, (uint64_t)DAY_MS, "5m",
	retry.first_ms, "From the first attempt to the second."),
    IN("retry", "jitter", TYPE_PERCENT, 0, 0, 50, "10%", retry.jitter_percent,
	"How much each of these is made longer or shorter by chance, so that not all "
	"mail moves in one moment; 50% at most."),
    IN("retry", "expire", TYPE_DURATION, 0, SECOND_MS, 366 * (uint64_t)DAY_MS, "5d",
	retry.expire_ms,
	"Mail that is not delivered after this goes back to its sender, with the "
	"reason."),
    IN("retry", "warn", TYPE_DURATION, 0, 0, 366 * (uint64_t)DAY_MS, "4h", retry.warn_ms,
	"After this the sender is told that the mail waits, and why."),
    IN("retry", "bounce-expire", TYPE_DURATION, 0, SECOND_MS, 366 * (uint64_t)DAY_MS,
	"1d", retry.bounce_expire_ms,
	"The same as `expire` for notices, which have no sender to go back to: they go "
	"to the postmaster."),
    IN("retry", "keep-failed", TYPE_DURATION, 0, 0, 366 * (uint64_t)DAY_MS, "0",
	retry.keep_failed_ms,
	"How long mail that has failed for good is kept for an administrator, who finds "
	"it by `relayctl mailbox show \"failed mail\"` or in the folder Failed by IMAP "
	"(see `admin-expunge`)."),

    /* ---- outgoing */
    IN("outgoing", "concurrency", TYPE_COUNT, 0, 1, 10000, "20", client.concurrency,
	"Most connections at once to one destination."),
    IN("outgoing", "initial", TYPE_COUNT, 0, 1, 10000, "5", client.initial,
	"Connections at first, until it is known what the destination takes; not more "
	"than `concurrency`."),
    IN("outgoing", "connections", TYPE_COUNT, 0, 1, 1000000, "500", client.connections,
	"Connections to all destinations together."),
    IN("outgoing", "recipients", TYPE_COUNT, 0, 1, 10000, "100", client.recipients,
	"Recipients in one transaction; a message with more is sent several times."),
    IN("outgoing", "messages", TYPE_COUNT, 0, 1, 1000000, "1000", client.messages,
	"Messages on one connection, which then is closed."),
    IN("outgoing", "idle", TYPE_DURATION, 0, 0, 10 * (uint64_t)MINUTE_MS, "5s",
	client.idle_ms, "An unused connection is kept so long for the next message."),
    IN("outgoing", "connect", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "30s",
	client.connect_ms, "Wait for a connection."),
    IN("outgoing", "greeting", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "5m",
	client.greeting_ms, "Wait for the greeting of the server."),
    IN("outgoing", "helo", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "5m", client.helo_ms,
	"Wait for the answer to EHLO or HELO."),
    IN("outgoing", "mail", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "5m", client.mail_ms,
	"Wait for the answer to MAIL."),
    IN("outgoing", "rcpt", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "5m", client.rcpt_ms,
	"Wait for the answer to RCPT."),
    IN("outgoing", "data", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "2m", client.data_ms,
	"Wait for the answer to DATA."),
    IN("outgoing", "block", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "3m", client.block_ms,
	"Wait until the server takes the next piece of a message."),
    IN("outgoing", "final-dot", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "10m",
	client.dot_ms, "Wait for the answer to the end of a message."),
    IN("outgoing", "quit", TYPE_DURATION, 0, WAIT_MIN, WAIT_MAX, "5s", client.quit_ms,
	"Wait for the answer to QUIT."),

    /* ---- dns */
    LIST("dns", "servers", TYPE_SERVERS, KEY_RESTART, "(those of `/etc/resolv.conf`)",
	struct config, dns.servers, dns.servers,
	"Addresses of name servers, in order; without a port it is 53, and an IPv6 "
	"address with a port stands in brackets."),
    IN("dns", "timeout", TYPE_DURATION, KEY_RESTART, WAIT_MIN, 5 * (uint64_t)MINUTE_MS,
	"5s", dns.timeout_ms, "Wait for one answer."),

    /* ---- control */
    IN("control", "path", TYPE_PATH, KEY_RESTART, 1, SUN_PATH_MAX,
	"/run/relayd/control.sock", control_path,
	"The socket, by which relayctl(8) finds the relay; 107 octets at most."),
    IN("control", "mode", TYPE_MODE, KEY_RESTART, 0, 0777, "0660", control_mode,
	"Its permissions: who may write to it steers the relay."),

    /* ---- metrics */
    LIST("metrics", "bind", TYPE_BIND, 0, "(`127.0.0.1:9525`, where this section stands)",
	struct config, metrics.bind, metrics.binds, "Where they are served."),
    IN("metrics", "tls", TYPE_BOOL, KEY_RESTART, 0, 0, "false", metrics.tls,
	"By https, with the certificates of `tls { }`."),
    IN("metrics", "in-clear", TYPE_BOOL, 0, 0, 0, "false", metrics.in_clear,
	"Other machines may read figures and health without TLS."),
    LIST("metrics", "hosts", TYPE_DOMAINS, 0,
	"(addresses, `localhost` and the `hostname`)", struct config, metrics.hosts.name,
	metrics.hosts.n,
	"More names that it may be called by, as a browser writes them into its address "
	"line."),

    /* ---- log */
    WORDS("log", "level", levels, "info", struct config, log_level,
	"What is less important than this is left out."),
    WORDS("log", "format", formats, "text", struct config, log_format,
	"Lines for people, or one JSON object a line."),

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
