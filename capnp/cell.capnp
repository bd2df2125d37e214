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

  limits @3 :Limits;

  scratch @4 :List(Text);
  # Where the cell finds directories that are writable, in memory, its own, and
  # empty at first: absolute paths.

  name @5 :Text;
  # What the cell is called in its host's log, cut where it is long. Where it is
  # empty, that is the path of the image, or else the first of `args`.
}

struct Limits {
  # Bounds on a cell. What its parent does not say, or sets wider than its own,
  # is as the parent's own.

  memoryBytes @0 :UInt64 = 0xffffffffffffffff;
  # Linear memories, tables and instances, those of the cells below it included.

  handles @1 :UInt32 = 0xffffffff;
  # Handles to resources that are open at a time.

  children @2 :UInt32 = 0xffffffff;
  # Cells that run below it at a time, at whatever depth. An executor runs them below
  # the cell that it was granted to, or whose process gave it, whoever holds it.

  cpuNanos @3 :UInt64 = 0xffffffffffffffff;
  # Time in which its code runs, and that of the cells below it, in nanoseconds. A
  # cell that has used it up ends.

  wallNanos @4 :UInt64 = 0xffffffffffffffff;
  # Time from its start, in nanoseconds. A cell that lives longer ends.

  scratchBytes @5 :UInt64 = 0xffffffffffffffff;
  # Its scratch directories together, and those of the cells below it.

  stdioBytes @6 :UInt64 = 0xffffffffffffffff;
  # What each of its standard streams holds before its writer waits.

  rpcMessageBytes @7 :UInt64 = 0xffffffffffffffff;
  # The largest message of its RPC connection.

  rpcCalls @8 :UInt32 = 0xffffffff;
  # Calls of its own that are in flight at a time.

  rpcExports @9 :UInt32 = 0xffffffff;
  # Capabilities of its host's that it holds.

  codeBytes @10 :UInt64 = 0xffffffffffffffff;
  # Machine code of the programs that are held through its executors, and through those
  # of the cells below it.

  compilations @11 :UInt32 = 0xffffffff;
  # Calls on those executors that wait for a program at a time.

  instances @12 :UInt32 = 0xffffffff;
  # Instances of core modules.

  tables @13 :UInt32 = 0xffffffff;
  # Tables of all instances.

  tableEntries @14 :UInt32 = 0xffffffff;
  # Entries of one table.

  memories @15 :UInt32 = 0xffffffff;
  # Linear memories of all instances.

  rpcBufferBytes @16 :UInt64 = 0xffffffffffffffff;
  # What each direction of its RPC connection holds before its writer waits.

  rpcCallBytes @17 :UInt64 = 0xffffffffffffffff;
  # Parameters and answers of the calls of its own that are in flight, together.

  rpcQueueBytes @18 :UInt64 = 0xffffffffffffffff;
  # Messages that wait for it to read them, together.

  rpcNesting @19 :UInt32 = 0xffffffff;
  # Pointers within one another in a message.

  rpcCapabilities @20 :UInt32 = 0xffffffff;
  # Capabilities of a message.

  rpcPipelineDepth @21 :UInt32 = 0xffffffff;
  # Calls that are pipelined on one another.

  rpcResolutions @22 :UInt32 = 0xffffffff;
  # Promises that it has resolved to one another.

  rpcCancelledCalls @23 :UInt32 = 0xffffffff;
  # Calls of its own that it lets go of before they are answered, in all.

  rpcUnansweredCalls @24 :UInt32 = 0xffffffff;
  # Calls to it that it leaves without an answer.
}

struct Usage {
  busyNanos @0 :UInt64;
  # Time in which the cell's code ran, in nanoseconds.

  memoryBytes @1 :UInt64;
  # Linear memories, tables and instances held now.

  peakMemoryBytes @2 :UInt64;
  # The most of them held at any time.

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

  busyBelowNanos @11 :UInt64;
  # Time in which the code of all cells below it ran, in nanoseconds.

  memoryBelowBytes @12 :UInt64;
  # What all cells below it hold of memory now.

  scratchBytes @13 :UInt64;
  # What its scratch directories take now.

  scratchBelowBytes @14 :UInt64;
  # The same of all cells below it.

  children @15 :UInt32;
  # Cells that run below it now, at whatever depth.

  refusedBelow @16 :Text;
  # What a cell below it was refused last, because a limit of this one's was reached.
  # Empty when nothing was.
}

interface Program {
  # A compiled component, ready to run.

  spawn @0 (options :SpawnOptions, bootstrap :Capability) -> (process :Peer.Process);
  # Runs the program as a new cell whose bootstrap capability is `bootstrap`,
  # and nothing else. Null hands down no capability at all.
}
