#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Enemies of the built daemon: clients, the control socket, next hops.

Every test shows the bytes that are sent and what must come back, and ends with an
honest message that is accepted and arrives: on a dead server nothing here passes.
"""
import glob
import os
import re
import socket
import struct
import subprocess
import threading
import time

import real
from real import RealTest, wait_for

STRANGERS = "192.0.2.0/24"  # does not hold 127.0.0.1: whoever connects is a stranger
HELLO = b"EHLO client.example\r\n"
ENVELOPE = b"MAIL FROM:<a@out.example>\r\nRCPT TO:<b@in.example>\r\n"
RESET = struct.pack("ii", 1, 0)


class Client:
    """A raw connection: bytes out, replies in, nothing helpful in between."""

    def __init__(self, port, limit=20.0, rcvbuf=0, source="127.0.0.1"):
        self.s = socket.socket()
        self.s.bind((source, 0))
        if rcvbuf:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.s.settimeout(limit)
        self.s.connect(("127.0.0.1", port))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.f = self.s.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.f.close()
        self.s.close()

    def send(self, data):
        self.s.sendall(data)
        return self

    def reply(self):
        """One whole reply; b"" when the server has closed."""
        whole = b""
        while True:
            try:
                line = self.f.readline()
            except ConnectionError:
                return whole
            whole += line
            if line[3:4] != b"-":
                return whole

    def replies(self):
        """All replies until the server closes."""
        return list(iter(self.reply, b""))

    def ask(self, data):
        return self.send(data).reply()

    def hello(self):
        assert self.reply().startswith(b"220 ")
        assert self.ask(HELLO).startswith(b"250")
        return self

    def begin(self):
        self.hello().send(ENVELOPE + b"DATA\r\n")
        got = [self.reply()[:3] for _ in range(3)]
        assert got == [b"250", b"250", b"354"], got
        return self

    def reset(self):
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.f.close()
        self.s.close()


def codes(replies):
    return [int(r[:3]) for r in replies]


class Hop:
    """A next hop on a thread: `handle(conn, file)` is what it does with a connection.
    Without one it is honest, and keeps each message as it came on the wire."""

    def __init__(self, test, handle=None):
        self.mail, self.wire = [], b""
        self.handle = handle or self.honest
        self.s = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.s.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()
        test.addCleanup(self.close)

    def close(self):
        try:
            self.s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.s.close()

    def serve(self):
        while True:
            try:
                conn, _ = self.s.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(conn,), daemon=True).start()

    def one(self, conn):
        try:
            with conn, conn.makefile("rb") as f:
                self.handle(conn, f)
        except (OSError, ValueError):
            pass

    def honest(self, conn, f):
        conn.sendall(b"220 hop.example\r\n")
        for line in f:
            self.wire += line
            word = line[:4].upper()
            if word == b"EHLO":
                conn.sendall(b"250-hop.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n")
            elif word == b"DATA":
                conn.sendall(b"354 go\r\n")
                text = b""
                while not text.endswith(b"\r\n.\r\n"):
                    more = f.readline()
                    if not more:
                        return
                    text += more
                self.wire += text
                self.mail.append(text)
                conn.sendall(b"250 kept\r\n")
            elif word == b"QUIT":
                conn.sendall(b"221 bye\r\n")
                return
            else:
                conn.sendall(b"250 ok\r\n")


class Hostile(RealTest):
    """A relay in front of an honest hop; who connects is a stranger unless own."""

    def front(self, own=False, more=""):
        self.hop = Hop(self)
        return self.relay('route "in" { to = {"in.example"} inbound = true '
                          f'via = {{"127.0.0.1:{self.hop.port}"}} }}\n'
                          f'route "all" {{ via = {{"127.0.0.1:{self.hop.port}"}} }}\n' + more,
                          networks="127.0.0.0/8" if own else STRANGERS)

    def honest(self, relay, subject=b"control"):
        """The positive control: accepted and delivered."""
        with Client(relay.port) as c:
            got = c.begin().ask(b"Subject: " + subject + b"\r\n\r\nhonest\r\n.\r\n")
            self.assertRegex(got, rb"^250 2\.0\.0 Ok: queued as ")
            self.assertEqual(c.ask(b"QUIT\r\n")[:3], b"221")
        mark = b"Subject: " + subject + b"\r\n\r\nhonest\r\n.\r\n"
        wait_for("the honest message", lambda: any(m.endswith(mark) for m in list(self.hop.mail)))

    def sane(self, relay):
        """It still serves, has logged nothing raw, and (under ASan) nothing was reported."""
        self.honest(relay, b"last")
        self.assertEqual(relay.stop(), 0, "\n".join(relay.process.lines[-30:]))
        for line in relay.process.lines:
            self.assertNotRegex(line, r"[\x00-\x1f\x7f]")
            self.assertNotRegex(line, r"AddressSanitizer|runtime error|LeakSanitizer")


# Every way to write "line end, dot, line end" but the one true one.
ENDS = [b"\n", b"\r", b"\r\n", b"\r\r\n", b"\n\r", b"\r\n\0", b"\0\r\n", b"\r\0\n", b"\r\n\r"]
ENDINGS = [a + b"." + z for a in ENDS for z in ENDS
           if not (a.endswith(b"\r\n") and z.startswith(b"\r\n"))]
INNER = (b"MAIL FROM:<evil@out.example>\r\nRCPT TO:<victim@in.example>\r\nDATA\r\n"
         b"Subject: smuggled\r\n\r\ninner\r\n.\r\nQUIT\r\n")


class Framing(Hostile):
    def smuggle(self, relay, ending):
        with Client(relay.port) as c:
            c.begin().send(b"Subject: outer\r\n\r\nbody" + ending + INNER)
            return codes(c.replies())

    def test_smuggling_from_a_stranger(self):
        relay = self.front()
        for ending in ENDINGS:
            with self.subTest(bytes=ending):
                self.assertEqual(self.smuggle(relay, ending), [554, 221])
        self.sane(relay)
        self.assertEqual(len(self.hop.mail), 1)

    def test_smuggling_from_an_own_network(self):
        relay = self.front(own=True)
        taken = 0
        for ending in ENDINGS:
            with self.subTest(bytes=ending):
                expect = 554 if b"\0" in ending else 250
                self.assertEqual(self.smuggle(relay, ending), [expect, 221])
                taken += expect == 250
        wait_for("the messages", lambda: len(self.hop.mail) == taken)
        for text in self.hop.mail:
            self.assertIn(b"MAIL FROM:<evil@out.example>\r\n", text)
        self.assertNotRegex(self.hop.wire, rb"\0|\r(?!\n)|(?<!\r)\n")
        self.sane(relay)
        self.assertEqual(len(self.hop.mail), taken + 1)

    def test_long_lines_are_not_cut(self):
        for own in (False, True):
            relay = self.front(own)
            for n in (511, 512, 997, 998, 999, 1000, 1023, 1024, 2048, 4095, 4096, 8192, 16384,
                      65535, 65536, 70000):
                for middle in (b"", b"\r"):
                    with self.subTest(own=own, length=n, middle=middle):
                        with Client(relay.port) as c:
                            c.begin().send(b"Subject: l\r\n\r\n" + b"a" * n + middle + b".\r\n" + INNER)
                            bad = not own and (n + 1 > 998 or middle)
                            self.assertEqual(codes(c.replies()), [554 if bad else 250, 221])
            self.sane(relay)

    def test_terminator_split_at_each_byte(self):
        relay = self.front()
        text = b"Subject: split\r\n\r\n..x\r\n.\r\n"
        for cut in range(1, len(text)):
            with Client(relay.port) as c:
                c.begin().send(text[:cut])
                self.assertEqual(codes([c.ask(text[cut:]), c.ask(b"QUIT\r\n")]), [250, 221])
        with Client(relay.port) as c:
            c.begin()
            for i in range(len(text)):
                c.send(text[i:i + 1])
            self.assertEqual(codes([c.reply(), c.ask(b"QUIT\r\n")]), [250, 221])
        wait_for("all of them", lambda: len(self.hop.mail) == len(text))
        self.assertTrue(all(m.endswith(b"\r\n\r\n..x\r\n.\r\n") for m in self.hop.mail))
        self.sane(relay)

    def test_bdat_content_is_stuffed_again(self):
        relay = self.front()
        content = b"Subject: chunk\r\n\r\nbody\r\n.\r\n" + INNER
        with Client(relay.port) as c:
            c.hello().send(ENVELOPE + b"BDAT %d LAST\r\n" % len(content) + content + b"QUIT\r\n")
            self.assertEqual(codes(c.replies()), [250, 250, 250, 221])
        wait_for("one message", lambda: len(self.hop.mail) == 1)
        self.assertTrue(self.hop.mail[0].endswith(
            b"\r\nbody\r\n..\r\n" + INNER.replace(b"\r\n.\r\n", b"\r\n..\r\n") + b".\r\n"))
        self.sane(relay)
        self.assertEqual(len(self.hop.mail), 2)

    def test_bare_line_ends_and_nul_in_commands(self):
        relay = self.front()
        for sent, want in ((b"RSET\nRSET\r\nNOOP\r\n", [500]),
                           (b"MAIL FROM:<a@b.example>\nRCPT TO:<b@in.example>\r\n", [500]),
                           (b"NOOP\n", [500]),
                           (b"RSET\rRSET\r\nQUIT\r\n", [500, 221]),
                           (b"NOOP\0\r\nQUIT\r\n", [500, 221]),
                           (b"MAIL FROM:<a\0@b.example>\r\nQUIT\r\n", [500, 221]),
                           (b"\xff\xfe\r\nQUIT\r\n", [500, 221])):
            with self.subTest(bytes=sent), Client(relay.port) as c:
                self.assertEqual(codes(c.hello().send(sent).replies()), want)
        self.sane(relay)

    def test_one_mechanism_after_the_other(self):
        """CVE-2011-1720: what a mechanism has kept is never the next one's."""
        relay = self.front(more=f'listener "auth" {{ bind = {{"127.0.0.1:{(port := real.free_port())}"}} '
                           'auth = "optional" auth-in-clear = true }\nlimits { errors = 10000 }\n'
                           'accounts { delay = "0s" attempts = 10000 }\n')
        relay.add_user("joe", "open sesame")
        steps = ((b"AUTH CRAM-MD5\r\n", 504), (b"*\r\n", 500), (b"AUTH PLAIN bad\r\n", 501),
                 (b"AUTH LOGIN\r\n", 334), (b"*\r\n", 501), (b"AUTH SCRAM-SHA-256\r\n", 334), (b"*\r\n", 501),
                 (b"AUTH SCRAM-SHA-256 biwsbj1qb2Uscj1hYmNkZWZnaA==\r\n", 334), (b"AUTH PLAIN\r\n", 501),
                 (b"AUTH PLAIN\r\n", 334), (b"bad\r\n", 501),
                 (b"AUTH LOGIN am9l\r\n", 334), (b"bad\r\n", 501))
        with Client(port, limit=real.LIMIT) as c:
            c.hello()
            for i in range(100):
                for step, want in steps:
                    self.assertEqual(c.ask(step)[:3], b"%d" % want, (i, step))
            self.assertEqual(c.ask(b"AUTH PLAIN AGpvZQBvcGVuIHNlc2FtZQ==\r\n")[:3], b"235")
        self.sane(relay)

    def test_other_protocols(self):
        relay = self.front()
        mail = HELLO + ENVELOPE + b"DATA\r\n.\r\n"
        for sent in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + mail,
                     b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n" + mail,
                     b"CONNECT x:25 HTTP/1.1\r\n\r\n" + mail, b"get / HTTP/1.0\r\n" + mail,
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + mail,
                     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
                     b"\x80\x2e\x01\0\x02" + mail, b"{\"v\":1}\r\n" + mail):
            with self.subTest(bytes=sent[:20]), Client(relay.port) as c:
                got = codes(c.send(sent).replies())
                self.assertEqual(got[:1], [220])
                self.assertIn(got[1:], ([], [421]))
        self.sane(relay)
        self.assertEqual(len(self.hop.mail), 1)


