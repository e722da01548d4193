# SPDX-License-Identifier: ISC
"""Postfix from its unpacked Debian package, in a temporary directory, as an expert would
set it up for speed: no chroot, no milters, no look-ups, no limits on clients, as many
processes and connections as there can be work for, no delay on the way in, connections
reused (with TLS as well), a large active queue, and its log thrown away.  What it writes
to disk, and when, stays as it is: that is what is compared.
"""
import os
import subprocess

import real
import upstream

MAIN = """
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
daemon_directory = {postfix}/usr/lib/postfix/sbin
command_directory = {postfix}/usr/sbin
shlib_directory = {postfix}/usr/lib/postfix
meta_directory = {postfix}/etc/postfix
mail_owner = daemon
setgid_group = games
default_privs = nobody
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C LD_LIBRARY_PATH
myhostname = relay.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
local_header_rewrite_clients =
relay_domains =
notify_classes =
maillog_file = /dev/null
maillog_file_prefixes = /dev

default_transport = smtp:[127.0.0.1]:{hop}
transport_maps = {other}
default_process_limit = 500
max_use = 100000
max_idle = 100s
in_flow_delay = 0
qmgr_message_active_limit = 100000
qmgr_message_recipient_limit = 100000
default_destination_concurrency_limit = {concurrency}
initial_destination_concurrency = {initial}
default_destination_recipient_limit = 1000
queue_run_delay = 1000s
minimal_backoff_time = 1000s
maximal_backoff_time = 4000s

smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions =
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_event_limit_exceptions = static:all
smtpd_tls_security_level = {smtpd_tls}
smtpd_tls_chain_files = {chain}
smtpd_tls_loglevel = 0
receive_override_options = no_address_mappings, no_header_body_checks
smtp_host_lookup = native
smtp_dns_support_level = disabled
smtp_tls_security_level = {smtp_tls}
smtp_tls_connection_reuse = yes
smtp_connection_cache_on_demand = yes
smtp_connection_reuse_count_limit = 1000
message_size_limit = 52428800
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
tlsproxy unix - - n - 0 tlsproxy
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(upstream.Provider):
    """A relay for loopback that sends all to the port `hop`."""

    name = "postfix"

    def __init__(self, directory, hop, concurrency, initial, certificate=None, other=None):
        self.dir = os.path.join(directory, "postfix")
        self.port = real.free_port()
        self.master = None
        for name in ("etc", "queue", "data"):
            os.makedirs(os.path.join(self.dir, name))
        os.chmod(directory, 0o755)  # its own users pass through
        chain = self._file("etc", "chain.pem")
        if certificate:
            with open(chain, "w", encoding="ascii") as out:
                for name in reversed(certificate):
                    with open(name, encoding="ascii") as f:
                        out.write(f.read())
        tls = "may" if certificate else "none"
        maps = ", ".join(f"{{ {domain} = smtp:[127.0.0.1]:{port} }}"
                         for domain, port in (other or {}).items())
        self._write(("etc", "main.cf"), MAIN.format(
            dir=self.dir, postfix=upstream.POSTFIX, hop=hop, concurrency=concurrency,
            other=f"inline:{{ {maps} }}" if maps else "",
            initial=initial, chain=chain if certificate else "", smtpd_tls=tls, smtp_tls=tls))
        self._write(("etc", "master.cf"), MASTER.format(port=self.port))
        self._make_queue()
        path = os.path.join(upstream.POSTFIX, "usr", "sbin") + ":" + os.environ["PATH"]
        self.env = dict(os.environ, PATH=path, LD_LIBRARY_PATH=upstream.LIBS,
                        MAIL_CONFIG=self._file("etc"), MAIL_LOGTAG="postfix")

    def spawn(self, under=()):
        """In a session of its own: when master ends it ends its process group.  `under`:
        the words of a command that runs it (strace)."""
        self.master = real.Process(
            ["setsid", *under, f"{upstream.POSTFIX}/usr/lib/postfix/sbin/master", "-c",
             self._file("etc"), "-d"], env=self.env)

    def start(self, under=()):
        self.spawn(under)
        upstream.wait_port(self.port, self.master)
        return self

    @property
    def pid(self):
        return self.master.child.pid

    def commits(self):
        return None  # it does not count them

    def command(self, name, *args):
        return [os.path.join(upstream.POSTFIX, "usr", "sbin", name), "-c", self._file("etc"), *args]

    def listing(self):
        return self.command("postqueue", "-p")

    def shape(self):
        return ["perl", os.path.join(upstream.POSTFIX, "usr", "sbin", "qshape"), "-c",
                self._file("etc"), "incoming", "active", "deferred"]

    def retry_all(self):
        subprocess.run(self.command("postqueue", "-f"), env=self.env, check=True, timeout=real.LIMIT)


def possible():
    return os.geteuid() == 0 and os.path.isdir(upstream.POSTFIX)
