/* SPDX-License-Identifier: ISC */
/*
 * relayctl - see and steer relayd.  A table of commands; each turns its words
 * into a request (ctl.h).
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "relay/version.h"
#include "tools/ctl.h"

enum words {
	WORDS_NONE,
	WORDS_IDS,
	WORDS_HISTORY,
	WORDS_TRACE,
	WORDS_TOP,
	WORDS_WHAT,
	WORDS_DOMAIN,
	WORDS_FROM_TO,
	WORDS_ROUTE,
	WORDS_POLICY,
	WORDS_USER,
	WORDS_MAILBOX,
	WORDS_CHECK,
	WORDS_SHAPE,
	WORDS_DRAIN,
	WORDS_RELOAD,
	WORDS_SPOOL,
	WORDS_IMPORT,
	WORDS_BUNDLE
};

static const struct command {
	const char *name;
	enum words words;
	const char *usage, *about;
} commands[] = {
    {"status", WORDS_NONE, "", "counters, spool, destinations at a glance"},
    {"queue", WORDS_IDS, "[ID...] [SELECTOR]", "what waits: one line per recipient"},
    {"show", WORDS_IDS, "ID", "everything known about a message"},
    {"why", WORDS_IDS, "ID", "what happened so far, why it waits, when it moves next"},
    {"history", WORDS_HISTORY,
	"[ID...] [SELECTOR] [--msgid M] [--event E] [--since T] [--until T]",
	"what became of messages, gone ones too"},
    {"cat", WORDS_IDS, "ID", "the message itself"},
    {"hosts", WORDS_NONE, "", "destinations: state, connections, last failure"},
    {"shape", WORDS_SHAPE,
	"[--by domain|sender|route|error] [--sender] [--error] [SELECTOR]",
	"how old the queue is: a column for each age, a line for each domain"},
    {"retry", WORDS_IDS, "ID...|SELECTOR", "try again now"},
    {"hold", WORDS_IDS, "ID...|SELECTOR", "keep until released"},
    {"release", WORDS_IDS, "ID...|SELECTOR", "let held mail go"},
    {"bounce", WORDS_IDS, "ID...|SELECTOR", "return to the sender now"},
    {"delete", WORDS_IDS, "ID...|SELECTOR", "remove without a notice"},
    {"pause", WORDS_WHAT,
	"in|out|route:NAME|DOMAIN [--for 2h] [--reason TEXT] [--dry-run]",
	"stop for a while"},
    {"resume", WORDS_WHAT, "in|out|route:NAME|DOMAIN [--dry-run]", "go on"},
    {"drain", WORDS_DRAIN, "[--for 10m] [--dry-run]",
	"take no more mail, and wait until all that is ready is delivered"},
    {"top", WORDS_TOP, "[--every 2s] [--limit N]",
	"what comes and goes, and the busiest destinations, drawn anew and anew"},
    {"trace", WORDS_TRACE, "in|out [--ip NET] [--domain NAME] [--for 5m] [--limit N]",
	"what is said on SMTP connections, as they are opened"},
    {"reload", WORDS_RELOAD, "[--dry-run]", "read the configuration again"},
    {"route-test", WORDS_FROM_TO, "FROM TO [--account A] [--listener L] [--ip ADDR]",
	"which route a recipient takes, and why no earlier one"},
    {"policy-test", WORDS_POLICY,
	"--ip ADDR --from FROM --to TO [--helo NAME] [--account A] [--listener L]",
	"what SMTP would answer, and which step decides"},
    {"probe", WORDS_ROUTE, "ROUTE [DOMAIN]",
	"connect to its next hops, sign in, send nothing"},
    {"dns", WORDS_DOMAIN, "DOMAIN", "where the DNS says its mail goes"},
    {"user", WORDS_USER, "add|passwd|list|delete|set|secret ...",
	"accounts that may sign in (below)"},
    {"mailbox", WORDS_MAILBOX, "list|show|export|delete ...",
	"mail that is held for pickup (below)"},
    {"check", WORDS_CHECK, "", "check the configuration file"},
    {"spool", WORDS_SPOOL, "check|stat|backup|restore|compact ...",
	"the queue as a whole (below)"},
    {"spool-check", WORDS_NONE, "", "the same as spool check"},
    {"import", WORDS_IMPORT, "postfix [MAIN.CF]",
	"Postfix's configuration as one for relayd, with what could not be kept"},
    {"support-bundle", WORDS_BUNDLE, "[FILE.tar | -]",
	"configuration, state and log for whoever helps, without secrets"},
};

static void
usage(FILE *to)
{
	fputs("usage: relayctl [-c FILE] [--json] COMMAND ...\n\n", to);
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		fprintf(to, "  %-12s %s\n  %-12s %s\n", commands[i].name,
		    commands[i].usage, "", commands[i].about);
	putc('\n', to);
	ctl_user_usage(to);
	ctl_mailbox_usage(to);
	ctl_spool_usage(to);
	fputs(
	    "  A password is asked for on a terminal, or is the line of "
	    "--password-stdin;\n"
	    "  --hash-stdin takes a crypt(3) hash.  PATTERN is user@domain, domain or "
	    ".domain;\n"
	    "  FP is the SHA-256 of a certificate; --certificate \"\" removes all of "
	    "them.\n"
	    "\nSELECTOR: --id ID --from ADDR --to ADDR --domain D --route NAME --code C\n"
	    "          --state waiting|held|aside|new|deferred --older 2h --younger 1d "
	    "--all\n"
	    "          ADDR may hold * and ?;  -  reads ids from standard input\n"
	    "also:     --dry-run (say how many, change nothing)  --limit N\n"
	    "files:    $RELAYD_CONF or /etc/relayd/relayd.conf names the socket and the "
	    "spool;\n"
	    "          $RELAYD_SOCKET names the socket directly\n"
	    "exit:     0 done, 1 nothing matched or refused, 2 wrong use\n",
	    to);
}

enum {
	OPT_JSON = 256,
	OPT_DRY_RUN,
	OPT_LIMIT,
	OPT_ALL,
	OPT_SELECT, /* a member of the selector */
	OPT_TEXT,   /* a member of the request */
	OPT_LIST,   /* another element of a member of the request */
	OPT_PASSWORD,
	OPT_HASH,
	OPT_DISABLE,
	OPT_RECOVERABLE,
	OPT_KEEP_MAIL,
	OPT_DELETE_MAIL,
	OPT_ENABLE,
	OPT_BY,
	OPT_NUMBER,
	OPT_LINEAR,
};

