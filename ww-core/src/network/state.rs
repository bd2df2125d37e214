use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

/// A snapshot of a host's place among its peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Differs between any two states of one network that differ otherwise.
    pub version: u64,
    /// Where this host listens.
    pub addrs: Vec<Multiaddr>,
    /// Whom this host is connected to, each once.
    pub peers: Vec<Peer>,
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its identity.
    pub id: PeerId,
    /// Where it is known to listen; empty where nothing is known.
    pub addrs: Vec<Multiaddr>,
}
