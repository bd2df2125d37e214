use super::Cid;

/// Why bytes or a text are not what they were taken for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The text or the bytes are no CID.
    #[error("{text:?} is not a CID: {reason}")]
    Cid {
        /// The beginning of the text; of bytes, in hexadecimal.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// The CID uses a hash function that cannot be checked here, or one that
    /// proves nothing, or a digest of the wrong length.
    #[error(
        "the hash of {cid} (function {function:#x}, {len} bytes) cannot be checked; \
         sha2-256, sha2-512, blake3 and identity, each in full length, can"
    )]
    Hash {
        /// The CID.
        cid: Cid,
        /// The multihash code of the function.
        function: u64,
        /// Bytes of the digest.
        len: usize,
    },
    /// The bytes are not the block that the CID names.
    #[error("{len} bytes were given for {cid}, and have another hash")]
    Mismatch {
        /// The CID.
        cid: Cid,
        /// How many bytes were given.
        len: usize,
    },
    /// The bytes are no dag-pb node.
    #[error("not a dag-pb node: {reason} (at byte {at})")]
    DagPb {
        /// What is wrong.
        reason: &'static str,
        /// Where.
        at: usize,
    },
    /// The bytes are no CAR.
    #[error("not a CAR: {reason} (at byte {at})")]
    Car {
        /// What is wrong.
        reason: String,
        /// Where.
        at: u64,
    },
    /// The node's data is no UnixFS.
    #[error("not UnixFS: {reason}")]
    UnixFs {
        /// What is wrong.
        reason: String,
    },
}
