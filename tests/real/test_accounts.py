#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The administrator's words about accounts, and handing in through a socket:
relayctl and relay-sendmail against a script that answers on a Unix socket."""
import hashlib
import json
import os
import poplib
import pty
import select
import signal
import smtplib
import socket
import subprocess
import termios
import threading

import real
from real import RealTest


class Door:
    """A Unix socket; each connection is answered by `serve(file)` in a thread."""

    def __init__(self, path, serve):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(8)
        self.serve = serve
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as f:
                try:
                    self.serve(f)
                except (OSError, ValueError):
                    pass

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(real.LIMIT)


class Words(RealTest):
    """What relayctl asks for, and what it shows."""

    def setUp(self):
        super().setUp()
        self.asked = []
        self.answer = [{"end": True, "status": 0}]
        path = os.path.join(self.dir, "c.sock")

        def serve(f):
            self.asked.append(json.loads(f.readline()))
            for line in self.answer:
                f.write(json.dumps(line).encode() + b"\n")
            f.flush()
        door = Door(path, serve)
        self.addCleanup(door.stop)
        self.env = dict(os.environ, RELAYD_SOCKET=path)
        self.program = os.path.join(real.BUILD, "relayctl")

    def ctl(self, *args, stdin=""):
        return subprocess.run([self.program, *args], input=stdin.encode(), env=self.env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                              check=False)

    def asks(self, want, *args, stdin=""):
        done = self.ctl(*args, stdin=stdin)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.asked.pop(), dict(want, v=1))
        self.assertEqual(self.asked, [])
        return done.stdout.decode()

    def refuses(self, part, *args, stdin=""):
        done = self.ctl(*args, stdin=stdin)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(part, done.stderr.decode())
        self.assertEqual(self.asked, [])

    def test_requests(self):
        finger = hashlib.sha256(b"x").hexdigest()
        self.asks({"cmd": "user-add", "name": "joe", "address": ["a@b.example", ".c.example"],
                   "service": ["smtp"], "password": "s3 cret\\"},
                  "user", "add", "joe", "--address", "a@b.example", "--address", ".c.example",
                  "--service", "smtp", "--password-stdin", stdin="s3 cret\\\r\nmore\n")
        self.asks({"cmd": "user-add", "name": "joe", "hash": "$y$j9T$x"},
                  "user", "add", "joe", "--hash-stdin", stdin="$y$j9T$x")
        self.asks({"cmd": "user-add", "name": "cam", "certificate": [finger]},
                  "user", "add", "cam", "--certificate", finger)
        self.asks({"cmd": "user-passwd", "name": "joe", "password": "p\u00e4ss"},
                  "user", "passwd", "joe", "--password-stdin", stdin="p\u00e4ss\n")
        self.asks({"cmd": "user-set", "name": "joe", "disabled": True, "certificate": []},
                  "user", "set", "joe", "--disable", "--certificate", "")
        self.asks({"cmd": "user-set", "name": "joe", "disabled": False},
                  "user", "set", "joe", "--enable")
        self.asks({"cmd": "user-delete", "name": "joe"}, "user", "delete", "joe")
        self.asks({"cmd": "user-secret-delete", "name": "joe", "label": "printer"},
                  "user", "secret", "delete", "joe", "printer")
        self.asks({"cmd": "probe", "route": "world", "domain": "example.org"},
                  "probe", "world", "example.org")
        self.asks({"cmd": "policy-test", "ip": "192.0.2.7", "from": "<>", "to": "a@b.example",
                   "helo": "me", "account": "joe", "listener": "smtp"},
                  "policy-test", "--ip", "192.0.2.7", "--from", "<>", "--to", "a@b.example",
                  "--helo", "me", "--account", "joe", "--listener", "smtp")
        self.asks({"cmd": "route-test", "from": "a@b.example", "to": "c@d.example",
                   "selector": {}, "ip": "192.0.2.7"},
                  "route-test", "a@b.example", "c@d.example", "--ip", "192.0.2.7")

    def test_wrong_use(self):
        self.refuses("usage", "user")
        self.refuses("usage", "user", "frob")
        self.refuses("usage", "user", "secret", "add", "joe")
        self.refuses("usage", "user", "delete")
        self.refuses("--password-stdin", "user", "add", "joe", stdin="x\n")
        self.refuses("empty password", "user", "passwd", "joe", "--password-stdin")
        self.refuses("empty password", "user", "add", "joe", "--certificate", "a" * 64,
                     "--password-stdin", stdin="\n")
        self.refuses("at most 1000", "user", "passwd", "joe", "--password-stdin",
                     stdin="x" * 1001)
        self.refuses("not UTF-8", "user", "passwd", "joe", "--password-stdin", stdin="a\0b\n")
        self.refuses("--from has no meaning", "user", "add", "joe", "--from", "a@b.example")
        self.refuses("--service has no meaning", "user", "set", "joe", "--service", "smtp")
        self.refuses("no password is needed", "user", "delete", "joe", "--password-stdin")
        self.refuses("say what to set", "user", "set", "joe")
        self.refuses("--account has no meaning", "delete", "--all", "--account", "joe")
        self.refuses("--domain has no meaning", "reload", "--domain", "b.example")
        self.refuses("--dry-run has no meaning", "hosts", "--dry-run")
        self.refuses("--password-stdin has no meaning", "status", "--password-stdin")
        self.refuses("--ip is missing", "policy-test", "--from", "a@b", "--to", "a@b")
        self.asks({"cmd": "user-passwd", "name": "joe", "password": "x" * 1000},
                  "user", "passwd", "joe", "--password-stdin", stdin="x" * 1000)

    def test_too_much(self):
        many = []
        for i in range(3000):
            many += ["--address", f"a{i:020}@here.example"]
        done = self.ctl("user", "set", "joe", *many)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"too much for one request", done.stderr)
        self.asks({"cmd": "user-set", "name": "joe", "address": many[1:2000:2]},
                  "user", "set", "joe", *many[:2000])

    def test_shown(self):
        self.answer = [{"name": "joe\x1b[2J", "address": ["a@b.example", ".c.example"],
                        "certificate": [], "disabled": False, "messages": 7,
                        "last_pickup": "2026-11-23T12:00:00.000Z",
                        "secrets": [{"label": ""}, {"label": "printer"}]},
                       {"name": "cam", "address": [], "certificate": ["ab"], "disabled": True,
                        "secrets": []}, {"end": True, "status": 0}]
        shown = self.asks({"cmd": "user-list"}, "user", "list").splitlines()
        self.assertRegex(shown[0], r"^NAME +STATE +SECRETS +CERTS +MAILS +FETCHED +ADDRESSES$")
        self.assertRegex(shown[1], r"^joe\\x1b\[2J +enabled +\(main\),printer +0 +7 +"
                                   r"2026-11-23 +a@b.example,.c.example$")
        self.assertRegex(shown[2], r"^cam +disabled +- +1 +\(sends as anybody\)$")
        lines = self.asks({"cmd": "user-list", "name": "cam"}, "--json", "user", "list", "cam")
        self.assertEqual([json.loads(x)["name"] for x in lines.splitlines()],
                         ["joe\x1b[2J", "cam"])
        self.answer = [{"password": "abcd-efgh"}, {"end": True, "status": 0}]
        self.assertEqual(self.asks({"cmd": "user-secret-add", "name": "joe", "label": "p",
                                    "service": ["smtp"]}, "user", "secret", "add", "joe", "p",
                                   "--service", "smtp"), "abcd-efgh\n")
        self.answer = [{"host": "a", "ok": False, "stage": "tls", "text": "no\x07", "ms": 7},
                       {"host": "b", "ok": True, "stage": "ready", "text": "x", "ms": 8},
                       {"end": True, "status": 0}]
        self.assertEqual(self.asks({"cmd": "probe", "route": "r"}, "probe", "r"),
                         "a  FAILED at tls, 7 ms: no\\x07\nb  ok, 8 ms: x\n")
        self.answer = [{"end": True, "status": 1, "error": "no\x1b such"}]
        done = self.ctl("user", "delete", "x")
        self.assertEqual((done.returncode, done.stderr), (1, b"relayctl: no\\x1b such\n"))

    def test_policy_shown(self):
        self.answer = [
            {"stage": "MAIL", "accepted": True, "answer": "250 2.1.0 ok", "rule": "sender-ok",
             "listener": "smtp"},
            {"stage": "RCPT", "accepted": False, "answer": "550 5.7.1 no\x1b", "rule": "rule",
             "by": "spam", "line": 7, "hold": False,
             "steps": [{"step": "one", "decided": False}, {"step": "two", "decided": True}]},
            {"end": True, "status": 1}]
        done = self.ctl("policy-test", "--ip", "192.0.2.1", "--from", "a@b", "--to", "c@d")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout.decode(),
                         "MAIL  250 2.1.0 ok\n      listener: smtp\n"
                         "      decided by: sender-ok\n"
                         "RCPT  550 5.7.1 no\\x1b\n      one\n    * two\n"
                         "      decided by: rule\n      rule \"spam\" (line 7)\n")
        self.answer = [{"route": "world", "destination": "mx:d", "inbound": False,
                        "explanation": "by MX", "passed_over": [
                            {"route": "office", "line": 3, "because": "recipient"}]},
                       {"end": True, "status": 0}]
        done = self.ctl("route-test", "a@b", "c@d")
        self.assertEqual(done.stdout.decode(), "not office (line 3): recipient\n"
                                               "by MX\ndestination mx:d\n")

    # ---- on a terminal

    def on_terminal(self, *args):
        pid, fd = pty.fork()
        if pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # whatever a shell in the background set
            os.execve(self.program, [self.program, *args], self.env)
        self.addCleanup(os.close, fd)
        return pid, fd

    def until(self, fd, text):
        got = b""
        while text not in got:
            ready, _, _ = select.select([fd], [], [], real.LIMIT)
            self.assertTrue(ready, got)
            try:
                more = os.read(fd, 1000)
            except OSError:
                more = b""
            self.assertTrue(more, got)
            got += more
        return got

    def quiet(self, fd):
        return not termios.tcgetattr(fd)[3] & termios.ECHO

    def test_prompt(self):
        pid, fd = self.on_terminal("user", "passwd", "joe")
        self.until(fd, b"New password: ")
        self.assertTrue(self.quiet(fd))
        os.write(fd, b"xyzzy\n")
        self.until(fd, b"The same again: ")
        os.write(fd, b"xyzzy\n")
        _, status = os.waitpid(pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)
        self.assertEqual(self.asked, [{"v": 1, "cmd": "user-passwd", "name": "joe",
                                       "password": "xyzzy"}])

    def test_prompt_mismatch(self):
        pid, fd = self.on_terminal("user", "add", "joe")
        self.until(fd, b"New password: ")
        os.write(fd, b"xyzzy\n")
        self.until(fd, b"The same again: ")
        os.write(fd, b"xyzzx\n")
        said = self.until(fd, b"nothing was changed")
        self.assertNotIn(b"xyzz", said)
        _, status = os.waitpid(pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 2)
        self.assertEqual(self.asked, [])

    def test_prompt_interrupted(self):
        pid, fd = self.on_terminal("user", "passwd", "joe")
        self.until(fd, b"New password: ")
        self.assertTrue(self.quiet(fd))
        os.write(fd, b"\x03")
        _, status = os.waitpid(pid, 0)
        self.assertEqual(os.WTERMSIG(status), signal.SIGINT)
        self.assertFalse(self.quiet(fd))
        self.assertEqual(self.asked, [])


class Accounts(RealTest):
    """Accounts of a relayd that runs, and of one that does not."""

    def walk_through(self, relay):
        def user(*args, stdin=None):
            done = relay.ctl("user", *args, stdin=stdin)
            return done.returncode, done.stdout
        self.assertEqual(user("add", "joe", "--address", "joe@here.example",
                              "--password-stdin", stdin="xyzzy\n")[0], 0)
        self.assertEqual(user("add", "joe", "--password-stdin", stdin="xyzzy\n")[0], 1)
        status, shown = user("list")
        self.assertEqual(status, 0)
        self.assertRegex(shown, r"(?m)^joe +enabled .* joe@here\.example$")
        self.assertEqual(user("set", "joe", "--disable")[0], 0)
        self.assertRegex(user("list", "joe")[1], r"(?m)^joe +disabled ")
        self.assertEqual(user("set", "joe", "--enable")[0], 0)
        self.assertEqual(user("passwd", "joe", "--password-stdin", stdin="plugh\n")[0], 0)
        status, secret = user("secret", "add", "joe", "printer", "--service", "smtp")
        self.assertEqual(status, 0)
        self.assertGreaterEqual(len(secret.strip()), 12)
        self.assertIn("printer", user("list", "joe")[1])
        self.assertEqual(user("secret", "delete", "joe", "printer")[0], 0)
        self.assertEqual(user("delete", "joe")[0], 0)
        self.assertEqual(user("list", "joe")[0], 1)

    def test_running(self):
        relay = self.relay('route "world" { deliver = "mx" }\n')
        self.walk_through(relay)
        relay.stop()
        self.assertNotIn("xyzzy", "\n".join(relay.process.lines))

    def test_stopped(self):
        relay = self.relay('route "world" { deliver = "mx" }\n')
        relay.stop()
        self.walk_through(relay)


    def test_many(self):
        """All of them are listed, and known again after a restart."""
        relay = self.relay('route "own" { to = {"here.example"} deliver = "mailbox" }\n',
                           networks="192.0.2.0/24")
        n = 300  # a list of so many is sorted in another way by some C libraries
        for i in reversed(range(n)):
            finger = hashlib.sha256(b"%d" % i).hexdigest()
            done = relay.ctl("user", "add", f"u{i:03}", "--certificate", finger,
                             "--address", f"u{i:03}@here.example")
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.answer_to(relay, "u000@here.example"), 250)
        relay.stop()
        relay.start()
        rows = relay.ctl("user", "list").stdout.splitlines()
        self.assertEqual([row.split()[0] for row in rows[1:]], [f"u{i:03}" for i in range(n)])
        real.wait_for("the accounts are read",
                      lambda: self.answer_to(relay, "u000@here.example") != 451)
        self.assertEqual(self.answer_to(relay, f"U{n - 1}+x@here.example"), 250)
        self.assertEqual(self.answer_to(relay, f"u{n}@here.example"), 550)
        self.assertNotIn("ended by signal", "\n".join(relay.process.lines))

    @staticmethod
    def answer_to(relay, recipient):
        with smtplib.SMTP("127.0.0.1", relay.port) as client:
            client.helo("c.example")
            client.mail("x@c.example")
            return client.rcpt(recipient)[0]

    def test_sessions_end(self):
        """A new password ends the sessions of POP3, whichever thread has them."""
        port = real.free_port()
        relay = self.relay(
            f'threads = 3\nlistener "pop" {{ bind = {{"127.0.0.1:{port}"}}\n'
            '  protocol = "pop3" auth-in-clear = true }\n'
            'route "own" { to = {"here.example"} deliver = "mailbox" }\n')
        names = [f"u{i}" for i in range(8)]
        clients = {}
        for name in names:
            relay.add_user(name, "xyzzy", "--address", f"{name}@here.example")
            clients[name] = poplib.POP3("127.0.0.1", port, timeout=real.LIMIT)
            clients[name].user(name)
            clients[name].pass_("xyzzy")
        for name in names[1:]:
            self.assertEqual(relay.ctl("user", "passwd", name, "--password-stdin",
                                       stdin="plugh\n").returncode, 0)
        clients["u0"].noop()
        clients["u0"].quit()
        for name in names[1:]:
            with self.assertRaisesRegex(poplib.error_proto, r"SYS/PERM"):
                clients[name].noop()
            clients[name].close()


class Sendmail(RealTest):
    """relay-sendmail finds its way in, and says by its status what became of it."""

    def setUp(self):
        super().setUp()
        self.said = []
        self.replies = {}
        self.path = os.path.join(self.dir, "submit.sock")

    def door(self):
        def serve(f):
            def reply(word, usual):
                f.write(self.replies.get(word, usual).encode() + b"\r\n")
                f.flush()
            reply("connect", "220 relay.test")
            for line in f:
                word = line.split(b" ")[0].strip().decode()
                self.said.append(line.rstrip(b"\r\n").decode())
                if word == "DATA":
                    reply(word, "354 go")
                    while f.readline().rstrip(b"\r\n") != b".":
                        pass
                    reply("dot", "250 2.0.0 queued")
                else:
                    reply(word, "250 fine")
                if word == "QUIT":
                    return
        door = Door(self.path, serve)
        self.addCleanup(door.stop)

    def sendmail(self, *args, **more):
        env = dict(os.environ, **more)
        return subprocess.run([os.path.join(real.BUILD, "relay-sendmail"), *args],
                              input=b"Subject: t\n\nt\n", env=env, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)

    def configure(self, more):
        path = os.path.join(self.dir, "relayd.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write('hostname = "relay.test"\nspool { path = "%s/spool" }\n'
                    'networks = {"127.0.0.0/8"}\n'
                    'listener "smtp" { bind = {"127.0.0.1:%d"} }\n'
                    'route "world" { deliver = "mx" }\n%s\n'
                    % (self.dir, real.free_port(), more))
        return path

    def test_by_environment(self):
        self.door()
        done = self.sendmail("-f", "me@here.example", "you@there.example",
                             RELAYD_SUBMIT=self.path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.said[1:], ["MAIL FROM:<me@here.example>",
                                         "RCPT TO:<you@there.example>", "DATA", "QUIT"])

    def test_by_configuration(self):
        self.door()
        file = self.configure('submit { path = "%s" }' % self.path)
        done = self.sendmail("-C", file, "-f", "me@here.example", "you@there.example",
                             RELAYD_SUBMIT="")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.said), 5)

    def test_nobody_there(self):
        file = self.configure('submit { path = "%s" }' % self.path)
        for args, more in ((["-C", file], {"RELAYD_SUBMIT": ""}),
                           ([], {"RELAYD_SUBMIT": self.path})):
            done = self.sendmail(*args, "you@there.example", **more)
            self.assertEqual(done.returncode, 75)
            self.assertIn(b"relayd does not answer", done.stderr)
            self.assertIn(self.path.encode(), done.stderr)
        done = self.sendmail("-C", self.configure(""), "you@there.example", RELAYD_SUBMIT="")
        self.assertEqual(done.returncode, 75)
        self.assertIn(b"127.0.0.1:", done.stderr)
        self.assertEqual(self.sendmail("a@b.example", RELAYD_SUBMIT="x").returncode, 78)

    def test_replies(self):
        self.door()
        for word, reply, status in (("connect", "421 4.3.2 later", 75), ("MAIL", "451 no", 75),
                                    ("MAIL", "550 5.7.1 not\x1b[2J yours", 77),
                                    ("RCPT", "550 no", 67), ("RCPT", "450 no", 75),
                                    ("dot", "452 full", 75), ("dot", "554 no", 69)):
            self.replies = {word: reply}
            done = self.sendmail("a@b.example", RELAYD_SUBMIT=self.path)
            self.assertEqual(done.returncode, status, (word, reply, done.stderr))
            self.assertIn(reply.split("\x1b")[0].encode(), done.stderr)
            self.assertNotIn(b"\x1b", done.stderr)


if __name__ == "__main__":
    real.main()
