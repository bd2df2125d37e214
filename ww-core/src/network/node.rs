use std::collections::{BTreeMap, BTreeSet};

use futures::channel::{mpsc, oneshot};
use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use super::Duplex;

/// Streams that wait to be accepted, for each protocol; further openers wait.
const BACKLOG: usize = 16;

/// A host as its switch knows it.
pub(super) struct Node {
    pub(super) version: u64,
    pub(super) addrs: Vec<Multiaddr>,
    /// Symmetric: each of these nodes lists this one.
    pub(super) peers: BTreeSet<PeerId>,
    watchers: Vec<oneshot::Sender<()>>,
    acceptors: BTreeMap<String, mpsc::Sender<(PeerId, Duplex)>>,
}

impl Node {
    pub(super) fn new() -> Self {
        Self {
            version: 1,
            addrs: Vec::new(),
            peers: BTreeSet::new(),
            watchers: Vec::new(),
            acceptors: BTreeMap::new(),
        }
    }

    /// Counts a change and wakes who waits for one.
    pub(super) fn change(&mut self) {
        self.version += 1;
        for watcher in self.watchers.drain(..) {
            // Whoever stopped waiting needs no notice.
            let _ = watcher.send(());
        }
    }

    /// Resolves at the next change.
    pub(super) fn watch(&mut self) -> oneshot::Receiver<()> {
        self.watchers.retain(|watcher| !watcher.is_canceled());
        let (watcher, watched) = oneshot::channel();
        self.watchers.push(watcher);
        watched
    }

    /// The streams opened to this node under `protocol`, instead of whoever
    /// accepted them before.
    pub(super) fn accept(&mut self, protocol: &str) -> mpsc::Receiver<(PeerId, Duplex)> {
        let (acceptor, accepted) = mpsc::channel(BACKLOG);
        self.acceptors.insert(protocol.to_owned(), acceptor);
        accepted
    }

    /// Who accepts `protocol` on this node.
    pub(super) fn acceptor(&mut self, protocol: &str) -> Option<mpsc::Sender<(PeerId, Duplex)>> {
        self.acceptors.retain(|_, acceptor| !acceptor.is_closed());
        self.acceptors.get(protocol).cloned()
    }
}
