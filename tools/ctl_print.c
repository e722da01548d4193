/* SPDX-License-Identifier: ISC */
/* ctl_print - answer lines as tables and sentences. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/when.h"
#include "tools/ctl.h"

const char *
ctl_text(const json_t *line, const char *name)
{
	const char *s = json_string_value(json_object_get(line, name));
	return s ? s : "";
}

long long
ctl_number(const json_t *line, const char *name)
{
	return json_integer_value(json_object_get(line, name));
}

/* Controls, C1 controls included, are shown and not obeyed; the rest of UTF-8 stays. */
static void
put_safe(struct buf *b, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
		if (*p == '\t')
			buf_add_char(b, ' ');
		else if (*p < 0x20 || *p == 0x7f || c1)
			buf_addf(b, "\\x%02x", c1 ? *++p : *p);
		else
			buf_add_char(b, (char)*p);
	}
}

static void
put_buf(FILE *to, struct buf *b)
{
	if (b->n > 0)
		(void)fwrite(b->p, 1, b->n, to);
	buf_clear(b);
}

void
ctl_put_to(FILE *to, const char *text)
{
	struct buf b;
	buf_init(&b, 1u << 20);
	put_safe(&b, text);
	put_buf(to, &b);
}

void
ctl_put(const char *text)
{
	ctl_put_to(stdout, text);
}

