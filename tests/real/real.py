# SPDX-License-Identifier: ISC
"""What the real tests share: the built daemon, a real DNS server and real peers
on loopback ports, each started for one test and stopped by its own handle.

Nothing here sleeps and hopes: waiting is for a line, a file, or an answer, with
a limit that is only reached when something is broken.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VARIANT = os.environ.get("VARIANT", "release")
BUILD = os.path.join(ROOT, "build", VARIANT)
PEERS = os.path.join(ROOT, "build", "peers")
LIMIT = 60.0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, happens, limit=LIMIT):
    """Poll `happens` until it is true; fail with `what` if it never is."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        got = happens()
        if got:
            return got
        time.sleep(0.01)
    raise AssertionError(f"waited {limit:.0f} s for {what}")


class Process:
    """A child whose output is collected by a thread."""

    def __init__(self, args, env=None, stdin=subprocess.PIPE, cwd=None):
        self.lines = []
        self.args = args
        self.child = subprocess.Popen(args, stdin=stdin, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, env=env, cwd=cwd)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.child.stdout:
            self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))

    def wait_line(self, pattern, limit=LIMIT, start=0):
        def seen():
            for line in self.lines[start:]:
                found = re.search(pattern, line)
                if found:
                    return found
            if self.child.poll() is not None and not self.reader.is_alive():
                raise AssertionError(f"{self.args[0]} ended with {self.child.returncode}:\n"
                                     + "\n".join(self.lines[-30:]))
            return None
        return wait_for(f"{pattern!r} from {os.path.basename(self.args[0])}:\n"
                        + "\n".join(self.lines[-10:]), seen, limit)

    def stop(self, how=signal.SIGTERM, limit=LIMIT):
        if self.child.poll() is None:
            self.child.send_signal(how)
        try:
            self.child.wait(limit)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError(f"{self.args[0]} did not end:\n" + "\n".join(self.lines[-30:]))
        finally:
            if self.child.stdin:
                self.child.stdin.close()
        self.reader.join(LIMIT)
        self.child.stdout.close()
        return self.child.returncode


CONFIG = """
hostname = "relay.test"
spool { path = "%(dir)s/spool" min-free = "16M" }
control { path = "%(dir)s/control.sock" }
networks = {"%(networks)s"}
listener "smtp" { bind = {"127.0.0.1:%(port)d"} protocol = "smtp" %(listener)s }
%(more)s
"""


class Relay:
    """relayd with a directory of its own; may be killed and started again."""

    def __init__(self, directory, more, dns=None, networks="127.0.0.0/8"):
        self.dir = directory
        self.networks = networks
        self.listener = ""
        self.port = free_port()
        self.file = os.path.join(directory, "relayd.conf")
        if dns:
            more += f'\ndns {{ servers = {{"127.0.0.1:{dns}"}} timeout = "2s" }}\n'
        self.more = more
        self.write(more)
        self.process = None

    def listen(self, settings):
        """More settings of the listener; before start()."""
        self.listener = settings
        self.write(self.more)

    def add_user(self, name, password, *more):
        done = self.ctl("user", "add", name, "--password-stdin", *more, stdin=password + "\n")
        if done.returncode != 0:
            raise AssertionError(f"user add {name}: {done.stderr}{done.stdout}")

    def write(self, more):
        with open(self.file, "w", encoding="utf-8") as f:
            f.write(CONFIG % {"dir": self.dir, "port": self.port, "more": more,
                             "networks": self.networks, "listener": self.listener})

    def start(self, env=None):
        self.process = Process([os.path.join(BUILD, "relayd"), "-c", self.file], env)
        self.process.wait_line(r" started ")
        return self

    def stop(self):
        return self.process.stop()

    def kill(self):
        self.process.stop(signal.SIGKILL)

    def ctl(self, *args, check=True, text=True, stdin=None):
        done = subprocess.run([os.path.join(BUILD, "relayctl"), "-c", self.file, *args],
                              input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=text, timeout=LIMIT, check=False)
        if check and done.returncode not in (0, 1):
            raise AssertionError(f"relayctl {args}: {done.returncode}: {done.stderr}")
        return done

    def queue(self, *args):
        return [json.loads(line) for line in
                self.ctl("--json", "queue", *args).stdout.splitlines()]

    def wait_empty(self, limit=LIMIT):
        wait_for("an empty queue", lambda: not self.queue("--limit", "1"), limit)

    def log(self, pattern, limit=LIMIT):
        return self.process.wait_line(pattern, limit)


class Dns:
    """The tests' own DNS server with a zone that can be changed while it runs."""

    def __init__(self, directory, zone):
        self.file = os.path.join(directory, "zone")
        self.set(zone)
        self.process = Process(["/usr/bin/python3",
                                os.path.join(ROOT, "tests", "real", "dns_server.py"),
                                "--port", "0", self.file])
        self.port = int(self.process.wait_line(r"listening (\d+)").group(1))

    def set(self, zone):
        with open(self.file + ".new", "w", encoding="ascii") as f:
            f.write(zone)
        os.rename(self.file + ".new", self.file)

    def stop(self):
        self.process.stop()


class Sink:
    """tests/bench/sink: takes everything, keeps a ledger."""

    def __init__(self, directory, port=0, *more):
        self.ledger_file = os.path.join(directory, "sink.ledger")
        self.process = Process([os.path.join(BUILD, "sink"), "--listen", f"127.0.0.1:{port}",
                                "--ledger", self.ledger_file, *more])
        self.port = int(self.process.wait_line(r"listening .*:(\d+)").group(1))

    def ledger(self):
        try:
            with open(self.ledger_file, encoding="ascii") as f:
                return f.read().split()
        except FileNotFoundError:
            return []

    def stop(self):
        self.process.stop()


def smtp_sink(port, *args):
    """Postfix's smtp-sink on a loopback port."""
    env = dict(os.environ, LD_LIBRARY_PATH=os.path.join(PEERS, "postfix/usr/lib/postfix"))
    p = Process([os.path.join(PEERS, "postfix/usr/sbin/smtp-sink"), *args,
                 f"127.0.0.1:{port}", "128"], env=env)

    def answers():
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False
    wait_for("smtp-sink", answers)
    return p


def smtp_source(port, *args):
    env = dict(os.environ, LD_LIBRARY_PATH=os.path.join(PEERS, "postfix/usr/lib/postfix"))
    return subprocess.run([os.path.join(PEERS, "postfix/usr/sbin/smtp-source"), *args,
                           f"127.0.0.1:{port}"], env=env, timeout=LIMIT, check=True)


class RealTest(unittest.TestCase):
    """A directory, and everything started in a test stopped after it."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="relayd-real.")
        self.addCleanup(shutil.rmtree, self.dir, True)

    def relay(self, more, dns=None, listener="", **options):
        r = Relay(self.dir, more, dns.port if dns else None, **options)
        if listener:
            r.listen(listener)
        r.start()
        self.addCleanup(lambda: r.process.child.poll() is None and r.stop())
        return r

    def dns(self, zone):
        d = Dns(self.dir, zone)
        self.addCleanup(d.stop)
        return d

    def sink(self, port=0, *more):
        s = Sink(self.dir, port, *more)
        self.addCleanup(s.stop)
        return s

    def started(self, process):
        self.addCleanup(process.stop)
        return process


def main():
    unittest.main(verbosity=1, module=sys.modules["__main__"])
