# SPDX-License-Identifier: ISC
"""The case "overload": for a long time more comes than the next hop takes ("hop": each of
its answers comes 200 ms late), and than the disk takes ("disk": each fdatasync lasts 30 ms
longer).  Nobody is refused; memory stays flat; what grows is the queue, on the disk, and the
time until a client reads its 250, which has a bound.

20 seconds each; with LONG=1 ten minutes each, relayd alone."""
import os
import statistics
import tempfile
import threading

import meter
import real
import relays
import table
import traffic

SECONDS, SHORT, SMOKE, LONG = 20, 5, 1, 600
# 100 clients who pause ask for 1,000 a second; those who do not, for all there is
KINDS = {
    "hop": ({"size": 4096, "clients": 100, "delay": 200}, ["--pause", "100"], []),
    "disk": ({"size": 10240, "clients": 100}, [],
             ["strace", "-DD", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf",
              "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=30000"]),
}


class Memory:
    """own_kib() once a second."""

    def __init__(self, pid):
        self.pid, self.kib, self.over = pid, [], threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while not self.over.wait(0.5 if len(self.kib) < 20 else 1):
            self.kib.append(meter.own_kib(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def quarter(values, which):
    """The median of the second or last quarter (in the first it warms up)."""
    n = max(len(values) // 4, 1)
    return statistics.median(values[n:2 * n] if which == 2 and len(values) > n else values[-n:])


def latency(file):
    """The dot's and its 250's moments: p99 in ms of the first and last half, and the longest."""
    with open(file, encoding="ascii") as f:
        rows = sorted((int(w[1]), int(w[2])) for w in map(str.split, f))
    ms = [(answered - dot) / 1000 for dot, answered in rows]
    half = len(ms) // 2
    p99 = [sorted(part)[len(part) * 99 // 100] for part in (ms[:half], ms[half:])]
    return p99 + [max(ms)]


def measured(name, kind, seconds, scratch):
    case, more, under = KINDS[kind]
    sink = traffic.Sink(case)
    with tempfile.TemporaryDirectory(prefix="relayd-bench.", dir=scratch) as directory:
        os.chmod(directory, 0o755)
        times = os.path.join(directory, "times")
        relay = relays.start(name, directory, sink.port, under=under)
        try:
            sink.begin("over")
            with Memory(relay.pid) as memory:
                sent = traffic.load(relay.port, case, "over", "--messages", 5000000,
                                    "--seconds", f"{seconds * 1000}ms", "--times", times, *more,
                                    limit=seconds + 600)
            return {"seconds": seconds, "accepted": sent["rate"], "messages": sent["accepted"],
                    "redials": sent["redials"], "kib": memory.kib,
                    "queued": waiting(relay), "latency_ms": latency(times)}
        finally:
            relay.stop()
            sink.stop()


def waiting(relay):
    """How many are left in its queue."""
    if relay.name != "relayd":
        return None
    return relay.status()["spool"]["messages"]


LINES = [
    ("taken a second", lambda r: r["accepted"]),
    ("connections lost", lambda r: r["redials"]),
    ("in the queue at the end", lambda r: r["queued"]),
    ("memory in the 2nd quarter, MiB", lambda r: quarter(r["kib"], 2) / 1024),
    ("memory in the last quarter, MiB", lambda r: quarter(r["kib"], 4) / 1024),
    ("memory at most, MiB", lambda r: max(r["kib"]) / 1024),
    ("dot to 250, first half, p99 ms", lambda r: r["latency_ms"][0]),
    ("dot to 250, last half, p99 ms", lambda r: r["latency_ms"][1]),
    ("dot to 250 at most, ms", lambda r: r["latency_ms"][2]),
]


def run(options):
    seconds = (LONG if options.long else SMOKE if options.smoke else
               SHORT if options.short else SECONDS)
    names = ["relayd"] if options.long else relays.names()
    saved = {}
    for kind in KINDS:
        def one(name, kind=kind):
            table.progress(f"overload: {name}, {seconds} s of more than the {kind} takes")
            return measured(name, kind, seconds, options.scratch)
        results = table.in_turn(options, names, one)
        summary = table.compare(f"\noverload: more than the {kind} takes",
                                [f"{name} ({seconds} s)" for name in names], LINES, results)
        saved[kind] = {"runs": results, "summary": summary}
    table.save(options, "overload", saved)
