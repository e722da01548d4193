/* SPDX-License-Identifier: ISC */
/*
 * ctl_mailbox - "relayctl mailbox ...": held mail.  The answer's lines come from the
 * daemon or, with relayd stopped, from the spool looked into here; both are printed, or
 * written as mbox or .eml, by the same functions.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/when.h"
#include "relay/control/boxes.h"
#include "tools/ctl.h"

static const struct verb {
	const char *word, *cmd, *usage;
	bool name;
	const char *takes;
} verbs[] = {
    {"list", "mailbox-list", "list", false, " limit "},
    {"show", "mailbox-show", "show NAME [--folder F] [--older 30d] [--limit N]", true,
	" limit older uidl folder "},
    {"export", "mailbox-export",
	"export NAME [--folder F] [--older 30d] [--uidl ID]... [--format mbox|eml] "
	"[--to FILE|DIR]",
	true, " limit older uidl folder format to "},
    {"delete", "mailbox-delete",
	"delete NAME [--folder F] --older 30d | --uidl ID... | --all  [--dry-run]", true,
	" limit older uidl folder all dry_run "},
};

void
ctl_mailbox_usage(FILE *to)
{
	for (size_t i = 0; i < COUNT_OF(verbs); i++)
		fprintf(to, "  mailbox %s\n", verbs[i].usage);
}

static int
wrong(const struct verb *v)
{
	if (v != NULL)
		fprintf(stderr, "usage: relayctl mailbox %s\n", v->usage);
	else
		fputs("usage:\n", stderr);
	if (v == NULL)
		ctl_mailbox_usage(stderr);
	return CTL_USAGE;
}

/* ---- lists */

static void
day_of(const json_t *line, const char *name, char out[20])
{
	/* 2026-11-23T12:00:00.000Z */
	const char *iso = ctl_text(line, name);
	(void)snprintf(out, 20, "%s", *iso ? "" : "-");
	if (strlen(iso) >= 16)
		(void)snprintf(out, 20, "%.10s %.5s", iso, iso + 11);
}

static void
size_of(long long n, char out[24])
{
	struct buf b;
	buf_init(&b, 32);
	units_add_size(&b, n > 0 ? (uint64_t)n : 0);
	span_copy(buf_span(&b), out, 24);
	buf_clear(&b);
}

static void
room_left(const json_t *line, char out[60])
{
	char quota[24];
	long long octets = ctl_number(line, "quota"),
		  messages = ctl_number(line, "quota_messages");
	out[0] = '\0';
	if (octets > 0) {
		size_of(octets, quota);
		(void)snprintf(out, 60, "%lld%% of %s",
		    ctl_number(line, "octets") * 100 / octets, quota);
	} else if (messages > 0) {
		(void)snprintf(out, 60, "%lld%% of %lld mails",
		    ctl_number(line, "messages") * 100 / messages, messages);
	}
}

void
ctl_print_mailbox(struct ctl *c, const json_t *line)
{
	char size[24], count[24], last[20], oldest[20], room[60];
	if (!c->header) {
		ctl_cell("ACCOUNT", 24, false);
		ctl_cell("MAILS", 8, false);
		ctl_cell("SIZE", 8, false);
		ctl_cell("LAST PICKUP", 16, false);
		ctl_cell("OLDEST", 16, false);
		ctl_cell("QUOTA", 0, true);
	}
	c->header = true;
	(void)snprintf(count, sizeof(count), "%lld", ctl_number(line, "messages"));
	size_of(ctl_number(line, "octets"), size);
	day_of(line, "last_pickup", last);
	day_of(line, "oldest", oldest);
	room_left(line, room);
	ctl_cell(ctl_text(line, "name"), 24, false);
	ctl_cell(count, 8, false);
	ctl_cell(size, 8, false);
	ctl_cell(last, 16, false);
	ctl_cell(oldest, 16, false);
	const json_t *account = json_object_get(line, "account");
	ctl_cell(json_is_false(account) ? "(there is no such account)" : room, 0, true);
}

static void
duration_of(const json_t *line, const char *name, struct buf *out)
{
	duration_add(out, ctl_number(line, name) * SECOND_MS);
}

