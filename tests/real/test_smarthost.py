#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""relayd as a smarthost, with the programs that people use: swaks, smtplib,
openssl s_client and gsasl as clients, Postfix as the provider behind it, HAProxy
and microsocks in between."""
import base64
import os
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import real  # noqa: E402
import upstream  # noqa: E402
from real import RealTest, free_port, wait_for  # noqa: E402
from test_relay import Hop, Keeper  # noqa: E402

ACCOUNT, PASSWORD = "alice", "correct horse battery"


def trusting():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def s_client(port, *args, stdin="QUIT\r\n"):
    return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-brief",
                           *args], input=stdin, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=real.LIMIT, check=False).stdout


class SmartHost(RealTest):
    def keeper(self):
        handler = Keeper()
        hop = Hop(handler, hostname="127.0.0.1", port=free_port())
        hop.start()
        self.addCleanup(hop.stop)
        return handler, hop

    def authority(self):
        return upstream.Authority(os.path.join(self.dir, "ca"))

    def to_keeper(self, listener, more="", **options):
        handler, hop = self.keeper()
        relay = self.relay(f'route "up" {{ via = {{"127.0.0.1:{hop.port}"}} tls = "none" }}\n'
                           f'accounts {{ delay = "100ms" attempts = 100 }}\n{more}',
                           listener=listener, **options)
        return handler, relay


class Tls(SmartHost):
    def test_self_signed_at_first_start_and_kept(self):
        handler, relay = self.to_keeper('tls = "starttls"')
        relay.log(r"self-signed")
        out = upstream.swaks("--server", f"127.0.0.1:{relay.port}", "--tls", "--from", "a@b.test",
                             "--to", "c@d.test", "--h-Subject", "inside")
        self.assertEqual(out.returncode, 0, out.stdout)
        wait_for("the message", lambda: handler.mail)
        self.assertIn("with ESMTPS", handler.mail[0][2].decode())
        pem = os.path.join(self.dir, "spool", "tls", "self-signed.pem")
        before = upstream.Authority.fingerprint(pem)
        relay.stop()
        relay.start()
        self.assertEqual(before, upstream.Authority.fingerprint(pem))
        self.assertEqual(os.stat(pem.replace(".pem", ".key")).st_mode & 0o777, 0o600)

    def test_certificate_by_name_rsa_and_ecdsa(self):
        ca = self.authority()
        one, rsa = ca.issue("mail.one.test"), None
        two = ca.issue("mail.two.test", "*.three.test")
        rsa = upstream.Authority(os.path.join(self.dir, "ca2")).issue("mail.one.test", rsa=True)
        files = (one, two, rsa)
        _, relay = self.to_keeper(
            'tls = "starttls"',
            f'tls {{ certificate = {{{", ".join(chr(34) + c + chr(34) for c, _ in files)}}} '
            f'key = {{{", ".join(chr(34) + k + chr(34) for _, k in files)}}} }}')
        for name, want in (("mail.one.test", "mail.one.test"), ("mail.two.test", "mail.two.test"),
                           ("x.three.test", "mail.two.test"), ("other.test", "mail.one.test")):
            out = s_client(relay.port, "-starttls", "smtp", "-servername", name)
            self.assertRegex(out, f"Peer certificate: CN ?= ?{want}", name)
        out = s_client(relay.port, "-starttls", "smtp", "-servername", "mail.one.test", "-tls1_2",
                       "-cipher", "aRSA")
        self.assertRegex(out, "Signature type: RSA")

    def test_new_certificate_without_dropping_a_session(self):
        ca = self.authority()
        old, new = ca.issue("old.test"), ca.issue("new.test")
        os.mkdir(os.path.join(self.dir, "live"))
        cert, key = (os.path.join(self.dir, "live", n) for n in ("c.pem", "c.key"))

        def put(pair):
            for source, name in zip(pair, (cert, key)):
                with open(source, "rb") as f, open(name + ".new", "wb") as g:
                    g.write(f.read())
                os.rename(name + ".new", name)
        put(old)
        handler, relay = self.to_keeper('tls = "starttls"',
                                        f'tls {{ certificate = "{cert}" key = "{key}" }}')
        with smtplib.SMTP("127.0.0.1", relay.port) as held:
            held.starttls(context=trusting())
            put(new)
            relay.log(r" reloaded ")
            self.assertIn("new.test", s_client(relay.port, "-starttls", "smtp"))
            held.sendmail("a@b.test", ["c@d.test"], "Subject: still here\r\n\r\nx\r\n")
        wait_for("the message", lambda: handler.mail)

    def test_old_tls_only_where_allowed(self):
        old = free_port()
        _, relay = self.to_keeper(
            'tls = "starttls"',
            f'listener "printers" {{ bind = {{"127.0.0.1:{old}"}} tls = "legacy" '
            'networks = {"127.0.0.0/8"} }')
        legacy = ("-starttls", "smtp", "-tls1", "-cipher", "DEFAULT:@SECLEVEL=0")
        self.assertIn("Protocol version: TLSv1\n", s_client(old, *legacy))
        self.assertNotIn("Protocol version: TLSv1\n", s_client(relay.port, *legacy))
        self.assertRegex(s_client(relay.port, "-starttls", "smtp"), r"Protocol version: TLSv1\.3")

    def test_injected_command_is_never_run(self):
        _, relay = self.to_keeper('tls = "starttls"')
        with socket.create_connection(("127.0.0.1", relay.port), real.LIMIT) as s:
            s.recv(1000)
            s.sendall(b"EHLO x.test\r\n")
            s.recv(4000)
            s.sendall(b"STARTTLS\r\nNOOP\r\n")
            got = b""
            while True:
                part = s.recv(4000)
                if not part:
                    break
                got += part
        self.assertNotIn(b"250", got)


class SignIn(SmartHost):
    def signing(self, listener='tls = "starttls" auth = "required"', more=""):
        handler, relay = self.to_keeper(listener, more, networks="127.0.0.99/32")
        relay.add_user(ACCOUNT, PASSWORD)
        return handler, relay

    def test_swaks_plain_login_and_wrong_passwords(self):
        handler, relay = self.signing()
        common = ("--server", f"127.0.0.1:{relay.port}", "--from", "a@b.test", "--to", "c@d.test",
                  "--auth-user", ACCOUNT)
        for mechanism in ("PLAIN", "LOGIN"):
            out = upstream.swaks(*common, "--tls", "--auth", mechanism, "--auth-password", PASSWORD)
            self.assertEqual(out.returncode, 0, out.stdout)
        wait_for("two messages", lambda: len(handler.mail) == 2)
        self.assertIn("with ESMTPSA", handler.mail[0][2].decode())
        for user, password in ((ACCOUNT, "wrong"), ("nobody", PASSWORD)):
            out = upstream.swaks(*common[:-1], user, "--tls", "--auth", "PLAIN",
                                 "--auth-password", password)
            self.assertIn("535 5.7.8", out.stdout)
        out = upstream.swaks(*common, "--auth", "PLAIN", "--auth-password", PASSWORD)
        self.assertNotEqual(out.returncode, 0)
        self.assertNotIn("235 2.7.0", out.stdout)
        out = upstream.swaks("--server", f"127.0.0.1:{relay.port}", "--tls", "--from", "a@b.test",
                             "--to", "c@d.test")
        self.assertIn("530 5.7.0", out.stdout)
        self.assertEqual(len(handler.mail), 2)

    def test_gsasl_scram_with_and_without_binding(self):
        _, relay = self.signing()
        for mechanism in ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"):
            bound = [] if mechanism.endswith("PLUS") else ["--no-cb"]
            out = subprocess.run(
                ["gsasl", *bound, "--smtp", "--connect", f"127.0.0.1:{relay.port}", "-m", mechanism,
                 "-a", ACCOUNT, "-p", PASSWORD, "--quiet", "--x509-ca-file="], input="QUIT\r\n",
                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=real.LIMIT,
                check=False)
            self.assertRegex(out.stdout + "\n".join(relay.process.lines), r"235 2\.7\.0",
                             mechanism)

    @staticmethod
    def helpers(relay):
        """The keeper and the worker behind it."""
        def children(pid):
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
                return [int(x) for x in f.read().split()]
        keepers = children(relay.process.child.pid)
        return keepers, [w for k in keepers for w in children(k)]

    def test_helper_locked_in_and_reborn(self):
        _, relay = self.signing()

        def signs_in(password=PASSWORD):
            with smtplib.SMTP("127.0.0.1", relay.port) as c:
                c.starttls(context=trusting())
                try:
                    c.login(ACCOUNT, password)
                    return 235
                except smtplib.SMTPAuthenticationError as e:
                    return e.smtp_code
        self.assertEqual(signs_in(), 235)
        keepers, workers = self.helpers(relay)
        self.assertEqual((len(keepers), len(workers)), (1, 1))
        with open(f"/proc/{workers[0]}/status", encoding="ascii") as f:
            status = dict(line.split(":", 1) for line in f if ":" in line)
        if real.VARIANT in ("release", "test"):  # sanitizers need more than the list has
            self.assertEqual(status["Seccomp"].strip(), "2")
        self.assertEqual(status["NoNewPrivs"].strip(), "1")
        with open(f"/proc/{workers[0]}/limits", encoding="ascii") as f:
            boundless = re.search(r"Max locked memory +unlimited", f.read())
        if boundless and real.VARIANT in ("release", "test"):
            self.assertGreater(int(status["VmLck"].split()[0]), 1000)  # kB: none of it goes to the swap
        os.kill(workers[0], signal.SIGKILL)
        wait_for("another worker", lambda: self.helpers(relay)[1] not in ([], workers))
        # what was asked in between fails for now only; nobody is let in, nobody is turned away
        wait_for("signing in again", lambda: signs_in() == 235)
        self.assertEqual(signs_in("wrong"), 535)

    def test_app_password_revoked(self):
        _, relay = self.signing()
        made = relay.ctl("user", "secret", "add", ACCOUNT, "printer")
        self.assertEqual(made.returncode, 0, made.stderr)
        secret = made.stdout.strip().split()[-1]

        def signs_in():
            with smtplib.SMTP("127.0.0.1", relay.port) as c:
                c.starttls(context=trusting())
                try:
                    c.login(ACCOUNT, secret)
                    return True
                except smtplib.SMTPAuthenticationError:
                    return False
        self.assertTrue(signs_in())
        self.assertTrue(signs_in())
        self.assertEqual(relay.ctl("user", "secret", "delete", ACCOUNT, "printer").returncode, 0)
        self.assertFalse(signs_in())

    def test_certificate_as_account_and_as_right(self):
        ca = self.authority()
        cert, key = ca.issue("device.test")
        server = ca.issue("relay.test")
        handler, relay = self.signing(
            'tls = "starttls" auth = "optional" client-certificate = "ask"',
            f'tls {{ certificate = "{server[0]}" key = "{server[1]}" client-ca = "{ca.cert}" }}')
        done = relay.ctl("user", "set", ACCOUNT, "--certificate",
                         upstream.Authority.fingerprint(cert))
        self.assertEqual(done.returncode, 0, done.stderr)
        context = ssl.create_default_context(cafile=ca.cert)
        context.load_cert_chain(cert, key)
        with smtplib.SMTP(local_hostname="x.test") as c:
            c.connect("127.0.0.1", relay.port)
            c._host = "relay.test"  # the name to check
            c.starttls(context=context)
            c.ehlo()
            self.assertIn("EXTERNAL", c.esmtp_features["auth"])
            code, _ = c.docmd("AUTH", "EXTERNAL =")
            self.assertEqual(code, 235)
            c.sendmail("a@b.test", ["c@d.test"], "Subject: external\r\n\r\nx\r\n")
        with smtplib.SMTP(local_hostname="x.test") as c:  # not signed in: the certificate alone
            c.connect("127.0.0.1", relay.port)
            c._host = "relay.test"
            c.starttls(context=context)
            c.sendmail("a@b.test", ["c@d.test"], "Subject: certificate\r\n\r\nx\r\n")
        wait_for("both messages", lambda: len(handler.mail) == 2)
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            c.starttls(context=trusting())
            with self.assertRaises(smtplib.SMTPRecipientsRefused):
                c.sendmail("a@b.test", ["c@d.test"], "Subject: none\r\n\r\nx\r\n")

    def test_hashes_are_out_of_reach(self):
        _, relay = self.signing()
        pid = relay.process.child.pid
        accounts = os.path.join(self.dir, "spool", "accounts", "accounts")
        with open(accounts, encoding="utf-8") as f:
            text = f.read()
        self.assertIn("$y$", text)
        self.assertNotIn(PASSWORD, text)
        self.assertEqual(os.stat(accounts).st_mode & 0o777, 0o600)
        for fd in os.listdir(f"/proc/{pid}/fd"):
            self.assertNotIn("accounts", os.readlink(f"/proc/{pid}/fd/{fd}"))
        children = []
        for other in os.listdir("/proc"):
            try:
                with open(f"/proc/{other}/stat", encoding="ascii") as f:
                    if int(f.read().rsplit(")", 1)[1].split()[1]) == pid:
                        children.append(other)
            except (OSError, ValueError, NotADirectoryError):
                continue
        self.assertTrue(children)
        if os.environ.get("VARIANT", "release") == "release":
            def filtered(p):
                with open(f"/proc/{p}/status", encoding="ascii") as f:
                    return "Seccomp:\t2" in f.read()
            workers = children + [c for p in children for c in self.children(p)]
            self.assertTrue(any(filtered(p) for p in workers))
            self.assertTrue(filtered(pid))

    @staticmethod
    def children(pid):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return f.read().split()

    def test_helper_killed_comes_back(self):
        _, relay = self.signing()
        pid = relay.process.child.pid
        keeper = self.children(pid)[0]
        worker = self.children(keeper)[0]
        os.kill(int(worker), 9)
        wait_for("another worker", lambda: set(self.children(keeper)) - {worker})
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            c.starttls(context=trusting())
            self.assertEqual(c.login(ACCOUNT, PASSWORD)[0], 235)

    def test_accounts_without_the_daemon(self):
        _, relay = self.signing()
        relay.stop()
        relay.add_user("bob", "another password")
        self.assertIn("bob", relay.ctl("user", "list").stdout)
        self.assertEqual(relay.ctl("user", "delete", ACCOUNT).returncode, 0)
        relay.start()
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            c.starttls(context=trusting())
            self.assertEqual(c.login("bob", "another password")[0], 235)
        self.assertNotIn(ACCOUNT, relay.ctl("user", "list").stdout)


@unittest.skipUnless(upstream.is_root(), "Postfix's master wants to be root")
class Upstream(SmartHost):
    def provider(self, certificate, **options):
        handler, hop = self.keeper()
        p = upstream.Provider(self.dir, certificate, hop.port,
                              {"relay@provider.test": "secret word"}, **options)
        self.addCleanup(p.stop)
        p.start()
        return handler, p

    def route(self, port, more, secret="secret word"):
        name = os.path.join(self.dir, "provider.pw")
        with open(name, "w", encoding="utf-8") as f:
            f.write(secret + "\n")
        os.chmod(name, 0o600)
        return (f'route "provider" {{ via = {{"provider.test:{port}"}} user = '
                f'"relay@provider.test" secret-file = "provider.pw" {more} }}\n')

    def names(self):
        return self.dns("provider.test A 127.0.0.1\nother.test A 127.0.0.1\n")

    def send(self, relay, sender="me@office.test", subject="x"):
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            c.sendmail(sender, ["you@far.test"],
                       f"From: Me <{sender}>\r\nTo: you@far.test\r\nSubject: {subject}\r\n\r\nx\r\n")

    def test_each_mechanism(self):
        ca = self.authority()
        cert = ca.issue("provider.test")
        for n, mechanism in enumerate(("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1",
                                       "SCRAM-SHA-256")):
            with self.subTest(mechanism=mechanism):
                self.dir = os.path.join(self.dir, str(n))
                os.makedirs(self.dir)
                handler, p = self.provider(cert, mechanisms=mechanism)
                relay = self.relay(self.route(p.port, f'tls = "verify" tls-ca = "{ca.cert}"'),
                                   self.names())
                self.send(relay, subject=mechanism)
                wait_for(f"{mechanism}\n" + "\n".join(relay.process.lines[-5:]),
                         lambda h=handler: h.mail)
                relay.stop()
                p.stop()

    def test_implicit_tls_and_rewriting(self):
        ca = self.authority()
        handler, p = self.provider(ca.issue("provider.test"))
        route = self.route(p.tls_port, f'tls = "verify" tls-ca = "{ca.cert}" '
                           'rewrite-sender = {"*=relay@provider.test"} '
                           'rewrite-from = {"*=relay@provider.test"} keep-reply-to = true')
        route = route.replace('"provider.test:', '"smtps://provider.test:')
        relay = self.relay(route, self.names())
        self.send(relay)
        wait_for("the message", lambda: handler.mail)
        sender, _, content, _ = handler.mail[0]
        self.assertEqual(sender, "relay@provider.test")
        text = content.decode()
        self.assertIn("From: Me <relay@provider.test>", text)
        self.assertIn("Reply-To: Me <me@office.test>", text)

    def waits(self, relay, pattern):
        self.send(relay)
        line = relay.log(r" deferred .*").group(0)
        self.assertRegex(line, pattern)
        self.assertEqual(len(relay.queue()), 1)

    def test_certificates_that_are_not_right(self):
        ca, other = self.authority(), upstream.Authority(os.path.join(self.dir, "ca2"))
        cases = {
            "other": (ca.issue("other.test"), "other names|wrong name|other.test"),
            "expired": (ca.issue("provider.test", start=("20200101000000Z", "20210101000000Z")),
                        "expired"),
            "unknown": (other.issue("provider.test"), "unknown|authority"),
        }
        base = self.dir
        for name, (cert, words) in cases.items():
            with self.subTest(name):
                self.dir = os.path.join(base, name)
                os.makedirs(self.dir)
                handler, p = self.provider(cert)
                relay = self.relay(self.route(p.port, f'tls = "verify" tls-ca = "{ca.cert}"'),
                                   self.names())
                self.waits(relay, f"(?i){words}")
                self.assertFalse(handler.mail)
                relay.stop()
                p.stop()

    def test_fingerprint_instead_of_authority(self):
        ca = self.authority()
        cert = ca.issue("whatever.test")
        handler, p = self.provider(cert)
        relay = self.relay(self.route(p.port, 'tls = "verify" tls-fingerprints = {"%s"}'
                                      % upstream.Authority.fingerprint(cert[0])), self.names())
        self.send(relay)
        wait_for("the message", lambda: handler.mail)

    def test_wrong_password_told_once_then_put_right(self):
        ca = self.authority()
        handler, p = self.provider(ca.issue("provider.test"))
        relay = self.relay(
            self.route(p.port, f'tls = "verify" tls-ca = "{ca.cert}"', secret="wrong")
            + 'retry { first = "1s" interval = "1s" expire = "1h" warn = "0" }\n', self.names())
        for _ in range(20):
            self.send(relay)
        relay.log(r" deferred .*535")
        real.wait_for("20 waiting", lambda: len(relay.queue()) >= 20)
        tries = sum("authentication failed" in line for line in p.master.lines)
        self.assertLess(tries, 15)
        self.assertEqual(sum(" credentials " in line for line in relay.process.lines), 1)
        self.route(p.port, "")  # the right password
        relay.ctl("reload")
        relay.ctl("retry", "--all")
        wait_for("all twenty\n" + "\n".join(relay.process.lines[-5:]), lambda: len(
            [m for m in handler.mail if b"you@far.test" in m[2]]) >= 20)

    def test_probe(self):
        ca = self.authority()
        _, p = self.provider(ca.issue("provider.test"))
        relay = self.relay(self.route(p.port, f'tls = "verify" tls-ca = "{ca.cert}"'),
                           self.names())
        done = relay.ctl("probe", "provider")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, "TLSv1.3")
        self.assertRegex(done.stdout, "SCRAM|PLAIN|LOGIN")


class Between(SmartHost):
    def test_no_starttls_where_it_must_be(self):
        handler, hop = self.keeper()
        relay = self.relay(f'route "up" {{ via = {{"127.0.0.1:{hop.port}"}} tls = "required" }}')
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            c.sendmail("a@b.test", ["c@d.test"], "Subject: x\r\n\r\nx\r\n")
        relay.log(r" deferred .*4\.7\.4")
        self.assertFalse(handler.mail)

    def test_next_hop_from_the_hosts_file(self):
        handler, hop = self.keeper()
        relay = self.relay(f'route "up" {{ via = {{"localhost:{hop.port}"}} family = "ipv4" }}\n'
                           'dns { servers = {"127.0.0.1:1"} timeout = "1s" }')
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            c.sendmail("a@b.test", ["c@d.test"], "Subject: x\r\n\r\nx\r\n")
        wait_for("the message", lambda: handler.mail)

    def test_socks_proxy(self):
        handler, hop = self.keeper()
        proxy = free_port()
        self.started(upstream.microsocks(proxy))
        relay = self.relay(f'route "up" {{ via = {{"127.0.0.1:{hop.port}"}} '
                           f'socks = "127.0.0.1:{proxy}" }}')
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            c.sendmail("a@b.test", ["c@d.test"], "Subject: x\r\n\r\nx\r\n")
        wait_for("the message", lambda: handler.mail)

    def test_haproxy_tells_the_client(self):
        for version in (1, 2):
            with self.subTest(version=version):
                self.dir = os.path.join(self.dir, str(version))
                os.makedirs(self.dir)
                handler, relay = self.to_keeper('proxy-from = {"127.0.0.1/32"}',
                                                networks="127.0.0.7/32")
                port = free_port()
                p = upstream.haproxy(self.dir, port, relay.port, version)
                for source, fine in (("127.0.0.7", True), ("127.0.0.8", False)):
                    with smtplib.SMTP("127.0.0.1", port, source_address=(source, 0)) as c:
                        try:
                            c.sendmail("a@b.test", ["c@d.test"], "Subject: x\r\n\r\nx\r\n")
                            self.assertTrue(fine, source)
                        except smtplib.SMTPRecipientsRefused:
                            self.assertFalse(fine, source)
                wait_for("the message", lambda h=handler: h.mail)
                self.assertIn("[127.0.0.7]", handler.mail[0][2].decode())
                p.stop()
                relay.stop()

    def test_proxy_header_from_a_stranger(self):
        _, relay = self.to_keeper("")
        with socket.create_connection(("127.0.0.1", relay.port), real.LIMIT) as s:
            s.sendall(b"PROXY TCP4 127.0.0.7 127.0.0.1 1000 25\r\nEHLO x\r\n")
            got = b""
            while True:
                part = s.recv(4000)
                if not part:
                    break
                got += part
        self.assertNotIn(b"250", got)

    def test_local_users_need_no_account(self):
        path = os.path.join(self.dir, "submit.sock")
        os.chmod(self.dir, 0o755)
        handler, relay = self.to_keeper("", f'submit {{ path = "{path}" }}', networks="127.9.9.9/32")
        args = [os.path.join(real.BUILD, "relay-sendmail"), "you@far.test"]
        env = dict(os.environ, RELAYD_SUBMIT=path)
        command = args
        if os.geteuid() == 0:  # as somebody else
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *args]
        done = subprocess.run(command, input="Subject: cron\n\nhello\n", text=True, env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=real.LIMIT, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        wait_for("the message", lambda: handler.mail)
        if os.geteuid() == 0:
            self.assertIn("nobody", handler.mail[0][2].decode())


if __name__ == "__main__":
    unittest.main(verbosity=1)
