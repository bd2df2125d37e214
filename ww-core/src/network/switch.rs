use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libp2p_identity::{Keypair, PeerId};
use multiaddr::{Multiaddr, Protocol};

use super::Memory;
use super::node::Node;

/// The place where hosts of one process find each other.
///
/// Clones are the same switch; it lives while one of them, or one of its
/// hosts, does.
#[derive(Clone, Default)]
pub struct Switch {
    table: Arc<Mutex<Table>>,
}

impl Switch {
    /// A switch without hosts.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new host with a fresh ed25519 identity, listening nowhere yet.
    pub fn join(&self) -> Memory {
        Memory::new(self.clone(), Keypair::generate_ed25519())
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        // Every change of the table is whole before it can panic.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switch")
            .field("hosts", &self.table().nodes.len())
            .finish()
    }
}

/// The hosts of a switch.
#[derive(Default)]
pub(super) struct Table {
    /// The number of the address given out last.
    last: u64,
    pub(super) nodes: BTreeMap<PeerId, Node>,
}

impl Table {
    /// An address that nobody listens at and nobody ever did.
    pub(super) fn fresh(&mut self) -> Multiaddr {
        self.last += 1;
        Multiaddr::empty().with(Protocol::Memory(self.last))
    }

    /// Why `peer` does not answer at `addr`, unless it does.
    pub(super) fn probe(&self, peer: PeerId, addr: &Multiaddr) -> Result<(), String> {
        let mut at = addr.clone();
        if let Some(Protocol::P2p(named)) = at.iter().last() {
            if named != peer {
                return Err(format!("{addr}: names peer {named}"));
            }
            at.pop();
        }
        match self.nodes.iter().find(|(_, node)| node.addrs.contains(&at)) {
            None => Err(format!("{addr}: nobody listens there")),
            Some((found, _)) if *found != peer => {
                Err(format!("{addr}: peer {found} answers there"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Makes `one` and `other` list each other.
    pub(super) fn connect(&mut self, one: PeerId, other: PeerId) {
        for (of, peer) in [(one, other), (other, one)] {
            if let Some(node) = self.nodes.get_mut(&of)
                && node.peers.insert(peer)
            {
                node.change();
            }
        }
    }

    /// Makes `one` and `other` forget each other.
    pub(super) fn disconnect(&mut self, one: PeerId, other: PeerId) {
        for (of, peer) in [(one, other), (other, one)] {
            if let Some(node) = self.nodes.get_mut(&of)
                && node.peers.remove(&peer)
            {
                node.change();
            }
        }
    }

    /// Makes `local` listen at `addr`, which its peers get to know.
    pub(super) fn listen(&mut self, local: PeerId, addr: Multiaddr) {
        for (id, node) in &mut self.nodes {
            if *id == local {
                node.addrs.push(addr.clone());
                node.change();
            } else if node.peers.contains(&local) {
                node.change();
            }
        }
    }

    /// Takes `gone` out, and out of the lists of its peers.
    pub(super) fn remove(&mut self, gone: PeerId) {
        self.nodes.remove(&gone);
        for node in self.nodes.values_mut() {
            if node.peers.remove(&gone) {
                node.change();
            }
        }
    }
}
