# SPDX-License-Identifier: ISC
"""The cases of the benchmark that are messages from clients through the relay to a sink.

name            SIZE-CLIENTS and what is particular
size, clients   octets of a message, connections at once
per_connection  messages on one connection; without it: all
rcpts           recipients of each message
tls             with STARTTLS on both sides
delay           milliseconds until the next hop answers
no_mail         connections alone: hello (TLS, sign-in) and goodbye
peer            False: relayd alone
calls           system calls are counted, too
"""
SIZES = {"1k": 1024, "10k": 10240, "100k": 102400, "1m": 1048576}

TRAFFIC = [{"name": f"{size}-{clients}", "size": octets, "clients": clients,
            "calls": size == "10k"}
           for size, octets in SIZES.items() for clients in (1, 10, 100)]
TRAFFIC += [
    {"name": "10k-100-one", "size": 10240, "clients": 100, "per_connection": 1, "calls": True},
    {"name": "10k-100-tls", "size": 10240, "clients": 100, "tls": True},
    {"name": "10k-20-tls-one", "size": 10240, "clients": 20, "tls": True, "per_connection": 1},
    {"name": "10k-10-rcpt20", "size": 10240, "clients": 10, "rcpts": 20},
    {"name": "10k-100-hop20ms", "size": 10240, "clients": 100, "delay": 20},
    {"name": "10k-100-hop200ms", "size": 10240, "clients": 100, "delay": 200},
    {"name": "tls-hello", "size": 1024, "clients": 20, "tls": True, "per_connection": 1,
     "no_mail": True},
    {"name": "tls-sign-in", "size": 1024, "clients": 20, "tls": True, "per_connection": 1,
     "auth": True, "no_mail": True, "peer": False},
]

# what stands for all in a short run, and in one of seconds
SHORT = ["1k-100", "10k-1", "10k-100", "10k-20-tls-one", "10k-10-rcpt20", "1m-10",
         "latency", "queue", "idle"]
SMOKE = ["10k-10", "10k-20-tls-one", "latency", "queue", "dead", "overload", "idle"]
