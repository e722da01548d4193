#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The network at its worst, and a ledger: every message is delivered, waits with a future, or is returned.

    tests/network/network.py [--short] [--seed N] [--keep]

Three network namespaces, made for this: the relay's, the world's, and a wire between them
(wire.py) that delays, reorders and doubles frames.  In the world nft drops one packet in
twenty, resets connections in their middle, answers some addresses with a reset or with
"unreachable", swallows large packets or all packets, and leaves connections half open; the
next hops there (world.py) go wrong at each step of SMTP in each way; a name server lies,
truncates, loops, is silent, answers garbage; and thousands of destinations are dead.

All the while every recipient that waits must have a next attempt that is near, or be on its
way, and relayd's own watchdog must find nobody stuck.  Then the world heals, but for what is
dead: everything else must arrive, or be returned where that is its fate.  Then half of the dead
come back to life, and mail for the rest expires.  At the end the queue is empty, and

lost        acknowledged, and neither arrived nor in a notice: 0
wrong       returned although it could have been delivered, or the other way: 0
damaged     octets that are not those that were sent: 0
phantom     arrived although its client was refused or never came to the dot: 0
doubled     arrived again without a "possible-duplicate" in the log, that is, other than by a
            link that broke between the final dot and its answer: 0
duplicates  arrived again by such a link: allowed, counted

