"""The other side: pycapnp, Cap'n Proto's own C++ runtime.

    peer.py serve ADDRESS          serves what `examples/interop.rs` serves
    peer.py call ADDRESS           calls it in every way, and prints what came
    peer.py relay ADDRESS ADDRESS  gives at the first what the second gives
    peer.py greet ADDRESS          calls one echo of the executor that is there

An address is a path, or HOST:PORT.
"""

import asyncio
import os
import sys

import capnp

SCHEMAS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../capnp")
peer = capnp.load(os.path.join(SCHEMAS, "peer.capnp"), imports=[SCHEMAS])
cell = capnp.load(os.path.join(SCHEMAS, "cell.capnp"), imports=[SCHEMAS])


class Hanging:
    """Calls that nobody answers, of all connections."""

    def __init__(self):
        self.count = 0
        self.changed = asyncio.Condition()

    async def hang(self):
        self.count += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.count -= 1
            # Whoever is cancelled cannot wait for the lock.
            asyncio.get_running_loop().create_task(self.tell())

    async def tell(self):
        async with self.changed:
            self.changed.notify_all()

    async def end(self):
        async with self.changed:
            await self.changed.wait_for(lambda: self.count == 0)


class Executor(peer.Executor.Server):
    def __init__(self, hanging, hang_up):
        self.hanging = hanging
        self.hang_up = hang_up

    async def echo(self, message, **kwargs):
        if message == "fail":
            raise ValueError("as asked")
        if message == "hanging":
            return str(self.hanging.count)
        if message == "none hangs":
            await self.hanging.end()
        if message == "hang up":
            self.hang_up()
            await asyncio.Event().wait()
        return f"Echo: {message}"

    async def runBytes(self, **kwargs):
        await self.hanging.hang()

    async def compile(self, **kwargs):
        return Program()


class Program(cell.Program.Server):
    async def spawn(self, options, bootstrap, **kwargs):
        return Process(bootstrap.as_interface(peer.Executor))


class Process(peer.Process.Server):
    def __init__(self, given):
        self.given = given
        self.stream = Stream()

    async def wait(self, **kwargs):
        response = await self.given.echo("called back")
        return len(response.response)

    async def bootstrap(self, **kwargs):
        return self.given

    async def stdin(self, **kwargs):
        return self.stream

    async def stdout(self, **kwargs):
        return self.stream


class Stream(peer.ByteStream.Server):
    def __init__(self):
        self.data = b""

    async def push(self, data, **kwargs):
        self.data += bytes(data)

    async def finish(self, **kwargs):
        pass

    async def read(self, maxBytes, **kwargs):
        data, self.data = self.data[:maxBytes], self.data[maxBytes:]
        return data


class Host(peer.Host.Server):
    def __init__(self, executor):
        self.given = executor

    async def executor(self, **kwargs):
        return self.given


class Ours(peer.Executor.Server):
    """What the caller hands over."""

    async def echo(self, message, **kwargs):
        return f"caller has {message}"


async def connect(address):
    if address.startswith("/"):
        return await capnp.AsyncIoStream.create_unix_connection(address)
    host, port = address.rsplit(":", 1)
    return await capnp.AsyncIoStream.create_connection(host, port)


async def listen(address, each):
    async def connected(stream):
        await each(stream)

    if address.startswith("/"):
        server = await capnp.AsyncIoStream.create_unix_server(connected, address)
    else:
        host, port = address.rsplit(":", 1)
        server = await capnp.AsyncIoStream.create_server(connected, host, port)
        address = "{}:{}".format(*server.sockets[0].getsockname())
    print(f"listening {address}", flush=True)
    async with server:
        await server.serve_forever()


async def serve(address):
    hanging = Hanging()

    async def each(stream):
        executor = Executor(hanging, stream.close)
        server = capnp.TwoPartyServer(stream, bootstrap=Host(executor))
        await server.on_disconnect()

    await listen(address, each)


async def relay(address, behind):
    async def each(stream):
        client = capnp.TwoPartyClient(await connect(behind))
        executor = client.bootstrap().cast_as(peer.Host).executor().executor
        server = capnp.TwoPartyServer(stream, bootstrap=Host(executor))
        await server.on_disconnect()

    await listen(address, each)


async def kind(promise):
    try:
        await promise
        return "answered"
    except capnp.KjException as error:
        return error.type.lower()


async def call(address):
    client = capnp.TwoPartyClient(await connect(address))
    host = client.bootstrap().cast_as(peer.Host)
    executor = (await host.executor()).executor

    async def echo(message):
        return (await executor.echo(message)).response

    print("plain:", await echo("hello"))
    answer = await host.executor().executor.echo("through a promise")
    print("pipelined:", answer.response)
    many = [executor.echo(str(n)) for n in range(500)]
    answers = [(await each).response for each in many]
    print("at once:", sum(int(answer.split()[1]) for answer in answers))

    program = executor.compile(b"").program
    request = program.spawn_request()
    request.bootstrap = Ours()
    process = request.send().process
    print("called back:", (await process.wait()).exitCode)
    back = (await process.bootstrap()).cap.as_interface(peer.Executor)
    print("came home:", (await back.echo("it")).response)
    # Sent before the other side can know that it leads back here.
    back = process.bootstrap().cap.cast_as(peer.Executor)
    print("reflected:", (await back.echo("it")).response)

    stdin = process.stdin().stream
    for n in range(1000):
        await stdin.push(bytes([n % 251]) * 100)
    await stdin.finish()
    stdout = (await process.stdout()).stream
    streamed = 0
    while data := (await stdout.read(65536)).data:
        streamed += len(data)
    print("streamed:", streamed)

    for message in ("fail", "overload", "disconnect", "unimplemented"):
        print(f"{message}:", await kind(executor.echo(message)))
    print("no such method:", await kind(host.peers()))
    broken = executor.runBytes(b"", [], [])
    print("hanging:", await echo("hanging"))
    broken.cancel()
    await echo("none hangs")
    print("cancelled:", await echo("hanging"))

    # The one leaves while it waits, the other is left.
    stream = await connect(address)
    other = capnp.TwoPartyClient(stream)
    left = other.bootstrap().cast_as(peer.Host).executor().executor
    hangs = left.runBytes(b"", [], [])
    await left.echo("hello")
    print("hanging:", await echo("hanging"))
    stream.close()
    print("our end:", await kind(hangs))
    await echo("none hangs")
    hangs = executor.runBytes(b"", [], [])
    print("hung up:", await kind(executor.echo("hang up")), await kind(hangs))
    print("after:", await kind(executor.echo("anyone?")))


async def greet(address):
    client = capnp.TwoPartyClient(await connect(address))
    executor = client.bootstrap().cast_as(peer.Executor)
    print((await executor.echo("from python")).response)
    print("no such method:", await kind(executor.compile(b"")))


if __name__ == "__main__":
    verbs = {"serve": serve, "call": call, "relay": relay, "greet": greet}
    asyncio.run(capnp.run(verbs[sys.argv[1]](*sys.argv[2:])))