static const struct option longs[] = {
    {"config", required_argument, NULL, 'c'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"json", no_argument, NULL, OPT_JSON},
    {"dry-run", no_argument, NULL, OPT_DRY_RUN},
    {"limit", required_argument, NULL, OPT_LIMIT},
    {"for", required_argument, NULL, OPT_TEXT},
    {"reason", required_argument, NULL, OPT_TEXT},
    {"msgid", required_argument, NULL, OPT_TEXT},
    {"event", required_argument, NULL, OPT_TEXT},
    {"since", required_argument, NULL, OPT_TEXT},
    {"every", required_argument, NULL, OPT_TEXT},
    {"until", required_argument, NULL, OPT_TEXT},
    {"ip", required_argument, NULL, OPT_TEXT},
    {"helo", required_argument, NULL, OPT_TEXT},
    {"account", required_argument, NULL, OPT_TEXT},
    {"listener", required_argument, NULL, OPT_TEXT},
    {"address", required_argument, NULL, OPT_LIST},
    {"certificate", required_argument, NULL, OPT_LIST},
    {"service", required_argument, NULL, OPT_LIST},
    {"uidl", required_argument, NULL, OPT_LIST},
    {"folder", required_argument, NULL, OPT_TEXT},
    {"format", required_argument, NULL, OPT_TEXT},
    {"recoverable", no_argument, NULL, OPT_RECOVERABLE},
    {"keep-mail", no_argument, NULL, OPT_KEEP_MAIL},
    {"delete-mail", no_argument, NULL, OPT_DELETE_MAIL},
    {"password-stdin", no_argument, NULL, OPT_PASSWORD},
    {"hash-stdin", no_argument, NULL, OPT_HASH},
    {"disable", no_argument, NULL, OPT_DISABLE},
    {"enable", no_argument, NULL, OPT_ENABLE},
    {"all", no_argument, NULL, OPT_ALL},
    {"by", required_argument, NULL, OPT_TEXT},
    {"sender", no_argument, NULL, OPT_BY},
    {"error", no_argument, NULL, OPT_BY},
    {"buckets", required_argument, NULL, OPT_NUMBER},
    {"bucket", required_argument, NULL, OPT_TEXT},
    {"linear", no_argument, NULL, OPT_LINEAR},
    {"id", required_argument, NULL, OPT_SELECT},
    {"from", required_argument, NULL, OPT_SELECT},
    {"to", required_argument, NULL, OPT_SELECT},
    {"domain", required_argument, NULL, OPT_SELECT},
    {"route", required_argument, NULL, OPT_SELECT},
    {"state", required_argument, NULL, OPT_SELECT},
    {"code", required_argument, NULL, OPT_SELECT},
    {"older", required_argument, NULL, OPT_SELECT},
    {"younger", required_argument, NULL, OPT_SELECT},
    {NULL, 0, NULL, 0},
};

