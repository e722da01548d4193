#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The five configurations of the README, run as they stand there but for ports and
paths, each with a message that goes where the README says."""
import os
import poplib
import re
import smtplib
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import real  # noqa: E402
import upstream  # noqa: E402
from real import free_port, wait_for  # noqa: E402
from test_smarthost import SmartHost, trusting  # noqa: E402


def example(name):
    """The indented block of the README that begins with "# name"."""
    with open(os.path.join(real.ROOT, "README.md"), encoding="utf-8") as f:
        text = f.read()
    found = re.search(rf"^    # {name}\n((?:    .*\n|\n)+)", text, re.M)
    if not found:
        raise AssertionError(f"the README has no configuration {name!r}")
    return re.sub(r"^    ", "", found.group(1), flags=re.M)


class Running(real.Relay):
    """A relay with a configuration of its own."""

    def __init__(self, directory, text, port):
        self.dir = directory
        self.port = port
        self.file = os.path.join(directory, "relayd.conf")
        with open(self.file, "w", encoding="utf-8") as f:
            f.write(text)
        self.process = None


class Readme(SmartHost):
    def run_example(self, name, replace, more=""):
        text = example(name)
        common = {"/var/lib/relayd": os.path.join(self.dir, "spool"),
                  "/run/relayd/": self.dir + "/"}
        for old, new in {**common, **replace}.items():
            self.assertIn(old, text, name)
            text = text.replace(old, new)
        port = free_port()
        text = re.sub(r"\[::\]:(25|587)\b", f"127.0.0.1:{port}", text)
        text = re.sub(r"\[::\]:465\b", f"127.0.0.1:{free_port()}", text)
        relay = Running(self.dir, text + more, port)
        check = subprocess.run([os.path.join(real.BUILD, "relayd"), "-t", "-c", relay.file],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               timeout=real.LIMIT, check=False)
        self.assertEqual(check.returncode, 0, check.stdout)
        relay.start()
        self.addCleanup(lambda: relay.process.child.poll() is None and relay.stop())
        return relay

    def own_dns(self, zone):
        d = self.dns(zone)
        return f'dns {{ servers = {{"127.0.0.1:{d.port}"}} timeout = "2s" }}\n'

    @unittest.skipUnless(upstream.is_root(), "Postfix's master wants to be root")
    def test_smarthost(self):
        ca = self.authority()
        handler, hop = self.keeper()
        provider = upstream.Provider(self.dir, ca.issue("smtp.provider.example"), hop.port,
                                     {"relay@office.example": "secret word"})
        self.addCleanup(provider.stop)
        provider.start()
        secret = os.path.join(self.dir, "provider.pw")
        with open(secret, "w", encoding="ascii") as f:
            f.write("secret word\n")
        os.chmod(secret, 0o600)
        relay = self.run_example("smarthost", {
            "smtp.provider.example:587": f"smtp.provider.example:{provider.port}",
            "smtp2.provider.example:587": f"smtp2.provider.example:{free_port()}",
            "/etc/relayd/provider.pw": secret,
            "192.168.7.1:2525": f"127.0.0.1:{free_port()}",
            "127.0.0.1:9525": f"127.0.0.1:{free_port()}",
        }, f'tls {{ ca = "{ca.cert}" }}\n' + self.own_dns(
            "smtp.provider.example A 127.0.0.1\nsmtp2.provider.example A 127.0.0.1\n"))
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            c.sendmail("ann@office.lan", ["you@far.example"],
                       "From: Ann <ann@office.lan>\r\nSubject: x\r\n\r\nx\r\n")
        wait_for("the message\n" + "\n".join(relay.process.lines[-5:]), lambda: handler.mail)
        sender, recipients, content, _ = handler.mail[0]
        self.assertEqual((sender, recipients), ("ann@office.example", ["you@far.example"]))
        self.assertIn(b"From: Ann <ann@office.example>", content)
        self.assertEqual(relay.ctl("probe", "provider").returncode, 0)

    @unittest.skipUnless(upstream.is_root(), "Postfix's master wants to be root")
    def test_intermittent(self):
        ca = self.authority()
        handler, hop = self.keeper()
        provider = upstream.Provider(self.dir, ca.issue("smtp.shore.example"), hop.port,
                                     {"ship@shore.example": "secret word"})
        self.addCleanup(provider.stop)
        secret = os.path.join(self.dir, "shore.pw")
        with open(secret, "w", encoding="ascii") as f:
            f.write("secret word\n")
        os.chmod(secret, 0o600)
        relay = self.run_example("intermittent", {
            "smtp.shore.example:587": f"smtp.shore.example:{provider.port}",
            "192.168.0.10:25": f"127.0.0.1:{free_port()}",
            "/etc/relayd/shore.pw": secret,
        }, f'tls {{ ca = "{ca.cert}" }}\n' + self.own_dns("smtp.shore.example A 127.0.0.1\n"))
        # nobody is there yet: it waits; while the link is down nothing is even tried
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            c.sendmail("cook@ship.example", ["you@far.example"], "Subject: x\r\n\r\nx\r\n")
        relay.log(r" deferred .*you@far\.example")
        self.assertEqual(relay.ctl("pause", "out", "--reason", "the link is down").returncode, 0)
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            c.sendmail("cook@ship.example", ["two@far.example"], "Subject: y\r\n\r\ny\r\n")
        queued = relay.queue("--to", "two@far.example")[0]["queue_id"]
        self.assertIn("the link is down", relay.ctl("why", queued).stdout)
        provider.start()
        self.assertEqual(relay.ctl("resume", "out").returncode, 0)
        self.assertEqual(relay.ctl("retry", "--all").returncode, 0)
        wait_for("both", lambda: len(handler.mail) == 2)
        relay.wait_empty()

    def test_applications(self):
        ca = self.authority()
        cert, key = ca.issue("relay.example")
        handler, hop = self.keeper()
        relay = self.run_example("applications", {
            "/etc/relayd/relay.pem": cert, "/etc/relayd/relay.key": key,
            "mail.shop.example:25": f"127.0.0.1:{hop.port}",
        })
        relay.add_user("shop", "correct horse", "--address", "@shop.example")
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            c.starttls(context=trusting())
            with self.assertRaises(smtplib.SMTPSenderRefused):
                c.sendmail("orders@shop.example", ["you@far.example"], "Subject: x\r\n\r\nx\r\n")
            c.login("shop", "correct horse")
            with self.assertRaises(smtplib.SMTPSenderRefused):
                c.sendmail("boss@bank.example", ["you@far.example"], "Subject: x\r\n\r\nx\r\n")
            with self.assertRaises(smtplib.SMTPRecipientsRefused):
                c.sendmail("orders@shop.example", ["a@b.test.example"], "Subject: x\r\n\r\nx\r\n")
            c.sendmail("orders@shop.example", ["you@far.example"], "Subject: x\r\n\r\nx\r\n")
        wait_for("the message", lambda: handler.mail)

    def test_direct(self):
        handler, hop = self.keeper()
        inside, inner = self.keeper()
        zone = ("far.example MX 10 mx.far.example\nmx.far.example A 127.0.0.1\n")
        relay = self.run_example("direct", {
            "192.168.0.10:25": f"127.0.0.1:{inner.port}",
            'deliver = "mx" ': f'deliver = "mx" port = {hop.port} allow-loopback = true ',
            '"127.0.0.0/8"': '"127.0.0.1/32"',
        }, self.own_dns(zone))
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            c.sendmail("ann@office.example", ["you@far.example"], "Subject: out\r\n\r\nx\r\n")
        wait_for("the message out", lambda: handler.mail)
        with smtplib.SMTP("127.0.0.1", relay.port, source_address=("127.0.0.2", 0)) as c:
            with self.assertRaises(smtplib.SMTPRecipientsRefused):
                c.sendmail("you@far.example", ["x@elsewhere.example"], "Subject: no\r\n\r\nx\r\n")
            c.sendmail("you@far.example", ["ann@office.example"], "Subject: in\r\n\r\nx\r\n")
        wait_for("the message in", lambda: inside.mail)


    def test_pickup(self):
        ca = self.authority()
        cert, key = ca.issue("gw.office.example")
        pop, pops = free_port(), free_port()
        relay = self.run_example("pickup", {
            "/etc/relayd/gw.pem": cert, "/etc/relayd/gw.key": key,
            "[::]:110": f"127.0.0.1:{pop}", "[::]:995": f"127.0.0.1:{pops}",
        })
        relay.add_user("ann", "correct horse", "--address", "ann@office.example",
                       "--address", "sales@office.example")
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            with self.assertRaises(smtplib.SMTPRecipientsRefused):
                c.sendmail("you@far.example", ["nobody@office.example"], "Subject: x\r\n\r\nx\r\n")
            c.sendmail("you@far.example", ["sales@office.example", "postmaster@office.example"],
                       "Subject: for sale\r\n\r\nx\r\n")
        p = poplib.POP3("127.0.0.1", pop, timeout=real.LIMIT)
        with self.assertRaises(poplib.error_proto):
            p.user("ann")  # not without TLS
        p.stls(trusting())
        p.user("ann")
        p.pass_("correct horse")
        self.assertIn(b"Subject: for sale", p.retr(1)[1])
        p.quit()
        p = poplib.POP3_SSL("127.0.0.1", pops, context=trusting(), timeout=real.LIMIT)
        p.user("ann")
        p.pass_("correct horse")
        self.assertEqual(p.capa()["EXPIRE"], ["30"])
        p.dele(1)
        p.quit()
        self.assertIn("ann", relay.ctl("mailbox", "list").stdout)


if __name__ == "__main__":
    unittest.main(verbosity=1)
