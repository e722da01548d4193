# SPDX-License-Identifier: ISC
"""The case "reading": 10,000 mails of 4 KiB read by IMAP, from relayd and, in the same
run and turn by turn, from Dovecot's imapd on a Maildir (unpacked beside, as pickup.py does
it): listing, fetching, flags, searches, coming back; and what an IDLE session costs."""
import os
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

import pickup
import real
import table
from pickup import MAILS, PASSWORD, SIZE, USER, cpu_of, hash_of, resident_kib

SESSIONS = 1000

DOVECOT = pickup.DOVECOT.replace("protocols = pop3", "protocols = imap\nmail_max_userip_connections = 5000") \
    .replace("service pop3-login", "service imap-login").replace("inet_listener pop3 ", "inet_listener imap ") \
    .replace("inet_listener pop3s", "inet_listener imaps") + """
service imap {{
  process_limit = 2000
}}
namespace inbox {{
  inbox = yes
}}
"""


class Client:
    """Counts octets until the tagged answer: a client that costs little itself."""

    def __init__(self, port, tag="a"):
        self.s = socket.create_connection(("127.0.0.1", port))
        self.tag, self.rest = tag, b""
        while not self.rest.endswith(b"\r\n"):
            self.rest += self.s.recv(65536)
        self.rest = b""

    def run(self, command):
        tag = self.tag.encode()
        self.s.sendall(tag + b" " + command.encode() + b"\r\n")
        end, got, tail = re.compile(rb"(?:^|\r\n)" + tag + rb" (OK|NO|BAD)[^\r\n]*\r\n$"), 0, b""
        keep = []
        while True:
            piece = self.s.recv(262144)
            if not piece:
                raise SystemExit(f"connection lost in {command}")
            got += len(piece)
            if got < 300000:
                keep.append(piece)
            tail = (tail + piece)[-4000:]
            done = end.search(tail)
            if done:
                if done.group(1) != b"OK":
                    raise SystemExit(f"{command}: {tail!r}")
                return got, b"".join(keep)

    def timed(self, command):
        began = time.perf_counter()
        got, _ = self.run(command)
        return time.perf_counter() - began, got

    def close(self):
        self.s.close()


class Relayd(pickup.Relayd):
    def __init__(self, directory):
        self.pop = real.free_port()
        self.port = real.free_port()
        self.relay = real.Relay(
            directory, f'listener "imap" {{ bind = {{"127.0.0.1:{self.port}"}} protocol = "imap" '
            'tls = "none" auth-in-clear = true }\n'
            'route "held" { to = {"held.test"} deliver = "mailbox" }\n'
            f'limits {{ messages = 1000000 client-connections = {2 * SESSIONS} account-sessions = 5000 }}\n'
            'log { level = "warn" }\n')
        self.relay.process = real.Process(
            [os.path.join(real.BUILD, "relayd"), "-c", self.relay.file])
        real.wait_for("relayd", lambda: os.path.exists(os.path.join(directory, "control.sock")))
        self.relay.add_user(USER, PASSWORD, "--address", "r0@held.test")
        self.pid = self.relay.process.child.pid

    def memory_kib(self):
        return resident_kib(self.pid)


class Dovecot(pickup.Dovecot):
    def __init__(self, directory):
        super().__init__(directory, DOVECOT, ("dovecot-core", "dovecot-imapd"))

    def answers(self):
        try:
            Client(self.port).close()
            return True
        except OSError:
            return False

    def memory_kib(self):
        """What all of its processes have for themselves."""
        total = 0
        done = subprocess.run(["pgrep", "-s", str(os.getsid(self.process.child.pid)), "-f", "dovecot"],
                              stdout=subprocess.PIPE, text=True, check=False)
        for pid in done.stdout.split():
            try:
                with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                    total += sum(int(line.split()[1]) for line in f
                                 if line.startswith(("Private_Clean", "Private_Dirty")))
            except OSError:
                continue
        return total


CASES = [
    ("sign in + SELECT, first", None),
    ("SELECT", "SELECT INBOX"),
    ("FETCH 1:* FLAGS ENVELOPE BODYSTRUCTURE, first", "FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE)"),
    ("the same, second", "FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE)"),
    ("FETCH 1:* (UID FLAGS)", "FETCH 1:* (UID FLAGS)"),
    ("FETCH 1:* HEADER.FIELDS", "FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)])"),
    ("FETCH 1:* of all bodies", "FETCH 1:* (BODY.PEEK[])"),
    ("STORE 1:* +FLAGS", "STORE 1:* +FLAGS (\\Answered)"),
    ("STORE 1:* -FLAGS.SILENT", "STORE 1:* -FLAGS.SILENT (\\Answered)"),
    ("SEARCH ANSWERED", "SEARCH ANSWERED"),
    ("SEARCH SUBJECT", "SEARCH SUBJECT 09999"),
    ("SEARCH TEXT", "SEARCH TEXT \"ordinary nonsense\""),
    ("SEARCH BODY", "SEARCH BODY \"ordinary nonsense\""),
    ("SORT DATE SUBJECT", "SORT (DATE SUBJECT) UTF-8 ALL"),
    ("COPY 1:1000", "COPY 1:1000 Copies"),
]


