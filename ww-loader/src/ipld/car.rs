//! CAR: blocks one after another, as gateways stream them.
//!
//! The format is version 1 of <https://ipld.io/specs/transport/car/carv1/>.
//! Nothing in it proves anything: whoever reads blocks from a CAR has to
//! [verify](super::Cid::verify) each.

use bytes::{Buf, Bytes, BytesMut};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Cid, CodecError};

/// The longest header that is read, in bytes.
pub const MAX_HEADER: usize = 64 << 10;

/// The longest CID that a section can begin with, in bytes: two numbers, a
/// hash function, a length, and a digest.
const MAX_CID: usize = 10 + 10 + 10 + 10 + 128;

/// Takes a CAR in pieces, and gives its blocks.
///
/// ```
/// use ww_loader::ipld::car::{self, Decoder};
/// use ww_loader::ipld::{Cid, Codec};
///
/// let cid = Cid::of(Codec::Raw, b"hello");
/// let mut bytes = car::header(&[cid.clone()]);
/// bytes.extend(car::section(&cid, b"hello"));
///
/// let mut decoder = Decoder::new(1 << 20);
/// decoder.push(&bytes);
/// let (named, block) = decoder.next()?.expect("a block");
/// named.verify(&block)?;
/// assert_eq!((named, &block[..]), (cid, &b"hello"[..]));
/// assert_eq!(decoder.next()?, None);
/// decoder.finish()?;
/// # Ok::<(), ww_loader::ipld::CodecError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    /// What was pushed and not given yet.
    held: BytesMut,
    /// How many bytes came before `held`.
    at: u64,
    most: usize,
    headed: bool,
}

#[derive(Deserialize)]
struct Header {
    version: u64,
    #[expect(dead_code, reason = "gateways put there what they like")]
    roots: Option<IgnoredAny>,
}

impl Decoder {
    /// A decoder of blocks of at most `most` bytes.
    pub fn new(most: usize) -> Self {
        Self {
            held: BytesMut::new(),
            at: 0,
            most,
            headed: false,
        }
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.held.extend_from_slice(piece);
    }

    /// The next block and the CID it is said to have, or `None` until more is
    /// pushed.
    ///
    /// # Errors
    ///
    /// [`CodecError::Car`] for what is no CAR or has a block over the limit,
    /// as soon as that can be told, and [`CodecError::Cid`]. Nothing can be
    /// had from the decoder after that.
    #[expect(
        clippy::should_implement_trait,
        reason = "`None` is not the end, only what there is so far"
    )]
    pub fn next(&mut self) -> Result<Option<(Cid, Bytes)>, CodecError> {
        if !self.headed {
            let Some(header) = self.section(MAX_HEADER)? else {
                return Ok(None);
            };
            self.header(&header)?;
            self.headed = true;
        }
        // Empty sections pad.
        loop {
            match self.section(self.most.saturating_add(MAX_CID))? {
                None => return Ok(None),
                Some(section) if section.is_empty() => {}
                Some(section) => return self.block(&section).map(Some),
            }
        }
    }

    /// Says that nothing follows.
    ///
    /// # Errors
    ///
    /// [`CodecError::Car`] if the CAR was cut short.
    pub fn finish(&self) -> Result<(), CodecError> {
        match self.headed && self.held.is_empty() {
            true => Ok(()),
            false => Err(self.fault("it is cut short".into())),
        }
    }

    /// What the next length measures, once it is all there.
    fn section(&mut self, most: usize) -> Result<Option<Bytes>, CodecError> {
        use unsigned_varint::decode::{self, Error};

        let (len, rest) = match decode::u64(&self.held) {
            Ok((len, rest)) => (len, rest.len()),
            Err(Error::Insufficient) => return Ok(None),
            Err(_) => return Err(self.fault("a length is no number".into())),
        };
        let len = match usize::try_from(len) {
            Ok(len) if len <= most => len,
            _ => return Err(self.fault(format!("a part of {len} bytes, over {most}"))),
        };
        if rest < len {
            return Ok(None);
        }
        let skip = self.held.len() - rest;
        self.held.advance(skip);
        self.at += (skip + len) as u64;
        Ok(Some(self.held.split_to(len).freeze()))
    }

    fn header(&self, header: &[u8]) -> Result<(), CodecError> {
        match serde_ipld_dagcbor::from_slice::<Header>(header) {
            Ok(Header { version: 1, .. }) => Ok(()),
            Ok(Header { version, .. }) => Err(self.fault(format!("it has version {version}"))),
            Err(error) => Err(self.fault(format!("its header is none: {error}"))),
        }
    }

    fn block(&self, section: &Bytes) -> Result<(Cid, Bytes), CodecError> {
        let (cid, rest) = Cid::split(section)?;
        if rest.len() > self.most {
            let text = format!("block {cid} of {} bytes, over {}", rest.len(), self.most);
            return Err(self.fault(text));
        }
        let start = section.len() - rest.len();
        Ok((cid, section.slice(start..)))
    }

    fn fault(&self, reason: String) -> CodecError {
        let at = self.at;
        CodecError::Car { reason, at }
    }
}

/// The beginning of a CAR with these roots.
pub fn header(roots: &[Cid]) -> Vec<u8> {
    // A map of `roots`, an array of tagged byte strings that begin with the
    // multibase of bytes, and of `version`.
    let mut body = b"\xa2\x65roots".to_vec();
    cbor(&mut body, 4, roots.len());
    for root in roots {
        body.extend_from_slice(&[0xd8, 42]);
        cbor(&mut body, 2, root.as_bytes().len() + 1);
        body.push(0);
        body.extend_from_slice(root.as_bytes());
    }
    body.extend_from_slice(b"\x67version\x01");
    measured(&body, &[])
}

/// A block of a CAR.
pub fn section(cid: &Cid, block: &[u8]) -> Vec<u8> {
    measured(cid.as_bytes(), block)
}

fn measured(head: &[u8], tail: &[u8]) -> Vec<u8> {
    let mut buffer = unsigned_varint::encode::usize_buffer();
    let len = unsigned_varint::encode::usize(head.len() + tail.len(), &mut buffer);
    [len, head, tail].concat()
}

/// The head of a CBOR item: its major type and a length.
fn cbor(out: &mut Vec<u8>, major: u8, len: usize) {
    let major = major << 5;
    match len {
        0..=23 => out.push(major | len as u8),
        24..=0xff => out.extend_from_slice(&[major | 24, len as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}
