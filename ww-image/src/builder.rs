use bytes::Bytes;
use libp2p_identity::PeerId;
use ww_loader::ipld::Cid;

use crate::image::Limits;
use crate::pin::{Hold, Pin};
use crate::signature::Required;
use crate::{Image, Layer, Profile};

/// Builds an [`Image`] layer by layer.
///
/// ```
/// use ww_image::Image;
/// use ww_loader::Memory;
///
/// let image = Image::builder()
///     .layer(Memory::new())
///     .main_limit(1 << 20)
///     .build();
/// assert_eq!(image.layers().len(), 1);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Builder {
    layers: Vec<Layer>,
    limits: Limits,
    pin: Option<Cid>,
    profile: Option<Profile>,
    must_be_signed: bool,
    signatures: Required,
}

impl Builder {
    /// Puts `layer` over those before it.
    pub fn layer(mut self, layer: impl Into<Layer>) -> Self {
        self.layers.push(layer.into());
        self
    }

    /// The longest `bin/main.wasm` that is read, in bytes; by default
    /// [`Image::MAIN_LIMIT`].
    pub fn main_limit(mut self, bytes: u64) -> Self {
        self.limits.main = bytes;
        self
    }

    /// The most names that the image may have to be hashed; by default
    /// [`Image::NAMES_LIMIT`]. Each 256 bytes of a link's text count as one more.
    pub fn names_limit(mut self, names: u64) -> Self {
        self.limits.names = names;
        self
    }

    /// The most bytes that the image's files may have together to be hashed, as
    /// their lengths say before any of them is read; by default
    /// [`Image::BYTES_LIMIT`].
    pub fn bytes_limit(mut self, bytes: u64) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// Pins the image, as [`Image::pin`] says.
    pub fn pin(mut self, cid: Cid) -> Self {
        self.pin = Some(cid);
        self
    }

    /// Accepts the image only with a signature over its CID by one of `signers`,
    /// from [`signature`](Self::signature) or [`signatures`](Self::signatures);
    /// of several calls, by one of all of them. Without any signer, no image is
    /// accepted.
    ///
    /// The image is hashed when it is first used and held to what it was then,
    /// as [`Image::pin`] says. Without a good signature every question fails
    /// with [`Error::Unsigned`](crate::Error::Unsigned), which says what was
    /// wrong with each that was found.
    pub fn signed_by(mut self, signers: impl IntoIterator<Item = PeerId>) -> Self {
        self.must_be_signed = true;
        self.signatures.signers.extend(signers);
        self
    }

    /// A detached signature, as [`signature::sign`](crate::signature::sign)
    /// makes it. It counts only where signers are required.
    pub fn signature(mut self, signature: impl Into<Bytes>) -> Self {
        self.signatures.given.push(signature.into());
        self
    }

    /// A tree to look for signatures in, which is no part of the image: that of
    /// signer `S` over the CID `C` is the file `C/S`. It counts only where
    /// signers are required.
    pub fn signatures(mut self, store: impl Into<Layer>) -> Self {
        self.signatures.stores.push(store.into());
        self
    }

    /// The profile under which an image that is pinned or must be signed is
    /// hashed; by default that of the CID's version, or [`Profile::default`].
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// The image of these layers. Nothing is read yet.
    pub fn build(self) -> Image {
        let signers = self.must_be_signed.then_some(self.signatures);
        let hold = match self.pin.is_none() && signers.is_none() {
            true => Hold::Nothing,
            false => Hold::Pinned(Box::new(Pin::new(self.pin, signers, self.profile))),
        };
        Image::assemble(self.layers, self.limits, hold)
    }
}
