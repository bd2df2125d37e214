//! Blocks as the parts of a tree of files that they are.

use bytes::Bytes;

use super::Error;
use crate::ipld::dag_pb::{self, Link};
use crate::ipld::unixfs::{Data, Kind};
use crate::ipld::{Cid, Codec, CodecError};

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
        if cid.codec() == Some(Codec::Raw) {
            return Ok(Self::File(Part {
                own: block.clone(),
                rest: Vec::new(),
                len: block.len() as u64,
            }));
        }
        let shape = |reason: String| fault(cid, reason);
        let (links, data) = parse(cid, block, dag_pb::Node::decode)?;
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
            Kind::Metadata => Err(shape(METADATA.into())),
        }
    }

    /// How many bytes of its `block` were gone through to read it: those of a
    /// file are not.
    pub(super) fn work(&self, block: &Bytes) -> usize {
        match self {
            Self::File(part) => block.len() - part.own.len(),
            _ => block.len(),
        }
    }

    /// What kind of thing `block`, which was checked, is. Of its links it is not
    /// told whether they make sense.
    pub(super) fn kind(cid: &Cid, block: &Bytes) -> Result<crate::Kind, Error> {
        if cid.codec() == Some(Codec::Raw) {
            return Ok(crate::Kind::File);
        }
        let (_, data) = parse(cid, block, dag_pb::Node::without_links)?;
        match data.kind {
            Kind::File | Kind::Raw => Ok(crate::Kind::File),
            Kind::Directory | Kind::HamtShard => Ok(crate::Kind::Dir),
            Kind::Symlink => Ok(crate::Kind::Link),
            Kind::Metadata => Err(fault(cid, METADATA.into())),
        }
    }
}

const METADATA: &str = "it is of the reserved type Metadata";

/// The links and the data of a node, as `read` has them.
fn parse(
    cid: &Cid,
    block: &Bytes,
    read: fn(&Bytes) -> Result<dag_pb::Node, CodecError>,
) -> Result<(Vec<Link>, Data), Error> {
    if cid.codec() != Some(Codec::DagPb) {
        let code = cid.codec_code();
        let reason = format!("its codec {code:#x} is neither raw nor dag-pb");
        return Err(fault(cid, reason));
    }
    let unreadable = |source| Error::Block {
        cid: cid.clone(),
        source,
    };
    let dag_pb::Node { links, data } = read(block).map_err(unreadable)?;
    let data = data.ok_or_else(|| fault(cid, "it is a node without data, no UnixFS".into()))?;
    let data = Data::decode(&data).map_err(unreadable)?;
    Ok((links, data))
}

fn fault(cid: &Cid, reason: String) -> Error {
    let cid = cid.clone();
    Error::Shape { cid, reason }
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
