#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The world on the far side of the wire: every next hop, and the clients that hand in mail.

    world.py PLAN LEDGER SEED

PLAN is a JSON file: {"hops": {ADDRESS: [HOW, STEP]}, "addresses": [...], "relay": [HOST, PORT]}.
One process listens on port 25 of all addresses; which one was called decides what happens
there.  HOW at STEP: "reset", "close", "hang", "drip" (an octet in half a second, for ever),
"garbage", "421", "451", "550"; a STEP is banner, EHLO, MAIL, RCPT, DATA, body, dot (the message
is not kept) or kept (it is, and then the answer goes wrong).  Addresses that are not in the plan
are honest.

What is seen is written to LEDGER before it counts: "begun NAME RECIPIENT...", "dot NAME",
"accepted NAME ID", "refused NAME", "arrived NAME RECIPIENT DIGEST", "noticed NAME RECIPIENT".

Lines on standard input: "send N" (that many clients hand in mail until "quiet"), "quiet" (answers
"quiet" when they have ended), "heal" (all are honest but those that say 550).
"""
import asyncio
import hashlib
import json
import os
import random
import re
import socket
import struct
import sys

RESET = struct.pack("ii", 1, 0)
GONE = (OSError, EOFError, ValueError, asyncio.TimeoutError)
HEAD = re.compile(rb"^X-Ledger: (\S+) ([0-9a-f]{40})\r?$", re.M)
FINAL = re.compile(rb"^Final-Recipient: rfc822; ?(\S+?)\r?$", re.M)
SIZES = (200, 2000, 2000, 20000, 80000)


class World:
    def __init__(self, plan, ledger, seed):
        self.plan = plan
        self.fd = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.dice = random.Random(seed)
        self.ill = True
        self.sending = False
        self.last = 0
        self.senders = []

    def note(self, *words):
        os.write(self.fd, (" ".join(words) + "\n").encode())

    # ---- next hops

    async def trouble(self, step, reader, writer):
        """What goes wrong here at this step, if anything; True: the answer has been given, and it was no."""
        how, where = self.plan["hops"].get(writer.get_extra_info("sockname")[0], (None, None))
        if where != step or not (self.ill or how == "550"):
            return False
        if how in ("reset", "half"):
            writer.write(b"25" if how == "half" else b"")
            await writer.drain()
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
            raise EOFError
        if how == "close":
            raise EOFError
        if how == "hang":
            while await reader.read(4096):
                pass
            raise EOFError
        if how == "drip":
            while True:
                writer.write(b"2")
                await writer.drain()
                await asyncio.sleep(0.5)
        text = {"garbage": b"\xff\0nonsense", "421": b"421 4.3.2 going down", "451": b"451 4.2.1 later",
                "550": b"550 5.1.1 nobody"}[how]
        writer.write(text + b"\r\n")
        await writer.drain()
        if how == "421":
            raise EOFError
        return True

    async def body(self, reader, writer):
        out, lines, refused = [], 0, False
        while True:
            line = await reader.readuntil(b"\r\n")
            if line == b".\r\n":
                return None if refused else b"".join(out)
            out.append(line[1:] if line.startswith(b".") else line)
            lines += 1
            if lines == 3 and await self.trouble("body", reader, writer):
                refused = True

    def keep(self, octets, recipients):
        found = HEAD.search(octets)
        if not found:
            return
        name, digest = found.group(1).decode(), found.group(2).decode()
        if b"multipart/report" in octets[:found.start()]:
            for who in FINAL.findall(octets):
                self.note("noticed", name, who.decode())
            return
        body = octets[octets.index(b"\r\n\r\n", found.start()) + 4:]
        right = hashlib.sha1(body).hexdigest() == digest
        for r in recipients:
            self.note("arrived", name, r, "right" if right else "damaged")

    async def mail(self, reader, writer):
        recipients = []
        answers = {"EHLO": b"250-hop.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n", "DATA": b"354 go on\r\n",
                   "QUIT": b"221 bye\r\n"}
        if await self.trouble("banner", reader, writer):
            return
        writer.write(b"220 hop.test\r\n")
        while True:
            line = (await reader.readuntil(b"\r\n")).decode("latin-1")
            verb = line[:4].upper()
            if await self.trouble(verb, reader, writer):
                continue
            if verb == "DATA" and not recipients:
                writer.write(b"554 5.5.1 nobody\r\n")
                continue
            writer.write(answers.get(verb, b"250 2.0.0 ok\r\n"))
            await writer.drain()
            if verb == "RCPT":
                recipients.append(line[line.index("<") + 1:line.index(">")])
            elif verb == "DATA":
                octets = await self.body(reader, writer)
                if octets is None or await self.trouble("dot", reader, writer):
                    continue
                self.keep(octets, recipients)
                recipients = []
                if not await self.trouble("kept", reader, writer):
                    writer.write(b"250 2.0.0 kept\r\n")
            elif verb in ("MAIL", "RSET"):
                recipients = []
            elif verb == "QUIT":
                return

    async def called(self, reader, writer):
        try:
            await self.mail(reader, writer)
        except GONE:
            pass
        finally:
            writer.close()

    # ---- clients

    def message(self, name):
        line = bytes(self.dice.choices(b"abcdefghijklmnopqrstuvwxyz. ", k=70)) + b"\r\n"
        body = line * (self.dice.choice(SIZES) // len(line) + 1)
        head = (f"From: <sender@home.test>\r\nSubject: {name}\r\n"
                f"X-Ledger: {name} {hashlib.sha1(body).hexdigest()}\r\n\r\n")
        return head.encode() + re.sub(rb"^\.", b"..", body, flags=re.M) + b".\r\n"

    async def hand_in(self):
        async def reply(want):
            line = b"   -"
            while line[3:4] == b"-":
                line = await asyncio.wait_for(reader.readuntil(b"\r\n"), 30)
            if want and line[:1] != want:
                raise ValueError(line)
            return line.decode()

        async def ask(text, want=b"2"):
            writer.write(text.encode() + b"\r\n")
            await reply(want)
        host, port = self.plan["relay"]
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 30)
        try:
            await reply(b"2")
            await ask("EHLO client.test")
            for _ in range(5):
                if not self.sending:
                    break
                recipients = self.dice.sample(self.plan["addresses"], self.dice.choice((1, 2, 4)))
                self.last += 1
                name = f"m{self.last}"
                self.note("begun", name, *recipients)
                await ask("MAIL FROM:<sender@home.test>")
                for r in recipients:
                    await ask(f"RCPT TO:<{r}>")
                await ask("DATA", b"3")
                octets = self.message(name)
                writer.write(octets[:-3])
                self.note("dot", name)
                writer.write(octets[-3:])
                answer = await reply(None)
                taken = re.search(r"^250 .*queued as (\w+)", answer)
                self.note(*(("accepted", name, taken.group(1)) if taken else ("refused", name)))
        finally:
            writer.close()

    async def sender(self):
        while self.sending:
            try:
                await self.hand_in()
            except GONE:
                await asyncio.sleep(0.1)

    async def obey(self):
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while True:
            words = (await reader.readline()).decode().split()
            if not words:
                os._exit(0)
            if words[0] == "send":
                self.sending = True
                self.senders = [asyncio.ensure_future(self.sender()) for _ in range(int(words[1]))]
            elif words[0] == "quiet":
                self.sending = False
                await asyncio.gather(*self.senders)
                print("quiet", flush=True)
            elif words[0] == "heal":
                self.ill = False

    async def live(self):
        await asyncio.start_server(self.called, "0.0.0.0", 25, backlog=4096)
        print("ready", flush=True)
        await self.obey()


def main():
    with open(sys.argv[1], encoding="ascii") as f:
        plan = json.load(f)
    asyncio.run(World(plan, sys.argv[2], int(sys.argv[3])).live())


if __name__ == "__main__":
    main()
