use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ww_image::{Error, Image, Node, Path};

use crate::programs::Hash;

/// Images that were run out of another one, which remembers them: each by where its
/// directory stands there.
#[derive(Clone, Default)]
pub(super) struct Services(Arc<Mutex<HashMap<Path, Service>>>);

/// An image that was run out of another.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) image: Image,
    /// Of its component.
    pub(super) hash: Hash,
}

/// How many are remembered of one image.
const MOST: usize = 64;

/// The key of what this remembers in an image's memo.
const KEY: u64 = 0;

impl Services {
    /// Those of `image`.
    pub(super) fn of(image: &Image) -> Self {
        let memo = image.memo();
        memo.recall(KEY).unwrap_or_else(|| {
            let new = Self::default();
            memo.remember(KEY, new.clone());
            new
        })
    }

    /// What was run out of the directory at `at`.
    pub(super) fn recall(&self, at: &Path) -> Option<Service> {
        self.lock().get(at).cloned()
    }

    /// Remembers it, in place of any other where there are as many.
    pub(super) fn remember(&self, at: Path, service: Service) {
        let mut services = self.lock();
        if services.len() == MOST
            && !services.contains_key(&at)
            && let Some(other) = services.keys().next().cloned()
        {
            services.remove(&other);
        }
        services.insert(at, service);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Path, Service>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the directory stands that `path` leads to in `image`. What is no directory is
/// for [`Image::nested`] to say.
pub(super) async fn place(image: &Image, path: &Path) -> Result<Path, Error> {
    Ok(match image.open(path).await? {
        Node::Dir(dir) => dir.path().clone(),
        _ => path.clone(),
    })
}
