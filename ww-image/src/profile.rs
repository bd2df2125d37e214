use std::fmt;

/// How a tree is cut into blocks, which decides its CID.
///
/// The profiles are those of
/// [IPIP-499](https://specs.ipfs.tech/ipips/ipip-0499/). An image is hashed
/// whole: hidden files and empty directories count, links are kept as links,
/// permissions and times are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// `unixfs-v1-2025`: CIDs of version 1, raw chunks of 1 MiB, 1024 links a
    /// node of a file, and a directory in shards where its block would have
    /// more than 256 KiB.
    #[default]
    UnixFsV1_2025,
    /// `unixfs-v0-2015`: CIDs of version 0, dag-pb chunks of 256 KiB, 174 links
    /// a node of a file, and a directory in shards where its names and CIDs
    /// together have more than 256 KiB.
    UnixFsV0_2015,
}

impl Profile {
    /// The name in IPIP-499.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnixFsV1_2025 => "unixfs-v1-2025",
            Self::UnixFsV0_2015 => "unixfs-v0-2015",
        }
    }

    /// The most bytes of a file that one block holds.
    pub(crate) fn chunk(self) -> u64 {
        match self {
            Self::UnixFsV1_2025 => 1 << 20,
            Self::UnixFsV0_2015 => 256 << 10,
        }
    }

    /// The most links that one node of a file has.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::UnixFsV1_2025 => 1024,
            Self::UnixFsV0_2015 => 174,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
