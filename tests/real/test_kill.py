#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""kill -9 in the middle of a load: nothing that got 250 may be lost.

The generator writes a line to its ledger when it has read a message's 250; the
sink writes a line before it answers one.  Whatever is in the first ledger must
be in the second when the queue has drained; twice is allowed only as often as
messages were between the final dot and the report when the process died.
"""
import json
import os
import random
import subprocess
import time

import real
from real import RealTest

MESSAGES = int(os.environ.get("KILL_MESSAGES", "10000"))
ROUNDS = int(os.environ.get("KILL_ROUNDS", "5"))
SEED = int(os.environ.get("KILL_SEED", "20261123"))
CONNECTIONS = 50
CONCURRENCY = 20


def lines(path):
    if not os.path.exists(path):
        return 0
    with open(path, "rb") as f:
        return sum(1 for _ in f)


class Kill(RealTest):
    def test_kill_in_the_middle_of_a_load(self):
        dice = random.Random(SEED)
        sink = self.sink()
        relay = self.relay(f'route "up" {{ via = {{"127.0.0.1:{sink.port}"}} }}\n'
                           'retry { first = "1s" interval = "1s" jitter = "0%" expire = "1d"'
                           ' warn = "4h" }\n')
        ledger = os.path.join(self.dir, "load.ledger")
        load = subprocess.Popen([os.path.join(real.BUILD, "load"), "--to",
                                 f"127.0.0.1:{relay.port}", "--messages", str(MESSAGES),
                                 "--connections", str(CONNECTIONS), "--size", "4096",
                                 "--ledger", ledger, "--give-up", "30"],
                                stdout=subprocess.PIPE, text=True)
        self.addCleanup(load.kill)
        kills = 0
        for i in range(ROUNDS):
            goal = MESSAGES * (i + 1) // (ROUNDS + 1)
            real.wait_for(f"{goal} acknowledged", lambda: lines(ledger) >= goal or load.poll() is not None)
            if load.poll() is not None:
                break
            time.sleep(dice.uniform(0, 0.02))  # where in a batch it dies is up to chance
            relay.kill()
            kills += 1
            relay.start()
        text, _ = load.communicate(timeout=120)
        result = json.loads(text)
        relay.wait_empty(120)
        self.assertEqual(relay.stop(), 0)
        check = relay.ctl("spool", "check")
        self.assertEqual(check.returncode, 0, check.stdout)
        with open(ledger, encoding="ascii") as f:
            promised = set(f.read().split())
        arrived = sink.ledger()
        lost = promised - set(arrived)
        twice = len(arrived) - len(set(arrived))
        print(f"\nkill: {kills} kills, {len(promised)} promised, {result['unknown']} unknown, "
              f"{len(lost)} lost, {twice} duplicates (seed {SEED})")
        self.assertEqual(lost, set())
        self.assertGreaterEqual(kills, 1)
        self.assertGreater(len(promised), MESSAGES // 2)
        self.assertLessEqual(twice, kills * CONCURRENCY * 3)


if __name__ == "__main__":
    real.main()
