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


def run(options):
    results = {}
    counts = SMOKE if options.smoke else SHORT if options.short else CONNECTIONS
    table.row("\nidle: memory of a connection, KiB",
              [(f"{name} ({counts[name]:,})", 20) for name in relays.names()])
    for kind in ("plain", "tls"):
        for name in relays.names():
            table.progress(f"idle: {counts[name]} connections to {name}, {kind}")
            results[f"{name} {kind}"] = measured(name, counts[name], kind == "tls", options)
        table.row(kind, [(table.number(results[f"{name} {kind}"]), 20)
                         for name in relays.names()])
    table.save(options, "idle", results)
