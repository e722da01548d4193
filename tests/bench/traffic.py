# SPDX-License-Identifier: ISC
"""Messages from load through a relay to the sink: one measured run, and one in which
flushes or system calls are counted.

A run: a fresh relay; each connection sends some messages to warm it up; then load
sends for so many seconds, and the run ends when the sink has the last of them.  Every
message must have come exactly once for each recipient, or the run fails.
"""
import json
import os
import re
import subprocess
import tempfile

import disk
import meter
import real
import relays

FLUSHES = ("fsync", "fdatasync", "msync", "sync_file_range", "syncfs", "sync")


class Sink:
    """tests/bench/sink, and what is asked of it."""

    def __init__(self, case, certificate=None, port=0, times=None):
        args = [os.path.join(real.BUILD, "sink"), "--listen", f"127.0.0.1:{port}"]
        args += ["--delay", str(case["delay"])] if case.get("delay") else []
        args += ["--certificate", certificate[0], "--key", certificate[1]] if certificate else []
        args += ["--times", times] if times else []
        self.process = real.Process(args)
        self.port = int(self.process.wait_line(r"listening .*:(\d+)").group(1))

    def ask(self, line):
        self.process.child.stdin.write(line.encode() + b"\n")
        self.process.child.stdin.flush()

    def begin(self, tag):
        self.ask(f"begin {tag}")

    def expect(self, pairs, limit):
        """Its report when so many (message, recipient) pairs have come."""
        seen = len(self.process.lines)
        self.ask(f"expect {pairs}")
        try:
            found = self.process.wait_line(r"^\{.*\}$", limit, seen)
        except AssertionError:
            self.ask("report")
            found = self.process.wait_line(r"^\{.*\}$", real.LIMIT, seen)
        report = json.loads(found.group(0))
        if report["pairs"] != pairs or report["duplicates"] or report["strays"]:
            raise AssertionError(f"{pairs} were to come, but: {report}")
        return report

    def stop(self):
        self.process.stop()


def load_command(port, case, tag, *more):
    args = [os.path.join(real.BUILD, "load"), "--to", f"127.0.0.1:{port}", "--tag", tag,
            "--connections", str(case["clients"]), "--size", str(case["size"]),
            "--per-connection", str(case.get("per_connection", 0)),
            "--rcpts", str(case.get("rcpts", 1))]
    args += ["--tls"] if case.get("tls") else []
    args += ["--auth", "bench:correct horse"] if case.get("auth") else []
    args += ["--no-mail"] if case.get("no_mail") else []
    return args + [str(m) for m in more]


def load(port, case, tag, *more, limit=600):
    done = subprocess.run(load_command(port, case, tag, *more), stdout=subprocess.PIPE,
                          text=True, timeout=limit, check=False)
    result = json.loads(done.stdout)
    if done.returncode or result["refused"] or result["unknown"]:
        raise AssertionError(f"load was not served: {result}")
    return result


def warm_up(relay, sink, case):
    messages = case["clients"] * (3 if case["size"] < 1 << 20 else 1)
    sink.begin("warm")
    load(relay.port, case, "warm", "--messages", messages)
    if not case.get("no_mail"):
        sink.expect(messages * case.get("rcpts", 1), 120)


def measured(name, case, sink, scratch, seconds, certificate):
    with tempfile.TemporaryDirectory(prefix="relayd-bench.", dir=scratch) as directory:
        relay = relays.start(name, directory, sink.port, certificate, case.get("auth"))
        try:
            warm_up(relay, sink, case)
            return run(relay, case, sink, seconds)
        finally:
            relay.stop()


def run(relay, case, sink, seconds):
    sink.begin("run")
    commits = relay.commits()
    cpu = meter.cpu_seconds(relay.pid)
    with meter.Peak(relay.pid) as peak:
        sent = load(relay.port, case, "run", "--seconds", f"{int(seconds * 1000)}ms",
                    "--messages", 2000000)
        came = {"last_us": sent["last_us"], "connections": 0}
        if not case.get("no_mail"):
            came = sink.expect(sent["accepted"] * case.get("rcpts", 1), 300)
    n = sent["accepted"]
    result = {
        "messages": n,
        "accepted": sent["rate"],
        "delivered": n * 1e6 / (came["last_us"] - sent["began_us"]),
        "answer_p50_ms": sent["latency_ms"]["p50"],
        "answer_p99_ms": sent["latency_ms"]["p99"],
        "cpu_s_per_1000": (meter.cpu_seconds(relay.pid) - cpu) / n * 1000,
        "peak_mib": peak.kib / 1024,
        "hop_connections": came["connections"],
    }
    if commits is not None:
        result["commits"] = (relay.commits() - commits) / n
    return result


# ---- counting, apart from what is measured

def _calls(file):
    """{system call or "total": times} of `strace -c -U calls,name`."""
    def complete():
        with open(file, encoding="ascii", errors="replace") as f:
            return re.search(r"^\s*(\d+)\s+total$", f.read(), re.M)
    real.wait_for("the end of strace", lambda: os.path.exists(file) and complete())
    with open(file, encoding="ascii", errors="replace") as f:
        return {m[1]: int(m[0]) for m in re.findall(r"^\s*(\d+)\s+(\w+)$", f.read(), re.M)}


def counted(name, case, sink, scratch, certificate, messages, calls):
    """{figure: per message}: flushes and bytes on the disk, or with `calls` all system
    calls; those of a run with many messages less those of one with few, so that start and
    end drop out."""
    few = max(case["clients"], 10)
    low = _count(name, case, sink, scratch, certificate, few, calls)
    high = _count(name, case, sink, scratch, certificate, few + messages, calls)
    return {key: (high[key] - low[key]) / messages for key in high if high[key] is not None}


def _count(name, case, sink, scratch, certificate, messages, calls):
    with disk.Disk(scratch) as own:
        file = os.path.join(own.outside.name, "calls")
        under = ["strace", "-DD", "-f", "-qq", "-c", "-U", "calls,name", "-o", file]
        if not calls:
            under += ["--seccomp-bpf", "-e", "trace=" + ",".join(FLUSHES)]
        relay = relays.start(name, own.path, sink.port, certificate, under=under)
        try:
            sink.begin("count")
            load(relay.port, case, "count", "--messages", messages)
            sink.expect(messages * case.get("rcpts", 1), 300)
            commits = relay.commits() or 0  # each has one synchronous write besides
        finally:
            relay.stop()
        total = _calls(file)["total"]
        if calls:
            return {"calls": total}
        written = own.written()
        return {"flushes": total + commits,
                "disk_kib": None if written is None else written / 1024}
