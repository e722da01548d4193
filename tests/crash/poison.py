#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""poison.py - a message that crashes relayd, among a hundred that do not.

relayd is built with fault points (VARIANT=test, or a sanitizer's), is told by RELAY_FAULT
which text kills it, and is started again whenever it has ended, as a service manager would.
"""
import os
import re
import signal
import smtplib
import socket
import sys
import threading
import unittest
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "real"))
os.environ.setdefault("VARIANT", "test")

import real  # noqa: E402
from real import Process, RealTest, wait_for  # noqa: E402

POISON = "this one kills"
MORE = """route "up" { via = {"127.0.0.1:%d"} }
retry { first = "1s" interval = "1s" jitter = "0%%" }
"""


class Kept:
    """A relay that is started again whenever it ends, until it is let go of."""

    def __init__(self, test, more, fault=None, env=None):
        self.relay = real.Relay(test.dir, more)
        self.env = dict(os.environ, **(env or {}))
        if fault:
            self.env["RELAY_FAULT"] = fault
        self.ends = []
        self.lines = []
        self.stopping = False
        self.test = test
        self.launch()
        self.keeper = threading.Thread(target=self.keep)
        self.keeper.start()
        test.addCleanup(self.stop, signal.SIGKILL)

    def launch(self):
        self.process = self.relay.process = Process(
            [os.path.join(real.BUILD, "relayd"), "-c", self.relay.file], env=self.env)

    def keep(self):
        while True:
            code = self.process.child.wait()
            self.process.stop()
            self.lines += self.process.lines
            self.ends.append(code)
            if self.stopping or len(self.ends) > 20:
                return
            self.launch()

    def ready(self):
        def started():
            process = self.process
            return any(" started " in line for line in process.lines) and process.child.poll() is None
        wait_for("relayd is ready", started)
        return self

    def all_lines(self):
        return self.lines + (self.process.lines if not self.stopping else [])

    def saw(self, pattern):
        return [line for line in self.all_lines() if re.search(pattern, line)]

    def stop(self, how=signal.SIGTERM):
        if self.stopping:
            return
        self.stopping = True
        self.process.child.send_signal(how)
        self.keeper.join(real.LIMIT)


def states(relay):
    return [r["state"] for m in relay.queue() for r in m["recipients"]]


def gauge(port, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=real.LIMIT) as page:
        text = page.read().decode()
    return int(re.search(rf"^{name} (\d+)$", text, re.M)[1])


def send(kept, subject, to="you@there.example"):
    """Until it has its 250, whatever happens to relayd meanwhile."""
    def sent():
        try:
            with smtplib.SMTP("127.0.0.1", kept.relay.port, timeout=real.LIMIT) as s:
                s.sendmail("me@here.example", [to],
                           f"X-Ledger: {subject.replace(' ', '-')}\r\nSubject: {subject}\r\n\r\n{subject}\r\n")
            return True
        except (OSError, smtplib.SMTPException):
            return False
    wait_for("a 250", sent)


class Poison(RealTest):
    def crashes_by(self, place, count):
        """Only the poison is set aside, after two crashes; all others arrive."""
        sink = self.sink()
        port = real.free_port()
        kept = Kept(self, MORE % sink.port + f'metrics {{ bind = "127.0.0.1:{port}" }}\n',
                    f"crash:{place}:{POISON}").ready()
        relay = kept.relay
        relay.ctl("pause", "out")
        for i in range(count + 1):
            send(kept, POISON if i == count // 2 else f"fine {i}")
        self.assertEqual(len(relay.queue()), count + 1)
        relay.ctl("resume", "out")
        wait_for("all others have arrived", lambda: len(set(sink.ledger())) >= count)
        wait_for("it is set aside", lambda: kept.saw(" set-aside "))
        kept.ready()
        wait_for("only that waits", lambda: states(relay) == ["aside"])
        self.assertEqual(kept.ends, [-signal.SIGABRT] * 2)
        bad = relay.queue()[0]["queue_id"]
        self.assertEqual({re.search(r" id=(\S+)", line)[1] for line in kept.saw(" crashed id=")}, {bad})
        self.assertIn("relayd has crashed 2 times", relay.ctl("why", bad).stdout)
        self.assertEqual(gauge(port, "relayd_crash_set_aside"), 1)
        self.assertEqual(gauge(port, "relayd_crash_suspects"), 0)
        self.assertEqual([line for line in relay.ctl("--json", "history", "--event", "aside")
                          .stdout.splitlines() if bad in line][1:], [])
        # what it says can still be looked at
        self.assertIn(POISON, relay.ctl("cat", bad).stdout)
        kept.stop()
        self.assertEqual(relay.ctl("spool", "check").returncode, 0)
        # a better relayd
        better = Kept(self, kept.relay.more).ready()
        self.assertEqual(states(better.relay), ["aside"])
        self.assertIn("1", better.relay.ctl("release", bad).stdout)
        better.relay.wait_empty()
        self.assertEqual(len(set(sink.ledger())), count + 1)
        better.stop()
        self.assertEqual(better.ends, [0])

    def test_a_clients_words_set_nothing_aside(self):
        """A client that crashes relayd as often as it likes keeps mail from going out for as long, and no
        longer: none is suspected for it."""
        sink = self.sink()
        kept = Kept(self, MORE % sink.port, f"crash:io.input:{POISON}").ready()
        kept.relay.ctl("pause", "out")
        for i in range(20):
            send(kept, f"fine {i}")
        kept.relay.ctl("resume", "out")
        for i in range(4):
            kept.ready()
            with socket.create_connection(("127.0.0.1", kept.relay.port), timeout=real.LIMIT) as s:
                s.sendall(f"EHLO {POISON}\r\n".encode())
                wait_for("it ends", lambda n=i: len(kept.ends) > n)
        kept.ready()
        wait_for("all have arrived", lambda: len(set(sink.ledger())) == 20)
        kept.relay.wait_empty()
        self.assertEqual(kept.ends, [-signal.SIGABRT] * 4)
        self.assertEqual(kept.saw(" (crashed|set-aside) "), [])
        kept.stop()

    @unittest.skipIf(real.VARIANT == "tsan", "it leaves no room to map a spool a second time")
    def test_a_backup_has_a_clean_sheet(self):
        """What was set aside is that in a copy, too; how often it has crashed us is not known there."""
        sink = self.sink()
        kept = Kept(self, MORE % sink.port, f"crash:delivery.send:{POISON}").ready()
        send(kept, POISON)
        wait_for("it is set aside", lambda: kept.saw(" set-aside "))
        kept.ready()
        relay, spool, copy = kept.relay, os.path.join(self.dir, "spool"), os.path.join(self.dir, "copy")
        wait_for("only that waits", lambda: states(relay) == ["aside"])
        done = relay.ctl("spool", "backup", copy)
        self.assertEqual(done.returncode, 0, done.stderr)
        kept.stop()
        self.assertTrue(os.path.exists(os.path.join(spool, "hands")))
        self.assertFalse(os.path.exists(os.path.join(copy, "hands")))
        os.rename(spool, spool + ".old")
        done = relay.ctl("spool", "restore", copy)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(os.path.exists(os.path.join(spool, "hands")))
        # there it has two more tries, with the same relayd, if anybody wants that
        again = Kept(self, relay.more, f"crash:delivery.send:{POISON}").ready()
        self.assertEqual(states(again.relay), ["aside"])
        again.relay.ctl("release", "--all", check=False)
        wait_for("it is set aside again", lambda: again.saw(" set-aside "))
        self.assertEqual(again.ends, [-signal.SIGABRT] * 2)
        again.stop()
        better = Kept(self, relay.more).ready()
        self.assertIn("1", better.relay.ctl("release", "--all").stdout)
        better.relay.wait_empty()
        self.assertEqual(len(set(sink.ledger())), 1)
        better.stop()

    def test_poison_among_a_hundred(self):
        self.crashes_by("delivery.send", 100)

    def test_ends_from_outside_set_nothing_aside(self):
        sink = self.sink()
        kept = Kept(self, MORE % sink.port, f"hang:delivery.send:{POISON}").ready()
        send(kept, POISON)
        for i, how in enumerate((signal.SIGKILL, signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT)):
            wait_for("it is in hand", lambda: kept.ready() and kept.relay.queue())
            kept.process.child.send_signal(how)
            wait_for("it ends", lambda n=i: len(kept.ends) > n)
            kept.ready()
        self.assertEqual(kept.saw(" crashed "), [])
        kept.stop(signal.SIGKILL)  # its thread hangs
        better = Kept(self, kept.relay.more).ready()
        better.relay.wait_empty()
        self.assertEqual(len(sink.ledger()), 1)
        self.assertEqual(better.saw(" crashed "), [])

    def test_a_thread_that_stands_still(self):
        """It is named, counted, and kept from the service manager's watchdog, which ends us; the
        message is set aside when that has happened twice."""
        sink = self.sink()
        port = real.free_port()
        name = os.path.join(self.dir, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(name)
            manager.settimeout(real.LIMIT)
            kept = Kept(self, MORE % sink.port + f'metrics {{ bind = "127.0.0.1:{port}" }}\n',
                        f"hang:delivery.send:{POISON}",
                        {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "4500000"}).ready()
            while b"WATCHDOG=1" not in manager.recv(4096):
                pass
            send(kept, POISON)
            for i in range(2):
                wait_for("it is named", lambda n=i: len(kept.saw(" stands-still thread=")) > n
                         and len(kept.saw(" stands-still id=")) > n)
                self.assertEqual(gauge(port, "relayd_watchdog_still_threads"), 1)
                kept.process.child.send_signal(signal.SIGABRT)  # the manager's patience is over
                wait_for("it ends", lambda n=i: len(kept.ends) > n)
                kept.ready()
            wait_for("it is set aside", lambda: kept.saw(" set-aside "))
            send(kept, "fine")
            wait_for("others arrive", lambda: len(sink.ledger()) == 1)
        self.assertEqual(kept.ends, [-signal.SIGABRT] * 2)

    def test_a_recipient_that_nobody_comes_back_for(self):
        """The watchdog finds it, with a page to show it on and without."""
        port = real.free_port()
        top, both = self.dir, []
        for metrics in (f'metrics {{ bind = "127.0.0.1:{port}" }}\n', ""):
            self.dir = os.path.join(top, str(len(both)))
            os.makedirs(self.dir)
            both.append(Kept(self, MORE % real.free_port() + metrics,
                             "fail:scheduler.lose:1").ready())
            send(both[-1], "lost sight of")
        self.dir = top
        for kept in both:
            wait_for("it is named", lambda k=kept: k.saw(" stuck id="))
            self.assertIn(kept.relay.queue()[0]["queue_id"], kept.saw(" stuck id=")[0])
        self.assertEqual(gauge(port, "relayd_watchdog_stuck_recipients"), 1)


if __name__ == "__main__":
    real.main()
