# SPDX-License-Identifier: ISC
"""Servers of other people for the real tests, run from their unpacked packages:
a provider (Postfix with TLS, whose passwords Cyrus SASL checks), a PROXY-protocol
balancer (HAProxy) and a SOCKS5 proxy (microsocks).  Postfix's master wants to be
root; without it those tests are skipped.
"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import real  # noqa: E402

POSTFIX = os.path.join(real.PEERS, "postfix")
SASL = os.path.join(real.PEERS, "sasl2-bin")
LIBS = f"{POSTFIX}/usr/lib/postfix"


def is_root():
    return os.geteuid() == 0


# ---- certificates

class Authority:
    """A certificate authority of the test's own, by the openssl command."""

    def __init__(self, directory, name="ca"):
        self.dir = directory
        os.makedirs(directory, exist_ok=True)
        self.cert = os.path.join(directory, f"{name}.pem")
        self.key = os.path.join(directory, f"{name}.key")
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-keyout", self.key, "-out", self.cert, "-days", "3650",
                      "-subj", f"/CN=Test Authority {name}")

    @staticmethod
    def _openssl(*args, stdin=None):
        done = subprocess.run(["openssl", *args], input=stdin, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=real.LIMIT, check=False)
        if done.returncode != 0:
            raise AssertionError(f"openssl {args[0]}: {done.stderr}")
        return done.stdout

    def issue(self, name, *alternatives, days=365, start=None, rsa=False):
        """A certificate for these names: (certificate, key)."""
        base = os.path.join(self.dir, name.replace("*", "star"))
        new = ["rsa:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        self._openssl("req", "-newkey", *new, "-nodes", "-keyout", base + ".key",
                      "-out", base + ".csr", "-subj", f"/CN={name}")
        names = ",".join(f"email:{n}" if "@" in n else f"DNS:{n}" for n in (name, *alternatives))
        with open(base + ".ext", "w", encoding="ascii") as f:
            f.write(f"subjectAltName={names}\n")
        period = ["-days", str(days)]
        if start:  # (from, until) as YYYYMMDDHHMMSSZ
            return self._old(base, start)
        self._openssl("x509", "-req", "-in", base + ".csr", "-CA", self.cert, "-CAkey", self.key,
                      "-CAcreateserial", "-out", base + ".pem", "-extfile", base + ".ext",
                      *period)
        return base + ".pem", base + ".key"

    def _old(self, base, period):
        """x509 knows only days from now on; the ca command takes any dates."""
        db = os.path.join(self.dir, "db")
        os.makedirs(db, exist_ok=True)
        open(os.path.join(db, "index"), "a", encoding="ascii").close()
        config = os.path.join(db, "ca.cnf")
        with open(config, "w", encoding="ascii") as f:
            f.write(f"[ca]\ndefault_ca=x\n[x]\ndatabase={db}/index\nnew_certs_dir={db}\n"
                    "rand_serial=yes\ndefault_md=sha256\npolicy=p\nunique_subject=no\n"
                    "[p]\ncommonName=supplied\n")
        self._openssl("ca", "-batch", "-config", config, "-cert", self.cert, "-keyfile", self.key,
                      "-in", base + ".csr", "-out", base + ".pem", "-notext",
                      "-extfile", base + ".ext", "-startdate", period[0], "-enddate", period[1])
        return base + ".pem", base + ".key"

    @classmethod
    def fingerprint(cls, certificate):
        out = cls._openssl("x509", "-noout", "-fingerprint", "-sha256", "-in", certificate)
        return out.strip().split("=", 1)[1]


# ---- the provider

