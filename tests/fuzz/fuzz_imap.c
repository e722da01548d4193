/* SPDX-License-Identifier: ISC */
/*
 * Whole IMAP sessions of a hostile client, with a real spool and real accounts.  The
 * first octet says how far the client is already (signed in, INBOX selected, a second
 * session in IDLE beside it), and how its octets are cut into pieces.  Whatever is said,
 * the spool's invariants hold and nobody stays behind.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "relay/imap/view.h"
#include "tests/fuzz/pickup_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAILS 3
#define MAILS_MAX 300
#define SIGN_IN "a LOGIN joe \"Hello world!\"\r\n"
#define SELECT "b SELECT INBOX\r\n"
#define ROUNDS 500 /* then the invariants are looked at */

static struct pickup_rig *rig;
static unsigned rounds;

static void
say(int fd, struct span s)
{
	CHECK(pickup_rig_send(rig, fd, s));
	pickup_rig_turns(rig, fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int other = -1;
	if (rig == NULL)
		rig = pickup_rig_new("imap");
	if (size < 1)
		return 0;
	bool check = rounds++ % ROUNDS == 0;
	if (check)
		spool_rig_clean(rig->rig);
	if (check || pickup_rig_mails(rig) > MAILS_MAX) /* copies of copies */
		(void)spool_rig_owner_delete(rig->rig, "joe");
	pickup_rig_fill(rig, MAILS);
	int fd = pickup_rig_connect(rig);
	if (data[0] & 1)
		say(fd, SPAN(SIGN_IN));
	if ((data[0] & 3) == 3)
		say(fd, SPAN(SELECT));
	if ((data[0] & 7) == 7) {
		other = pickup_rig_connect(rig);
		say(other, SPAN(SIGN_IN SELECT "c IDLE\r\n"));
	}
	size_t piece = data[0] & 8 ? 1 + (data[0] >> 4) : size;
	for (size_t at = 1; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;
		if (!pickup_rig_send(rig, fd, (struct span){(const char *)data + at, n}))
			break;
		pickup_rig_turns(rig, fd);
		if (other >= 0)
			pickup_rig_turns(rig, other);
	}
	if (other >= 0)
		(void)close(other);
	pickup_rig_end(rig, fd);
	return 0;
}
