#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Calls that fail under the built daemon; it answers 4xx or stops cleanly, and loses nothing.

    tests/crash/faults.py [--runs N] [--seed N] [--blind]
    tests/crash/faults.py --call NAME --error NAME --nth N [--times N]

A life of relayd is played under a shim (tests/faults/shim.c) in which the n-th call of one
function fails: once, a few times, or ever after.  The clients and the ledger are those of
crash.py, on one spool that lives through all of it.  First a life is played in which nothing
fails and all calls are counted; then calls, errors and n are chosen by the seed, so that
each pair of call and error has its turn.

A life is good if relayd never ends by a signal (but for SIGABRT when there is no memory: the
spool is made for it), ends by itself only with a status and a word in the log, stops within
30 seconds when it is told to, its spool is as it must be, and the ledger balances: nothing
acknowledged is lost.  At the end, without faults, everything must drain.  --blind is as in
crash.py: the test of this test.
"""
import argparse
import collections
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "real")]
import crash  # noqa: E402
import real  # noqa: E402

EVER = 1 << 60
DAY = 86400
DISK = ("ENOSPC", "EIO", "EDQUOT", "EROFS")
# errno, or "short": less is done than was asked
ERRORS = {
    "write": (*DISK, "EINTR", "short"),
    "pwrite": (*DISK, "short"),
    "writev": (*DISK, "short"),
    "fdatasync": ("EIO", "ENOSPC", "EDQUOT", "EROFS"),
    "fsync": ("EIO", "ENOSPC"),
    "ftruncate": ("EIO", "EROFS"),
    "fallocate": ("ENOSPC", "EDQUOT", "EINTR"),
    "open": ("EMFILE", "ENFILE", "ENOMEM", "EIO", "EROFS", "ENOSPC"),
    "mkdir": ("ENOSPC", "EDQUOT", "EROFS"),
    "unlink": ("EIO", "EROFS"),
    "pread": ("EIO", "short"),
    "statvfs": ("EIO",),
    "socket": ("EMFILE", "ENFILE", "ENOMEM"),
    "accept": ("EMFILE", "ENFILE", "ENOMEM", "ECONNABORTED", "EINTR"),
    "recv": ("EINTR", "ECONNRESET", "ENOMEM", "short"),
    "send": ("EINTR", "ECONNRESET", "ENOMEM", "short"),
    "epoll_wait": ("EINTR",),
    "mmap": ("ENOMEM",),
    "malloc": ("ENOMEM",),
    "clock": ("+10", "-10"),  # days
}
MEMORY = ("mmap", "malloc")
WRITES = ("write", "pwrite", "writev", "fdatasync", "fsync")


class Faults(crash.Campaign):
    def __init__(self, directory, seed, blind):
        super().__init__(directory, seed, blind)
        self.report = os.path.join(directory, "report")
        self.hits = 0
        self.ends = collections.Counter()

    def environment(self, call, error, nth, times):
        env = dict(os.environ, LD_PRELOAD=os.path.join(real.BUILD, "faults-shim.so"),
                   FAULT_ROOT=os.path.join(self.dir, "spool"), FAULT_REPORT=self.report)
        if call:
            env.update(FAULT_CALL=call, FAULT_NTH=str(nth), FAULT_TIMES=str(times),
                       FAULT_ERROR=str(getattr(errno, error, 0)),
                       FAULT_JUMP=str(int(error) * DAY if call == "clock" else 0))
        return env

    def start(self, env):
        """True: it is up.  False: it has ended before."""
        self.relay.process = real.Process(
            [os.path.join(real.BUILD, "relayd"), "-c", self.relay.file], env=env)
        try:
            self.relay.process.wait_line(r" started ")
            return True
        except AssertionError:
            self.relay.process.child.wait(30)
            return False

    def play(self, env, seconds):
        """One life; its status."""
        if os.path.exists(self.report):
            os.unlink(self.report)
        if self.start(env):
            self.dead.clear()
            threads = [threading.Thread(target=c.run) for c in self.clients]
            for t in threads:
                t.start()
            self.dead.wait(seconds)
            self.dead.set()
            status = self.relay.process.stop(signal.SIGTERM, 30)
            for t in threads:
                t.join()
            self.hop.settle()
        else:
            status = self.relay.process.stop(signal.SIGTERM, 30)
        return status

    def counts(self):
        with open(self.report, encoding="ascii") as f:
            return {line.split()[1]: int(line.split()[2]) for line in f
                    if line.startswith("count")}

    def was_hit(self):
        with open(self.report, encoding="ascii") as f:
            return "hit\n" in f

    def one(self, call, error, nth, times):
        self.ledger.round += 1
        try:
            status = self.play(self.environment(call, error, nth, times),
                               self.dice.uniform(0.2, 0.6))
        except AssertionError as late:
            self.faults.append(f"it did not stop: {late}")
            return
        hit = self.was_hit()
        self.hits += hit
        lines = self.relay.process.lines
        last = lines[-6:]
        self.ends["status 0" if status == 0 else
                  f"status {status}" if status > 0 else f"signal {-status}"] += 1
        if status < 0 and not (status == -signal.SIGABRT and call in MEMORY):
            self.faults.append(f"it ended by signal {-status}: {last}")
        if status > 0 and not hit:
            self.faults.append(f"it ended with {status} though nothing failed: {last}")
        if status > 0 and not any(" error " in x or x.startswith("relayd:") for x in lines):
            self.faults.append(f"it ended with {status} and says nothing: {last}")
        self.judge()

    def choose(self, counts, n):
        """(call, error, nth, times), each pair once before any comes again, those of the disk
        first: however few lives there are, it is full in some of them."""
        pairs = [(c, e) for c, errors in ERRORS.items() for e in errors if counts.get(c)]
        self.dice.shuffle(pairs)
        pairs.sort(key=lambda pair: pair[0] not in WRITES or pair[1] not in DISK)
        for i in range(n):
            call, error = pairs[i % len(pairs)]
            times = 1 if call in MEMORY else self.dice.choice((1, 1, 3, EVER))
            if call == "clock" or error == "EROFS":
                times = EVER
            if error == "EINTR" and times == EVER:
                times = 3  # nobody is interrupted for ever
            # a life is shorter than the one that was counted
            yield call, error, self.dice.randint(1, max(1, counts[call] * 2 // 3)), times

    def run(self, runs):
        if self.play(self.environment(None, None, 0, 0), 1.0) != 0:
            self.faults.append(f"no life without faults: {self.relay.process.lines[-5:]}")
            return 0
        counts = self.counts()
        for i, (call, error, nth, times) in enumerate(self.choose(counts, runs)):
            self.one(call, error, nth, times)
            if self.faults:
                again = f"--call {call} --error={error} --nth {nth} --times {times}"
                self.faults.insert(0, f"{call} number {nth} fails with {error}: {again}")
                return i
            crash.say_progress("faults", i + 1, runs, "lives")
        self.ledger.round += 1
        self.drain()
        return runs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--blind", action="store_true")
    parser.add_argument("--call")
    parser.add_argument("--error")
    parser.add_argument("--nth", type=int, default=1)
    parser.add_argument("--times", type=int, default=1)
    args = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="relayd-faults.")
    f = Faults(directory, args.seed, args.blind)
    if args.call:
        f.one(args.call, args.error, args.nth, args.times)
        runs = 1
    else:
        runs = f.run(args.runs)
    if args.blind:
        return crash.say_blind("faults", f, runs)
    for fault in f.faults:
        print(f"faults: {fault}")
    states = collections.Counter(f.ledger.state.values())
    ends = ", ".join(f"{n} x {what}" for what, n in sorted(f.ends.items()))
    lost = sum(x.startswith("lost") for x in f.faults)
    print(f"faults: {runs} lives, {f.hits} faults injected, {states['accepted']} acknowledged, "
          f"{states['refused']} refused, losses {lost}; ends: {ends} (seed {args.seed})")
    print(f"{runs} passed, {int(bool(f.faults))} failed")
    if f.faults:
        print(f"the spool is in {directory}")
    else:
        shutil.rmtree(directory)
    return 1 if f.faults else 0


if __name__ == "__main__":
    sys.exit(main())
