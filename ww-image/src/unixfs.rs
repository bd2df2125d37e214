//! Trees as UnixFS: how each kind of node becomes blocks under a [`Profile`].
//!
//! Nothing is kept of a block but its CID.

mod balanced;
mod directory;

use bytes::Bytes;
use ww_loader::ipld::dag_pb::{Link, Node};
use ww_loader::ipld::{Cid, Codec, unixfs::Data};

use crate::Profile;

pub(crate) use balanced::{Balanced, Part};
pub(crate) use directory::{Named, directory};

/// Chunks of at least this many bytes are hashed on the blocking pool.
const LARGE: usize = 64 << 10;

/// What a block, and what hangs below it, is to the block above.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    pub(crate) cid: Cid,
    /// The bytes of all blocks from this one down; those that stand in several
    /// places count in each.
    pub(crate) size: u64,
}

impl Profile {
    pub(crate) async fn leaf(self, bytes: Bytes) -> Part {
        match bytes.len() < LARGE {
            true => self.hash_leaf(bytes),
            false => blocking::unblock(move || self.hash_leaf(bytes)).await,
        }
    }

    fn hash_leaf(self, bytes: Bytes) -> Part {
        let len = bytes.len() as u64;
        let root = match self {
            Self::UnixFsV1_2025 => Root {
                cid: Cid::of(Codec::Raw, &bytes),
                size: len,
            },
            Self::UnixFsV0_2015 => {
                let data = (!bytes.is_empty()).then_some(bytes);
                self.node(Vec::new(), &Data::file(data, Vec::new()))
            }
        };
        Part { root, len }
    }

    pub(crate) fn symlink(self, text: &str) -> Root {
        self.node(Vec::new(), &Data::symlink(text.to_owned()))
    }

    fn node(self, links: Vec<Link>, data: &Data) -> Root {
        self.block(&Node {
            links,
            data: Some(data.encode().into()),
        })
        .0
    }

    /// The node's root, and how long its own block is.
    fn block(self, node: &Node) -> (Root, usize) {
        let block = node.encode();
        let cid = match self {
            Self::UnixFsV1_2025 => Cid::of(Codec::DagPb, &block),
            Self::UnixFsV0_2015 => Cid::v0_of(&block),
        };
        let below = node.links.iter().filter_map(|link| link.size);
        let size = below.fold(block.len() as u64, u64::saturating_add);
        (Root { cid, size }, block.len())
    }
}
