@0xb31431b85b2abdff;
# Compiled programs, and what is said about a cell when it is spawned and when
# it is asked what it used.

using Peer = import "peer.capnp";

enum Transport {
  # Where a cell speaks RPC.

  imports @0;
  # Where its imports say: a component that imports an RPC interface has its
  # connection there, any other has none.

  stdio @1;
  # Over its standard input and output.
}

struct SpawnOptions {
  args @0 :List(Text);
  # The whole argv.

  env @1 :List(Text);
  # Items of the form `KEY=VALUE`.

  transport @2 :Transport;
}

struct Usage {
  busyNanos @0 :UInt64;
  # Time in which the cell's code ran, in nanoseconds.

  memoryBytes @1 :UInt64;
  # Linear memory held now.

  peakMemoryBytes @2 :UInt64;
  # The most linear memory held at any time.

  stdioBytesIn @3 :UInt64;
  # Bytes that the cell has read from its standard input.

  stdioBytesOut @4 :UInt64;
  # Bytes that the cell has written to its standard output and error.

  rpcBytesIn @5 :UInt64;
  # Bytes of the cell's RPC connection, to the cell.

  rpcBytesOut @6 :UInt64;
  # The same, from the cell.

  callsIn @7 :UInt64;
  # RPC calls to the cell.

  callsOut @8 :UInt64;
  # RPC calls from the cell.

  interruptions @9 :UInt64;
  # How often the cell's code was interrupted because it did not yield by itself.

  refused @10 :Text;
  # What the cell was refused last, because a limit of its own was reached.
  # Empty when nothing was.
}

interface Program {
  # A compiled component, ready to run.

  spawn @0 (options :SpawnOptions, bootstrap :Capability) -> (process :Peer.Process);
  # Runs the program as a new cell whose bootstrap capability is `bootstrap`,
  # and nothing else. Null hands down no capability at all.
}
