use std::time::Duration;

/// How much is taken from sources and trees that nobody vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest block, in bytes: 2 MiB, which is what the field exchanges.
    pub block: usize,
    /// The longest answer of many blocks, in bytes: 64 MiB.
    pub answer: usize,
    /// How many levels of blocks one file or one directory may have: 32.
    pub depth: usize,
    /// How many names a directory may have: 1,048,576.
    pub names: usize,
    /// How many blocks one read of a file may lead through: 262,144. Each holds a
    /// quarter of a mebibyte or more where the file was packed as is usual, but
    /// a hostile one can say that a file is the same byte a billion times. Each
    /// 16 KiB of a block that are no bytes of the file count as one more.
    pub parts: usize,
    /// How many blocks are asked for at once on behalf of one reader: 8.
    pub concurrency: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            block: 2 << 20,
            answer: 64 << 20,
            depth: 32,
            names: 1 << 20,
            parts: 1 << 18,
            concurrency: 8,
        }
    }
}

/// How often sources are asked, and how long is waited for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// How long a source has for one block: 30 seconds. For an answer of many
    /// blocks it has that for each, and ten times as long for all.
    pub deadline: Duration,
    /// How many times all sources are gone through, as long as some failed in
    /// a way that may pass: 3.
    pub rounds: u32,
    /// How long a source is left alone after its first failure: half a second.
    /// Each further failure doubles it.
    pub first: Duration,
    /// The longest that a source is left alone, whatever it asks for: one
    /// minute. Meanwhile it is asked last.
    pub most: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            rounds: 3,
            first: Duration::from_millis(500),
            most: Duration::from_secs(60),
        }
    }
}
