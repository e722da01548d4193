# SPDX-License-Identifier: ISC
"""The case "waiting": a thousand sessions that wait in IDLE on one mailbox, in the
clear, with TLS, compressed, and both: what each costs, and how long it takes until
all of them hear of new mail and of a flag.  From relayd and, in the same run, from
200 of Dovecot, where reading.py can start it.  How soon all hear is not asked of Dovecot:
its processes look every half minute where the kernel has no inotify instance left for them
(fs.inotify.max_user_instances, 128 as a rule).

Memory is what the server has for itself (anonymous pages), after a few sessions are
open and have warmed it up.  A compressed session is looked at twice: as soon as all are
there, and when they have been silent for as long as it takes them to fall asleep."""
import os
import re
import selectors
import shutil
import smtplib
import socket
import ssl
import statistics
import subprocess
import tempfile
import time
import zlib

import pickup
import reading
import real
import table
from pickup import PASSWORD, SESSIONS, USER

WARM, QUIET_S, ROUNDS, PATIENCE_S = 50, 7, 10, 10
PROCESSES = 200  # of Dovecot's, one for each session
KINDS = [("plain", False, False), ("TLS", True, False), ("COMPRESS", False, True),
         ("TLS and COMPRESS", True, True)]

DOVECOT = reading.DOVECOT.replace("ssl = no", "ssl = yes\nssl_cert = <{dir}/cert\n"
                                  "ssl_key = <{dir}/key\nmail_plugins = imap_zlib") \
    .replace("inet_listener imaps {{\n    port = 0", "inet_listener imaps {{\n    port = {tls}") + """
protocol imap {{
  mail_plugins = imap_zlib
}}
service imap-login {{
  service_count = 0
  client_limit = 5000
  process_min_avail = 1
}}
service anvil {{
  client_limit = 10000
}}
"""


def anonymous_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Anonymous:"))


class Relayd(reading.Relayd):
    tells_all = True  # in a time that anybody would wait

    def __init__(self, directory):
        self.tls = real.free_port()
        self.port = real.free_port()
        self.relay = real.Relay(
            directory, f'listener "imap" {{ bind = {{"127.0.0.1:{self.port}"}} protocol = "imap" '
            'tls = "none" auth-in-clear = true }\n'
            f'listener "imaps" {{ bind = {{"127.0.0.1:{self.tls}"}} protocol = "imap" '
            'tls = "implicit" }\n'
            'route "held" { to = {"held.test"} deliver = "mailbox" }\n'
            'limits { client-connections = 10000 account-sessions = 10000 }\n'
            'log { level = "warn" }\n')
        self.relay.process = real.Process(
            [os.path.join(real.BUILD, "relayd"), "-c", self.relay.file])
        real.wait_for("relayd", lambda: os.path.exists(os.path.join(directory, "control.sock")))
        self.relay.add_user(USER, PASSWORD, "--address", "r0@held.test")
        self.pid = self.relay.process.child.pid

    def memory_kib(self):
        return anonymous_kib(self.pid)

    def deliver(self):
        with smtplib.SMTP("127.0.0.1", self.relay.port) as c:
            c.sendmail("a@b.test", ["r0@held.test"], "Subject: new\r\n\r\nmail\r\n")


class Dovecot(reading.Dovecot):
    tells_all = False

    def __init__(self, directory):
        self.tls = real.free_port()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj",
                        "/CN=localhost", "-keyout", f"{directory}/key", "-out",
                        f"{directory}/cert"], stderr=subprocess.DEVNULL, check=True)
        mails, pickup.MAILS = pickup.MAILS, 10
        try:
            pickup.Dovecot.__init__(self, directory, DOVECOT.replace("{tls}", str(self.tls)),
                                    ("dovecot-core", "dovecot-imapd"))
        finally:
            pickup.MAILS = mails

    def deliver(self):
        """By APPEND: there is no LDA here."""
        c = Session(self.port, False, False)
        c.run(b"APPEND INBOX {20+}\r\nSubject: new\r\n\r\nmail")
        c.s.close()


