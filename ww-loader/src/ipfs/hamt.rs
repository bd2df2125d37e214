//! Where a name stands in a sharded directory.

use bytes::Bytes;

use super::Error;
use super::node::{Shard, Unixfs};
use crate::ipld::Cid;
use crate::ipld::dag_pb::Link;
use crate::ipld::unixfs::MAX_FANOUT;

/// The hash of a name, used up from its highest bits.
///
/// Murmur3 in its 128 bit variant for 64 bit machines, the first half of it.
/// See the section on `HAMTDirectory` in <https://specs.ipfs.tech/unixfs/>.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    hash: u64,
    used: u32,
}

/// What a link of a shard is.
#[derive(Debug)]
pub(super) enum Slot<'s> {
    /// A shard below.
    Shard(&'s Cid),
    /// An entry, by its name.
    Entry(&'s [u8], &'s Cid),
}

impl Place {
    pub(super) fn of(name: &[u8]) -> Self {
        // Reading from memory does not fail.
        let hash = murmur3::murmur3_x64_128(&mut &*name, 0).unwrap_or_default();
        let hash = (hash & u128::from(u64::MAX)) as u64;
        Self { hash, used: 0 }
    }

    /// The position at the next level of this width, or `None` where no bits
    /// are left.
    pub(super) fn next(&mut self, fanout: u64) -> Option<u64> {
        let bits = fanout.trailing_zeros();
        let used = self.used + bits;
        let shift = 64_u32.checked_sub(used)?;
        self.used = used;
        Some((self.hash >> shift) & (fanout - 1))
    }
}

impl Shard {
    /// The shard of `block`, which a link to `cid` points to.
    pub(super) fn below(&self, cid: &Cid, block: &Bytes) -> Result<Self, Error> {
        match Unixfs::decode(cid, block)? {
            Unixfs::Shard(shard) if shard.fanout == self.fanout => Ok(shard),
            Unixfs::Shard(_) => Err(self.fault("it is a shard above one of another width")),
            _ => Err(self.fault("it is a shard above what is none")),
        }
    }

    /// What the links are, each with its position, where no other may stand.
    pub(super) fn slots(&self) -> impl Iterator<Item = Result<(u64, Slot<'_>), Error>> {
        let mut taken = [false; MAX_FANOUT as usize];
        self.links.iter().map(move |link| {
            let (position, slot) = self.slot(link)?;
            // It is below the shard's width.
            match std::mem::replace(&mut taken[position as usize], true) {
                false => Ok((position, slot)),
                true => Err(self.fault("it is a shard with two links at one position")),
            }
        })
    }

    /// What stands at `position`.
    pub(super) fn at(&self, position: u64) -> Result<Option<Slot<'_>>, Error> {
        let mut found = None;
        for slot in self.slots() {
            match slot? {
                (at, slot) if at == position => found = Some(slot),
                _ => {}
            }
        }
        Ok(found)
    }

    fn slot<'s>(&self, link: &'s Link) -> Result<(u64, Slot<'s>), Error> {
        let name = link.name();
        let digits = self.fanout.trailing_zeros().div_ceil(4) as usize;
        let position = name
            .get(..digits)
            .filter(|prefix| {
                prefix
                    .iter()
                    .all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'))
            })
            .and_then(|prefix| str::from_utf8(prefix).ok())
            .and_then(|prefix| u64::from_str_radix(prefix, 16).ok())
            .filter(|position| *position < self.fanout)
            .ok_or_else(|| self.fault("it is a shard with a link at no position"))?;
        Ok(match &name[digits..] {
            [] => (position, Slot::Shard(&link.cid)),
            name => (position, Slot::Entry(name, &link.cid)),
        })
    }

    pub(super) fn fault(&self, reason: &str) -> Error {
        Error::Shape {
            cid: self.cid.clone(),
            reason: reason.to_owned(),
        }
    }
}