const struct config *
ctl_config(struct ctl *c)
{
	if (c->config != NULL)
		return c->config;
	struct buf errors;
	buf_init(&errors, 256u << 10);
	c->config = config_read(c->config_file, &errors);
	if (c->config == NULL)
		fprintf(stderr, "%.*s\n", SPAN_ARG(buf_span(&errors)));
	buf_clear(&errors);
	return c->config;
}

int
ctl_run(struct ctl *c, const json_t *request)
{
	int status = ctl_ask(c, request);
	if (status >= 0)
		return status;
	if (ctl_can_offline(c->command) && c->socket == NULL)
		return ctl_offline(c, request);
	if (ctl_user_can_offline(c->command) && c->socket == NULL)
		return ctl_user_offline(c, request);
	if (ctl_mailbox_can_offline(c->command) && c->socket == NULL)
		return ctl_mailbox_offline(c, request);
	fprintf(stderr,
	    "relayctl: relayd does not answer%s%s; is it running, and is this its %s?\n",
	    c->socket ? " at " : "", c->socket ? c->socket : "",
	    c->socket ? "socket" : "configuration");
	return CTL_NOTHING;
}

/* JSON holds UTF-8 only: what is not cannot be meant, and must not be left out in
 * silence.
 */
static json_t *
text_value(const char *option, const char *text)
{
	json_t *v = json_string(text);
	if (v != NULL)
		return v;
	fprintf(stderr, "relayctl: --%s is not UTF-8 text\n", option);
	exit(CTL_USAGE);
}

static void
set_text(json_t *object, const char *option, const char *text)
{
	json_object_set_new(object, option, text_value(option, text));
}

/* --address a --address b; an empty text is the empty list. */
static void
add_text(json_t *request, const char *option, const char *text)
{
	if (json_object_get(request, option) == NULL)
		json_object_set_new(request, option, json_array());
	if (*text != '\0')
		json_array_append_new(
		    json_object_get(request, option), text_value(option, text));
}

/* The same request once per id; the first bad status is the answer. */
static int
run_for_id(struct ctl *c, json_t *request, const char *id)
{
	json_object_set_new(json_object_get(request, "selector"), "id", json_string(id));
	return ctl_run(c, request);
}

static int
run_for_stdin(struct ctl *c, json_t *request)
{
	char line[256];
	int status = CTL_DONE;
	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, " \t\r\n*!")] = '\0';
		if (line[0] == '\0')
			continue;
		int one = run_for_id(c, request, line);
		status = status ? status : one;
	}
	return status;
}

static int
run_ids(struct ctl *c, json_t *request, int argc, char **argv)
{
	if (argc == 0)
		return ctl_run(c, request);
	int status = CTL_DONE;
	for (int i = 0; i < argc; i++) {
		int one = strcmp(argv[i], "-") == 0 ? run_for_stdin(c, request)
						    : run_for_id(c, request, argv[i]);
		status = status ? status : one;
	}
	return status;
}

static int
wrong(const struct command *k)
{
	fprintf(stderr, "usage: relayctl %s %s\n", k->name, k->usage);
	return CTL_USAGE;
}

/* --from and --to are the selector's elsewhere; here they are who writes to whom. */
static int
run_policy_test(struct ctl *c, const struct command *k, json_t *request)
{
	static const char *const need[] = {"ip", "from", "to"};
	json_t *selector = json_object_get(request, "selector");
	json_object_update(request, selector);
	json_object_del(request, "selector");
	for (size_t i = 0; i < COUNT_OF(need); i++) {
		if (json_object_get(request, need[i]) != NULL)
			continue;
		fprintf(stderr, "relayctl: --%s is missing\n", need[i]);
		return wrong(k);
	}
	return ctl_run(c, request);
}

/* --domain is the name of the listener, host or destination. */
static int
run_trace(struct ctl *c, json_t *request, const char *what)
{
	json_t *selector = json_object_get(request, "selector");
	json_t *name = json_object_get(selector, "domain");
	if (name != NULL)
		json_object_set(request, "name", name);
	json_object_del(request, "selector");
	set_text(request, "what", what);
	return ctl_run(c, request);
}

static int
run_check(struct ctl *c)
{
	if (ctl_config(c) == NULL)
		return CTL_NOTHING;
	printf("%s: fine\n", c->config_file);
	return CTL_DONE;
}

/* What else than a selector a kind of command takes. An option that would seem to have an
 * effect and has none is refused: think of delete --all --account joe. */
