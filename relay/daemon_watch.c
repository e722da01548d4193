/* SPDX-License-Identifier: ISC */
/*
 * daemon_watch - what the service manager hears of us, and where the spool lies.
 *
 * WATCHDOG=1 is said only after every thread has shown that it comes round: a
 * question goes through each io thread's inbox and back through the main one's,
 * and the spool's writer has turned since the last time.  Who hangs is silent, so
 * we are, and the manager ends us and starts us anew.
 */
#include <sys/vfs.h>

#include "base/mem.h"
#include "relay/daemon_private.h"

#define WATCHES 3 /* in the time after which the manager loses patience */
#define STATUS_MS (10 * SECOND_MS)

/* ---- the watchdog */

static void
answered(struct worker *w, void *arg)
{
	(void)arg;
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
	for (unsigned i = 0; i < d->workers; i++)
		call_worker(&d->worker[i], asked, NULL);
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
	int64_t patience = service_watchdog_ms(d->service);
	timer_set(&d->watch, patience > 0 ? patience / WATCHES : STATUS_MS);
	say_status(d);
	if (patience == 0 || d->silent > 0 || spool_turns(d->spool) == d->spool_turns)
		return;
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
	int64_t patience = service_watchdog_ms(d->service);
	timer_set(&d->watch, patience > 0 ? patience / WATCHES : STATUS_MS);
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
