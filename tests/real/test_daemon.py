#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The daemon as an administrator meets it: configuration, signals, the stopped
spool, the sendmail command."""
import os
import shutil
import signal
import smtplib
import socket
import stat
import struct
import subprocess
import tempfile
import unittest

import real
from real import RealTest, wait_for

VIA = 'route "up" { via = {"127.0.0.1:%d"} }\nretry { first = "1h" }\n'


def relayd(*args, **more):
    return subprocess.run([os.path.join(real.BUILD, "relayd"), *args], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, check=False, **more)


def send(port, to="you@there.example", sender="me@here.example", body="x"):
    with smtplib.SMTP("127.0.0.1", port) as s:
        s.sendmail(sender, [to], f"Subject: t\r\n\r\n{body}\r\n")


class Daemon(RealTest):
    def file(self, text):
        path = os.path.join(self.dir, "t.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def test_check_names_file_line_and_the_right_word(self):
        path = self.file('hostname = "a.example"\nspool { path = "/tmp/x" }\n'
                         'listener "smtp" { bnid = {"127.0.0.1:25"} }\n')
        done = relayd("-t", "-c", path)
        self.assertEqual(done.returncode, 78)
        self.assertIn(f"{path}:3", done.stdout)
        self.assertIn("bind", done.stdout)

    def test_refuses_to_be_an_open_relay(self):
        text = ('hostname = "a.example"\nspool { path = "/tmp/x" }\nnetworks = {"0.0.0.0/0"}\n'
                'listener "smtp" { bind = {"127.0.0.1:2525"} }\n')
        done = relayd("-t", "-c", self.file(text))
        self.assertEqual(done.returncode, 78)
        self.assertIn("open relay", done.stdout)
        done = relayd("-t", "-c", self.file("i-want-an-open-relay = true\n" + text))
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_reload_swaps_or_keeps(self):
        sink = self.sink()
        relay = self.relay('route "none" { deliver = "reject" text = "not yet" }\n')
        with self.assertRaises(smtplib.SMTPRecipientsRefused):
            send(relay.port)
        relay.write('route "broken" { vai = {"x:1"} }\n')
        relay.process.child.send_signal(signal.SIGHUP)
        relay.log(r" reload-failed .*vai")
        with self.assertRaises(smtplib.SMTPRecipientsRefused):
            send(relay.port)
        # listeners that are gone are closed at once, and said to be, each in a line
        extra = real.free_port()
        relay.stop()
        relay.write(VIA % sink.port + "".join(
            f'listener "{name}" {{ bind = {{"127.0.0.{host}:{extra}"}} }}\n'
            for name, host in (("x", 2), ("y", 3))))
        relay.start()
        smtplib.SMTP("127.0.0.2", extra).quit()
        relay.write(VIA % sink.port)
        done = relay.ctl("reload")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stdout.splitlines()[1:],
                         ['listener "x": closed', 'listener "y": closed'])

        def is_closed():
            try:
                socket.create_connection(("127.0.0.2", extra), 1).close()
                return False
            except ConnectionRefusedError:
                return True
        wait_for("the listener to close", is_closed)
        send(relay.port)
        relay.wait_empty()

    def test_a_file_that_replaces_the_old_one_is_read(self):
        """Editors and certificate clients rename; the names may be short, or links."""
        for name in ("etc", "store"):
            os.mkdir(os.path.join(self.dir, name))
        etc = os.path.join(self.dir, "etc")
        port = real.free_port()

        def put(text, name="text"):
            path = os.path.join(self.dir, "store", name)
            with open(path, "w", encoding="utf-8") as f:
                f.write(f'hostname = "gw.test"\nspool {{ path = "{self.dir}/spool" }}\n'
                        f'control {{ path = "{self.dir}/control.sock" }}\n'
                        f'listener "smtp" {{ bind = {{"127.0.0.1:{port}"}} }}\n'
                        f'route "r" {{ deliver = "reject" text = "{text}" }}\n')
            return path
        os.rename(put("one"), os.path.join(etc, "t.conf"))
        short = self.started(real.Process([os.path.join(real.BUILD, "relayd"), "-c", "t.conf"],
                                          cwd=etc))
        short.wait_line(r" started ")
        os.rename(put("two"), os.path.join(etc, "t.conf"))
        short.child.send_signal(signal.SIGHUP)
        short.wait_line(r" reload(ed|-failed) ")
        with self.assertRaisesRegex(smtplib.SMTPRecipientsRefused, "two"):
            send(port)
        short.stop()
        link = os.path.join(etc, "t.conf")
        os.unlink(link)
        os.symlink(put("three", "v3"), link)
        linked = self.started(real.Process([os.path.join(real.BUILD, "relayd"), "-c", link]))
        linked.wait_line(r" started ")
        os.unlink(link)
        os.symlink(put("four", "v4"), link)
        linked.child.send_signal(signal.SIGHUP)
        linked.wait_line(r" reload(ed|-failed) ")
        with self.assertRaisesRegex(smtplib.SMTPRecipientsRefused, "four"):
            send(port)

    def turn(self, at, bit):
        with open(os.path.join(self.dir, "spool", "data.mdb"), "r+b") as f:
            f.seek(at)
            octet = f.read(1)[0]
            f.seek(at)
            f.write(bytes([octet ^ 1 << bit]))

    def test_a_bit_has_turned_over_in_the_database(self):
        """What would end whoever reads it is named, with what to do; relayd does not start on an older head."""
        relay = self.relay(VIA % real.free_port())
        for i in range(20):
            send(relay.port, f"u{i}@there.example")
        relay.stop()
        with open(os.path.join(self.dir, "spool", "data.mdb"), "rb") as f:
            octets = f.read()
        heads = {struct.unpack_from("<Q", octets, at + 144)[0]: at for at in (0, 4096)}
        newest = heads[max(heads)]
        root = struct.unpack_from("<Q", octets, newest + 128)[0] * 4096
        copy = os.path.join(self.dir, "copy")
        for at, bit in ((0, 2), (10, 0), (12, 6), (16, 3)):
            self.turn(root + at, bit)
            shutil.rmtree(copy + ".part", ignore_errors=True)
            for command in (["check"], ["backup", copy]):
                done = relay.ctl("spool", *command)
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"page {root // 4096} of the database (tables)", done.stderr)
                self.assertIn("restore the last backup", done.stderr)
            self.turn(root + at, bit)
        self.turn(heads[min(heads)] + 144 + 7, 0)
        done = subprocess.run([os.path.join(real.BUILD, "relayd"), "-c", relay.file], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("the two heads of the database do not follow each other", done.stdout)
        self.turn(heads[min(heads)] + 144 + 7, 0)
        self.assertEqual(relay.ctl("spool", "check").stdout, "0 violations\n")
        relay.start()
        self.assertEqual(len(relay.queue()), 20)
        self.assertEqual(relay.ctl("spool", "check").stdout, "0 violations\n")

    def test_term_drains_and_the_queue_survives(self):
        port = real.free_port()
        relay = self.relay(VIA % port)
        for i in range(20):
            send(relay.port, f"u{i}@there.example")
        relay.log(r" destination-down ")
        self.assertEqual(relay.stop(), 0)
        # stopped: relayctl opens the spool itself
        self.assertEqual(len(relay.queue()), 20)
        self.assertIn("not running", relay.ctl("why", relay.queue()[0]["queue_id"]).stdout)
        self.assertIn("0 violations", relay.ctl("spool", "check").stdout)
        self.assertEqual(relay.ctl("status", check=False).returncode, 1)
        sink = self.sink(port)
        relay.start()
        relay.ctl("retry", "--all")
        relay.wait_empty()
        wait_for("20 messages", lambda: relay.queue() == [])
        self.assertEqual(sink.process.child.poll(), None)

    def test_second_daemon_is_refused(self):
        relay = self.relay(VIA % 9)
        done = relayd("-c", relay.file)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"in use|another|already")

    def test_spool_and_socket_modes(self):
        relay = self.relay(VIA % 9)
        mode = lambda p: stat.S_IMODE(os.stat(os.path.join(self.dir, p)).st_mode)
        self.assertEqual(mode("spool"), 0o700)
        self.assertEqual(mode("control.sock"), 0o660)

    @unittest.skipIf(os.geteuid() != 0, "only root can become another user")
    def test_becomes_the_user_that_is_named(self):
        os.chmod(self.dir, 0o755)
        relay = self.relay('user = "nobody"\n' + VIA % real.free_port())
        pid = relay.process.child.pid
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            status = f.read()
        self.assertRegex(status, r"Uid:\s+65534\s+65534\s+65534\s+65534")
        self.assertRegex(status, r"CapEff:\s+0000000000000000")
        # not dumpable: what the kernel shows of its memory is root's, not that user's
        self.assertEqual(os.stat(f"/proc/{pid}/mem").st_uid, 0)
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            helpers = f.read().split()
        self.assertEqual([os.stat(f"/proc/{p}/mem").st_uid for p in helpers], [0])
        send(relay.port, body="x" * 60 + "\r\n" + ("y" * 70 + "\r\n") * 6000)  # a file, too
        self.assertEqual(os.stat(os.path.join(self.dir, "spool")).st_uid, 65534)
        self.assertEqual(len(relay.queue()), 1)
        relay.stop()
        relay.start()
        self.assertEqual(len(relay.queue()), 1)

    def test_reads_no_file_elsewhere(self):
        """What is not beside its configuration, or the system's, is out of reach while it runs (landlock)."""
        elsewhere = tempfile.mkdtemp(prefix="relayd-elsewhere.")
        self.addCleanup(shutil.rmtree, elsewhere)
        words = os.path.join(elsewhere, "secret")
        with open(words, "w", encoding="ascii") as f:
            f.write("xyzzy\n")
        os.chmod(words, 0o600)
        up = f'route "up" {{ via = {{"127.0.0.1:9"}} tls = "none" user = "me" secret-file = "{words}" auth-in-clear = true }}\n'
        relay = self.relay(VIA % 9)
        if any("no landlock" in line for line in relay.process.lines):
            self.skipTest("no landlock in this kernel")
        relay.write(up)
        relay.process.child.send_signal(signal.SIGHUP)
        relay.log(r" reload-failed .*Permission denied")
        relay.stop()
        relay.start()  # named when it starts, it is read
        relay.process.child.send_signal(signal.SIGHUP)
        relay.process.wait_line(r" reloaded ")

    @unittest.skipIf(os.geteuid() != 0, "only root can mount")
    def test_a_new_spool_on_a_full_disk_is_an_error(self):
        small = os.path.join(self.dir, "small")
        os.mkdir(small)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small],
                          check=False).returncode != 0:
            self.skipTest("no tmpfs here")
        self.addCleanup(subprocess.run, ["umount", "-l", small], check=False)
        path = self.file(f'hostname = "a.example"\nspool {{ path = "{small}/spool" }}\n'
                         f'control {{ path = "{self.dir}/c.sock" }}\n'
                         f'listener "smtp" {{ bind = {{"127.0.0.1:{real.free_port()}"}} }}\n')
        done = relayd("-c", path)
        self.assertEqual(done.returncode, 69, done.stdout)
        self.assertIn("disk is full", done.stdout)

    def test_stranger_may_not_relay(self):
        relay = self.relay(VIA % 9, networks="192.0.2.0/24")
        with self.assertRaises(smtplib.SMTPRecipientsRefused) as caught:
            send(relay.port)
        self.assertEqual(list(caught.exception.recipients.values())[0][0], 550)

    def test_administration(self):
        relay = self.relay(VIA % real.free_port())
        for i in range(3):
            send(relay.port, f"u{i}@there.example")
        relay.log(r" destination-down ")
        ids = [q["queue_id"] for q in relay.queue()]
        self.assertEqual(len(set(ids)), 3)
        self.assertIn("would hold: 3 recipients", relay.ctl("hold", "--all", "--dry-run").stdout)
        self.assertEqual(relay.ctl("hold", ids[0]).returncode, 0)
        self.assertEqual([q["queue_id"] for q in relay.queue("--state", "held")], [ids[0]])
        self.assertEqual(relay.ctl("release", ids[0]).returncode, 0)
        self.assertEqual(relay.queue("--state", "held"), [])
        self.assertEqual(relay.ctl("delete", "-", stdin=ids[1] + "\n").returncode, 0)
        self.assertEqual(len(relay.queue()), 2)
        self.assertEqual(relay.ctl("delete", ids[1], check=False).returncode, 1)
        self.assertEqual(relay.ctl("bounce", ids[2]).returncode, 0)
        relay.log(r" bounced .*administrator")
        wait_for("the notice", lambda: [q for q in relay.queue() if q["sender"] == ""])
        self.assertEqual(relay.ctl("frobnicate", check=False).returncode, 2)
        self.assertEqual(relay.ctl("queue", "--state", "nonsense", check=False).returncode, 2)
        test = relay.ctl("route-test", "me@here.example", "you@there.example").stdout
        self.assertIn("up", test)

    def test_pause_and_resume(self):
        sink = self.sink()
        relay = self.relay(VIA % sink.port)
        relay.ctl("pause", "route:up", "--reason", "maintenance")
        send(relay.port)
        why = relay.ctl("why", relay.queue()[0]["queue_id"]).stdout
        self.assertIn("paused", why)
        self.assertIn("maintenance", why)
        relay.ctl("resume", "route:up")
        relay.wait_empty()
        relay.ctl("pause", "in")
        with self.assertRaises(smtplib.SMTPException):
            send(relay.port)
        relay.ctl("resume", "in")
        send(relay.port)
        relay.wait_empty()

    def test_dns_command(self):
        dns = self.dns("example.org MX 5 mx.example.org\nmx.example.org A 192.0.2.7\n"
                       "null.example MX 0 .\nbad.example SERVFAIL\n")
        relay = self.relay('route "world" { deliver = "mx" }\n', dns)
        self.assertIn("192.0.2.7", relay.ctl("dns", "example.org").stdout)
        self.assertIn("null", relay.ctl("dns", "null.example").stdout)
        self.assertIn("SERVFAIL", relay.ctl("dns", "bad.example").stdout)

    def test_sendmail_command(self):
        relay = self.relay(VIA % real.free_port())
        env = dict(os.environ, RELAYD_SUBMIT=f"127.0.0.1:{relay.port}")
        program = os.path.join(real.BUILD, "relay-sendmail")

        def sendmail(text, *args):
            return subprocess.run([program, *args], input=text.encode(), env=env, timeout=60,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        done = sendmail("To: A <a@x.example>, b@x.example (B)\nCc: \"C, c\" <c@x.example>\n"
                        "Bcc: d@x.example\nSubject: t\n\n.\nafter a dot\n",
                        "-t", "-oi", "-f", "me@here.example")
        self.assertEqual(done.returncode, 0, done.stdout)
        row = relay.queue()[0]
        self.assertEqual(sorted(r["address"] for r in row["recipients"]),
                         ["a@x.example", "b@x.example", "c@x.example", "d@x.example"])
        self.assertEqual(row["sender"], "me@here.example")
        text = relay.ctl("cat", row["queue_id"], text=False).stdout
        self.assertIn(b"\r\n.\r\nafter a dot\r\n", text)
        self.assertNotIn(b"Bcc", text)
        self.assertEqual(sendmail("Subject: x\n\nx\n").returncode, 64)
        self.assertEqual(sendmail("x\n", "-t").returncode, 64)
        relay.stop()
        self.assertEqual(sendmail("Subject: x\n\nx\n", "a@x.example").returncode, 75)


if __name__ == "__main__":
    real.main()
