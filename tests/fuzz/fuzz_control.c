/* SPDX-License-Identifier: ISC */
/*
 * The control protocol: lines of JSON by a client that may connect and is out of its
 * mind, to a whole relayd with some mail.  The first octet says how they are cut into
 * pieces. Each request has one end, whatever it is, and a client that is gone leaves
 * nothing.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "tests/fuzz/daemon_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct daemon_rig *rig;

static void
some_mail(void)
{
	static const char text[] =
	    "EHLO c.test\r\n"
	    "MAIL FROM:<a@c.test>\r\nRCPT TO:<b@held.example>\r\nDATA\r\nSubject: "
	    "x\r\n\r\ny\r\n.\r\n"
	    "MAIL FROM:<>\r\nRCPT TO:<b@away.example>\r\nRCPT "
	    "TO:<c@held.example>\r\nDATA\r\n"
	    "Subject: z\r\n\r\ny\r\n.\r\nQUIT\r\n";
	int fd = daemon_rig_connect(rig, "smtp");
	daemon_rig_send(rig, fd, SPAN(text), 1000);
	daemon_rig_end(rig, fd);
}

/* Hashing a password takes its time by design. */
static bool
is_slow(const uint8_t *data, size_t size)
{
	return memmem(data, size, "user-", 5) != NULL &&
	       memmem(data, size, "pass", 4) != NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (rig == NULL)
		rig = daemon_rig_new();
	if (size < 1 || is_slow(data, size))
		return 0;
	if (daemon_rig_messages(rig) < 2)
		some_mail();
	int fd = daemon_rig_connect(rig, NULL);
	size_t piece = data[0] & 1 ? 1 + (data[0] >> 1) : size;
	daemon_rig_send(rig, fd, (struct span){(const char *)data + 1, size - 1}, piece);
	daemon_rig_end(rig, fd);
	/* what was paused goes on, for the next one */
	fd = daemon_rig_connect(rig, NULL);
	daemon_rig_send(
	    rig, fd, SPAN("{\"v\":1,\"cmd\":\"resume\",\"what\":\"in\"}\n"), 1000);
	CHECK(rig->answers > 0);
	daemon_rig_end(rig, fd);
	return 0;
}