class Session:
    """One that signs in, selects, and waits."""

    def __init__(self, port, tls, compress):
        s = socket.create_connection(("127.0.0.1", port), timeout=60)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            s = context.wrap_socket(s)
        self.s, self.pack, self.unpack, self.text = s, None, None, b""
        self.until(b"\r\n")
        self.run(f"LOGIN {USER} {PASSWORD}".encode())
        if compress:
            self.run(b"COMPRESS DEFLATE")
            self.pack, self.unpack = zlib.compressobj(wbits=-15), zlib.decompressobj(wbits=-15)
        self.run(b"SELECT INBOX")

    def say(self, octets):
        if self.pack:
            octets = self.pack.compress(octets) + self.pack.flush(zlib.Z_SYNC_FLUSH)
        self.s.sendall(octets)

    def hear(self):
        got = self.s.recv(65536)
        if not got:
            raise SystemExit("connection lost")
        self.text += self.unpack.decompress(got) if self.unpack else got

    def until(self, pattern):
        while not re.search(pattern, self.text):
            self.hear()
        text, self.text = self.text, b""
        return text

    def run(self, command):
        self.say(b"a " + command + b"\r\n")
        text = self.until(rb"(^|\r\n)a (OK|NO|BAD)[^\r\n]*\r\n$")
        if b"a OK" not in text:
            raise SystemExit(f"{command}: {text!r}")

    def idle(self):
        self.say(b"i IDLE\r\n")
        self.until(rb"^\+[^\r\n]*\r\n")
        return self


def until_heard(sessions, pattern, act):
    """Milliseconds until the first, the middle and the last session has heard of it."""
    wait, took = selectors.DefaultSelector(), []
    for c in sessions:
        c.text = b""
        wait.register(c.s, selectors.EVENT_READ, c)
    began = time.perf_counter()
    act()
    while len(took) < len(sessions):
        ready = wait.select(120)
        now = (time.perf_counter() - began) * 1000
        if not ready:
            raise SystemExit("some are not told")
        for key, _ in ready:
            key.data.hear()
            while isinstance(key.fileobj, ssl.SSLSocket) and key.fileobj.pending():
                key.data.hear()
            if re.search(pattern, key.data.text):
                took.append(now)
                wait.unregister(key.fileobj)
    wait.close()
    return took[0], took[len(took) // 2], took[-1]


def heard_of(server, sessions):
    """The medians of several flags, and of several mails."""
    other = Session(server.port, False, False)

    def flag(sign):
        other.run(b"STORE 1 " + sign + b"FLAGS.SILENT (\\Draft)")
    def rounds(act):
        """ROUNDS of them, fewer where one takes half a minute."""
        took, began = [], time.perf_counter()
        while len(took) < ROUNDS and time.perf_counter() - began < PATIENCE_S:
            took.append(act(len(took)))
        return took
    flags = rounds(lambda i: until_heard(sessions, rb"FETCH \(",
                                         lambda: flag(b"+" if i % 2 == 0 else b"-")))
    mails = rounds(lambda i: until_heard(sessions, rb"EXISTS", server.deliver))
    other.s.close()
    return [[statistics.median(column) for column in zip(*all_)] for all_ in (flags, mails)]


def measure(server, n, tls, compress):
    port = server.tls if tls else server.port
    one = Session(port, tls, compress).idle()
    alone = heard_of(server, [one])
    warm = [one] + [Session(port, tls, compress).idle() for _ in range(WARM)]
    before = server.memory_kib()
    sessions = [Session(port, tls, compress).idle() for _ in range(n)]
    found = {"kib_awake": (server.memory_kib() - before) / n}
    if compress:
        time.sleep(QUIET_S)
    found["kib"] = (server.memory_kib() - before) / n
    found["one_ms"] = alone
    found["all_ms"] = heard_of(server, sessions) if server.tells_all else None
    for c in warm + sessions:
        c.s.close()
    return found


def report(name, kind, found):
    print(f"{name:<10}{kind:<18}{found['kib_awake']:>10.1f}{found['kib']:>8.1f}   " +
          "".join(f"{what[2]:>10.2f}" for what in found["one_ms"]) +
          "".join(f"{what[0]:>10.2f}{what[1]:>8.2f}{what[2]:>9.2f}" for what in
                  found["all_ms"] or []),
          flush=True)


def run(options):
    results, n = {}, 100 if options.smoke else SESSIONS
    servers = [("relayd", Relayd)]
    if reading.dovecot_possible():
        servers.append(("dovecot", Dovecot))
    print(f"\nIDLE: {n} sessions on one mailbox; KiB of one (as soon as all are "
          "there, and later);\nms until a session alone hears of a flag, of a mail; until the "
          f"first, middle, last of {n} has heard of a flag, of a mail")
    for name, kind_of in servers:
        for kind, tls, compress in KINDS if name == "relayd" else KINDS[:2]:
            directory = tempfile.mkdtemp(prefix="bench-waiting.", dir=options.scratch)
            server = None
            try:
                server = kind_of(directory)
                server.deliver()
                several = n if name == "relayd" else min(n, PROCESSES)
                results[f"{name} {kind}"] = measure(server, several, tls, compress)
                report(name, kind, results[f"{name} {kind}"])
            finally:
                if server:
                    server.stop()
                shutil.rmtree(directory, True)
    table.save(options, "waiting", results)
