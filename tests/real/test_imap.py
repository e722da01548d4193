#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Mail read in place with the programs that people use: mbsync both ways, with two copies
of one mailbox at once, interimap, offlineimap, mutt, fetchmail, curl and imaplib; IDLE;
and what is left after kill -9 in the middle of changes."""
import email.message
import email.policy
import hashlib
import imaplib
import mailbox
import os
import random
import re
import smtplib
import socket
import ssl
import struct
import subprocess
import sys
import threading
import unittest
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import real  # noqa: E402
from real import RealTest, free_port, wait_for  # noqa: E402

USER, PASSWORD = "alice", "correct horse"


def message(i):
    """One of many kinds, the same for the same number."""
    dice = random.Random(i)
    m = email.message.EmailMessage(policy=email.policy.SMTP)
    m["From"] = dice.choice(["Jörg Müller <j@far.test>", "a@b.test", '"B, C" <bc@x.test>',
                             "=?utf-8?q?Z=C3=BCrich?= <z@far.test>"])
    m["To"] = "alice@office.test"
    m["Subject"] = dice.choice(["hello", "Re: hello", "Grüße aus Köln", "日本語の件名",
                                "a long one " * 20]) + f" {i}"
    m["Date"] = f"Mon, {1 + i % 28:02d} Jun 2026 10:{i % 60:02d}:00 +0200"
    m["Message-ID"] = f"<{i}@far.test>"
    body = "\r\n".join(f"line {k} of {i}, ordinary text" for k in range(dice.randrange(1, 60)))
    m.set_content(body + "\r\n")
    if i % 4 == 0:
        m.add_alternative(f"<p>Hällo <b>{i}</b></p>", subtype="html")
    if i % 9 == 0:
        m.add_attachment(dice.randbytes(dice.randrange(1, 30000)), maintype="application",
                         subtype="octet-stream", filename=f"Anhang {i}.bin")
    if i % 50 == 0:
        m.add_attachment(message(i + 1))
    for k, part in enumerate(m.walk()):
        if part.is_multipart() and part.get_content_maintype() == "multipart":
            part.set_boundary(f"=={i}.{k}==")
    return m


def rss(relay):
    """Octets of memory of its own, without those of files."""
    with open(f"/proc/{relay.process.child.pid}/statm", encoding="ascii") as f:
        resident, shared = map(int, f.read().split()[1:3])
    return (resident - shared) * 4096


def trusting():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Reading(RealTest):
    """Helpers; test_alike.py uses them, too."""

    def reading(self, more=""):
        """A relay with alice's mailboxes; its ports are in .imap and .imaps."""
        imap, imaps = free_port(), free_port()
        relay = self.relay(
            f'listener "imap" {{ bind = {{"127.0.0.1:{imap}"}} protocol = "imap" tls = "starttls" '
            'auth-in-clear = true }\n'
            f'listener "imaps" {{ bind = {{"127.0.0.1:{imaps}"}} protocol = "imap" '
            'tls = "implicit" }\n'
            'route "office" { to = {"office.test"} deliver = "mailbox" }\n' + more)
        relay.add_user(USER, PASSWORD, "--address", "alice@office.test")
        relay.imap, relay.imaps = imap, imaps
        return relay

    @staticmethod
    def login(relay, user=USER):
        m = imaplib.IMAP4("127.0.0.1", relay.imap, timeout=real.LIMIT)
        m.login(user, PASSWORD)
        return m

    @staticmethod
    def send(relay, n, first=0):
        for at in range(first, first + n, 50):
            with smtplib.SMTP("127.0.0.1", relay.port) as c:
                for i in range(at, min(at + 50, first + n)):
                    c.sendmail("a@b.test", ["alice@office.test"], message(i).as_bytes())

    def run_client(self, args, **more):
        done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=10 * real.LIMIT, check=False, errors="replace", **more)
        return done.returncode, done.stdout

    def mutt(self, relay, secret, folder, keys, *options):
        """mutt on a terminal, in that folder, as if somebody pressed these keys."""
        rc = os.path.join(self.dir, "muttrc")
        with open(rc, "w", encoding="ascii") as f:
            f.write(f"""set imap_user = {USER}
set imap_pass = "{secret}"
set ssl_starttls = no
set ssl_force_tls = no
set folder = imap://127.0.0.1:{relay.imap}/
set spoolfile = +{folder}
set mbox_type = mbox
set confirmappend = no
set confirmcreate = no
set delete = yes
set quit = yes
set sleep_time = 0
push "{keys}"
""")
        code, out = self.run_client(["script", "-qec", " ".join(("mutt", *options, "-F", rc)), "/dev/null"],
                                    env={**os.environ, "HOME": self.dir, "TERM": "xterm"})
        self.assertEqual(code, 0, out)
        return out

    def contents(self, relay, name="INBOX", user=USER):
        """What the mailbox holds: uid -> (flags, digest of the octets)."""
        m = self.login(relay, user)
        m.select(name, readonly=True)
        all_ = {}
        _, data = m.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")
        for part in data:
            if isinstance(part, tuple):
                uid = int(re.search(rb"UID (\d+)", part[0]).group(1))
                flags = frozenset(re.search(rb"FLAGS \(([^)]*)\)", part[0]).group(1).split()) \
                    - {b"\\Recent"}
                all_[uid] = (flags, hashlib.sha256(part[1]).hexdigest())
        m.logout()
        return all_

    def mbsync(self, relay, name):
        base = os.path.join(self.dir, name)
        os.makedirs(os.path.join(base, "mail"), exist_ok=True)
        rc = os.path.join(base, "rc")
        with open(rc, "w", encoding="ascii") as f:
            f.write(f"""IMAPAccount relay
Host 127.0.0.1
Port {relay.imap}
User {USER}
Pass "{PASSWORD}"
SSLType None
AuthMechs LOGIN

IMAPStore far
Account relay

MaildirStore near
SubFolders Verbatim
Path {base}/mail/
Inbox {base}/mail/INBOX

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
""")
        code, out = self.run_client(["mbsync", "-c", rc, "-a"], env={**os.environ, "HOME": base})
        self.assertEqual(code, 0, out)
        return mailbox.Maildir(os.path.join(base, "mail", "INBOX"), create=False)


