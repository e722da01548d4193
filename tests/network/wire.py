#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A bad wire: carries Ethernet frames between two interfaces of one network namespace.

    wire.py ONE OTHER SEED

Each frame is late by 5 to 25 ms, so frames overtake each other; one in a hundred comes
twice, and one in two hundred is later by 300 ms.  Prints "ready"; ends when its standard
input is closed.
"""
import heapq
import random
import select
import socket
import sys
import time

EVERYTHING = 3  # ETH_P_ALL
FRAME = 65536


def main():
    dice = random.Random(int(sys.argv[3]))
    ends = []
    for name in sys.argv[1:3]:
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        s.bind((name, 0))
        s.setblocking(False)
        ends.append(s)
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    print("ready", flush=True)
    under_way, number = [], 0
    while True:
        patience = max(under_way[0][0] - time.monotonic(), 0) if under_way else None
        readable = select.select(ends + [sys.stdin], [], [], patience)[0]
        if sys.stdin in readable:
            return
        for s in readable:
            frame, who = s.recvfrom(FRAME)
            if who[2] == socket.PACKET_OUTGOING:
                continue
            for _ in range(2 if dice.random() < 0.01 else 1):
                late = dice.uniform(0.005, 0.025) + (0.3 if dice.random() < 0.005 else 0)
                number += 1
                heapq.heappush(under_way, (time.monotonic() + late, number, frame, other[s]))
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, frame, s = heapq.heappop(under_way)
            try:
                s.send(frame)
            except OSError:  # a full queue: it is lost, as on any wire
                pass


if __name__ == "__main__":
    main()
