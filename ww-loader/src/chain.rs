use std::collections::HashSet;
use std::fmt;
use std::future::ready;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{Stream, StreamExt, stream};

use crate::{Entry, Error, Loader, Node, Path};

/// Loaders asked one after another: the first that has a path gives it.
///
/// Only *not found* goes on to the next loader; any other failure ends the
/// search, since it says nothing about what exists. A directory lists what can
/// be found in it: the names that the first loader has there, then those that
/// others have, who are asked when the listing comes to them.
///
/// A loader that is meant for a part of the tree goes into a
/// [`Mount`](crate::Mount), one that may be asked again into a
/// [`Patient`](crate::Patient).
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
#[derive(Clone)]
pub struct ChainLoader {
    loaders: Vec<Arc<dyn Loader>>,
    /// At least one.
    at_once: usize,
}

impl ChainLoader {
    /// A chain of no loaders, in which nothing is found but an empty root.
    pub fn new() -> Self {
        let loaders = Vec::new();
        Self {
            loaders,
            at_once: 1,
        }
    }

    /// Asks `loader` where all before it have nothing.
    pub fn then(mut self, loader: impl Loader + 'static) -> Self {
        self.loaders.push(Arc::new(loader));
        self
    }

    /// Asks `count` loaders at once, one if this is not said. The first *of
    /// the chain* that has the path still gives it, however late it answers;
    /// what others answer is dropped.
    #[must_use]
    pub fn at_once(mut self, count: usize) -> Self {
        self.at_once = count.max(1);
        self
    }
}

#[async_trait]
impl Loader for ChainLoader {
    async fn open(&self, path: &Path) -> Result<Node, Error> {
        let mut errors = Vec::new();
        let opens: Vec<_> = self
            .loaders
            .iter()
            .map(|loader| loader.open(path))
            .collect();
        let mut answers = stream::iter(opens).buffered(self.at_once).enumerate();
        while let Some((index, answer)) = answers.next().await {
            match answer {
                Ok(Node::Dir(entries)) => {
                    let later = self.loaders[index + 1..].to_vec();
                    let later = listings(later, path.clone(), self.at_once);
                    return Ok(Node::Dir(Box::pin(distinct(entries.chain(later)))));
                }
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
            0 if path.is_root() => Ok(Node::Dir(Box::pin(stream::empty()))),
            1 => Err(errors.remove(0)),
            _ => Err(Error::Chain {
                path: path.clone(),
                errors,
            }),
        }
    }
}

/// What those of `loaders` that have the directory `path` list there.
fn listings(
    loaders: Vec<Arc<dyn Loader>>,
    path: Path,
    at_once: usize,
) -> impl Stream<Item = Result<Entry, Error>> {
    let opened = stream::iter(loaders).map(move |loader| {
        let path = path.clone();
        async move { loader.open(&path).await }
    });
    let listed = opened.buffered(at_once).map(|answer| match answer {
        Ok(Node::Dir(entries)) => entries,
        // What stands there is hidden, and nothing stands below it.
        Ok(_) => stream::empty().boxed(),
        Err(error) if error.is_not_found() => stream::empty().boxed(),
        Err(error) => stream::iter([Err(error)]).boxed(),
    });
    listed.flatten()
}

/// The first entry of each name.
fn distinct(
    entries: impl Stream<Item = Result<Entry, Error>>,
) -> impl Stream<Item = Result<Entry, Error>> {
    let mut seen = HashSet::new();
    entries.filter(move |entry| {
        let new = match entry {
            Ok(entry) => seen.insert(entry.name.clone()),
            Err(_) => true,
        };
        ready(new)
    })
}

impl Default for ChainLoader {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ChainLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainLoader({} loaders)", self.loaders.len())
    }
}
