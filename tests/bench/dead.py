# SPDX-License-Identifier: ISC
"""The case "dead": a destination that does not answer, with many messages waiting for it,
beside others.  How fast the others' mail goes before, with that queue, and while the dead
one, back again, drains; and how fast it drains then.

50,000 wait in relayd's queue and 5,000 in that of Postfix, which must try each once;
LONG=1 makes them 500,000 and 50,000."""
import statistics
import tempfile
import threading
import time

import meter
import real
import relays
import table
import traffic

CASE = {"name": "dead", "size": 10240, "clients": 20}
DEAD = "dead.test"
COUNTS = {"relayd": 50000, "postfix": 5000}
SHORT = {"relayd": 5000, "postfix": 500}
SMOKE = {"relayd": 500, "postfix": 20}
LONG = {"relayd": 500000, "postfix": 50000}


class Others:
    """Their mail, run after run, until it is told to stop."""

    def __init__(self, relay, sink, seconds):
        self.runs, self.over = [], threading.Event()
        self.args = relay, CASE, sink, seconds
        self.failure = None
        self.thread = threading.Thread(target=self._work)

    def _work(self):
        try:
            while not self.over.is_set():
                self.runs.append(traffic.run(*self.args))
        except AssertionError as failure:
            self.failure = failure

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        if self.failure:
            raise self.failure


def others(relay, sink, options):
    return [traffic.run(relay, CASE, sink, options.seconds) for _ in range(options.runs)]


def fill(relay, count):
    case = dict(CASE, size=4096)
    return traffic.load(relay.port, case, "dead", "--messages", count, "--domain", DEAD,
                        limit=7200)["rate"]


def recovered(relay, port, count, sink, options):
    """The dead one is back: its pace, and what the others have meanwhile."""
    began_us = time.monotonic_ns() // 1000
    back = traffic.Sink(CASE, port=port)
    try:
        back.begin("dead")
        with Others(relay, sink, options.seconds) as meanwhile:
            relay.retry_all()
            last_us = back.expect(count, 7200)["last_us"]
        return count * 1e6 / (last_us - began_us), meanwhile.runs
    finally:
        back.stop()


def measured(name, count, options):
    dead = real.free_port()
    sink = traffic.Sink(CASE)
    with tempfile.TemporaryDirectory(prefix="relayd-bench.", dir=options.scratch) as directory:
        relay = relays.start(name, directory, sink.port, other={DEAD: dead})
        try:
            traffic.warm_up(relay, sink, CASE)
            table.progress(f"dead: {name}, the others alone")
            result = {"count": count, "alone": others(relay, sink, options)}
            table.progress(f"dead: {name} takes {count} for the dead one")
            result["taken"] = fill(relay, count)
            table.progress(f"dead: {name}, the others beside {count}")
            result["beside"] = others(relay, sink, options)
            result["own_mib"] = meter.own_kib(relay.pid) / 1024
            table.progress(f"dead: {name} delivers {count}")
            result["drained"], result["while"] = recovered(relay, dead, count, sink, options)
        finally:
            relay.stop()
            sink.stop()
    result["summary"] = {key: table.summary(result[key]) for key in ("alone", "beside", "while")}
    return result


def pace(key, span="delivered"):
    return lambda r: statistics.median(run[span] for run in r[key])


LINES = [
    ("others alone, messages/s", pace("alone")),
    ("others beside the dead one", pace("beside")),
    ("the same to alone", lambda r: pace("beside")(r) / pace("alone")(r)),
    ("others while it drains", pace("while")),
    ("drained a second, beside them", lambda r: r["drained"]),
    ("dot to 250 alone, p99 ms", pace("alone", "answer_p99_ms")),
    ("dot to 250 beside, p99 ms", pace("beside", "answer_p99_ms")),
    ("dot to 250 while it drains, p99 ms", pace("while", "answer_p99_ms")),
    ("memory of its own, MiB", lambda r: r["own_mib"]),
]


def run(options):
    counts = (LONG if options.long else SMOKE if options.smoke else
              SHORT if options.short else COUNTS)
    results = table.in_turn(options, relays.names(),
                            lambda name: measured(name, counts[name], options))
    summary = table.compare("\ndead: a dead destination beside others",
                            [f"{name} ({counts[name]:,})" for name in results], LINES, results)
    table.save(options, "dead", {"runs": results, "summary": summary})
