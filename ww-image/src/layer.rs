use std::fmt;
use std::sync::Arc;

use ww_loader::ipld::Cid;
use ww_loader::{ChainLoader, Loader, Memory};

/// One tree of an image, with the name it has in errors. Cloning is cheap.
#[derive(Clone)]
pub struct Layer {
    name: Arc<str>,
    loader: Arc<dyn Loader>,
    cid: Option<Cid>,
}

impl Layer {
    /// The tree of `loader`, called `name`.
    pub fn new(name: impl Into<Arc<str>>, loader: impl Loader + 'static) -> Self {
        Self {
            name: name.into(),
            loader: Arc::new(loader),
            cid: None,
        }
    }

    /// The tree of `loader`, named by its CID: the loader gives nothing but what
    /// it has verified against that, a loader of IPFS say.
    ///
    /// An image of this one layer has the layer's CID, and nothing needs to be
    /// read to know it.
    pub fn verified(cid: Cid, loader: impl Loader + 'static) -> Self {
        Self {
            cid: Some(cid.clone()),
            ..Self::new(cid.to_string(), loader)
        }
    }

    /// The CID that the layer's loader verifies everything against.
    pub fn cid(&self) -> Option<&Cid> {
        self.cid.as_ref()
    }

    /// The name, as errors and entries show it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the layer's files come from.
    pub fn loader(&self) -> &Arc<dyn Loader> {
        &self.loader
    }
}

impl From<Memory> for Layer {
    fn from(memory: Memory) -> Self {
        Self::new("memory", memory)
    }
}

impl From<ChainLoader> for Layer {
    fn from(chain: ChainLoader) -> Self {
        Self::new("chain", chain)
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Layer({:?})", self.name)
    }
}

#[cfg(unix)]
mod host {
    use std::path::{Path, PathBuf};

    use ww_loader::HostDir;

    use super::Layer;
    use crate::Image;

    /// The directory at this path, named by it. It is looked at when the image
    /// is first used, and that is when a missing one is told.
    macro_rules! from_path {
        ($($of:ty),*) => {$(
            impl From<$of> for Layer {
                fn from(path: $of) -> Self {
                    let path = PathBuf::from(path);
                    Self::new(path.display().to_string(), HostDir::new(path))
                }
            }

            impl From<$of> for Image {
                fn from(path: $of) -> Self {
                    Self::new([Layer::from(path)])
                }
            }
        )*};
    }

    from_path!(&str, &String, String, &Path, &PathBuf, PathBuf);
}
