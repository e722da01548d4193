/* SPDX-License-Identifier: ISC */
/* boxes - see boxes.h. */
#include "relay/control/boxes.h"

#include <string.h>

#include "base/mem.h"
#include "base/units.h"

void
box_owner(const char *account, char out[MAILBOX_OWNER_MAX + 1])
{
	span_copy(span_str(account), out, MAILBOX_OWNER_MAX + 1);
	for (char *c = out; *c != '\0'; c++)
		*c = ascii_lower(*c);
}

/* ---- which */

void
box_selector_clear(struct box_selector *s)
{
	mem_free(&s->id);
	*s = (struct box_selector){0};
}

bool
box_selector_says_nothing(const struct box_selector *s)
{
	return s->older_ms == 0 && s->ids == 0 && !s->all;
}

static bool
read_ids(struct box_selector *s, const json_t *list, struct buf *why)
{
	size_t n = json_array_size(list);
	if (list != NULL && (!json_is_array(list) || n > BOX_IDS_MAX)) {
		buf_addf(why, "uidl is a list of at most %d", BOX_IDS_MAX);
		return false;
	}
	s->id = n > 0 ? mem_alloc(n * sizeof(*s->id)) : NULL;
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(list, i));
		if (text == NULL || !spool_id_parse(span_str(text), &s->id[s->ids++])) {
			buf_addf(why,
			    "\"%.40s\" is no UIDL; relayctl mailbox show lists them",
			    text ? text : "");
			return false;
		}
	}
	return true;
}

bool
box_selector_read(struct box_selector *s, const json_t *request, struct buf *why)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	const char *older = json_string_value(json_object_get(request, "older"));
	const char *folder = json_string_value(json_object_get(request, "folder"));
	*s = (struct box_selector){0};
	if (name == NULL || *name == '\0' || strlen(name) > MAILBOX_OWNER_MAX) {
		buf_add_str(why, "say whose mailbox");
		return false;
	}
	box_owner(name, s->owner);
	if (folder != NULL && (*folder == '\0' || strlen(folder) > MAILBOX_NAME_MAX)) {
		buf_add_str(why, "a folder's name has 1 to 255 octets");
		return false;
	}
	span_copy(span_str(folder != NULL ? folder : MAILBOX_INBOX), s->folder,
	    sizeof(s->folder));
	s->all = json_is_true(json_object_get(request, "all"));
	if (older != NULL &&
	    (units_duration(span_str(older), &s->older_ms) != OK || s->older_ms <= 0)) {
		buf_addf(why, "\"%.40s\" is no duration; write 30d", older);
		return false;
	}
	if (read_ids(s, json_object_get(request, "uidl"), why))
		return true;
	box_selector_clear(s);
	return false;
}

bool
box_selected(const struct box_selector *s, const struct mail_row *row, struct wall now)
{
	bool named = s->ids == 0;
	if (s->older_ms > 0 && wall_since(now, row->arrival) < s->older_ms)
		return false;
	for (size_t i = 0; i < s->ids && !named; i++)
		named = s->id[i] == row->id;
	return named;
}

/* ---- slices */

static void
read_owners(struct spool_reader *r, struct box_slice *s)
{
	enum err e = OK;
	while (s->n < BOX_SLICE && e == OK) {
		struct owner_row *o = &s->row[s->n];
		e = spool_read_owner(r, span_str(s->owner), o);
		if (e != OK)
			break;
		memcpy(s->owner, o->name, sizeof(s->owner));
		s->n++;
	}
	s->more = e == OK;
	s->err = e == ERR_NOT_FOUND ? OK : e;
}

static void
read_mails(struct spool_reader *r, struct box_slice *s)
{
	struct mail_row row[BOX_SLICE];
	struct mailbox_view box;
	uint64_t octets = 0;
	size_t n = 0;
	s->err = spool_read_mailbox(r, span_str(s->owner), span_str(s->folder), &box);
	if (s->err == OK)
		s->err = spool_read_mails(r, box.number, s->after, 0, row, BOX_SLICE, &n);
	s->more = n == BOX_SLICE;
	for (size_t i = 0; i < n; i++) {
		if (s->with_content && s->n > 0 &&
		    octets + row[i].size > BOX_SLICE_OCTETS) {
			s->more = true;
			return;
		}
		struct box_mail *m = &s->mail[s->n++];
		m->row = row[i];
		m->err =
		    spool_read_mail(r, box.number, row[i].uid, s->with_content, &m->mail);
		octets += row[i].size;
		s->after = row[i].uid;
	}
}

