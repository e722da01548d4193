#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Mail through the built daemon: real clients in, a real DNS, real servers out."""
import email
import email.policy
import json
import os
import smtplib
import socket
import subprocess
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

import real
from real import RealTest, wait_for

MX = 'route "world" { deliver = "mx" port = %d allow-loopback = true }\n'


def read_text(path):
    if not os.path.exists(path):
        return ""
    with open(path, encoding="latin-1") as f:
        return f.read()


class Keeper:
    """An aiosmtpd next hop that keeps what it gets; `rcpt` may answer otherwise."""

    def __init__(self, **answers):
        self.mail = []
        self.answers = answers
        self.lock = threading.Lock()

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = self.answers.get(address)
        if callable(answer):
            answer = answer()
        if answer and not answer.startswith("2"):
            return answer
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        with self.lock:
            self.mail.append((envelope.mail_from, list(envelope.rcpt_tos),
                              envelope.original_content, list(envelope.mail_options)))
        return "250 2.0.0 kept"


class Hop(Controller):
    def factory(self):
        return SMTP(self.handler, enable_SMTPUTF8=True, decode_data=False, hostname="hop.test")


class Through(RealTest):
    def hop(self, handler, port=None):
        hop = Hop(handler, hostname="127.0.0.1", port=port or real.free_port())
        hop.start()
        self.addCleanup(hop.stop)
        return hop

    def test_swaks_to_smtp_sink_by_mx(self):
        port = real.free_port()
        dump = os.path.join(self.dir, "dump")
        self.started(real.smtp_sink(port, "-u", "root", "-D", dump))
        dns = self.dns("example.org MX 10 mx1.example.org\nmx1.example.org A 127.0.0.1\n")
        relay = self.relay(MX % port, dns)
        done = subprocess.run(["swaks", "--server", f"127.0.0.1:{relay.port}", "--from",
                               "me@here.example", "--to", "you@example.org", "--body",
                               "hello by swaks"], stdout=subprocess.PIPE, check=False,
                              text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("250 2.0.0", done.stdout)
        relay.log(r" delivered .*to=<you@example\.org>")
        relay.wait_empty()
        text = wait_for("the dump", lambda: read_text(dump))
        self.assertIn("hello by swaks", text)
        self.assertIn("you@example.org", text)
        self.assertRegex(text, r"Received: from \S+ ")
        self.assertIn("by relay.test", text)
        self.assertEqual(relay.stop(), 0)

    def test_real_and_malformed_messages_pass_unchanged(self):
        corpus = os.path.join(real.ROOT, "..", "shared", "corpus", "mail")
        if not os.path.isdir(corpus):
            self.skipTest("no collection of messages beside the project")
        keeper = Keeper()
        hop = self.hop(keeper)
        relay = self.relay(f'route "up" {{ via = {{"127.0.0.1:{hop.port}"}} }}\n')
        sent = {}
        with smtplib.SMTP("127.0.0.1", relay.port) as s:
            for folder, _, files in sorted(os.walk(corpus)):
                for name in sorted(files):
                    with open(os.path.join(folder, name), "rb") as f:
                        data = b"\r\n".join(f.read().replace(b"\r", b"").split(b"\n"))
                    if b"\0" in data or max(map(len, data.split(b"\r\n"))) > 998:
                        continue
                    data = data if data.endswith(b"\r\n") else data + b"\r\n"
                    to = f"m{len(sent)}@there.example"
                    s.sendmail("me@here.example", [to], data, mail_options=["BODY=8BITMIME"])
                    sent[to] = data
        relay.wait_empty()
        self.assertGreater(len(sent), 50)
        got = {rcpts[0]: content for _, rcpts, content, _ in keeper.mail}
        self.assertEqual(set(got), set(sent))
        for to, data in sent.items():
            self.assertTrue(got[to].endswith(data), to)

    def test_smtp_source_to_smtp_sink(self):
        port = real.free_port()
        self.started(real.smtp_sink(port, "-u", "root"))
        relay = self.relay(f'route "up" {{ via = {{"127.0.0.1:{port}"}} }}\n')
        real.smtp_source(relay.port, "-s", "20", "-m", "500", "-l", "5000",
                         "-f", "me@here.example", "-t", "you@there.example")
        relay.wait_empty()
        status = json.loads(relay.ctl("--json", "status").stdout.splitlines()[0])
        self.assertEqual(status["in"]["messages"], 500)
        self.assertEqual(status["out"]["delivered"], 500)
        self.assertEqual(status["out"]["failed"], 0)

    def test_smtplib_many_recipients_and_domains(self):
        keeper = Keeper()
        hop = self.hop(keeper)
        dns = self.dns("a.example MX 10 mx.example\nb.example MX 10 mx.example\n"
                       "mx.example A 127.0.0.1\n")
        relay = self.relay(MX % hop.port, dns)
        to = [f"u{i}@a.example" for i in range(150)] + ["x@b.example"]
        with smtplib.SMTP("127.0.0.1", relay.port) as s:
            refused = s.sendmail("me@here.example", to, "Subject: many\r\n\r\n.dot\r\n..two\r\n")
        self.assertEqual(refused, {})
        relay.wait_empty()
        got = sorted(a for _, rcpts, _, _ in keeper.mail for a in rcpts)
        self.assertEqual(got, sorted(to))
        for _, rcpts, content, _ in keeper.mail:
            self.assertLessEqual(len(rcpts), 100)
            self.assertIn(b"\r\n\r\n.dot\r\n..two\r\n", content)

    def test_utf8_address_travels(self):
        keeper = Keeper()
        hop = self.hop(keeper)
        relay = self.relay(f'route "up" {{ via = {{"127.0.0.1:{hop.port}"}} }}\n')
        with smtplib.SMTP("127.0.0.1", relay.port) as s:
            s.ehlo()
            s.sendmail("me@here.example", ["j\u00fcrgen@b\u00fccher.example"],
                       "Subject: gr\u00fc\u00dfe\r\n\r\nhallo\r\n".encode("utf-8"),
                       mail_options=["SMTPUTF8", "BODY=8BITMIME"])
        relay.wait_empty()
        sender, rcpts, content, options = keeper.mail[0]
        self.assertEqual(rcpts, ["j\u00fcrgen@b\u00fccher.example"])
        self.assertIn("SMTPUTF8", options)
        self.assertIn(b"with UTF8SMTP", content)

    def test_refused_recipient_comes_back(self):
        keeper = Keeper(**{"no@there.example": "550 5.1.1 nobody of that name"})
        hop = self.hop(keeper)
        relay = self.relay(f'route "up" {{ via = {{"127.0.0.1:{hop.port}"}} }}\n')
        with smtplib.SMTP("127.0.0.1", relay.port) as s:
            s.sendmail("me@here.example", ["no@there.example", "yes@there.example"],
                       "Subject: half\r\n\r\nbody\r\n", mail_options=["RET=HDRS", "ENVID=e1"])
        relay.wait_empty()
        by_sender = {m[0]: m for m in keeper.mail}
        self.assertEqual(by_sender["me@here.example"][1], ["yes@there.example"])
        notice = email.message_from_bytes(by_sender["<>"][2], policy=email.policy.default)
        self.assertEqual(by_sender["<>"][1], ["me@here.example"])
        self.assertEqual(notice.get_content_type(), "multipart/report")
        self.assertEqual(notice.get_param("report-type"), "delivery-status")
        text, status, headers = list(notice.iter_parts())
        self.assertIn("no@there.example", text.get_content())
        self.assertIn("nobody of that name", text.get_content())
        fields = "\n".join(str(p) for p in status.get_payload())
        self.assertIn("Status: 5.1.1", fields)
        self.assertIn("Action: failed", fields)
        self.assertIn("Original-Envelope-Id: e1", fields)
        self.assertIn("Subject: half", headers.get_content())
        self.assertNotIn("body", headers.get_content())

    def test_deferred_is_explained_and_then_goes(self):
        answers = ["451 4.7.1 greylisted"]
        keeper = Keeper(**{"slow@there.example": lambda: answers[0]})
        hop = self.hop(keeper)
        relay = self.relay(f'route "up" {{ via = {{"127.0.0.1:{hop.port}"}} }}\n'
                           'retry { first = "1h" }\n')
        with smtplib.SMTP("127.0.0.1", relay.port) as s:
            s.sendmail("me@here.example", ["slow@there.example"], "Subject: s\r\n\r\nbody\r\n")
        relay.log(r" deferred .*greylisted")
        row = wait_for("the attempt in the queue",
                       lambda: [q for q in relay.queue() if q["recipients"][0]["attempts"] == 1])[0]
        self.assertEqual(row["recipients"][0]["state"], "deferred")
        self.assertIn("greylisted", row["recipients"][0]["delay_reason"])
        why = relay.ctl("why", row["queue_id"]).stdout
        self.assertIn("greylisted", why)
        self.assertIn("next attempt", why)
        self.assertIn("Subject: s", relay.ctl("cat", row["queue_id"]).stdout)
        answers[0] = "250 2.1.5 now"
        self.assertIn("retry: 1 recipient of 1 message",
                      relay.ctl("retry", "--code", "4.7.1").stdout)
        relay.wait_empty()
        self.assertEqual(len(keeper.mail), 1)

    def test_dead_next_hop_waits_and_drains(self):
        port = real.free_port()
        relay = self.relay(f'route "up" {{ via = {{"127.0.0.1:{port}"}} }}\n'
                           'retry { first = "1h" }\n')
        with smtplib.SMTP("127.0.0.1", relay.port) as s:
            for i in range(50):
                s.sendmail("me@here.example", [f"u{i}@there.example"], "Subject: x\r\n\r\nx\r\n")
        relay.log(r" destination-down .*via:up")
        self.assertIn("down", relay.ctl("hosts").stdout)
        self.assertIn("is down after 1 failure", relay.ctl("why", relay.queue()[0]["queue_id"]).stdout)
        keeper = Keeper()
        self.hop(keeper, port)
        relay.ctl("retry", "--all")
        relay.wait_empty()
        self.assertEqual(len(keeper.mail), 50)

    def test_large_message_through_a_file(self):
        keeper = Keeper()
        hop = self.hop(keeper)
        relay = self.relay(f'route "up" {{ via = {{"127.0.0.1:{hop.port}"}} }}\n')
        body = b"".join(b"%07d " % i + b"x" * 60 + b"\r\n" for i in range(80000))
        with smtplib.SMTP("127.0.0.1", relay.port) as s:
            s.sendmail("me@here.example", ["big@there.example"], b"Subject: big\r\n\r\n" + body)
        relay.wait_empty()
        self.assertTrue(keeper.mail[0][2].endswith(body))
        left = [f for _, _, files in os.walk(os.path.join(self.dir, "spool", "big")) for f in files]
        self.assertEqual(left, [])

    def test_client_gone_leaves_nothing(self):
        relay = self.relay('route "up" { via = {"127.0.0.1:9"} }\n')
        for cut in (b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n",
                    b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: x\r\n\r\nhalf"):
            with socket.create_connection(("127.0.0.1", relay.port)) as s:
                s.recv(1000)
                s.sendall(cut)
                s.recv(1000)
        self.assertEqual(relay.queue(), [])
        self.assertEqual(relay.ctl("spool", "check").returncode, 0)


if __name__ == "__main__":
    real.main()
