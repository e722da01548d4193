#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""`make install` beside Debian's way: into a directory of one's own, and what lies there works."""
import glob
import os
import smtplib
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import real  # noqa: E402
from real import free_port  # noqa: E402

PREFIX = "/opt/mail-relay"


class Install(real.RealTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subprocess.run(["make", "--no-print-directory", "-s", "-C", real.ROOT, "programs"],
                       check=True, timeout=real.LIMIT * 5)

    def install(self, *more):
        done = subprocess.run(["make", "--no-print-directory", "-s", "-C", real.ROOT, "install",
                               f"DESTDIR={self.dir}/root", *more], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=real.LIMIT * 5,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def files(self):
        top = f"{self.dir}/root"
        return sorted(os.path.join(d, f)[len(top):] for d, _, names in os.walk(top) for f in names)

    def test_prefix(self):
        said = self.install(f"prefix={PREFIX}")
        self.assertIn(f"{PREFIX}/sbin/relayd -t", said)
        files = self.files()
        self.assertEqual([f for f in files if not f.startswith(PREFIX + "/")], [])
        for name in ("sbin/relayd", "sbin/relayctl", "bin/relay-sendmail",
                     "lib/systemd/system/relayd.service", "lib/sysusers.d/relayd.conf",
                     "lib/tmpfiles.d/relayd.conf", "share/doc/relayd/relayd.conf",
                     "share/man/man1/relay-sendmail.1", "share/man/man5/relayd.conf.5",
                     "share/man/man7/relayd-metrics.7", "share/man/man8/relayd.8",
                     "share/man/man8/relayctl.8",
                     "share/bash-completion/completions/relayctl",
                     "share/zsh/vendor-completions/_relayctl"):
            self.assertIn(f"{PREFIX}/{name}", files)
        top = f"{self.dir}/root{PREFIX}"
        with open(f"{top}/lib/systemd/system/relayd.service", encoding="utf-8") as f:
            unit = f.read()
        self.assertIn(f"ExecStart={PREFIX}/sbin/relayd -c /etc/relayd/relayd.conf\n", unit)
        self.assertIn(f"ExecReload={PREFIX}/sbin/relayctl ", unit)
        self.assertNotIn("/usr/sbin/", unit)

        # what lies there runs: its own example, with other ports and directories
        with open(f"{top}/share/doc/relayd/relayd.conf", encoding="utf-8") as f:
            text = f.read()
        port, page = free_port(), free_port()
        text = text.replace('user = "relayd"\n', 'hostname = "relay.test"\n').replace(
            "/var/lib/relayd", self.dir + "/spool").replace("/run/relayd", self.dir).replace(
            '"127.0.0.1:25", "[::1]:25"', f'"127.0.0.1:{port}"').replace(
            "127.0.0.1:9525", f"127.0.0.1:{page}").replace(
            'deliver = "mx"', 'deliver = "hold"')
        file = f"{self.dir}/relayd.conf"
        with open(file, "w", encoding="utf-8") as f:
            f.write(text)
        p = real.Process([f"{top}/sbin/relayd", "-c", file])
        self.addCleanup(lambda: p.child.poll() is None and p.stop())
        p.wait_line(" started ")
        with smtplib.SMTP("127.0.0.1", port, timeout=real.LIMIT) as s:
            s.sendmail("me@relay.test", ["a@example.org"], "Subject: hi\n\nhello\n")
        subprocess.run([f"{top}/bin/relay-sendmail", "b@example.org"], input="Subject: hi\n\nhi\n",
                       text=True, check=True, timeout=real.LIMIT,
                       env=dict(os.environ, RELAYD_SUBMIT=f"{self.dir}/submit.sock"))
        queue = subprocess.run([f"{top}/sbin/relayctl", "-c", file, "queue"], check=True, text=True,
                               stdout=subprocess.PIPE, timeout=real.LIMIT).stdout
        self.assertIn("a@example.org", queue)
        self.assertIn("b@example.org", queue)
        self.assertEqual(p.stop(), 0)

    def test_for_a_package(self):
        """Without a unit: what a package lays where it wants."""
        self.assertEqual(self.install("PREFIX=/usr", "UNITDIR="), "")
        self.assertEqual([f for f in self.files() if "systemd" in f or "sysusers" in f], [])
        self.assertIn("/usr/sbin/relayd", self.files())

    def test_manual_pages(self):
        self.install("PREFIX=/usr")
        pages = glob.glob(f"{self.dir}/root/usr/share/man/man*/*")
        self.assertEqual(len(pages), 5)
        done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", *pages], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=real.LIMIT, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        for page in pages:
            read = subprocess.run(["mandoc", "-Tutf8", page], stdout=subprocess.PIPE, check=True,
                                  timeout=real.LIMIT, text=True).stdout
            self.assertGreater(len(read.splitlines()), 50, page)


if __name__ == "__main__":
    real.main()
