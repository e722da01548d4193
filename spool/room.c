/* SPDX-License-Identifier: ISC */
/*
 * room - how much more mail can be taken: the quota, the free space of the
 * disk, and the reserve file.  The writer looks at the disk once a second;
 * spool_admit() only compares what is in memory.
 *
 * The reserve file, which stays open because relayd may not make files here once
 * it has locked itself in, is emptied when the disk is full all the same (somebody
 * else may fill it): deleting mail needs pages too.
 */
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fault.h"
#include "spool/private.h"

#define LOOK_MS SECOND_MS

static void
set_full(struct spool *s, bool full, const char *what)
{
	if (atomic_exchange_explicit(&s->full, full, memory_order_relaxed) == full)
		return;
	LOG(s->log, full ? EV_SPOOL_FULL : EV_SPOOL_ROOM, F_STR("what", what),
	    F_INT("bytes", atomic_load(&s->bytes)),
	    F_INT("disk_free", atomic_load(&s->disk_free)));
}

void
look_at_disk(struct spool *s)
{
	struct statvfs v;
	s->looked = world_now(s->world);
	if (fstatvfs(s->dir, &v) == 0)
		atomic_store_explicit(&s->disk_free, (uint64_t)v.f_bavail * v.f_frsize,
		    memory_order_relaxed);
	uint64_t bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed);
	uint64_t left = atomic_load_explicit(&s->disk_free, memory_order_relaxed);
	if (s->max_size > 0 && bytes >= s->max_size)
		set_full(s, true, "the spool has reached max-size");
	else if (left < s->min_free)
		set_full(s, true, "the disk has less than min-free");
	else
		set_full(s, false, "there is room");
}

enum err
spool_admit(const struct spool *s, uint64_t size)
{
	uint64_t bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed);
	uint64_t left = atomic_load_explicit(&s->disk_free, memory_order_relaxed);
	if (atomic_load_explicit(&s->failed, memory_order_relaxed))
		return ERR_IO;
	if (s->max_size > 0 && (bytes >= s->max_size || size > s->max_size - bytes))
		return ERR_FULL;
	if (s->min_free > 0 && (left < s->min_free || size > left - s->min_free))
		return ERR_DISK_FULL;
	return OK;
}

/* ---- the reserve */

static void
make_reserve(struct spool *s)
{
	uint64_t wanted = s->min_free + 4 * (uint64_t)RESERVE_BYTES;
	if (s->reserve ||
	    atomic_load_explicit(&s->disk_free, memory_order_relaxed) < wanted)
		return;
	s->reserve = !FAULT("spool.reserve") &&
		     posix_fallocate(s->reserve_fd, 0, RESERVE_BYTES) == 0;
	if (!s->reserve)
		(void)!ftruncate(s->reserve_fd, 0);
}

bool
give_up_reserve(struct spool *s)
{
	if (!s->reserve)
		return false;
	s->reserve = false;
	return ftruncate(s->reserve_fd, 0) == 0;
}

void
look_now_and_then(struct spool *s)
{
	if (instant_since(world_now(s->world), s->looked) < LOOK_MS)
		return;
	look_at_disk(s);
	make_reserve(s);
	history_look(s);
}
