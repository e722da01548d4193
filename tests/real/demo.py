#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""make demo: in under a minute, in the terminal: a message relayed, one deferred
and explained by `why`, one bounced and read back."""
import os
import shutil
import smtplib
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import real  # noqa: E402
from test_relay import Hop, Keeper  # noqa: E402

BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() and not os.environ.get("NO_COLOR") \
    else ("", "")


def say(text):
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


def show(relay, *args):
    print(f"$ relayctl {' '.join(args)}")
    env = dict(os.environ)
    done = subprocess.run([os.path.join(real.BUILD, "relayctl"), "-c", relay.file, *args],
                          stdout=subprocess.PIPE, text=True, env=env, check=False)
    print(done.stdout.rstrip())


def send(relay, to, subject):
    print(f"$ swaks --server 127.0.0.1:{relay.port} --from me@here.example --to {to}")
    with smtplib.SMTP("127.0.0.1", relay.port) as s:
        s.sendmail("me@here.example", [to], f"Subject: {subject}\r\n\r\n{subject}\r\n")


def main():
    directory = tempfile.mkdtemp(prefix="relayd-demo.")
    keeper = Keeper(**{"busy@there.example": "451 4.7.1 come back later",
                       "nobody@there.example": "550 5.1.1 nobody of that name here"})
    hop = Hop(keeper, hostname="127.0.0.1", port=real.free_port())
    hop.start()
    dns = real.Dns(directory, "there.example MX 10 mx.there.example\nmx.there.example A 127.0.0.1\n"
                              "here.example MX 10 mx.there.example\n")
    relay = real.Relay(directory, 'route "world" { deliver = "mx" '
                       f'port = {hop.port} allow-loopback = true }}\n', dns.port)
    relay.start()
    try:
        say("1. A message is accepted, on disk, looked up in the DNS, and delivered.")
        send(relay, "you@there.example", "hello")
        relay.log(r" delivered ")
        print(next(x for x in relay.process.lines if " delivered " in x))

        say("2. The next hop says 'later': the message waits, and says why.")
        send(relay, "busy@there.example", "patience")
        relay.log(r" deferred ")
        row = real.wait_for("the queue", relay.queue)[0]
        show(relay, "queue")
        show(relay, "why", row["queue_id"])

        say("3. The next hop says 'no': the sender gets a notice, by the same way.")
        send(relay, "nobody@there.example", "oh no")
        relay.log(r" delivered .*to=<me@here.example>")
        notice = next(m for m in keeper.mail if m[0] in ("", "<>"))
        text = notice[2].decode("utf-8", "replace")
        print("\n".join("  | " + line for line in text.splitlines()[:34]))

        say("That was relayd: `make run` starts one for you, README.md tells the rest.")
    finally:
        relay.stop()
        dns.stop()
        hop.stop()
        shutil.rmtree(directory, True)


if __name__ == "__main__":
    main()