# Spellings that have made other servers relay; the victim is elsewhere.example.
TRICKS = [
    b"<victim@elsewhere.example>", b"victim@elsewhere.example", b"<victim@ELSEWHERE.EXAMPLE.>",
    b"<victim%elsewhere.example@in.example.evil.example>", b"<victim%elsewhere.example>",
    b"<victim%elsewhere.example@>", b"<victim%elsewhere.example@[127.0.0.1]>",
    b"<victim%elsewhere.example@relay.test>", b"<@in.example:victim@elsewhere.example>",
    b"<@relay.test:victim@elsewhere.example>", b"<@in.example,@relay.test:victim@elsewhere.example>",
    b"<@[127.0.0.1]:victim@elsewhere.example>", b"<elsewhere.example!victim>",
    b"<elsewhere.example!victim@relay.test>", b"<relay.test!elsewhere.example!victim>",
    b"<victim@elsewhere.example@in.example>", b"<victim@in.example@elsewhere.example>",
    b"<victim@elsewhere.example%in.example>", b"<\"victim@elsewhere.example\">",
    b"<\"victim@elsewhere.example\"@relay.test>", b"<\"victim%elsewhere.example\"@relay.test>",
    b"<\"victim\"@elsewhere.example>", b"<victim\\@elsewhere.example>",
    b"<victim\\@elsewhere.example@in.example>", b"<victim@[192.0.2.9]>", b"<victim@[127.0.0.1]>",
    b"<victim@[IPv6:::1]>", b"<victim@[IPv6:::ffff:127.0.0.1]>", b"<victim@[in.example]>",
    b"<victim@127.0.0.1>", b"<victim@[0x7f000001]>", b"<victim@2130706433>", b"<victim@localhost>",
    b"<victim@relay.test>", b"<victim>", b"<victim@>", b"<@in.example>", b"<>", b"victim@in.example>",
    b"<victim@xin.example>", b"<victim@x.in.example>", b"<victim@in.example.elsewhere.example>",
    b"<victim@.in.example>", b"<victim@in..example>", b"<victim@in.example,other@elsewhere.example>",
    b"<victim@elsewhere.example,in.example>", b"<victim@elsewhere.example> <b@in.example>",
    b"<victim@elsewhere.example>,<b@in.example>", b"<victim@elsewhere.example(in.example)>",
    b"<victim@elsewhere.example (@in.example)>", b"<victim@elsewhere.example;in.example>",
    b"<victim@elsewhere.example\tin.example>", b"<victim@elsewhere.example @in.example>",
    b"<victim@elsewhere.example\0@in.example>", b"<victim@elsewhere.example\r@in.example>",
    b"<victim@elsewhere.example>@in.example", b"<victim:elsewhere.example@>",
    b"<=?utf-8?q?victim=40elsewhere.example?=@relay.test>", b"<victim@in.example\xc2\xa0.evil.example>",
    b"<victim@\xff\xfe>", b"<victim@in\xe3\x80\x82example>", b"<victim@%s>" % (b"x." * 200),
    b"<|touch /tmp/canary>", b"<;touch /tmp/canary;>", b"<${run{/bin/true}}@localhost>",
    b"<../../etc/passwd@relay.test>", b"< victim@elsewhere.example >",
]
# Odd local parts of a domain that is served: may be taken, and go there and nowhere else.
ODD = [b"<victim%elsewhere.example@in.example>", b"<elsewhere.example!victim@in.example>",
       b"<\"victim@elsewhere.example\"@in.example>", b"<\"victim%elsewhere.example\"@in.example>",
       b"<=?utf-8?q?victim=40elsewhere.example?=@in.example>", b"<;touch@in.example>",
       b"<\"() { :;}; touch /tmp/canary\"@in.example>", b"<${run{x}}@in.example>",
       b"<|x@in.example>", b"<../../x@in.example>"]


