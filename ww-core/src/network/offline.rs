use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;

use super::{Duplex, Error, Network, State};

/// A host without a network: an identity of its own, no address, no peers.
#[derive(Clone, Copy, Debug)]
pub struct Offline {
    local: PeerId,
}

impl Offline {
    /// A host with a fresh identity, whose key is thrown away.
    pub fn new() -> Self {
        Self::identified(Keypair::generate_ed25519().public().to_peer_id())
    }

    /// A host with this identity.
    pub fn identified(local: PeerId) -> Self {
        Self { local }
    }
}

impl Default for Offline {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Network for Offline {
    fn local(&self) -> PeerId {
        self.local
    }

    fn state(&self) -> State {
        State::default()
    }

    async fn changed(&self, version: u64) -> State {
        let state = self.state();
        if state.version == version {
            futures::future::pending::<()>().await;
        }
        state
    }

    async fn connect(&self, peer: PeerId, _: Vec<Multiaddr>) -> Result<(), Error> {
        Err(Error::Never {
            peer,
            reason: "this host has no network",
        })
    }

    async fn open(&self, peer: PeerId, _: &str) -> Result<Duplex, Error> {
        Err(Error::NotConnected { peer })
    }

    fn accept(&self, _: &str) -> BoxStream<'static, (PeerId, Duplex)> {
        stream::pending().boxed()
    }
}
