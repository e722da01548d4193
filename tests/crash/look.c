/* SPDX-License-Identifier: ISC */
/*
 * look - what a stopped spool holds, for tests that kill relayd.
 *
 *	look SPOOL
 *
 * Opens it as relayctl does, checks every invariant, and prints a line for each
 * recipient that waits, "queue ID ADDRESS", and for each mail, "mail OWNER MAILBOX UID
 * ID FLAGS RECIPIENT"; a notice has a line "notice ID TEXT" for each X-Ledger field in
 * it, "about ID ID" for the message, and "final ID ADDRESS" for each recipient.
 * Exit status: 0, or 1 if something is wrong, which is said in lines "wrong ...".
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "spool/mailbox.h"

#define PAGE 100
#define NOTICE_READ (64u << 10)

static void
told(void *arg, const char *sentence)
{
	(void)arg;
	printf("wrong %s\n", sentence);
}

static void
print_fields(const char *at, const char *field, const char *word, const char *id)
{
	while ((at = strstr(at, field)) != NULL) {
		at += strlen(field);
		printf("%s %s %.*s\n", word, id, (int)strcspn(at, "\r\n"), at);
	}
}

/* Which messages a notice is about: by their fields, and, for one whose content could not
 * be read any more, by its id. */
static void
print_subjects(const struct message *m, const char *id)
{
	char *text = mem_alloc(NOTICE_READ + 1);
	size_t n = 0;
	if (content_read(m->content, 0, text, NOTICE_READ, &n) != OK)
		printf("wrong the content of %s cannot be read\n", id);
	text[n] = '\0';
	print_fields(text, "X-Ledger: ", "notice", id);
	print_fields(text, "X-Relayd-Queue-Id: ", "about", id);
	print_fields(text, "\r\nFinal-Recipient: rfc822;", "final", id);
	mem_free(&text);
}

static bool
print_message(struct spool_reader *r, uint64_t number)
{
	struct message *m = NULL;
	char id[SPOOL_ID_LEN + 1];
	spool_id_format(number, id);
	if (spool_read_message(r, number, true, &m) != OK) {
		printf("wrong %s cannot be read\n", id);
		return false;
	}
	for (size_t i = 0; i < m->rcpts; i++)
		printf("queue %s %.*s\n", id, SPAN_ARG(m->rcpt[i].address));
	if ((m->flags & MESSAGE_NOTICE) != 0)
		print_subjects(m, id);
	message_unref(&m);
	return true;
}

static bool
print_queue(struct spool_reader *r)
{
	struct message *m[PAGE];
	uint64_t after = 0;
	size_t n = PAGE;
	bool good = true;
	while (n == PAGE) {
		if (spool_read_messages(r, after, m, PAGE, &n) != OK)
			return false;
		for (size_t i = 0; i < n; i++) {
			after = m[i]->id;
			good = print_message(r, after) && good;
			message_unref(&m[i]);
		}
	}
	return good;
}

static bool
print_mail(struct spool_reader *r, const char *owner, const struct mailbox_name *box,
    const struct mail_row *row)
{
	struct kept_mail *m = NULL;
	char id[SPOOL_ID_LEN + 1];
	spool_id_format(row->message, id);
	if (spool_read_mail(r, box->number, row->uid, true, &m) != OK) {
		printf("wrong mail %u of %s cannot be read\n", row->uid, owner);
		return false;
	}
	printf("mail %s %s %u %s %u %.*s\n", owner, box->name, row->uid, id, row->flags,
	    SPAN_ARG(m->recipient));
	if ((m->message->flags & MESSAGE_NOTICE) != 0)
		print_subjects(m->message, id);
	kept_mail_free(&m);
	return true;
}

static bool
print_mailbox(struct spool_reader *r, const char *owner, const struct mailbox_name *box)
{
	struct mail_row row[PAGE];
	size_t n = PAGE;
	uint32_t after = 0;
	bool good = true;
	while (box->number != 0 && n == PAGE) {
		if (spool_read_mails(r, box->number, after, 0, row, PAGE, &n) != OK)
			return false;
		for (size_t i = 0; i < n; i++) {
			after = row[i].uid;
			good = print_mail(r, owner, box, &row[i]) && good;
		}
	}
	return good;
}

static bool
print_mailboxes(struct spool_reader *r)
{
	struct owner_row o = {0};
	struct mailbox_name name[PAGE];
	size_t n = 0;
	bool good = true;
	while (spool_read_owner(r, span_str(o.name), &o) == OK) {
		if (spool_read_names(r, span_str(o.name), SPAN(""), name, PAGE, &n) != OK)
			return false;
		for (size_t i = 0; i < n; i++)
			good = print_mailbox(r, o.name, &name[i]) && good;
	}
	return good;
}

int
main(int argc, char **argv)
{
	struct buf why;
	struct spool *s;
	uint64_t found = 0;
	if (argc != 2) {
		(void)fprintf(stderr, "usage: look SPOOL\n");
		return 2;
	}
	buf_init(&why, 4096);
	struct log *log = log_new(world_real(), 2);
	const struct spool_options o = {
	    .path = argv[1], .read_only = true, .world = world_real(), .log = log};
	if (spool_open(&s, &o, &why) != OK) {
		printf("wrong %.*s\n", SPAN_ARG(buf_span(&why)));
		return 1;
	}
	struct spool_reader *r = spool_reader_new(s);
	bool good = spool_check(r, told, NULL, NULL, &found) == OK && found == 0;
	good = print_queue(r) && good;
	good = print_mailboxes(r) && good;
	spool_reader_free(&r);
	spool_close(&s);
	log_free(&log);
	buf_clear(&why);
	return good ? 0 : 1;
}
