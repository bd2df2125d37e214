use bytes::Bytes;
use libp2p_identity::{Keypair, PublicKey, SigningError};
use prost::Message;
use prost::encoding::encode_varint;

use super::{MAX_LEN, SignatureError};

/// A payload, what it is, and who signed it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Envelope {
    /// A `PublicKey`, encoded as libp2p's specification of peer ids says.
    #[prost(bytes = "vec", tag = "1")]
    public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) payload_type: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) payload: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    signature: Vec<u8>,
}

impl Envelope {
    pub(super) fn seal(
        key: &Keypair,
        domain: &str,
        payload_type: &[u8],
        payload: &[u8],
    ) -> Result<Bytes, SigningError> {
        let envelope = Self {
            public_key: key.public().encode_protobuf(),
            payload_type: payload_type.to_vec(),
            payload: payload.to_vec(),
            signature: key.sign(&signed(domain, payload_type, payload))?,
        };
        Ok(envelope.encode_to_vec().into())
    }

    /// Reads an envelope. Nothing in it is proven by that.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, SignatureError> {
        if bytes.len() > MAX_LEN {
            let len = bytes.len();
            let reason = format!("it has {len} bytes, more than the limit of {MAX_LEN}");
            return Err(SignatureError::Malformed { reason });
        }
        Self::decode(bytes).map_err(|error| SignatureError::Malformed {
            reason: error.to_string(),
        })
    }

    /// Who signed it for `domain`; none where the signature is for another
    /// domain, or by another key than the envelope says.
    pub(super) fn signer(&self, domain: &str) -> Result<Option<PublicKey>, SignatureError> {
        let key = PublicKey::try_decode_protobuf(&self.public_key);
        let key = key.map_err(|error| SignatureError::Malformed {
            reason: error.to_string(),
        })?;
        if key.encode_protobuf() != self.public_key {
            // The specification of peer ids asks for one encoding of each key.
            return Err(SignatureError::Malformed {
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
