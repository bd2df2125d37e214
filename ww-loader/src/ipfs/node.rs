//! Blocks as the parts of a tree of files that they are.

use bytes::Bytes;

use super::Error;
use crate::ipld::dag_pb::{self, Link};
use crate::ipld::unixfs::{Data, Kind};
use crate::ipld::{Cid, Codec};

/// The most bytes that a small part takes.
const SMALL: usize = 4096;
/// What a link takes beside its CID, in bytes.
const LINK: usize = 64;

/// What a block is.
#[derive(Debug)]
pub(super) enum Unixfs {
    File(Part),
    Dir(Vec<Link>),
    Shard(Shard),
    Symlink(Bytes),
}

/// A file, or a part of one: bytes of its own, then those of other blocks.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) own: Bytes,
    /// How many bytes are below each link.
    pub(super) rest: Vec<(u64, Cid)>,
    /// All of it.
    pub(super) len: u64,
}

/// A directory, or a part of one, in a hash array mapped trie.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) cid: Cid,
    pub(super) fanout: u64,
    pub(super) links: Vec<Link>,
}

impl Unixfs {
    /// What `block`, which was checked, is.
    pub(super) fn decode(cid: &Cid, block: &Bytes) -> Result<Self, Error> {
        let shape = |reason: String| Error::Shape {
            cid: cid.clone(),
            reason,
        };
        match cid.codec() {
            Some(Codec::Raw) => {
                return Ok(Self::File(Part {
                    own: block.clone(),
                    rest: Vec::new(),
                    len: block.len() as u64,
                }));
            }
            Some(Codec::DagPb) => {}
            _ => {
                let code = cid.codec_code();
                return Err(shape(format!(
                    "its codec {code:#x} is neither raw nor dag-pb"
                )));
            }
        }
        let fault = |source| Error::Block {
            cid: cid.clone(),
            source,
        };
        let dag_pb::Node { links, data } = dag_pb::Node::decode(block).map_err(fault)?;
        let data = data.ok_or_else(|| shape("it is a node without data, no UnixFS".into()))?;
        let data = Data::decode(&data).map_err(fault)?;
        match data.kind {
            Kind::File | Kind::Raw => Part::of(links, data).map(Self::File).map_err(shape),
            Kind::Directory => Ok(Self::Dir(links)),
            Kind::HamtShard => Ok(Self::Shard(Shard {
                cid: cid.clone(),
                fanout: data.fanout.unwrap_or_default(),
                links,
            })),
            Kind::Symlink if links.is_empty() => Ok(Self::Symlink(data.data.unwrap_or_default())),
            Kind::Symlink => Err(shape("it is a symbolic link that links to blocks".into())),
            Kind::Metadata => Err(shape("it is of the reserved type Metadata".into())),
        }
    }
}

impl Part {
    /// This part out of its block, if it takes so little that it need not be
    /// found again.
    pub(super) fn small(&self) -> Option<Self> {
        let links = self.rest.iter().map(|(_, cid)| LINK + cid.as_bytes().len());
        (self.own.len() + links.sum::<usize>() <= SMALL).then(|| Self {
            own: Bytes::copy_from_slice(&self.own),
            rest: self.rest.clone(),
            len: self.len,
        })
    }

    fn of(links: Vec<Link>, data: Data) -> Result<Self, String> {
        if links.len() != data.blocksizes.len() {
            let (links, sizes) = (links.len(), data.blocksizes.len());
            return Err(format!("it is a file of {links} parts with {sizes} sizes"));
        }
        if links.iter().any(|link| !link.name().is_empty()) {
            return Err("it is a file with a part that has a name".into());
        }
        let own = data.data.unwrap_or_default();
        let mut sum = Some(own.len() as u64);
        for size in &data.blocksizes {
            sum = sum.and_then(|sum| sum.checked_add(*size));
        }
        let said = data.filesize.unwrap_or_default();
        if sum != Some(said) {
            return Err(format!("it is a file of {said} bytes whose parts differ"));
        }
        let cids = links.into_iter().map(|link| link.cid);
        Ok(Self {
            own,
            rest: data.blocksizes.into_iter().zip(cids).collect(),
            len: said,
        })
    }
}
