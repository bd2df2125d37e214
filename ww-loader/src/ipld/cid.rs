use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use cid::{CidGeneric, Version};
use multihash::Multihash;

use super::{CodecError, hash};

/// The longest identity digest, in bytes: what other implementations accept.
const MOST: usize = 128;

/// The longest text that is taken for a CID, in bytes.
const MAX_TEXT: usize = 2048;

/// A content identifier: which hash a block has, and what format.
///
/// Version 0 or 1, parsed from any multibase, shown in the usual one (base58btc
/// for version 0, base32 for 1). See <https://github.com/multiformats/cid>.
///
/// ```
/// use ww_loader::ipld::{Cid, Codec};
///
/// let cid = Cid::of(Codec::Raw, b"hello");
/// let text = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";
/// assert_eq!(cid.to_string(), text);
/// assert_eq!(text.parse::<Cid>()?, cid);
/// # Ok::<(), ww_loader::ipld::CodecError>(())
/// ```
///
/// Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cid(
    /// The binary form, which was parsed once.
    Arc<[u8]>,
);

/// The form to work with, too large to be kept.
type Parsed = CidGeneric<MOST>;

/// How a block is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// Bytes of a file, as they are.
    Raw,
    /// A [`dag_pb`](super::dag_pb) node.
    DagPb,
    /// The public key of a peer, in protobuf: what an IPNS name is.
    Libp2pKey,
}

impl Cid {
    /// The CID of `block`: version 1, SHA-256.
    pub fn of(codec: Codec, block: &[u8]) -> Self {
        Self::from_sha2_256(codec, hash::sha2_256(block))
    }

    /// The version 0 CID of `block`, which is a dag-pb node.
    pub fn v0_of(block: &[u8]) -> Self {
        let hash = wrap(hash::SHA2_256, &hash::sha2_256(block));
        Self::from(Parsed::new_v0(hash).expect("a SHA-256 hash"))
    }

    /// The version 1 CID of a block whose SHA-256 is known.
    pub fn from_sha2_256(codec: Codec, digest: [u8; 32]) -> Self {
        let hash = wrap(hash::SHA2_256, &digest);
        Self::from(Parsed::new_v1(codec.code(), hash))
    }

    /// The CID that holds `block` itself, or `None` for more than 128 bytes.
    pub fn inlined(codec: Codec, block: &[u8]) -> Option<Self> {
        let hash = Multihash::wrap(hash::IDENTITY, block).ok()?;
        Some(Self::from(Parsed::new_v1(codec.code(), hash)))
    }

    /// The CID that `bytes` are, in binary form.
    ///
    /// # Errors
    ///
    /// [`CodecError::Cid`], also where something follows the CID.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        match Self::split(bytes)? {
            (cid, []) => Ok(cid),
            (_, rest) => Err(CodecError::Cid {
                text: hex(bytes),
                reason: format!("{} bytes follow it", rest.len()),
            }),
        }
    }

    /// The CID that `bytes` begin with, in binary form, and what follows it.
    ///
    /// # Errors
    ///
    /// [`CodecError::Cid`].
    pub fn split(bytes: &[u8]) -> Result<(Self, &[u8]), CodecError> {
        let mut rest = bytes;
        match Parsed::read_bytes(&mut rest) {
            Ok(cid) => Ok((Self::from(cid), rest)),
            Err(error) => Err(CodecError::Cid {
                text: hex(bytes),
                reason: error.to_string(),
            }),
        }
    }

    /// The binary form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The version, 0 or 1.
    pub fn version(&self) -> u64 {
        self.parsed().version().into()
    }

    /// The codec, or `None` where it is none of those read here.
    pub fn codec(&self) -> Option<Codec> {
        let code = self.codec_code();
        [Codec::Raw, Codec::DagPb, Codec::Libp2pKey]
            .into_iter()
            .find(|codec| codec.code() == code)
    }

    /// The code of the codec in the multicodec table.
    pub fn codec_code(&self) -> u64 {
        self.parsed().codec()
    }

    /// The multihash, in binary form: equal for all CIDs of the same bytes by
    /// the same function, whatever their version and codec.
    pub fn multihash(&self) -> &[u8] {
        let len = self.parsed().hash().encoded_len();
        &self.0[self.0.len() - len..]
    }

    /// The block itself, where the CID holds it instead of a hash.
    pub fn inline(&self) -> Option<&[u8]> {
        let parsed = self.parsed();
        let hash = parsed.hash();
        let len = hash.digest().len();
        (hash.code() == hash::IDENTITY).then(|| &self.0[self.0.len() - len..])
    }

    /// Whether blocks can be checked against this CID.
    ///
    /// # Errors
    ///
    /// [`CodecError::Hash`].
    pub fn verifiable(&self) -> Result<(), CodecError> {
        let parsed = self.parsed();
        let hash = parsed.hash();
        match hash::is_known(hash.code(), hash.digest().len()) {
            true => Ok(()),
            false => Err(self.unknown()),
        }
    }

    /// Checks that `block` is what this CID names.
    ///
    /// # Errors
    ///
    /// [`CodecError::Mismatch`], and [`CodecError::Hash`] where that cannot be
    /// told.
    pub fn verify(&self, block: &[u8]) -> Result<(), CodecError> {
        let parsed = self.parsed();
        let hash = parsed.hash();
        match hash::matches(hash.code(), hash.digest(), block) {
            Some(true) => Ok(()),
            Some(false) => Err(CodecError::Mismatch {
                cid: self.clone(),
                len: block.len(),
            }),
            None => Err(self.unknown()),
        }
    }

    fn parsed(&self) -> Parsed {
        Parsed::read_bytes(&*self.0).expect("it was parsed before")
    }

    fn unknown(&self) -> CodecError {
        let parsed = self.parsed();
        let hash = parsed.hash();
        CodecError::Hash {
            cid: self.clone(),
            function: hash.code(),
            len: hash.digest().len(),
        }
    }
}

impl Codec {
    /// The code in the multicodec table.
    pub fn code(self) -> u64 {
        match self {
            Self::Raw => 0x55,
            Self::DagPb => 0x70,
            Self::Libp2pKey => 0x72,
        }
    }
}

impl From<Parsed> for Cid {
    fn from(parsed: Parsed) -> Self {
        Self(parsed.to_bytes().into())
    }
}

impl FromStr for Cid {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        let fault = |reason: String| CodecError::Cid {
            text: text.chars().take(64).collect(),
            reason,
        };
        // Bases that are no power of two take quadratic time.
        if text.len() > MAX_TEXT {
            return Err(fault(format!("it is longer than {MAX_TEXT} bytes")));
        }
        let is_v0 = Version::is_v0_str(text);
        let decoded = match is_v0 {
            true => multibase::Base::Base58Btc.decode(text),
            false => multibase::decode(text).map(|(_, bytes)| bytes),
        };
        let decoded = decoded.map_err(|error| fault(error.to_string()))?;
        let cid = Self::from_bytes(&decoded).map_err(|error| match error {
            CodecError::Cid { reason, .. } => fault(reason),
            other => other,
        })?;
        match cid.version() == 0 && !is_v0 {
            true => Err(fault("version 0 has no multibase prefix".into())),
            false => Ok(cid),
        }
    }
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parsed().fmt(f)
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

fn wrap(function: u64, digest: &[u8; 32]) -> Multihash<MOST> {
    Multihash::wrap(function, digest).expect("shorter than what the type can hold")
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take(40)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
