#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""relayd as in a container: configured by variables, as process 1, on a file system that
does not last; and the files that build and run one."""
import os
import re
import signal
import smtplib
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import real  # noqa: E402
from real import free_port, wait_for  # noqa: E402

RELAYD = os.path.join(real.BUILD, "relayd")
UNSHARE = ["unshare", "--map-root-user"] if os.geteuid() != 0 else ["unshare"]


class Container(real.RealTest):
    def variables(self, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith("RELAYD_")}
        env.update(RELAYD_SPOOL=self.dir + "/spool", RELAYD_SMARTHOST="127.0.0.1:9",
                   RELAYD_LISTEN=f"127.0.0.1:{free_port()}", RELAYD_HOSTNAME="relay.test")
        env.update({k: v for k, v in more.items() if v is not None})
        for k in [k for k, v in more.items() if v is None]:
            del env[k]
        return env

    def check(self, **more):
        return subprocess.run([RELAYD, "--env", "-t"], env=self.variables(**more), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=real.LIMIT, check=False)

    def test_variables(self):
        self.assertEqual(self.check().stdout, "environment: fine\n")
        for more, what in (
                (dict(RELAYD_SMARTHOSTS="a:25"), "there is no variable RELAYD_SMARTHOSTS; known"),
                (dict(RELAYD_MYNETWORKS="10.0.0.0/8"), "no variable RELAYD_MYNETWORKS"),
                (dict(RELAYD_SMARTHOST=None), "RELAYD_SMARTHOST is missing"),
                (dict(RELAYD_PASSWORD="x"), "RELAYD_PASSWORD_FILE"),
                (dict(RELAYD_NETWORKS="0.0.0.0/0"), "relay"),
                (dict(RELAYD_TLS="maybe"), "tls"),
                (dict(RELAYD_HOSTNAME='a"} networks = {"0.0.0.0/0'), "holds a quote"),
                (dict(RELAYD_USER="me", RELAYD_PASSWORD_FILE=self.dir + "/none"), "none")):
            done = self.check(**more)
            self.assertEqual(done.returncode, 78, (more, done.stdout))
            self.assertIn(what, done.stdout)

    def start(self, command, **more):
        env = self.variables(**more)
        p = real.Process(command, env=env)
        self.addCleanup(lambda: p.child.poll() is None and p.stop())
        return p

    def config(self):
        file = os.path.join(self.dir, "relayd.conf")
        self.port = free_port()
        with open(file, "w", encoding="utf-8") as f:
            f.write(f'hostname = "relay.test"\nspool {{ path = "{self.dir}/spool" min-free = "1M" }}\n'
                    f'control {{ path = "{self.dir}/control.sock" }}\n'
                    f'listener "smtp" {{ bind = {{"127.0.0.1:{self.port}"}} }}\n'
                    'route "world" { deliver = "hold" }\n')
        return file

    def test_first_process(self):
        """Process 1 of a name space hands TERM on, ends with relayd's status, buries orphans."""
        p = self.start(UNSHARE + ["--pid", "--fork", "--mount-proc", RELAYD, "-c", self.config()])
        p.wait_line(r" started ")
        outer = p.child.pid
        with open(f"/proc/{outer}/task/{outer}/children", encoding="ascii") as f:
            first = int(f.read().split()[0])
        with smtplib.SMTP("127.0.0.1", self.port, timeout=real.LIMIT) as s:
            s.sendmail("me@relay.test", ["a@example.org"], "Subject: hi\n\nhello\n")

        def children():
            with open(f"/proc/{first}/task/{first}/children", encoding="ascii") as f:
                return [int(x) for x in f.read().split()]
        before = children()
        # an orphan: its parent is gone at once, itself a moment later
        subprocess.run(["nsenter", f"--target={first}", "--pid", "--user" if os.geteuid() else
                        "--mount", "sh", "-c", "(read -r x </dev/null; exit 3) & exit 0"],
                       check=True, timeout=real.LIMIT)
        wait_for("no orphan", lambda: children() == before)
        os.kill(first, signal.SIGHUP)
        p.wait_line(r" reloaded ")
        os.kill(first, signal.SIGTERM)
        p.wait_line(r" stopped ")
        p.child.wait(real.LIMIT)
        self.assertEqual(p.child.returncode, 0)

    def test_read_only_root(self):
        """Nothing is written but below the one volume, as process 1."""
        file = self.config()
        mount = (f"mount --bind {self.dir} {self.dir} && mount -o remount,bind,ro / && "
                 "! touch /etc/relayd-was-here 2>/dev/null && "
                 f"exec {RELAYD} -c {file}")
        p = self.start(UNSHARE + ["--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", mount])
        p.wait_line(r" started ")
        with smtplib.SMTP("127.0.0.1", self.port, timeout=real.LIMIT) as s:
            s.sendmail("me@relay.test", ["a@example.org"], "Subject: hi\n\nhello\n")
        outer = p.child.pid
        with open(f"/proc/{outer}/task/{outer}/children", encoding="ascii") as f:
            os.kill(int(f.read().split()[0]), signal.SIGTERM)
        p.wait_line(r" stopped ")
        p.child.wait(real.LIMIT)
        self.assertEqual(p.child.returncode, 0)

    def test_status_of_the_first_process(self):
        with open(self.config(), "a", encoding="utf-8") as f:
            f.write("nonsense = 1\n")
        done = subprocess.run(UNSHARE + ["--pid", "--fork", "--mount-proc", RELAYD, "-c",
                                         os.path.join(self.dir, "relayd.conf")],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=real.LIMIT, check=False)
        self.assertEqual(done.returncode, 78, done.stdout)

    def test_a_spool_in_memory_is_told_loudly(self):
        os.mkdir(self.dir + "/spool")
        mount = f"mount -t tmpfs tmpfs {self.dir}/spool && exec {RELAYD} -c {self.config()}"
        p = self.start(UNSHARE + ["--mount", "sh", "-c", mount])
        p.wait_line(r" started ")
        said = p.wait_line(r"^\S+ warn spool-place .*").group(0)
        self.assertIn("in memory (tmpfs): a restart of the machine loses all mail", said)
        self.assertIn("spool { path }", said)
        self.assertEqual(p.stop(), 0)

    def test_an_overlay_is_told_loudly(self):
        for d in ("lower", "upper", "work", "spool"):
            os.mkdir(os.path.join(self.dir, d))
        mount = (f"mount -t tmpfs tmpfs {self.dir}/upper && mkdir {self.dir}/upper/u "
                 f"{self.dir}/upper/w && mount -t overlay overlay -o lowerdir={self.dir}/lower,"
                 f"upperdir={self.dir}/upper/u,workdir={self.dir}/upper/w {self.dir}/spool && "
                 f"exec {RELAYD} -c {self.config()}")
        p = self.start(UNSHARE + ["--mount", "sh", "-c", mount])
        p.wait_line(r" started ")
        self.assertIn("(overlay)", p.wait_line(r" spool-place .*").group(0))
        self.assertEqual(p.stop(), 0)

    def test_a_disk_is_not(self):
        if subprocess.run(["stat", "-f", "-c", "%T", self.dir], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip() in ("tmpfs", "overlayfs"):
            self.skipTest("the temporary directory is no disk")
        p = self.start([RELAYD, "-c", self.config()])
        p.wait_line(r" started ")
        self.assertEqual(p.stop(), 0)
        self.assertFalse(any("spool-place" in line for line in p.lines))

    def test_socket_activation(self):
        """A port that somebody else has opened, as systemd does, with its variables."""
        file = self.config()
        launch = ("import os,socket,sys\n"
                  f"s=socket.socket(); s.bind(('127.0.0.1',{self.port})); s.listen(9)\n"
                  "t=socket.socket(); t.bind(('127.0.0.1',0)); t.listen(9)\n"
                  "os.dup2(s.fileno(),3); os.dup2(t.fileno(),4)\n"
                  "os.set_inheritable(3,True); os.set_inheritable(4,True)\n"
                  "os.environ.update(LISTEN_PID=str(os.getpid()),LISTEN_FDS='2')\n"
                  "os.execv(sys.argv[1],sys.argv[1:])\n")
        p = self.start(["/usr/bin/python3", "-c", launch, RELAYD, "-c", file])
        p.wait_line(r" started ")
        p.wait_line(r"handed over by the service manager, and no listener has this address")
        for _ in range(5):
            with smtplib.SMTP("127.0.0.1", self.port, timeout=real.LIMIT) as s:
                s.sendmail("me@relay.test", ["a@example.org"], "Subject: hi\n\nhello\n")
        self.assertEqual(p.stop(), 0)

    def test_files(self):
        """What Containerfile installs is what Makefile needs; the manifest is a sound one."""
        with open(os.path.join(real.ROOT, "Makefile"), encoding="utf-8") as f:
            needs = re.search(r"^DEPS := ((?:.*\\\n)*.*)", f.read(), re.M).group(1)
        with open(os.path.join(real.ROOT, "tools", "Containerfile"), encoding="utf-8") as f:
            text = f.read()
        for package in re.findall(r"\S+", needs.replace("\\", " ")):
            self.assertRegex(text, rf"[\s]{re.escape(package.split('=')[0])}[\s]")
        self.assertRegex(text, r"(?m)^USER \d+:\d+$")
        self.assertRegex(text, r"(?m)^VOLUME /var/lib/relayd$")
        with open(os.path.join(real.ROOT, "tools", "kubernetes.yaml"), encoding="utf-8") as f:
            manifest = f.read()
        env = dict(re.findall(r"- name: (RELAYD_\w+)\n +value: \"?([^\"\n]+)\"?", manifest))
        secret = os.path.join(self.dir, "password")
        with open(secret, "w", encoding="ascii") as f:
            f.write("x\n")
        os.chmod(secret, 0o600)
        env["RELAYD_PASSWORD_FILE"] = secret
        self.assertEqual(self.check(**env).stdout, "environment: fine\n")


if __name__ == "__main__":
    real.main()