Needs root, ip, nft and network namespaces; where they are not to be had it says so and is
skipped.
"""
import argparse
import array
import collections
import datetime
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "real"))
import real  # noqa: E402
from real import wait_for  # noqa: E402

PYTHON = "/usr/bin/python3"
RELAY, WORLD = "10.77.0.1", "10.77.0.2"
PATIENCE = 90.0  # seconds that may pass between a due time and a trace of the attempt
LIMIT = 150.0

# ---- what there is in the world

STEPS = ("banner", "EHLO", "MAIL", "RCPT", "DATA", "body", "dot", "kept")
HOWS = ("reset", "close", "hang", "drip", "garbage", "421", "451")
NETS = {  # what nft does to addresses of 10.99.N.0/24
    "refused": (240, "tcp dport 25 reject with tcp reset"),
    "silent": (241, "drop"),
    "unreachable": (242, "reject with icmp type host-unreachable"),
    "prohibited": (243, "reject with icmp type admin-prohibited"),
    "halfopen": (244, "tcp flags & (syn | ack) == ack drop"),
    "small": (245, "meta length > 600 drop"),  # a black hole for full-sized packets
    "flaky": (246, "numgen random mod 12 == 0 reject with tcp reset"),
    "lossy": (247, "numgen random mod 100 < 20 drop"),
}
# What it does to the dead, who have forty networks of 10.98.0.0/16 each, twice.
DEAD = {"drop": 0, "tcp dport 25 reject with tcp reset": 1, "reject with icmp type host-unreachable": 2}

# Words of tests/real/dns_server.py: what the server says while it is ill.
DNS_ILL = ("SERVFAIL", "REFUSED", "NOTIMP", "FORMERR", "TIMEOUT", "SLOW 700", "TRUNCATE", "GARBAGE", "EMPTY",
           "WRONGID", "WRONGNAME", "NOQUESTION", "NOEDNS", "DRIP", "NOTCP", "SERVFAIL AAAA", "TIMEOUT AAAA")
DNS_LOOPS = {
    "loop": "{d} CNAME a.{d} ; a.{d} CNAME b.{d} ; b.{d} CNAME a.{d}",
    "self-loop": "{d} CNAME {d}",
    "mx-servfail": "{d} MX 10 mx.{d} ; mx.{d} SERVFAIL",
    "mx-silent": "{d} MX 10 mx.{d} ; mx.{d} TIMEOUT",
}
DNS_FINAL = {  # what is known for good: these are returned
    "gone": "{d} NXDOMAIN",
    "null-mx": "{d} MX 0 .",
    "ourselves": "{d} MX 10 relay.test",
    "loopback": "{d} MX 10 mx.{d} ; mx.{d} A 127.0.0.1",
    "no-address": "{d} MX 10 mx.{d} ; mx.{d} TXT nothing",
}


class Case:
    """One domain, with its records while the world is ill and after."""

    def __init__(self, name, ill, fate, sane=None):
        self.name, self.ill, self.fate, self.sane = name, ill, fate, sane or ill

    @property
    def address(self):
        return f"u@{self.name}.test"


class Plan:
    """Everything that is in the world, and what becomes of mail for it.  Fates: "now" (arrives in spite of
    it all), "later" (once healed), "returned", "ends" (one of the two)."""

    def __init__(self, dead):
        self.cases, self.hops, self.hosts = [], {}, 0
        for i in range(8):
            self.add(f"good{i}", "now")
        self.add("home", "now")
        for how in HOWS:
            for step in STEPS:
                if step == "kept" and how[0] == "4":
                    continue  # who says no and keeps it doubles it himself
                self.add(f"{how}-{step}".lower(), "later", hop=(how, step))
        self.add("half-kept", "later", hop=("half", "kept"))
        for step in ("RCPT", "DATA", "dot"):
            self.add(f"550-{step}".lower(), "returned", hop=("550", step))
        for name in NETS:
            self.add(name, "now" if name == "lossy" else "later", net=name)
        for name in ("refused", "silent", "unreachable", "halfopen"):
            self.second(name, net=name)
        for hop in (("reset", "banner"), ("421", "banner"), ("451", "banner"), ("hang", "banner")):
            self.second("-".join(hop), hop=hop)
        for word in DNS_ILL:
            self.misnamed(word)
        for name, ill in DNS_LOOPS.items():
            domain, at = f"{name}.test", self.host()
            # A loop of names may be an error for good, or for now.
            self.cases.append(Case(name, ill.format(d=domain), "ends" if "loop" in name else "later",
                                   f"{domain} MX 10 mx.{domain} ; mx.{domain} A {at}"))
        for name, ill in DNS_FINAL.items():
            self.cases.append(Case(name, ill.format(d=f"{name}.test"), "returned"))
        self.dead = [f"u@d{i}.dead.test" for i in range(dead)]
        self.dead_zone = "\n".join(
            f"d{i}.dead.test MX 10 mx.d{i}.dead.test ; mx.d{i}.dead.test A {self.dead_host(i)}" for i in range(dead))
        self.fate = {c.address: c.fate for c in self.cases}
        self.fate.update((a, "later" if i % 2 == 0 else "returned") for i, a in enumerate(self.dead))

    def host(self, net=None, hop=None):
        self.hosts += 1
        at = f"10.99.{NETS[net][0] if net else 1 + self.hosts // 250}.{1 + self.hosts % 250}"
        if hop:
            self.hops[at] = hop
        return at

    @staticmethod
    def dead_host(i):
        """Even numbers stand where the dead come back to life."""
        return f"10.98.{(i % 2) * 128 + (i // 2 % 3) * 40 + i // 1500}.{1 + i // 6 % 250}"

    def add(self, name, fate, **how):
        d = f"{name}.test"
        self.cases.append(Case(name, f"{d} MX 10 mx.{d} ; mx.{d} A {self.host(**how)}", fate))

    def second(self, name, **how):
        """Two hosts of which the first is bad: it arrives by the second."""
        d = f"second-{name}.test"
        self.cases.append(Case(f"second-{name}", f"{d} MX 10 mx.{d} ; mx.{d} A {self.host(**how)} ; "
                               f"{d} MX 20 mx2.{d} ; mx2.{d} A {self.host()}", "now"))

    def misnamed(self, word):
        """The server knows the truth, and does not say it, or says it oddly."""
        name = "dns-" + word.lower().replace(" ", "-")
        d = f"{name}.test"
        truth = f"{d} MX 10 mx.{d} ; mx.{d} A {self.host()}"
        on = f"mx.{d}" if "AAAA" in word else d
        self.cases.append(Case(name, f"{truth} ; {on} {word}", "later", truth))

    def zone(self, ill):
        return "\n".join([c.ill if ill else c.sane for c in self.cases] +
                         [f"relay.test A {RELAY}", self.dead_zone]) + "\n"

    def rules(self, ill, dead):
        """nft's rules; `dead`: which of the two halves are dead."""
        out = []
        for half in dead:
            for what, n in DEAD.items():
                first = half * 128 + n * 40
                out.append(f"ip daddr 10.98.{first}.0-10.98.{first + 39}.255 {what}")
        if ill:
            out += [f"ip daddr 10.99.{net}.0/24 {what}" for net, what in NETS.values()]
            out += ["iifname b0 numgen random mod 100 < 5 drop"]
        return ("flush ruleset\ntable inet chaos {\n chain in {\n  type filter hook input priority 0; policy accept;\n  "
                + "\n  ".join(out) + "\n }\n}\n")


