"""A client's half of Cap'n Proto's RPC protocol, over two byte streams.

https://github.com/capnproto/capnproto/blob/v2/c%2B%2B/src/capnp/rpc.capnp
"""

import struct

from capnp import Struct, encode, read

UNIMPLEMENTED, ABORT, CALL, RETURN, FINISH, RESOLVE, RELEASE = range(7)
BOOTSTRAP, DISEMBARGO = 8, 13
RESULTS, EXCEPTION = 0, 1
SENDER_HOSTED, SENDER_PROMISE = 1, 2


class Failed(Exception):
    """What a call failed with."""


class Promise:
    """The answer to a question that was asked, be it there yet or not."""

    def __init__(self, connection, question):
        self.connection, self.question = connection, question

    def call(self, path, interface, method, params):
        """Calls the capability that the pointers of `path` lead to in the answer,
        without waiting for the answer."""
        connection = self.connection
        transform = [Struct(struct.pack("<HH", 1, index)) for index in path]
        answer = Struct(struct.pack("<I", self.question), transform or None)
        target = Struct(struct.pack("<IH", 0, 1), answer)
        question = connection.new_question()
        data = struct.pack("<IHHQQ", question, method, 0, interface, 0)
        connection.say(CALL, Struct(data, target, Struct(b"", params, None), None))
        return Promise(connection, question)

    def wait(self):
        """The results, once they are there."""
        return self.connection.wait(self.question)

    def finish(self):
        """Lets go of the answer, and of all capabilities in it."""
        # Whether they are released is said the other way round on the wire.
        self.connection.say(FINISH, Struct(struct.pack("<II", self.question, 0)))


class Connection:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.questions = 0
        self.answers = {}

    def bootstrap(self):
        question = self.new_question()
        self.say(BOOTSTRAP, Struct(struct.pack("<I", question), None))
        return Promise(self, question)

    def new_question(self):
        self.questions += 1
        return self.questions - 1

    def say(self, which, body):
        self.writer.write(encode(Struct(struct.pack("<H", which), body)))
        self.writer.flush()

    def wait(self, question):
        while question not in self.answers:
            message = read(self.reader)
            if message is None:
                raise Failed("the host has ended the connection")
            self.hear(message.number(0, 2), message[0])
        answer = self.answers.pop(question)
        if answer.number(6, 2) == EXCEPTION:
            raise Failed(answer[0].text(0))
        if answer.number(6, 2) != RESULTS:
            raise Failed("the answer went somewhere else")
        return answer[0][0]

    def hear(self, which, body):
        if which == RETURN:
            self.answers[body.number(0, 4)] = body
        elif which == ABORT:
            raise Failed(body.text(0))
        elif which in (BOOTSTRAP, CALL):
            # Whoever asks is told that there is nothing here.
            error = Struct(struct.pack("<IH", 0, 3), "nothing is served here", None)
            data = struct.pack("<IHHQ", body.number(0, 4), 0, EXCEPTION, 0)
            self.say(RETURN, Struct(data, error))
