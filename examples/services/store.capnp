@0xb5ce2f4d7a1c9e06;
# Values by key.

interface Store {
  get @0 (key :Text) -> (value :Text);
  # Fails where there is none.

  put @1 (key :Text, value :Text) -> ();

  list @2 () -> (keys :List(Text));
  # In their order.

  within @3 (prefix :Text) -> (store :Store);
  # The part of the store whose keys begin with `prefix`, which they go without
  # in there. Nothing leads out of it.
}
