use std::fmt;

use async_trait::async_trait;
use futures::{StreamExt, stream};

use crate::{Entry, Error, Kind, Link, Loader, Node, Path, PathError};

/// A loader's tree at a path of its own: routing by prefix.
///
/// Only what is at or below the prefix is asked of the loader, as if its root
/// stood there. The directories on the way to the prefix hold the way and
/// nothing else. An absolute link of the tree reads as the relative one that
/// leads to the same.
///
/// ```
/// use ww_loader::{ChainLoader, LoaderExt, Memory, Mount, Path};
///
/// # futures_lite::future::block_on(async {
/// let chain = ChainLoader::new()
///     .then(Mount::new(Path::new("svc/web")?, Memory::files([("etc/motd", "web")])?))
///     .then(Memory::files([("etc/motd", "main")])?);
/// assert_eq!(chain.load(&Path::new("svc/web/etc/motd")?, 64).await?, "web");
/// assert_eq!(chain.load(&Path::new("etc/motd")?, 64).await?, "main");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Mount<L> {
    prefix: Path,
    loader: L,
}

impl<L: Loader> Mount<L> {
    /// The tree of `loader` at `prefix`.
    pub fn new(prefix: Path, loader: L) -> Self {
        Self { prefix, loader }
    }

    /// The link at `below` of the tree as it reads here, where the tree's root is
    /// not the root. An absolute one becomes relative, so that it means the same
    /// to whoever sees the tree by itself, as an image nested there does.
    fn moved(&self, path: &Path, below: &Path, link: &Link) -> Result<Link, PathError> {
        let dir = path.parent().unwrap_or_else(Path::root);
        if self.prefix.is_root() || !link.text().starts_with('/') {
            return Link::new(&dir, link.text());
        }
        let up = below.components().skip(1).map(|_| "..");
        let target = link.target().components();
        let parts: Vec<_> = up.chain(target).collect();
        match parts.is_empty() {
            true => Link::new(&dir, "."),
            false => Link::new(&dir, parts.join("/")),
        }
    }

    /// What stands on the way to the prefix, if `path` is there.
    fn way(&self, path: &Path) -> Result<Node, Error> {
        let below = self.prefix.below(path);
        let next = below.as_ref().and_then(|below| below.components().next());
        match next {
            Some(name) => {
                let name = name.to_owned();
                let entry = Entry {
                    name,
                    kind: Kind::Dir,
                };
                Ok(Node::Dir(Box::pin(stream::iter([Ok(entry)]))))
            }
            None => Err(Error::NotFound {
                path: path.clone(),
                loader: format!("the tree at {}", self.prefix),
            }),
        }
    }
}

#[async_trait]
impl<L: Loader> Loader for Mount<L> {
    async fn open(&self, path: &Path) -> Result<Node, Error> {
        let Some(below) = path.below(&self.prefix) else {
            return self.way(path);
        };
        let node = self.loader.open(&below).await;
        Ok(match node.map_err(|error| error.under(&self.prefix))? {
            Node::Link(link) => {
                Node::Link(
                    self.moved(path, &below, &link)
                        .map_err(|source| Error::Link {
                            path: path.clone(),
                            loader: format!("the tree at {}", self.prefix),
                            source,
                        })?,
                )
            }
            Node::Dir(entries) => {
                let prefix = self.prefix.clone();
                let entries = entries.map(move |entry| entry.map_err(|error| error.under(&prefix)));
                Node::Dir(Box::pin(entries))
            }
            file @ Node::File(_) => file,
        })
    }
}

impl<L> fmt::Debug for Mount<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mount({})", self.prefix)
    }
}
