# SPDX-License-Identifier: ISC
"""The case "idle": what a connection costs that has said hello (with TLS: and shaken
hands) and then nothing.  relayd holds 10,000 of them; Postfix, which has a process for
each, 200."""
import tempfile
import time

import meter
import real
import relays
import table
import traffic

CONNECTIONS = {"relayd": 10000, "postfix": 200}
SHORT = {"relayd": 1000, "postfix": 50}
SMOKE = {"relayd": 50, "postfix": 5}


def settled_kib(pid):
    """What it has once that is the same for seven seconds: what handshakes and greetings
    took has been given back by then (relayd does so every five)."""
    values, end = [], time.monotonic() + 60
    while time.monotonic() < end and (len(values) < 15 or len(set(values[-15:])) > 1):
        values.append(meter.own_kib(pid))
        time.sleep(0.5)
    return values[-1]


def measured(name, count, tls, options):
    """KiB of its own for each connection."""
    case = {"size": 1024, "clients": count, "tls": tls}
    certificate = options.certificate if tls else None
    with tempfile.TemporaryDirectory(prefix="relayd-bench.", dir=options.scratch) as directory:
        relay = relays.start(name, directory, real.free_port(), certificate)
        try:
            before = meter.own_kib(relay.pid)
            holder = real.Process(traffic.load_command(relay.port, case, "idle", "--hold"))
            holder.wait_line(f"held {count}", 300)
            cost = (settled_kib(relay.pid) - before) / count
            holder.child.stdin.close()
            holder.child.stdin = None
            holder.stop()
            return cost
        finally:
            relay.stop()


LINES = [("plain", lambda r: r["plain"], -1), ("tls", lambda r: r["tls"], -1)]


def run(options):
    counts = SMOKE if options.smoke else SHORT if options.short else CONNECTIONS

    def one(name):
        table.progress(f"idle: {counts[name]} connections to {name}")
        return {kind: measured(name, counts[name], kind == "tls", options)
                for kind in ("plain", "tls")}
    results = table.in_turn(options, relays.names(), one)
    summary = table.compare("\nidle: memory of a connection, KiB",
                            [f"{name} ({counts[name]:,})" for name in results], LINES, results)
    table.save(options, "idle", {"runs": results, "summary": summary})
