# SPDX-License-Identifier: ISC
"""The case "pickup": 10,000 mails of 4 KiB picked up by POP3, from relayd and, in
the same run and turn by turn, from Dovecot's pop3d on a Maildir (its Debian packages,
unpacked beside and started in a mount namespace of its own; needs root, else it is left
out); and what an idle session costs."""
import json
import os
import poplib
import shutil
import statistics
import subprocess
import tempfile

import real
import table

MAILS, SIZE, SESSIONS = 10000, 4096, 1000
TICKS = os.sysconf("SC_CLK_TCK")
USER, PASSWORD = "bench", "secret"

DOVECOT = """
base_dir = {dir}/run
state_dir = {dir}/run
protocols = pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
log_path = {dir}/log
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = daemon
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={dir}/home mail=maildir:{dir}/home/Maildir
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
  chroot =
}}
service anvil {{
  chroot =
}}
"""


def client(port):
    done = subprocess.run([os.path.join(real.BUILD, "pop"), "127.0.0.1", str(port), USER, PASSWORD],
                          stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    return json.loads(done.stdout)


def cpu_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


class Relayd:
    def __init__(self, directory):
        self.pop = real.free_port()
        self.relay = real.Relay(
            directory, f'listener "pop" {{ bind = {{"127.0.0.1:{self.pop}"}} protocol = "pop3" '
            'tls = "none" auth-in-clear = true }\n'
            'route "held" { to = {"held.test"} deliver = "mailbox" }\n'
            f'limits {{ messages = 1000000 client-connections = {2 * SESSIONS} }}\n'
            'log { level = "warn" }\n')
        self.relay.process = real.Process(
            [os.path.join(real.BUILD, "relayd"), "-c", self.relay.file])
        real.wait_for("relayd", lambda: os.path.exists(os.path.join(directory, "control.sock")))
        self.relay.add_user(USER, PASSWORD, "--address", "r0@held.test")
        self.pid = self.relay.process.child.pid

    def fill(self):
        subprocess.run([os.path.join(real.BUILD, "load"), "--to", f"127.0.0.1:{self.relay.port}",
                        "--messages", str(MAILS), "--connections", "20", "--size", str(SIZE),
                        "--domain", "held.test", "--per-connection", "500"],
                       stdout=subprocess.DEVNULL, check=True, timeout=300)

    def retrieve(self):
        before = cpu_of(self.pid)
        got = client(self.pop)
        got["cpu_s_per_1000"] = (cpu_of(self.pid) - before) / MAILS * 1000
        return got

    def idle(self):
        """KiB of one session that has signed in and says nothing."""
        for i in range(SESSIONS):
            done = self.relay.ctl("user", "add", f"u{i}", "--hash-stdin", stdin=hash_of(PASSWORD))
            if done.returncode:
                raise SystemExit(done.stderr)
        sessions, before = [], resident_kib(self.pid)
        for i in range(SESSIONS):
            p = poplib.POP3("127.0.0.1", self.pop)
            p.user(f"u{i}")
            p.pass_(PASSWORD)
            sessions.append(p)
        cost = (resident_kib(self.pid) - before) / SESSIONS
        for p in sessions:
            p.close()
        return cost

    def stop(self):
        self.relay.stop()


def hash_of(password):
    done = subprocess.run(["openssl", "passwd", "-6", "-salt", "benchbench", password],
                          stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


class Dovecot:
    def __init__(self, directory, settings=None, packages=("dovecot-core", "dovecot-pop3d")):
        self.port = real.free_port()
        box = os.path.join(directory, "home", "Maildir")
        for d in ("new", "cur", "tmp"):
            os.makedirs(os.path.join(box, d))
        os.mkdir(os.path.join(directory, "run"))
        body = "".join(f"line {i:04d} of a body of ordinary width, as people write\r\n"
                       for i in range(100))
        for i in range(MAILS):
            text = f"From: a@b.test\r\nTo: c@d.test\r\nSubject: number {i:05d}\r\n\r\n{body}"
            with open(f"{box}/cur/{1700000000 + i}.M{i}P1.h:2,", "w", newline="",
                      encoding="ascii") as f:
                f.write(text[:SIZE - 2] + "\r\n")
        subprocess.run(["chown", "-R", "nobody:nogroup", os.path.join(directory, "home")],
                       check=True)
        os.chmod(directory, 0o755)
        conf = os.path.join(directory, "dovecot.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write((settings or DOVECOT).format(dir=directory, port=self.port, password=PASSWORD))
        usr = ":".join(os.path.join(real.PEERS, p, "usr") for p in packages)
        self.process = real.Process(
            ["unshare", "-m", "sh", "-c", f"mount -t overlay overlay -o lowerdir={usr}:/usr /usr && "
             f"exec dovecot -F -c {conf}"])
        real.wait_for("dovecot", self.answers)

    def answers(self):
        try:
            poplib.POP3("127.0.0.1", self.port).quit()
            return True
        except OSError:
            return False

    def retrieve(self):
        return client(self.port)

    def stop(self):
        self.process.stop()


def dovecot_possible():
    return os.geteuid() == 0 and all(os.path.isdir(os.path.join(real.PEERS, p))
                                     for p in ("dovecot-core", "dovecot-pop3d"))


def run(options):
    scratch = options.scratch
    servers, results = {}, {}
    directories = [tempfile.mkdtemp(prefix="bench-pickup.", dir=scratch) for _ in range(2)]
    try:
        servers["relayd"] = Relayd(directories[0])
        servers["relayd"].fill()
        if dovecot_possible():
            servers["dovecot"] = Dovecot(directories[1])
        print(f"\nPOP3: {MAILS} mails of {SIZE} octets, one client, no pipelining")
        print(f"{'server':<10} {'sign in + STAT, s':>18} {'RETR/s':>8} {'spread':>7} {'CPU s/1000':>11}")
        for name in servers:
            results[name] = []
        for _ in range(options.runs + 1):  # the first fills caches, and is shown alone
            for name, server in servers.items():
                results[name].append(server.retrieve())
        for name, runs in results.items():
            warm = runs[1:]
            rates = [r["rate"] for r in warm]
            middle = statistics.median(rates)
            cpu = statistics.median(r.get("cpu_s_per_1000", 0) for r in warm)
            opened = statistics.median(r["open_s"] for r in warm)
            print(f"{name:<10} {runs[0]['open_s']:>8.3f}, {opened:<8.4f} {middle:>8.0f} "
                  f"{(max(rates) - min(rates)) / middle * 100:>6.0f}% "
                  f"{f'{cpu:.3f}' if cpu else '-':>11}", flush=True)
        if "dovecot" in results:
            ratio = (statistics.median(r["rate"] for r in results["relayd"][1:]) /
                     statistics.median(r["rate"] for r in results["dovecot"][1:]))
            print(f"relayd retrieves {ratio:.2f} times as fast")
        idle = servers["relayd"].idle()
        print(f"an idle session that has signed in: {idle:.1f} KiB")
        results["idle_kib"] = idle
    finally:
        for server in servers.values():
            server.stop()
        for d in directories:
            shutil.rmtree(d, True)
    table.save(options, "pickup", results)