static void
print_settings(const json_t *line)
{
	struct buf b;
	char size[24];
	const char *unread = ctl_text(line, "unread");
	buf_init(&b, 2000);
	if (*ctl_text(line, "settings") != '\0')
		buf_addf(&b, "settings: mailbox \"%s\", line %lld;",
		    ctl_text(line, "settings"), ctl_number(line, "line"));
	else
		buf_add_str(&b, "settings: those of mailboxes { };");
	if (ctl_number(line, "quota") > 0) {
		size_of(ctl_number(line, "quota"), size);
		buf_addf(&b, " quota %s;", size);
	}
	if (ctl_number(line, "quota_messages") > 0)
		buf_addf(&b, " at most %lld mails;", ctl_number(line, "quota_messages"));
	if (strcmp(unread, "stay") != 0 && ctl_number(line, "unread_after_s") > 0) {
		buf_addf(&b, " what nobody fetches %s after ",
		    strcmp(unread, "return") == 0 ? "goes back to its sender"
						  : "is deleted");
		duration_of(line, "unread_after_s", &b);
		buf_add_str(&b, ";");
	}
	if (ctl_number(line, "picked_after_s") > 0) {
		buf_add_str(&b, " what was fetched is deleted after ");
		duration_of(line, "picked_after_s", &b);
		buf_add_str(&b, ";");
	}
	buf_add_char(&b, '\0');
	ctl_put(b.p);
	putchar('\n');
	buf_clear(&b);
}

void
ctl_print_mail(struct ctl *c, const json_t *line)
{
	char size[24], when[20];
	if (json_object_get(line, "mailbox") != NULL) {
		print_settings(line);
		return;
	}
	if (!c->header) {
		ctl_cell("UIDL", 13, false);
		ctl_cell("ARRIVED", 16, false);
		ctl_cell("SIZE", 7, false);
		ctl_cell("FETCHED", 16, false);
		ctl_cell("FROM -> TO", 0, true);
	}
	c->header = true;
	size_of(ctl_number(line, "message_size"), size);
	ctl_cell(ctl_text(line, "uidl"), 13, false);
	day_of(line, "arrival_time", when);
	ctl_cell(when, 16, false);
	ctl_cell(size, 7, false);
	day_of(line, "picked_up", when);
	ctl_cell(when, 16, false);
	if (json_object_get(line, "trouble") != NULL) {
		ctl_cell(ctl_text(line, "trouble"), 0, true);
		return;
	}
	putchar('<');
	ctl_put(ctl_text(line, "sender"));
	fputs("> -> ", stdout);
	ctl_put(ctl_text(line, "recipient"));
	putchar('\n');
}

void
ctl_print_mail_deleted(struct ctl *c, const json_t *line)
{
	bool dry = json_is_true(json_object_get(line, "dry_run"));
	long long n = ctl_number(line, dry ? "matched" : "applied");
	(void)c;
	printf("%lld mail%s %s\n", n, n == 1 ? "" : "s",
	    dry ? "would be deleted" : "deleted");
}

/* ---- export */

static struct writing {
	bool eml;
	const char *dir;
	FILE *out;
	bool line_start, after_cr;
	char held[8]; /* quotes and a beginning of "From " at the start of a line */
	size_t held_n;
	unsigned long long mails;
	bool failed;
} w;

static void
put_octet(char c)
{
	if (putc(c, w.out) == EOF)
		w.failed = true;
}

/* mboxrd: a line that begins with any number of ">" and "From " gets one ">" more.  Runs
 * of ">" go out as they come; what is held is a beginning of "From ". */
static void
put_mbox(char c)
{
	static const char from[] = "From ";
	if (w.line_start && c == from[w.held_n]) {
		w.held[w.held_n++] = c;
		if (w.held_n < sizeof(from) - 1)
			return;
		put_octet('>');
		fputs(from, w.out);
		w.held_n = 0;
		w.line_start = false;
		return;
	}
	for (size_t i = 0; i < w.held_n; i++)
		put_octet(w.held[i]);
	w.line_start = (w.line_start && w.held_n == 0 && c == '>') || c == '\n';
	w.held_n = 0;
	put_octet(c);
}

/* CRLF is the wire's: files of mail have LF. */
static void
put_data(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (w.after_cr && c != '\n')
			w.eml ? put_octet('\r') : put_mbox('\r');
		w.after_cr = c == '\r';
		if (w.after_cr)
			continue;
		if (w.eml)
			put_octet(c);
		else
			put_mbox(c);
	}
}

static void
end_mail(void)
{
	if (w.out == NULL || w.mails == 0)
		return;
	for (size_t i = 0; i < w.held_n; i++)
		put_octet(w.held[i]);
	w.held_n = 0;
	if (!w.eml)
		put_octet('\n');
	if (w.eml && fclose(w.out) != 0)
		w.failed = true;
	if (w.eml)
		w.out = NULL;
}

static void
open_eml(const char *uidl)
{
	struct buf path;
	buf_init(&path, 4096);
	buf_addf(&path, "%s/%s.eml", w.dir, uidl);
	char *name = buf_take(&path);
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	w.out = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (w.out == NULL) {
		fprintf(stderr, "relayctl: %s: %s\n", name, strerror(errno));
		exit(CTL_NOTHING);
	}
	mem_free(&name);
}

