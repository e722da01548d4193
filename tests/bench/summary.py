#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Prints the README's table of ratios from the results of the last `make bench`
(build/bench/*.json), as far as there are any."""
import argparse
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "real")]
import dead  # noqa: E402
import idle  # noqa: E402
import real  # noqa: E402
import table  # noqa: E402

# what, case, figure, and whether more of it is better
TRAFFIC = [
    ("messages/s: 1 KiB, 100 clients", "1k-100", "delivered", True),
    ("10 KiB, 1 client", "10k-1", "delivered", True),
    ("10 KiB, 10 clients", "10k-10", "delivered", True),
    ("10 KiB, 100 clients", "10k-100", "delivered", True),
    ("100 KiB, 100 clients", "100k-100", "delivered", True),
    ("1 MiB, 10 clients", "1m-10", "delivered", True),
    ("10 KiB, 100 clients, a connection each", "10k-100-one", "delivered", True),
    ("10 KiB, 100 clients, TLS on both sides", "10k-100-tls", "delivered", True),
    ("10 KiB, 20 clients, a connection with TLS each", "10k-20-tls-one", "delivered", True),
    ("10 KiB, 10 clients, 20 recipients each", "10k-10-rcpt20", "delivered", True),
    ("10 KiB, 100 clients, next hop 20 ms away", "10k-100-hop20ms", "delivered", True),
    ("10 KiB, 100 clients, next hop 200 ms away", "10k-100-hop200ms", "delivered", True),
    ("CPU seconds per 1,000 (10 KiB, 100 clients)", "10k-100", "cpu_s_per_1000", False),
    ("flushes per message (10 KiB, 1 client)", "10k-1", "flushes", False),
    ("flushes per message (10 KiB, 100 clients)", "10k-100", "flushes", False),
    ("KiB on the disk per message (10 KiB, 100 clients)", "10k-100", "disk_kib", False),
    ("system calls per message (10 KiB, 100 clients)", "10k-100", "calls", False),
    ("memory with 100 clients, MiB (10 KiB)", "10k-100", "peak_mib", False),
]

QUEUE = [
    ("messages in the queue for the next lines", lambda r: r["count"], None),
    ("taken/s, next hop down, queue in its last tenth", lambda r: r["windows"][-1], True),
    ("the same to the first tenth", lambda r: r["windows"][-1] / r["windows"][0], None),
    ("drained/s, one destination", lambda r: r["drained"], True),
    ("listing all, messages/s", lambda r: r["count"] / r["list"]["all_s"], None),
    ("start with that queue until the banner, s", lambda r: r["banner_s"], None),
    ("memory with that queue, MiB", lambda r: r["own_mib"], None),
]


def results(directory, name):
    try:
        with open(os.path.join(directory, f"{name}.json"), encoding="ascii") as f:
            return json.load(f)
    except FileNotFoundError:
        return None


def row(what, ours, theirs, more):
    times = "–"
    if ours and theirs and more is not None:
        times = table.ratio(ours, theirs) if more else table.ratio(theirs, ours)
    print(f"| {what} | {table.number(ours)} | {table.number(theirs)} | {times.replace(' x', ' ×')} |")


def traffic_rows(directory):
    for what, case, key, more in TRAFFIC:
        found = results(directory, case)
        if found:
            runs = found["runs"]
            row(what, table.median(runs["relayd"], key),
                table.median(runs.get("postfix", []), key), more)


def latency_rows(directory):
    found = results(directory, "latency")
    if not found:
        return
    for span in found["relayd"][0]:
        for p in ("p50", "p99"):
            ours, theirs = ([r[span] for r in found.get(name, [])] for name in ("relayd", "postfix"))
            row(f"single message, {span}, {p} ms", table.median(ours, p), table.median(theirs, p), False)


def rows_of(directory, case, lines):
    """Medians of the runs of a case; a line is (what, figure, whether more is better)."""
    found = results(directory, case)
    for line in lines if found else ():
        ours, theirs = (table.figure_of(line, found["runs"][name])[0]
                        if name in found["runs"] else None for name in ("relayd", "postfix"))
        row(line[0], ours, theirs, line[2])


def queue_rows(directory):
    rows_of(directory, "queue", QUEUE)


def dead_rows(directory):
    rows_of(directory, "dead",
            [("messages for a dead destination in the next lines", lambda r: r["count"], None)] +
            [(what, figure, None if "same" in what else True) for what, figure in dead.LINES[:5]])


def idle_rows(directory):
    rows_of(directory, "idle", [(f"an idle connection, {kind}, KiB", figure, False)
                                for kind, figure, _ in idle.LINES])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default=os.path.join(real.ROOT, "build", "bench"))
    directory = parser.parse_args().out
    print("| | relayd | Postfix | ratio |\n|---|---|---|---|")
    for rows in (traffic_rows, latency_rows, queue_rows, dead_rows, idle_rows):
        rows(directory)


if __name__ == "__main__":
    main()
