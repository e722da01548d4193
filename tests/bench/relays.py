# SPDX-License-Identifier: ISC
"""The relays that are compared, under one set of names: relayd as it was built, and
Postfix (postfix.py) where its package is unpacked and we are root.

    relay = relays.start("relayd", directory, hop=PORT, certificate=None)
    relay.port  relay.pid  relay.commits()  relay.listing()  relay.retry_all()
    relay.stop()

Both may open as many connections to the next hop, and begin with as many.
"""
import json
import os
import subprocess

import real
import upstream
import postfix

CONCURRENCY, INITIAL = 100, 20

RELAYD = """
route "up" {{ via = {{"127.0.0.1:{hop}"}} tls = "{tls}" }}
outgoing {{ concurrency = {concurrency} initial = {initial} }}
limits {{ messages = 1000000 connections = 15000 client-connections = 15000 }}
retry {{ first = "1000s" interval = "1000s" warn = "4h" expire = "5d" }}
log {{ level = "error" }}
{more}
"""


class Relayd:
    name = "relayd"

    def __init__(self, directory, hop, certificate=None, users=False):
        self.dir = os.path.join(directory, "relayd")
        os.makedirs(self.dir)
        self.users = users
        more = ""
        if certificate:
            more = f'tls {{ certificate = "{certificate[0]}" key = "{certificate[1]}" }}'
        self.relay = real.Relay(self.dir, RELAYD.format(
            hop=hop, tls="opportunistic" if certificate else "none",
            concurrency=CONCURRENCY, initial=INITIAL, more=more))
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

    def commits(self):
        return json.loads(self.relay.ctl("--json", "status").stdout.splitlines()[0])[
            "spool"]["commits"]

    def command(self, *args):
        return [os.path.join(real.BUILD, "relayctl"), "-c", self.relay.file, *args]

    def listing(self):
        return self.command("queue")

    def shape(self):
        return self.command("shape")

    def retry_all(self):
        subprocess.run(self.command("retry", "--all"), stdout=subprocess.DEVNULL, check=True,
                       timeout=600)

    def stop(self):
        self.relay.stop()


def names(peer=True):
    """Whom to compare, in the order of their turns."""
    return ["relayd", "postfix"] if peer and postfix.possible() else ["relayd"]


def make(name, directory, hop, certificate=None, users=False):
    if name == "relayd":
        return Relayd(directory, hop, certificate, users)
    return postfix.Postfix(directory, hop, CONCURRENCY, INITIAL, certificate)


def start(name, directory, hop, certificate=None, users=False, under=()):
    return make(name, directory, hop, certificate, users).start(under)
