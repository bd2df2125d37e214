use std::fmt;
use std::str::FromStr;

use libp2p_identity::{PeerId, PublicKey};

use crate::ipfs::Error;
use crate::ipld::{Cid, Codec};

/// An IPNS name: the hash of a public key, or the key itself.
///
/// Parsed from the CID of a libp2p key in any base, or from a peer id in
/// base58; shown as the CID in base 36, as
/// <https://specs.ipfs.tech/ipns/ipns-record/#string-representation> has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(PeerId);

impl Name {
    /// The name that belongs to a key.
    pub fn of(key: &PublicKey) -> Self {
        Self(key.to_peer_id())
    }

    /// The key that the name holds, if it is short enough and of a known kind.
    pub(super) fn key(&self) -> Option<PublicKey> {
        let hash = self.0.as_ref();
        match hash.code() {
            0 => PublicKey::try_decode_protobuf(hash.digest()).ok(),
            _ => None,
        }
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let fault = |reason: &str| Error::Path {
            text: text.chars().take(255).collect(),
            reason: reason.into(),
        };
        if text.contains('.') {
            return Err(fault(
                "it is a name of the DNS, whose DNSLink nobody signs and which is not followed; \
                 give the CID or the IPNS key that it stands for",
            ));
        }
        let peer = match text.parse::<Cid>() {
            // A version 0 CID and the peer id of a long key look the same.
            Ok(cid) if cid.version() == 0 || cid.codec() == Some(Codec::Libp2pKey) => {
                PeerId::from_bytes(cid.multihash()).ok()
            }
            Ok(_) => return Err(fault("it is a CID, and not that of a key")),
            Err(_) if text.len() <= 128 => text.parse().ok(),
            Err(_) => None,
        };
        peer.map(Self)
            .ok_or_else(|| fault("it is neither the CID of a key nor a peer id"))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = u8::try_from(Codec::Libp2pKey.code()).unwrap_or_default();
        let bytes = [&[1, code][..], &self.0.to_bytes()].concat();
        f.write_str(&multibase::encode(multibase::Base::Base36Lower, bytes))
    }
}