/* "From sender Mon Nov 23 12:00:00 2026" */
static void
begin_mbox(const json_t *line)
{
	const char *sender = ctl_text(line, "sender"),
		   *iso = ctl_text(line, "arrival_time");
	struct tm tm = {0};
	char when[64] = "Thu Jan  1 00:00:00 1970";
	if (strptime(iso, "%Y-%m-%dT%H:%M:%S", &tm) != NULL)
		(void)strftime(when, sizeof(when), "%a %b %e %H:%M:%S %Y", &tm);
	fprintf(w.out, "From %s %s\n",
	    *sender && strpbrk(sender, " \t\r\n") == NULL ? sender : "MAILER-DAEMON",
	    when);
}

static void
begin_mail(struct ctl *c, const json_t *line)
{
	if (json_object_get(line, "trouble") != NULL) {
		fprintf(stderr, "relayctl: mail %s cannot be read: %s\n",
		    ctl_text(line, "uidl"), ctl_text(line, "trouble"));
		w.failed = true;
	}
	(void)c;
	end_mail();
	w.mails++;
	w.line_start = true;
	w.after_cr = false;
	if (w.eml)
		open_eml(ctl_text(line, "uidl"));
	else
		begin_mbox(line);
	if (isatty(STDERR_FILENO) && w.mails % 100 == 0)
		fprintf(stderr, "\r%llu mails", w.mails);
}

void
ctl_print_export(struct ctl *c, const json_t *line)
{
	const char *data = json_string_value(json_object_get(line, "data"));
	struct buf octets;
	if (json_object_get(line, "cut") != NULL) {
		fprintf(stderr, "relayctl: mail %s ends before its end: %s\n",
		    ctl_text(line, "uidl"), ctl_text(line, "cut"));
		w.failed = true;
		return;
	}
	if (data == NULL) {
		begin_mail(c, line);
		return;
	}
	buf_init(&octets, 1u << 20);
	if (base64_decode(span_str(data), &octets) == OK)
		put_data(buf_span(&octets));
	else
		w.failed = true;
	buf_clear(&octets);
}

static bool
open_export(json_t *request)
{
	const char *format = ctl_text(request, "format"), *to = ctl_text(request, "to");
	w.eml = strcmp(format, "eml") == 0;
	w.out = stdout;
	if (!w.eml && *format != '\0' && strcmp(format, "mbox") != 0) {
		fputs("relayctl: --format is mbox or eml\n", stderr);
		return false;
	}
	if (w.eml && *to == '\0') {
		fputs("relayctl: --format eml needs a directory: --to DIR\n", stderr);
		return false;
	}
	if (w.eml) {
		w.dir = strdup(to);
		w.out = NULL;
		return true;
	}
	if (*to == '\0')
		return true;
	int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	w.out = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (w.out == NULL)
		fprintf(stderr, "relayctl: %s: %s\n", to, strerror(errno));
	return w.out != NULL;
}

static int
close_export(int status)
{
	end_mail();
	if (isatty(STDERR_FILENO) && w.mails >= 100)
		fputc('\n', stderr);
	if (!w.eml && w.out != NULL && fflush(w.out) != 0)
		w.failed = true;
	if (!w.eml && w.out != NULL && w.out != stdout && fclose(w.out) != 0)
		w.failed = true;
	if (w.failed)
		fputs("relayctl: what was exported is not complete\n", stderr);
	return w.failed && status == CTL_DONE ? CTL_NOTHING : status;
}

/* ---- with relayd stopped */

bool
ctl_mailbox_can_offline(const char *command)
{
	return strcmp(command, "mailbox-list") == 0 ||
	       strcmp(command, "mailbox-show") == 0 ||
	       strcmp(command, "mailbox-export") == 0;
}

static void
give(struct ctl *c, struct buf *text)
{
	json_t *line = json_loadb(text->p, text->n, 0, NULL);
	if (line != NULL)
		ctl_line(c, line, text->p, text->n);
	json_decref(line);
	buf_reset(text);
}

/* False: the mail is not whole, and that is said. */
static bool
give_data(struct ctl *c, const struct box_mail *m)
{
	char room[12u << 10];
	uint64_t at = 0;
	size_t n = 1;
	enum err e;
	while (
	    (e = box_mail_piece(m->mail, &at, room, sizeof(room), &n)) == OK && n > 0) {
		struct buf text, line;
		struct json j = {.out = &line};
		buf_init(&text, 1u << 20);
		buf_init(&line, 1u << 20);
		base64_encode((struct span){room, n}, &text);
		json_open(&j, '{');
		json_str(&j, "data", buf_span(&text));
		json_close(&j, '}');
		give(c, &line);
		buf_clear(&text);
		buf_clear(&line);
	}
	if (e != OK) {
		struct buf line;
		struct json j = {.out = &line};
		buf_init(&line, 1000);
		box_show_cut(&j, m, e);
		give(c, &line);
		buf_clear(&line);
	}
	return e == OK;
}

