/* SPDX-License-Identifier: ISC */
/*
 * ctl_names - relayctl under the names that people type without thinking: mailq,
 * postqueue, qshape, newaliases.  Their words become those of a command of ours; what
 * cannot be had is said, not passed over.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "tools/ctl.h"

/* ---- the table that mailq prints */

static void
arrival_text(char out[32], long long seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;
	if (localtime_r(&t, &tm) == NULL ||
	    strftime(out, 32, "%a %b %e %H:%M:%S", &tm) == 0)
		span_copy(SPAN("?"), out, 32);
}

static char
mark_of(const json_t *line)
{
	const char *queue = ctl_text(line, "queue_name");
	return strcmp(queue, "active") == 0 ? '*'
	       : strcmp(queue, "hold") == 0 ? '!'
					    : ' ';
}

void
ctl_print_mailq(struct ctl *c, const json_t *line)
{
	char when[32];
	size_t i;
	json_t *r;
	if (!c->header)
		puts("-Queue ID-     --Size-- ----Arrival Time---- "
		     "-Sender/Recipient-------");
	c->header = true;
	arrival_text(when, ctl_number(line, "arrival_time"));
	const char *sender = ctl_text(line, "sender");
	printf("%s%c %8lld %-20s  ", ctl_text(line, "queue_id"), mark_of(line),
	    ctl_number(line, "message_size"), when);
	ctl_put(*sender ? sender : "MAILER-DAEMON");
	putchar('\n');
	json_array_foreach(json_object_get(line, "recipients"), i, r)
	{
		if (*ctl_text(r, "delay_reason")) {
			printf("%15s(", "");
			ctl_put(ctl_text(r, "delay_reason"));
			puts(")");
		}
		printf("%46s", "");
		ctl_put(ctl_text(r, "address"));
		putchar('\n');
	}
	putchar('\n');
	c->listed++;
	c->listed_bytes += (unsigned long long)ctl_number(line, "message_size");
}

void
ctl_end_mailq(const struct ctl *c)
{
	if (c->listed == 0)
		puts("Mail queue is empty");
	else
		printf("-- %llu Kbytes in %llu Request%s.\n",
		    (c->listed_bytes + 1023) / 1024, c->listed,
		    c->listed == 1 ? "" : "s");
}

/* ---- words */

static void
add(struct ctl_words *w, const char *word)
{
	if (w->n < COUNT_OF(w->word) - 1)
		w->word[w->n++] = (char *)(uintptr_t)word;
}

static void
begin(struct ctl_words *w, const char *file)
{
	add(w, "relayctl");
	if (file != NULL) {
		add(w, "-c");
		add(w, file);
	}
}

static int
postqueue_usage(void)
{
	fputs(
	    "usage: postqueue -p | -j | -f | -i ID | -s DOMAIN   (this is relayctl; see "
	    "relayctl --help)\n",
	    stderr);
	return CTL_USAGE;
}

static int
as_postqueue(struct ctl *c, struct ctl_words *w, int argc, char **argv)
{
	const char *file = NULL, *what = NULL;
	int opt, mode = 0;
	while ((opt = getopt(argc, argv, "c:pjfi:s:v")) != -1) {
		if (opt == '?' || (opt != 'c' && opt != 'v' && mode != 0))
			return postqueue_usage();
		if (opt == 'c')
			file = optarg;
		else if (opt != 'v')
			mode = opt;
		if (opt == 'i' || opt == 's')
			what = optarg;
	}
	if (mode == 0 || optind < argc)
		return postqueue_usage();
	begin(w, file);
	c->nothing_is_fine = true;
	switch (mode) {
	case 'p':
		c->as_mailq = true;
		add(w, "queue");
		break;
	case 'j':
		add(w, "--json");
		add(w, "queue");
		break;
	case 'f':
		add(w, "retry");
		add(w, "--all");
		break;
	case 'i':
		add(w, "retry");
		add(w, what);
		break;
	default:
		add(w, "retry");
		add(w, "--domain");
		add(w, what);
	}
	return CTL_DONE;
}

static int
as_qshape(struct ctl *c, struct ctl_words *w, int argc, char **argv)
{
	static char first[24];
	const char *file = NULL;
	bool sender = false, linear = false;
	const char *buckets = NULL, *minutes = NULL;
	int opt;
	while ((opt = getopt(argc, argv, "slphb:t:w:m:n:N:c:")) != -1) {
		switch (opt) {
		case 's': sender = true; break;
		case 'l': linear = true; break;
		case 'b': buckets = optarg; break;
		case 't': minutes = optarg; break;
		case 'c': file = optarg; break;
		case 'p':
		case 'w':
		case 'm':
		case 'n':
		case 'N': break; /* looks, and bounds that are not needed here */
		default:
			fputs(
			    "usage: qshape [-s] [-l] [-b BUCKETS] [-t MINUTES] [incoming "
			    "active deferred hold]\n",
			    stderr);
			return CTL_USAGE;
		}
	}
	begin(w, file);
	c->as_qshape = true;
	c->nothing_is_fine = true;
	add(w, "shape");
	if (sender)
		add(w, "--sender");
	if (linear)
		add(w, "--linear");
	if (buckets != NULL) {
		add(w, "--buckets");
		add(w, buckets);
	}
	if (minutes != NULL) {
		(void)snprintf(first, sizeof(first), "%.8sm", minutes);
		add(w, "--bucket");
		add(w, first);
	}
	/* queues are states here */
	if (optind == argc - 1 && strcmp(argv[optind], "hold") == 0) {
		add(w, "--state");
		add(w, "held");
	} else if (optind == argc - 1 && strcmp(argv[optind], "deferred") == 0) {
		add(w, "--state");
		add(w, "deferred");
	}
	return CTL_DONE;
}

static int
as_newaliases(void)
{
	puts("newaliases: relayd has no alias database, so there is nothing to do; "
	     "addresses "
	     "are rewritten and owned by routes and accounts, see relayd.conf(5)");
	return CTL_DONE;
}

bool
ctl_called_otherwise(
    struct ctl *c, int argc, char **argv, struct ctl_words *w, int *status)
{
	const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
	*w = (struct ctl_words){0};
	if (strcmp(name, "mailq") == 0) {
		*status = CTL_DONE;
		begin(w, NULL);
		c->as_mailq = c->nothing_is_fine = true;
		add(w, "queue");
		return true;
	}
	if (strcmp(name, "postqueue") == 0)
		*status = as_postqueue(c, w, argc, argv);
	else if (strcmp(name, "qshape") == 0)
		*status = as_qshape(c, w, argc, argv);
	else if (strcmp(name, "newaliases") == 0)
		*status = as_newaliases();
	else
		return false;
	optind = 0; /* for the next round, from the beginning */
	return true;
}
