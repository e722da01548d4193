#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Enemies of the IMAP server, with an account and without: who does not read his answers,
who says very much at once, bombs, literals, many connections, mails that are no mails.
Each ends with an honest client who is served, and memory stays what it was."""
import os
import random
import re
import socket
import ssl
import sys
import threading
import unittest
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import real  # noqa: E402
from real import wait_for  # noqa: E402
from test_imap import PASSWORD, USER, Reading, trusting  # noqa: E402

ALLOWED_KIB = 48 << 10 if real.VARIANT == "release" else 512 << 10  # sanitizers keep what is freed


def anonymous_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Anonymous:"))


class Raw:
    """Octets, and answers read when it pleases."""

    def __init__(self, port, rcvbuf=0, tls=False):
        self.s = socket.socket()
        if rcvbuf:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.s.settimeout(real.LIMIT)
        self.s.connect(("127.0.0.1", port))
        if tls:
            self.s = trusting().wrap_socket(self.s)
        self.f = self.s.makefile("rb")
        self.greeting = self.f.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.f.close()
        self.s.close()

    def send(self, octets):
        self.s.sendall(octets)
        return self

    def until(self, tag):
        """Lines up to that tag's answer; all there are if the server ends it."""
        lines = []
        while True:
            try:
                line = self.f.readline()
            except (ConnectionError, ssl.SSLError):
                line = b""
            lines.append(line)
            if line == b"" or line.startswith(tag + b" "):
                return lines

    def ask(self, command):
        tag = command.split(b" ", 1)[0]
        return self.send(command + b"\r\n").until(tag)

    def login(self, user=USER):
        got = self.ask(f'l LOGIN {user} "{PASSWORD}"'.encode())
        assert got[-1].startswith(b"l OK"), got
        return self

    def rest(self):
        try:
            return self.f.read()
        except (ConnectionError, ssl.SSLError):
            return b""


