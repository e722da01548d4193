#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Makes the spools that tests/real/test_upgrade.py begins with.

    tests/real/make_spool.py PROGRAMS [DIRECTORY]

PROGRAMS is the directory with a built relayd and relayctl of the version whose spool is
wanted.  That relayd is filled by its own protocols, as far as it speaks them, and stopped.
DIRECTORY (tests/real/spools) gets VERSION.tar.xz, its spool as it was left, and
VERSION.txt, which says line by line what must be in it, in that relayd's own words:

    relayd    its version, and when the spool was left
    message   one in the queue: its sender, size, and the SHA-256 of what `relayctl cat` gives
    recipient one of its recipients that is not finished, with its next attempt (now: at once,
              or when it is released)
    account, secret   who may sign in by which password; certificate: by that one alone
    pop3      a mail of an inbox: UIDL and the SHA-256 of its lines
    box, mail a mailbox and what is in it, as IMAP tells
"""
import hashlib
import imaplib
import json
import os
import poplib
import re
import shlex
import shutil
import smtplib
import subprocess
import sys
import tarfile
import tempfile
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import real  # noqa: E402

SPOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "spools")
FINGERPRINT = hashlib.sha256(b"a certificate").hexdigest()
OFFICE = 'route "office" { to = {"office.test"} deliver = "mailbox" }\n'
# two spellings of "Entwürfe": with a letter and a mark, as some clients write it, and with one
DECOMPOSED, COMPOSED = "Entwu&Awg-rfe", "Entw&APw-rfe"


class Hop:
    """A next hop that goes by the first letters of the local part."""
    ANSWERS = {"ok": "250 2.1.5 fine", "never": "550 5.1.1 nobody of that name"}

    async def handle_RCPT(self, server, session, envelope, address, options):
        word = re.match("[a-z]*", address)[0]
        answer = self.ANSWERS.get(word, "451 4.2.1 come back tomorrow")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope):
        return "250 2.0.0 taken"


class Controlled(Controller):
    def factory(self):
        return SMTP(self.handler, enable_SMTPUTF8=True)


def sha256(octets):
    return hashlib.sha256(octets).hexdigest()


def text(subject, lines, word="in the night"):
    body = "".join(f".line {i} of what came {word}\r\n" for i in range(lines))
    return f"Subject: {subject}\r\nMessage-ID: <{subject.replace(' ', '.')}@here.test>\r\n\r\n{body}"


class Imap(imaplib.IMAP4):
    """Of which only what is asked for is done."""

    def __init__(self, port, user, password):
        super().__init__("127.0.0.1", port, timeout=real.LIMIT)
        self.login(user, password)

    def do(self, name, *args):
        done, data = getattr(self, name)(*args)
        if done != "OK":
            raise AssertionError(f"{name} {args}: {done} {data}")
        return data

    def names(self):
        """{name as it is on the wire: what LIST says of it}; subscribed ones have a +."""
        def told(command):
            for line in self.do(command):
                attributes, name = re.match(r'\((.*?)\) (?:"."|NIL) (.*)$', line.decode()).groups()
                yield name, sorted(attributes.split())
        subscribed = {name for name, _ in told("lsub")}
        return {name: " ".join(attributes + (["+"] if name in subscribed else []))
                for name, attributes in told("list")}

    def about(self, name):
        """What STATUS says of a mailbox: {item: value}."""
        told = self.do("status", name, "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY MAILBOXID)")[0].decode()
        pairs = re.findall(r"([A-Z]+) (\(.*?\)|\d+)", told[told.rindex("(MESSAGES"):])
        return {k.lower(): v.strip("()") for k, v in pairs}

    def mails(self, name):
        """[{uid, flags, date, emailid, sha256}] of a mailbox."""
        self.do("select", name, True)
        out = []
        for uid in self.do("uid", "SEARCH", "ALL")[0].split():
            said, octets = self.do("uid", "FETCH", uid.decode(),
                                   "(FLAGS INTERNALDATE EMAILID BODY.PEEK[])")[0]
            said = said.decode()
            flags = set(re.search(r"FLAGS \((.*?)\)", said)[1].split()) - {"\\Recent"}
            out.append({"uid": uid.decode(), "flags": " ".join(sorted(flags)),
                        "date": re.search('INTERNALDATE "(.*?)"', said)[1],
                        "emailid": re.search(r"EMAILID \((.*?)\)", said)[1],
                        "sha256": sha256(octets)})
        self.do("unselect")
        return out


def pop3(port, user, password):
    p = poplib.POP3("127.0.0.1", port, timeout=real.LIMIT)
    p.user(user)
    p.pass_(password)
    return p


def inbox(port, user, password):
    """[(UIDL, SHA-256)] as POP3 tells; no QUIT, so that nothing is marked as fetched."""
    p = pop3(port, user, password)
    uidl = [x.split()[1].decode() for x in p.uidl()[1]]
    out = [(u, sha256(b"".join(x + b"\r\n" for x in p.retr(i)[1])))
           for i, u in enumerate(uidl, 1)]
    p.close()
    return out


def waiting(relay):
    """What the queue is: [(id, message, recipient)]."""
    return [(m["queue_id"], m, r) for m in relay.queue() for r in m["recipients"]]


class Maker:
    def __init__(self, programs, directory):
        real.BUILD = os.path.abspath(programs)
        self.dir = directory
        self.lines = []
        self.passwords = {}
        self.version = self.tool("--version").split()[1]
        self.number = tuple(int(x) for x in self.version.split("."))

    @staticmethod
    def tool(*args):
        return subprocess.run([os.path.join(real.BUILD, "relayctl"), *args], check=True,
                              stdout=subprocess.PIPE, text=True, timeout=real.LIMIT).stdout

    def has(self, *number):
        return self.number >= number

    def say(self, word, *things, **more):
        pairs = [shlex.quote(str(x)) for x in things] + \
            [f"{k}={shlex.quote(str(v))}" for k, v in more.items()]
        self.lines.append(f"{word:9} {' '.join(pairs)}")

    def configuration(self, hop):
        more = 'retry { first = "1d" interval = "7d" jitter = "0%" expire = "300d" ' \
            f'bounce-expire = "300d" warn = "0" }}\n'
        for name, since in (("pop3", (0, 3)), ("imap", (0, 4))):
            if self.has(*since):
                port = real.free_port()
                setattr(self, name, port)
                more += f'listener "{name}" {{ bind = {{"127.0.0.1:{port}"}} protocol = "{name}" ' \
                    'auth-in-clear = true }\n'
        return more + (OFFICE if self.has(0, 3) else "") + \
            f'route "world" {{ via = {{"127.0.0.1:{hop}"}} }}\n'

    # ---- the queue

    def send(self, sender, to, content, mail=(), rcpt=()):
        with smtplib.SMTP("127.0.0.1", self.relay.port, timeout=real.LIMIT) as c:
            c.sendmail(sender, to, content.encode(), mail, rcpt)

    def fill_queue(self):
        far = "far.test"
        self.relay.ctl("pause", "out")
        self.send("ann@here.test", [f"{x}@{far}" for x in ("ok", "later", "later.too", "hold")],
                  text("several fates", 9))
        self.send("ann@here.test", [f"later@{far}", f"ok@{far}"], text("large", 12000))
        self.send("ann@here.test", [f"never@{far}", f"later@{far}"], text("one that fails", 3))
        self.send("j\u00f6rg@here.test", [f"later.\u00fc@{far}"], text("Gr\u00fc\u00dfe", 4, "\u00fcber Nacht"),
                  ["SMTPUTF8", "BODY=8BITMIME", "RET=HDRS", "ENVID=an+20id"],
                  ["NOTIFY=SUCCESS,FAILURE", "ORCPT=utf-8;later.\\x{FC}@far.test"])
        self.send("", [f"later@{far}"], text("from nobody", 2))
        self.send("ann@here.test", [f"hold.large@{far}"], text("large and held", 12000))
        self.relay.ctl("hold", "--to", "hold*")
        self.relay.ctl("resume", "out")

        def settled():
            rows = waiting(self.relay)
            return all(r["state"] == "held" or r["attempts"] > 0 for _, _, r in rows) and \
                not any(r["address"].startswith(("ok", "never")) for _, _, r in rows) and \
                any(r["address"] == "ann@here.test" for _, _, r in rows)
        real.wait_for("everything tried once", settled)
        self.relay.ctl("pause", "out")
        self.send("ann@here.test", [f"fresh@{far}"], text("never tried", 5))

    def list_queue(self):
        for m in sorted(self.relay.queue(), key=lambda m: m["queue_id"]):
            octets = self.relay.ctl("cat", m["queue_id"], text=False).stdout
            shown = json.loads(self.relay.ctl("--json", "show", m["queue_id"]).stdout)
            more = {k: shown[k] for k in ("envid",) if shown.get(k)}
            self.say("message", m["queue_id"], sender=m["sender"], size=m["message_size"],
                     arrival=m["arrival_time"], sha256=sha256(octets), **more)
            for r in sorted(m["recipients"], key=lambda r: r["address"]):
                self.say("recipient", m["queue_id"], r["address"], state=r["state"],
                         attempts=r["attempts"], next=r["next_attempt"] or "now",
                         reason=r.get("delay_reason") or "")

    # ---- accounts

    def account(self, name, password, *more):
        self.relay.add_user(name, password, *more)
        self.passwords[name] = password
        self.say("account", name, password=password)

    def secret(self, name, label, *more):
        made = self.relay.ctl("user", "secret", "add", name, label, *more).stdout
        self.say("secret", name, label, password=made.split()[-1], only=" ".join(more))

    def fill_accounts(self):
        self.account("alice", "correct horse", "--address", "alice@office.test")
        self.account("bob", "battery staple", "--address", "bob@office.test")
        self.account("uma", "p\u00e4ssw\u00f6rter")
        hashed = subprocess.run(["openssl", "passwd", "-6", "from elsewhere"], check=True,
                                stdout=subprocess.PIPE, text=True).stdout
        done = self.relay.ctl("user", "add", "eve", "--hash-stdin", stdin=hashed)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        self.say("account", "eve", password="from elsewhere", scram="no")
        self.relay.ctl("user", "add", "cam", "--certificate", FINGERPRINT)
        self.say("account", "cam", certificate=FINGERPRINT)
        self.relay.add_user("dan", "locked out")
        self.relay.ctl("user", "set", "dan", "--disable")
        self.say("account", "dan", password="locked out", disabled="yes")
        self.secret("alice", "phone")
        self.secret("alice", "printer", "--service", "smtp")
        if self.has(0, 3):
            self.secret("bob", "old", "--recoverable")
        if self.has(0, 4):
            self.secret("bob", "queue", "--service", "queue")

    # ---- mailboxes

    def fill_inboxes(self):
        for i in range(5):
            self.send("ann@here.test", ["alice@office.test"], text(f"mail {i}", 3 + i))
        self.send("ann@here.test", ["alice@office.test", "bob@office.test"],
                  text("for both of them", 12000))
        p = pop3(self.pop3, "alice", self.passwords["alice"])
        for i in (1, 2):
            p.retr(i)
        p.dele(3)
        p.quit()

    def fill_folders(self):
        c = Imap(self.imap, "alice", self.passwords["alice"])
        for name in ("Archive", "Archive/2025", "Lists", DECOMPOSED, f"{DECOMPOSED}/old"):
            c.do("create", f'"{name}"')
        for name in ("Archive/2025", DECOMPOSED):
            c.do("subscribe", f'"{name}"')
        c.do("rename", '"Lists"', '"Mailing lists"')
        c.do("append", '"Sent"', "(\\Seen $Forwarded)", '"17-Jul-1996 02:44:25 -0700"',
             text("sent long ago", 4).encode())
        c.do("append", f'"{DECOMPOSED}"', "(\\Draft)", None, text("a draft", 1).encode())
        c.do("select", "INBOX")
        c.do("uid", "STORE", "4", "+FLAGS.SILENT", "(\\Flagged $label1 project-7)")
        c.do("uid", "STORE", "5", "+FLAGS.SILENT", "(\\Answered \\Seen)")
        c.do("uid", "COPY", "4,6", '"Archive/2025"')
        c.do("uid", "STORE", "2", "+FLAGS.SILENT", "(\\Deleted)")
        c.do("expunge")
        c.do("uid", "STORE", "1", "+FLAGS.SILENT", "(\\Deleted)")
        c.logout()

    def list_mailboxes(self):
        for name in ("alice", "bob"):
            for uidl, digest in inbox(self.pop3, name, self.passwords[name]):
                self.say("pop3", name, uidl, sha256=digest)
        for name in ("alice", "bob") if self.has(0, 4) else ():
            c = Imap(self.imap, name, self.passwords[name])
            for box, attributes in sorted(c.names().items()):
                self.say("box", name, box, list=attributes, **c.about(box))
                for m in c.mails(box):
                    self.say("mail", name, box, **m)
            c.logout()

    # ---- all of it

    def make(self):
        hop = Controlled(Hop(), hostname="127.0.0.1", port=real.free_port())
        hop.start()
        self.relay = real.Relay(self.dir, self.configuration(hop.port))
        self.relay.start()
        try:
            self.fill_queue()
            if self.has(0, 2):
                self.fill_accounts()
            if self.has(0, 3):
                self.fill_inboxes()
            if self.has(0, 4):
                self.fill_folders()
            self.list_queue()
            if self.has(0, 3):
                self.list_mailboxes()
        finally:
            self.relay.stop()
            hop.stop()
        self.lines.insert(0, f"relayd    {self.version} left={int(time.time())}")

    def write(self, out):
        def of_nobody(member):
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            return member
        base = os.path.join(out, self.version)
        with tarfile.open(base + ".tar.xz", "w:xz", format=tarfile.GNU_FORMAT, preset=9) as tar:
            tar.add(os.path.join(self.dir, "spool"), "spool", filter=of_nobody)
        with open(base + ".txt", "w", encoding="utf-8") as f:
            f.write("\n".join(self.lines) + "\n")
        return base


def make(programs, out):
    directory = tempfile.mkdtemp(prefix="relayd-spool.")
    try:
        maker = Maker(programs, directory)
        maker.make()
        return maker.write(out)
    finally:
        shutil.rmtree(directory, True)


def listing(base):
    """[(word, things, {key: value})] of VERSION.txt."""
    out = []
    with open(base + ".txt", encoding="utf-8") as f:
        for line in f:
            words = shlex.split(line)
            pairs = [x.split("=", 1) for x in words[1:] if re.match(r"[a-z0-9]+=", x)]
            out.append((words[0], words[1:len(words) - len(pairs)], dict(pairs)))
    return out


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    print(make(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else SPOOLS))
