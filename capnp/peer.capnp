@0xbf5147b78c0e6a2f;
# A peer, the cells that run on it, and their byte streams.

using Cell = import "cell.capnp";

struct PeerInfo {
  peerId @0 :Data;
  # libp2p peer id, binary (the multihash).

  addrs @1 :List(Data);
  # Multiaddrs at which the peer was seen, binary.
}

interface Host {
  # The peer that runs a cell, as seen from within the cell.

  id @0 () -> (peerId :Data);
  # libp2p peer id of this host, binary (the multihash).

  addrs @1 () -> (addrs :List(Data));
  # Multiaddrs that this host listens on, binary.

  peers @2 () -> (peers :List(PeerInfo));
  # The peers that this host is connected to.

  connect @3 (peerId :Data, addrs :List(Data)) -> ();
  # Connects to a peer at the first of `addrs` that answers. Returns once
  # connected; at once where a connection exists.

  executor @4 () -> (executor :Executor);
  # Runs cells on this host.
}

interface Executor {
  # Runs WASM components as cells.

  runBytes @0 (wasm :Data, args :List(Text), env :List(Text)) -> (process :Process);
  # Compiles `wasm`, a component of the wasi:cli/command world, and runs it.
  # `args` is the whole argv, `env` holds items of the form `KEY=VALUE`. The
  # child bootstraps a `Host` that lives as long as this executor's session.

  echo @1 (message :Text) -> (response :Text);
  # Answers `Echo: ` followed by the message.

  compile @2 (wasm :Data) -> (program :Cell.Program);
  # Compiles `wasm` once, to be spawned often.

  runImage @3 (path :Text, options :Cell.SpawnOptions, bootstrap :Capability) -> (process :Process);
  # Runs an image that lies in the image of the cell this executor was granted
  # to, `svc/<name>` for one: its `bin/main.wasm`, with what lies at `path`
  # mounted at `/`. Else like `spawn` of a `Program`. Links are followed within
  # the cell's image.
}

interface Process {
  # A running cell, as held by its parent. The cell lives while this
  # capability, a call on it, or one of its streams is held.

  stdin @0 () -> (stream :ByteStream);
  # The write end of the cell's standard input.

  stdout @1 () -> (stream :ByteStream);
  # The read end of the cell's standard output. Until it is asked for, and
  # after it was dropped, output is kept up to a bound, then discarded.

  stderr @2 () -> (stream :ByteStream);
  # The read end of the cell's standard error; see `stdout`.

  wait @3 () -> (exitCode :Int32);
  # Waits for the cell to exit. May be called any number of times, also after
  # the exit. Fails where the cell did not exit by itself: a trap, a kill; and with
  # `overloaded` where a limit had ended its RPC connection before it exited: what
  # went beyond which, and the exit code, are in the text.

  bootstrap @4 () -> (cap :Capability);
  # The capability that the cell exports.

  kill @5 () -> ();
  # Ends the cell. Returns once it has ended; harmless where it already had.

  usage @6 () -> (usage :Cell.Usage);
  # What the cell has used until now, or until its end.

  executor @7 () -> (executor :Executor);
  # Runs cells below this one: they end with it at the latest, have its limits or
  # narrower ones, and what they take counts for it. Images are those that lie in the
  # image which this cell sees at `/`. To hand it to the cell, hand down a promise of
  # it; and narrow the cell's `children`, `codeBytes` and `compilations`, where some of
  # one's own are to be left. Cells stand 64 below one another at the most. It does not
  # keep the cell alive. Whoever holds a process can run code with it: hand on what it
  # answers with, rather than the process.
}

interface ByteStream {
  # One direction of bytes. Reading from a write end fails, and the reverse.

  read @0 (maxBytes :UInt32) -> (data :Data);
  # Waits for at least one byte and answers with at most `maxBytes`, and never
  # more than 64 KiB. Empty data is the end of the stream, unless `maxBytes`
  # was zero.

  write @1 (data :Data) -> ();
  # Returns once all of `data` is in the stream's buffer.

  close @2 () -> ();
  # Closes the stream. Does not wait for reads or writes that are under way:
  # they end.

  push @3 (data :Data) -> stream;
  # Like `write`, under the flow control of the RPC system.

  finish @4 () -> ();
  # Ends what was pushed: returns once all of it is in the buffer, and closes.
}
