//! The head of a tree as a contract on an EVM chain has it.
//!
//! The contract answers `head()` with a sequence number and a CID. A [`Stem`]
//! asks a node for it over JSON-RPC, in a block that has some others on top of
//! it, and gives every new head in turn:
//!
//! ```text
//!   ┌ contract ──────────────────────────────┐
//!   │ head() -> (uint64 seq, bytes cid)      │ ◄── eth_call ── Stem ──► heads
//!   └────────────────────────────────────────┘     at block N − confirmations
//! ```
//!
//! What the node says is not proven, only checked for sense: heads never go
//! backwards, a number never has two CIDs, and no answer of another chain, of a
//! node that lags behind, or of a block that was replaced meanwhile counts. So
//! a node can withhold heads and can invent them: ask one that you trust.
//!
//! ```solidity
//! interface Stem {
//!     function head() external view returns (uint64 seq, bytes memory cid);
//! }
//! ```

mod abi;
mod address;
mod error;
mod head;
mod rpc;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};

use crate::clock::Clock;
use crate::http::{Http, server};

pub use address::Address;
pub use error::StemError;
pub use head::Head;
use rpc::Node;
use watch::Watch;

/// A contract that knows the head of a tree, and the nodes to ask for it.
#[derive(Clone)]
#[must_use = "a stem does nothing until it is asked"]
pub struct Stem {
    http: Arc<dyn Http>,
    clock: Arc<dyn Clock>,
    nodes: Vec<At>,
    contract: Address,
    chain: u64,
    confirmations: u64,
    interval: Duration,
    longest_wait: Duration,
    timeout: Duration,
    known: Option<Head>,
}

/// Where a node is, and what it is called.
#[derive(Clone)]
struct At {
    url: String,
    name: String,
}

impl At {
    fn new(url: String) -> Self {
        let name = server(&url);
        Self { url, name }
    }
}

impl Stem {
    /// The contract at `contract` on the chain with this id (EIP-155), asked of
    /// the JSON-RPC node at `url`, with this client and in this time. Errors tell no
    /// more of the address than scheme, host and port.
    pub fn new(
        url: impl Into<String>,
        chain: u64,
        contract: Address,
        http: impl Http + 'static,
        clock: impl Clock + 'static,
    ) -> Self {
        Self {
            http: Arc::new(http),
            clock: Arc::new(clock),
            nodes: vec![At::new(url.into())],
            contract,
            chain,
            confirmations: 12,
            interval: Duration::from_secs(12),
            longest_wait: Duration::from_secs(300),
            timeout: Duration::from_secs(10),
            known: None,
        }
    }

    /// One more node. After a failure the next is asked.
    pub fn node(mut self, url: impl Into<String>) -> Self {
        self.nodes.push(At::new(url.into()));
        self
    }

    /// How many blocks must stand on top of the one that is read, 12 by
    /// default. More of them make it less likely that a head is taken back, and
    /// every new head later by as many blocks.
    pub fn confirmations(mut self, blocks: u64) -> Self {
        self.confirmations = blocks;
        self
    }

    /// How long to wait between two questions; 12 seconds by default.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long to wait at most after failures, each of which doubles the wait;
    /// 5 minutes by default. A node that limits its rate may ask for as much.
    pub fn longest_wait(mut self, wait: Duration) -> Self {
        self.longest_wait = wait;
        self
    }

    /// How long to wait for each answer; 10 seconds by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// A head that was seen before, in an earlier run say: only later ones are
    /// given, and none that contradicts it.
    pub fn known(mut self, head: Head) -> Self {
        self.known = Some(head);
        self
    }

    /// The current head, or `None` where the contract has none yet, or none
    /// that is later than the one that is [`known`](Self::known).
    ///
    /// # Errors
    ///
    /// [`StemError`], of the last node, where none has an answer.
    pub async fn head(&self) -> Result<Option<Head>, StemError> {
        Watch::new(self.clone()).once().await
    }

    /// Every new head, as long as the stream is polled. It never ends.
    ///
    /// An error says that nothing new is known: the last head stands, and the
    /// stream goes on, after a wait that doubles with each error in a row.
    ///
    /// # Cancel safety
    ///
    /// Waiting for the next item may be given up at any time. Nothing happens
    /// while the stream is not polled.
    pub fn heads(self) -> BoxStream<'static, Result<Head, StemError>> {
        let heads = stream::unfold(Watch::new(self), |mut watch| async {
            let next = watch.next().await;
            Some((next, watch))
        });
        heads.boxed()
    }

    fn rpc(&self, index: usize) -> Node<'_> {
        // There is at least one.
        let At { url, name } = &self.nodes[index % self.nodes.len()];
        Node {
            http: &*self.http,
            url,
            name,
            timeout: self.timeout,
        }
    }
}

impl fmt::Debug for Stem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            contract, chain, ..
        } = self;
        write!(f, "Stem({contract} on chain {chain})")
    }
}
