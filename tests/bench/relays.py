# SPDX-License-Identifier: ISC
"""The relays that are compared, under one set of names: relayd as it was built, and
Postfix (postfix.py) where its package is unpacked and we are root.

    relay = relays.start("relayd", directory, hop=PORT, certificate=None, other=None)
    relay.port  relay.pid  relay.commits()  relay.listing()  relay.retry_all()
    relay.stop()

Both may open as many connections to the next hop, and begin with as many.  `other`:
{domain: port}, those that go elsewhere than to `hop`.
"""
import json
import os
import subprocess

import real
import upstream
import postfix

CONCURRENCY, INITIAL = 100, 20

RELAYD = """
{routes}
route "up" {{ via = {{"127.0.0.1:{hop}"}} tls = "{tls}" }}
outgoing {{ concurrency = {concurrency} initial = {initial} }}
limits {{ messages = 1000000 connections = 15000 client-connections = 15000 }}
retry {{ first = "1000s" interval = "1000s" warn = "4h" expire = "5d" }}
log {{ level = "error" }}
{more}
"""


class Relayd:
    name = "relayd"

    def __init__(self, directory, hop, certificate=None, users=False, other=None):
        self.dir = os.path.join(directory, "relayd")
        os.makedirs(self.dir)
        self.users = users
        more = ""
        if certificate:
            more = f'tls {{ certificate = "{certificate[0]}" key = "{certificate[1]}" }}'
        routes = "\n".join(f'route "{domain}" {{ to = {{"{domain}"}} via = {{"127.0.0.1:{port}"}} }}'
                           for domain, port in (other or {}).items())
        self.relay = real.Relay(self.dir, RELAYD.format(
            hop=hop, tls="opportunistic" if certificate else "none",
            concurrency=CONCURRENCY, initial=INITIAL, routes=routes, more=more))
        self.port = self.relay.port
        self.env = None
        if users:
            self.relay.listen('tls = "starttls" auth = "optional"')

    def spawn(self, under=()):
        self.relay.process = real.Process([*under, os.path.join(real.BUILD, "relayd"), "-c",
                                           self.relay.file])

    def start(self, under=()):
        self.spawn(under)
        upstream.wait_port(self.port, self.relay.process)
        if self.users:
            self.relay.add_user("bench", "correct horse")
        return self

    @property
    def pid(self):
        return self.relay.process.child.pid

    def status(self):
        return json.loads(self.relay.ctl("--json", "status").stdout.splitlines()[0])

    def commits(self):
        return self.status()["spool"]["commits"]

    def command(self, *args):
        return [os.path.join(real.BUILD, "relayctl"), "-c", self.relay.file, *args]

    def listing(self):
        return self.command("queue")

    def shape(self):
        return self.command("shape")

    def retry_all(self):
        done = subprocess.run(self.command("retry", "--all"), stdout=subprocess.DEVNULL,
                              timeout=600, check=False)
        if done.returncode not in (0, 1):  # 1: all of it is being tried already
            raise AssertionError(f"relayctl retry --all: exit status {done.returncode}")

    def stop(self):
        self.relay.stop()


alone = False  # whatever could be compared


def names(peer=True):
    """Whom to compare, in the order of their turns."""
    compare = peer and not alone and postfix.possible()
    return ["relayd", "postfix"] if compare else ["relayd"]


def make(name, directory, hop, certificate=None, users=False, other=None):
    if name == "relayd":
        return Relayd(directory, hop, certificate, users, other)
    return postfix.Postfix(directory, hop, CONCURRENCY, INITIAL, certificate, other)


def start(name, directory, hop, certificate=None, users=False, under=(), other=None):
    return make(name, directory, hop, certificate, users, other).start(under)
