#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""kill -9 at random moments under everything at once; what was acknowledged must be there.

    tests/crash/crash.py [--kills N] [--seed N] [--blind]

Senders hand in small and large mail, by SMTP and LMTP, for a next hop, for one that refuses
or defers, for an LMTP server and for mailboxes; alice fetches hers by POP3, bob reads, flags,
expunges and appends by IMAP; an administrator holds, releases, retries and reloads.  relayd
dies at a moment that the seed chooses, its spool is checked (look.c), and the ledger is held
against it; then it is started again.  At the end all must drain.

The ledger is written before it counts: a message is begun before its dot, fetched before
the session deletes it, arrived before the next hop's 250.

lost        acknowledged, and neither in the spool, nor arrived, nor fetched, nor in a notice
duplicates  arrived again because relayd died before it had written down that it had arrived
            (the window of RFC 1047: allowed, counted)
repeated    arrived again although that was written down, or twice in one life
damaged     the octets are not those that were sent
phantom     arrived, although its client was refused or never came to the dot
undone      what POP3 or IMAP acknowledged is not so any more

--blind is the test of this test: one message that is there is overlooked, and must be missed.
"""
import argparse
import collections
import hashlib
import imaplib
import os
import poplib
import random
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "real"))
import real  # noqa: E402

PASSWORD = "correct horse"
SENDER = "alice@held.test"
LARGE = 300_000  # over inline-max: a file under big/
FLAGGED = 1 << 2  # spool/mailbox.h
PATIENCE = 5.0
GONE = (OSError, EOFError, ValueError, poplib.error_proto, imaplib.IMAP4.error)
LEDGER = re.compile(rb"^X-Ledger: (\S+) ([0-9a-f]{40})\r?$", re.M)
ABOUT = re.compile(rb"^X-Relayd-Queue-Id: (\w+)", re.M)
FINAL = re.compile(rb"^Final-Recipient: rfc822;(\S+?)\r?$", re.M)
REFUSED = ("@bad.test", "@worse.test")  # two routes: what fails there shares a notice


class Ledger:
    """What everybody saw."""

    def __init__(self):
        self.lock = threading.Lock()
        self.round = 0
        self.begun = {}       # name -> recipients
        self.state = {}       # name -> dot, accepted, refused
        self.queue_id = {}    # name -> id in the spool
        self.arrived = collections.defaultdict(list)  # (name, recipient) -> rounds
        self.fetched = set()  # (name, owner)
        # (name, recipient) of notices that somebody has fetched, or that arrived; and with the
        # id there, for the content may have been unreadable
        self.noticed, self.about = set(), set()
        self.picked = set()   # (owner, id): deleted, and QUIT acknowledged
        self.flagged = set()  # uids of bob's INBOX
        self.expunged = set()
        self.appended = set()  # uids of bob's "Saved"
        self.damaged = []
        self.last = 0

    def pickups(self):
        return len(self.fetched) + len(self.flagged) + len(self.appended)

    def begin(self, recipients):
        with self.lock:
            self.last += 1
            name = f"m{self.last}"
            self.begun[name] = recipients
            self.state[name] = "begun"
        return name

    def look_at(self, octets):
        """The name in a message, whose octets are checked."""
        failed = [to.decode() for to in FINAL.findall(octets)]
        about = ABOUT.search(octets)
        if about:
            with self.lock:
                self.about.update((about.group(1).decode(), to) for to in failed)
        found = LEDGER.search(octets)
        if not found:
            return None
        name, digest = found.group(1).decode(), found.group(2).decode()
        body = octets[octets.index(b"\r\n\r\n", found.start()) + 4:]
        if b"multipart/report" in octets[:found.start()]:
            with self.lock:
                self.noticed.update((name, to) for to in failed)
            return None
        if hashlib.sha1(body).hexdigest() != digest:
            with self.lock:
                self.damaged.append(name)
        return name


# ---- next hops

class Hop(socketserver.StreamRequestHandler):
    """Takes mail by SMTP or LMTP; refuses for bad.test, defers for slow.test once in a while."""

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def data(self):
        out = []
        while True:
            line = self.rfile.readline()
            if not line.endswith(b"\r\n"):
                raise EOFError
            if line == b".\r\n":
                return b"".join(out)
            out.append(line[1:] if line.startswith(b".") else line)

    def take(self, recipients):
        ledger = self.server.ledger
        self.say("354 go on")
        octets = self.data()
        name = ledger.look_at(octets)
        with ledger.lock:
            for r in recipients:
                if name:
                    ledger.arrived[name, r].append(ledger.round)
        for _ in recipients if self.lmtp else [0]:
            self.say("250 2.0.0 taken")

    def answer(self, to):
        if to.endswith(REFUSED):
            return "550 5.1.1 nobody of that name"
        if to.endswith("@slow.test") and self.server.dice.random() < 0.5:
            return "451 4.2.1 later"
        return "250 2.1.5 ok"

    def handle(self):
        self.server.count(1)
        try:
            self.talk()
        except (OSError, EOFError, ValueError):
            pass
        finally:
            self.server.count(-1)

    def talk(self):
        recipients, self.lmtp = [], False
        self.say("220 hop.test")
        while True:
            line = self.rfile.readline().decode("utf-8", "replace").strip()
            verb = line[:4].upper()
            if not line:
                return
            if verb in ("EHLO", "LHLO"):
                self.lmtp = verb == "LHLO"
                self.say("250-hop.test\r\n250-PIPELINING\r\n250 8BITMIME")
            elif verb == "RCPT":
                to = line[line.index("<") + 1:line.index(">")]
                reply = self.answer(to)
                recipients += [to] if reply.startswith("250") else []
                self.say(reply)
            elif verb == "DATA" and not recipients:
                self.say("554 5.5.1 nobody")
            elif verb == "DATA":
                self.take(recipients)
                recipients = []
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                recipients = [] if verb in ("MAIL", "RSET") else recipients
                self.say("250 2.0.0 ok")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128
    busy = 0

    def count(self, n):
        with self.ledger.lock:
            self.busy += n

    def settle(self):
        """What a relayd that is dead had sent has been read: it arrived in its life, not in
        the next one's."""
        real.wait_for("the next hops to be at rest", lambda: not self.busy)