class Abuse(Hostile):
    def test_no_open_relay(self):
        relay = self.front(more="limits { errors = 1000 }")
        for trick in TRICKS:
            with self.subTest(rcpt=trick), Client(relay.port) as c:
                c.hello()
                self.assertEqual(c.ask(b"MAIL FROM:<b@in.example>\r\n")[:3], b"250")
                self.assertRegex(c.ask(b"RCPT TO:" + trick + b"\r\n"), rb"^5\d\d ")
                self.assertIn(c.ask(b"DATA\r\n")[:3], (b"503", b"554", b""))
        for trick in ODD:
            with self.subTest(rcpt=trick), Client(relay.port) as c:
                c.hello().ask(b"MAIL FROM:<>\r\n")
                self.assertIn(c.ask(b"RCPT TO:" + trick + b"\r\n")[:1], b"25")
                c.ask(b"DATA\r\n")
                c.ask(b"Subject: odd\r\n\r\n.\r\n")
        self.sane(relay)
        for line in re.findall(rb"(?m)^RCPT TO:(<.*>)", self.hop.wire):
            self.assertTrue(line.endswith(b"@in.example>"), line)
        self.assertFalse(os.path.exists("/tmp/canary"))

    def test_lies_about_who_one_is(self):
        relay = self.front(more="limits { errors = 1000 }")
        for lie in (b"EHLO relay.test", b"EHLO [127.0.0.1]", b"EHLO localhost", b"HELO in.example",
                    b"XCLIENT ADDR=192.0.2.1 NAME=x", b"XFORWARD ADDR=192.0.2.1",
                    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 25", b"AUTH PLAIN AGEAYg==", b"AUTH PLAIN =",
                    b"AUTH ANONYMOUS", b"AUTH EXTERNAL =", b"AUTH LOGIN", b"AUTH CRAM-MD5", b"STARTTLS",
                    b"MAIL FROM:<a@in.example> AUTH=<>"):
            with self.subTest(lie=lie), Client(relay.port) as c:
                c.hello()
                c.ask(lie + b"\r\n")
                c.ask(b"MAIL FROM:<root@relay.test>\r\n")
                self.assertRegex(c.ask(b"RCPT TO:<victim@elsewhere.example>\r\n"), rb"^5\d\d ")
        self.sane(relay)

    def test_numbers_of_size(self):
        relay = self.front(more="limits { errors = 1000 }")
        with Client(relay.port) as c:
            c.hello()
            for n in (b"-1", b"+1", b"", b"abc", b"0x10", b"1e3", b" 1", b"2147483648", b"4294967297",
                      b"9223372036854775808", b"18446744073709551616", b"18446744073709551617",
                      b"9" * 26, b"9" * 900, b"1 SIZE=1"):
                with self.subTest(size=n):
                    self.assertRegex(c.ask(b"MAIL FROM:<a@b.example> SIZE=" + n + b"\r\n"), rb"^5\d\d ")
                    self.assertEqual(c.ask(b"RSET\r\n")[:3], b"250")
            self.assertEqual(c.ask(b"MAIL FROM:<a@b.example> SIZE=1000\r\n")[:3], b"250")
        self.sane(relay)

    def test_numbers_of_bdat(self):
        relay = self.front()
        for n in (b"-1", b"+1", b"", b"abc", b"0x10", b"2147483648", b"4294967296", b"4294967297",
                  b"9223372036854775807", b"9223372036854775808", b"18446744073709551615",
                  b"18446744073709551616", b"18446744073709551617", b"9" * 26, b"1 LAST LAST", b"1 FIRST",
                  b"1LAST"):
            with self.subTest(size=n), Client(relay.port) as c:
                c.hello().send(ENVELOPE + b"BDAT " + n + b"\r\n" + b"x" * n.startswith(b"1 ") + b"QUIT\r\n")
                c.s.shutdown(socket.SHUT_WR)
                got = codes(c.replies())
                self.assertEqual(got[:2], [250, 250])
                self.assertTrue(set(got[2:]) <= {501, 552, 221}, got)
        with Client(relay.port) as c:  # refused chunks are eaten, never run
            c.hello().send(b"BDAT 6\r\nRSET\r\nBDAT 6 LAST\r\nNOOP\r\nBDAT 0\r\n" + ENVELOPE +
                           b"BDAT 1\r\nxDATA\r\nBDAT 0\r\nRSET\r\nBDAT 1 LAST\r\nxQUIT\r\n")
            self.assertEqual(codes(c.replies()), [503, 503, 503, 250, 250, 250, 503, 250, 250, 503, 221])
        with Client(relay.port) as c:
            c.hello().send(ENVELOPE + b"BDAT 2\r\n\r\n" * 10000 + b"BDAT 0 LAST\r\nQUIT\r\n")
            got = codes(c.replies())
            self.assertEqual(got, [250] * 10003 + [221])
        wait_for("the chunks", lambda: any(b"\r\n" * 10000 in m for m in self.hop.mail))
        self.sane(relay)

    def test_too_many_recipients(self):
        relay = self.front()
        with Client(relay.port) as c:
            c.hello().send(b"MAIL FROM:<a@out.example>\r\n" +
                           b"".join(b"RCPT TO:<u%d@in.example>\r\n" % i for i in range(1100)))
            got = codes(c.reply() for _ in range(1101))
            self.assertEqual(got, [250] * 1001 + [452] * 100)
            self.assertEqual(c.ask(b"DATA\r\n")[:3], b"354")
            self.assertEqual(c.ask(b"Subject: 1000\r\n\r\n.\r\n")[:3], b"250")
        wait_for("all recipients", lambda: self.hop.wire.count(b"RCPT TO:<u") == 1000)
        self.sane(relay)

    def test_error_budget(self):
        relay = self.front()
        for junk in (b"FOO\r\n", b"VRFY\r\n", b"MAIL\r\n", b"RCPT TO:<x@y.example>\r\n", b"\r\n",
                     b"x" * 2500 + b"\r\n", b"DATA\r\n", b"AUTH PLAIN\r\n", b"BDAT 0\r\n", b"RSET x\r\n"):
            with self.subTest(junk=junk[:20]), Client(relay.port) as c:
                c.hello()
                try:
                    c.send(junk * 100)
                except ConnectionError:
                    pass
                got = c.replies()
                self.assertLessEqual(len(got), 21)
                self.assertTrue(not got or got[-1].startswith(b"421 ") or len(got) < 21, got[-1:])
        with Client(relay.port) as c:  # a stranger's refused recipients count
            c.hello().send(b"MAIL FROM:<a@out.example>\r\n" + b"RCPT TO:<x@y.example>\r\n" * 100)
            self.assertEqual(codes(c.replies()), [250] + [550] * 20 + [421])
        self.sane(relay)

    def test_floods(self):
        relay = self.front()
        for flood in (b"NOOP\r\n", b"RSET\r\n", b"HELP\r\n", HELLO, b"VRFY x\r\n"):
            with self.subTest(flood=flood), Client(relay.port) as c:
                c.hello()
                try:
                    c.send(flood * 5000)
                except ConnectionError:
                    pass
                self.assertLessEqual(len(c.replies()), 130)
        with Client(relay.port) as c:  # pipelining of honest work is not a flood
            c.hello().send((ENVELOPE + b"BDAT 17 LAST\r\nSubject: p\r\n\r\nx\r\n") * 900 + b"QUIT\r\n")
            self.assertEqual(codes(c.replies()), [250] * 2700 + [221])
        wait_for("all of them", lambda: len(self.hop.mail) == 900)
        self.sane(relay)

    def test_xtext_injections(self):
        relay = self.front(own=True, more="limits { errors = 1000 }")
        with Client(relay.port) as c:
            c.hello()
            for p in (b"AUTH=a+0Ab", b"ENVID=a+0D+0AX-Inj:+20y", b"ENVID=a+0A", b"ENVID=a+00", b"ENVID=a+",
                      b"ENVID=a+4", b"ENVID=a+zz", b"ENVID=a=b", b"ENVID=" + b"a" * 101, b"ENVID=",
                      b"RET=HDRS RET=FULL", b"RET=X", b"BODY=X", b"FOO=1", b"SIZE=1 FOO", b"=x", b"ENVID=a+0d"):
                with self.subTest(mail=p):
                    self.assertRegex(c.ask(b"MAIL FROM:<a@b.example> " + p + b"\r\n"), rb"^5\d\d ")
            self.assertEqual(c.ask(b"MAIL FROM:<a@b.example> ENVID=a+2Bb RET=HDRS\r\n")[:3], b"250")
            for p in (b"ORCPT=rfc822;a+0Ab", b"ORCPT=rfc822;a+0D+0AX-Inj:y", b"ORCPT=rfc822", b"ORCPT=;a",
                      b"ORCPT=rfc822;", b"ORCPT=rfc822;a+", b"ORCPT=rfc822;" + b"a" * 600,
                      b"NOTIFY=", b"NOTIFY=NEVER,FAILURE", b"NOTIFY=X", b"NOTIFY=FAILURE,",
                      b"ORCPT=rfc822;a+00b"):
                with self.subTest(rcpt=p):
                    self.assertRegex(c.ask(b"RCPT TO:<a@in.example> " + p + b"\r\n"), rb"^5\d\d ")
            self.assertEqual(c.ask(b"RCPT TO:<a@in.example> NOTIFY=NEVER ORCPT=rfc822;a+2Bb\r\n")[:3], b"250")
        self.sane(relay)

    def test_hostile_helo_stays_out_of_headers_and_log(self):
        relay = self.front()
        for name in (b"<script>", b"a\tb", b"\x1b[2J", b"a b", b"a\x7f", b"\xff\xfe", b"x" * 300,
                     b"x" * 1900, b"a(b)c", b"\"", b"[", b"[127.0.0.1", b"a\\b", b""):
            with self.subTest(helo=name), Client(relay.port) as c:
                c.reply()
                got = c.ask(b"EHLO " + name + b"\r\n")
                if got.startswith(b"250"):
                    c.send(ENVELOPE + b"DATA\r\n")
                    for _ in range(3):
                        c.reply()
                    self.assertEqual(c.ask(b"Subject: helo\r\n\r\n.\r\n")[:3], b"250")
                else:
                    self.assertEqual(got[:3], b"501")
        self.sane(relay)
        for m in self.hop.mail:
            self.assertNotRegex(m, rb"[^\r\n\t\x20-\x7e]|<script>")

    def test_header_bombs_and_loops(self):
        relay = self.front()
        hop = b"Received: from a.example by b.example; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
        own = b"Received: from a.example by relay.test; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
        for header, want in ((hop * 50, 250), (hop * 51, 554), (hop.replace(b"R", b"r") * 51, 554),
                             (own * 3, 250), (own * 5, 250), (own * 6, 554),
                             (own.replace(b"; ", b"\r\n with ESMTP id 1; ") * 6, 554), (b"To: x\r\n" * 20000, 554),
                             (b"X-Big: " + b"y" * 900 + b"\r\n" + (b" " + b"y" * 900 + b"\r\n") * 300, 552),
                             (b"To: " + b"(" * 900 + b"\r\n", 250), (b"Received:" * 100 + b"\r\n", 250),
                             ((b"Received:\r\n " * 60)[:-1], 250)):
            with self.subTest(header=header[:60], size=len(header)), Client(relay.port) as c:
                c.begin().send(header + b"Subject: h\r\n\r\nx\r\n.\r\n")
                self.assertEqual(codes([c.reply(), c.ask(b"QUIT\r\n")]), [want, 221])
        self.sane(relay)


