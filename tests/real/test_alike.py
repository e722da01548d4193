#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Mixed mails (mails.py, and some composed by nodemailer) in the hands of the clients
that people use: mbsync and offlineimap work on one account at the same time, each
with changes of its own, while the server's side changes, too; interimap keeps a second
account like the first; mutt, fetchmail, curl and imapflow read all of it.  At the end
everything is compared: each octet, each flag, each keyword, each date.

`make alike` takes 2,000 of them; RELAYD_MAILS=N says how many."""
import calendar
import collections
import glob
import hashlib
import imaplib
import os
import re
import smtplib
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mails  # noqa: E402
import real  # noqa: E402
from test_imap import PASSWORD, USER, Reading  # noqa: E402

MAILS = int(os.environ.get("RELAYD_MAILS", "300"))
ARCHIVE = "Archiv/2026 K&APY-ln"  # as on the wire
LETTERS = {b"\\Seen": "S", b"\\Answered": "R", b"\\Flagged": "F", b"\\Draft": "D"}
HERE = os.path.dirname(os.path.abspath(__file__))

Mail = collections.namedtuple("Mail", "digest flags date")


def digest_of(octets):
    """Of what a Maildir would keep: lines end with LF there."""
    return hashlib.sha256(octets.replace(b"\r\n", b"\n")).hexdigest()


def instant(date):
    return calendar.timegm(time.strptime(date[1:21].decode().strip(), "%d-%b-%Y %H:%M:%S")) - \
        int(date[22:25] + b"0") * 360 - int(date[22:23] + date[25:27]) * 60


def untagged(octets):
    """mbsync marks what it copies, here or there."""
    return digest_of(re.sub(rb"^X-TUID: [^\n]*\n", b"", octets, count=1, flags=re.M))


def words_of(octets):
    """offlineimap writes a mail as Python's email package does: blanks are other ones, and
    a multipart that does not end gets its end."""
    octets = re.sub(rb"(\s+--\S+--)+\s*$", b"", octets)
    return hashlib.sha256(b" ".join(octets.replace(b":", b": ").split())).hexdigest()


class Account:
    """What the server has, and changes made there."""

    def __init__(self, relay, user):
        self.m = imaplib.IMAP4("127.0.0.1", relay.imap, timeout=3 * real.LIMIT)
        self.m.login(user, PASSWORD)

    def names(self):
        return [re.search(rb' "?([^"]+)"?$', line).group(1).decode() for line in self.m.list()[1]]

    def folder(self, name, digest=digest_of):
        """uid -> Mail"""
        self.m.select(f'"{name}"', readonly=True)
        all_ = {}
        for part in self.m.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]:
            if isinstance(part, tuple):
                found = re.search(rb"UID (\d+) FLAGS \(([^)]*)\) INTERNALDATE (\"[^\"]*\")", part[0])
                flags = frozenset(found[2].split()) - {b"\\Recent"}
                all_[int(found[1])] = Mail(digest(part[1]), flags, found[3])
        return all_

    def everything(self):
        return {name: sorted(self.folder(name).values(), key=lambda x: (x.digest, x.date))
                for name in self.names()}

    def close(self):
        self.m.logout()


class Maildirs:
    """What a client has made of it; changes are files that come, go and are renamed."""

    def __init__(self, root, path_of, digest=digest_of):
        self.root, self.path_of, self.digest, self.added = root, path_of, digest, 0

    def files(self, name):
        base = os.path.join(self.root, self.path_of(name))
        return sorted(glob.glob(glob.escape(base) + "/cur/*") +
                      glob.glob(glob.escape(base) + "/new/*"))

    @staticmethod
    def letters_of(path):
        """mbsync's P is $Forwarded; who renames a file must keep it."""
        return set(path.rsplit(":2,", 1)[1]) if ":2," in path else set()

    def flags_of(self, path):
        return "".join(sorted(self.letters_of(path) & set("SRFD")))

    def folder(self, name):
        found = []
        for path in self.files(name):
            with open(path, "rb") as f:
                found.append((self.digest(f.read()), self.flags_of(path)))
        return sorted(found)

    def flag(self, name, which, letter):
        for path in self.files(name)[which]:
            letters = self.letters_of(path) | {letter}
            base = os.path.basename(path).rsplit(":2,", 1)[0]
            os.rename(path, os.path.join(os.path.dirname(os.path.dirname(path)), "cur",
                                         f"{base}:2,{''.join(sorted(letters))}"))

    def unflag(self, name, which, letter):
        for path in self.files(name)[which]:
            letters = self.letters_of(path) - {letter}
            os.rename(path, f"{path.rsplit(':2,', 1)[0]}:2,{''.join(sorted(letters))}"
                      if ":2," in path else path)

    def drop(self, name, which):
        for path in self.files(name)[which]:
            os.unlink(path)

    def add(self, name, numbers):
        base = os.path.join(self.root, self.path_of(name), "cur")
        for i in numbers:
            self.added += 1
            with open(os.path.join(base, f"17000{i:05d}.{os.getpid()}_{self.added}.here:2,S"),
                      "wb") as f:
                f.write(mails.mail(i).replace(b"\r\n", b"\n"))


