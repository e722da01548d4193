/* SPDX-License-Identifier: ISC */
/*
 * mailboxes - the commands about held mail.  A slice is read in the pool; its lines are
 * written while the client takes them; then comes the next, or first the change that
 * deletes what was chosen of this one.
 */
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "relay/control/boxes.h"
#include "relay/control/client.h"

#define PIECE (12u << 10)

enum box_command { BOX_LIST, BOX_SHOW, BOX_EXPORT, BOX_DELETE };

struct boxes {
	struct control_client *client; /* NULL: the connection is gone */
	struct control *control;
	enum box_command command;
	struct box_selector selector;
	uint64_t limit;
	bool dry_run;
	uint32_t uid_of_admin;
	struct spool_query *query;
	bool reading; /* the slice is the pool's */
	struct box_slice slice;
	size_t at;
	uint64_t offset; /* EXPORT: in the mail at `at`; 0: its line is not written yet */
	bool opened;
	uint64_t matched, deleted;
	uint64_t unreadable; /* EXPORT: mails that are not whole in the answer */
	size_t chosen;       /* of the slice, to be deleted */
	struct later step;
};

static void
journal(const struct boxes *b, int status)
{
	LOG(b->control->log, EV_ADMIN, F_STR("what", "mailbox-delete"),
	    F_INT("uid", b->uid_of_admin), F_STR("account", b->selector.owner),
	    F_STR("folder", b->selector.folder), F_INT("deleted", b->deleted),
	    F_INT("status", status));
}

static void
boxes_free(void *arg)
{
	struct boxes *b = arg;
	later_clear(&b->step);
	box_slice_clear(&b->slice);
	box_selector_clear(&b->selector);
	mem_free(&b);
}

static void
gone(struct control_client *cc)
{
	struct boxes *b = cc->command;
	b->client = NULL;
	if (b->deleted > 0 && b->chosen == 0)
		journal(b, 1); /* on_deleted() tells of what is under way */
	if (b->reading)
		spool_cancel_query(&b->query); /* boxes_free() when it is over */
	else if (b->chosen == 0)
		boxes_free(b);
	/* else: the change comes back */
}

static void
over(struct boxes *b, int status, const char *error)
{
	struct control_client *cc = b->client;
	if (b->command == BOX_DELETE && !b->dry_run)
		journal(b, status);
	boxes_free(b);
	if (cc == NULL)
		return;
	cc->command = NULL;
	control_end(cc, status, error);
}

static void
sum_up(struct boxes *b)
{
	if (b->command == BOX_DELETE && b->client != NULL) {
		struct json *j = control_line(b->client);
		json_open(j, '{');
		json_cstr(j, "action", "mailbox-delete");
		json_int(j, "matched", (int64_t)b->matched);
		json_int(j, "applied", (int64_t)b->deleted);
		json_bool(j, "dry_run", b->dry_run);
		json_close(j, '}');
		control_send(b->client);
	}
	bool none = b->matched == 0 && b->command != BOX_SHOW;
	if (b->unreadable > 0)
		over(b, 1, "some mails are not whole: what is said of them tells which");
	else
		over(b, none ? 1 : 0, none ? "nothing matched" : NULL);
}

/* ---- reading */

static void
run(struct spool_reader *r, void *arg)
{
	struct boxes *b = arg;
	box_slice_read(r, &b->slice);
}

static void
done(void *arg)
{
	struct boxes *b = arg;
	b->query = NULL;
	b->reading = false;
	b->at = 0;
	if (b->slice.err != OK && b->slice.err != ERR_NOT_FOUND)
		over(b, 1, err_text(b->slice.err));
	else
		later_set(&b->step);
}

static void
read_on(struct boxes *b)
{
	box_slice_clear(&b->slice);
	b->reading = true;
	b->query = spool_query_start(
	    b->control->spool, run, done, boxes_free, b, loop_inbox(b->control->loop));
}

/* ---- what is chosen goes */

static void
on_deleted(void *arg, enum err e)
{
	struct boxes *b = arg;
	if (e == OK)
		b->deleted += b->chosen;
	b->chosen = 0;
	if (e != OK && e != ERR_NOT_FOUND)
		over(b, 1, "the mails could not be deleted; the log says why");
	else if (b->client == NULL)
		over(b, 1, NULL);
	else if (b->slice.more)
		read_on(b);
	else
		sum_up(b);
}

static void
delete_slice(struct boxes *b)
{
	struct mail_change *c =
	    mail_change_new(span_str(b->selector.owner), span_str(b->selector.folder));
	struct wall now = world_wall(loop_world(b->control->loop));
	for (size_t i = 0; i < b->slice.n; i++) {
		if (!box_selected(&b->selector, &b->slice.mail[i].row, now) ||
		    (b->limit > 0 && b->matched == b->limit))
			continue;
		mail_change_delete(c, b->slice.mail[i].row.uid);
		b->matched++;
		b->chosen++;
	}
	if (b->dry_run || b->chosen == 0) {
		mail_change_free(&c);
		b->chosen = 0;
		if (b->slice.more)
			read_on(b);
		else
			sum_up(b);
		return;
	}
	struct spool_request *q = spool_mail_change_start(
	    b->control->spool, c, loop_inbox(b->control->loop), on_deleted, b);
	(void)q;
}

/* ---- lines */

