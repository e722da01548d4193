/* SPDX-License-Identifier: ISC */
/* ctl_offline - looks into the spool of a relayd that does not run; changes nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "relay/control/select.h"
#include "relay/control/shape.h"
#include "relay/control/show.h"
#include "spool/spool.h"
#include "tools/ctl.h"

#define SLICE 200

bool
ctl_can_offline(const char *command)
{
	static const char *const can[] = {"queue", "show", "why", "history", "cat",
	    "shape", "spool-check", "spool-stat"};
	for (size_t i = 0; i < COUNT_OF(can); i++)
		if (strcmp(can[i], command) == 0)
			return true;
	return false;
}

enum err
ctl_spool_open(struct ctl *c, struct ctl_spool *s)
{
	const struct config *config = ctl_config(c);
	struct buf why;
	if (config == NULL)
		return ERR_CONFIG;
	buf_init(&why, 4096);
	s->log = log_new(world_real(), 2);
	log_set(s->log, LOG_ERROR, LOG_TEXT);
	struct spool_options so = {.path = config->spool.path,
	    .read_only = true,
	    .thorough = c->command != NULL && strcmp(c->command, "spool-check") == 0,
	    .world = world_real(),
	    .log = s->log};
	enum err e = spool_open(&s->spool, &so, &why);
	if (e == OK)
		s->reader = spool_reader_new(s->spool);
	else
		log_free(&s->log);
	if (e != OK && (e != ERR_NOT_FOUND || !s->may_be_missing))
		fprintf(stderr, "relayctl: %.*s\n", SPAN_ARG(buf_span(&why)));
	buf_clear(&why);
	return e;
}

void
ctl_spool_close(struct ctl_spool *s)
{
	spool_reader_free(&s->reader);
	spool_close(&s->spool);
	log_free(&s->log);
}

struct offline {
	struct ctl *ctl;
	struct selector selector;
	struct show show;
	struct spool_reader *reader;
	const json_t *request;
	uint64_t limit, messages;
	struct shape *shape; /* NULL: not asked for */
};

static void
give_line(struct ctl *c, const struct buf *text)
{
	json_error_t error;
	json_t *line = json_loadb(text->p, text->n, 0, &error);
	if (line != NULL)
		ctl_line(c, line, text->p, text->n);
	json_decref(line);
}

static void
give_why(struct offline *o, const struct message *m, const struct recipient *r)
{
	char id[SPOOL_ID_LEN + 1];
	struct buf text, out;
	buf_init(&text, 16u << 10);
	buf_init(&out, 64u << 10);
	spool_id_format(m->id, id);
	show_why(&text, &o->show, m, r);
	json_t *line = json_pack("{s:s,s:s%,s:s%,s:s%}", "queue_id", id, "sender",
	    m->sender.n ? m->sender.p : "", m->sender.n, "address", r->address.p,
	    r->address.n, "why", text.p, text.n);
	if (line != NULL) {
		char *dump = json_dumps(line, JSON_COMPACT);
		ctl_line(o->ctl, line, dump, strlen(dump));
		free(dump);
	}
	json_decref(line);
	buf_clear(&text);
	buf_clear(&out);
}

static void
look_at(struct offline *o, const struct message *m)
{
	uint16_t *index = mem_alloc((m->rcpts + 1) * sizeof(*index));
	size_t n = 0;
	for (size_t i = 0; i < m->rcpts; i++) {
		if (!selector_matches(&o->selector, m, &m->rcpt[i], o->show.now))
			continue;
		index[n++] = m->rcpt[i].index;
		if (o->shape != NULL)
			shape_add(o->shape, m, &m->rcpt[i], o->show.now);
		if (strcmp(o->ctl->command, "why") == 0)
			give_why(o, m, &m->rcpt[i]);
	}
	if (n > 0 && o->shape == NULL && strcmp(o->ctl->command, "why") != 0) {
		struct buf text;
		buf_init(&text, 16u << 20);
		struct json j = {.out = &text};
		show_message(&j, &o->show, m, index, n);
		give_line(o->ctl, &text);
		buf_clear(&text);
	}
	o->messages += n > 0;
	mem_free(&index);
}

static int
list(struct offline *o)
{
	struct message *m[SLICE];
	uint64_t after = 0;
	size_t n = SLICE;
	while (n == SLICE && (o->limit == 0 || o->messages < o->limit)) {
		enum err e = spool_read_messages(o->reader, after, m, SLICE, &n);
		if (e != OK) {
			fprintf(stderr,
			    "relayctl: reading the spool: %s; see relayctl spool check\n",
			    err_text(e));
			return CTL_NOTHING;
		}
		for (size_t i = 0; i < n; i++) {
			if (o->limit == 0 || o->messages < o->limit)
				look_at(o, m[i]);
			after = m[i]->id;
			message_unref(&m[i]);
		}
	}
	if (o->messages > 0 || o->ctl->nothing_is_fine)
		return CTL_DONE;
	if (strcmp(o->ctl->command, "why") == 0 && o->selector.has_id)
		return ctl_history_offline(o->ctl, o->reader, o->request);
	fputs("relayctl: nothing matched\n", stderr);
	return CTL_NOTHING;
}