class Alike(Reading):
    def fill(self, relay, first, n, name):
        """APPENDs, all sent at once."""
        octets = [f"a LOGIN {USER} \"{PASSWORD}\"\r\n".encode(), f'b CREATE "{name}"\r\n'.encode()]
        for i in range(first, first + n):
            text = mails.mail(i)
            octets += [f'c{i} APPEND "{name}" ({" ".join(mails.flags(i))}) "{mails.date(i)}" '
                       f"{{{len(text)}+}}\r\n".encode(), text, b"\r\n"]
        octets.append(b"z LOGOUT\r\n")
        with socket.create_connection(("127.0.0.1", relay.imap), timeout=3 * real.LIMIT) as s:
            sender = threading.Thread(target=s.sendall, args=(b"".join(octets),))
            sender.start()
            with s.makefile("rb") as f:
                answers = f.read()
            sender.join()
        self.assertEqual(answers.count(b" OK [APPENDUID"), n, answers[-500:])

    def filled(self):
        relay = self.reading("limits { account-sessions = 100 }\n")
        part = MAILS // 10
        with smtplib.SMTP("127.0.0.1", relay.port) as c:
            for i in range(2 * part):
                c.sendmail("a@b.test", ["alice@office.test"], mails.mail(i))
        code, out = self.run_client(["node", os.path.join(HERE, "nodemailer.js"), str(relay.port),
                                     "alice@office.test", str(part)], env=self.node())
        self.assertEqual((code, out), (0, f"{part} taken\n"))
        self.fill(relay, 2 * part, 5 * part, "INBOX")
        self.fill(relay, 7 * part, 2 * part, ARCHIVE)
        return relay

    @staticmethod
    def node():
        return {**os.environ, "NODE_PATH": os.path.join(real.PEERS, "node", "node_modules")}

    def runs(self, args, **more):
        code, out = self.run_client(args, env={**os.environ, "HOME": self.dir, **more})
        self.assertEqual(code, 0, out[-3000:])
        return out

    def offline(self, relay):
        rc, root = os.path.join(self.dir, "offlineimaprc"), os.path.join(self.dir, "offline")
        with open(rc, "w", encoding="ascii") as f:
            f.write(f"""[general]
accounts = a
metadata = {self.dir}/offline-state
ui = quiet
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {root}
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = {relay.imap}
remoteuser = {USER}
remotepass = {PASSWORD}
ssl = no
starttls = no
""")
        return Maildirs(root, lambda name: name.replace("/", "."), words_of), \
            lambda: self.runs(["offlineimap", "-c", rc, "-o"])

    def interimap(self, relay):
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
        return lambda: self.runs(["interimap", f"--config={rc}"])

    def together(self, *works):
        failed = []

        def run(work):
            try:
                work()
            except Exception as e:  # pylint: disable=broad-except
                failed.append(e)
        threads = [threading.Thread(target=run, args=(w,)) for w in works]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(failed, [])

    def same(self, account, near):
        """Message by message and flag by flag; how many."""
        count = 0
        for name in account.names():
            far = sorted((m.digest, "".join(sorted(LETTERS[f] for f in m.flags if f in LETTERS)))
                         for m in account.folder(name, near.digest).values())
            here = near.folder(name)
            self.assertEqual(len(here), len(far), (name, sorted(set(far) - set(here))[:5]))
            self.assertEqual(sorted(set(here) - set(far))[:5], [], name)
            self.assertEqual(here, far, name)
            count += len(far)
        return count

    def test_two_at_once(self):
        relay = self.filled()
        relay.add_user("bob", PASSWORD, "--address", "bob@office.test")
        offline, sync_offline = self.offline(relay)
        interimap = self.interimap(relay)
        maildirs = Maildirs(os.path.join(self.dir, "one", "mail"), lambda name: name,
                            untagged)

        def sync_mbsync():
            self.mbsync(relay, "one")

        # all of it, by both at once
        self.together(sync_mbsync, sync_offline)
        alice = Account(relay, USER)
        self.assertEqual(self.same(alice, maildirs), MAILS)
        self.assertEqual(self.same(alice, offline), MAILS)

        # changes everywhere, some to the same mails; each side has its own new and lost ones
        k, before = MAILS // 20, alice.folder("INBOX")
        maildirs.flag("INBOX", slice(0, 2 * k), "F")
        maildirs.unflag("INBOX", slice(2 * k, 3 * k), "S")
        maildirs.drop("INBOX", slice(3 * k, 4 * k))
        maildirs.add("INBOX", range(10 * MAILS, 10 * MAILS + k))
        maildirs.add(ARCHIVE, range(11 * MAILS, 11 * MAILS + k))
        offline.flag("INBOX", slice(k, 3 * k), "R")
        offline.drop("INBOX", slice(5 * k, 6 * k))
        offline.drop(ARCHIVE, slice(0, k))
        offline.add("INBOX", range(12 * MAILS, 12 * MAILS + k))
        here = Account(relay, USER)
        uids = sorted(before)

        def change_here():
            here.m.select("INBOX")
            here.m.uid("STORE", f"{uids[6 * k]}:{uids[7 * k]}", "+FLAGS.SILENT", "(\\Answered odd)")
            here.m.uid("MOVE", f"{uids[8 * k]}:{uids[9 * k]}", f'"{ARCHIVE}"')
            here.m.uid("COPY", f"{uids[10 * k]}:{uids[11 * k]}", "Sent")
            for i in range(13 * MAILS, 13 * MAILS + k):
                here.m.append("INBOX", "(\\Flagged $late)", f'"{mails.date(i)}"', mails.mail(i))

        self.together(sync_mbsync, sync_offline, change_here, interimap)
        self.together(sync_mbsync, sync_offline)
        # interimap settles what both accounts have changed, and writes that to both; then the
        # others have to hear of it
        for sync in (interimap, sync_mbsync, sync_offline, sync_mbsync, interimap):
            sync()
        here.close()
        count = self.same(alice, maildirs)
        self.assertEqual(self.same(alice, offline), count)
        # 4 k new, k+1 copied, k gone from mbsync's INBOX, and k from each of offlineimap's,
        # but for those that several have lost
        self.assertLessEqual(MAILS + 5 * k + 1 - 3 * k, count)
        self.assertLessEqual(count, MAILS + 5 * k + 1 - k)
        # what no Maildir can say is what it was
        after = alice.folder("INBOX")
        for uid in set(before) & set(after):
            self.assertEqual(after[uid].date, before[uid].date)
            self.assertEqual(after[uid].digest, before[uid].digest)
            own = {f for f in before[uid].flags if not f.startswith(b"\\")}
            self.assertEqual({f for f in after[uid].flags if not f.startswith(b"\\")} - {b"odd"},
                             own)
        # the other account: everything, dates and keywords included
        bob = Account(relay, "bob")
        one, other = alice.everything(), bob.everything()
        self.assertEqual(sorted(one), sorted(other))
        for name, all_ in one.items():
            self.assertEqual(all_, other[name], name)
        bob.close()
        alice.close()
        done = relay.ctl("spool-check")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_read_by_each(self):
        """mutt, fetchmail, curl, imapflow: every mail as it is; two at a time."""
        relay = self.filled()
        alice = Account(relay, USER)
        inbox = alice.folder("INBOX")
        wanted = sorted(m.digest for m in inbox.values())
        archive = alice.folder(ARCHIVE)

        def curl():
            out = os.path.join(self.dir, "curl")
            os.mkdir(out)
            self.runs(["curl", "-sSk", "--user", f"{USER}:{PASSWORD}", "-o", f"{out}/#1",
                       f"imap://127.0.0.1:{relay.imap}/INBOX;UID=[1-{max(inbox)}]"])
            found = []
            for name in os.listdir(out):
                with open(os.path.join(out, name), "rb") as f:
                    found.append(digest_of(f.read()))
            self.assertEqual(sorted(found), wanted)

        def imapflow():
            out = self.runs(["node", os.path.join(HERE, "imapflow_all.js"), str(relay.imap), USER,
                             PASSWORD, "INBOX", "Again"], NODE_PATH=self.node()["NODE_PATH"])
            self.assertEqual(out, f"{len(inbox)}\n")

        def fetchmail():
            rc, box = os.path.join(self.dir, "rc"), os.path.join(self.dir, "batch")
            with open(rc, "w", encoding="ascii") as f:
                f.write(f'poll 127.0.0.1 port {relay.imap} protocol imap user "{USER}" '
                        f'password "{PASSWORD}" folder "{ARCHIVE}" sslproto "" bsmtp "{box}" '
                        'fetchall keep\n')
            os.chmod(rc, 0o600)
            code, out = self.run_client(["fetchmail", "-f", rc, "--nosyslog"],
                                        env={**os.environ, "FETCHMAILHOME": self.dir,
                                             "HOME": self.dir})
            self.assertEqual(code, 0, out[-2000:])
            with open(box, "rb") as f:
                text = f.read()
            for i in range(MAILS // 10 * 7, MAILS // 10 * 9):
                self.assertIn(f"\nMessage-ID: <m{i}@far.test>".encode(), text)

        def mutt():
            rc, box = os.path.join(self.dir, "muttrc"), os.path.join(self.dir, "mutt-copy")
            with open(rc, "w", encoding="ascii") as f:
                f.write(f"""set imap_user = {USER}
set imap_pass = "{PASSWORD}"
set ssl_starttls = no
set ssl_force_tls = no
set folder = imap://127.0.0.1:{relay.imap}/
set spoolfile = +INBOX
set confirmappend = no
set confirmcreate = no
set mbox_type = Maildir
set quit = yes
set sleep_time = 0
push "<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{box}<enter><quit>"
""")
            self.runs(["script", "-qec", f"mutt -R -F {rc}", "/dev/null"], TERM="xterm")
            found = []
            for path in glob.glob(box + "/cur/*") + glob.glob(box + "/new/*"):
                with open(path, "rb") as f:
                    found.append(re.search(rb"^Message-ID: (\S+)", f.read(), re.M | re.I)[1])
            self.assertEqual(len(set(found)), len(inbox))

        self.together(curl, imapflow)
        self.together(fetchmail, mutt)
        again = alice.folder("Again")
        self.assertEqual(sorted(m.digest for m in again.values()), wanted)
        seen = {b"\\Seen"}  # curl reads them at the same time
        for old, new in zip(sorted(inbox), sorted(again)):
            self.assertEqual(inbox[old].flags - seen, again[new].flags - seen)
            self.assertEqual(instant(inbox[old].date), instant(again[new].date))
        self.assertEqual(len(alice.folder(ARCHIVE)), len(archive))
        alice.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