void
box_slice_read(struct spool_reader *r, struct box_slice *s)
{
	if (s->owners)
		read_owners(r, s);
	else
		read_mails(r, s);
}

void
box_slice_clear(struct box_slice *s)
{
	for (size_t i = 0; i < s->n && !s->owners; i++)
		kept_mail_free(&s->mail[i].mail);
	s->n = 0;
}

/* ---- objects */

static void
put_time(struct json *j, const char *name, struct wall t)
{
	struct buf b;
	if (t.ms == 0) {
		json_nothing(j, name);
		return;
	}
	buf_init(&b, 64);
	wall_add_iso(&b, t);
	json_str(j, name, buf_span(&b));
	buf_clear(&b);
}

void
box_show_owner(struct json *j, const struct owner_row *o,
    const struct mailbox_config *settings, bool known)
{
	json_open(j, '{');
	json_cstr(j, "name", o->name);
	json_int(j, "messages", (int64_t)o->usage.messages);
	json_int(j, "octets", (int64_t)o->usage.octets);
	put_time(j, "last_pickup", o->usage.last_pickup);
	put_time(j, "oldest", o->oldest);
	if (settings != NULL) {
		json_int(j, "quota", (int64_t)settings->quota);
		json_int(j, "quota_messages", (int64_t)settings->quota_messages);
		json_bool(j, "account", known);
	}
	json_close(j, '}');
}

void
box_show_mail(struct json *j, const struct box_mail *m)
{
	char id[SPOOL_ID_LEN + 1];
	spool_id_format(m->row.id, id);
	json_open(j, '{');
	json_int(j, "uid", m->row.uid);
	json_cstr(j, "uidl", id);
	put_time(j, "arrival_time", m->row.arrival);
	json_int(j, "message_size", (int64_t)m->row.size);
	put_time(j, "picked_up", m->row.picked);
	spool_id_format(m->row.message, id);
	json_cstr(j, "queue_id", id);
	if (m->mail != NULL) {
		json_str(j, "sender", m->mail->message->sender);
		json_str(j, "recipient", m->mail->recipient);
	} else {
		json_cstr(j, "trouble", err_text(m->err));
	}
	json_close(j, '}');
}

void
box_show_cut(struct json *j, const struct box_mail *m, enum err why)
{
	char id[SPOOL_ID_LEN + 1];
	spool_id_format(m->row.id, id);
	json_open(j, '{');
	json_cstr(j, "uidl", id);
	json_cstr(j, "cut", err_text(why));
	json_close(j, '}');
}

static void
put_days(struct json *j, const char *name, int64_t ms)
{
	if (ms > 0)
		json_int(j, name, ms / SECOND_MS);
	else
		json_nothing(j, name);
}

void
box_show_settings(
    struct json *j, const char *owner, const struct mailbox_config *settings)
{
	static const char *const unread[] = {"stay", "delete", "return"};
	json_open(j, '{');
	json_cstr(j, "mailbox", owner);
	json_cstr(j, "settings", settings->name);
	json_int(j, "line", settings->line);
	json_int(j, "quota", (int64_t)settings->quota);
	json_int(j, "quota_messages", (int64_t)settings->quota_messages);
	json_cstr(j, "unread", unread[settings->unread]);
	put_days(j, "unread_after_s", settings->unread_ms);
	put_days(j, "picked_after_s", settings->picked_ms);
	put_days(j, "login_delay_s", settings->login_delay_ms);
	json_close(j, '}');
}

/* ---- octets */

enum err
box_mail_piece(
    const struct kept_mail *m, uint64_t *at, char *room, size_t size, size_t *n)
{
	const struct message *msg = m->message;
	const struct span parts[] = {
	    m->own, msg->prefix, {NULL, (size_t)msg->size}, SPAN("\r\n")};
	size_t count = (msg->flags & MESSAGE_NO_CRLF) != 0 ? 4 : 3;
	uint64_t begins = 0;
	*n = 0;
	for (size_t i = 0; i < count; begins += parts[i].n, i++) {
		if (*at >= begins + parts[i].n)
			continue;
		uint64_t in = *at - begins;
		enum err e = OK;
		if (parts[i].p == NULL) {
			e = content_read(msg->content, in, room, size, n);
		} else {
			struct span s = span_cut(parts[i], (size_t)in, size);
			memcpy(room, s.p, s.n);
			*n = s.n;
		}
		*at += *n;
		return e == OK && *n == 0 ? ERR_DAMAGED : e;
	}
	return OK;
}