def fds(relay):
    return len(os.listdir(f"/proc/{relay.process.child.pid}/fd"))


def rss(relay):
    with open(f"/proc/{relay.process.child.pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * 4096


class Overload(Hostile):
    def test_slow_clients_up_to_the_limit(self):
        relay = self.front(more="limits { connections = 45 client-connections = 40 }")
        base = fds(relay)
        slow = []
        for i in range(40):
            c = Client(relay.port, source="127.0.0.2")
            self.addCleanup(c.__exit__)
            self.assertEqual(c.reply()[:3], b"220")
            c.send((b"", b"EH", HELLO, HELLO + ENVELOPE + b"DATA\r\nSubject: dr",
                    HELLO + ENVELOPE + b"BDAT 1000000 LAST\r\nx")[i % 5])
            slow.append(c)
        with Client(relay.port, source="127.0.0.2") as c:  # its 41st
            self.assertEqual(codes(c.replies()), [421])
        began = time.monotonic()
        self.honest(relay)
        self.assertLess(time.monotonic() - began, 2)
        others = [Client(relay.port, source="127.0.0.3") for _ in range(5)]
        for c in others:
            self.addCleanup(c.__exit__)
            self.assertEqual(c.reply()[:3], b"220")
        with Client(relay.port) as c:  # the 46th of all
            self.assertEqual(codes(c.replies()), [421])
        for c in slow + others:
            c.reset()
        wait_for("the descriptors back", lambda: fds(relay) <= base + 1)
        self.sane(relay)

    def test_silence_ends(self):
        relay = self.front(more='timeouts { command = "300ms" data = "300ms" }')
        for start in (b"", b"EHLO", HELLO, HELLO + ENVELOPE + b"DATA\r\nSubject: x",
                      HELLO + ENVELOPE + b"BDAT 10\r\nx", HELLO + ENVELOPE + b"BDAT 9 LAST\r\n"):
            with self.subTest(start=start), Client(relay.port) as c:
                self.assertEqual(c.send(start).replies()[-1][:9], b"421 4.4.2")
        self.sane(relay)

    def test_client_that_never_reads(self):
        relay = self.front(own=True, more='timeouts { command = "1s" }\nlog { level = "debug" }')
        self.honest(relay)
        before = rss(relay)
        with Client(relay.port, limit=0.5, rcvbuf=4096) as c:
            c.hello().ask(b"MAIL FROM:<a@out.example>\r\n")
            flood, sent = b"RCPT TO:<b@in.example>\r\n" * 4000, 0
            try:
                for _ in range(1000):
                    sent += c.s.send(flood)
            except (TimeoutError, ConnectionError):
                pass
            self.assertLess(sent, 60 << 20)  # it has stopped reading, or closed
            self.honest(relay, b"meanwhile")
            self.assertLess(rss(relay) - before, 32 << 20)
            relay.log(r" disconnected .*why=.*timeout", limit=20)
        self.sane(relay)

    def test_resets_leave_nothing(self):
        relay = self.front()
        self.honest(relay)
        base = fds(relay)
        starts = (b"Subject: cut", b"Subject: cut\r\n\r\n" + b"line\r\n" * 200000, b"x\r\n.\r")
        for i in range(60):
            c = Client(relay.port).begin()
            try:
                c.send(starts[i % 3])
            except ConnectionError:
                pass
            if i % 2:
                c.reset()
            else:
                c.s.shutdown(socket.SHUT_WR)
                self.assertEqual(c.replies(), [])
                c.__exit__()
        for _ in range(20):
            Client(relay.port).hello().send(ENVELOPE + b"BDAT 900000 LAST\r\n" + b"z" * 500000).reset()
        wait_for("the descriptors back", lambda: fds(relay) <= base)
        self.assertEqual(relay.queue(), [])
        wait_for("no files left", lambda: not [f for _, _, fs in os.walk(
            os.path.join(self.dir, "spool", "big")) for f in fs])
        self.sane(relay)
        self.assertEqual(len(self.hop.mail), 2)


class Control(Hostile):
    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.connect(os.path.join(self.dir, "control.sock"))  # blocking: waits while the backlog is full
        s.settimeout(20)
        return s

    def test_garbage(self):
        relay = self.front()
        deep = b"[" * 30000 + b"]" * 30000
        for junk in (b"\r\n", b"x\r\n", b"{}\r\n", b"[]\r\n", b"null\r\n", b"{\"v\":1}\r\n", b"\0\0\r\n",
                     b"{\"v\":1,\"cmd\":\"nope\"}\r\n", b"{\"v\":99,\"cmd\":\"status\"}\r\n", b"\xff\xfe\r\n",
                     b"{\"v\":1,\"cmd\":7}\r\n", b"{\"v\":1,\"cmd\":\"queue\",\"selector\":[]}\r\n",
                     b"{\"v\":1,\"cmd\":\"queue\",\"selector\":{\"older\":-1}}\r\n",
                     b"{\"v\":1,\"cmd\":\"queue\",\"limit\":-1}\r\n",
                     b"{\"v\":1,\"cmd\":\"queue\",\"limit\":99999999999999999999}\r\n",
                     b"{\"v\":1,\"cmd\":\"delete\"}\r\n", b"{\"v\":1,\"cmd\":\"delete\",\"selector\":{}}\r\n",
                     b"{\"v\":1,\"cmd\":\"delete\",\"selector\":{\"id\":\"../../x\"}}\r\n",
                     b"{\"v\":1,\"cmd\":\"cat\",\"selector\":{\"id\":\"\"}}\r\n",
                     b"{\"v\":1,\"cmd\":\"pause\",\"what\":\"x\\ny\",\"reason\":\"\\u001b[2J\"}\r\n",
                     b"{\"v\":1,\"cmd\":\"dns\",\"domain\":\"a\\r\\nb\"}\r\n",
                     b"{\"v\":1,\"cmd\":\"route-test\",\"from\":\"%s%n\",\"to\":\"<>\"}\r\n",
                     b"{\"v\":1,\"v\":1,\"cmd\":\"status\"}\r\n", deep + b"\r\n", b"{\"v\":1}\n",
                     b"GET / HTTP/1.1\r\n", b"x" * 70000 + b"\r\n", b"x" * (1 << 20) + b"\r\n"):
            with self.subTest(junk=junk[:60]):
                s = self.connect()
                f = s.makefile("rb")
                try:
                    s.sendall(junk)
                    s.shutdown(socket.SHUT_WR)
                except ConnectionError:
                    pass
                got = f.read()
                if junk[-2:] == b"\r\n":
                    self.assertIn(b'"end":true', got)
                    if b'"limit":' not in junk and b'"pause"' not in junk:
                        self.assertNotIn(b'"status":0', got)
                for line in got.splitlines():
                    self.assertNotRegex(line, rb"[\x00-\x1f]")
        self.assertEqual(relay.ctl("status").returncode, 0)
        self.sane(relay)

    def test_many_connections(self):
        relay = self.front()
        base = fds(relay)
        held = []
        for i in range(300):
            s = self.connect()
            try:
                s.sendall(b"{\"v\":1," if i % 2 else b"")
            except ConnectionError:
                pass
            held.append(s)
        self.honest(relay)
        self.assertLess(fds(relay), base + 150)
        for s in held:
            s.close()
        wait_for("the descriptors back", lambda: fds(relay) <= base + 1)
        self.assertEqual(relay.ctl("status").returncode, 0)
        self.sane(relay)

    def test_other_users_stay_out(self):
        relay = self.front()
        os.chmod(self.dir, 0o755)
        path = os.path.join(self.dir, "control.sock")
        ask = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1])\n"
               "try: s.sendall(b'{\"v\":1,\"cmd\":\"status\"}\\r\\n'); print(s.recv(100))\n"
               "except ConnectionError: print(b'')")

        def nobody():
            return subprocess.run(["/usr/bin/python3", "-c", ask, path], user=65534, group=65534, timeout=60,
                                  extra_groups=[], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  check=False)
        self.assertIn("PermissionError", nobody().stderr)  # the mode
        os.chmod(path, 0o666)
        self.assertEqual(nobody().stdout, "b''\n")  # who asks
        spool = os.path.join(self.dir, "spool")
        self.assertEqual(os.stat(spool).st_mode & 0o077, 0)
        for f in glob.glob(spool + "/*"):
            self.assertEqual(os.stat(f).st_mode & 0o077, 0, f)
        self.assertEqual(relay.ctl("status").returncode, 0)
        self.sane(relay)


