#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Spools as the relayds of earlier versions have left them (spools/, made by
make_spool.py) under today's: nothing of what their listings say is gone or other than it
was, and nothing keeps today's programs from working with it."""
import base64
import glob
import json
import os
import poplib
import re
import smtplib
import subprocess
import tarfile
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

import make_spool
import real
from make_spool import OFFICE, SPOOLS, Imap, sha256
from real import RealTest, wait_for

FORMATS = {"0.1.0": 1, "0.2.0": 1, "0.3.0": 2}  # later ones have the same as today's
FORMAT = 3


class Keeper:
    """Takes what is for `open` recipients, and keeps it."""

    def __init__(self):
        self.mail = set()
        self.open = re.compile("fresh@")
        self.lock = threading.Lock()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if not self.open.match(address):
            return "451 4.3.0 not yet"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        with self.lock:
            self.mail |= {(envelope.mail_from.replace("<>", ""), to, sha256(envelope.original_content))
                          for to in envelope.rcpt_tos}
        return "250 2.0.0 kept"


class Hop(Controller):
    def factory(self):
        return SMTP(self.handler, enable_SMTPUTF8=True, hostname="hop.test")


class Upgrade(RealTest):
    # ---- one spool

    def unpack(self, base):
        with tarfile.open(base + ".tar.xz") as tar:
            tar.extractall(self.dir)
        self.listing = make_spool.listing(base)
        (_, (self.version,), about), = self.listed("relayd")
        self.left = int(about["left"])

    def listed(self, *words):
        return [x for x in self.listing if x[0] in words]

    def prepare(self):
        self.keeper = Keeper()
        hop = Hop(self.keeper, hostname="127.0.0.1", port=real.free_port())
        hop.start()
        self.addCleanup(hop.stop)
        self.smtp, self.pop, self.imap = (real.free_port() for _ in range(3))
        self.relay_ = real.Relay(self.dir, f"""
listener "auth" {{ bind = {{"127.0.0.1:{self.smtp}"}} auth = "optional" auth-in-clear = true }}
listener "pop3" {{ bind = {{"127.0.0.1:{self.pop}"}} protocol = "pop3" auth-in-clear = true apop = true }}
listener "imap" {{ bind = {{"127.0.0.1:{self.imap}"}} protocol = "imap" auth-in-clear = true }}
accounts {{ delay = "0" }}
retry {{ first = "1d" interval = "7d" jitter = "0%" expire = "300d" bounce-expire = "300d" warn = "0" }}
{OFFICE}route "world" {{ via = {{"127.0.0.1:{hop.port}"}} }}
""")
        self.addCleanup(lambda: self.relay_.process and
                        self.relay_.process.child.poll() is None and self.relay_.stop())
        return self.relay_

    def then(self):
        """The environment of a relayd for which it is a minute after the spool was left."""
        self.assertTrue(os.path.exists(f"{real.BUILD}/faults-shim.so"), "make look")
        jump = self.left + 60 - int(make_spool.time.time())
        return dict(os.environ, LD_PRELOAD=f"{real.BUILD}/faults-shim.so", FAULT_ROOT=self.dir,
                    FAULT_REPORT="/dev/null", FAULT_CALL="clock", FAULT_TIMES=str(1 << 62),
                    FAULT_ERROR="0", FAULT_JUMP=str(jump))

    @staticmethod
    def told(relay):
        """What it has said of an older spool."""
        found = (re.search(r" spool-(?:upgraded|names) path=\S+ (.*)", x) for x in relay.process.lines)
        return [x[1] for x in found if x]

    def clean(self, relay):
        done = relay.ctl("spool", "check")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertIn("0 violations", done.stdout.splitlines())

    # ---- what must be there

    def check_refusals(self, relay, old):
        """An older format is looked at by nothing that may not change it."""
        done = relay.ctl("spool", "check", check=False)
        if old != FORMAT:
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("start this one once", done.stderr)

    def check_queue(self, relay):
        want = {}
        for word, things, about in self.listed("message", "recipient"):
            if word == "recipient" and not things[1].startswith("fresh@"):
                want[tuple(things)] = about
        got = {(i, r["address"]): {
            "state": r["state"], "attempts": str(r["attempts"]),
            "next": r["next_attempt"] or "now", "reason": r.get("delay_reason") or ""}
            for i, _, r in make_spool.waiting(relay)}
        self.assertEqual(got, want)

    def check_messages(self, relay):
        still = {m["queue_id"]: m for m in relay.queue()}
        for _, (name,), about in self.listed("message"):
            if name not in still:  # the fresh one
                continue
            octets = relay.ctl("cat", name, text=False).stdout
            shown = json.loads(relay.ctl("--json", "show", name).stdout)
            self.assertEqual({"sender": still[name]["sender"], "sha256": sha256(octets),
                              "size": str(still[name]["message_size"]),
                              "arrival": str(still[name]["arrival_time"])},
                             {k: about[k] for k in ("sender", "sha256", "size", "arrival")})
            self.assertEqual(shown.get("envid") or "", about.get("envid", ""))

    def passwords(self):
        return {things[0]: about["password"] for _, things, about in self.listed("account")
                if "password" in about}

    def check_pickup(self):
        want, got = [], []
        for _, (name, uidl), about in self.listed("pop3"):
            want.append((name, uidl, about["sha256"]))
        for name in sorted({x[0] for x in want}):
            got += [(name, *x) for x in make_spool.inbox(self.pop, name, self.passwords()[name])]
        self.assertEqual(got, want)

    def check_imap(self):
        """0.3.0 knew no IMAP: its mail has the order, and the octets, that POP3 tells."""
        for name in sorted({x[1][0] for x in self.listed("pop3")}):
            c = Imap(self.imap, name, self.passwords()[name])
            boxes = {x[1][1]: x[2] for x in self.listed("box") if x[1][0] == name}
            names = c.names()
            for box, about in boxes.items():
                now = box.replace(make_spool.DECOMPOSED, make_spool.COMPOSED)
                self.assertEqual(dict(c.about(box), list=names.pop(now, None)), about, box)
                self.assertEqual(c.mails(box), [
                    x[2] for x in self.listed("mail") if x[1] == [name, box]])
            self.assertEqual(set(names), set() if boxes else {
                "INBOX", "Drafts", "Sent", "Junk", "Trash"})
            inbox = [x[2]["sha256"] for x in self.listed("pop3") if x[1][0] == name]
            self.assertEqual([x["sha256"] for x in c.mails("INBOX")], inbox)
            if not boxes and name == "alice":
                self.assertEqual([(x["uid"], x["flags"]) for x in c.mails("INBOX")], [
                    ("1", "\\Seen"), ("2", "\\Seen"), ("4", ""), ("5", ""), ("6", "")])
            c.logout()

    # ---- who signs in

    def plain(self, name, password):
        with smtplib.SMTP("127.0.0.1", self.smtp, timeout=real.LIMIT) as c:
            c.ehlo()
            token = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
            return c.docmd("AUTH", f"PLAIN {token}")[0]

    def scram(self, name, password, how):
        done = subprocess.run(
            ["gsasl", "--no-cb", "--smtp", "--connect", f"127.0.0.1:{self.smtp}", "-m", how,
             "-a", name, "-p", password, "--quiet"], input="QUIT\r\n", text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=real.LIMIT, check=False)
        wait_for(done.stdout, lambda: any(
            f"account={name} mechanism={how} " in x for x in self.relay_.process.lines))

    def check_accounts(self, relay):
        for _, (name,), about in self.listed("account"):
            if "certificate" in about:
                shown = relay.ctl("--json", "user", "list", name).stdout
                self.assertIn(about["certificate"], shown)
                continue
            right = 535 if about.get("disabled") else 235
            self.assertEqual(self.plain(name, about["password"]), right, name)
            self.assertEqual(self.plain(name, about["password"] + "x"), 535, name)
            if right == 235 and about.get("scram") != "no":
                for how in ("SCRAM-SHA-256", "SCRAM-SHA-1"):
                    self.scram(name, about["password"], how)
        for _, (name, label), about in self.listed("secret"):
            password = about["password"]
            if "queue" in about["only"]:
                c = Imap(self.imap, name, password)
                self.assertIn("Queue", c.names())
                c.logout()
            else:
                self.assertEqual(self.plain(name, password), 235, label)
            if "recoverable" in about["only"]:
                p = poplib.POP3("127.0.0.1", self.pop, timeout=real.LIMIT)
                p.apop(name, password)
                p.close()

    # ---- what today's programs do with it

    def check_copies(self, relay):
        """A backup of it, restored elsewhere, holds the same; so does what compact leaves."""
        copy = os.path.join(self.dir, "copy")
        self.assertEqual(relay.ctl("spool", "backup", copy).returncode, 0)
        relay.stop()
        os.mkdir(os.path.join(self.dir, "other"))
        other = real.Relay(os.path.join(self.dir, "other"), relay.more)
        done = other.ctl("spool", "restore", copy)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(relay.ctl("spool", "compact").returncode, 0)
        for one in (other, relay):
            self.clean(one)
            self.check_queue(one)
            self.check_messages(one)

    def check_delivery(self, relay):
        """Everything goes, by the clock of today: mail of years ago, too."""
        want = {}
        for _, (name,), about in self.listed("message"):
            want[name] = (about["sender"], about["sha256"])
        want = {(want[i][0], to, want[i][1]) for _, (i, to), _ in self.listed("recipient")}
        self.keeper.open = re.compile("")
        self.assertEqual(relay.ctl("release", "--state", "held").returncode, 0)

        def gone():  # what is in hand is left alone by retry
            relay.ctl("retry", "--all")
            return not relay.queue("--limit", "1")
        wait_for("an empty queue", gone)
        self.assertEqual(want - self.keeper.mail, set())
        # and the notice that one of them asked for
        self.assertEqual({x[:2] for x in self.keeper.mail - want}, {("", "j\u00f6rg@here.test")})

    def check_all(self, base, old):
        self.unpack(base)
        relay = self.prepare()
        self.check_refusals(relay, old)
        relay.start(self.then())
        respelled = sum(x[1][1].startswith(make_spool.DECOMPOSED) for x in self.listed("box"))
        self.assertEqual(self.told(relay), ([f"from={old} to={FORMAT}"] if old != FORMAT else []) +
                         ([f"names={respelled}"] if respelled else []))
        wait_for("the fresh message", lambda: any(
            to == "fresh@far.test" for _, to, _ in self.keeper.mail))
        wait_for("its end", lambda: not relay.queue("--to", "fresh*"))
        for _ in range(2):
            self.clean(relay)
            self.check_queue(relay)
            self.check_messages(relay)
            self.check_pickup()
            self.check_imap()
            self.check_accounts(relay)
            relay.stop()
            relay.start(self.then())
            self.assertEqual(self.told(relay), [])
        self.check_copies(relay)
        relay.start()
        self.check_delivery(relay)
        self.check_pickup()
        self.check_imap()
        relay.stop()
        self.clean(relay)

    # ---- tests

    def test_todays_own(self):
        """make_spool.py is as good as ever; the next version will need it."""
        self.check_all(make_spool.make(real.BUILD, self.dir), FORMAT)

    def test_newer_is_refused(self):
        """A spool of a relayd to come: nothing of it is touched, and it is said what to do."""
        self.unpack(os.path.join(SPOOLS, "0.4.0"))
        path = os.path.join(self.dir, "spool", "data.mdb")
        with open(path, "rb") as f:
            octets = f.read()
        then, now = (b"format" + n.to_bytes(8, "big") for n in (FORMAT, FORMAT + 1))
        self.assertIn(then, octets)
        with open(path, "wb") as f:
            f.write(octets.replace(then, now))
        relay = self.prepare()
        for args in (["relayd", "-c", relay.file], ["relayctl", "-c", relay.file, "queue"]):
            done = subprocess.run([os.path.join(real.BUILD, args[0]), *args[1:]], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=real.LIMIT, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertRegex(done.stdout, f"has format {FORMAT + 1} and this relayd knows {FORMAT}: "
                             "use the relayd that wrote it")
        with open(path, "rb") as f:
            self.assertEqual(f.read(), octets.replace(then, now))


def add_tests():
    for path in sorted(glob.glob(os.path.join(SPOOLS, "*.txt"))):
        def test(self, base=path[:-4]):
            self.check_all(base, FORMATS.get(os.path.basename(base), FORMAT))
        name = "test_from_" + os.path.basename(path)[:-4].replace(".", "_")
        test.__doc__ = None
        setattr(Upgrade, name, test)


add_tests()

if __name__ == "__main__":
    real.main()