static const char *
members_of(enum words words)
{
	switch (words) {
	case WORDS_IDS: return " dry_run limit ";
	case WORDS_WHAT: return " for reason dry_run ";
	case WORDS_SHAPE: return " by buckets bucket linear limit ";
	case WORDS_DRAIN: return " for dry_run ";
	case WORDS_RELOAD: return " dry_run ";
	case WORDS_TOP: return " every limit ";
	case WORDS_TRACE: return " ip for limit ";
	case WORDS_HISTORY: return " limit msgid event since until ";
	case WORDS_FROM_TO: return " account listener ip ";
	case WORDS_POLICY: return " ip helo account listener ";
	default: return "";
	}
}

static bool
options_fit(const struct ctl *c, const struct command *k, const json_t *request)
{
	const char *member, *bad = c->secret != CTL_SECRET_ASK ? "password-stdin" : NULL;
	json_t *value, *selector = json_object_get(request, "selector");
	char word[64];
	if (k->words == WORDS_USER || k->words == WORDS_MAILBOX ||
	    k->words == WORDS_SPOOL)
		return true; /* they look for themselves */
	json_object_foreach((json_t *)(uintptr_t)request, member, value)
	{
		(void)snprintf(word, sizeof(word), " %s ", member);
		if (strcmp(member, "v") != 0 && strcmp(member, "selector") != 0 &&
		    strstr(members_of(k->words), word) == NULL)
			bad = member;
	}
	json_object_foreach(selector, member, value)
	{
		bool who = strcmp(member, "from") == 0 || strcmp(member, "to") == 0;
		bool selects = k->words == WORDS_IDS || k->words == WORDS_HISTORY ||
			       k->words == WORDS_SHAPE;
		bool name = strcmp(member, "domain") == 0 && k->words == WORDS_TRACE;
		if (!selects && !name && !(k->words == WORDS_POLICY && who))
			bad = member;
	}
	if (bad != NULL)
		fprintf(stderr, "relayctl: --%s has no meaning here\n",
		    strcmp(bad, "dry_run") == 0 ? "dry-run" : bad);
	return bad == NULL;
}

static int
run_command(
    struct ctl *c, const struct command *k, json_t *request, int argc, char **argv)
{
	if (!options_fit(c, k, request))
		return wrong(k);
	json_object_set_new(request, "cmd", json_string(k->name));
	switch (k->words) {
	case WORDS_IDS:
		if (ctl_shows_queue(c))
			json_object_set_new(request, "brief", json_true());
		return run_ids(c, request, argc, argv);
	case WORDS_HISTORY: return run_ids(c, request, argc, argv);
	case WORDS_TOP: return argc == 0 ? ctl_top(c, request) : wrong(k);
	case WORDS_TRACE: return argc == 1 ? run_trace(c, request, argv[0]) : wrong(k);
	case WORDS_CHECK: return argc == 0 ? run_check(c) : wrong(k);
	case WORDS_SPOOL: return ctl_spool(c, request, argc, argv);
	case WORDS_IMPORT:
		if (argc < 1 || argc > 2 || strcmp(argv[0], "postfix") != 0)
			return wrong(k);
		return ctl_import_postfix(argc == 2 ? argv[1] : "/etc/postfix/main.cf");
	case WORDS_BUNDLE:
		return argc <= 1 ? ctl_bundle(c, argc == 1 ? argv[0] : NULL) : wrong(k);
	case WORDS_SHAPE:
	case WORDS_DRAIN:
	case WORDS_RELOAD:
	case WORDS_NONE: return argc == 0 ? ctl_run(c, request) : wrong(k);
	case WORDS_WHAT:
	case WORDS_DOMAIN:
		if (argc != 1)
			return wrong(k);
		json_object_set_new(request, k->words == WORDS_WHAT ? "what" : "domain",
		    json_string(argv[0]));
		return ctl_run(c, request);
	case WORDS_USER: return ctl_user(c, request, argc, argv);
	case WORDS_MAILBOX: return ctl_mailbox(c, request, argc, argv);
	case WORDS_POLICY: return argc == 0 ? run_policy_test(c, k, request) : wrong(k);
	case WORDS_ROUTE:
		if (argc < 1 || argc > 2)
			return wrong(k);
		json_object_del(request, "selector");
		set_text(request, "route", argv[0]);
		if (argc == 2)
			set_text(request, "domain", argv[1]);
		return ctl_run(c, request);
	case WORDS_FROM_TO:
		if (argc != 2)
			return wrong(k);
		json_object_set_new(request, "from", json_string(argv[0]));
		json_object_set_new(request, "to", json_string(argv[1]));
		return ctl_run(c, request);
	}
	return CTL_USAGE;
}

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* The command that begins alike, if there is one. */
static void
say_no_command(const char *name)
{
	const char *near = NULL;
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		if (strncmp(commands[i].name, name, 2) == 0)
			near = commands[i].name;
	fputs("relayctl: there is no command \"", stderr);
	ctl_put_to(stderr, name);
	if (near != NULL)
		fprintf(stderr, "\"; did you mean \"%s\"", near);
	fprintf(stderr, "%s relayctl --help lists all\n", near != NULL ? "? " : "\";");
}

