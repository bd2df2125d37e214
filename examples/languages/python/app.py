"""What it finds in a cell: an answer to each argument."""

import errno
import json
import os
import re
import socket
import sys
import time

from wit_world import exports


def tell(path):
    try:
        with open(path) as file:
            sys.stdout.write(file.read())
    except FileNotFoundError:
        print("no-entry")


def names(path):
    for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
        print(entry.name + ("/" if entry.is_dir() else ""))


def refused(what, call):
    try:
        call()
        print(f"{what}: done")
    except OSError as error:
        code = "read-only" if error.errno == errno.EROFS else errno.errorcode[error.errno]
        print(f"{what}: {code}")


def writes():
    refused("create", lambda: open("/new", "x"))
    refused("write", lambda: os.open("/etc/motd", os.O_WRONLY))
    refused("mkdir", lambda: os.mkdir("/dir"))
    refused("remove", lambda: os.unlink("/etc/motd"))
    refused("rename", lambda: os.rename("/etc/motd", "/motd"))


def clocks():
    before = time.monotonic()
    time.sleep(0.002)
    slept = time.monotonic() - before
    print("after 2020:", "yes" if time.time() > 1577836800 else "no")
    print("slept:", "yes" if slept >= 0.002 else "no")


def differ():
    print("differ:", "yes" if os.urandom(16) != os.urandom(16) else "no")


def sockets():
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            socket.socket(socket.AF_INET, kind)
            print("opened")
        except OSError as error:
            print("denied" if error.errno in (errno.EACCES, errno.EPERM) else error)


def deep(depth):
    sys.setrecursionlimit(100_000)

    def descend(left):
        return 1 + descend(left - 1) if left else 0

    print("deep", descend(int(depth)))


def nested(depth):
    """Parsers that recurse in C."""
    depth = int(depth)
    text = "[" * depth + "]" * depth
    value, levels = json.loads(text), 1
    while value:
        value, levels = value[0], levels + 1
    print("json", levels)
    print("re", str(re.fullmatch("(" * depth + "x" + ")" * depth, "x") is not None).lower())


def fail(code):
    print("as asked", file=sys.stderr)
    sys.exit(int(code))


ASK = {
    "say": lambda *words: print(*words),
    "read": tell,
    "list": names,
    "write": writes,
    "stdin": lambda: sys.stdout.write(sys.stdin.read().upper()),
    "clock": clocks,
    "random": differ,
    "socket": sockets,
    "deep": deep,
    "nested": nested,
    "fail": fail,
}


class Run(exports.Run):
    def run(self):
        for question in sys.argv[1:]:
            what, *words = question.split(" ")
            ASK[what](*words)
