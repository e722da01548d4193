#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""What an administrator does with the relay as a whole: its shape, draining, copies of the
spool under load, a bundle for whoever helps, other programs' names, completion, and
Postfix's configuration."""
import glob
import io
import json
import os
import pty
import re
import select
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tarfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import real  # noqa: E402
from real import wait_for  # noqa: E402

HOLD = 'route "world" { deliver = "hold" }'
BIG = "x" * 70 + "\n"


class Admin(real.RealTest):
    def send(self, relay, to, body="hello\n"):
        with smtplib.SMTP("127.0.0.1", relay.port, timeout=real.LIMIT) as s:
            s.sendmail("me@relay.test", to, f"Subject: hi\n\n{body}")

    def as_name(self, relay, name, *args):
        link = os.path.join(self.dir, name)
        if not os.path.lexists(link):
            os.symlink(os.path.join(real.BUILD, "relayctl"), link)
        return subprocess.run([link, *args], env=dict(os.environ, RELAYD_CONF=relay.file),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=real.LIMIT, check=False)

    def test_shape(self):
        relay = self.relay('route "here" { to = {"a.test"} deliver = "hold" }\n' + HOLD)
        for to in ("x@a.test", "y@A.test", "z@b.test"):
            self.send(relay, [to])

        def shape(*args):
            lines = [json.loads(line) for line in
                     relay.ctl("--json", "shape", *args).stdout.splitlines()]
            self.assertIsNone(lines[0]["name"])
            self.assertEqual(len(lines[0]["until_s"]) + 1, len(lines[0]["buckets"]))
            return lines[0]["recipients"], {x["name"]: x["buckets"] for x in lines[1:]}

        for _ in range(2):
            total, rows = shape("--buckets", "2", "--bucket", "1h")
            self.assertEqual((total, rows), (3, {"a.test": [2, 0, 0], "b.test": [1, 0, 0]}))
            self.assertEqual(set(shape("--sender")[1]), {"relay.test"})
            self.assertEqual(set(shape("--by", "route")[1]), {"here", "world"})
            self.assertEqual(set(shape("--error")[1]), {"(not tried yet)"})
            self.assertEqual(shape("--route", "here")[0], 2)
            self.assertEqual(relay.ctl("shape", "--by", "moon", check=False).returncode, 2)
            table = relay.ctl("shape").stdout.splitlines()
            self.assertRegex(table[0], r"^ +T +5m +10m .* 42h\+$")
            self.assertRegex(table[1], r"^ +TOTAL +3 +3 +0")
            self.assertRegex(self.as_name(relay, "qshape", "hold").stdout, r"(?m)^ +a\.test +2 +2")
            if relay.process.child.poll() is None:
                relay.stop()  # the second time in the spool alone

    def test_drain(self):
        sink = self.sink()
        relay = self.relay(f'route "to" {{ via = {{"127.0.0.1:{sink.port}"}} }}')
        self.assertIn("would refuse", relay.ctl("drain", "--dry-run").stdout)
        self.send(relay, ["a@example.org"])
        relay.ctl("pause", "route:to")
        self.send(relay, ["b@example.org"])
        done = relay.ctl("drain")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"drained; .*: \d delivered, 0 deferred, 0 returned; 1 rec")
        with self.assertRaises(smtplib.SMTPException):
            self.send(relay, ["c@example.org"])
        relay.ctl("resume", "in")
        relay.ctl("resume", "route:to")
        relay.wait_empty()

    def test_dry_runs(self):
        relay = self.relay(HOLD)
        for words in (["pause", "in"], ["resume", "out"], ["reload"], ["pause", "example.org"]):
            done = relay.ctl("--json", *words, "--dry-run")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(json.loads(done.stdout)["dry_run"])
        self.send(relay, ["a@example.org"])  # nothing was paused
        with open(relay.file, "a", encoding="utf-8") as f:
            f.write("nonsense = 1\n")
        done = subprocess.run([os.path.join(real.BUILD, "relayctl"), "reload", "--dry-run"],
                              env=dict(os.environ, RELAYD_SOCKET=self.dir + "/control.sock"),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=real.LIMIT, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("nonsense", done.stdout)

    def test_dry_runs_of_accounts(self):
        """The same words with relayd running and stopped; nothing is changed, asked or made."""
        relay = self.relay('mailboxes { }\nroute "here" { to = {"a.test"} deliver = "mailbox" }\n'
                           + HOLD)
        relay.add_user("ann", "open sesame", "--address", "ann@a.test")
        self.send(relay, ["ann@a.test"])

        def accounts():
            lines = [json.loads(x) for x in relay.ctl("--json", "user", "list").stdout.splitlines()]
            return [{k: v for k, v in x.items() if k not in ("messages", "octets", "last_pickup")}
                    for x in lines]
        before = accounts()
        for running in (True, False):
            for words, status, said in (
                    (["add", "bob", "--address", "bob@a.test"], 0, "would add account bob\n"),
                    (["add", "ann"], 1, "is there such an account"),
                    (["add", "ann", "--keep-mail"], 1, "already"),
                    (["add", "bob", "--address", "b o b"], 2, "b o b"),
                    (["passwd", "ann"], 0, "would change the password of ann\n"),
                    (["passwd", "bob"], 1, "no account"),
                    (["set", "ann", "--disable"], 0, "would change account ann\n"),
                    (["set", "ann"], 2, "say what to set"),
                    (["delete", "ann", "--keep-mail"], 0,
                     "would delete account ann" + (", which holds 1 mail\n" if running else "\n")),
                    (["delete", "ann"], 1, "holds 1 mail"),
                    (["secret", "add", "ann", "page", "--service", "queue"], 0,
                     "would add a secret to ann: page\n"),
                    (["secret", "delete", "ann", "page"], 1, "no secret"),
                    (["list"], 2, "--dry-run has no meaning here")):
                done = relay.ctl("user", *words, "--dry-run", check=False)
                self.assertEqual(done.returncode, status, (words, done.stderr, done.stdout))
                self.assertIn(said, done.stdout + done.stderr, words)
            self.assertEqual(accounts(), before)
            if running:
                self.assertFalse([x for x in relay.process.lines
                                  if " admin what=user-" in x and "what=user-add " not in x])
                relay.stop()

    def test_many_share_commits(self):
        relay = self.relay(HOLD)
        with smtplib.SMTP("127.0.0.1", relay.port, timeout=real.LIMIT) as s:
            for i in range(250):
                s.sendmail("me@relay.test", [f"u{i}@a.test"], "Subject: hi\n\nhello\n")

        def commits():
            return json.loads(relay.ctl("--json", "status").stdout.splitlines()[0])["spool"]["commits"]
        before = commits()
        done = json.loads(relay.ctl("--json", "delete", "--all").stdout.splitlines()[0])
        self.assertEqual((done["messages"], done["applied"]), (250, 250))
        self.assertLess(commits() - before, 125)
        self.assertEqual(relay.queue(), [])

    def test_gone_in_the_middle(self):
        """Who has asked for much and leaves is not waited for, and leaves nothing behind."""
        relay = self.relay(HOLD)
        with smtplib.SMTP("127.0.0.1", relay.port, timeout=real.LIMIT) as s:
            for i in range(450):
                s.sendmail("me@relay.test", [f"u{i}@a.test"], "Subject: hi\n\nhello\n")
        for action in ("release", "hold", "bounce", "delete") * 3:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(os.path.join(self.dir, "control.sock"))
                s.sendall(json.dumps({"v": 1, "cmd": action, "selector": {"all": True}}).encode() +
                          b"\n")

        def emptied():
            relay.ctl("delete", "--all", check=False)
            return not relay.queue("--limit", "1")
        wait_for("an empty queue", emptied)
        self.assertEqual(relay.ctl("spool", "check").stdout, "0 violations\n")

    def test_backup_under_load(self):
        sink = self.sink()
        relay = self.relay(f'route "to" {{ via = {{"127.0.0.1:{sink.port}"}} }}')
        relay.stop()
        with open(relay.file, encoding="utf-8") as f:
            text = f.read()
        with open(relay.file, "w", encoding="utf-8") as f:  # all of it in files of their own
            f.write(text.replace('min-free = "16M"', 'min-free = "16M" inline-max = "4K"'))
        relay.start()
        load = subprocess.Popen(
            [os.path.join(real.BUILD, "load"), "--to", f"127.0.0.1:{relay.port}", "--connections", "4",
             "--messages", "3000", "--size", "9000"], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        wait_for("mail", lambda: sink.ledger())
        copies = 0
        while load.poll() is None or copies == 0:
            target = os.path.join(self.dir, f"copy{copies}")
            done = relay.ctl("--json", "spool", "backup", target)
            self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
            report = json.loads(done.stdout)
            self.assertEqual(report["action"], "backup")
            self.assertGreaterEqual(report["bytes_grown"], 0)
            copies += 1
        said = load.communicate()[0]
        self.assertEqual(load.returncode, 0, said)
        relay.wait_empty()
        # what was kept for the copies has gone
        big = os.path.join(self.dir, "spool", "big")
        wait_for("no large files", lambda: not glob.glob(big + "/*/*"))
        self.assertEqual(relay.ctl("spool", "check").stdout, "0 violations\n")

    def test_backup_and_restore(self):
        relay = self.relay(HOLD)
        for i in range(20):
            self.send(relay, [f"a{i}@example.org"], BIG * (8000 if i == 7 else 1))
        relay.add_user("ann", "open sesame")
        copy = os.path.join(self.dir, "copy")
        self.assertIn("would backup", relay.ctl("spool", "backup", copy, "--dry-run").stdout)
        self.assertFalse(os.path.exists(copy))
        self.assertEqual(relay.ctl("spool", "backup", copy + "/").returncode, 0)
        self.assertEqual(os.stat(copy).st_mode & 0o777, 0o700)
        again = relay.ctl("spool", "backup", copy)
        self.assertEqual(again.returncode, 1)
        self.assertIn("is there already", again.stderr)
        nowhere = relay.ctl("spool", "backup", os.path.join(self.dir, "no", "where"))
        self.assertEqual(nowhere.returncode, 1)
        self.assertIn("No such file", nowhere.stderr)
        self.assertIn("relayd has this spool", relay.ctl("spool", "compact").stderr)
        refused = relay.ctl("spool", "restore", copy)
        self.assertIn("only restored into an empty directory", refused.stderr)
        before = relay.ctl("--json", "queue").stdout
        relay.stop()
        spool = os.path.join(self.dir, "spool")
        # of a stopped spool, too
        self.assertEqual(relay.ctl("spool", "backup", copy + "2").returncode, 0)
        shutil.move(spool, spool + ".lost")
        damaged = os.path.join(self.dir, "damaged")
        shutil.copytree(copy, damaged)
        with open(glob.glob(damaged + "/big/*/*")[0], "r+b") as f:
            f.seek(1000)
            f.write(b"?")
        bad = relay.ctl("spool", "restore", damaged)
        self.assertEqual(bad.returncode, 1)
        self.assertIn("not whole", bad.stderr)
        self.assertFalse(os.path.exists(spool))
        done = relay.ctl("spool", "restore", copy)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("20 waiting messages", done.stdout)
        relay.start()
        strip = re.compile(r'"age_s":\d+')
        self.assertEqual(strip.sub("", relay.ctl("--json", "queue").stdout), strip.sub("", before))
        self.assertIn("ann", relay.ctl("user", "list").stdout)

    def test_backup_leaves_room(self):
        """A copy is never what makes relayd refuse mail."""
        relay = self.relay(HOLD)
        self.send(relay, ["a@example.org"])
        with open(relay.file, encoding="utf-8") as f:
            text = f.read()
        with open(relay.file, "w", encoding="utf-8") as f:
            f.write(text.replace('min-free = "16M"', 'min-free = "1023T"'))
        done = relay.ctl("spool", "backup", os.path.join(self.dir, "copy"))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"given up: the disk of the spool has \S+ left, and spool "
                                      r"\{ min-free \} is 1023T; .* copy to another disk")
        self.assertFalse(os.path.exists(self.dir + "/copy"))

    def test_compact(self):
        relay = self.relay(HOLD)
        for i in range(200):
            self.send(relay, [f"a{i}@example.org"], BIG * 100)
        relay.ctl("delete", "--all", "--limit", "190")
        relay.stop()
        file = os.path.join(self.dir, "spool", "data.mdb")
        before = os.stat(file).st_size
        self.assertEqual(relay.ctl("spool", "compact", "--dry-run").returncode, 0)
        self.assertEqual(os.stat(file).st_size, before)
        done = relay.ctl("spool", "compact")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(os.stat(file).st_size, before / 4)
        self.assertEqual(relay.ctl("spool", "check").stdout, "0 violations\n")
        relay.start()
        self.assertEqual(len(relay.queue()), 10)

    def test_bundle_has_no_secret(self):
        secret = os.path.join(self.dir, "provider.pw")
        with open(secret, "w", encoding="ascii") as f:
            f.write("Tr0mbone-secret\n")
        os.chmod(secret, 0o600)
        relay = self.relay('# my old password: Saxoph0ne\n'
                           f'route "p" {{ via = {{"127.0.0.1:9"}} user = "me" tls = "required" '
                           f'secret-file = "{secret}" }} // Clar1net\n/* 0boe */\n' + HOLD)
        relay.add_user("ann", "Tuba-secret")
        self.send(relay, ["a@example.org"], "Bass00n\n")
        with open(self.dir + "/spool/accounts/accounts", "rb") as f:
            hashes = re.findall(rb"\$y\$[^\s\"]+", f.read())
        self.assertTrue(hashes)
        file = os.path.join(self.dir, "help.tar")
        self.assertEqual(relay.ctl("support-bundle", file).returncode, 0)
        self.assertEqual(os.stat(file).st_mode & 0o777, 0o600)
        with open(file, "rb") as f:
            whole = f.read()
        for word in (b"Tr0mbone", b"Saxoph0ne", b"Clar1net", b"0boe", b"Tuba", b"Bass00n",
                     *hashes):
            self.assertNotIn(word, whole)
        with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
            parts = {os.path.basename(m.name): tar.extractfile(m).read().decode()
                     for m in tar.getmembers()}
        self.assertIn('route "world"', parts["relayd.conf"])
        self.assertIn("secret-file", parts["relayd.conf"])
        self.assertEqual(json.loads(parts["spool.json"])["messages"], 1)
        self.assertIn("log.txt", parts)
        self.assertEqual(relay.ctl("support-bundle", file).returncode, 1)  # never over another
        # what is named like a secret goes whatever it is
        for words, gone in (('password = "x1y2"', "x1y2"), ('tokens = {"a1", \'b2\'}', "b2"),
                            ('socks = {"socks5://joe:pw99@h:1"}', "pw99")):
            with open(relay.file, "a", encoding="utf-8") as f:
                f.write(words + "\n")
            done = relay.ctl("support-bundle", "-")
            self.assertNotIn(gone, done.stdout)
            self.assertIn(words.split()[0], done.stdout)

    def test_other_names(self):
        relay = self.relay(HOLD)
        self.assertEqual(self.as_name(relay, "mailq").stdout, "Mail queue is empty\n")
        self.send(relay, ["a@example.org", "b@example.org"])
        said = self.as_name(relay, "mailq").stdout
        self.assertRegex(said, r"(?m)^-Queue ID-  +--Size-- ----Arrival Time---- -Sender/Recipient")
        self.assertRegex(said, r"(?m)^\w{13}! +\d+ \w{3} \w{3} .* me@relay\.test$")
        self.assertRegex(said, r"-- \d+ Kbytes in 1 Request\.\n$")
        self.assertEqual(said, self.as_name(relay, "postqueue", "-p").stdout)
        line = json.loads(self.as_name(relay, "postqueue", "-j").stdout)
        self.assertEqual([r["address"] for r in line["recipients"]],
                         ["a@example.org", "b@example.org"])
        for words in (["-f"], ["-i", line["queue_id"]], ["-s", "example.org"]):
            self.assertIn("retry", self.as_name(relay, "postqueue", *words).stdout +
                          self.as_name(relay, "postqueue", *words).stdout.replace("nothing", "retry"))
        self.assertEqual(self.as_name(relay, "postqueue").returncode, 2)
        self.assertEqual(self.as_name(relay, "postqueue", "-p", "-j").returncode, 2)
        self.assertIn("nothing to do", self.as_name(relay, "newaliases").stdout)

    def test_colours(self):
        relay = self.relay(HOLD)
        self.send(relay, ["a@example.org"])
        queue = f"{real.BUILD}/relayctl -c {relay.file} queue"

        def on_terminal(**env):
            return subprocess.run(["script", "-qec", queue, "/dev/null"],
                                  env=dict(os.environ, TERM="xterm", **env),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True,
                                  timeout=real.LIMIT).stdout
        self.assertIn(b"\x1b[35mheld", on_terminal())
        self.assertNotIn(b"\x1b[", on_terminal(NO_COLOR="1"))
        self.assertIn(b"\x1b[", on_terminal(NO_COLOR=""))
        self.assertNotIn("\x1b", relay.ctl("queue").stdout)

    def test_progress(self):
        relay = self.relay(HOLD)
        self.send(relay, ["a@example.org"])

        def on_terminal(*words):
            command = f"{real.BUILD}/relayctl -c {relay.file} spool {' '.join(words)}"
            return subprocess.run(["script", "-qec", command, "/dev/null"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True,
                                  timeout=real.LIMIT).stdout
        said = on_terminal("backup", self.dir + "/copy")
        self.assertIn(b"] 100%", said)
        self.assertTrue(said.rstrip().endswith(b"every checksum is right"), said)
        for _ in range(2):  # asked of relayd, then of the spool itself
            said = on_terminal("check")
            self.assertRegex(said, rb"checking +\[#+\] 100%")
            self.assertTrue(said.rstrip().endswith(b"\x1b[K0 violations"), said)
            done = relay.ctl("spool", "check")
            self.assertEqual((done.stdout, done.stderr), ("0 violations\n", ""))
            if relay.process.child.poll() is None:
                relay.stop()

    def test_wrong_words(self):
        relay = self.relay(HOLD)
        for words, hint in ((["shap"], 'did you mean "shape"'), (["xyz"], "relayctl --help"),
                            (["queue", "--nonsense"], "relayctl --help"),
                            (["spool"], "usage: relayctl spool"),
                            (["spool", "backup"], "usage: relayctl spool"),
                            (["spool", "stat", "--for", "1h"], "has no meaning here"),
                            (["import", "exim"], "usage: relayctl import postfix")):
            done = relay.ctl(*words, check=False)
            self.assertEqual(done.returncode, 2, words)
            self.assertIn(hint, done.stderr)
            self.assertLess(done.stderr.count("\n"), 10, done.stderr)


class Completion(real.RealTest):
    """The completions as their shells load them, asked as their shells ask."""

    def bash(self, relay, *words):
        script = (f"PATH={real.BUILD}:$PATH; . /usr/share/bash-completion/bash_completion; "
                  f". {real.ROOT}/tools/completion/relayctl.bash; "
                  'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; '
                  'COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; COMP_KEY=9; _relayctl; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "--norc", "-c", script, "bash", "relayctl", *words],
                              env=dict(os.environ, RELAYD_CONF=relay.file),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=real.LIMIT, check=False)
        self.assertEqual(done.stderr, "")
        return [w.strip() for w in done.stdout.split("\n") if w.strip()]

    def test_bash(self):
        relay = self.relay(HOLD)
        with smtplib.SMTP("127.0.0.1", relay.port, timeout=real.LIMIT) as s:
            s.sendmail("me@relay.test", ["a@example.org"], "Subject: hi\n\nhello\n")
        relay.add_user("ann", "open sesame")
        queued = relay.queue()[0]["queue_id"]
        self.assertEqual(self.bash(relay, "que"), ["queue"])
        self.assertEqual(self.bash(relay, "why", ""), [queued])
        self.assertEqual(self.bash(relay, "-c", relay.file, "why", queued[:3]), [queued])
        self.assertIn("--dry-run", self.bash(relay, "delete", "--d"))
        self.assertEqual(self.bash(relay, "queue", "--state", "h"), ["held"])
        self.assertEqual(self.bash(relay, "user", "passwd", ""), ["ann"])
        self.assertEqual(self.bash(relay, "user", "secret", "a"), ["add"])
        self.assertEqual(self.bash(relay, "mailbox", "sh"), ["show"])
        self.assertEqual(self.bash(relay, "spool", "b"), ["backup"])
        self.assertEqual(self.bash(relay, "pause", "o"), ["out"])
        self.assertEqual(self.bash(relay, "shape", "--by", "r"), ["route"])

    def test_nothing_is_forgotten(self):
        """Each command of the usage is in both completions."""
        said = subprocess.run([os.path.join(real.BUILD, "relayctl"), "--help"], text=True,
                              stdout=subprocess.PIPE, check=True, timeout=real.LIMIT).stdout
        commands = set(re.findall(r"^  ([a-z][a-z-]+)  ", said, re.M)) - {"spool-check"}
        self.assertGreater(len(commands), 20)
        for file, pattern in (("relayctl.bash", r"(?<![\w-]){}(?![\w-])"),
                              ("_relayctl", r"'{}:")):
            with open(os.path.join(real.ROOT, "tools", "completion", file),
                      encoding="utf-8") as f:
                text = f.read()
            for command in commands:
                self.assertRegex(text, pattern.format(command), f"{command} in {file}")

    def zsh(self, relay, line):
        """What a line becomes, on a terminal, when it was typed and Tab was pressed."""
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update(TERM="dumb", RELAYD_CONF=relay.file,
                              PATH=real.BUILD + ":" + os.environ["PATH"])
            os.execvp("zsh", ["zsh", "-f", "-i"])
        seen = b""

        def has(pattern):
            nonlocal seen
            if select.select([fd], [], [], 0)[0]:
                seen += os.read(fd, 4096)
            return re.search(pattern, seen)
        try:
            os.write(fd, f"PS1=; fpath=({real.ROOT}/tools/completion $fpath); autoload -U compinit; "
                         "compinit -D -u; show() { print -r \"line<$BUFFER>\" }; zle -N show; "
                         "bindkey '^X' show; print rea''dy\n".encode())
            wait_for(f"zsh: {seen}", lambda: has(rb"\nready\r"))
            os.write(fd, line.encode() + b"\t\x18")
            return wait_for(f"what {line!r} becomes", lambda: has(rb"line<([^>]*)>\r"))[1].decode()
        finally:
            os.kill(pid, signal.SIGKILL)
            os.close(fd)
            os.waitpid(pid, 0)

    def test_zsh(self):
        relay = self.relay(HOLD)
        relay.add_user("annabel", "open sesame")
        for line, whole in (("relayctl stat", "relayctl status "),
                            ("relayctl spool com", "relayctl spool compact "),
                            ("relayctl user passwd ann", "relayctl user passwd annabel "),
                            ("relayctl user delete annabel --dr",
                             "relayctl user delete annabel --dry-run ")):
            self.assertEqual(self.zsh(relay, line), whole)

    def test_zsh_loads(self):
        script = (f"fpath=({real.ROOT}/tools/completion $fpath); autoload -U compinit; "
                  "compinit -D -u; autoload +X -U _relayctl && print ${_comps[relayctl]}")
        done = subprocess.run(["zsh", "-f", "-c", script], stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, timeout=real.LIMIT, check=False)
        self.assertEqual(done.stdout.strip().splitlines()[-1:], ["_relayctl"], done.stdout)


class Import(real.RealTest):
    """Configurations of Postfix as people have them."""

    def convert(self, text, **files):
        for name, content in files.items():
            with open(os.path.join(self.dir, name), "w", encoding="utf-8") as f:
                f.write(content)
        main_cf = os.path.join(self.dir, "main.cf")
        with open(main_cf, "w", encoding="utf-8") as f:
            f.write(text.replace("/etc/postfix/", self.dir + "/"))
        done = subprocess.run([os.path.join(real.BUILD, "relayctl"), "import", "postfix", main_cf],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=real.LIMIT, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        # as it stands, paths aside
        result = os.path.join(self.dir, "relayd.conf")
        for name in re.findall(r'secret-file = "/etc/relayd/([^"]+)"', done.stdout):
            with open(os.path.join(self.dir, name), "w", encoding="utf-8") as f:
                f.write("password\n")
            os.chmod(os.path.join(self.dir, name), 0o600)
        with open(result, "w", encoding="utf-8") as f:
            f.write(done.stdout.replace("/etc/relayd/", self.dir + "/").replace(
                "/var/lib/relayd", self.dir + "/spool").replace("/run/relayd/", self.dir + "/"))
        check = subprocess.run([os.path.join(real.BUILD, "relayd"), "-t", "-c", result],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               timeout=real.LIMIT, check=False)
        self.assertEqual(check.returncode, 0, check.stdout + done.stdout)
        return done.stdout, done.stderr

    def test_satellite(self):
        """What Debian's package asks for and writes: all by a smarthost."""
        out, err = self.convert("""
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no
append_dot_mydomain = no
readme_directory = no
compatibility_level = 3.6
myhostname = web1.office.example
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
mydestination = localhost
relayhost = [smtp.provider.example]:587
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
inet_interfaces = loopback-only
inet_protocols = all
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd
smtp_sasl_security_options = noanonymous
smtp_tls_security_level = encrypt
smtp_tls_CApath = /etc/ssl/certs
""", sasl_passwd="[smtp.provider.example]:587 web1@provider.example:s3cret:with-colon\n")
        self.assertIn('hostname = "web1.office.example"', out)
        self.assertIn('via = {"smtp.provider.example:587"}', out)
        self.assertIn('user = "web1@provider.example"', out)
        self.assertNotIn("s3cret", out + err)
        self.assertIn('tls = "required"', out)
        self.assertIn('bind = {"127.0.0.1:25", "[::1]:25"}', out)
        self.assertIn("NOT CARRIED OVER: line 19: smtp_tls_CApath", out)
        self.assertIn("could not be carried over", err)

    def test_office(self):
        """A gateway for a LAN with an inner server, a block list, and limits."""
        out, _ = self.convert("""
myhostname = mx.office.example
mydomain = office.example
myorigin = $mydomain
mydestination =
mynetworks = 127.0.0.0/8,
    192.168.0.0/16
relay_domains = $mydomain, branch.example
transport_maps = texthash:/etc/postfix/transport
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination,
    reject_rbl_client bl.example.net, check_sender_access hash:/etc/postfix/access
message_size_limit = 20480000
maximal_queue_lifetime = 3d
bounce_queue_lifetime = 12h
delay_warning_time = 4h
minimal_backoff_time = 300s
maximal_backoff_time = 1h
smtpd_client_connection_count_limit = 30
default_destination_concurrency_limit = 10
header_checks = regexp:/etc/postfix/header_checks
""", transport="# inside\noffice.example smtp:[192.168.0.10]:25\n.lists.example lmtp:inet:[192.168.0.11]:24\n"
            "gone.example error:no more\n")
        self.assertIn('networks = {"127.0.0.0/8", "192.168.0.0/16"}', out)
        self.assertRegex(out, r'to = \{"office.example"\}\n    inbound = true\n    via = \{"192.168.0.10:25"\}')
        self.assertRegex(out, r'to = \{"branch.example"\}\n    inbound = true\n    deliver = "mx"')
        self.assertIn('deliver = "lmtp"', out)
        self.assertIn('zone = "bl.example.net"', out)
        self.assertIn('message-size = "20480000B"', out)
        self.assertIn('expire = "3d"', out)
        self.assertIn("check_sender_access", out)
        self.assertIn("header_checks = regexp:", out)

    def test_many_upstreams(self):
        """Senders with relayhosts of their own, addresses rewritten, port 465."""
        out, _ = self.convert("""
myhostname = relay.example
mynetworks = 10.1.2.0/24
relayhost = mail.isp.example
smtp_tls_wrappermode = no
smtp_tls_security_level = secure
sender_dependent_relayhost_maps = hash:/etc/postfix/relayhosts
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = hash:/etc/postfix/sasl
smtp_generic_maps = hash:/etc/postfix/generic
smtp_bind_address = 192.0.2.9
always_bcc = archive@relay.example
virtual_alias_maps = mysql:/etc/postfix/virtual.cf
""", relayhosts="@shop.example [smtp.shop.example]:587\nboss@relay.example [smtp.boss.example]:2525\n",
            sasl="[smtp.shop.example]:587 shop:pw1\n[smtp.boss.example]:2525 boss:pw2\nmail.isp.example isp:pw3\n",
            generic="@relay.lan @relay.example\nroot@relay.lan admin@relay.example\n")
        self.assertRegex(out, r'from = \{"shop.example"\}\n    via = \{"smtp.shop.example:587"\}')
        self.assertIn('from = {"boss@relay.example"}', out)
        self.assertIn('tls = "verify"', out)
        self.assertIn('rewrite-sender = {"@relay.lan=@relay.example", '
                      '"root@relay.lan=admin@relay.example"}', out)
        self.assertIn('always-bcc = "archive@relay.example"', out)
        self.assertIn("virtual_alias_maps", out)
        self.assertIn("without brackets meant the MX", out)

    def test_never_open(self):
        out, _ = self.convert("mynetworks = 0.0.0.0/0\nmyhostname = a.example\n")
        self.assertIn("networks = {}", out)
        self.assertIn("lets anyone relay", out)

    def test_not_there(self):
        done = subprocess.run([os.path.join(real.BUILD, "relayctl"), "import", "postfix",
                               self.dir + "/none"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("say where main.cf is", done.stderr)


if __name__ == "__main__":
    real.main()
