@0x951bff080a3308fe;
# An application's own schema: what its host grants to the cells it runs.

interface Greeter {
  greet @0 (name :Text) -> (greeting :Text);
}

struct Reception {
  # Extension of a `Session`, from Wetware's stem.capnp.

  greeter @0 :Greeter;
}
