use std::fmt;

use async_trait::async_trait;
use futures::SinkExt;
use futures::stream::{self, BoxStream, StreamExt};
use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;

use super::duplex::duplex;
use super::node::Node;
use super::switch::Table;
use super::{Duplex, Error, Network, Peer, State, Switch};

/// A host on a [`Switch`], together with other hosts of the same process.
///
/// Dropping it takes the host off the switch; its peers lose the connection,
/// while streams that are open go on.
pub struct Memory {
    switch: Switch,
    keypair: Keypair,
    local: PeerId,
}

impl Memory {
    /// A switch for several hosts. The same as [`Switch::new`].
    pub fn network() -> Switch {
        Switch::new()
    }

    pub(super) fn new(switch: Switch, keypair: Keypair) -> Self {
        let local = keypair.public().to_peer_id();
        switch.table().nodes.insert(local, Node::new());
        Self {
            switch,
            keypair,
            local,
        }
    }

    /// The key behind this host's identity.
    pub fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    /// Listens at one more address, `/memory/N`, and answers which.
    pub fn listen(&self) -> Multiaddr {
        let mut table = self.switch.table();
        let addr = table.fresh();
        table.listen(self.local, addr.clone());
        addr
    }

    /// Ends the connection with `peer`, where there is one.
    pub fn disconnect(&self, peer: PeerId) {
        self.switch.table().disconnect(self.local, peer);
    }

    fn snapshot(&self, table: &Table) -> State {
        let Some(node) = table.nodes.get(&self.local) else {
            return State::default();
        };
        let peer = |id: &PeerId| Peer {
            id: *id,
            addrs: table
                .nodes
                .get(id)
                .map(|node| node.addrs.clone())
                .unwrap_or_default(),
        };
        State {
            version: node.version,
            addrs: node.addrs.clone(),
            peers: node.peers.iter().map(peer).collect(),
        }
    }
}

#[async_trait]
impl Network for Memory {
    fn local(&self) -> PeerId {
        self.local
    }

    fn state(&self) -> State {
        self.snapshot(&self.switch.table())
    }

    async fn changed(&self, version: u64) -> State {
        loop {
            let watched = {
                let mut table = self.switch.table();
                let state = self.snapshot(&table);
                match table.nodes.get_mut(&self.local) {
                    Some(node) if state.version == version => node.watch(),
                    _ => return state,
                }
            };
            // Either way there is something new to look at.
            let _ = watched.await;
        }
    }

    async fn connect(&self, peer: PeerId, addrs: Vec<Multiaddr>) -> Result<(), Error> {
        let unreachable = |reason: String| Error::Unreachable { peer, reason };
        if peer == self.local {
            let reason = "it is this host itself";
            return Err(Error::Never { peer, reason });
        }
        let mut table = self.switch.table();
        let node = table.nodes.get(&self.local);
        if node.is_some_and(|node| node.peers.contains(&peer)) {
            return Ok(());
        }
        let mut reasons = Vec::new();
        for addr in &addrs {
            match table.probe(peer, addr) {
                Ok(()) => {
                    table.connect(self.local, peer);
                    return Ok(());
                }
                Err(reason) => reasons.push(reason),
            }
        }
        if reasons.is_empty() {
            reasons.push("no address to try".into());
        }
        Err(unreachable(reasons.join("; ")))
    }

    async fn open(&self, peer: PeerId, protocol: &str) -> Result<Duplex, Error> {
        let refused = || Error::Refused {
            peer,
            protocol: protocol.to_owned(),
        };
        let mut acceptor = {
            let mut table = self.switch.table();
            let node = table.nodes.get_mut(&peer);
            match node.filter(|node| node.peers.contains(&self.local)) {
                None => return Err(Error::NotConnected { peer }),
                Some(node) => node.acceptor(protocol).ok_or_else(refused)?,
            }
        };
        let (here, there) = duplex();
        let sent = acceptor.send((self.local, there)).await;
        sent.map_err(|_| refused())?;
        Ok(here)
    }

    fn accept(&self, protocol: &str) -> BoxStream<'static, (PeerId, Duplex)> {
        let mut table = self.switch.table();
        match table.nodes.get_mut(&self.local) {
            Some(node) => node.accept(protocol).boxed(),
            None => stream::empty().boxed(),
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.switch.table().remove(self.local);
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("local", &self.local)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
