@0x9bce094a026970c4;
# Epochs, identity, and the membrane that binds a session to one epoch.

struct Epoch {
  # One generation of a deployment. Authority granted under an epoch ends with it.

  seq @0 :UInt64;
  # Position in the sequence of epochs. Only ever grows; gaps are allowed.

  head @1 :Data;
  # Content id of the deployment's base layer, as binary CID. Empty where
  # epochs follow no content.

  adoptedBlock @2 :UInt64;
  # Number of the block in which this head was adopted on chain. Zero where
  # epochs come from somewhere else.
}

enum Status {
  # What a session knows about itself.

  ok @0;
  # The session's epoch is the current one.

  unauthorized @1;
  # The session does not hold the authority it asks about.

  internalError @2;
  # The status could not be found out.
}

interface Signer {
  # Proves that its holder controls a key, and never shows the key.

  sign @0 (domain :Text, nonce :UInt64) -> (sig :Data);
  # Signs `nonce` for `domain`. `sig` is a libp2p signed envelope (libp2p RFC
  # 0002), which carries the public key. A signer refuses domains that it was
  # not made for.
}

interface StatusPoller {
  # Asks a session whether it is still good.

  pollStatus @0 () -> (status :Status);
  # Answers `ok`, or fails: once the epoch has advanced, the call itself is
  # refused, as is every other call of the session.

  ended @1 () -> ();
  # Waits for the session's end: never answers, and fails as every call in
  # flight does when the epoch advances.
}

struct Session(Extension) {
  # What grafting grants. Every capability in it, and every capability
  # reached through one of them, dies when the epoch advances.

  issuedEpoch @0 :Epoch;
  # The epoch that the session was issued under.

  statusPoller @1 :StatusPoller;

  extension @2 :Extension;
  # The capabilities of the application; a struct of its own schema.
}

interface Membrane(SessionExt) {
  # The boundary between a host and those it hosts.

  graft @0 (signer :Signer) -> (session :Session(SessionExt));
  # Opens a session under the current epoch. `signer` answers the host's
  # challenge; it may be null where the host's policy asks for no proof.
}
