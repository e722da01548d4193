# SPDX-License-Identifier: ISC
"""The case "queue": the next hop is down, and a queue grows.  How fast mail is taken in
each tenth of the way, what the queue costs then (memory, listing, a new start), and how
fast it drains to the one destination when that is back.

relayd gets 100,000 messages and Postfix 20,000, whose pace only falls as they become
more; LONG=1 makes them 1,000,000 and 100,000."""
import socket
import subprocess
import tempfile
import time

import meter
import real
import relays
import table
import traffic

CASE = {"name": "queue", "size": 4096, "clients": 100}
COUNTS = {"relayd": 100000, "postfix": 20000}
SHORT = {"relayd": 10000, "postfix": 1000}
SMOKE = {"relayd": 500, "postfix": 50}
LONG = {"relayd": 1000000, "postfix": 100000}


def timed_output(args, env):
    """Seconds until the first line and until the last, and how many lines."""
    began = time.monotonic()
    with subprocess.Popen(args, stdout=subprocess.PIPE, env=env) as child:
        first = child.stdout.readline()
        first_s = time.monotonic() - began
        lines = bool(first) + sum(piece.count(b"\n")
                                  for piece in iter(lambda: child.stdout.read(1 << 20), b""))
    if child.returncode or not lines:
        raise AssertionError(f"{args}: exit status {child.returncode}, {lines} lines")
    return {"first_line_s": first_s, "all_s": time.monotonic() - began, "lines": lines}


def banner_s(relay):
    """Seconds from the start of the program until it greets."""
    began = time.monotonic()
    relay.spawn()

    def greets():
        try:
            with socket.create_connection(("127.0.0.1", relay.port), 60) as s:
                return s.recv(100).startswith(b"220")
        except ConnectionError:
            return False
    real.wait_for("the banner", greets, 120)
    return time.monotonic() - began


def fill(relay, count):
    sent = traffic.load(relay.port, CASE, "queue", "--messages", count, "--window", count // 10,
                        limit=7200)
    return sent["windows"]


def drain(relay, hop, count):
    """Messages a second from the word go."""
    sink = traffic.Sink(CASE, port=hop)
    try:
        sink.begin("queue")
        began_us = time.monotonic_ns() // 1000
        relay.retry_all()
        return count * 1e6 / (sink.expect(count, 3600)["last_us"] - began_us)
    finally:
        sink.stop()


def measured(name, count, scratch):
    hop = real.free_port()
    with tempfile.TemporaryDirectory(prefix="relayd-bench.", dir=scratch) as directory:
        relay = relays.start(name, directory, hop)
        try:
            table.progress(f"queue: {name} takes {count}")
            result = {"count": count, "windows": fill(relay, count)}
            table.progress(f"queue: {name} lists {count}")
            result["own_mib"] = meter.own_kib(relay.pid) / 1024
            result["list"] = timed_output(relay.listing(), relay.env)
            result["shape"] = timed_output(relay.shape(), relay.env)
            table.progress(f"queue: {name} starts with {count}")
            relay.stop()
            result["banner_s"] = banner_s(relay)
            table.progress(f"queue: {name} delivers {count}")
            result["drained"] = drain(relay, hop, count)
            result["own_mib"] = max(result["own_mib"], meter.own_kib(relay.pid) / 1024)
        finally:
            relay.stop()
    return result


LINES = [
    ("taken a second, first tenth", lambda r: r["windows"][0], 1),
    ("taken a second, last tenth", lambda r: r["windows"][-1], 1),
    ("last tenth to first", lambda r: r["windows"][-1] / r["windows"][0], 0),
    ("drained a second", lambda r: r["drained"], 1),
    ("list, first line, s", lambda r: r["list"]["first_line_s"], -1),
    ("list, all, s", lambda r: r["list"]["all_s"], 0),
    ("listed a second", lambda r: r["count"] / r["list"]["all_s"], 0),
    ("shape (shape; qshape), s", lambda r: r["shape"]["all_s"], 0),
    ("start until the banner, s", lambda r: r["banner_s"], 0),
    ("memory of its own, MiB", lambda r: r["own_mib"], 0),
]


def run(options):
    counts = (LONG if options.long else SMOKE if options.smoke else
              SHORT if options.short else COUNTS)
    results = table.in_turn(options, relays.names(),
                            lambda name: measured(name, counts[name], options.scratch))
    summary = table.compare("\nqueue: next hop down, then up",
                            [f"{name} ({counts[name]:,})" for name in results], LINES, results)
    table.save(options, "queue", {"runs": results, "summary": summary})
