//! The formats that content addressed trees are made of: [`Cid`]s, [`dag_pb`]
//! nodes, the [`unixfs`] data in them, and the [`car`]s they travel
//! in.
//!
//! What is decoded may come from anybody: every length is bounded before
//! anything is allocated for it, and what breaks a rule is refused with a
//! [`CodecError`]. What is encoded is in canonical form, so that equal values
//! have equal CIDs.
//!
//! ```
//! use ww_loader::ipld::{Cid, Codec, dag_pb, unixfs};
//!
//! let hello = Cid::of(Codec::Raw, b"hello");
//! let dir = dag_pb::Node {
//!     links: vec![dag_pb::Link::new("motd", hello, 5)],
//!     data: Some(unixfs::Data::directory().encode().into()),
//! };
//! let block = dir.encode();
//! let cid = Cid::of(Codec::DagPb, &block);
//!
//! cid.verify(&block)?;
//! assert_eq!(dag_pb::Node::decode(&block.into())?, dir);
//! # Ok::<(), ww_loader::ipld::CodecError>(())
//! ```

pub mod car;
mod cid;
pub mod dag_pb;
mod error;
mod hash;
pub mod unixfs;

pub use self::cid::{Cid, Codec};
pub use error::CodecError;
