use std::time::{Duration, SystemTime};

use bytes::Bytes;
use libp2p_identity::PublicKey;
use prost::Message;
use serde::Deserialize;
use serde_bytes::ByteBuf;

use super::Name;

/// What a name points to, as its key's owner signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Where it points: `/ipfs/…` or `/ipns/…`.
    pub value: String,
    /// Which version this is. A later one is higher.
    pub sequence: u64,
    /// Until when it holds.
    pub until: SystemTime,
    /// How long it may be kept before it is asked for again.
    pub ttl: Duration,
}

/// Why bytes are no valid record of a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The record is longer than any may be.
    #[error("an IPNS record of {len} bytes, over {}", Record::MAX_LEN)]
    TooLarge {
        /// Its length in bytes.
        len: usize,
    },
    /// The record cannot be read.
    #[error("no IPNS record: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// No key that is known here, or another one than the name's.
    #[error("an IPNS record whose key {reason}")]
    Key {
        /// What is wrong.
        reason: &'static str,
    },
    /// The name's owner did not sign this.
    #[error("an IPNS record with a signature that is not the name's owner's")]
    Signature,
    /// What is signed and what stands beside it differ.
    #[error("an IPNS record whose {field} is not the signed one")]
    Differs {
        /// The field.
        field: &'static str,
    },
    /// The record no longer holds.
    #[error("an IPNS record that ended at {at}")]
    Expired {
        /// When, as the record says it.
        at: String,
    },
    /// A later record was seen.
    #[error("IPNS record {sequence}, where {seen} was seen before")]
    Old {
        /// The record's version.
        sequence: u64,
        /// The highest version that was seen.
        seen: u64,
    },
}

/// The record as it is sent; fields that are not signed are copies of signed
/// ones, for old readers.
#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(bytes = "bytes", optional, tag = "1")]
    value: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    signature_v1: Option<Bytes>,
    #[prost(uint64, optional, tag = "3")]
    validity_type: Option<u64>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    validity: Option<Bytes>,
    #[prost(uint64, optional, tag = "5")]
    sequence: Option<u64>,
    #[prost(uint64, optional, tag = "6")]
    ttl: Option<u64>,
    #[prost(bytes = "bytes", optional, tag = "7")]
    public_key: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "8")]
    signature_v2: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "9")]
    data: Option<Bytes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Signed {
    value: ByteBuf,
    validity: ByteBuf,
    validity_type: u64,
    sequence: u64,
    #[serde(rename = "TTL")]
    ttl: u64,
}

impl Record {
    /// The longest record, in bytes.
    pub const MAX_LEN: usize = 10 << 10;

    /// The record that `bytes` are, if it is `name`'s and holds at the time
    /// `now`.
    ///
    /// Keys may be Ed25519, and of each kind that a feature of this crate is
    /// named after. See
    /// <https://specs.ipfs.tech/ipns/ipns-record/#record-verification>; only
    /// signatures of version 2 count.
    ///
    /// # Errors
    ///
    /// [`RecordError`].
    pub fn verify(name: &Name, bytes: &[u8], now: SystemTime) -> Result<Self, RecordError> {
        let malformed = |reason: String| RecordError::Malformed { reason };
        if bytes.len() > Self::MAX_LEN {
            return Err(RecordError::TooLarge { len: bytes.len() });
        }
        let entry = Entry::decode(bytes).map_err(|error| malformed(error.to_string()))?;
        let filled = |field: &Option<Bytes>| field.clone().filter(|bytes| !bytes.is_empty());
        let signature = filled(&entry.signature_v2)
            .ok_or_else(|| malformed("it has no signature of version 2".into()))?;
        let data = filled(&entry.data).ok_or_else(|| malformed("it has no data".into()))?;
        let key = key(name, entry.public_key.as_deref())?;
        if !key.verify(&[b"ipns-signature:", &data[..]].concat(), &signature) {
            return Err(RecordError::Signature);
        }
        let signed: Signed = serde_ipld_dagcbor::from_slice(&data)
            .map_err(|error| malformed(format!("its data: {error}")))?;
        entry.agrees(&signed)?;
        signed.record(now)
    }
}

impl Entry {
    fn agrees(&self, signed: &Signed) -> Result<(), RecordError> {
        if self.signature_v1.is_none() && self.value.is_none() {
            return Ok(());
        }
        let bytes = |field: &Option<Bytes>| field.clone().unwrap_or_default();
        for (field, agrees) in [
            ("value", bytes(&self.value) == signed.value[..]),
            ("validity", bytes(&self.validity) == signed.validity[..]),
            (
                "validity type",
                self.validity_type.unwrap_or_default() == signed.validity_type,
            ),
            (
                "sequence",
                self.sequence.unwrap_or_default() == signed.sequence,
            ),
            ("TTL", self.ttl.unwrap_or_default() == signed.ttl),
        ] {
            if !agrees {
                return Err(RecordError::Differs { field });
            }
        }
        Ok(())
    }
}

impl Signed {
    fn record(self, now: SystemTime) -> Result<Record, RecordError> {
        let malformed = |reason: String| RecordError::Malformed { reason };
        if self.validity_type != 0 {
            let text = format!("there is no validity of type {}", self.validity_type);
            return Err(malformed(text));
        }
        let at = String::from_utf8_lossy(&self.validity).into_owned();
        let until = humantime::parse_rfc3339(&at)
            .map_err(|error| malformed(format!("its end {at:?}: {error}")))?;
        if until <= now {
            return Err(RecordError::Expired { at });
        }
        let value = String::from_utf8(self.value.into_vec())
            .map_err(|_| malformed("it points to what is not UTF-8".into()))?;
        Ok(Record {
            value,
            sequence: self.sequence,
            until,
            ttl: Duration::from_nanos(self.ttl),
        })
    }
}

/// The name's key, from the name, or from the record where its hash is the
/// name.
fn key(name: &Name, sent: Option<&[u8]>) -> Result<PublicKey, RecordError> {
    let fault = |reason| RecordError::Key { reason };
    let Some(sent) = sent.filter(|bytes| !bytes.is_empty()) else {
        return name
            .key()
            .ok_or_else(|| fault("is missing, or of a kind that was not built in"));
    };
    let key = PublicKey::try_decode_protobuf(sent)
        .map_err(|_| fault("cannot be read, or is of a kind that was not built in"))?;
    match Name::of(&key) == *name {
        true => Ok(key),
        false => Err(fault("is not the name's")),
    }
}
