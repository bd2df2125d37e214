use crate::ipld::Cid;

/// What a contract says is current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number: each head's is larger than that of any before it.
    pub seq: u64,
    /// The root of the tree.
    pub cid: Cid,
    /// The number of the block in which it was first seen, which has as many
    /// others on top of it as were asked for.
    pub block: u64,
}
