/* SPDX-License-Identifier: ISC */
/* Any file of accounts: refused with a reason, or read; and what was read is written and
 * read again. */
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/signin/accounts.h"
#include "tests/lib/fake_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake_world world;
static int dir = -1;

static struct accounts *
open_accounts(struct buf *why)
{
	struct accounts *a = NULL;
	int own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(own >= 0);
	enum err e = accounts_open(&a, &world.world, own, why);
	CHECK((e == OK) == (a != NULL));
	CHECK(e == OK || why->n > 0);
	return a;
}

static void
begin(void)
{
	char name[] = "/dev/shm/fuzz-accounts.XXXXXX";
	fake_world_init(&world);
	CHECK(mkdtemp(name) != NULL);
	dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dir >= 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf why;
	if (dir < 0)
		begin();
	buf_init(&why, 4096);
	int fd = openat(dir, "accounts", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	(void)close(fd);
	struct accounts *a = open_accounts(&why);
	if (a != NULL) {
		size_t n = a->by_name.n;
		CHECK(accounts_save(a) == OK);
		accounts_close(&a);
		a = open_accounts(&why);
		CHECK(a != NULL && a->by_name.n == n);
		accounts_close(&a);
	}
	buf_clear(&why);
	return 0;
}
