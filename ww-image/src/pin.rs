//! Images that answer only for one content.

use std::sync::Arc;

use async_lock::OnceCell;
use futures::future::BoxFuture;
use libp2p_identity::PeerId;
use ww_loader::ipld::Cid;

use crate::import::{Import, Observer};
use crate::signature::{Required, Verdict, same};
use crate::tree::Tree;
use crate::{Error, Image, Profile};

/// What an image's answers are held to.
#[derive(Debug, Default)]
pub(crate) enum Hold {
    /// To whatever its layers say when they are asked.
    #[default]
    Nothing,
    /// To what they held when they were hashed.
    Sealed(Arc<Tree>),
    Pinned(Box<Pin>),
}

/// What must be true of an image. It is found out when the image is first used,
/// and a refusal is kept as well: asking again must not hash again.
#[derive(Debug)]
pub(crate) struct Pin {
    expected: Option<Cid>,
    signers: Option<Required>,
    profile: Profile,
    tree: OnceCell<Arc<Tree>>,
    verdict: OnceCell<Verdict>,
}

impl Pin {
    pub(crate) fn new(
        expected: Option<Cid>,
        signers: Option<Required>,
        profile: Option<Profile>,
    ) -> Self {
        let profile = profile.unwrap_or(match &expected {
            Some(cid) if cid.version() == 0 => Profile::UnixFsV0_2015,
            _ => Profile::default(),
        });
        Self {
            expected,
            signers,
            profile,
            tree: OnceCell::new(),
            verdict: OnceCell::new(),
        }
    }

    async fn tree(
        &self,
        image: &Image,
        observer: Option<&Observer>,
    ) -> Result<Option<&Arc<Tree>>, Error> {
        let is_expected = |cid: &Cid| match &self.expected {
            Some(expected) => same(cid, expected),
            None => true,
        };
        let (tree, found) = match image.verified() {
            // The layer's loader holds it to the CID already.
            Some(cid) if is_expected(cid) => (None, cid),
            _ => {
                let hashed = || hashed(image, self.profile, observer.cloned());
                let tree = self.tree.get_or_try_init(hashed).await?;
                (Some(tree), &tree.root.cid)
            }
        };
        if let Some(expected) = &self.expected
            && !is_expected(found)
        {
            return Err(Error::Pin {
                expected: expected.clone(),
                found: found.clone(),
                layers: image.described(),
            });
        }
        if let Some(required) = &self.signers {
            let judge = || required.judge(found);
            if let Err(reasons) = self.verdict.get_or_try_init(judge).await? {
                return Err(Error::Unsigned {
                    cid: found.clone(),
                    reasons: reasons.clone(),
                    layers: image.described(),
                });
            }
        }
        Ok(tree)
    }
}

impl Hold {
    /// The tree, of an image that is held to one.
    pub(crate) async fn tree(
        &self,
        image: &Image,
        observer: Option<&Observer>,
    ) -> Result<Option<&Arc<Tree>>, Error> {
        match self {
            Self::Nothing => Ok(None),
            Self::Sealed(tree) => Ok(Some(tree)),
            Self::Pinned(pin) => pin.tree(image, observer).await,
        }
    }

    /// The CID of all that the image will ever answer for, where that is known.
    pub(crate) fn cid(&self) -> Option<Cid> {
        match self {
            Self::Nothing => None,
            Self::Sealed(tree) => Some(tree.root.cid.clone()),
            Self::Pinned(pin) => {
                let found = || pin.tree.get().map(|tree| tree.root.cid.clone());
                pin.expected.clone().or_else(found)
            }
        }
    }

    pub(crate) fn signer(&self) -> Option<PeerId> {
        match self {
            Self::Pinned(pin) => pin.verdict.get()?.as_ref().ok().copied(),
            _ => None,
        }
    }

    pub(crate) fn profile(&self) -> Option<Profile> {
        match self {
            Self::Nothing => None,
            Self::Sealed(tree) => Some(tree.profile),
            Self::Pinned(pin) => Some(pin.profile),
        }
    }
}

/// What the layers hold. Boxed, since the import of a pinned image under
/// another profile comes by here again.
fn hashed(
    image: &Image,
    profile: Profile,
    observer: Option<Observer>,
) -> BoxFuture<'_, Result<Arc<Tree>, Error>> {
    Box::pin(async move {
        let root = Import::of_layers(image.clone(), profile, observer);
        Ok(Arc::new(Tree::new(profile, root.run().await?)))
    })
}