static void
give_object(void *arg, struct span object)
{
	struct buf text;
	buf_init(&text, 64u << 10);
	buf_add_span(&text, object);
	give_line(arg, &text);
	buf_clear(&text);
}

static int
shape(struct offline *o, const json_t *request)
{
	struct shape_options so;
	struct buf text;
	uint64_t seed[2] = {
	    world_random_u64(world_real()), world_random_u64(world_real())};
	buf_init(&text, 64u << 10);
	if (!shape_read(&so, request, &text)) {
		fprintf(stderr, "relayctl: %.*s\n", SPAN_ARG(buf_span(&text)));
		buf_clear(&text);
		return CTL_USAGE;
	}
	so.routes = o->selector.routes;
	o->shape = shape_new(&so, seed);
	int status = list(o);
	if (status == CTL_DONE && o->messages > 0)
		shape_tell(o->shape, o->limit, &text, give_object, o->ctl);
	shape_free(&o->shape);
	buf_clear(&text);
	return status;
}

static int
stat_of(struct offline *o)
{
	struct spool_stat st;
	struct buf text;
	enum err e = spool_read_stat(o->reader, &st);
	if (e != OK) {
		fprintf(stderr,
		    "relayctl: reading the spool: %s; see relayctl spool check\n",
		    err_text(e));
		return CTL_NOTHING;
	}
	buf_init(&text, 4096);
	struct json j = {.out = &text};
	show_stat(&j, &st);
	give_line(o->ctl, &text);
	buf_clear(&text);
	return CTL_DONE;
}

static int
cat(struct offline *o)
{
	struct message *m;
	enum err e = spool_read_message(o->reader, o->selector.id, true, &m);
	if (e != OK) {
		fprintf(stderr, "relayctl: %s\n",
		    e == ERR_NOT_FOUND ? "no such message (any more)" : err_text(e));
		return CTL_NOTHING;
	}
	char chunk[16u << 10];
	uint64_t at = 0;
	size_t got = 1;
	if (m->prefix.n > 0)
		(void)fwrite(m->prefix.p, 1, m->prefix.n, stdout);
	while (
	    got > 0 && content_read(m->content, at, chunk, sizeof(chunk), &got) == OK) {
		(void)fwrite(chunk, 1, got, stdout);
		at += got;
	}
	message_unref(&m);
	return fflush(stdout) == 0 ? CTL_DONE : CTL_NOTHING;
}

static void
told(void *arg, const char *sentence)
{
	ctl_progress_end(arg);
	puts(sentence);
}

static void
on_checked(void *arg, uint64_t done, uint64_t total)
{
	ctl_progress(arg, "checking", done, total);
}

static int
check(struct offline *o)
{
	uint64_t found = 0;
	enum err e = spool_check(o->reader, told, on_checked, o->ctl, &found);
	ctl_progress_end(o->ctl);
	if (e != OK) {
		fprintf(stderr,
		    "relayctl: checking the spool: %s; is relayd starting just now?\n",
		    err_text(e));
		return CTL_NOTHING;
	}
	printf("%llu violation%s\n", (unsigned long long)found, found == 1 ? "" : "s");
	return found == 0 ? CTL_DONE : CTL_NOTHING;
}

static int
run(struct offline *o, const json_t *request)
{
	if (strcmp(o->ctl->command, "shape") == 0)
		return shape(o, request);
	if (strcmp(o->ctl->command, "spool-stat") == 0)
		return stat_of(o);
	if (strcmp(o->ctl->command, "cat") == 0)
		return cat(o);
	if (strcmp(o->ctl->command, "history") == 0)
		return ctl_history_offline(o->ctl, o->reader, o->request);
	if (strcmp(o->ctl->command, "spool-check") == 0)
		return check(o);
	return list(o);
}

int
ctl_offline(struct ctl *c, const json_t *request)
{
	const struct config *config = ctl_config(c);
	struct offline o = {.ctl = c, .request = request};
	struct ctl_spool spool = {0};
	int status = CTL_NOTHING;
	struct buf why;
	if (config == NULL)
		return CTL_USAGE;
	buf_init(&why, 4096);
	if (!selector_read(&o.selector, json_object_get(request, "selector"), &why)) {
		fprintf(stderr, "relayctl: %.*s\n", SPAN_ARG(buf_span(&why)));
		buf_clear(&why);
		return CTL_USAGE;
	}
	o.selector.routes = &config->policy.routes;
	o.limit = (uint64_t)json_integer_value(json_object_get(request, "limit"));
	o.show = (struct show){.config = config, .now = world_wall(world_real())};
	o.show.full = strcmp(c->command, "show") == 0;
	if (ctl_spool_open(c, &spool) == OK) {
		o.reader = spool.reader;
		status = run(&o, request);
		ctl_spool_close(&spool);
	}
	selector_clear(&o.selector);
	buf_clear(&why);
	return status;
}
