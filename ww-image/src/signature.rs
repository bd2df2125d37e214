//! Detached signatures over the CIDs of images, by libp2p keys.
//!
//! A signature is a signed envelope
//! ([libp2p RFC 0002](https://github.com/libp2p/specs/blob/master/RFC/0002-signed-envelopes.md))
//! for the domain [`DOMAIN`], of the payload type [`PAYLOAD_TYPE`], and its
//! payload is the CID in binary form. It carries the signer's public key, so
//! that it can be checked by whoever knows the signer's peer id. It stands
//! beside the image and never in it, since it would change what it signs.
//!
//! ```
//! use libp2p_identity::Keypair;
//! use ww_image::{Image, signature};
//! use ww_loader::Memory;
//!
//! # futures_lite::future::block_on(async {
//! let publisher = Keypair::generate_ed25519();
//! let files = Memory::files([("bin/main.wasm", "\0asm")])?;
//! let cid = Image::from(files.clone()).cid().await?;
//! let signature = signature::sign(&publisher, &cid)?;
//!
//! let image = Image::builder()
//!     .layer(files)
//!     .signature(signature)
//!     .signed_by([publisher.public().to_peer_id()])
//!     .build();
//! assert_eq!(image.main().await?, "\0asm");
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```

mod envelope;
mod required;

use bytes::Bytes;
use libp2p_identity::{Keypair, PeerId, SigningError};
use ww_loader::ipld::Cid;

use envelope::Envelope;
pub(crate) use required::{Required, Verdict};

/// What signatures over images are for, so that one for something else is none.
pub const DOMAIN: &str = "ww-image";

/// What the payload of a signature is called: an image's CID in binary form.
pub const PAYLOAD_TYPE: &[u8] = b"/ww/image/1";

/// The longest signature that is read, in bytes. One by the largest of keys,
/// RSA of 8192 bits, has less than 3 KiB.
pub const MAX_LEN: usize = 4 << 10;

/// Why a signature does not speak for an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// It is no signed envelope.
    #[error("it is no signed envelope: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// It is an envelope for another purpose.
    #[error("it signs something else than an image")]
    OtherPurpose,
    /// It is for another image.
    #[error("it is for another image, {signed}")]
    OtherImage {
        /// The CID that it is for.
        signed: Cid,
    },
    /// The signature is not by the key it carries, or was made for another
    /// domain.
    #[error("it does not match the key it carries")]
    Unproven,
    /// The signer is not one of those that are accepted.
    #[error("it is by {signer}, who is not an accepted signer")]
    OtherSigner {
        /// Who signed.
        signer: PeerId,
    },
}

/// Signs the image that has this CID.
///
/// # Errors
///
/// The key cannot sign.
pub fn sign(key: &Keypair, cid: &Cid) -> Result<Bytes, SigningError> {
    Envelope::seal(key, DOMAIN, PAYLOAD_TYPE, cid.as_bytes())
}

/// Who signed the image that has this CID with `signature`. A CID of the other
/// version that names the same block counts as the same.
///
/// # Errors
///
/// One for each way in which `signature` does not speak for the image.
pub fn verify(signature: &[u8], cid: &Cid) -> Result<PeerId, SignatureError> {
    let envelope = Envelope::read(signature)?;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(SignatureError::OtherPurpose);
    }
    let signed = Cid::from_bytes(&envelope.payload).map_err(|error| SignatureError::Malformed {
        reason: error.to_string(),
    })?;
    if !same(&signed, cid) {
        return Err(SignatureError::OtherImage { signed });
    }
    let signer = envelope.signer(DOMAIN)?;
    Ok(signer.ok_or(SignatureError::Unproven)?.to_peer_id())
}

/// Whether two CIDs name the same block, read in the same way.
pub(crate) fn same(one: &Cid, other: &Cid) -> bool {
    one.multihash() == other.multihash() && one.codec_code() == other.codec_code()
}
