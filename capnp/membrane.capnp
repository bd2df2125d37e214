@0xa59e04af26eca82f;
# The session that a Wetware host grants unless the application brings its own.

using Peer = import "peer.capnp";

struct WetwareSession {
  # Extension of a `Session`, from stem.capnp.

  host @0 :Peer.Host;
  # The peer that runs the cell.

  executor @1 :Peer.Executor;
  # Runs further cells on that peer.
}
