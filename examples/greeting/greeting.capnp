@0x951bff080a3308fe;
# An application's own schema: what its host grants to the cells it runs.

interface Greeter {
  greet @0 (name :Text) -> (greeting :Text);
}

struct Reception {
  # Extension of a `Session`, from Wetware's stem.capnp.

  greeter @0 :Greeter;
}

struct Invitation {
  # Extension of a `Session` of a cell that is to speak in a peer's name.

  signer @0 :Capability;
  # A `Signer` of Wetware's stem.capnp, with that peer's key.

  club @1 :Capability;
  # A `Membrane(Reception)` that admits the peer.
}
