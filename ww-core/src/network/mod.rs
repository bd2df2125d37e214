//! The peers around a host, behind the wire's `Host`.
//!
//! ```text
//!  Host ──► dyn Network ──┬── Memory ── Switch   several hosts in one process
//!                         ├── Offline            an identity and no peers
//!                         └── the application's own
//! ```
//!
//! Two hosts that find each other in memory:
//!
//! ```
//! use ww_core::network::{Network, Switch};
//!
//! # fn main() -> Result<(), ww_core::network::Error> {
//! # futures_lite::future::block_on(async {
//! let switch = Switch::new();
//! let (alice, bob) = (switch.join(), switch.join());
//! let at = bob.listen();
//!
//! alice.connect(bob.local(), vec![at]).await?;
//! assert_eq!(bob.state().peers[0].id, alice.local());
//! # Ok(())
//! # })
//! # }
//! ```

mod duplex;
mod error;
mod memory;
mod node;
mod offline;
mod state;
mod switch;

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

pub use duplex::{Duplex, ReadWrite};
pub use error::Error;
pub use libp2p_identity::{Keypair, PeerId};
pub use memory::Memory;
pub use multiaddr::Multiaddr;
pub use offline::Offline;
pub use state::{Peer, State};
pub use switch::Switch;

/// What a host knows of its peers and can ask of them.
///
/// - [`local`](Self::local) never changes during the life of a value.
/// - Every change of what [`state`](Self::state) answers changes its version,
///   and wakes whoever waits in [`changed`](Self::changed). Nobody polls.
/// - Between two peers there is at most one connection, and both list it.
/// - A protocol is named by an opaque string, by custom with a leading slash;
///   a stream opened under a name reaches only who accepts that name.
/// - All futures may be dropped at any time. A connection or stream that was
///   half made is then either finished or undone, never left half made.
#[async_trait]
pub trait Network: Send + Sync {
    /// The identity of this host.
    fn local(&self) -> PeerId;

    /// Where this host listens and whom it is connected to, now.
    fn state(&self) -> State;

    /// The first state whose version is not `version`; at once where that is
    /// the case already.
    ///
    /// Changes that follow each other quickly may be seen as one.
    ///
    /// # Cancel safety
    ///
    /// Safe: ask again with the version last seen, and nothing is missed.
    async fn changed(&self, version: u64) -> State;

    /// Connects to `peer` at the first of `addrs` where it answers; at once
    /// where a connection exists.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] says why each address failed; [`Error::Never`].
    async fn connect(&self, peer: PeerId, addrs: Vec<Multiaddr>) -> Result<(), Error>;

    /// Opens a stream to a connected peer under the name of a protocol.
    ///
    /// # Errors
    ///
    /// [`Error::NotConnected`] without a connection, [`Error::Refused`] where
    /// the peer does not accept the protocol.
    async fn open(&self, peer: PeerId, protocol: &str) -> Result<Duplex, Error>;

    /// The streams that peers open under the name of a protocol, from now on.
    ///
    /// Who accepts a name last gets its streams: earlier acceptors of the same
    /// name end.
    fn accept(&self, protocol: &str) -> BoxStream<'static, (PeerId, Duplex)>;
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        #[async_trait]
        impl<N: Network + ?Sized> Network for $pointer {
            fn local(&self) -> PeerId {
                (**self).local()
            }

            fn state(&self) -> State {
                (**self).state()
            }

            async fn changed(&self, version: u64) -> State {
                (**self).changed(version).await
            }

            async fn connect(&self, peer: PeerId, addrs: Vec<Multiaddr>) -> Result<(), Error> {
                (**self).connect(peer, addrs).await
            }

            async fn open(&self, peer: PeerId, protocol: &str) -> Result<Duplex, Error> {
                (**self).open(peer, protocol).await
            }

            fn accept(&self, protocol: &str) -> BoxStream<'static, (PeerId, Duplex)> {
                (**self).accept(protocol)
            }
        }
    )*};
}

forward!(&N, Box<N>, Arc<N>);