static void
owner_line(struct boxes *b, const struct owner_row *o)
{
	const struct directory *d = b->control->host.directory;
	const struct config *c = control_config(b->control);
	box_show_owner(control_line(b->client), o,
	    d != NULL ? directory_settings(d, c, span_str(o->name)) : NULL,
	    d != NULL && directory_has(d, span_str(o->name)));
	control_send(b->client);
}

/* False: the client is full, or the mail cannot be read. */
static bool
export_mail(struct boxes *b, const struct box_mail *m)
{
	char room[PIECE];
	struct buf text;
	size_t n = 1;
	enum err e = OK;
	if (!b->opened) {
		b->unreadable += m->mail == NULL;
		box_show_mail(control_line(b->client), m);
		control_send(b->client);
		b->opened = true;
	}
	buf_init(&text, 2 * PIECE);
	while (n > 0 && m->mail != NULL && !control_full(b->client)) {
		e = box_mail_piece(m->mail, &b->offset, room, sizeof(room), &n);
		if (e != OK || n == 0)
			break;
		buf_reset(&text);
		base64_encode((struct span){room, n}, &text);
		struct json *j = control_line(b->client);
		json_open(j, '{');
		json_str(j, "data", buf_span(&text));
		json_close(j, '}');
		control_send(b->client);
	}
	buf_clear(&text);
	if (e != OK) {
		box_show_cut(control_line(b->client), m, e);
		control_send(b->client);
		b->unreadable++;
	} else if (n > 0 && m->mail != NULL) {
		return false;
	}
	b->opened = false;
	b->offset = 0;
	return true;
}

/* False: come back when there is room. */
static bool
write_one(struct boxes *b)
{
	const struct box_mail *m = &b->slice.mail[b->at];
	if (b->command == BOX_LIST) {
		owner_line(b, &b->slice.row[b->at]);
	} else if (!box_selected(
		       &b->selector, &m->row, world_wall(loop_world(b->control->loop)))) {
		return true;
	} else if (b->command == BOX_EXPORT) {
		if (!export_mail(b, m))
			return false;
	} else {
		box_show_mail(control_line(b->client), m);
		control_send(b->client);
	}
	b->matched++;
	return true;
}

static void
step(void *arg)
{
	struct boxes *b = arg;
	if (b->command == BOX_DELETE) {
		delete_slice(b);
		return;
	}
	for (; b->at < b->slice.n; b->at++) {
		if (control_full(b->client) || !write_one(b)) {
			io_want_drained(b->client->io);
			return;
		}
		if (b->limit > 0 && b->matched == b->limit) {
			sum_up(b);
			return;
		}
	}
	if (b->slice.more)
		read_on(b);
	else
		sum_up(b);
}

static void
more(struct control_client *cc)
{
	struct boxes *b = cc->command;
	if (!b->reading && b->chosen == 0)
		later_set(&b->step);
}

/* ---- the commands */

static void
start(struct control_client *cc, const json_t *request, enum box_command command)
{
	struct boxes *b = NEW(struct boxes);
	struct buf why;
	buf_init(&why, 500);
	b->client = cc;
	b->control = cc->control;
	b->command = command;
	b->limit = command_limit(request);
	b->dry_run = json_is_true(json_object_get(request, "dry_run"));
	b->uid_of_admin = cc->uid;
	b->slice.owners = command == BOX_LIST;
	b->slice.with_content = command == BOX_EXPORT;
	later_init(&b->step, cc->control->loop, step, b);
	if (command != BOX_LIST && !box_selector_read(&b->selector, request, &why)) {
		control_endf(cc, 2, "%.*s", SPAN_ARG(buf_span(&why)));
		boxes_free(b);
	} else if (command == BOX_DELETE && box_selector_says_nothing(&b->selector)) {
		control_end(cc, 2, "say which mails: --older 30d, --uidl ID, or --all");
		boxes_free(b);
	} else {
		memcpy(b->slice.owner, b->selector.owner, sizeof(b->slice.owner));
		memcpy(b->slice.folder, b->selector.folder, sizeof(b->slice.folder));
		cc->command = b;
		cc->more = more;
		cc->gone = gone;
		read_on(b);
	}
	buf_clear(&why);
}

void
command_mailbox_list(struct control_client *cc, const json_t *request)
{
	start(cc, request, BOX_LIST);
}

static void
settings_line(struct control_client *cc, const char *name)
{
	char owner[MAILBOX_OWNER_MAX + 1];
	const struct directory *d = cc->control->host.directory;
	if (d == NULL)
		return;
	box_owner(name, owner);
	box_show_settings(control_line(cc), owner,
	    directory_settings(d, control_config(cc->control), span_str(owner)));
	control_send(cc);
}

void
command_mailbox_show(struct control_client *cc, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	const struct directory *d = cc->control->host.directory;
	struct mailbox_usage usage;
	char owner[MAILBOX_OWNER_MAX + 1];
	box_owner(name ? name : "", owner);
	spool_mailbox_usage(cc->control->spool, span_str(owner), &usage);
	if (name != NULL && d != NULL && !directory_has(d, span_str(name)) &&
	    usage.messages == 0) {
		control_endf(cc, 1,
		    "there is no account \"%.80s\"; relayctl user list tells which there "
		    "are",
		    name);
		return;
	}
	if (name != NULL)
		settings_line(cc, name);
	start(cc, request, BOX_SHOW);
}

void
command_mailbox_export(struct control_client *cc, const json_t *request)
{
	start(cc, request, BOX_EXPORT);
}

void
command_mailbox_delete(struct control_client *cc, const json_t *request)
{
	start(cc, request, BOX_DELETE);
}