def measure(server):
    figures = {}
    began = time.perf_counter()
    c = Client(server.port)
    c.run(f"LOGIN {USER} {PASSWORD}")
    _, text = c.run("SELECT INBOX (CONDSTORE)")
    figures[CASES[0][0]] = time.perf_counter() - began
    try:
        c.run("CREATE Copies")
    except SystemExit:
        pass
    uidvalidity = re.search(rb"UIDVALIDITY (\d+)", text).group(1).decode()
    modseq = re.search(rb"HIGHESTMODSEQ (\d+)", text).group(1).decode()
    for name, command in CASES[1:]:
        figures[name], _ = c.timed(command)
    c.run("STORE 1:100 +FLAGS.SILENT (\\Flagged)")
    c.run("UNSELECT")
    c.run("ENABLE QRESYNC")
    figures["SELECT QRESYNC, all changed"], _ = c.timed(f"SELECT INBOX (QRESYNC ({uidvalidity} {modseq}))")
    _, text = c.run("SELECT INBOX")
    modseq = re.findall(rb"HIGHESTMODSEQ (\d+)", text)[-1].decode()
    c.run("STORE 1:10 -FLAGS.SILENT (\\Flagged)")
    c.run("UNSELECT")
    figures["SELECT QRESYNC, 10 changed"], _ = c.timed(f"SELECT INBOX (QRESYNC ({uidvalidity} {modseq}))")
    c.run("STORE 1:* -FLAGS.SILENT (\\Flagged)")
    c.close()
    return figures


def idle_memory(server, sessions):
    before = server.memory_kib()
    open_ = []
    for i in range(sessions):
        c = Client(server.port, "a")
        c.run(f"LOGIN {USER} {PASSWORD}")
        c.run("SELECT INBOX")
        c.s.sendall(b"i IDLE\r\n")
        c.s.recv(100)
        open_.append(c)
    cost = (server.memory_kib() - before) / sessions
    for c in open_:
        c.close()
    return cost


def latency(server):
    """Milliseconds from the STORE of one session's answer to the other's IDLE."""
    a, b = Client(server.port), Client(server.port)
    for c in (a, b):
        c.run(f"LOGIN {USER} {PASSWORD}")
        c.run("SELECT INBOX")
    took = []
    b.s.sendall(b"i IDLE\r\n")
    b.s.recv(1000)
    for i in range(20):
        sign = "+" if i % 2 == 0 else "-"
        began = time.perf_counter()
        a.s.sendall(f"s STORE 5 {sign}FLAGS.SILENT (\\Draft)\r\n".encode())
        b.s.recv(1000)
        took.append((time.perf_counter() - began) * 1000)
        a.s.recv(1000)
    a.close()
    b.close()
    return statistics.median(took)


def dovecot_possible():
    return os.geteuid() == 0 and all(os.path.isdir(os.path.join(real.PEERS, p))
                                     for p in ("dovecot-core", "dovecot-imapd"))


def run(options):
    scratch = options.scratch
    servers, results = {}, {}
    directories = [tempfile.mkdtemp(prefix="bench-reading.", dir=scratch) for _ in range(2)]
    try:
        servers["relayd"] = Relayd(directories[0])
        servers["relayd"].fill()
        if dovecot_possible():
            servers["dovecot"] = Dovecot(directories[1])
        for name in servers:
            results[name] = []
        for _ in range(options.runs):
            for name, server in servers.items():
                results[name].append(measure(server))
        print(f"\nIMAP: {MAILS} mails of {SIZE} octets, one client; seconds, median of "
              f"{options.runs} (first)")
        print(f"{'':<46}" + "".join(f"{name:>20}" for name in servers))
        for case in results["relayd"][0]:
            line = f"{case:<46}"
            for name in servers:
                all_ = [r[case] for r in results[name]]
                line += f"{statistics.median(all_):>11.4f} {'(%.3f)' % all_[0]:>8}"
            print(line, flush=True)
        for name, server in servers.items():
            results[name + "_latency_ms"] = latency(server)
            print(f"{name}: another session hears of a flag after "
                  f"{results[name + '_latency_ms']:.2f} ms", flush=True)
        for name, server in servers.items():
            results[name + "_idle_kib"] = idle_memory(server, SESSIONS)
            print(f"{name}: a session in IDLE costs {results[name + '_idle_kib']:.1f} KiB", flush=True)
    finally:
        for server in servers.values():
            server.stop()
        for d in directories:
            shutil.rmtree(d, True)
    table.save(options, "reading", results)
