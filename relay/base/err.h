/* SPDX-License-Identifier: ISC */
/*
 * err - the world refuses.  Functions that meet the disk, the network or the
 * operating system return one of these: OK or a negative value.  Whoever
 * returns an error does not log it; whoever gives up logs it, once.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err {
	OK = 0,
	ERR_AGAIN = -1,        /* not now; try again later */
	ERR_SYNTAX = -2,       /* the bytes do not follow their grammar */
	ERR_RANGE = -3,        /* a number or length over its bound */
	ERR_NOT_FOUND = -4,    /* no such thing */
	ERR_EXISTS = -5,       /* already there */
	ERR_FULL = -6,         /* a bound of ours is reached: quota, table, queue */
	ERR_DISK_FULL = -7,    /* the file system is full or over quota */
	ERR_IO = -8,           /* reading or writing failed */
	ERR_DAMAGED = -9,      /* stored bytes do not match their checksum or form */
	ERR_VERSION = -10,     /* written by a newer relayd */
	ERR_DENIED = -11,      /* permission */
	ERR_BUSY = -12,        /* somebody else holds it */
	ERR_REFUSED = -13,     /* connection refused or reset */
	ERR_TIMEOUT = -14,     /* no answer in time */
	ERR_UNREACHABLE = -15, /* no route to the address */
	ERR_CLOSED = -16,      /* the other side is gone */
	ERR_CANCELLED = -17,   /* given up by us */
	ERR_CONFIG = -18,      /* the configuration cannot be used */
};

/* A short lower-case phrase for people: "disk full". Never NULL. */
const char *err_text(enum err e);

/* The err that fits an errno value of a socket or file call (ERR_IO if none does). */
enum err err_from_errno(int errnum);

#endif