class Imap(Reading):
    # ---- imaplib

    def test_sizes_and_parts(self):
        relay = self.reading()
        self.send(relay, 60)
        m = self.login(relay)
        self.assertEqual(m.select()[1], [b"60"])
        _, data = m.fetch("1:*", "(RFC822.SIZE BODY.PEEK[])")
        seen = 0
        for part in data:
            if isinstance(part, tuple):
                size = int(re.search(rb"RFC822.SIZE (\d+)", part[0]).group(1))
                self.assertEqual(size, len(part[1]))
                seen += 1
        self.assertEqual(seen, 60)
        for i in (1, 5, 10, 51):
            whole = email.message_from_bytes(m.fetch(str(i), "BODY.PEEK[]")[1][0][1])
            if whole.is_multipart():
                for k, sub in enumerate(whole.get_payload(), 1):
                    if sub.is_multipart():
                        continue
                    octets = m.fetch(str(i), f"BODY.PEEK[{k}]")[1][0][1]
                    self.assertEqual(octets.replace(b"\r\n", b"\n").rstrip(b"\n"),
                                     sub.get_payload().encode("utf-8", "surrogateescape")
                                     .replace(b"\r\n", b"\n").rstrip(b"\n"))
        m.logout()

    def test_administrator(self):
        """Two at once act on the same queue, while mail comes in and is released: each
        message is acted upon once, and leaves."""
        relay = self.reading('route "stop" { to = {"held.test"} deliver = "hold" }\n')
        done = relay.ctl("user", "secret", "add", USER, "phone", "--service", "queue")
        self.assertEqual(done.returncode, 0, done.stderr)
        secret = done.stdout.split()[-1]
        plain = self.login(relay)
        self.assertEqual(plain.select("Queue")[0], "NO")
        plain.logout()

        def send(n):
            with smtplib.SMTP("127.0.0.1", relay.port) as c:
                for i in range(n):
                    c.sendmail("a@b.test", ["u@held.test"], message(i).as_bytes())

        def admin():
            m = imaplib.IMAP4("127.0.0.1", relay.imap, timeout=real.LIMIT)
            m.login(USER, secret)
            self.assertEqual(m.select("Queue")[0], "OK")
            return m

        send(150)
        bodies = admin()
        self.assertEqual(bodies.select("Quarantine")[1], [b"150"])
        _, got = bodies.fetch("1:*", "(UID FLAGS RFC822.SIZE ENVELOPE BODY.PEEK[])")
        self.assertEqual(len([g for g in got if isinstance(g, tuple)]), 150)
        for head, text in (g for g in got if isinstance(g, tuple)):
            self.assertIn(b"X-Relay-Id: ", text)
            self.assertEqual(int(re.search(rb"RFC822.SIZE (\d+)", head)[1]), len(text))
        moved = []

        def work(m):
            for _ in range(300):
                _, [uids] = m.uid("SEARCH", "ALL")
                if not uids:
                    return
                some = random.choice(uids.split())
                moved.append(m.uid("MOVE", some, '"!Discard"')[0])
                m.noop()

        more = threading.Thread(target=send, args=(50,))
        more.start()
        workers = [threading.Thread(target=work, args=(admin(),)) for _ in range(2)]
        for w in workers:
            w.start()
        more.join()
        for w in workers:
            w.join()
        last = admin()
        work(last)
        self.assertEqual(last.noop()[0], "OK")
        self.assertEqual(last.uid("SEARCH", "ALL")[1], [b""])
        self.assertEqual(relay.queue(), [])
        acted = [line for line in relay.process.lines
                 if " what=delete account=alice" in line and "applied=1" in line]
        self.assertEqual(len(acted), 200)
        self.assertGreaterEqual(moved.count("OK"), 200)
        self.assertEqual(last.select('"!Discard"', readonly=True)[1], [b"0"])
        last.logout()
        bodies.logout()

    def test_administrator_with_mail_programs(self):
        """mutt releases by saving to a folder: COPY, \\Deleted, EXPUNGE. mbsync copies a tray,
        and what is deleted in the copy stays in the queue."""
        relay = self.reading('route "stop" { to = {"held.test"} deliver = "hold" }\n')
        done = relay.ctl("user", "secret", "add", USER, "phone", "--service", "queue")
        self.assertEqual(done.returncode, 0, done.stderr)
        secret = done.stdout.split()[-1]
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            for i in range(12):
                c.sendmail("a@b.test", ["u@held.test"], message(i).as_bytes())
        self.mutt(relay, secret, "Quarantine",
                  "<save-message><kill-line>=!Discard<enter><sync-mailbox><quit>")
        wait_for("one less", lambda: len(relay.queue()) == 11)
        acted = [line for line in relay.process.lines if " what=delete account=alice" in line]
        self.assertEqual(len(acted), 1, acted)
        self.assertIn("applied=1", acted[0])

        def sync(user_secret):
            base = os.path.join(self.dir, "tray")
            os.makedirs(os.path.join(base, "mail"), exist_ok=True)
            with open(os.path.join(base, "rc"), "w", encoding="ascii") as f:
                f.write(f"""IMAPAccount relay
Host 127.0.0.1
Port {relay.imap}
User {USER}
Pass "{user_secret}"
SSLType None
AuthMechs LOGIN

IMAPStore far
Account relay

MaildirStore near
SubFolders Verbatim
Path {base}/mail/

Channel tray
Far :far:Quarantine
Near :near:Quarantine
Create Near
Expunge Both
SyncState *
""")
            return self.run_client(["mbsync", "-c", os.path.join(base, "rc"), "-a"],
                                   env={**os.environ, "HOME": base})
        self.assertNotEqual(sync(PASSWORD)[0], 0)  # it is not there for who may not see it
        code, out = sync(secret)
        self.assertEqual(code, 0, out)
        copy = mailbox.Maildir(os.path.join(self.dir, "tray", "mail", "Quarantine"), create=False)
        self.assertEqual(len(copy), 11)
        self.assertTrue(all(m["X-Relay-Id"] for m in copy))
        for key in sorted(copy.keys())[:5]:
            copy.discard(key)
        code, out = sync(secret)
        self.assertEqual(len(relay.queue()), 11, out)
        self.assertEqual([line for line in relay.process.lines
                          if " what=delete account=alice" in line], acted)

    def test_idle_is_told_at_once(self):
        relay = self.reading()
        self.send(relay, 1)
        a, b = self.login(relay), self.login(relay)
        a.select()
        b.select()
        a.send(b"i IDLE\r\n")
        self.assertTrue(a.readline().startswith(b"+"))
        b.store("1", "+FLAGS", "(\\Flagged)")
        self.assertIn(b"\\Flagged", a.readline())
        self.send(relay, 1, first=1)
        self.assertEqual(a.readline(), b"* 2 EXISTS\r\n")
        self.assertIn(b"RECENT", a.readline())
        b.store("1", "+FLAGS.SILENT", "(\\Deleted)")
        self.assertIn(b"\\Deleted", a.readline())
        b.expunge()
        self.assertEqual(a.readline(), b"* 1 EXPUNGE\r\n")
        a.send(b"DONE\r\n")
        self.assertTrue(a.readline().startswith(b"i OK"))
        a.logout()
        b.logout()

    # ---- COMPRESS, inside TLS

    def test_compressed(self):
        relay = self.reading()
        self.send(relay, 200)
        m = imaplib.IMAP4_SSL("127.0.0.1", relay.imaps, ssl_context=trusting(),
                              timeout=real.LIMIT)
        m.login(USER, PASSWORD)
        m.send(b"c COMPRESS DEFLATE\r\n")
        self.assertTrue(m.readline().startswith(b"c OK"))
        pack, unpack = zlib.compressobj(wbits=-15), zlib.decompressobj(wbits=-15)
        wire = 0

        def run(command):
            nonlocal wire
            m.sock.sendall(pack.compress(b"d " + command + b"\r\n")
                           + pack.flush(zlib.Z_SYNC_FLUSH))
            got = b""
            while not re.search(rb"(^|\r\n)d (OK|NO|BAD)[^\r\n]*\r\n$", got[-3000:]):
                piece = m.sock.recv(65536)
                self.assertTrue(piece)
                wire += len(piece)
                got += unpack.decompress(piece)
            return got
        self.assertIn(b"* 200 EXISTS", run(b"SELECT INBOX"))
        plain = len(run(b"FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE)"))
        self.assertLess(wire, plain / 2)
        self.assertIn(b"BAD", run(b"NONSENSE"))
        self.assertIn(b"[COMPRESSIONACTIVE]", run(b"COMPRESS DEFLATE"))
        bodies = run(b"FETCH 1:* (BODY.PEEK[])")
        for i in (0, 9, 50, 199):
            self.assertTrue(message(i).as_bytes().split(b"\r\n\r\n", 1)[1] in bodies)
        m.shutdown()

    def test_handshake_names_the_protocol(self):
        relay = self.reading()
        context = trusting()
        context.set_alpn_protocols(["imap"])
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context.minimum_version = context.maximum_version = version
            m = imaplib.IMAP4_SSL("127.0.0.1", relay.imaps, ssl_context=context,
                                  timeout=real.LIMIT)
            self.assertEqual(m.sock.selected_alpn_protocol(), "imap")
            self.assertIsNone(m.sock.compression())
            m.login(USER, PASSWORD)
            m.logout()

    def test_session_is_resumed(self):
        """A ticket of the first connection saves the second one the certificates."""
        relay = self.reading()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context, session = trusting(), None
            context.minimum_version = context.maximum_version = version
            for resumed in (False, True):
                raw = socket.create_connection(("127.0.0.1", relay.imaps), real.LIMIT)
                with context.wrap_socket(raw, session=session) as s:
                    self.assertIn(b"* OK", s.recv(4096))  # the ticket of TLS 1.3 comes before
                    self.assertEqual(s.session_reused, resumed)
                    s.sendall(b"1 LOGOUT\r\n")
                    session = s.session

    # ---- curl

    def test_curl(self):
        relay = self.reading()
        self.send(relay, 3)
        for url, more in ((f"imap://127.0.0.1:{relay.imap}", ["--ssl-reqd"]),
                          (f"imaps://127.0.0.1:{relay.imaps}", [])):
            args = ["curl", "-sSk", "--user", f"{USER}:{PASSWORD}"] + more
            code, out = self.run_client(args + [f"{url}/INBOX;UID=2"])
            self.assertEqual(code, 0, out)
            self.assertIn("<1@far.test>", out)
            code, out = self.run_client(args + [url, "-X", "LIST \"\" *"])
            self.assertIn("INBOX", out)
            code, out = self.run_client(args + [f"{url}/INBOX?SUBJECT%20hello"])
            self.assertEqual(code, 0, out)
        letter = os.path.join(self.dir, "letter")
        with open(letter, "wb") as f:
            f.write(message(7).as_bytes())
        code, out = self.run_client(["curl", "-sSk", "--user", f"{USER}:{PASSWORD}", "-T", letter,
                                     f"imap://127.0.0.1:{relay.imap}/Sent"])
        self.assertEqual(code, 0, out)
        self.assertEqual([d for _, d in self.contents(relay, "Sent").values()],
                         [hashlib.sha256(message(7).as_bytes()).hexdigest()])

    # ---- fetchmail

    def test_fetchmail(self):
        relay = self.reading()
        self.send(relay, 5)
        rc, box = os.path.join(self.dir, "rc"), os.path.join(self.dir, "box")
        with open(rc, "w", encoding="ascii") as f:
            f.write(f'poll 127.0.0.1 port {relay.imap} protocol imap user "{USER}" '
                    f'password "{PASSWORD}" sslproto "" keep mda "cat >> {box}"\n')
        os.chmod(rc, 0o600)
        code, out = self.run_client(["fetchmail", "-f", rc, "--nosyslog"],
                                    env={**os.environ, "FETCHMAILHOME": self.dir,
                                         "HOME": self.dir})
        self.assertEqual(code, 0, out)
        with open(box, encoding="utf-8", errors="replace") as f:
            text = f.read()
        for i in range(5):
            self.assertIn(f"<{i}@far.test>", text)
        self.assertTrue(all(b"\\Seen" in flags for flags, _ in self.contents(relay).values()))

    # ---- mbsync: both ways, two copies at once

    @staticmethod
    def ids(box):
        return sorted(m["Message-ID"] for m in box)

    def test_mbsync_both_ways(self):
        count = 2000
        relay = self.reading()
        self.send(relay, count)
        one = self.mbsync(relay, "one")
        two = self.mbsync(relay, "two")
        self.assertEqual(len(one), count)
        self.assertEqual(self.ids(one), self.ids(two))
        # changes on both sides: flags, deletions, new mail here and there
        keys = sorted(one.keys(), key=lambda k: one[k]["Message-ID"])
        for k in keys[:200]:
            m = one[k]
            m.set_flags("FS")
            m.set_subdir("cur")
            one[k] = m
        for k in keys[200:300]:
            one.discard(k)
        for i in range(5000, 5050):
            one.add(mailbox.MaildirMessage(message(i)))
        keys = sorted(two.keys(), key=lambda k: two[k]["Message-ID"])
        for k in keys[300:400]:
            m = two[k]
            m.set_flags("RS")
            m.set_subdir("cur")
            two[k] = m
        self.send(relay, 50, first=6000)
        failed = []

        def sync(name):
            try:
                self.mbsync(relay, name)
            except AssertionError as e:
                failed.append(e)
        threads = [threading.Thread(target=sync, args=(n,)) for n in ("one", "two")]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(failed, [])
        for _ in range(2):
            one = self.mbsync(relay, "one")
            two = self.mbsync(relay, "two")
        self.assertEqual(len(one), count - 100 + 50 + 50)
        self.assertEqual(self.ids(one), self.ids(two))
        flags = [{m["Message-ID"]: "".join(sorted(m.get_flags())) for m in box}
                 for box in (one, two)]
        self.assertEqual(flags[0], flags[1])
        self.assertEqual(sum(f == "FS" for f in flags[0].values()), 200)
        self.assertEqual(sum(f == "RS" for f in flags[0].values()), 100)
        far = self.contents(relay)
        self.assertEqual(len(far), len(one))

    # ---- offlineimap, interimap, mutt

    def test_offlineimap(self):
        relay = self.reading()
        self.send(relay, 40)
        rc = os.path.join(self.dir, "offlineimaprc")
        with open(rc, "w", encoding="ascii") as f:
            f.write(f"""[general]
accounts = a
metadata = {self.dir}/offline
ui = quiet
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {self.dir}/offline-mail
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = {relay.imap}
remoteuser = {USER}
remotepass = {PASSWORD}
ssl = no
starttls = no
""")
        code, out = self.run_client(["offlineimap", "-c", rc, "-o"],
                                    env={**os.environ, "HOME": self.dir})
        self.assertEqual(code, 0, out)
        self.assertEqual(len(mailbox.Maildir(os.path.join(self.dir, "offline-mail", "INBOX"),
                                             create=False)), 40)

    def test_interimap(self):
        """Two accounts are kept alike by QRESYNC and UIDPLUS: mail, flags, deletions, folders,
        both ways."""
        relay = self.reading()
        relay.add_user("bob", PASSWORD, "--address", "bob@office.test")
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            for i in range(100):
                c.sendmail("a@b.test", ["alice@office.test" if i < 60 else "bob@office.test"],
                           message(i).as_bytes())
        rc = os.path.join(self.dir, "interimap.conf")
        with open(rc, "w", encoding="ascii") as f:
            f.write(f"database = {self.dir}/interimap.db\n")
            for name, user in ("local", USER), ("remote", "bob"):
                f.write(f"""[{name}]
type = imap
host = 127.0.0.1
port = {relay.imap}
STARTTLS = NO
username = {user}
password = {PASSWORD}
compress = NO
""")
        os.chmod(rc, 0o600)

        def synchronise():
            code, out = self.run_client(["interimap", f"--config={rc}"],
                                        env={**os.environ, "HOME": self.dir})
            self.assertEqual(code, 0, out)

        def bodies(user):
            return sorted((text, sorted(flags))
                          for flags, text in self.contents(relay, user=user).values())

        synchronise()
        self.assertEqual(len(bodies(USER)), 100)
        self.assertEqual(bodies(USER), bodies("bob"))
        a, b = self.login(relay), self.login(relay, "bob")
        a.select()
        b.select()
        a.store("1:20", "+FLAGS", "(\\Flagged)")
        a.store("21:30", "+FLAGS", "(\\Deleted)")
        a.expunge()
        b.store("71:80", "+FLAGS", "(\\Seen)")
        b.store("91:95", "+FLAGS", "(\\Deleted)")
        b.expunge()
        b.create("Later")
        b.copy("1:3", "Later")
        a.logout()
        b.logout()
        synchronise()
        self.assertEqual(len(bodies(USER)), 85)
        self.assertEqual(bodies(USER), bodies("bob"))
        self.assertEqual(len(self.contents(relay, "Later")), 3)

    def test_mutt(self):
        relay = self.reading()
        self.send(relay, 6)
        rc = os.path.join(self.dir, "muttrc")
        with open(rc, "w", encoding="ascii") as f:
            f.write(f"""set imap_user = {USER}
set imap_pass = "{PASSWORD}"
set ssl_starttls = no
set ssl_force_tls = no
set folder = imap://127.0.0.1:{relay.imap}/
set spoolfile = +INBOX
set confirmappend = no
set delete = yes
set quit = yes
set sleep_time = 0
push "<delete-message><sync-mailbox><tag-pattern>~A<enter><tag-prefix><set-flag>!<quit>"
""")
        code, out = self.run_client(["script", "-qec", f"mutt -F {rc}", "/dev/null"],
                                    env={**os.environ, "HOME": self.dir, "TERM": "xterm"})
        self.assertEqual(code, 0, out)
        left = self.contents(relay)
        self.assertEqual(len(left), 5)
        self.assertTrue(all(b"\\Flagged" in flags for flags, _ in left.values()))

    def test_any_secret_by_scram(self):
        """mutt as it comes takes the best mechanism and no other; gsasl each by its name, with
        and without binding.  What the proof was made with decides what may be seen."""
        relay = self.reading()
        self.send(relay, 3)
        secrets = {"main": PASSWORD}
        for label, more in (("phone", []), ("admin", ["--service", "queue"])):
            done = relay.ctl("user", "secret", "add", USER, label, *more)
            self.assertEqual(done.returncode, 0, done.stderr)
            secrets[label] = done.stdout.split()[-1]

        def signed_in(label, mechanism):
            label = '""' if label == "main" else label
            return sum(f" signed-in client=127.0.0.1 account={USER} mechanism={mechanism} "
                       f"secret={label} " in line for line in relay.process.lines)
        for label, secret in secrets.items():
            box = os.path.join(self.dir, f"mutt-{label}")
            out = self.mutt(relay, secret, "INBOX",
                            f"<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{box}<enter><quit>", "-R")
            with open(box, encoding="ascii", errors="replace") as f:
                self.assertEqual(len(re.findall("^From ", f.read(), re.M)), 3, out)
            wait_for("mutt's line", lambda: signed_in(label, "SCRAM-SHA-256") == 1)
            for mechanism in ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"):
                plus = mechanism.endswith("PLUS")
                before = signed_in(label, mechanism)
                code, out = self.run_client(
                    ["gsasl", *([] if plus else ["--no-cb"]), "--imap", "--connect",
                     f"127.0.0.1:{relay.imap}", "-m", mechanism, "-a", USER, "-p", secret,
                     "--quiet", "--x509-ca-file="], input=". LIST \"\" Q%\r\n. LOGOUT\r\n")
                wait_for(out, lambda: signed_in(label, mechanism) == before + 1)
                self.assertEqual('"Queue"' in out or " Queue" in out, label == "admin", out)

    # ---- imapflow

    def test_imapflow(self):
        relay = self.reading()
        here = os.path.dirname(os.path.abspath(__file__))
        modules = os.path.join(real.PEERS, "node", "node_modules")
        code, out = self.run_client(["node", os.path.join(here, "imapflow.js"),
                                     str(relay.imap), USER, PASSWORD],
                                    env={**os.environ, "NODE_PATH": modules})
        self.assertEqual((code, out), (0, "all of it\n"))

    # ---- hostile clients

    @staticmethod
    def raw(relay, size=None):
        """A socket that has signed in."""
        s = socket.socket()
        if size is not None:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        s.settimeout(real.LIMIT)
        s.connect(("127.0.0.1", relay.imap))
        f = s.makefile("rb")
        f.readline()
        s.sendall(f'l LOGIN {USER} "{PASSWORD}"\r\n'.encode())
        while not f.readline().startswith(b"l "):
            pass
        return s, f

    def test_client_that_reads_nothing(self):
        """What is asked for again and again and never read stays where it is: memory does
        not grow with it, and nobody else waits."""
        relay = self.reading()
        m = self.login(relay)
        for _ in range(20):
            m.append("INBOX", None, None, b"Subject: x\r\n\r\n" + b"x" * 1000000 + b"\r\n")
        m.select()
        for _ in range(19):
            m.copy("1:20", "INBOX")
        before = rss(relay)
        silent = [self.raw(relay, 4096)[0] for _ in range(4)]
        for s in silent:
            s.sendall(b"s SELECT INBOX\r\n")
            s.sendall(b"f FETCH 1:* (BODY.PEEK[])\r\n" * 2000)
        idle, heard = self.raw(relay, 4096)
        idle.sendall(b"s SELECT INBOX\r\ni IDLE\r\n")
        while not heard.readline().startswith(b"+"):
            pass
        for i in range(1000):  # not heard until it reads, but for what the kernel holds
            self.assertEqual(m.store("1:*", "-+"[i % 2] + "FLAGS.SILENT", "(\\Flagged)")[0], "OK")
        self.assertEqual(len(m.fetch("3", "(BODY.PEEK[TEXT])")[1][0][1]), 1000002)
        self.assertLess(rss(relay) - before, 16 << 20)
        idle.sendall(b"DONE\r\n")
        told = 0
        while not (line := heard.readline()).startswith(b"i "):
            self.assertIn(b"FETCH (FLAGS (", line)
            told += 1
        self.assertLess(told, 1000 * 400 * 2 / 3)
        for s in silent + [idle]:
            s.close()
        m.logout()

    def test_thousands_at_once(self):
        """Commands are answered in their order, however many come in one piece."""
        relay = self.reading()
        s, f = self.raw(relay)
        n = 5000
        many = b"".join(b"%d NOOP\r\n%dc CAPABILITY\r\n%ds STATUS INBOX (MESSAGES)\r\n" % (i, i, i)
                        for i in range(n))
        writer = threading.Thread(target=s.sendall, args=(many,))
        writer.start()
        tags = []
        while len(tags) < 3 * n:
            line = f.readline()
            self.assertTrue(line)
            if not line.startswith(b"*"):
                tags.append(line.split(b" ")[0])
                self.assertEqual(line.split(b" ")[1], b"OK")
        writer.join()
        self.assertEqual(tags, [b"%d%s" % (i, x) for i in range(n) for x in (b"", b"c", b"s")])
        s.close()

    def test_append_broken_off_compressed(self):
        """In the middle of the second message of an APPEND, inside COMPRESS, inside TLS."""
        relay = self.reading()
        for turn in range(6):
            m = imaplib.IMAP4_SSL("127.0.0.1", relay.imaps, ssl_context=trusting(),
                                  timeout=real.LIMIT)
            m.login(USER, PASSWORD)
            m.send(b"c COMPRESS DEFLATE\r\n")
            self.assertTrue(m.readline().startswith(b"c OK"))
            pack = zlib.compressobj(wbits=-15)
            octets = pack.compress(b"a APPEND Sent {4+}\r\na: b {9000+}\r\n" + b"x" * 5000)
            octets += pack.flush(zlib.Z_SYNC_FLUSH)
            m.sock.sendall(octets[:-turn] if turn < 4 and turn else octets)
            if turn == 4:  # no deflate any more
                m.sock.sendall(b"\xff" * 100)
            if turn % 2:
                m.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            m.sock.close()
        m = self.login(relay)
        self.assertEqual(m.status("Sent", "(MESSAGES UIDNEXT)")[1],
                         [b"Sent (MESSAGES 0 UIDNEXT 1)"])
        m.logout()
        relay.stop()
        done = relay.ctl("spool-check")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_mail_made_to_hurt(self):
        """100,000 parts, 2,000 levels, 20,000 To fields, 1 MiB of header: by SMTP or APPEND,
        it is listed from what was found once, and comes back to the octet."""
        relay = self.reading()
        deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i)
                        for i in range(2000))
        messages = deep + b"\r\nx\r\n", \
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 100000, \
            b"To: a@b, c@d\r\n" * 20000 + b"\r\nx\r\n", \
            b"Subject: s\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\nx\r\n"
        m = self.login(relay)
        for octets in messages:
            self.assertEqual(m.append("Junk", None, None, octets)[0], "OK")
        m.select("Junk")
        for _ in range(2):
            got = m.fetch("1:*", "(RFC822.SIZE ENVELOPE BODYSTRUCTURE)")[1]
            self.assertEqual(len(got), len(messages))
            for one, octets in zip(got, messages):
                self.assertIn(b"RFC822.SIZE %d " % len(octets), one)
                self.assertLess(len(one), 512 << 10)
        for i, octets in enumerate(messages, 1):
            self.assertEqual(m.fetch(str(i), "(BODY.PEEK[])")[1][0][1], octets)
            self.assertEqual(m.fetch(str(i), "(BODY.PEEK[1.1.1.1.9])")[0], "OK")
        self.assertEqual(m.search(None, "TEXT", "nowhere")[1], [b""])
        self.assertEqual(m.sort("(TO SUBJECT)", "UTF-8", "ALL")[0], "OK")
        self.assertEqual(m.thread("REFERENCES", "UTF-8", "ALL")[0], "OK")
        m.logout()

    # ---- kill -9

    def test_killed_in_the_middle(self):
        """What was answered is there; nothing is twice or half."""
        relay = self.reading()
        self.send(relay, 50)
        for turn in range(5):
            m = self.login(relay)
            m.select()
            kept = [0]

            def work():
                try:
                    while True:
                        m.append("Sent", None, None, message(turn).as_bytes())
                        kept[0] += 1
                        m.store("1:10", "+FLAGS", f"(k{turn})")
                        m.copy("1:5", "Drafts")
                except (imaplib.IMAP4.abort, OSError):
                    return
            before = len(self.contents(relay, "Sent"))
            t = threading.Thread(target=work)
            t.start()
            wait_for("some appends", lambda: kept[0] > 20)
            relay.kill()
            t.join()
            m.shutdown()
            done = relay.ctl("spool-check")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            relay.start()
            after = len(self.contents(relay, "Sent"))
            self.assertIn(after - before, (kept[0], kept[0] + 1))
            self.assertEqual(len(self.contents(relay, "Drafts")) % 5, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