# ---- clients; each works until the connection breaks

class Client:
    def __init__(self, campaign, dice):
        self.c, self.ledger, self.dice = campaign, campaign.ledger, dice

    def run(self):
        try:
            while not self.c.dead.is_set():
                self.work()
        except GONE:
            pass


class Sender(Client):
    """Mail by SMTP (or LMTP, for mailboxes)."""

    LMTP = False
    PLACES = ("r@sink.test", "s@sink.test", "x@bad.test", "y@worse.test", "t@slow.test",
              "l@lmtp.test", "alice@held.test", "bob@held.test", "carol@held.test")

    def cmd(self, line, want):
        self.s.sendall(line.encode() + b"\r\n")
        return self.reply(want)

    def reply(self, want=None):
        while True:
            line = self.f.readline()
            if not line.endswith(b"\n"):
                raise EOFError
            if line[3:4] != b"-":
                break
        text = line.decode()
        if want and text[0] != want:
            raise ValueError(text)
        return text

    def message(self, name):
        size = self.dice.choice((200, 2000, 9000, 9000, LARGE))
        line = bytes(self.dice.choices(b"abcdefghijklmnopqrstuvwxyz. ", k=70)) + b"\r\n"
        body = line * (size // len(line) + 1)
        digest = hashlib.sha1(body).hexdigest()
        head = f"From: <{SENDER}>\r\nSubject: {name}\r\nX-Ledger: {name} {digest}\r\n\r\n"
        return head.encode() + re.sub(rb"^\.", b"..", body, flags=re.M) + b".\r\n"

    def one(self):
        ledger = self.ledger
        places = self.PLACES[-3:] if self.LMTP else self.PLACES
        recipients = self.dice.sample(places, self.dice.choice((1, 1, 1, 2, 3)))
        name = ledger.begin(recipients)
        self.cmd(f"MAIL FROM:<{SENDER}>", "2")
        for r in recipients:
            self.cmd(f"RCPT TO:<{r}>", "2")
        self.cmd("DATA", "3")
        octets = self.message(name)
        self.s.sendall(octets[:-3])
        ledger.state[name] = "dot"
        self.s.sendall(octets[-3:])
        replies = [self.reply() for _ in (recipients if self.LMTP else [0])]
        with ledger.lock:
            good = [r.startswith("250") for r in replies]
            if all(good):
                ledger.queue_id[name] = re.search(r"queued as (\w+)", replies[0]).group(1)
            ledger.state[name] = ("accepted" if all(good) else
                                  "dot" if any(good) else "refused")

    def work(self):
        port = self.c.lmtp if self.LMTP else self.c.relay.port
        with socket.create_connection(("127.0.0.1", port), 10) as self.s:
            self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.f = self.s.makefile("rb")
            self.reply("2")
            self.cmd("LHLO c.test" if self.LMTP else "EHLO c.test", "2")
            for _ in range(20):
                self.one()


class LmtpSender(Sender):
    LMTP = True


class Popper(Client):
    """alice, who fetches and deletes."""

    def work(self, who="alice", most=10):
        ledger = self.ledger
        p = poplib.POP3("127.0.0.1", self.c.pop, timeout=10)
        try:
            p.user(who)
            p.pass_(PASSWORD)
            deleted = []
            for n in range(1, min(p.stat()[0], most) + 1):
                name = ledger.look_at(b"\r\n".join(p.retr(n)[1]) + b"\r\n")
                if name:
                    with ledger.lock:
                        ledger.fetched.add((name, who))
                        if name in ledger.queue_id:
                            deleted.append((who, ledger.queue_id[name]))
                p.dele(n)
            p.quit()
            with ledger.lock:
                ledger.picked.update(deleted)
        finally:
            p.close()


class Imapper(Client):
    """bob, who flags, expunges and appends."""

    def __init__(self, *args):
        super().__init__(*args)
        self.appends = 0

    def read(self, m):
        """The uids of what could be read: nobody deletes what he has not seen."""
        uids = []
        for uid in map(int, m.uid("SEARCH", "ALL")[1][0].split()[:6]):
            code, data = m.uid("FETCH", str(uid), "(BODY.PEEK[])")
            if code != "OK" or not isinstance(data[0], tuple):
                continue
            uids.append(uid)
            name = self.ledger.look_at(data[0][1])
            if name:
                with self.ledger.lock:
                    self.ledger.fetched.add((name, "bob"))
        return uids

    def change(self, m, uids):
        half = len(uids) // 2
        for uid in uids[half:]:
            if m.uid("STORE", str(uid), "+FLAGS", r"(\Flagged)")[0] == "OK":
                self.ledger.flagged.add(uid)
        # what could not be marked is not expunged, and EXPUNGE with nothing marked says OK
        marked = [uid for uid in uids[:half]
                  if m.uid("STORE", str(uid), "+FLAGS", r"(\Deleted)")[0] == "OK"]
        if marked and m.expunge()[0] == "OK":
            self.ledger.expunged.update(marked)

    def append(self, m):
        self.appends += 1
        text = f"Subject: saved {self.appends}\r\n\r\n" + "saved\r\n" * 200
        code, data = m.append("Saved", None, None, text.encode())
        uid = re.search(rb"APPENDUID \d+ (\d+)", data[0])
        if code == "OK" and uid:
            self.ledger.appended.add(int(uid.group(1)))

    def work(self):
        m = imaplib.IMAP4("127.0.0.1", self.c.imap, timeout=10)
        try:
            m.login("bob", PASSWORD)
            m.create("Saved")
            for _ in range(10):
                m.select("INBOX")
                self.change(m, self.read(m))
                self.append(m)
            m.logout()
        finally:
            m.shutdown()


class Administrator(Client):
    def work(self):
        how = self.dice.choice((["retry", "--all"], ["release", "--all"], ["reload"],
                                ["hold", "--to", "s@sink.test", "--limit", "3"], ["queue"],
                                ["mailbox", "list"]))
        done = self.c.relay.ctl(*how, check=False)
        if done.returncode == 0:
            self.c.dead.wait(0.05)  # one administrator is no flood


# ---- the campaign

EMPTY = 25  # lives, and then the mailboxes are emptied
CONFIG = """
listener "lmtp" {{ bind = {{"127.0.0.1:{lmtp}"}} protocol = "lmtp" }}
listener "pop" {{ bind = {{"127.0.0.1:{pop}"}} protocol = "pop3" auth-in-clear = true }}
listener "imap" {{ bind = {{"127.0.0.1:{imap}"}} protocol = "imap" auth-in-clear = true }}
route "held" {{ to = {{"held.test"}} deliver = "mailbox" }}
route "lmtp" {{ to = {{"lmtp.test"}} deliver = "lmtp" via = {{"127.0.0.1:{hop}"}} }}
route "worse" {{ to = {{"worse.test"}} via = {{"127.0.0.1:{hop}"}} }}
route "up" {{ via = {{"127.0.0.1:{hop}"}} }}
retry {{ first = "1s" interval = "1s" jitter = "0%" expire = "60d" bounce-expire = "60d" warn = "0" }}
"""


class Campaign:
    def __init__(self, directory, seed, blind):
        self.blind = blind
        self.dir, self.dice, self.ledger = directory, random.Random(seed), Ledger()
        self.dead = threading.Event()
        self.hop = Server(("127.0.0.1", 0), Hop)
        self.hop.ledger, self.hop.dice = self.ledger, random.Random(seed + 1)
        threading.Thread(target=self.hop.serve_forever, daemon=True).start()
        self.lmtp, self.pop, self.imap = (real.free_port() for _ in range(3))
        self.relay = real.Relay(directory, CONFIG.format(
            lmtp=self.lmtp, pop=self.pop, imap=self.imap, hop=self.hop.server_address[1]))
        self.relay.start()
        for name in ("alice", "bob", "carol"):
            self.relay.add_user(name, PASSWORD, "--address", f"{name}@held.test")
        self.relay.stop()
        self.clients = [kind(self, random.Random(seed * 100 + i)) for i, kind in enumerate(
            (Sender, Sender, Sender, LmtpSender, Popper, Imapper, Administrator))]
        self.ended = {}  # (name, recipient) that arrived -> the round after which it was over
        self.faults = []
        self.spool = {}

    # -- one round

    def live(self, seconds, pickups):
        """Everybody at work, and then, perhaps behind so many pickups, the end of relayd."""
        self.relay.start()
        self.dead.clear()
        threads = [threading.Thread(target=c.run) for c in self.clients]
        for t in threads:
            t.start()
        if pickups:  # however slow the machine is: in the middle of these, too
            goal = self.ledger.pickups() + pickups
            end = time.monotonic() + PATIENCE
            while self.ledger.pickups() < goal and time.monotonic() < end:
                time.sleep(0.002)
            seconds /= 20
        time.sleep(seconds)  # the moment of death is what the seed chooses
        self.relay.process.stop(signal.SIGKILL)
        self.dead.set()
        for t in threads:
            t.join()
        self.hop.settle()

    def look(self):
        """The spool as it lies there: recipients that wait, mails, notices."""
        done = subprocess.run([os.path.join(real.BUILD, "look"),
                               os.path.join(self.dir, "spool")], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=real.LIMIT, check=False)
        spool = {"queue": set(), "mail": {}, "notice": set(), "about": set()}
        words = collections.defaultdict(lambda: collections.defaultdict(set))
        for line in done.stdout.splitlines():
            kind, *rest = line.split(" ")
            if kind == "queue":
                spool["queue"].add((rest[0], rest[1]))
            elif kind == "mail":
                owner, box, uid, ident, flags, _ = rest
                spool["mail"][owner, box, int(uid)] = (ident, int(flags))
            elif kind in ("notice", "about", "final"):
                words[rest[0]][kind].add(rest[1])
            elif kind == "wrong" and len(self.faults) < 20:
                self.faults.append(line)
        for notice in words.values():
            for kind in ("notice", "about"):
                spool[kind].update((x, to) for x in notice[kind] for to in notice["final"])
        if done.returncode != 0 and not self.faults:
            self.faults.append(f"look ended with {done.returncode}: {done.stdout[-500:]}")
        spool["held"] = {(owner, ident) for (owner, box, _), (ident, _) in spool["mail"].items()
                         if box == "INBOX"}
        self.spool = spool

    # -- the verdict

    def is_told(self, name, ident, recipient):
        return any((what, recipient) in notices for what, notices in (
            (name, self.spool["notice"]), (name, self.ledger.noticed),
            (ident, self.spool["about"]), (ident, self.ledger.about)))

    def is_there(self, name, recipient):
        ledger, spool = self.ledger, self.spool
        ident, owner = ledger.queue_id[name], recipient.split("@")[0]
        return ((ident, recipient) in spool["queue"] or ledger.arrived.get((name, recipient))
                or (owner, ident) in spool["held"] or (name, owner) in ledger.fetched
                or (recipient.endswith(REFUSED) and self.is_told(name, ident, recipient)))

    def lost(self):
        return sorted({f"{name} for {r}" for name, state in self.ledger.state.items()
                       if state == "accepted" for r in self.ledger.begun[name]
                       if not self.is_there(name, r)})

    def undone(self):
        ledger, mail = self.ledger, self.spool["mail"]
        out = [f"deleted by POP3: {x}" for x in ledger.picked & self.spool["held"]]
        for uid in ledger.expunged:
            if ("bob", "INBOX", uid) in mail:
                out.append(f"expunged: {uid}")
        for uid in ledger.flagged:
            if not mail.get(("bob", "INBOX", uid), (0, FLAGGED))[1] & FLAGGED:
                out.append(f"flagged: {uid}")
        out += [f"appended: {uid}" for uid in ledger.appended
                if ("bob", "Saved", uid) not in mail]
        return out

    def phantom(self):
        bad = {n for n, s in self.ledger.state.items() if s in ("begun", "refused")}
        return sorted({n for n, _ in self.ledger.arrived if n in bad} |
                      {n for n, _ in self.ledger.fetched if n in bad})

    def repeated(self):
        """How often something arrived again, and what must not have."""
        again, bad = 0, []
        for (name, recipient), rounds in self.ledger.arrived.items():
            again += len(rounds) - 1
            over = self.ended.get((name, recipient))
            if len(set(rounds)) < len(rounds) or (over is not None and rounds[-1] > over):
                bad.append(f"{name} for {recipient}: in rounds {rounds}, over after {over}")
        return again, bad

    def note_the_end(self):
        """What arrived and waits no more may not arrive again."""
        for key in self.ledger.arrived:
            ident = self.ledger.queue_id.get(key[0])
            if ident and key not in self.ended and (ident, key[1]) not in self.spool["queue"]:
                self.ended[key] = self.ledger.round

    def overlook(self):
        """One that nobody but the spool knows of."""
        known = {n: i for n, i in self.ledger.queue_id.items()
                 if not any(key[0] == n for key in self.ledger.arrived)}
        gone = next((i for i, _ in sorted(self.spool["queue"]) if i in known.values()), None)
        self.spool["queue"] = {x for x in self.spool["queue"] if x[0] != gone}
        self.spool["held"] = {x for x in self.spool["held"] if x[1] != gone}

    def judge(self):
        self.look()
        if self.blind:
            self.overlook()
        _, again = self.repeated()
        for what, found in (("lost", self.lost()), ("damaged", self.ledger.damaged),
                            ("phantom", self.phantom()), ("undone", self.undone()),
                            ("repeated", again)):
            self.faults += [f"{what}: {x}" for x in found[:5]]
        self.note_the_end()
        return not self.faults

    def drain(self):
        self.relay.start()
        self.relay.ctl("release", "--all")
        self.relay.ctl("retry", "--all")
        self.relay.wait_empty(120)
        if self.relay.stop() != 0:
            self.faults.append("relayd did not end well")
        return self.judge()

    def empty(self):
        """A life in which everything is picked up, with an end in order: what only grows is
        looked at for ever longer."""
        self.ledger.round += 1
        self.relay.start()
        for who in ("alice", "bob", "carol"):
            Popper(self, self.dice).work(who, 1 << 30)
        if self.relay.stop() != 0:
            self.faults.append("relayd did not end well")

    def run(self, kills):
        for n in range(1, kills + 1):
            if n % EMPTY == 0:
                self.empty()
            self.ledger.round += 1
            seconds, pickups = self.dice.uniform(0.02, 0.5), self.dice.randint(1, 20)
            self.live(seconds, self.dice.choice((0, 0, pickups)))
            if not self.judge():
                return n
            say_progress("crash", n, kills, "kills")
        self.ledger.round += 1
        self.drain()
        return kills


def say_progress(title, done, whole, what):
    if done % 50 == 0 and done < whole:
        print(f"{title}: {done} of {whole} {what}, nothing lost yet", file=sys.stderr, flush=True)


def say_blind(title, campaign, n):
    """The end of a test of the test; the status."""
    found = any(f.startswith("lost") for f in campaign.faults)
    print(f"{title}: what was overlooked was {'missed' if found else 'NOT MISSED'} after {n}")
    print("1 passed, 0 failed" if found else "0 passed, 1 failed")
    shutil.rmtree(campaign.dir)
    return 0 if found else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--blind", action="store_true")
    args = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="relayd-crash.")
    c = Campaign(directory, args.seed, args.blind)
    kills = c.run(args.kills)
    if args.blind:
        return say_blind("crash", c, kills)
    states = collections.Counter(c.ledger.state.values())
    for fault in c.faults:
        print(f"crash: round {c.ledger.round}: {fault}")
    count = collections.Counter(f.split(":")[0] for f in c.faults)
    print(f"crash: {kills} kills, {states['accepted']} acknowledged, {states['dot']} unknown, "
          f"{len(c.ledger.arrived)} arrived, {len(c.ledger.fetched)} fetched, "
          f"{len(c.ledger.picked)} picked up, {len(c.ledger.appended)} appended, "
          f"losses {count['lost']}, duplicates {c.repeated()[0]}, damaged {count['damaged']}, "
          f"phantom {count['phantom']} (seed {args.seed})")
    print(f"{kills - bool(c.faults)} passed, {int(bool(c.faults))} failed")
    if c.faults:
        print(f"the spool is in {directory}")
    else:
        shutil.rmtree(directory)
    return 1 if c.faults else 0


if __name__ == "__main__":
    sys.exit(main())