/* Columns of UTF-8 text, counting one per character. */
static size_t
columns(struct span s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

/* Printable ASCII, as nearly every text is: shown as it is, one column each. */
static bool
is_plain(const char *text, size_t *n)
{
	size_t i = 0;
	while (text[i] >= 0x20 && text[i] < 0x7f)
		i++;
	*n = i;
	return text[i] == '\0';
}

static void
end_cell(size_t n, size_t width, bool last)
{
	for (; !last && n < width + 2; n++)
		putchar(' ');
	if (last)
		putchar('\n');
}

void
ctl_cell(const char *text, size_t width, bool last)
{
	struct buf b;
	size_t n;
	if (is_plain(text, &n) && (n <= width || width == 0)) {
		(void)fwrite(text, 1, n, stdout);
		end_cell(n, width, last);
		return;
	}
	buf_init(&b, 64u << 10);
	put_safe(&b, text);
	n = columns(buf_span(&b));
	if (n > width && width > 0) {
		while (b.n > 0 && n >= width) {
			b.n--;
			n -= ((unsigned char)b.p[b.n] & 0xc0) != 0x80;
		}
		buf_add_char(&b, '~');
		n++;
	}
	put_buf(stdout, &b);
	end_cell(n, width, last);
}

/* ---- queue */

static void
age_text(char *out, size_t size, long long seconds)
{
	struct buf b;
	buf_init(&b, 64);
	duration_add(&b, seconds * SECOND_MS);
	span_copy(buf_span(&b), out, size);
	buf_clear(&b);
}

/* "2026-11-23T11:39:00.123Z" as the time from now: "in 4m30s". */
static void
next_text(char *out, size_t size, const json_t *line, const json_t *r)
{
	const char *iso = ctl_text(r, "next_attempt");
	(void)line;
	if (*iso == '\0')
		span_copy(
		    strcmp(ctl_text(r, "state"), "held") == 0 ? SPAN("-") : SPAN("now"),
		    out, size);
	else
		span_copy(span_cut(span_str(iso), 11, 8), out, size);
}

static void
print_queue(struct ctl *c, const json_t *line)
{
	size_t wide = c->width > 60 ? c->width - 60 : 20;
	if (!c->header) {
		ctl_bold(c, true);
		ctl_cell("ID", 13, false);
		ctl_cell("AGE", 6, false);
		ctl_cell("SIZE", 6, false);
		ctl_cell("STATE", 8, false);
		ctl_cell("NEXT UTC", 8, false);
		ctl_cell("FROM -> TO: LAST REPLY", wide, true);
		ctl_bold(c, false);
		c->header = true;
	}
	char age[32], size[32], next[32];
	struct buf b;
	buf_init(&b, 64);
	units_add_size(&b, (uint64_t)ctl_number(line, "message_size"));
	span_copy(buf_span(&b), size, sizeof(size));
	buf_clear(&b);
	age_text(age, sizeof(age), ctl_number(line, "age_s"));
	size_t i;
	json_t *r;
	json_array_foreach(json_object_get(line, "recipients"), i, r)
	{
		next_text(next, sizeof(next), line, r);
		ctl_cell(ctl_text(line, "queue_id"), 13, false);
		ctl_cell(age, 6, false);
		ctl_cell(size, 6, false);
		ctl_cell_state(c, ctl_text(r, "state"), 8);
		ctl_cell(next, 8, false);
		buf_init(&b, 64u << 10);
		buf_add_char(&b, '<');
		buf_add_str(&b, ctl_text(line, "sender"));
		buf_add_str(&b, "> -> <");
		buf_add_str(&b, ctl_text(r, "address"));
		buf_add_char(&b, '>');
		if (*ctl_text(r, "delay_reason")) {
			buf_add_str(&b, ": ");
			buf_add_str(&b, ctl_text(r, "delay_reason"));
		}
		char *all = buf_take(&b);
		ctl_cell(all, c->width >= 80 ? wide : 0, true);
		mem_free(&all);
	}
}

/* ---- show, why, and whatever else: members, one a line */

static void
print_value(const char *name, const json_t *v, unsigned depth)
{
	const char *key;
	json_t *inner;
	size_t i;
	printf("%*s%s", (int)depth * 2, "", name);
	if (json_is_object(v) || json_is_array(v)) {
		putchar('\n');
		json_object_foreach((json_t *)(uintptr_t)v, key, inner)
		    print_value(key, inner, depth + 1);
		json_array_foreach(v, i, inner)
		{
			if (i > 0 && json_is_object(inner))
				putchar('\n');
			if (json_is_object(inner)) {
				const char *k;
				json_t *member;
				json_object_foreach(inner, k, member)
				    print_value(k, member, depth + 1);
			} else {
				print_value("-", inner, depth + 1);
			}
		}
		return;
	}
	printf("%*s",
	    (int)(20 > strlen(name) + depth * 2 ? 20 - strlen(name) - depth * 2 : 1), "");
	if (json_is_string(v)) {
		const char *text = json_string_value(v);
		/* header fields keep their lines */
		for (const char *nl; (nl = strstr(text, "\r\n")) != NULL && nl[2];
		     text = nl + 2) {
			char *one = mem_dup(text, (size_t)(nl - text));
			ctl_put(one);
			mem_free(&one);
			printf("\n%*s", 20, "");
		}
		char *rest = mem_strdup(text);
		size_t n = strlen(rest);
		if (n >= 2 && strcmp(rest + n - 2, "\r\n") == 0)
			rest[n - 2] = '\0';
		ctl_put(rest);
		mem_free(&rest);
	} else if (json_is_integer(v)) {
		printf("%lld", (long long)json_integer_value(v));
	} else {
		fputs(json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "-", stdout);
	}
	putchar('\n');
}

static void
print_members(struct ctl *c, const json_t *line)
{
	const char *name;
	json_t *v;
	if (c->header)
		putchar('\n');
	c->header = true;
	json_object_foreach((json_t *)(uintptr_t)line, name, v) print_value(name, v, 0);
}

static void
print_why(struct ctl *c, const json_t *line)
{
	if (c->header)
		putchar('\n');
	c->header = true;
	ctl_put(ctl_text(line, "queue_id"));
	fputs(" to <", stdout);
	ctl_put(ctl_text(line, "address"));
	fputs(">\n  ", stdout);
	ctl_put(ctl_text(line, "why"));
	putchar('\n');
}

static void
print_data(struct ctl *c, const json_t *line)
{
	struct buf b;
	(void)c;
	buf_init(&b, 1u << 20);
	if (base64_decode(span_str(ctl_text(line, "data")), &b) != OK)
		buf_reset(&b);
	put_buf(stdout, &b);
}

static void
print_act(struct ctl *c, const json_t *line)
{
	(void)c;
	long long n = ctl_number(line, "applied");
	printf("%s%s: %lld recipient%s of %lld message%s\n",
	    json_is_true(json_object_get(line, "dry_run")) ? "would " : "",
	    ctl_text(line, "action"), n, n == 1 ? "" : "s", ctl_number(line, "messages"),
	    ctl_number(line, "messages") == 1 ? "" : "s");
}

static void
print_host(struct ctl *c, const json_t *line)
{
	char busy[64];
	if (!c->header) {
		ctl_bold(c, true);
		ctl_cell("DESTINATION", 32, false);
		ctl_cell("STATE", 8, false);
		ctl_cell("BUSY", 9, false);
		ctl_cell("READY", 6, false);
		ctl_cell("REASON", 60, true);
		ctl_bold(c, false);
		c->header = true;
	}
	ctl_cell(ctl_text(line, "destination"), 32, false);
	ctl_cell_state(c, ctl_text(line, "state"), 8);
	(void)snprintf(busy, sizeof(busy), "%lld of %lld", ctl_number(line, "running"),
	    ctl_number(line, "window"));
	ctl_cell(busy, 9, false);
	(void)snprintf(busy, sizeof(busy), "%lld", ctl_number(line, "ready"));
	ctl_cell(busy, 6, false);
	ctl_cell(ctl_text(line, "reason"), c->width > 64 ? c->width - 63 : 0, true);
}

/* What is told in lines is shown in lines. */
static void
put_lines(const char *text)
{
	struct span rest = span_str(text);
	while (rest.n > 0) {
		size_t end = span_find(rest, '\n');
		char *line = span_dup(span_cut(rest, 0, end));
		ctl_put(line);
		mem_free(&line);
		putchar('\n');
		rest = span_cut(rest, end + 1, rest.n);
	}
}

static void
print_reload(struct ctl *c, const json_t *line)
{
	(void)c;
	if (json_is_true(json_object_get(line, "reloaded")))
		puts("the new configuration is in force");
	put_lines(ctl_text(line, "notes"));
	put_lines(ctl_text(line, "errors"));
}

static void
print_violation(struct ctl *c, const json_t *line)
{
	if (json_object_get(line, "progress") != NULL) {
		ctl_progress(c, "checking", (uint64_t)ctl_number(line, "done"),
		    (uint64_t)ctl_number(line, "total"));
		return;
	}
	ctl_progress_end(c);
	if (json_object_get(line, "violation") != NULL) {
		ctl_put(ctl_text(line, "violation"));
		putchar('\n');
	} else {
		printf("%lld violations\n", ctl_number(line, "violations"));
	}
}

/* "11:39:00.123 #7 192.0.2.10 < EHLO me.test": "<" came, ">" was sent. */
static void
print_trace(struct ctl *c, const json_t *line)
{
	char time[16];
	(void)c;
	if (json_is_true(json_object_get(line, "quiet")))
		return;
	if (ctl_number(line, "lost") > 0)
		printf("... %lld lines were too fast to be shown\n",
		    ctl_number(line, "lost"));
	span_copy(span_cut(span_str(ctl_text(line, "time")), 11, 12), time, sizeof(time));
	printf("%s #%lld ", time, ctl_number(line, "connection"));
	ctl_put(
	    *ctl_text(line, "host") ? ctl_text(line, "host") : ctl_text(line, "peer"));
	fputs(strcmp(ctl_text(line, "from"), "us") == 0 ? " > " : " < ", stdout);
	ctl_put(ctl_text(line, "text"));
	putchar('\n');
}

static const struct printer {
	const char *command;
	void (*print)(struct ctl *c, const json_t *line);
} printers[] = {
    {"queue", print_queue},
    {"why", print_why},
    {"history", ctl_print_history},
    {"trace", print_trace},
    {"cat", print_data},
    {"hosts", print_host},
    {"shape", ctl_print_shape},
    {"drain", ctl_print_drain},
    {"retry", print_act},
    {"hold", print_act},
    {"release", print_act},
    {"bounce", print_act},
    {"delete", print_act},
    {"reload", print_reload},
    {"spool-check", print_violation},
    {"policy-test", ctl_print_policy},
    {"route-test", ctl_print_route},
    {"probe", ctl_print_probe},
    {"mailbox-list", ctl_print_mailbox},
    {"mailbox-show", ctl_print_mail},
    {"mailbox-export", ctl_print_export},
    {"mailbox-delete", ctl_print_mail_deleted},
    {"user-list", ctl_print_user},
    {"user-add", ctl_print_account_change},
    {"user-passwd", ctl_print_account_change},
    {"user-set", ctl_print_account_change},
    {"user-delete", ctl_print_account_change},
    {"user-secret-delete", ctl_print_account_change},
    {"user-secret-add", ctl_print_new_secret},
};

void
ctl_choose_printer(struct ctl *c)
{
	c->print = print_members;
	for (size_t i = 0; i < COUNT_OF(printers); i++)
		if (strcmp(printers[i].command, c->command) == 0)
			c->print = printers[i].print;
	if (c->as_mailq)
		c->print = ctl_print_mailq;
}

bool
ctl_as_it_comes(const struct ctl *c)
{
	return c->capture != NULL || (c->json && strcmp(c->command, "cat") != 0 &&
					 strcmp(c->command, "mailbox-export") != 0);
}

bool
ctl_shows_queue(const struct ctl *c)
{
	return !ctl_as_it_comes(c) && c->print == print_queue;
}

void
ctl_line(struct ctl *c, const json_t *line, const char *text, size_t n)
{
	if (c->capture != NULL) {
		buf_add(c->capture, text, n);
		buf_add_char(c->capture, '\n');
		return;
	}
	if (ctl_as_it_comes(c)) {
		(void)fwrite(text, 1, n, stdout);
		putchar('\n');
	} else {
		c->print(c, line);
	}
	if (strcmp(c->command, "probe") == 0 || strcmp(c->command, "trace") == 0)
		(void)fflush(stdout); /* each host as it comes */
}
