/* SPDX-License-Identifier: ISC */
/*
 * Whole SMTP and LMTP sessions of a hostile client, with a whole relayd behind.  The
 * first octet chooses the protocol, how far the client is already, and how its octets are
 * cut into pieces.  There are never more messages than promises, nor more promises than
 * ends of data, and all of them is checked in the spool now and then.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/fuzz/daemon_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MANY 200 /* messages; then the spool is emptied */

static struct daemon_rig *rig;
static unsigned runs;

/* An upper bound: each chunk, and each line that ends in a dot whoever it is for. */
static size_t
most_promises(const uint8_t *data, size_t n)
{
	size_t most = 0;
	for (size_t i = 0; i + 1 < n; i++)
		most +=
		    (data[i] == '.' && data[i + 1] == '\r') ||
		    (i + 4 <= n && strncasecmp((const char *)data + i, "BDAT", 4) == 0);
	return most;
}

static void
told(void *arg, const char *sentence)
{
	(void)arg;
	(void)sentence;
	abort();
}

static void
check(void)
{
	uint64_t found = 1;
	struct spool_reader *r = spool_reader_new(daemon_spool(rig->daemon));
	CHECK(spool_check(r, told, NULL, NULL, &found) == OK && found == 0);
	spool_reader_free(&r);
}

static void
delete_all(void)
{
	int fd = daemon_rig_connect(rig, NULL);
	daemon_rig_send(rig, fd,
	    SPAN("{\"v\":1,\"cmd\":\"delete\",\"selector\":{\"all\":true}}\n"), 1000);
	daemon_rig_end(rig, fd);
	CHECK(daemon_rig_messages(rig) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct span begun[] = {
	    {"", 0},
	    {"EHLO c.test\r\n", sizeof("EHLO c.test\r\n") - 1},
	    {"EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@gone.example>\r\n",
		sizeof("EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT "
		       "TO:<b@gone.example>\r\n") -
		    1},
	    {"EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT "
	     "TO:<b@held.example>\r\nDATA\r\n",
		sizeof("EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT "
		       "TO:<b@held.example>\r\nDATA\r\n") -
		    1},
	};
	if (rig == NULL)
		rig = daemon_rig_new();
	if (size < 1)
		return 0;
	bool lmtp = data[0] & 1;
	uint64_t had = daemon_rig_messages(rig);
	int fd = daemon_rig_connect(rig, lmtp ? "lmtp" : "smtp");
	if (!lmtp)
		daemon_rig_send(rig, fd, begun[data[0] >> 1 & 3], 1000);
	size_t piece = data[0] & 8 ? 1 + (data[0] >> 4) : size;
	daemon_rig_send(rig, fd, (struct span){(const char *)data + 1, size - 1}, piece);
	size_t most = most_promises(data + 1, size - 1);
	daemon_rig_end(rig, fd);
	uint64_t has = daemon_rig_messages(rig);
	CHECK(rig->promises <= most * (lmtp ? 50 : 1));
	CHECK(has < had || has - had <= rig->promises);
	if (++runs % 256 == 0)
		check();
	if (has > MANY)
		delete_all();
	return 0;
}