static unsigned long long
give_slice(struct ctl *c, const struct box_slice *s, const struct box_selector *sel,
    uint64_t left)
{
	unsigned long long n = 0;
	struct buf text;
	buf_init(&text, 1u << 20);
	for (size_t i = 0; i < s->n && n < left; i++) {
		struct json j = {.out = &text};
		if (s->owners) {
			box_show_owner(&j, &s->row[i], NULL, true);
			give(c, &text);
		} else if (box_selected(sel, &s->mail[i].row, world_wall(world_real()))) {
			box_show_mail(&j, &s->mail[i]);
			give(c, &text);
			if (s->with_content &&
			    (s->mail[i].mail == NULL || !give_data(c, &s->mail[i])))
				w.failed = true;
		} else {
			continue;
		}
		n++;
	}
	buf_clear(&text);
	return n;
}

static int
look(struct ctl *c, struct spool_reader *r, const json_t *request)
{
	struct box_selector sel = {0};
	struct buf why;
	buf_init(&why, 500);
	bool owners = strcmp(c->command, "mailbox-list") == 0;
	if (!owners && !box_selector_read(&sel, request, &why)) {
		fprintf(stderr, "relayctl: %.*s\n", SPAN_ARG(buf_span(&why)));
		buf_clear(&why);
		return CTL_USAGE;
	}
	struct box_slice *s = NEW(struct box_slice);
	s->owners = owners;
	s->with_content = strcmp(c->command, "mailbox-export") == 0;
	memcpy(s->owner, sel.owner, sizeof(s->owner));
	memcpy(s->folder, sel.folder, sizeof(s->folder));
	json_int_t limit = json_integer_value(json_object_get(request, "limit"));
	uint64_t left = limit > 0 ? (uint64_t)limit : UINT64_MAX, n = 0;
	do {
		box_slice_read(r, s);
		n += give_slice(c, s, &sel, left - n);
		box_slice_clear(s);
	} while (s->err == OK && s->more && n < left);
	enum err e = s->err == ERR_NOT_FOUND ? OK : s->err;
	if (e != OK)
		fprintf(stderr, "relayctl: reading the spool: %s\n", err_text(e));
	else if (n == 0)
		fputs("relayctl: there is no mail\n", stderr);
	mem_free(&s);
	box_selector_clear(&sel);
	return n > 0 && e == OK ? CTL_DONE : CTL_NOTHING;
}

int
ctl_mailbox_offline(struct ctl *c, const json_t *request)
{
	struct ctl_spool spool = {0};
	if (ctl_config(c) == NULL)
		return CTL_USAGE;
	if (ctl_spool_open(c, &spool) != OK)
		return CTL_NOTHING;
	int status = look(c, spool.reader, request);
	ctl_spool_close(&spool);
	return status;
}

/* ---- words */

/* --older, --all and --to are a selector's elsewhere. */
static void
take_selector(json_t *request)
{
	json_t *selector = json_object_get(request, "selector");
	json_object_update(request, selector);
	json_object_del(request, "selector");
}

static bool
options_fit(const struct ctl *c, const struct verb *v, json_t *request)
{
	const char *member;
	json_t *value;
	char word[64];
	json_object_foreach(request, member, value)
	{
		(void)snprintf(word, sizeof(word), " %s ", member);
		if (strcmp(member, "v") == 0 || strstr(v->takes, word) != NULL)
			continue;
		fprintf(stderr, "relayctl: --%s has no meaning here\n",
		    strcmp(member, "dry_run") == 0 ? "dry-run" : member);
		return false;
	}
	if (c->secret != CTL_SECRET_ASK)
		fputs("relayctl: no password is needed here\n", stderr);
	return c->secret == CTL_SECRET_ASK;
}

int
ctl_mailbox(struct ctl *c, json_t *request, int argc, char **argv)
{
	const struct verb *v = NULL;
	for (size_t i = 0; argc > 0 && i < COUNT_OF(verbs); i++)
		if (strcmp(verbs[i].word, argv[0]) == 0)
			v = &verbs[i];
	if (v == NULL || argc != 1 + v->name)
		return wrong(v);
	take_selector(request);
	json_object_del(request, "cmd");
	if (!options_fit(c, v, request))
		return wrong(v);
	bool export = strcmp(v->word, "export") == 0;
	if (export && !open_export(request))
		return CTL_USAGE;
	json_object_del(request, "format");
	json_object_del(request, "to");
	c->command = v->cmd;
	ctl_choose_printer(c);
	json_object_set_new(request, "cmd", json_string(v->cmd));
	if (v->name && json_object_set_new(request, "name", json_string(argv[1])) != 0) {
		fputs("relayctl: the name is not UTF-8 text\n", stderr);
		return CTL_USAGE;
	}
	int status = ctl_run(c, request);
	return export ? close_export(status) : status;
}
