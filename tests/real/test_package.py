#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The Debian package in a small Debian of its own: installed over another MTA, started as
its unit says, tried as somebody new would, removed, purged.

The script calls itself again as root in namespaces of its own (files, processes,
network), so that port 25 is free there, and nothing of this machine is touched.
"""
import fcntl
import glob
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

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import real  # noqa: E402
from real import wait_for  # noqa: E402

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

PROVIDER = """route "provider" {
    via = {"127.0.0.1:2626"}
}
"""


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

    def provider(self):
        with open(self.path("/etc/relayd/relayd.conf"), encoding="utf-8") as f:
            text = f.read()
        with open(self.path("/etc/relayd/relayd.conf"), "w", encoding="utf-8") as f:
            f.write(text.replace('route "world"', PROVIDER + 'route "world"'))
        self.assertIn(": fine", self.inside("relayd", "-t"))

    def test_life_of_the_package(self):
        self.other_mta()
        said = self.inside("apt-get", "install", "-y", "/relayd.deb")
        self.assertIn("relayd takes mail on 127.0.0.1:25 and by sendmail(8), from this machine only",
                      said)
        self.assertIn("everyone else is refused", said)
        self.assertEqual(len(re.findall(r"^(relayd takes|  everyone|  send:|  see:|  next:)", said,
                                        re.M)), 5, said)
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

        self.provider()
        manager = Manager(self.root)
        self.addCleanup(manager.socket.close)
        relayd = self.start(manager)
        manager.hear("WATCHDOG=1")
        manager.hear("WATCHDOG=1")

        # the upstream is broken: the mail waits, and everyone says why
        self.inside("sendmail", "you@example.org", user="nobody",
                    stdin="Subject: hi\n\nhello\n")
        wait_for("an attempt", lambda: "connection refused" in self.inside(
            "relayctl", "queue").lower())
        self.assertIn("you@example.org", self.inside("mailq"))
        self.assertIn("you@example.org", self.inside("postqueue", "-p"))
        self.assertIn("example.org", self.inside("qshape"))
        queued = re.search(r"^(\w{13})", self.inside("relayctl", "queue").splitlines()[1]).group(1)
        why = self.inside("relayctl", "why", queued)
        self.assertIn("]:2626", why)
        self.assertRegex(why.lower(), "connection refused")
        self.assertIn("nothing", self.inside("newaliases"))

        # it is repaired: the mail goes
        sink = real.Process([os.path.join(real.BUILD, "sink"), "--listen", "127.0.0.1:2626",
                             "--ledger", self.path("/tmp/ledger")])
        self.addCleanup(sink.stop)
        sink.wait_line("listening")
        self.inside("relayctl", "retry", "--all")
        wait_for("an empty queue", lambda: "Mail queue is empty" in self.inside("mailq"))
        relayd.wait_line(" delivered .*you@example.org")

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
        self.assertFalse(os.path.exists(self.path("/etc/relayd")))
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
            become + ["env", f"{INSIDE}={work}", f"VARIANT={real.VARIANT}", "unshare", "--mount",
                      "--pid", "--net", "--fork", "--kill-child", "/usr/bin/python3",
                      os.path.abspath(__file__), *sys.argv[1:]], check=False).returncode
    finally:
        subprocess.run(become + ["rm", "-rf", "--one-file-system", work], check=False)


if __name__ == "__main__":
    if INSIDE in os.environ:
        real.main()
    else:
        sys.exit(outside())
