#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The same for relayd itself: no 250 before the message is on the disk.

    tests/power/daemon.py [--messages N] [--early]

relayd runs under the shim and takes mail that it holds, small and large, from several
clients at once.  Each writes a mark into the stream when it has read a 250.  Then the
power is cut behind each record (power --recorded): whatever was marked must be there.
--early is the test of this test: each mark is moved before the commit that it waited for,
and that must be found.
"""
import argparse
import os
import random
import re
import shutil
import smtplib
import struct
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "real"))
import real  # noqa: E402

MAGIC, MARK, HELD = 0x4D525453, 9, 5  # stream.h, story.h
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # of an id


def mark(fd, ident):
    number = 0
    for c in ident:
        number = number * 32 + DIGITS.index(c)
    os.write(fd, struct.pack("<IHHHHIQQQ", MAGIC, MARK, 0, 0, 0, 0, HELD, number, 0))


def send(port, fd, dice, n):
    with smtplib.SMTP("127.0.0.1", port, timeout=real.LIMIT) as c:
        c.ehlo("c.test")
        for _ in range(n):
            c.mail("a@b.test")
            c.rcpt("c@d.test")
            size = dice.choice((300, 3000, 9000, 300_000))
            code, text = c.data(b"Subject: x\r\n\r\n" + b"some text\r\n" * (size // 11))
            if code != 250:
                raise AssertionError(text)
            mark(fd, re.search(rb"queued as (\w+)", text).group(1).decode())


def record(directory, stream, messages):
    relay = real.Relay(directory, 'route "all" { deliver = "hold" }\n')
    relay.process = real.Process(
        [os.path.join(real.BUILD, "relayd"), "-c", relay.file],
        env=dict(os.environ, STREAM_FILE=stream, STREAM_ROOT=directory,
                 LD_PRELOAD=os.path.join(real.ROOT, "build", "test", "power-shim.so")))
    relay.process.wait_line(r" started ")
    fd = os.open(stream, os.O_WRONLY | os.O_APPEND)
    threads = [threading.Thread(target=send, args=(relay.port, fd, random.Random(i),
                                                   messages // 4)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    os.close(fd)
    return relay.stop()


HEAD = struct.Struct("<IHHHHIQQQ")


def make_early(stream):
    """Each mark before the commit that it waited for: before the last write to a first page."""
    with open(stream, "rb") as f:
        octets = f.read()
    out, at, commit = [], 0, 0
    while at < len(octets):
        head = HEAD.unpack_from(octets, at)
        end = at + HEAD.size + head[2] + head[3] + head[5]
        if head[1] == MARK:
            out.insert(commit, octets[at:end])
        else:
            if head[1] == 1 and head[7] < 8192 and head[8] == 120:
                commit = len(out)
            out.append(octets[at:end])
        at = end
    with open(stream, "wb") as f:
        f.write(b"".join(out))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--early", action="store_true")
    args = parser.parse_args()
    work = tempfile.mkdtemp(prefix="relayd-power.", dir="/dev/shm")
    directory, stream = os.path.join(work, "root"), os.path.join(work, "stream")
    os.mkdir(directory)
    status = record(directory, stream, args.messages)
    if status != 0:
        print(f"relayd ended with {status}\n0 passed, 1 failed")
        return 1
    if args.early:
        make_early(stream)
    done = subprocess.run([os.path.join(real.ROOT, "build", "test", "power"), "--recorded", stream,
                           "--random", "1"], stdout=subprocess.PIPE, text=True, check=False)
    shutil.rmtree(work)
    if args.early:
        found = done.returncode == 1 and "answered with 250 and is lost" in done.stdout
        print(f"power: relayd that answers early: {'found' if found else 'NOT FOUND'}")
        print("1 passed, 0 failed" if found else "0 passed, 1 failed")
        return 0 if found else 1
    print(done.stdout.replace("power: ", "power: relayd: "), end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
