#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""SIGSTOP for longer than all timeouts, and SIGCONT: clients, next hops and the watchdog
find everything as it was, or are told; nothing is lost or doubled."""
import os
import signal
import smtplib
import socket
import threading
import time

import real
from real import RealTest, wait_for

SETTINGS = """route "up" { via = {"127.0.0.1:%d"} }
retry { first = "1s" interval = "1s" jitter = "0%%" expire = "1d" warn = "4h" }
timeouts { command = "1s" data = "1s" }
outgoing { greeting = "1s" helo = "1s" mail = "1s" rcpt = "1s" data = "1s" final-dot = "1s" block = "1s" }
"""
STOPPED_S = 2.5


class Hop:
    """A next hop that waits at the final dot, for whoever says go."""

    def __init__(self):
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        self.go, self.at_dot = threading.Event(), threading.Event()
        self.taken = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            c, _ = self.door.accept()
            threading.Thread(target=self.talk, args=(c,), daemon=True).start()

    def talk(self, c):
        f = c.makefile("rwb", buffering=0)
        f.write(b"220 hop\r\n")
        try:
            for line in f:
                if line[:4].upper() != b"DATA":
                    f.write(b"250 ok\r\n")
                    continue
                f.write(b"354 go\r\n")
                content = []
                for part in f:
                    if part == b".\r\n":
                        break
                    content.append(part)
                self.at_dot.set()
                self.go.wait(real.LIMIT)
                self.taken.append([x for x in content if x.startswith(b"Subject")][0])
                f.write(b"250 taken\r\n")
        except OSError:
            pass


class Stopped(RealTest):
    def stop_and_go(self, relay, meanwhile):
        os.kill(relay.process.child.pid, signal.SIGSTOP)
        began = time.monotonic()
        meanwhile()
        time.sleep(max(0, STOPPED_S - (time.monotonic() - began)))  # that is what is tested
        os.kill(relay.process.child.pid, signal.SIGCONT)

    def test_in_the_middle_of_sessions(self):
        hop = Hop()
        relay = self.relay(SETTINGS % hop.port)
        pid = relay.process.child.pid
        with smtplib.SMTP("127.0.0.1", relay.port) as first:
            first.sendmail("me@here.example", ["a@there.example"], "Subject: one\r\n\r\nx\r\n")
        self.assertTrue(hop.at_dot.wait(real.LIMIT))
        middle = smtplib.SMTP("127.0.0.1", relay.port)
        middle.ehlo()
        self.assertEqual(middle.mail("me@here.example")[0], 250)
        self.assertEqual(middle.rcpt("b@there.example")[0], 250)
        self.assertEqual(middle.docmd("DATA")[0], 354)
        idle = smtplib.SMTP("127.0.0.1", relay.port)
        idle.ehlo()

        def meanwhile():
            hop.go.set()  # the next hop's 250, and a client's last octets, wait in the kernel
            wait_for("the next hop to take it", lambda: hop.taken)
            middle.send("Subject: two\r\n\r\ny\r\n.\r\n")
        self.stop_and_go(relay, meanwhile)
        code, words = middle.getreply()
        self.assertEqual(code, 250, words)  # his octets came in time, although nobody looked
        self.assertEqual(idle.getreply()[0], 421)  # who was silent is told so
        with smtplib.SMTP("127.0.0.1", relay.port) as last:
            last.sendmail("me@here.example", ["c@there.example"], "Subject: three\r\n\r\nz\r\n")
        relay.wait_empty()
        self.assertEqual(relay.process.child.pid, pid)
        self.assertIsNone(relay.process.child.poll())
        lines = "\n".join(relay.process.lines)
        self.assertEqual(sorted(hop.taken), [b"Subject: one\r\n", b"Subject: three\r\n", b"Subject: two\r\n"])
        self.assertNotIn(" possible-duplicate ", lines)
        self.assertNotIn(" still ", lines)
        self.assertEqual(relay.stop(), 0)
        self.assertEqual(relay.ctl("spool", "check").stdout, "0 violations\n")


if __name__ == "__main__":
    real.main()
