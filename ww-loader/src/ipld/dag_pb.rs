//! dag-pb: a node with data and named links, in protobuf.
//!
//! The format is that of <https://ipld.io/specs/codecs/dag-pb/spec/>, whose
//! rules for fields (order, repetition, wire types) are stricter than
//! protobuf's own, so that a node has one form.

mod read;

use bytes::Bytes;

use super::{Cid, CodecError};

/// The most links of one node that is decoded.
pub const MAX_LINKS: usize = 1 << 16;

/// A node of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// What it points to.
    pub links: Vec<Link>,
    /// What it says of itself: [`unixfs`](super::unixfs), in a UnixFS tree.
    pub data: Option<Bytes>,
}

/// A link of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it points to.
    pub cid: Cid,
    /// Its name, which need not be UTF-8. Parts of a file have empty ones.
    pub name: Option<Bytes>,
    /// How many bytes all blocks below it have together, by its writer's word.
    pub size: Option<u64>,
}

impl Link {
    /// A link with a name and a size.
    pub fn new(name: impl AsRef<[u8]>, cid: Cid, size: u64) -> Self {
        Self {
            cid,
            name: Some(Bytes::copy_from_slice(name.as_ref())),
            size: Some(size),
        }
    }

    /// The name; empty where there is none.
    pub fn name(&self) -> &[u8] {
        self.name.as_deref().unwrap_or_default()
    }
}

impl Node {
    /// The node that `block` is.
    ///
    /// # Errors
    ///
    /// [`CodecError::DagPb`], and [`CodecError::Cid`] for a link that is none.
    pub fn decode(block: &Bytes) -> Result<Self, CodecError> {
        read::node(block)
    }

    /// The node that `block` is, but its links, of which only the ends are looked
    /// for.
    pub(crate) fn without_links(block: &Bytes) -> Result<Self, CodecError> {
        read::data(block)
    }

    /// The node's block in canonical form: links, sorted by name, before data.
    /// Links of one name keep their order.
    pub fn encode(&self) -> Vec<u8> {
        let mut links: Vec<_> = self.links.iter().collect();
        links.sort_by_key(|link| link.name());
        let mut out = Vec::new();
        let mut body = Vec::new();
        for link in links {
            body.clear();
            field(&mut body, 1, link.cid.as_bytes());
            if let Some(name) = &link.name {
                field(&mut body, 2, name);
            }
            if let Some(size) = link.size {
                varint(&mut body, 3 << 3);
                varint(&mut body, size);
            }
            field(&mut out, 2, &body);
        }
        if let Some(data) = &self.data {
            field(&mut out, 1, data);
        }
        out
    }
}

/// A length-delimited field.
fn field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, value: u64) {
    let mut buffer = unsigned_varint::encode::u64_buffer();
    out.extend_from_slice(unsigned_varint::encode::u64(value, &mut buffer));
}
