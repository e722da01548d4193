/* SPDX-License-Identifier: ISC */
/*
 * daemon_watch - does every thread come round?  What the service manager hears of us,
 * and where the spool lies.
 *
 * A question goes through each io thread's inbox and back through the main one's, and
 * the spool's writer must have turned since the last time.  WATCHDOG=1 is said only when
 * all have answered: who hangs is silent, so we are, and the manager ends us and starts
 * us anew.  Whether there is a manager or not, who misses STILL turns of the watch is
 * named in the log and counted in the metrics; so is a message that any thread has had
 * in hand all the while (base/hand.h), and if we are ended for it, it is a suspect.
 */
#include <stdio.h>
#include <sys/vfs.h>

#include "base/hand.h"
#include "base/mem.h"
#include "relay/daemon_private.h"

#define WATCHES 3 /* in the time after which the manager loses patience */
#define STATUS_MS (10 * SECOND_MS)
#define STILL 3 /* turns of the watch that are missed */

/* ---- the watchdog */

static int64_t
watch_period(const struct daemon *d)
{
	int64_t patience = service_watchdog_ms(d->service);
	return patience > 0 ? patience / WATCHES : STATUS_MS;
}

static void
answered(struct worker *w, void *arg)
{
	(void)arg;
	w->asked = false;
	w->daemon->silent--;
}

static void
asked(struct worker *w, void *arg)
{
	call_main(w, answered, arg);
}

static void
ask_all(struct daemon *d)
{
	d->spool_turns = spool_turns(d->spool);
	d->silent = d->workers;
	for (unsigned i = 0; i < d->workers; i++) {
		d->worker[i].asked = true;
		call_worker(&d->worker[i], asked, NULL);
	}
}

static void
stands_still(struct daemon *d, const char *who)
{
	LOG(d->log, EV_STILL, F_STR("thread", who), F_INT("ms", STILL * watch_period(d)),
	    F_STR("do", "tell the authors of relayd what it was doing; a restart helps"));
}

/* One that did not come round once more; true: it stands still. */
static bool
missed(struct daemon *d, unsigned *n, bool missing, const char *who)
{
	*n = missing ? *n + 1 : 0;
	if (*n == STILL)
		stands_still(d, who);
	return *n >= STILL;
}

/* A message that a thread works on for so long, whichever it is: the pool's, too. */
static bool
look_at_hands(struct daemon *d)
{
	uint64_t id;
	int64_t ms = hand_look(loop_now(d->loop), watch_period(d), &id);
	bool still = ms >= STILL * watch_period(d);
	if (still && id != d->still_id) {
		char text[SPOOL_ID_LEN + 1];
		spool_id_format(id, text);
		LOG(d->log, EV_STILL, F_STR("id", text), F_INT("ms", ms),
		    F_STR("why", "a thread has had this message in hand all the while"));
	}
	d->still_id = still ? id : 0;
	return still;
}

static void
look_at_threads(struct daemon *d)
{
	char name[32];
	unsigned still = 0;
	for (unsigned i = 0; i < d->workers; i++) {
		(void)snprintf(name, sizeof(name), "io %u", i);
		still += missed(d, &d->worker[i].missed, d->worker[i].asked, name);
	}
	bool turned = spool_turns(d->spool) != d->spool_turns;
	still += missed(d, &d->writer_missed, !turned, "the spool's writer");
	if (look_at_hands(d) && still == 0)
		still = 1;
	d->still = still;
}

static void
say_status(struct daemon *d)
{
	unsigned sessions = census_total(d->census);
	service_say(d->service,
	    "STATUS=%u session%s, %llu messages taken since the start", sessions,
	    sessions == 1 ? "" : "s",
	    (unsigned long long)atomic_load_explicit(
		&d->ingress_counters.messages, memory_order_relaxed));
}

static void
on_watch(void *arg)
{
	struct daemon *d = arg;
	timer_set(&d->watch, watch_period(d));
	say_status(d);
	look_at_threads(d);
	if (d->silent > 0 || spool_turns(d->spool) == d->spool_turns)
		return;
	if (service_watchdog_ms(d->service) > 0)
		service_say(d->service, "WATCHDOG=1");
	ask_all(d);
}

void
watch_start(struct daemon *d)
{
	if (d->service == NULL)
		return;
	service_say(d->service, "READY=1");
	say_status(d);
	timer_init(&d->watch, d->loop, on_watch, d);
	timer_set(&d->watch, watch_period(d));
	ask_all(d);
}

void
watch_reloading(struct daemon *d, bool begins)
{
	if (begins)
		service_say_reloading(d->service);
	else
		service_say(d->service, "READY=1");
}

void
watch_stopping(struct daemon *d)
{
	service_say(d->service, "STOPPING=1\nSTATUS=sessions and deliveries end");
}

void
watch_end(struct daemon *d)
{
	timer_clear(&d->watch);
}

/* ---- where the spool lies */

static const struct place {
	unsigned long magic;
	const char *what;
} places[] = {
    {0x01021994, "it lies in memory (tmpfs): a restart of the machine loses all mail"},
    {0x858458f6, "it lies in memory (ramfs): a restart of the machine loses all mail"},
    {0x794c7630,
	"it lies in a container's own layer (overlay): all mail is lost when the "
	"container is made anew"},
};

void
warn_of_place(struct daemon *d)
{
	struct statfs at;
	if (statfs(d->config->spool.path, &at) != 0)
		return;
	for (size_t i = 0; i < COUNT_OF(places); i++)
		if ((unsigned long)at.f_type == places[i].magic)
			LOG(d->log, EV_SPOOL_PLACE, F_STR("spool", d->config->spool.path),
			    F_STR("what", places[i].what),
			    F_STR("do", "give it a disk: spool { path } on a volume that "
					"stays"));
}
