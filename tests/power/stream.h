/* SPDX-License-Identifier: ISC */
/*
 * stream - what a process did to the files below one directory, in its order.
 *
 * The shim (shim.c, by LD_PRELOAD) appends one record for each call that has changed
 * something or has made a change durable; whoever sees an acknowledgement appends a
 * mark (STREAM_FILE says where).  A record is a struct stream_head, then its two
 * names (relative to the directory, no NUL), then its data.
 *
 * In the environment: STREAM_FILE, STREAM_ROOT (an absolute path that exists), and
 * STREAM_SKIP: "file-sync" or "dir-sync", calls that do nothing and are not recorded, as
 * if the code had forgotten them.
 */
#ifndef TESTS_POWER_STREAM_H
#define TESTS_POWER_STREAM_H

#include <stdint.h>

#define STREAM_MAGIC 0x4d525453u

enum stream_kind {
	STREAM_WRITE = 1, /* ino: at, data */
	STREAM_SYNCED,    /* ino: these octets (at, n) are durable: O_DSYNC */
	STREAM_SIZE,      /* ino: at is its size now */
	STREAM_FLUSH,     /* ino: all that was done to it is durable */
	STREAM_MAKE,      /* name: ino; at: it is a directory */
	STREAM_RENAME,    /* name to other */
	STREAM_LINK,      /* other: ino of name */
	STREAM_REMOVE,    /* name */
	STREAM_MARK,      /* ino: which series; at: its number */
};

struct stream_head {
	uint32_t magic;
	uint16_t kind, name_n, other_n, unused;
	uint32_t data_n;
	uint64_t ino, at, n;
};

#endif
