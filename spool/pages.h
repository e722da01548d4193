/* SPDX-License-Identifier: ISC */
/*
 * pages - is the database what LMDB believes it to be?
 *
 * LMDB has no checksums, and trusts what a page says of itself: one bit that has turned
 * over in a page's head, or in the number of another page, makes it read where nothing
 * is, and ends the process.  So the file is looked at here without LMDB, with pread(2),
 * page by page, before LMDB is let near it: every number that LMDB would follow is
 * compared with what it leads to.  Rows are none of our business: records and content
 * have checksums of their own (check.c).
 *
 * The layout is that of LMDB 0.9 with 64-bit page numbers, without MDB_DUPSORT.
 */
#ifndef SPOOL_PAGES_H
#define SPOOL_PAGES_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * The two heads, and the last row of the free list: a few reads, for each start.  OK also
 * for a file that is none yet (LMDB says what it is).  ERR_DAMAGED with `why`, half a
 * sentence: LMDB might take an older head for the newest, and what was acknowledged since
 * would be gone without a word; or it leads out of the file.
 */
enum err pages_look(int fd, struct buf *why);

/*
 * All pages of the transaction with this number (0: of the newest; nobody writes),
 * trees and free list; told(arg, sentence) for each that is damaged.  OK with *found =
 * how many; ERR_IO: it cannot be read; ERR_AGAIN: there is no such transaction any more.
 */
enum err pages_check(int fd, uint64_t txn, void (*told)(void *arg, const char *sentence),
    void *arg, uint64_t *found);

#endif
