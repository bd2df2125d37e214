//! IPFS: trees named by their content, from sources that nobody has to trust.
//!
//! ```text
//!  Ipfs (a Loader) ──► Blocks ──┬─ memory, disk     what was had before
//!                               ├─ Gateway          a trustless gateway
//!                               ├─ Kubo             a node's RPC
//!                               └─ your own Source
//! ```
//!
//! [`Blocks`] asks its sources in turn and checks the hash of every block
//! before a byte of it is used, so that the worst a source can do is to give
//! nothing. What is absent is known from the blocks of the directory that does
//! not hold it, never from a status.
//!
//! ```
//! use ww_loader::ipfs::{Blocks, Ipfs};
//! use ww_loader::ipld::{Cid, Codec, dag_pb, unixfs};
//! use ww_loader::{LoaderExt, Path};
//!
//! # futures_lite::future::block_on(async {
//! let file = Cid::inlined(Codec::Raw, b"hello").expect("a short file");
//! let dir = dag_pb::Node {
//!     links: vec![dag_pb::Link::new("motd", file, 5)],
//!     data: Some(unixfs::Data::directory().encode().into()),
//! };
//! let root = Cid::inlined(Codec::DagPb, &dir.encode()).expect("a short directory");
//!
//! // Both CIDs hold their blocks, so no source is needed.
//! let loader = Ipfs::new(format!("/ipfs/{root}").parse()?, &Blocks::builder().build());
//! assert_eq!(loader.load(&Path::new("motd")?, 64).await?, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```

mod answer;
mod blocks;
mod builder;
mod content_path;
mod dir;
#[cfg(unix)]
mod disk;
mod endpoint;
mod error;
mod file;
mod gateway;
mod hamt;
pub mod ipns;
mod kubo;
mod limits;
mod loader;
mod memory;
mod node;
mod pace;
mod shards;
mod source;
mod turns;
mod walk;

pub use blocks::Blocks;
pub use builder::Builder;
pub use content_path::IpfsPath;
#[cfg(unix)]
pub use disk::Disk;
pub use error::{Attempt, Error, SourceError};
pub use gateway::Gateway;
pub use kubo::Kubo;
pub use limits::{Limits, Retry};
pub use loader::Ipfs;
pub use source::{Query, Scope, Source};