class Provider:
    """Postfix with STARTTLS on one port and implicit TLS on another; mail may come
    only from who signs in, and goes on to `sink` (a port)."""

    def __init__(self, directory, certificate, sink, users, mechanisms="PLAIN LOGIN", port=0):
        self.dir = os.path.join(directory, "provider")
        self.port, self.tls_port = port or real.free_port(), real.free_port()
        for name in ("etc", "etc/sasl", "queue", "data", "sasl"):
            os.makedirs(os.path.join(self.dir, name))
        while "relayd-real." in directory:  # Postfix's own users pass through
            os.chmod(directory, 0o755)
            directory = os.path.dirname(directory)
        self._write_sasl(users, mechanisms)
        self._write_postfix(certificate, sink)
        self.master = None

    def _file(self, *name):
        return os.path.join(self.dir, *name)

    def _write(self, name, text):
        with open(self._file(*name), "w", encoding="utf-8") as f:
            f.write(text)

    def _write_sasl(self, users, mechanisms):
        """Cyrus SASL with a database of its own."""
        database = self._file("sasl", "sasldb2")
        self._write(("etc", "sasl", "smtpd.conf"),
                    "pwcheck_method: auxprop\nauxprop_plugin: sasldb\n"
                    f"sasldb_path: {database}\nmech_list: {mechanisms}\n")
        for user, password in users.items():
            name, _, realm = user.partition("@")
            subprocess.run([f"{SASL}/usr/sbin/saslpasswd2", "-p", "-c", "-f", database,
                            "-u", realm, name], input=password, text=True, check=True,
                           timeout=real.LIMIT)
        os.chmod(database, 0o644)

    def _write_postfix(self, certificate, sink):
        self._write(("etc", "main.cf"), f"""
compatibility_level = 3.6
queue_directory = {self._file("queue")}
data_directory = {self._file("data")}
daemon_directory = {POSTFIX}/usr/lib/postfix/sbin
command_directory = {POSTFIX}/usr/sbin
shlib_directory = {POSTFIX}/usr/lib/postfix
meta_directory = {POSTFIX}/etc/postfix
mail_owner = daemon
setgid_group = games
default_privs = nobody
myhostname = provider.test
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
maillog_file = /dev/stdout
maillog_file_prefixes = /dev
default_transport = smtp:[127.0.0.1]:{sink}
relay_domains =
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = provider.test
smtpd_tls_auth_only = yes
smtpd_tls_security_level = may
smtpd_tls_cert_file = {certificate[0]}
smtpd_tls_key_file = {certificate[1]}
smtp_tls_security_level = none
smtpd_peername_lookup = no
notify_classes =
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C LD_LIBRARY_PATH
bounce_queue_lifetime = 1d
""")
        self._write(("etc", "master.cf"), f"""
127.0.0.1:{self.port} inet n - n - - smtpd
127.0.0.1:{self.tls_port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
""")

    def _make_queue(self):
        """What Postfix's own set-up script would do."""
        uid, gid = 1, 60  # daemon, games
        queue = self._file("queue")
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold",
                     "incoming", "private", "saved", "trace"):
            os.mkdir(os.path.join(queue, name), 0o700)
            os.chown(os.path.join(queue, name), uid, 0)
        for name, mode in (("maildrop", 0o730), ("public", 0o710)):
            os.mkdir(os.path.join(queue, name))
            os.chmod(os.path.join(queue, name), mode)
            os.chown(os.path.join(queue, name), uid, gid)
        os.mkdir(os.path.join(queue, "pid"), 0o755)
        os.chown(self._file("data"), uid, 0)

    def start(self):
        self._make_queue()
        env = dict(os.environ, LD_LIBRARY_PATH=LIBS)
        env = dict(env, MAIL_CONFIG=self._file("etc"), MAIL_LOGTAG="postfix")
        self.master = real.Process([f"{POSTFIX}/usr/lib/postfix/sbin/master", "-c",
                                    self._file("etc"), "-d"], env=env)
        wait_port(self.port, self.master)
        wait_port(self.tls_port, self.master)
        return self

    def stop(self):
        if self.master is not None:
            self.master.stop()


def wait_port(port, process):
    import socket

    def answers():
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            if process.child.poll() is not None:
                raise AssertionError("it ended:\n" + "\n".join(process.lines[-30:])) from None
            return False
    real.wait_for(f"port {port}:\n" + "\n".join(process.lines[-10:]), answers)


# ---- proxies

def haproxy(directory, listen, to, version=2):
    send = "send-proxy-v2" if version == 2 else "send-proxy"
    name = os.path.join(directory, f"haproxy{listen}.cfg")
    with open(name, "w", encoding="ascii") as f:
        f.write(f"""
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen mail
  bind 127.0.0.1:{listen}
  server relay 127.0.0.1:{to} {send}
""")
    p = real.Process([os.path.join(real.PEERS, "haproxy/usr/sbin/haproxy"), "-db", "-f", name])
    wait_port(listen, p)
    return p


def microsocks(port):
    p = real.Process([os.path.join(real.PEERS, "microsocks/usr/bin/microsocks"),
                      "-i", "127.0.0.1", "-p", str(port)])
    wait_port(port, p)
    return p


def swaks(*args):
    return subprocess.run([shutil.which("swaks") or "swaks", *args], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=real.LIMIT, check=False)