# ---- namespaces

def sh(*words, stdin=None, check=True):
    return subprocess.run(words, input=stdin, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=check)


class Namespaces:
    def __init__(self):
        self.names = {who: f"relayd-{os.getpid()}-{who}" for who in ("relay", "wire", "world")}

    def make(self):
        r, w, o = (self.names[k] for k in ("relay", "wire", "world"))
        for name in (r, w, o):
            sh("ip", "netns", "add", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
        for ns, mine, theirs in ((r, "a0", "a1"), (o, "b0", "b1")):
            sh("ip", "-n", ns, "link", "add", mine, "type", "veth", "peer", "name", theirs, "netns", w)
            sh("ip", "-n", w, "link", "set", theirs, "up")
            sh("ip", "-n", ns, "link", "set", mine, "up")
        sh("ip", "-n", r, "addr", "add", RELAY + "/24", "dev", "a0")
        sh("ip", "-n", o, "addr", "add", WORLD + "/24", "dev", "b0")
        for net in ("10.98.0.0/16", "10.99.0.0/16"):
            sh("ip", "-n", r, "route", "add", net, "via", WORLD)
            sh("ip", "-n", o, "route", "add", "local", net, "dev", "lo")
        for ns, dev in ((r, "a0"), (o, "b0")):
            sh("ip", "netns", "exec", ns, PYTHON, os.path.abspath(__file__), "--plain", dev)
        sh("ip", "netns", "exec", o, "nft", "-f", "-", stdin=Plan(0).rules(True, (0, 1)))

    def remove(self):
        for name in self.names.values():
            sh("ip", "netns", "del", name, check=False)


def plain(device):
    """The wire carries what a real one would: whole checksums, no packets over the MTU."""
    with socket.socket() as s:
        for command in (0x17, 0x1f, 0x24, 0x2c):  # ETHTOOL_STXCSUM, STSO, SGSO, SGRO
            value = array.array("B", struct.pack("II", command, 0))
            fcntl.ioctl(s, 0x8946, struct.pack("16sP", device.encode(), value.buffer_info()[0]))  # SIOCETHTOOL


def inside(ns, *words):
    return real.Process(["ip", "netns", "exec", ns, *words])


# ---- the ledger

class Ledger:
    def __init__(self, path):
        self.path = path
        self.begun, self.state, self.ident = {}, {}, {}
        self.arrived = collections.Counter()
        self.noticed = collections.Counter()
        self.damaged = set()
        self.own = []  # begun and accepted here, for dead destinations

    def read(self):
        self.arrived.clear()
        self.noticed.clear()
        with open(self.path, encoding="ascii") as f:
            for line in list(f) + self.own:
                kind, name, *rest = line.split()
                if kind == "begun":
                    self.begun[name] = rest
                if kind == "arrived":
                    self.arrived[name, rest[0]] += 1
                    if rest[1] != "right":
                        self.damaged.add(name)
                elif kind == "noticed":
                    self.noticed[name, rest[0]] += 1
                else:
                    self.state[name] = kind
                    if kind == "accepted":
                        self.ident[name] = rest[0]
        return self

    def promised(self):
        return [(n, r) for n, s in self.state.items() if s == "accepted" for r in self.begun[n]]

    def open(self, but=()):
        return [p for p in self.promised() if p[1] not in but and not self.arrived[p] and not self.noticed[p]]

    def wrong(self, fate):
        bad = [p for p in self.noticed if fate[p[1]] in ("now", "later") and self.noticed[p]]
        return bad + [p for p in self.arrived if fate[p[1]] == "returned" and self.arrived[p]]

    def phantom(self):
        return [p for p in self.arrived if self.arrived[p] and self.state.get(p[0]) in ("begun", "refused")]

    def doubled(self, doubts):
        """Arrived more often than the log knows a reason for, or returned twice."""
        return ([p for p, n in self.arrived.items() if n - 1 > doubts[self.ident.get(p[0])] and p[0] in self.ident] +
                [p for p, n in self.noticed.items() if n > 1])


# ---- the watch

class Watch(threading.Thread):
    """Looks at every waiting recipient, again and again, until stopped."""

    def __init__(self, relay, metrics):
        super().__init__(daemon=True)
        self.relay, self.url = relay, f"http://127.0.0.1:{metrics}/metrics"
        self.over = threading.Event()
        self.faults, self.looks, self.surveys, self.recipients, self.most = [], 0, set(), 0, 0
        self.since = {}

    def figures(self):
        with urllib.request.urlopen(self.url, timeout=60) as answer:
            return dict(re.findall(r"^(relayd_\S+) (\S+)$", answer.read().decode(), re.M))

    def look(self):
        got = self.figures()
        if float(got.get("relayd_watchdog_stuck_recipients", 0)) > 0:
            self.faults.append("relayd's watchdog: " + got["relayd_watchdog_stuck_recipients"] + " are stuck")
        if "relayd_survey_age_seconds" in got:
            self.surveys.add(round((time.time() - float(got["relayd_survey_age_seconds"])) / 2))
        now, seen = time.monotonic(), {}
        for m in self.relay.queue("--limit", "1000000"):
            for r in m["recipients"]:
                self.recipients += 1
                key = (m["queue_id"], r["address"], r["attempts"])
                at = r.get("next_attempt")
                at = datetime.datetime.fromisoformat(at).timestamp() if at else 0
                if r["state"] not in ("waiting", "new", "deferred", "active"):
                    self.faults.append(f"{key} is {r['state']}")
                elif at and at - time.time() > PATIENCE:
                    self.faults.append(f"{key} is far from its next attempt: {at - time.time():.0f} s")
                elif not at or at <= time.time():
                    seen[key] = self.since.get(key, now)
                    if now - seen[key] > PATIENCE:
                        self.faults.append(f"{key} is due, and nobody has come")
        self.since = seen
        self.most = max(self.most, len(seen))
        self.looks += 1

    def run(self):
        while not self.over.wait(0.5):
            try:
                self.look()
            except Exception as error:  # pylint: disable=broad-except
                # whatever it is, it is a finding: nobody else would tell
                self.faults.append(f"the watch: {error!r}")
            if len(self.faults) > 20:
                return

    def stop(self):
        self.over.set()
        self.join(LIMIT)


# ---- the campaign

CONFIG = """
networks = {{"10.0.0.0/8", "127.0.0.0/8"}}
hostname = "relay.test"
spool {{ path = "{dir}/spool" min-free = "16M" }}
control {{ path = "{dir}/control.sock" }}
listener "smtp" {{ bind = {{"127.0.0.1:{port}", "10.77.0.1:2525"}} }}
metrics {{ bind = {{"127.0.0.1:{metrics}"}} }}
dns {{ servers = {{"10.77.0.2"}} timeout = "1s" }}
retry {{ first = "1s" interval = "{interval}s" jitter = "10%" expire = "{expire}" warn = "0" bounce-expire = "1d" }}
outgoing {{ connect = "2s" greeting = "2s" helo = "2s" mail = "2s" rcpt = "2s" data = "2s" block = "2s"
	final-dot = "2s" quit = "1s" idle = "1s" }}
"""


class Relay(real.Relay):
    expire, interval = "1d", 2

    def write(self, more):
        self.metrics = getattr(self, "metrics", None) or real.free_port()
        with open(self.file, "w", encoding="ascii") as f:
            f.write(CONFIG.format(dir=self.dir, port=self.port, metrics=self.metrics, expire=self.expire, interval=self.interval))


class Campaign:
    def __init__(self, args, directory):
        self.args, self.dir = args, directory
        self.world_ns = args.inside.replace("-relay", "-world")
        self.plan = Plan(args.dead)
        self.ledger = Ledger(os.path.join(directory, "ledger"))
        self.faults, self.late = [], []
        self.children = []

    def child(self, ns, *words):
        p = inside(ns, *words)
        self.children.append(p)
        return p

    def nft(self, ill, dead):
        sh("ip", "netns", "exec", self.world_ns, "nft", "-f", "-", stdin=self.plan.rules(ill, dead))

    def set_zone(self, ill):
        path = os.path.join(self.dir, "zone")
        with open(path + ".new", "w", encoding="ascii") as f:
            f.write(self.plan.zone(ill))
        os.rename(path + ".new", path)
        return path

    def start(self):
        wire_ns, seed = self.args.inside.replace("-relay", "-wire"), str(self.args.seed)
        self.child(wire_ns, PYTHON, os.path.join(HERE, "wire.py"), "a1", "b1", seed).wait_line("ready")
        self.child(self.world_ns, PYTHON, os.path.join(os.path.dirname(HERE), "real", "dns_server.py"),
                   "--address", WORLD, "--port", "53", self.set_zone(True)).wait_line("listening")
        plan = os.path.join(self.dir, "plan")
        with open(plan, "w", encoding="ascii") as f:
            json.dump({"hops": self.plan.hops, "relay": [RELAY, 2525],
                       "addresses": [c.address for c in self.plan.cases]}, f)
        self.world = self.child(self.world_ns, PYTHON, os.path.join(HERE, "world.py"), plan, self.ledger.path, seed)
        self.world.wait_line("ready")
        self.nft(True, (0, 1))
        Relay.interval = max(2, self.args.dead // 700)  # more than that many in a second it cannot try
        self.relay = Relay(self.dir, "")
        self.relay.start()
        self.watch = Watch(self.relay, self.relay.metrics)
        self.watch.start()

    def tell(self, text):
        self.world.child.stdin.write(text.encode() + b"\n")
        self.world.child.stdin.flush()

    def send(self, name, recipients):
        """One message by the loopback interface; it must be taken."""
        body = b"dead or alive\r\n"
        self.ledger.own.append(" ".join(["begun", name, *recipients]))
        with socket.create_connection(("127.0.0.1", self.relay.port), 60) as s, s.makefile("rb") as f:
            def ask(octets, replies=1):
                s.sendall(octets)
                for _ in range(replies):
                    line = b"   -"
                    while line[3:4] == b"-":
                        line = f.readline()
                return line
            ask(b"")
            ask(b"EHLO me.test\r\n")
            ask(b"MAIL FROM:<sender@home.test>\r\n" + b"".join(b"RCPT TO:<%s>\r\n" % r.encode() for r in recipients) +
                b"DATA\r\n", len(recipients) + 2)
            got = ask(f"From: <sender@home.test>\r\nX-Ledger: {name} {hashlib.sha1(body).hexdigest()}\r\n\r\n".encode()
                      + body + b".\r\n")
        ident = re.search(rb"^250 .*queued as (\w+)", got)
        if not ident:
            raise AssertionError(f"refused: {got}")
        self.ledger.own.append(f"accepted {name} {ident.group(1).decode()}")

    def chaos(self):
        self.tell("send 12")
        for at in range(0, len(self.plan.dead), 100):
            self.send(f"d{at}", self.plan.dead[at:at + 100])
        for i, c in enumerate(self.plan.cases):  # each at least once
            self.send(f"c{i}", [c.address])
        end = time.monotonic() + self.args.seconds
        while time.monotonic() < end and not self.watch.faults:
            time.sleep(0.2)  # this is how long it lasts, not a wait for something
        self.tell("quiet")
        self.world.wait_line("quiet", LIMIT)
        # What can be delivered in spite of all is, in the midst of it.
        self.settle("in chaos", lambda p: self.plan.fate[p[1]] != "now")

    def settle(self, when, spared):
        """Wait until everything that is promised and not spared has come to its end."""
        print(f"network: {when}: waiting for the ledger", file=sys.stderr, flush=True)
        def done():
            self.late = [p for p in self.ledger.read().open() if not spared(p)]
            return not self.late or self.watch.faults
        try:
            wait_for("the ledger", done, LIMIT)
        except AssertionError:
            self.faults += [f"{when} not over: {p}" for p in self.late[:10]]

    def play(self):
        self.start()
        self.chaos()
        dead = set(self.plan.dead)
        self.nft(False, (0, 1))
        self.set_zone(False)
        self.tell("heal")
        self.relay.ctl("retry", "--all")
        self.settle("healed", lambda p: p[1] in dead)
        self.nft(False, (1,))
        self.settle("revived", lambda p: p[1] in dead and self.plan.fate[p[1]] == "returned")
        waiting = sum(len(m["recipients"]) for m in self.relay.queue("--limit", "1000000"))
        self.relay.expire = f"{Relay.interval}s"
        self.relay.write("")
        self.relay.ctl("reload")
        self.settle("expired", lambda p: False)
        try:
            self.relay.wait_empty(LIMIT)
        except AssertionError as error:
            self.faults.append(str(error))
        self.watch.stop()
        if self.relay.stop() != 0:
            self.faults.append("relayd did not end well")
        return waiting

    def verdict(self):
        ledger, fate = self.ledger.read(), self.plan.fate
        doubts = collections.Counter(re.search(r" id=(\w+)", line).group(1) for line in self.relay.process.lines
                                     if " possible-duplicate " in line)
        found = {"lost": ledger.open(), "wrong": ledger.wrong(fate), "damaged": sorted(ledger.damaged),
                 "phantom": ledger.phantom(), "doubled": ledger.doubled(doubts)}
        self.faults += self.watch.faults + [f"{k}: {p}" for k, v in found.items() for p in v[:5]]
        self.faults += ["relayd: " + line for line in self.relay.process.lines
                        if re.search(r"AddressSanitizer|runtime error|[\x00-\x1f\x7f]", line)]
        if not self.watch.surveys:
            self.faults.append("relayd's own watchdog has never looked")
        again = sum(n - 1 for n in ledger.arrived.values() if n > 1)
        # A ledger that cannot find anything proves nothing.
        some = next(p for p in ledger.promised() if ledger.arrived[p] == 1 and fate[p[1]] == "now")
        ledger.arrived[some] = 0
        if some not in ledger.open():
            self.faults.append("an arrival that was struck out is not missed")
        ledger.arrived[some] = 2 + doubts[ledger.ident[some[0]]]
        if some not in ledger.doubled(doubts):
            self.faults.append("a second arrival is not noticed")
        return {k: len(v) for k, v in found.items()}, again

    def end(self):
        for p in self.children:
            p.stop()
        relay = getattr(self, "relay", None)
        if relay and relay.process and relay.process.child.poll() is None:
            relay.process.stop(signal.SIGKILL)


def campaign(args):
    directory = tempfile.mkdtemp(prefix="relayd-network.")
    c, began = Campaign(args, directory), time.monotonic()
    try:
        expired = c.play()
        found, again = c.verdict()
    finally:
        c.end()
        if c.faults and getattr(c, "relay", None):
            with open(os.path.join(directory, "log"), "w", encoding="utf-8") as f:
                f.write("\n".join(c.relay.process.lines))
    states = collections.Counter(c.ledger.state.values())
    for fault in c.faults[:30]:
        print(f"network: {fault}")
    print(f"network: {len(c.plan.cases)} ways to go wrong and {len(c.plan.dead)} dead destinations, "
          f"{states['accepted']} acknowledged for {len(c.ledger.promised())} recipients, {states['dot']} unknown, "
          f"{sum(c.ledger.arrived.values())} arrived, {sum(c.ledger.noticed.values())} returned, "
          f"{expired} of them waited with a future and expired, "
          + ", ".join(f"{k} {v}" for k, v in found.items()) + f", duplicates {again}; the watch looked {c.watch.looks} "
          f"times at {c.watch.recipients} recipients, relayd's watchdog {len(c.watch.surveys)} times, 0 stuck "
          f"({time.monotonic() - began:.0f} s, seed {args.seed})")
    bad = min(len(c.faults), len(c.plan.cases))
    print(f"{len(c.plan.cases) - bad} passed, {bad} failed")
    if c.faults or args.keep:
        print(f"ledger, log and spool are in {directory}")
    else:
        shutil.rmtree(directory)
    return 1 if c.faults else 0


def why_not(error):
    """In one line: what the command that failed has said itself, if it has."""
    said = getattr(error, "stderr", None) or getattr(error, "stdout", None) or b""
    said = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join(f"{error}: {said}".split()).rstrip(": ")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--dead", type=int)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("--plain", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.seconds = args.seconds or (4 if args.short else 60)
    args.dead = args.dead or (1500 if args.short else 5000)
    if args.plain:
        return plain(args.plain)
    if args.inside:
        return campaign(args)
    spaces = Namespaces()
    try:
        spaces.make()
    except (OSError, subprocess.CalledProcessError) as error:
        spaces.remove()
        print(f"network: skipped: root, ip, nft and network namespaces are needed ({why_not(error)})")
        print(f"0 passed, 0 failed, {len(Plan(0).cases)} skipped")
        return 0
    try:
        return subprocess.run(["ip", "netns", "exec", spaces.names["relay"], PYTHON, os.path.abspath(__file__),
                               *sys.argv[1:], "--inside", spaces.names["relay"]], check=False).returncode
    finally:
        spaces.remove()


if __name__ == "__main__":
    sys.exit(main())