# ---- next hops

STEPS = ["banner", "EHLO", "MAIL", "RCPT", "DATA", "body", "dot"]
HONEST = {"banner": b"220 hop.example\r\n", "EHLO": b"250 hop.example\r\n", "MAIL": b"250 ok\r\n",
          "RCPT": b"250 ok\r\n", "DATA": b"354 go\r\n", "dot": b"250 kept\r\n"}


def scripted(step, answer, pipelining=False, after=None):
    """Honest up to `step`; there it says `answer` and does `after`: "close", "reset", or
    goes on."""
    def end(conn):
        if after == "reset":
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        raise OSError

    def say(conn, f, now):
        if now != step:
            more = b"250-hop.example\r\n250 PIPELINING\r\n" if pipelining and now == "EHLO" else HONEST[now]
            conn.sendall(more)
            return
        conn.sendall(answer)
        if after:
            end(conn)
        if after is None:  # an answer that never comes to an end must not be waited for
            conn.shutdown(socket.SHUT_WR)
            f.read()
            raise OSError

    def handle(conn, f):
        say(conn, f, "banner")
        for line in f:
            word = line[:4].upper().decode("latin-1")
            if word == "QUIT":
                return
            if word not in ("EHLO", "MAIL", "RCPT", "DATA"):
                conn.sendall(b"250 ok\r\n" if word != "HELO" or step != "EHLO" else b"502 no\r\n")
                continue
            say(conn, f, word)
            if word == "DATA":
                for text in f:
                    if step == "body":
                        end(conn)
                    if text == b".\r\n":
                        break
                say(conn, f, "dot")
    return handle


