//! UnixFS: what a [`dag_pb`](super::dag_pb) node says of itself in a tree of
//! files.
//!
//! The format is that of <https://specs.ipfs.tech/unixfs/>.

mod wire;

use bytes::Bytes;

use super::CodecError;

/// What kind of thing a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A part of a file, as old writers made them.
    Raw,
    /// A directory whose links are its entries.
    #[default]
    Directory,
    /// A file, or a part of one.
    File,
    /// Reserved, and never seen.
    Metadata,
    /// A symbolic link whose data is its target.
    Symlink,
    /// A directory, or a part of one, spread over a hash array mapped trie.
    HamtShard,
}

/// The data of a UnixFS node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// What it is.
    pub kind: Kind,
    /// Bytes of a file that stand in the node itself, the target of a symbolic
    /// link, or the bit field of a shard.
    pub data: Option<Bytes>,
    /// How many bytes of a file are in the node and below it.
    pub filesize: Option<u64>,
    /// How many bytes of a file are below each link, in order.
    pub blocksizes: Vec<u64>,
    /// The hash function of a shard, as a multihash code.
    pub hash_type: Option<u64>,
    /// The width of a shard.
    pub fanout: Option<u64>,
    /// Permissions, as in POSIX.
    pub mode: Option<u32>,
    /// When it was last changed.
    pub mtime: Option<Mtime>,
}

/// A time of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtime {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds of that second, from 1 on.
    pub nanoseconds: Option<u32>,
}

/// The code of murmur3-x64-64, the only hash function of shards in use.
pub const MURMUR3_X64_64: u64 = 0x22;

/// The widest shard.
pub const MAX_FANOUT: u64 = 1024;

impl Data {
    /// A directory.
    pub fn directory() -> Self {
        Self::default()
    }

    /// A file, or a part of one, of `data` in the node itself and of parts
    /// below it that have `blocksizes` bytes each.
    pub fn file(data: Option<Bytes>, blocksizes: Vec<u64>) -> Self {
        let own = data.as_ref().map_or(0, Bytes::len) as u64;
        let filesize = blocksizes.iter().fold(own, |sum, n| sum.saturating_add(*n));
        Self {
            kind: Kind::File,
            data,
            filesize: Some(filesize),
            blocksizes,
            ..Self::default()
        }
    }

    /// A symbolic link.
    pub fn symlink(target: impl Into<Bytes>) -> Self {
        Self {
            kind: Kind::Symlink,
            data: Some(target.into()),
            ..Self::default()
        }
    }

    /// A shard of `fanout` places, those taken that have their bit in `bits`.
    pub fn shard(bits: impl Into<Bytes>, fanout: u64) -> Self {
        Self {
            kind: Kind::HamtShard,
            data: Some(bits.into()),
            hash_type: Some(MURMUR3_X64_64),
            fanout: Some(fanout),
            ..Self::default()
        }
    }

    /// The data that `bytes` are.
    ///
    /// # Errors
    ///
    /// [`CodecError::UnixFs`] for what is no protobuf or no UnixFS, for a shard
    /// whose shape cannot be, and for a time that is none.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let data = wire::decode(bytes)?;
        data.check()?;
        Ok(data)
    }

    /// The bytes of a node's data.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    fn check(&self) -> Result<(), CodecError> {
        let fault = |reason: String| Err(CodecError::UnixFs { reason });
        if let Some(nanoseconds) = self.mtime.and_then(|time| time.nanoseconds)
            && !(1..1_000_000_000).contains(&nanoseconds)
        {
            return fault(format!("a time of {nanoseconds} nanoseconds"));
        }
        if self.kind != Kind::HamtShard {
            return Ok(());
        }
        if self.hash_type != Some(MURMUR3_X64_64) {
            return fault(format!(
                "a shard by hash function {:?}, where only murmur3-x64-64 (0x22) is known",
                self.hash_type
            ));
        }
        match self.fanout {
            Some(fanout) if (8..=MAX_FANOUT).contains(&fanout) && fanout.is_power_of_two() => {
                Ok(())
            }
            fanout => fault(format!(
                "a shard of width {fanout:?}, which is no power of two from 8 to {MAX_FANOUT}"
            )),
        }
    }
}
