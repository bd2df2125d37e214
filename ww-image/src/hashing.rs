use std::fmt;
use std::sync::Arc;

use ww_loader::ipld::Cid;

use crate::import::{Import, Observer};
use crate::tree::Tree;
use crate::{Error, Image, Profile};

/// The computation of an image's CID, from [`Image::hashing`].
///
/// Everything the image holds is read once, in chunks, of which at most 32 MiB
/// are in memory. Larger chunks are hashed on the `blocking` crate's pool.
///
/// ```
/// use ww_image::{Image, Profile};
/// use ww_loader::Memory;
///
/// # futures_lite::future::block_on(async {
/// let image = Image::from(Memory::files([("etc/motd", "hello")])?);
/// let cid = image
///     .hashing()
///     .profile(Profile::UnixFsV0_2015)
///     .observe(|progress| assert!(progress.bytes <= 5))
///     .cid()
///     .await?;
/// assert_eq!(cid.version(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone)]
#[must_use = "nothing is hashed before `cid` or `seal` is awaited"]
pub struct Hashing {
    image: Image,
    profile: Profile,
    observer: Option<Observer>,
}

/// How far a [`Hashing`] has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Files and links that are done.
    pub files: u64,
    /// Bytes of files that are done.
    pub bytes: u64,
}

impl Hashing {
    pub(crate) fn new(image: Image, profile: Profile) -> Self {
        Self {
            image,
            profile,
            observer: None,
        }
    }

    /// The profile to use. By default it is that of the image's pin, or
    /// [`Profile::default`].
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Tells `observer` of every chunk and every file that is done, on the
    /// thread that polls or on one of the pool's. It must not block.
    pub fn observe(mut self, observer: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// The CID of what the image holds.
    ///
    /// While the layers can change, this says what they held when they were
    /// read, and no more: [`seal`](Self::seal) or [`Image::pin`] hold later
    /// reads to it.
    ///
    /// # Errors
    ///
    /// As [`Image::read_dir`] and [`Image::read`], [`Error::Collision`] for
    /// names that no UnixFS directory can hold together, [`Error::TooMany`] and
    /// [`Error::TooMuch`] where there are more names or bytes than the image may
    /// have, and for a pinned image what is said there.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect, but that its work is lost.
    pub async fn cid(self) -> Result<Cid, Error> {
        if let Some(tree) = self.image.tree(self.observer.as_ref()).await?
            && tree.profile == self.profile
        {
            return Ok(tree.root.cid.clone());
        }
        let import = Import::new(self.image, self.profile, self.observer);
        Ok(import.run().await?.cid.clone())
    }

    /// The image as it is now: whatever is read of it later is held to the CID
    /// that it has now, as [`Image::pin`] says.
    ///
    /// # Errors
    ///
    /// As [`cid`](Self::cid).
    pub async fn seal(self) -> Result<Image, Error> {
        if let Some(tree) = self.image.tree(self.observer.as_ref()).await?
            && tree.profile == self.profile
        {
            return Ok(self.image);
        }
        let import = Import::new(self.image.clone(), self.profile, self.observer);
        let tree = Tree::new(self.profile, import.keeping().run().await?);
        Ok(self.image.sealed(Arc::new(tree)))
    }
}

impl fmt::Debug for Hashing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hashing({})", self.profile)
    }
}