/* Options into the request; false: it has been said what is wrong. */
static bool
parse_options(struct ctl *c, json_t *request, int argc, char **argv)
{
	json_t *selector = json_object_get(request, "selector");
	int opt, at = 0;
	while ((opt = getopt_long(argc, argv, "c:hV", longs, &at)) != -1) {
		switch (opt) {
		case 'c':
			c->config_file = optarg;
			c->socket = NULL;
			break;
		case 'h': usage(stdout); exit(CTL_DONE);
		case 'V': printf("relayctl %s\n", RELAYD_VERSION); exit(CTL_DONE);
		case OPT_JSON: c->json = true; break;
		case OPT_DRY_RUN:
			json_object_set_new(request, "dry_run", json_true());
			break;
		case OPT_LIMIT:
			json_object_set_new(
			    request, "limit", json_integer(strtoll(optarg, NULL, 10)));
			break;
		case OPT_TEXT: set_text(request, longs[at].name, optarg); break;
		case OPT_LIST: add_text(request, longs[at].name, optarg); break;
		case OPT_PASSWORD: c->secret = CTL_SECRET_PASSWORD; break;
		case OPT_HASH: c->secret = CTL_SECRET_HASH; break;
		case OPT_DISABLE:
		case OPT_ENABLE:
			json_object_set_new(
			    request, "disabled", json_boolean(opt == OPT_DISABLE));
			break;
		case OPT_RECOVERABLE:
			json_object_set_new(request, "recoverable", json_true());
			break;
		case OPT_KEEP_MAIL:
		case OPT_DELETE_MAIL:
			json_object_set_new(request, "mail",
			    json_string(opt == OPT_KEEP_MAIL ? "keep" : "delete"));
			break;
		case OPT_BY: set_text(request, "by", longs[at].name); break;
		case OPT_NUMBER:
			json_object_set_new(request, longs[at].name,
			    json_integer(strtoll(optarg, NULL, 10)));
			break;
		case OPT_LINEAR:
			json_object_set_new(request, "linear", json_true());
			break;
		case OPT_ALL: json_object_set_new(selector, "all", json_true()); break;
		case OPT_SELECT: set_text(selector, longs[at].name, optarg); break;
		default: /* getopt has said what is wrong */
			fputs("relayctl: see relayctl --help\n", stderr);
			return false;
		}
	}
	return true;
}

static unsigned
terminal_width(void)
{
	struct winsize w;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
		return w.ws_col;
	return 200;
}

static int
run(struct ctl *c, json_t *request, int argc, char **argv)
{
	const struct command *k = argc > 0 ? find_command(argv[0]) : NULL;
	if (k == NULL) {
		if (argc > 0)
			say_no_command(argv[0]);
		else
			usage(stderr);
		return CTL_USAGE;
	}
	c->command = k->name;
	ctl_choose_printer(c);
	return run_command(c, k, request, argc - 1, argv + 1);
}

int
main(int argc, char **argv)
{
	const char *file = getenv("RELAYD_CONF"), *socket = getenv("RELAYD_SOCKET");
	struct ctl c = {
	    .config_file = file && *file ? file : "/etc/relayd/relayd.conf",
	    .socket = socket && *socket ? socket : NULL,
	    .width = terminal_width(),
	};
	c.colour = ctl_wants_colour();
	json_t *request = json_pack("{s:i,s:{}}", "v", 1, "selector");
	int status = CTL_USAGE;
	struct ctl_words words;
	bool otherwise = ctl_called_otherwise(&c, argc, argv, &words, &status);
	if (otherwise && words.n > 0) {
		argc = (int)words.n;
		argv = words.word;
	}
	if ((!otherwise || words.n > 0) && parse_options(&c, request, argc, argv))
		status = run(&c, request, argc - optind, argv + optind);
	if (c.as_mailq && status == CTL_DONE)
		ctl_end_mailq(&c);
	json_decref(request);
	config_unref(&c.config);
	if (fflush(stdout) != 0 && status == CTL_DONE)
		status = CTL_NOTHING;
	return status;
}
