"""Grafts its host's membrane and asks for an echo, in Cap'n Proto's RPC over its
standard input and output. Nothing of Wetware's is in it.

The three questions are asked at once, each of the promised answer to the one
before, so it takes one round trip.
"""

import sys

from wit_world import exports

from capnp import Struct
from rpc import Connection, Failed

MEMBRANE, GRAFT = 0xDB52_C251_06BC_2C5E, 0
EXECUTOR, ECHO = 0xBFA3_7C1E_99B4_A492, 1

# The results of graft hold the session, that holds its extension after its epoch
# and its poller, and that holds the executor after the host.
SESSION_EXECUTOR = (0, 2, 1)


def main(words):
    connection = Connection(sys.stdin.buffer, sys.stdout.buffer)
    bootstrap = connection.bootstrap()
    session = bootstrap.call((), MEMBRANE, GRAFT, Struct(b"", None))
    echo = session.call(SESSION_EXECUTOR, EXECUTOR, ECHO, Struct(b"", " ".join(words)))
    # Standard output is the connection, so a person is told on the other.
    print(echo.wait().text(0), file=sys.stderr)
    epoch = session.wait()[0][0]
    print("grafted under epoch", epoch.number(0, 8), file=sys.stderr)
    for answer in (echo, session, bootstrap):
        answer.finish()


class Run(exports.Run):
    def run(self):
        try:
            main(sys.argv[1:])
        except Failed as error:
            print("failed:", error, file=sys.stderr)
            sys.exit(1)