class NextHop(Hostile):
    def against(self, hops, more=""):
        """One route and one message for each hop; all tried at once."""
        text = "".join(f'route "e{i}" {{ to = {{"e{i}.example"}} via = {{"127.0.0.1:{h}"}} }}\n'
                       for i, h in enumerate(hops))
        self.hop = Hop(self)
        relay = self.relay(text + f'route "all" {{ via = {{"127.0.0.1:{self.hop.port}"}} }}\n'
                           'retry { first = "1h" }\noutgoing { greeting = "5s" helo = "5s" mail = "5s" '
                           'rcpt = "5s" data = "5s" final-dot = "5s" }\n' + more, networks="127.0.0.0/8")
        for i in range(len(hops)):
            with Client(relay.port) as c:
                c.hello().send(b"MAIL FROM:<>\r\nRCPT TO:<x@e%d.example>\r\nDATA\r\n" % i)
                for _ in range(3):
                    c.reply()
                self.assertEqual(c.ask(b"Subject: e\r\n\r\n" + b"text\r\n" * 20000 + b".\r\n")[:3], b"250")
        return relay

    def fate(self, relay, i):
        return relay.log(rf" (deferred|bounced|delivered) .*to=<x@e{i}\.example>", limit=20).group(1)

    def doubted(self, relay):
        """The ports of the hops after which a possible duplicate was logged."""
        found = (re.search(r" possible-duplicate .*:(\d+)\b", line) for line in list(relay.process.lines))
        return {int(f.group(1)) for f in found if f}

    def test_closes_at_each_step(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            nobody = s.getsockname()[1]
        cases = [(step, after, pipe) for step in STEPS for after in ("close", "reset")
                 for pipe in (False, True)]
        hops = [Hop(self, scripted(step, b"", pipe, after)).port for step, after, pipe in cases]
        relay = self.against(hops + [nobody])
        for i, case in enumerate(cases + ["connect"]):
            with self.subTest(close=case):
                self.assertEqual(self.fate(relay, i), "deferred")
        doubted = {step for (step, _, _), h in zip(cases, hops) if h in self.doubted(relay)}
        sure = [h for (step, _, _), h in zip(cases, hops) if step == "dot"]
        self.assertLessEqual(set(sure), self.doubted(relay))
        self.assertLessEqual(doubted, {"dot", "body"})  # the dot may be sent before the hop closes
        rows = {r["address"]: r["state"] for q in relay.queue() for r in q["recipients"]}
        self.assertEqual(set(rows.values()), {"deferred"})
        self.assertEqual(len(rows), len(hops) + 1)
        self.sane(relay)

    def test_garbage_for_an_answer(self):
        junk = [b"553-\n", b"553-", b"553", b"55", b"\r\n", b"\r\n" * 1000, b"\n", b"hello\r\n", b"999 x\r\n",
                b"099 x\r\n", b"199 x\r\n", b"600 x\r\n", b"5500 x\r\n", b"5\r\n", b"-50 x\r\n", b"550_x\r\n",
                b"550-\r\n", b"550 x\n", b"550 \0\r\n", b"250\0ok\r\n", b"\xff" * 50 + b"\r\n", b"550 " + b"x" * 100000 +
                b"\r\n", b"x" * 100000, b"550-" + b"y" * 60 + b"\r\n" + b"550-more\r\n" * 20000,
                b"250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n", b"354 go\r\n250 kept\r\n",
                b"HTTP/1.1 200 OK\r\n\r\n", b"220 x\r\n220 x\r\n"]
        cases = [(step, answer) for answer in junk for step in ("banner", "EHLO", "MAIL", "RCPT", "dot")
                 if not (step == "EHLO" and answer[:3] == b"354")]
        hops = [Hop(self, scripted(step, answer)).port for step, answer in cases]
        relay = self.against(hops)
        for i, (step, answer) in enumerate(cases):
            with self.subTest(step=step, answer=answer[:30]):
                # at the dot the first whole reply has decided; what comes behind it is noise
                whole = step == "dot" and answer.startswith((b"250 ok\r\n", b"220 x\r\n"))
                self.assertEqual(self.fate(relay, i), "delivered" if whole else "deferred")
        self.sane(relay)
        self.assertTrue(all(len(line) < 4096 for line in relay.process.lines))

    def test_broken_status_codes_of_a_refusal(self):
        """A refusal counts as one; what looks like a status in it is text (CVE-2026-43964)."""
        texts = [b"550 5.7.1", b"550 5.7.", b"550 5.", b"550 5", b"550", b"550 ", b"550 99999.1.1 x", b"550 5.1.1\t",
                 b"550 5.1000.1 x", b"550 4.1.1 x", b"550 5.1.1x", b"550 5.1.18446744073709551617 x",
                 b"550-5.1.1\r\n550", b"550-5.\r\n550 7.1", b"550 \x1b[2J\x07\x9b", b"550 5.1.1 \xff\xc3"]
        hops = [Hop(self, scripted("RCPT", t + b"\r\n", after=False)).port for t in texts]
        relay = self.against(hops)
        for i, t in enumerate(texts):
            with self.subTest(answer=t):
                self.assertEqual(self.fate(relay, i), "bounced")
        self.sane(relay)

    def test_hostile_words_in_a_notice(self):
        """The peer's words are quoted to the sender as one plain line each."""
        evil = b"550-5.1.1 no\x1b[2J \xff\r\n550 5.1.1 --boundary X-Inj: y " + b"z" * 400 + b"\r\n"
        bad = Hop(self, scripted("RCPT", evil, after=False))
        self.hop = Hop(self)
        relay = self.relay(f'route "bad" {{ to = {{"bad.example"}} via = {{"127.0.0.1:{bad.port}"}} }}\n'
                           f'route "all" {{ via = {{"127.0.0.1:{self.hop.port}"}} }}\n',
                           networks="127.0.0.0/8")
        with Client(relay.port) as c:
            c.hello().send(b"MAIL FROM:<a@out.example> ENVID=a+2BX RET=HDRS\r\n"
                           b"RCPT TO:<b@bad.example> ORCPT=rfc822;b+2Bx@y\r\nDATA\r\n")
            for _ in range(3):
                c.reply()
            self.assertEqual(c.ask(b"Subject: n\r\n\r\nx\r\n.\r\n")[:3], b"250")
        wait_for("the notice", lambda: self.hop.mail)
        notice = self.hop.mail[0]
        self.assertIn(b"5.1.1", notice)
        self.assertNotRegex(notice, rb"[^\r\n\t\x20-\x7e]|\r(?!\n)|(?<!\r)\n|(?m:^X-Inj|^--boundary)")
        self.assertLess(max(map(len, notice.split(b"\r\n"))), 999)
        self.sane(relay)


if __name__ == "__main__":
    real.main()
