use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Error, Loader, Node, Path};

/// Loaders asked one after another: the first that has a path gives it.
///
/// Only *not found* goes on to the next loader; any other failure ends the
/// search, since it says nothing about what exists. A directory comes whole
/// from the first loader that has it. To unite directories use an image.
///
/// ```
/// use ww_loader::{ChainLoader, LoaderExt, Memory, Path};
///
/// # futures_lite::future::block_on(async {
/// let chain = ChainLoader::new()
///     .then(Memory::files([("a", "first")])?)
///     .then(Memory::files([("a", "second"), ("b", "second")])?);
/// assert_eq!(chain.load(&Path::new("a")?, 64).await?, "first");
/// assert_eq!(chain.load(&Path::new("b")?, 64).await?, "second");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone, Default)]
pub struct ChainLoader {
    loaders: Vec<Arc<dyn Loader>>,
}

impl ChainLoader {
    /// A chain of no loaders, in which nothing is found but an empty root.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks `loader` where all before it have nothing.
    pub fn then(mut self, loader: impl Loader + 'static) -> Self {
        self.loaders.push(Arc::new(loader));
        self
    }
}

#[async_trait]
impl Loader for ChainLoader {
    async fn open(&self, path: &Path) -> Result<Node, Error> {
        let mut errors = Vec::new();
        for loader in &self.loaders {
            match loader.open(path).await {
                Ok(node) => return Ok(node),
                Err(error) => {
                    let absent = error.is_not_found();
                    errors.push(error);
                    if !absent {
                        break;
                    }
                }
            }
        }
        match errors.len() {
            0 if path.is_root() => Ok(Node::Dir(Box::pin(futures::stream::empty()))),
            1 => Err(errors.remove(0)),
            _ => Err(Error::Chain {
                path: path.clone(),
                errors,
            }),
        }
    }
}

impl fmt::Debug for ChainLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainLoader({} loaders)", self.loaders.len())
    }
}
