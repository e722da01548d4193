#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The Debian package in a small Debian of its own: installed over another MTA, started as
its unit says, tried as somebody new would, removed, purged.

Somebody new follows the README that is installed, to the letter: its smarthost, with its
addresses and ports, against a provider (Postfix, which wants a password and has a
certificate) that is down at first.  `why` and the page, in a browser, say what is wrong.

The script calls itself again as root in namespaces of its own (files, processes,
network), so that port 25 is free there, and nothing of this machine is touched.
"""
import fcntl
import glob
import gzip
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import real  # noqa: E402
import upstream  # noqa: E402
from real import wait_for  # noqa: E402
from test_relay import Hop, Keeper  # noqa: E402

BASE = os.path.join(real.PEERS, "bookworm.tar")
INSIDE = "RELAYD_PACKAGE_ROOT"

OTHER_MTA = """Package: other-mta
Version: 1
Architecture: all
Maintainer: nobody <nobody@lists.example.org>
Provides: mail-transport-agent
Conflicts: mail-transport-agent
Replaces: mail-transport-agent
Description: what was there before
"""

PAGE = "http://127.0.0.1:9525"
HERE = os.path.dirname(os.path.abspath(__file__))


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = struct.pack("16sh14x", b"lo", 0x1 | 0x40)
        fcntl.ioctl(s, 0x8914, request)  # SIOCSIFFLAGS: up, running


class Manager:
    """What systemd would be: hears what relayd says of itself."""

    def __init__(self, root):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(os.path.join(root, "run", "notify"))
        os.chmod(os.path.join(root, "run", "notify"), 0o777)
        self.socket.settimeout(real.LIMIT)
        self.heard = []

    def hear(self, word):
        while True:
            text = self.socket.recv(4096).decode()
            self.heard.append(text)
            if word in text.split("\n"):
                return text


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = os.environ[INSIDE]
        loopback_up()
        for what, at in (("proc", "proc"), ("tmpfs", "run"), ("tmpfs", "tmp")):
            subprocess.run(["mount", "-t", what, what, os.path.join(cls.root, at)], check=True)
        os.makedirs(os.path.join(cls.root, "dev"), exist_ok=True)
        subprocess.run(["mount", "--rbind", "/dev", os.path.join(cls.root, "dev")], check=True)
        for deb in glob.glob(os.path.join(real.ROOT, "build", "deb", "relayd_*.deb")):
            shutil.copy(deb, os.path.join(cls.root, "relayd.deb"))

    def inside(self, *words, stdin="", check=True, user=None, env=None):
        command = ["chroot", self.root]
        if user:
            command += ["setpriv", "--reuid", user, "--regid", "nogroup", "--clear-groups"]
        done = subprocess.run(command + list(words), input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=real.LIMIT * 3,
                              check=False,
                              env=dict(PATH="/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL="C.UTF-8",
                                       DEBIAN_FRONTEND="noninteractive", **(env or {})))
        if check:
            self.assertEqual(done.returncode, 0, f"{words}: {done.stdout}")
        return done.stdout

    def path(self, name):
        return os.path.join(self.root, name.lstrip("/"))

    def unit(self, key):
        with open(self.path("/lib/systemd/system/relayd.service"), encoding="utf-8") as f:
            return re.search(rf"^{key}=(.*)$", f.read(), re.M).group(1)

    def other_mta(self):
        tree = self.path("/tmp/other")
        os.makedirs(tree + "/DEBIAN")
        os.makedirs(tree + "/usr/sbin")
        with open(tree + "/DEBIAN/control", "w", encoding="utf-8") as f:
            f.write(OTHER_MTA)
        with open(tree + "/usr/sbin/sendmail", "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\nexit 1\n")
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, self.path("/tmp/other.deb")],
                       check=True, stdout=subprocess.DEVNULL)
        self.inside("dpkg", "-i", "/tmp/other.deb")
        self.assertTrue(os.path.exists(self.path("/usr/sbin/sendmail")))

    def start(self, manager):
        """As the unit says: its user, its one capability, its directories, its command."""
        for name, mode in (("/var/lib/relayd", 0o700), ("/run/relayd", 0o755)):
            os.makedirs(self.path(name), exist_ok=True)
            self.inside("chown", "relayd:relayd", name)
            os.chmod(self.path(name), mode)
        capability = "+" + self.unit("AmbientCapabilities").replace("CAP_", "").lower()
        env = dict(PATH="/usr/sbin:/usr/bin", NOTIFY_SOCKET="/run/notify", WATCHDOG_USEC="1500000")
        process = real.Process(
            ["chroot", self.root, "setpriv", "--reuid", self.unit("User"), "--regid",
             self.unit("Group"), "--init-groups", "--inh-caps", capability, "--ambient-caps",
             capability, "--bounding-set", "-all," + capability, "--no-new-privs",
             *self.unit("ExecStart").split()], env=env)
        self.addCleanup(lambda: process.child.poll() is None and process.stop())
        try:
            manager.hear("READY=1")
        except socket.timeout:
            self.fail("not ready: " + "\n".join(process.lines))
        return process

    def write(self, name, text, mode=0o644, owner="root:root"):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.path(name), mode)
        self.inside("chown", owner, name)

    def smarthost_of_the_readme(self):
        """The first configuration of the README that the package has brought."""
        file, = glob.glob(self.path("/usr/share/doc/relayd/README.md*"))
        with (gzip.open if file.endswith(".gz") else open)(file, "rt", encoding="utf-8") as f:
            found = re.search(r"^    # smarthost\n((?:    .*\n|\n)+)", f.read(), re.M)
        return re.sub(r"^    ", "", found.group(1), flags=re.M)

    def surroundings(self):
        """What the README's office has: its LAN's address, and a provider with a certificate
        of an authority that the machine trusts; it is not up yet."""
        subprocess.run(["ip", "address", "add", "192.168.7.1/24", "dev", "lo"], check=True)
        self.write("/etc/hosts", "127.0.0.1 localhost smtp.provider.example\n"
                                 "127.0.0.2 smtp2.provider.example\n")
        work = tempfile.mkdtemp(prefix="relayd-real.", dir="/tmp")
        self.addCleanup(shutil.rmtree, work, True)
        ca = upstream.Authority(os.path.join(work, "ca"))
        shutil.copy(ca.cert, self.path("/usr/local/share/ca-certificates/provider.crt"))
        self.inside("update-ca-certificates")
        handler = Keeper()
        hop = Hop(handler, hostname="127.0.0.1", port=real.free_port())
        hop.start()
        self.addCleanup(hop.stop)
        provider = upstream.Provider(work, ca.issue("smtp.provider.example"), hop.port,
                                     {"relay@office.example": "secret word"}, port=587)
        self.addCleanup(provider.stop)
        return work, provider, handler

    def browser(self, work, secret):
        shots = os.environ.get("PAGE_SHOTS") or work
        p = real.Process(["node", os.path.join(HERE, "story.js"), PAGE, "admin", secret,
                          shutil.which("chromium"), shots, "you@far.example"],
                         env={**os.environ, "TMPDIR": work, "HOME": work,
                              "NODE_PATH": os.path.join(real.PEERS, "node", "node_modules")})
        self.addCleanup(lambda: p.child.poll() is None and p.stop())

        def tell(word):
            p.child.stdin.write(word.encode() + b"\n")
            p.child.stdin.flush()
        return p, tell

    def get(self, path):
        with urllib.request.urlopen(PAGE + path, timeout=real.LIMIT) as answer:
            return answer.read().decode()

    def test_life_of_the_package(self):
        self.other_mta()
        said = self.inside("apt-get", "install", "-y", "/relayd.deb")
        told = re.search(r"^relayd takes mail on 127\.0\.0\.1:25 and by sendmail\(8\), from this "
                         r"machine only;\n  everyone else is refused: .*networks.*\n"
                         r"  send: (printf 'Subject: hi\\n\\nhello\\n' \| sendmail) .*\n  see:  (http://\S+).*\n  next: .*\n", said, re.M)
        self.assertIsNotNone(told, said)
        self.assertEqual(told.group(2), PAGE + "/")
        self.assertNotIn("other-mta", self.inside("dpkg-query", "-W", "-f",
                                                  "${Package} ${db:Status-Abbrev}\n").replace(
                                                      "other-mta rc", "").replace("other-mta un", ""))
        self.assertIn("/usr/sbin/nologin", self.inside("getent", "passwd", "relayd"))
        self.assertIn(": fine", self.inside("relayd", "-t"))
        for link in ("/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/bin/mailq",
                     "/usr/bin/newaliases"):
            self.assertTrue(os.path.islink(self.path(link)), link)
        verify = [line for line in
                  self.inside("systemd-analyze", "verify", "/lib/systemd/system/relayd.service",
                              check=False).splitlines()
                  if line.startswith("relayd.service") and "'man " not in line]
        self.assertEqual(verify, [])
        exposure = self.inside("systemd-analyze", "security", "--offline=true", "--threshold=20",
                               "relayd.service", check=False)
        self.assertRegex(exposure, r"Overall exposure level for relayd.service: 1\.\d OK")
        self.assertEqual(self.unit("MemorySwapMax"), "0")

        # as it is installed: mail from this machine is taken, the page is there
        manager = Manager(self.root)
        self.addCleanup(manager.socket.close)
        relayd = self.start(manager)
        manager.hear("WATCHDOG=1")
        manager.hear("WATCHDOG=1")
        self.inside("relayctl", "pause", "out")
        self.inside("sendmail", "you@example.org", user="nobody", stdin="Subject: hi\n\nhello\n")
        self.assertIn("you@example.org", self.inside("mailq"))
        self.assertIn("<title>", self.get("/"))
        self.assertNotIn("example.org", self.get("/"))
        self.assertIn("relayd_queue_messages", self.get("/metrics"))
        self.inside("relayctl", "delete", "--all")
        self.inside("relayctl", "resume", "out")
        self.assertEqual(relayd.stop(), 0)

        # the README's smarthost
        work, provider, handler = self.surroundings()
        self.write("/etc/relayd/relayd.conf", self.smarthost_of_the_readme())
        self.write("/etc/relayd/provider.pw", "secret word\n", 0o640, "root:relayd")
        self.assertIn(": fine", self.inside("relayd", "-t"))
        relayd = self.start(manager)

        # the upstream is down: the mail waits, and everyone says why
        self.inside("sendmail", "you@far.example", user="nobody",
                    stdin="Subject: hi\n\nhello\n")
        wait_for("an attempt", lambda: "connection refused" in self.inside(
            "relayctl", "queue").lower())
        for command in (["mailq"], ["postqueue", "-p"]):
            self.assertIn("you@far.example", self.inside(*command))
        self.assertIn("far.example", self.inside("qshape"))
        queued = re.search(r"^(\w{13})", self.inside("relayctl", "queue").splitlines()[1]).group(1)
        why = self.inside("relayctl", "why", queued)
        self.assertIn("provider.example", why)
        self.assertRegex(why.lower(), "connection refused")
        self.assertIn("nothing", self.inside("newaliases"))
        self.inside("relayctl", "user", "add", "admin", "--password-stdin", stdin="long words\n")
        secret = self.inside("relayctl", "user", "secret", "add", "admin", "page", "--service",
                             "queue").split()[-1]
        browser, tell = self.browser(work, secret)
        browser.wait_line("^found$")

        # it is repaired: the mail goes, as somebody presses a button
        provider.start()
        self.assertIn("you@far.example", self.inside("mailq"))
        tell("go")
        browser.wait_line("^tried$")
        wait_for("an empty queue", lambda: "Mail queue is empty" in self.inside("mailq"))
        relayd.wait_line(" delivered .*you@far.example")
        wait_for("the message", lambda: handler.mail)
        self.assertEqual(handler.mail[0][0], "nobody@gw.office.example")
        self.assertIn(b"Subject: hi", handler.mail[0][2])
        tell("gone")
        browser.wait_line("^all of it$")
        self.assertIn("delivered", self.inside("relayctl", "why", queued))

        reload = self.unit("ExecReload").split()
        self.assertIn("in force", self.inside(*reload, user="relayd"))
        os.kill(relayd.child.pid, signal.SIGHUP)
        manager.hear("READY=1")
        self.assertTrue(any("RELOADING=1" in h for h in manager.heard), manager.heard)
        self.assertEqual(relayd.stop(), 0)
        manager.hear("STOPPING=1")

        self.inside("dpkg", "-r", "relayd")
        self.assertTrue(os.path.exists(self.path("/etc/relayd/relayd.conf")))
        self.assertTrue(os.path.exists(self.path("/var/lib/relayd/data.mdb")))
        self.assertFalse(os.path.lexists(self.path("/usr/sbin/sendmail")))
        self.inside("dpkg", "-P", "relayd")
        self.assertEqual(os.listdir(self.path("/etc/relayd")), ["provider.pw"])  # not ours
        self.assertFalse(os.path.exists(self.path("/var/lib/relayd")))

    def test_lintian(self):
        changes = glob.glob(os.path.join(real.ROOT, "build", "deb", "relayd_*.changes"))
        done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", *changes],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=real.LIMIT * 5, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)


def outside():
    """Build it, unpack the small Debian, and come again inside."""
    become = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run(["make", "--no-print-directory", "-s", "-C", real.ROOT, "deb"], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run([os.path.join(real.ROOT, "tests", "chroot.sh"), BASE], check=True)
    work = tempfile.mkdtemp(prefix="relayd-package.")
    try:
        subprocess.run(become + ["tar", "-C", work, "-xf", BASE], check=True)
        return subprocess.run(
            become + ["env", f"{INSIDE}={work}", f"VARIANT={real.VARIANT}", "unshare", "--mount-proc",
                      "--pid", "--net", "--fork", "--kill-child", "/usr/bin/python3",
                      os.path.abspath(__file__), *sys.argv[1:]], check=False).returncode
    finally:
        subprocess.run(become + ["rm", "-rf", "--one-file-system", work], check=False)


if __name__ == "__main__":
    if INSIDE in os.environ:
        real.main()
    else:
        sys.exit(outside())