class Hostile(Reading):
    def victim(self, more=""):
        relay = self.reading(more)
        self.send(relay, 20)
        self.honest(relay)
        relay.before = anonymous_kib(relay.process.child.pid)
        return relay

    def honest(self, relay):
        """Somebody is served, and the server is no larger than it was."""
        m = self.login(relay)
        self.assertEqual(m.select()[0], "OK")
        self.assertEqual(m.fetch("1", "(BODY.PEEK[])")[0], "OK")
        m.logout()
        self.assertIsNone(relay.process.child.poll())

    @staticmethod
    def idle(relay):
        """Until the server does nothing any more: all that it would do is done."""
        last = [None, 0]

        def quiet():
            with open(f"/proc/{relay.process.child.pid}/stat", encoding="ascii") as f:
                now = f.read().rsplit(")", 1)[1].split()[11:13]
            last[1] = last[1] + 1 if now == last[0] else 0
            last[0] = now
            return last[1] == 30
        wait_for("a quiet server", quiet)

    def assert_small(self, relay):
        grown = anonymous_kib(relay.process.child.pid) - relay.before
        self.assertLess(grown, ALLOWED_KIB)

    # ---- who does not read

    def test_never_reads(self):
        """Thousands of commands with long answers, none of which is read."""
        relay = self.victim()
        with Raw(relay.imap).login() as c:
            for i in range(300):
                c.send(f'c CREATE "{i:03d}{"n" * 240}"\r\n'.encode())
            for i in range(300):
                c.until(b"c")
        for command in (b'a LIST "" *', b"a FETCH 1:* (BODY.PEEK[])", b"a SEARCH ALL",
                        b'a LIST "" * RETURN (STATUS (MESSAGES))', b"a THREAD REFERENCES UTF-8 ALL"):
            with Raw(relay.imap, rcvbuf=4096).login() as c:
                c.ask(b"s SELECT INBOX")
                c.s.settimeout(5)
                try:
                    c.send((command + b"\r\n") * 2000)  # at once: they are here already
                except TimeoutError:
                    pass
                self.idle(relay)
                self.assert_small(relay)
                self.honest(relay)

    def test_idles_and_never_reads(self):
        relay = self.victim()
        sleepers = [Raw(relay.imap, rcvbuf=4096).login() for _ in range(20)]
        for i, c in enumerate(sleepers):
            c.ask(b"s SELECT INBOX")
            if i % 2:
                c.send(b"i IDLE\r\n").f.readline()
            else:
                c.ask(b"n NOTIFY SET (selected (MessageNew MessageExpunge FlagChange)) "
                      b"(personal (MessageNew MessageExpunge FlagChange))")
        with Raw(relay.imap).login() as c:
            c.ask(b"s SELECT INBOX")
            for i in range(400):
                c.ask(b"t STORE 1:* %sFLAGS.SILENT (\\Draft %s)"
                      % (b"+-"[i % 2:][:1], b" ".join(b"k%02d%s" % (k, b"x" * 90) for k in range(30))))
        self.assert_small(relay)
        last = None
        for i, c in enumerate(sleepers):  # they hear of it when they read again
            if i % 2:
                c.send(b"DONE\r\n")
                last = c.until(b"i")[-1]
                self.assertTrue(last.startswith(b"i OK"), last)
            got = c.ask(b"f FETCH 1:* (FLAGS)")
            self.assertTrue(got[-1].startswith(b"f OK"), got[-1])
            c.__exit__()
        self.honest(relay)

    # ---- before signing in

    def test_stranger(self):
        """Nothing that a stranger says goes on for ever."""
        relay = self.victim()
        attacks = [
            b"1 LOGIN {99999}\r\n" * 3000,
            b"1 LOGIN {70000+}\r\n" + b"x" * 70000,
            b"1 LOGIN {2000+}\r\n" + b"x" * 2000 + b"\r\n1 NOOP\r\n",
            (b"1 LOGIN {1000+}\r\n" + b"y" * 1000 + b" {0}\r\n\r\n") * 1000,
            b"1 NOOP\r\n" * 5000,
            b"1 " + b"(" * 200000 + b"\r\n",
            b"1 AUTHENTICATE PLAIN\r\n*\r\n" * 1000,
            b"1 AUTHENTICATE PLAIN " + b"A" * 11000 + b"\r\n" + b"1 AUTHENTICATE PLAIN =\r\n" * 100,
            b"1 ID (" + b'"a" "b" ' * 1400 + b")\r\n",
            b"1 LOGIN \x00 \x00\r\n",
            b"\r\n" * 5000,
            b"* * * \r\n" * 5000,
            b"1 STARTTLS\r\n2 LOGIN a b\r\n3 CAPABILITY\r\n",
            b"1 LOGIN a {5}\r\n\x00\x00\x00\x00\x00\r\n" + b"1 NOOP\r\n" * 60,
            b"1 APPEND INBOX {1000000+}\r\n" + b"x" * 200000,
            random.Random(7).randbytes(100000),
        ]
        for octets in attacks:
            with Raw(relay.imap) as c:
                try:
                    c.send(octets)
                    c.s.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                got = c.rest()
                self.assertLess(len(got), 40000, octets[:40])
                self.assertNotIn(b"3 OK", got)
        self.honest(relay)
        self.assert_small(relay)

    def test_nul_in_strings(self):
        """CVE-2019-11500: of a string with a NUL nothing is copied, quoted, escaped or counted."""
        relay = self.victim()
        user, password = USER.encode(), PASSWORD.encode()
        for octets in (b't1 LOGIN "a\0b" "c"\r\n',
                       b't1 LOGIN "a" "c\0"\r\n',
                       b't1 LOGIN "' + b"\\\0" * 2000 + b'" "c"\r\n',
                       b't1 LOGIN "' + b"\\\0" * 2000,
                       b't1 LOGIN "' + user + b'\0" "' + password + b'"\r\n',
                       b't1 LOGIN "' + user + b'" "' + password + b'\0"\r\n',
                       b"t1 LOGIN {%d+}\r\n%s\0 {%d+}\r\n%s\r\n" % (len(user) + 1, user, len(password), password),
                       b"t1 LOGIN {%d+}\r\n%s {%d+}\r\n%s\0\r\n" % (len(user), user, len(password) + 1, password),
                       b't1 AUTHENTICATE PLAIN "\0' + user + b"\0" + password + b'"\r\n'):
            with self.subTest(octets=octets[:40]), Raw(relay.imap) as c:
                c.send(octets + b"\r\nt2 NOOP\r\n").s.shutdown(socket.SHUT_WR)
                answers = re.findall(rb"(?m)^(\S+) (OK|NO|BAD|BYE)", c.rest())
                self.assertIn(answers[:1], ([(b"t1", b"BAD")], [(b"t1", b"NO")], [(b"*", b"BAD")], [(b"*", b"BYE")]))
                self.assertNotIn((b"t1", b"OK"), answers)
        self.honest(relay)
        self.assert_small(relay)

    def test_limits_of_connections(self):
        relay = self.victim("limits { client-connections = 30 account-sessions = 10 }\n")
        many = []
        for _ in range(60):
            s = socket.create_connection(("127.0.0.1", relay.imap), timeout=real.LIMIT)
            many.append((s, s.recv(1000)))
        self.assertEqual(sum(greeting.startswith(b"* OK") for _, greeting in many), 30)
        for s, _ in many:
            s.close()
        wait_for("they are gone", lambda: Raw(relay.imap).greeting.startswith(b"* OK"))
        inside = [Raw(relay.imap) for _ in range(12)]
        answers = [c.ask(f'l LOGIN {USER} "{PASSWORD}"'.encode())[-1] for c in inside]
        self.assertEqual([a[:4] for a in answers], [b"l OK"] * 10 + [b"l NO"] * 2)
        self.assertIn(b"[LIMIT]", answers[-1])
        for c in inside:
            c.__exit__()
        wait_for("there is room again", lambda: Raw(relay.imap).ask(
            f'l LOGIN {USER} "{PASSWORD}"'.encode())[-1].startswith(b"l OK"))
        self.honest(relay)

    # ---- compressed

    def test_bombs(self):
        relay = self.victim()
        for bomb in (b"A" * (64 << 20), b"1 NOOP\r\n" * (1 << 20), b"\x00" * (64 << 20),
                     b"1 LOGIN {60000}\r\n" + b"{" * (32 << 20)):
            with Raw(relay.imap).login() as c:
                self.assertTrue(c.ask(b"c COMPRESS DEFLATE")[-1].startswith(b"c OK"))
                pack = zlib.compressobj(9, wbits=-15)
                c.s.settimeout(5)
                try:
                    c.send(pack.compress(bomb) + pack.flush())
                    self.assert_small(relay)
                    while c.s.recv(65536):
                        self.assert_small(relay)
                except OSError:
                    pass
                self.assert_small(relay)
        self.honest(relay)
        for junk in (b"\xff" * 5000, b"\x00\x00\x00\xff\xff" * 100000, b"a NOOP\r\n"):
            with Raw(relay.imap).login() as c:
                c.ask(b"c COMPRESS DEFLATE")
                c.s.settimeout(5)
                try:
                    c.send(junk)
                    c.s.shutdown(socket.SHUT_WR)
                    c.rest()
                except OSError:
                    pass
        self.honest(relay)
        self.assert_small(relay)

    # ---- with an account

    def test_member(self):
        """What somebody with an account may say, and be the only one who suffers."""
        relay = self.victim()
        deep = b"(" * 30000 + b")" * 30000
        attacks = [
            b"1 SEARCH " + deep, b"1 SEARCH " + b"NOT " * 15000 + b"ALL",
            b"1 SEARCH " + b"OR ALL " * 9000 + b"ALL", b"1 FETCH 1 " + deep,
            b"1 FETCH 1:4294967295 (" + b"BODY[] " * 5000 + b"BODY[])",
            b"1 FETCH 1 BODY[" + b"1." * 20000 + b"1]",
            b"1 FETCH 1 BODY[HEADER.FIELDS (" + b"a " * 20000 + b"b)]",
            b"1 FETCH " + b",".join(b"%d" % i for i in range(9000)) + b" (UID)",
            b"1 UID FETCH " + b",".join(b"%d:%d" % (i, 4294967295 - i) for i in range(1, 3000)) + b" (UID)",
            b"1 STORE 1 FLAGS (" + b" ".join(b"k%d" % i for i in range(6000)) + b")",
            b"1 STORE 1 FLAGS (" + b"k" * 60000 + b")",
            b'1 LIST "" (' + b'"' + b"*%" * 250 + b'" ' + b'"*a*" ' * 30 + b'"b")',
            b'1 CREATE "' + b"a/" * 120 + b'"', b'1 CREATE "&AAA-"', b'1 CREATE "&ANwA3w-"',
            b'1 CREATE "' + b"&" * 1000 + b'"', b'1 RENAME INBOX "../../etc"', b'1 DELETE INBOX',
            b'1 CREATE "a\x00b"', b"1 CREATE {3+}\r\na\x00b", b"1 SELECT {5}\r\n" + b"\xff\xfe\xfd\xfc\xfb",
            b"1 FETCH 1 BODY[]<4294967295.4294967295>", b"1 FETCH 1 BODY[]<18446744073709551615.1>",
            b"1 FETCH 18446744073709551617 (UID)", b"1 FETCH 1 BINARY[1.1.1.1]<0.4294967295>",
            b"1 SORT (" + b"DATE " * 5000 + b"DATE) UTF-8 ALL", b"1 THREAD NONSENSE UTF-8 ALL",
            b"1 SEARCH BODY {60000+}\r\n" + b"z" * 60000, b"1 SEARCH CHARSET UTF-8 TEXT \"\xff\xfe\"",
            b"1 SEARCH HEADER \"\" \"\"", b"1 SEARCH BEFORE 99-Feb-99999", b"1 SEARCH UID " + b"1," * 20000 + b"1",
            b'1 APPEND INBOX "31-Feb-2026 00:00:00 +0000" {3+}\r\nabc', b"1 APPEND INBOX {0+}\r\n",
            b"1 APPEND INBOX (\\Recent) {3+}\r\nabc", b"1 APPEND INBOX {4294967295+}\r\nabc",
            b"1 SETMETADATA \"\" (/private/x {60000+}\r\n" + b"m" * 60000 + b")",
            b"1 NOTIFY SET " + b"(personal (MessageNew)) " * 2000,
            b"1 ENABLE " + b"X " * 20000 + b"QRESYNC",
            b"1 SELECT INBOX (QRESYNC (1 1 1:4294967295 (" + b"1," * 10000 + b"1 1:*)))",
            b"1 UID EXPUNGE 1:4294967295", b"1 GETQUOTA \"" + b"q" * 60000 + b"\"",
            b"1 IDLE\r\nNOT DONE\r\n1 NOOP", b"1 IDLE\r\n" + b"D" * 70000,
        ]
        for command in attacks:
            with Raw(relay.imap).login() as c:
                c.ask(b"s SELECT INBOX")
                try:
                    got = c.ask(command)
                    self.assertIn(got[-1][:4], (b"1 OK", b"1 NO", b"1 BA", b""), command[:60])
                    if got[-1] == b"":
                        self.assertIn(b"BYE", b"".join(got), command[:60])
                    elif not command.startswith(b"1 IDLE"):
                        c.ask(b"2 NOOP")
                except OSError:
                    pass
        self.honest(relay)
        self.assert_small(relay)

    def test_broken_off(self):
        """APPEND and others left in the middle, and all at once."""
        relay = self.victim()
        for i in range(200):
            c = Raw(relay.imap).login()
            c.send([b"1 APPEND INBOX {50000}\r\n", b"1 APPEND INBOX {50000+}\r\n" + b"x" * 30000,
                    b"1 APPEND INBOX {10+}\r\n0123456789 {10+}\r\n01", b"1 FETCH 1:* (BODY[])\r\n",
                    b"1 COPY 1:* Trash\r\n", b"1 SEARCH TEXT nothing\r\n", b"1 IDLE\r\nDO"][i % 7])
            if i % 2:
                c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            c.__exit__()
        self.honest(relay)
        m = self.login(relay)
        self.assertEqual(m.select()[1], [b"20"])
        m.logout()
        self.assert_small(relay)
        done = relay.ctl("spool-check")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_mails_that_are_none(self):
        """Structures without end are bounded, in each answer about them."""
        relay = self.victim()
        dice = random.Random(5)
        head = b"Subject: x\r\nMIME-Version: 1.0\r\n"
        nest = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i)
                        for i in range(20000))
        mails = [
            head + nest,
            head + b"Content-Type: message/rfc822\r\n\r\n" * 20000,
            head + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 100000,
            head + b"Content-Type: multipart/digest; boundary=b\r\n\r\n" + b"--b\r\n\r\nS: x\r\n\r\n" * 50000,
            b"".join(b"H%d: v\r\n" % i for i in range(100000)) + b"\r\nx",
            b"To: " + b"a@b.test, " * 100000 + b"c@d.test\r\n\r\n",
            b"To: " + b"(" * 100000 + b"\r\n\r\n", b"To: " + b"g:" * 50000 + b"\r\n\r\n",
            b"To: " + b"<@" * 50000 + b"\r\n\r\n",
            b"Subject: " + b"=?utf-8?q?" + b"a" * 1000000 + b"?=\r\n\r\n",
            b"Subject: " + b"=?utf-8?q?a?= " * 50000 + b"\r\n\r\n",
            head + b"Content-Type: text/plain" + b"; a*%d=b" * 1 % 0 + b"".join(
                b"; a*%d*=utf-8''%%41" % i for i in range(50000)) + b"\r\n\r\nx",
            head + b"Content-Type: multipart/mixed; boundary=\"" + b"b" * 100000 + b"\"\r\n\r\nx",
            b"References: " + b"<a@b> " * 100000 + b"\r\n\r\nx",
            b"\r\n" * 500000, b":" * 100000, b"a" * 1000000, b"\r" * 100000, b"\n" * 100000,
            dice.randbytes(300000).replace(b"\x00", b"\x01"),
            head + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=" * 300000,
            head + b"Content-Type: text/html\r\n\r\n" + b"<" * 300000,
            head + b"Content-Type: text/html\r\n\r\n" + b"<a " * 100000 + b"&" * 100000,
            head + b"Content-Type: text/plain; charset=utf-7\r\n\r\n" + b"+" * 300000,
            head + b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n" + b"\x1b$B" * 100000,
        ]
        with Raw(relay.imap).login() as c:
            c.ask(b"c CREATE Odd")
            for m in mails:
                got = c.ask(b"1 APPEND Odd {%d+}\r\n" % len(m) + m)
                self.assertIn(got[-1][:4], (b"1 OK", b"1 NO"))
            c.ask(b"s SELECT Odd")
            for command in (b"FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE BODY PREVIEW RFC822.SIZE)",
                            b"FETCH 1:* (BODY.PEEK[1.1.1.1] BODY.PEEK[1.MIME] BINARY.PEEK[1] BINARY.SIZE[1])",
                            b"FETCH 1:* (BODY.PEEK[HEADER.FIELDS (TO SUBJECT)] BODY.PEEK[TEXT]<0.100>)",
                            b"SEARCH TEXT zzzz", b"SEARCH CHARSET UTF-8 SUBJECT {2+}\r\n\xc3\xa4",
                            b"SORT (SUBJECT FROM TO DATE) UTF-8 ALL", b"THREAD REFERENCES UTF-8 ALL"):
                got = c.ask(b"2 " + command)
                self.assertTrue(got[-1].startswith((b"2 OK", b"2 NO [UNKNOWN-CTE]")), (command, got[-1]))
        self.honest(relay)
        self.assert_small(relay)

    # ---- TLS

    def test_words_before_tls(self):
        """What stands behind STARTTLS in the clear is nobody's command."""
        relay = self.victim()
        with Raw(relay.imap) as c:
            c.send(b'1 STARTTLS\r\n2 LOGIN alice "correct horse"\r\n')
            got = c.rest()
            self.assertNotIn(b"2 OK", got)
        c = Raw(relay.imap)
        self.assertTrue(c.ask(b"1 STARTTLS")[-1].startswith(b"1 OK"))
        c.s = trusting().wrap_socket(c.s)
        c.f = c.s.makefile("rb")
        self.assertTrue(c.ask(b"2 STARTTLS")[-1].startswith(b"2 BAD"))
        c.login()
        self.assertTrue(c.ask(b"3 STARTTLS")[-1].startswith(b"3 BAD"))
        c.__exit__()
        for junk in (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 1000,
                     random.Random(3).randbytes(5000)):
            s = socket.create_connection(("127.0.0.1", relay.imaps), timeout=real.LIMIT)
            try:
                s.sendall(junk)
                s.shutdown(socket.SHUT_WR)
                while s.recv(4096):
                    pass
            except OSError:
                pass
            s.close()
        self.honest(relay)

    def test_thousands(self):
        """A thousand that say nothing, and go again, while somebody works."""
        relay = self.victim("limits { client-connections = 5000 account-sessions = 5000 }\n")
        stop, done = threading.Event(), []

        def work():
            while not stop.is_set():
                self.honest(relay)
                done.append(1)
        t = threading.Thread(target=work)
        t.start()
        for _ in range(3):
            many = [socket.create_connection(("127.0.0.1", (relay.imap, relay.imaps)[i % 2]))
                    for i in range(1000)]
            for s in many:
                s.close()
        stop.set()
        t.join()
        self.assertTrue(done)
        self.honest(relay)
        self.assert_small(relay)


if __name__ == "__main__":
    unittest.main(verbosity=2)
