use libp2p_identity::{Keypair, PublicKey, SigningError};
use prost::Message;
use prost::encoding::encode_varint;

use crate::Error;

/// The most bytes that an envelope may have. One with the largest of keys, RSA
/// of 8192 bits, has less than 3 KiB.
const MOST: usize = 4 << 10;

/// A signed envelope
/// ([libp2p RFC 0002](https://github.com/libp2p/specs/blob/master/RFC/0002-signed-envelopes.md)):
/// a payload, what it is, and who signed it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Envelope {
    /// A `PublicKey`, encoded as libp2p's specification of peer ids says.
    #[prost(bytes = "vec", tag = "1")]
    public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) payload_type: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) payload: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    signature: Vec<u8>,
}

impl Envelope {
    /// Signs `payload` for `domain`.
    ///
    /// # Errors
    ///
    /// The key cannot sign.
    pub(crate) fn seal(
        key: &Keypair,
        domain: &str,
        payload_type: &[u8],
        payload: &[u8],
    ) -> Result<Self, SigningError> {
        Ok(Self {
            public_key: key.public().encode_protobuf(),
            payload_type: payload_type.to_vec(),
            payload: payload.to_vec(),
            signature: key.sign(&signed(domain, payload_type, payload))?,
        })
    }

    /// Reads an envelope. Nothing in it is proven by that.
    ///
    /// # Errors
    ///
    /// [`Error::Envelope`].
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Error> {
        let malformed = |reason: String| Error::Envelope { reason };
        if bytes.len() > MOST {
            let len = bytes.len();
            let reason = format!("it has {len} bytes, more than the limit of {MOST}");
            return Err(malformed(reason));
        }
        Self::decode(bytes).map_err(|error| malformed(error.to_string()))
    }

    /// Who signed it for `domain`; none where the signature is for another
    /// domain, or by another key than the envelope says.
    ///
    /// # Errors
    ///
    /// [`Error::Envelope`] where its key is none.
    pub(crate) fn signer(&self, domain: &str) -> Result<Option<PublicKey>, Error> {
        let key = PublicKey::try_decode_protobuf(&self.public_key);
        let key = key.map_err(|error| Error::Envelope {
            reason: error.to_string(),
        })?;
        if key.encode_protobuf() != self.public_key {
            // The specification of peer ids asks for one encoding of each key.
            return Err(Error::Envelope {
                reason: "its key is not encoded in the one way that it may be".to_owned(),
            });
        }
        let signed = signed(domain, &self.payload_type, &self.payload);
        Ok(key.verify(&signed, &self.signature).then_some(key))
    }
}

/// What the signature of an envelope covers: three parts, each behind its
/// length.
fn signed(domain: &str, payload_type: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in [domain.as_bytes(), payload_type, payload] {
        encode_varint(part.len() as u64, &mut bytes);
        bytes.extend_from_slice(part);
    }
    bytes
}
