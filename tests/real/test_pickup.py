#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Mail held and picked up with the programs that people use: fetchmail, getmail, mpop,
curl, poplib and openssl s_client; leaving it on the server over several sessions; pickup
and relay at the same time; and kill -9 around QUIT."""
import concurrent.futures
import os
import poplib
import re
import smtplib
import ssl
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import real  # noqa: E402
from real import RealTest, free_port, wait_for  # noqa: E402

USER, PASSWORD = "alice", "correct horse"


def trusting():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Pickup(RealTest):
    def holding(self, more="", offer=""):
        """A relay that holds alice's mail; its ports are in .pop and .pops."""
        pop, pops = free_port(), free_port()
        relay = self.relay(
            f'listener "pop" {{ bind = {{"127.0.0.1:{pop}"}} protocol = "pop3" tls = "starttls" '
            f'auth-in-clear = true {offer} }}\n'
            f'listener "pops" {{ bind = {{"127.0.0.1:{pops}"}} protocol = "pop3" '
            'tls = "implicit" }\n'
            'route "office" { to = {"office.test"} deliver = "mailbox" }\n' + more)
        relay.add_user(USER, PASSWORD, "--address", "alice@office.test")
        relay.pop, relay.pops = pop, pops
        return relay

    @staticmethod
    def send(relay, n, size=100, first=0, to="alice@office.test"):
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            for i in range(first, first + n):
                body = "".join(f".line {k} of {i}\r\n" for k in range(max(1, size // 14)))
                c.sendmail("a@b.test", [to], f"Subject: number {i}\r\n\r\n{body}")

    @staticmethod
    def login(relay):
        p = poplib.POP3("127.0.0.1", relay.pop, timeout=real.LIMIT)
        try:
            p.user(USER)
            p.pass_(PASSWORD)
        except poplib.error_proto:
            p.close()
            raise
        return p

    def run_client(self, *args, ok=(0,), **options):
        done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=real.LIMIT, check=False, **options)
        self.assertIn(done.returncode, ok, done.stdout)
        return done.stdout

    def home(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)
        return path

    # ---- poplib

    def test_poplib(self):
        relay = self.holding()
        self.send(relay, 3, size=5000)
        p = self.login(relay)
        count, octets = p.stat()
        self.assertEqual(count, 3)
        self.assertEqual(sum(int(x.split()[1]) for x in p.list()[1]), octets)
        ids = [x.split()[1] for x in p.uidl()[1]]
        self.assertEqual(len(set(ids)), 3)
        lines, size = p.retr(2)[1], int(p.list(2).split()[2])
        self.assertEqual(sum(len(x) + 2 for x in lines), size)
        self.assertIn(b".line 0 of 1", lines)
        self.assertEqual(lines[0], b"Return-Path: <a@b.test>")
        top = p.top(1, 2)[1]
        self.assertEqual(top[top.index(b"") + 1:], [b".line 0 of 0", b".line 1 of 0"])
        self.assertRaises(poplib.error_proto, p.retr, 4)
        p.dele(2)
        self.assertEqual(p.stat()[0], 2)
        p.rset()
        self.assertEqual(p.stat()[0], 3)
        p.dele(1)
        p.quit()
        p = self.login(relay)
        self.assertEqual([x.split()[1] for x in p.uidl()[1]], ids[1:])
        self.assertEqual(p.capa()["IMPLEMENTATION"][0][:7], "relayd-")
        p.quit()

    def test_tls_both_ways_and_in_use(self):
        relay = self.holding()
        self.send(relay, 1)
        p = poplib.POP3("127.0.0.1", relay.pop, timeout=real.LIMIT)
        self.assertIn("STLS", p.capa())
        p.stls(trusting())
        self.assertNotIn("STLS", p.capa())
        p.user(USER)
        p.pass_(PASSWORD)
        second = poplib.POP3_SSL("127.0.0.1", relay.pops, context=trusting(), timeout=real.LIMIT)
        second.user(USER)
        with self.assertRaisesRegex(poplib.error_proto, r"\[IN-USE\]"):
            second.pass_(PASSWORD)
        second.close()
        p.close()  # vanishes: nobody stays locked out

        def again():
            c = poplib.POP3_SSL("127.0.0.1", relay.pops, context=trusting(), timeout=real.LIMIT)
            c.user(USER)
            try:
                c.pass_(PASSWORD)
            except poplib.error_proto:
                c.close()
                return None
            return c
        wait_for("the maildrop", again).quit()

    def test_s_client_wrong_password_and_injection(self):
        relay = self.holding()
        for user in (USER, "nobody"):
            out = self.run_client("openssl", "s_client", "-quiet", "-connect",
                                  f"127.0.0.1:{relay.pops}",
                                  input=f"USER {user}\r\nPASS wrong\r\nQUIT\r\n", ok=(0, 1))
            self.assertIn("-ERR [AUTH]", out)
        import socket
        with socket.create_connection(("127.0.0.1", relay.pop)) as s:
            s.sendall(b"STLS\r\nUSER injected\r\n")
            s.settimeout(real.LIMIT)
            got = b""
            while True:
                try:
                    piece = s.recv(4096)
                except ConnectionResetError:
                    break
                if not piece:
                    break
                got += piece
            self.assertNotIn(b"PASS", got)
            self.assertEqual(got.count(b"+OK"), 2, got)

    # ---- other people's programs

    def test_curl(self):
        relay = self.holding()
        self.send(relay, 2, size=3000)
        for url, more in ((f"pop3://127.0.0.1:{relay.pop}/", ["--ssl-reqd", "-k"]),
                          (f"pop3s://127.0.0.1:{relay.pops}/", ["-k"])):
            out = self.run_client("curl", "-s", "--user", f"{USER}:{PASSWORD}", *more, url)
            self.assertRegex(out, r"^1 \d+\r?\n2 \d+")
            out = self.run_client("curl", "-s", "--user", f"{USER}:{PASSWORD}", *more, url + "2")
            self.assertIn("Subject: number 1", out)

    def test_mpop_by_every_mechanism(self):
        relay = self.holding()
        for i, method in enumerate(("scram-sha-256", "scram-sha-1", "plain", "login", "user")):
            self.send(relay, 2, first=10 * i)
            box = os.path.join(self.dir, method)
            conf = self.home("mpoprc", f"""
account default
host 127.0.0.1
port {relay.pop}
tls on
tls_starttls on
tls_certcheck off
user {USER}
passwordeval "echo {PASSWORD}"
auth {method}
delivery mbox {box}
uidls_file {self.dir}/uidls
keep off
""")
            self.run_client("mpop", "-C", conf)
            with open(box, encoding="utf-8") as f:
                text = f.read()
            self.assertEqual(text.count("\nSubject: number"), 2, method)
        p = self.login(relay)
        self.assertEqual(p.stat(), (0, 0))
        p.quit()

    def test_apop_by_mpop_and_poplib(self):
        relay = self.holding(offer="apop = true")
        made = relay.ctl("user", "secret", "add", USER, "old", "--recoverable")
        secret = made.stdout.strip().split()[-1]
        self.send(relay, 2)
        p = poplib.POP3("127.0.0.1", relay.pop, timeout=real.LIMIT)
        self.assertRaises(poplib.error_proto, p.apop, USER, PASSWORD)  # it is not recoverable
        p.apop(USER, secret)
        self.assertEqual(p.stat()[0], 2)
        p.quit()
        box = os.path.join(self.dir, "apop")
        conf = self.home("mpoprc", f"""
account default
host 127.0.0.1
port {relay.pop}
tls off
user {USER}
passwordeval "echo {secret}"
auth apop
delivery mbox {box}
uidls_file {self.dir}/uidls
keep off
""")
        self.run_client("mpop", "-C", conf)
        with open(box, encoding="utf-8") as f:
            self.assertEqual(f.read().count("\nSubject: number"), 2)

    def test_fetchmail(self):
        relay = self.holding()
        self.send(relay, 3)
        box = os.path.join(self.dir, "fetched")
        conf = self.home("fetchmailrc", f"""
set no bouncemail
poll 127.0.0.1 port {relay.pop} proto pop3 uidl: user "{USER}" pass "{PASSWORD}" keep
    sslproto '' mda "/bin/sh -c 'cat >>{box}; echo >>{box}'"
""")
        env = dict(os.environ, FETCHMAILHOME=self.dir, HOME=self.dir)
        command = ("fetchmail", "-f", conf, "-i", f"{self.dir}/ids", "--nodetach",
                   "--pidfile", f"{self.dir}/pid")

        def subjects():
            with open(box, encoding="utf-8") as f:
                return re.findall(r"(?m)^Subject: number (\d+)", f.read())
        self.run_client(*command, env=env, ok=(0,))
        self.assertEqual(subjects(), ["0", "1", "2"])
        # left on the server: only what is new comes again
        self.send(relay, 2, first=3)
        self.run_client(*command, env=env, ok=(0,))
        self.assertEqual(subjects(), ["0", "1", "2", "3", "4"])
        self.run_client(*command, env=env, ok=(1,))  # nothing new
        relay.kill()  # the ids outlive that
        relay.start()
        self.run_client(*command, env=env, ok=(1,))
        self.assertEqual(len(subjects()), 5)

    def test_getmail(self):
        relay = self.holding()
        self.send(relay, 3)
        box = os.path.join(self.dir, "mbox")
        open(box, "w", encoding="utf-8").close()
        self.home("getmailrc", f"""
[retriever]
type = SimplePOP3SSLRetriever
server = 127.0.0.1
port = {relay.pops}
username = {USER}
password = {PASSWORD}
[destination]
type = MDA_external
path = /bin/sh
arguments = ("-c", "cat >>{box}; echo >>{box}")
allow_root_commands = true
[options]
delete = false
read_all = false
verbose = 0
""")
        for expected, more in ((3, 0), (4, 1), (4, 0)):
            self.send(relay, more, first=3)
            self.run_client("getmail", "--getmaildir", self.dir)
            with open(box, encoding="utf-8") as f:
                self.assertEqual(f.read().count("\nSubject: number"), expected)

    # ---- administrators

    def test_export_running_and_stopped(self):
        relay = self.holding()
        self.send(relay, 2)
        for state in ("running", "stopped"):
            if state == "stopped":
                relay.stop()
            out = relay.ctl("mailbox", "export", USER)
            self.assertEqual(out.returncode, 0, out.stderr)
            self.assertEqual(out.stdout.count("\nSubject: number"), 2)
            self.assertTrue(out.stdout.startswith("From a@b.test "))
            directory = os.path.join(self.dir, state)
            os.mkdir(directory)
            relay.ctl("mailbox", "export", USER, "--format", "eml", "--to", directory)
            self.assertEqual(len(os.listdir(directory)), 2)
            shown = relay.ctl("--json", "mailbox", "show", USER).stdout
            self.assertEqual(shown.count('"uidl"'), 2)
            self.assertIn('"messages":2', relay.ctl("--json", "mailbox", "list").stdout)

    def test_export_of_damaged_mail(self):
        """What is not whole is said to be so, running and stopped, and the rest comes."""
        relay = self.holding()
        self.send(relay, 1, size=3 << 20)
        self.send(relay, 1, first=1)
        relay.stop()
        (path,) = [os.path.join(at, name) for at, _, names in
                   os.walk(os.path.join(self.dir, "spool", "big")) for name in names]
        with open(path, "r+b") as f:
            f.seek(2 << 20)
            f.write(b"rotten")
        for state in ("stopped", "running"):
            if state == "running":
                relay.start()
            for words in ((), ("--json",)):
                out = relay.ctl(*words, "mailbox", "export", USER)
                self.assertEqual(out.returncode, 1, (state, words))
                self.assertNotEqual(out.stderr, "")
            self.assertIn("not ", out.stderr)
            out = relay.ctl("mailbox", "export", USER)
            self.assertIn("\nSubject: number 1\n", out.stdout)

    def test_accounts_with_mail_while_stopped(self):
        relay = self.holding()
        self.send(relay, 2)
        relay.stop()
        for words in ((), ("--delete-mail",)):
            out = relay.ctl("user", "delete", USER, *words)
            self.assertEqual(out.returncode, 1, out.stdout)
            self.assertIn("holds 2 mails", out.stderr)
        self.assertEqual(relay.ctl("user", "delete", USER, "--keep-mail").returncode, 0)
        again = ("user", "add", USER, "--certificate", "ab" * 32)
        out = relay.ctl(*again)
        self.assertEqual(out.returncode, 1, out.stdout)
        self.assertIn("holds 2 mails", out.stderr)
        out = relay.ctl(*again, "--keep-mail")
        self.assertEqual(out.returncode, 0, out.stderr)
        self.assertEqual(relay.ctl("user", "add", "other", "--certificate", "cd" * 32).returncode, 0)

    # ---- under load

    def test_pickup_while_mail_comes(self):
        relay = self.holding()
        n, seen = 400, []

        def fetch():
            while len(seen) < n:
                try:
                    p = self.login(relay)
                except poplib.error_proto:
                    continue
                for i in range(1, p.stat()[0] + 1):
                    seen.append(next(x for x in p.retr(i)[1] if x.startswith(b"Subject:")))
                    p.dele(i)
                p.quit()
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            futures = [pool.submit(self.send, relay, n // 4, 2000, k * n // 4) for k in range(4)]
            futures.append(pool.submit(fetch))
            for f in futures:
                f.result(real.LIMIT)
        self.assertEqual(len(set(seen)), n)
        self.assertEqual(len(seen), n)

    def test_kill_around_quit(self):
        """All deletions of a QUIT, or none: told is done, and nothing that was not asked."""
        relay = self.holding()
        total, told = 0, 0
        for round_ in range(8):
            self.send(relay, 20, first=total)
            total += 20
            p = self.login(relay)
            before = p.stat()[0]
            for i in range(1, before, 2):
                p.dele(i)
            gone = before // 2
            p.sock.sendall(b"QUIT\r\n")
            if round_ % 2:
                relay.kill()
                answer = b""
            else:
                answer = p.file.readline()
                relay.kill()
            try:
                answer = answer or p.file.readline()
            except ConnectionResetError:
                pass
            p.close()
            relay.start()
            p = self.login(relay)
            after = p.stat()[0]
            p.quit()
            self.assertIn(after, (before, before - gone))
            if answer.startswith(b"+OK"):
                told += 1
                self.assertEqual(after, before - gone)
        self.assertGreaterEqual(told, 4)
        relay.stop()
        check = relay.ctl("spool-check")
        self.assertIn("0 violations", check.stdout)


if __name__ == "__main__":
    real.main()
