#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""What an administrator watches: history of mail that has left, the live pictures of
top on a terminal and elsewhere, and what is said on connections."""
import json
import os
import pty
import smtplib
import subprocess
import unittest

import real
from real import Process, RealTest, wait_for

VIA = 'route "up" { via = {"127.0.0.1:%d"} }\nretry { first = "1h" }\n'
RELAYCTL = os.path.join(real.BUILD, "relayctl")


def send(port, to="you@there.example", msgid="<one@here.example>"):
    with smtplib.SMTP("127.0.0.1", port) as s:
        s.sendmail("me@here.example", [to], f"Message-ID: {msgid}\r\nSubject: t\r\n\r\nx\r\n")


class Watch(RealTest):
    def test_history_outlives_the_queue_and_relayd(self):
        relay = self.relay(VIA % self.sink().port)
        send(relay.port)
        send(relay.port, "bee@there.example", "<two@here.example>")
        relay.wait_empty()

        def events(*args):
            return [json.loads(line) for line in
                    relay.ctl("--json", "history", *args).stdout.splitlines()]
        wait_for("both delivered", lambda: len(events("--event", "delivered")) == 2)
        one = events("--msgid", "one@here.example")
        self.assertEqual([e["event"] for e in one], ["accepted", "delivered"])
        self.assertEqual({e["address"] for e in one}, {"you@there.example"})
        self.assertIn("250", one[1]["reply"])
        said = relay.ctl("why", one[0]["queue_id"])
        self.assertIn("It was delivered at ", said.stdout)
        self.assertEqual(relay.ctl("history", "--to", "nobody@*").returncode, 1)
        relay.stop()
        stopped = events("--to", "bee@*")
        self.assertEqual([e["event"] for e in stopped], ["accepted", "delivered"])
        self.assertIn("It was delivered at ",
                      relay.ctl("why", stopped[0]["queue_id"]).stdout)

    def test_top_prints_pictures_and_draws_them_on_a_terminal(self):
        relay = self.relay(VIA % real.free_port())
        send(relay.port)
        relay.log(r" destination-down ")
        done = relay.ctl("top", "--every", "100ms", "--limit", "2")
        self.assertEqual(done.stdout.count("queue  1 messages"), 2)
        self.assertIn("via:up", done.stdout)
        self.assertIn("down", done.stdout)
        self.assertNotIn("\x1b", done.stdout)
        self.assertEqual(relay.ctl("top", "--every", "1ms", check=False).returncode, 2)
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        child = subprocess.Popen([RELAYCTL, "-c", relay.file, "top", "--every", "100ms"],
                                 stdin=theirs, stdout=theirs)
        os.close(theirs)
        seen = b""
        while seen.count(b"relayd ") < 3:
            seen += os.read(ours, 4096)
        os.write(ours, b"q")
        while b"\x1b[?1049l" not in seen:  # the screen is given back
            seen += os.read(ours, 4096)
        self.assertEqual(child.wait(real.LIMIT), 0)

    def test_trace_shows_both_sides(self):
        relay = self.relay(VIA % self.sink().port)
        watchers = [Process([RELAYCTL, "-c", relay.file, "trace", *what])
                    for what in (("in", "--ip", "127.0.0.0/8"), ("out", "--domain", "via:up"))]
        for w in watchers:
            self.addCleanup(w.stop)
        wait_for("both watch", lambda: sum(
            " admin what=trace" in line for line in relay.process.lines) == 2)
        send(relay.port)
        watchers[0].wait_line(r"#\d+ 127\.0\.0\.1 < (?i:RCPT) TO:<you@there\.example>")
        watchers[0].wait_line(r" > 250 2\.0\.0 Ok: queued as ")
        watchers[1].wait_line(r"#\d+ 127\.0\.0\.1 > RCPT TO:<you@there\.example>")
        watchers[1].wait_line(r" > \(\d+ octets not shown\)")
        self.assertFalse([line for w in watchers for line in w.lines if "Subject" in line])


if __name__ == "__main__":
    real.main()
