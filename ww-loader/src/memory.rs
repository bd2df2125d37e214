use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;

use crate::{Entry, Error, Kind, Link, Loader, Node, Path, PathError};

/// A tree held in memory.
///
/// Directories are implied by what stands in them. Cloning copies the tree but
/// not the bytes of its files.
///
/// ```
/// use ww_loader::{LoaderExt, Memory, Path};
///
/// # futures_lite::future::block_on(async {
/// let memory = Memory::files([("etc/motd", "hello")])?;
/// assert_eq!(memory.load(&Path::new("etc/motd")?, 64).await?, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Memory {
    /// Holds the root, and with a path every ancestor of it as a directory.
    nodes: BTreeMap<Path, Stored>,
}

#[derive(Clone, Debug)]
enum Stored {
    File(Bytes),
    Dir(BTreeMap<String, Kind>),
    Link(Link),
}

const NAME: &str = "memory";

impl Memory {
    /// A tree with nothing in it.
    pub fn new() -> Self {
        Self {
            nodes: BTreeMap::from([(Path::root(), Stored::Dir(BTreeMap::new()))]),
        }
    }

    /// A tree of these files.
    ///
    /// # Errors
    ///
    /// As [`Memory::file`], and [`Error::Name`] for a text that is no path.
    pub fn files<P: AsRef<str>, B: Into<Bytes>>(
        files: impl IntoIterator<Item = (P, B)>,
    ) -> Result<Self, Error> {
        let mut memory = Self::new();
        for (text, bytes) in files {
            let path = Path::new(text.as_ref()).map_err(|source| Error::Name {
                path: Path::root(),
                loader: NAME.into(),
                source,
            })?;
            memory.file(&path, bytes)?;
        }
        Ok(memory)
    }

    /// Puts a file at `path`, in place of a file or link that stood there.
    ///
    /// # Errors
    ///
    /// [`Error::NotDirectory`] if an ancestor of the path is a file or link,
    /// [`Error::NotFile`] if the path is a directory.
    pub fn file(&mut self, path: &Path, bytes: impl Into<Bytes>) -> Result<(), Error> {
        self.put(path, Stored::File(bytes.into()))
    }

    /// Puts an empty directory at `path`, unless it is a directory already.
    ///
    /// # Errors
    ///
    /// [`Error::NotDirectory`] if the path or an ancestor is a file or link.
    pub fn dir(&mut self, path: &Path) -> Result<(), Error> {
        self.make_dirs(path, path)
    }

    /// Puts a symbolic link at `path`, with `target` as it would be written in
    /// a file system: relative to the link's directory, or absolute from the
    /// root of this tree.
    ///
    /// # Errors
    ///
    /// [`Error::Link`] if the target leaves the tree, otherwise as
    /// [`Memory::file`].
    pub fn link(&mut self, path: &Path, target: &str) -> Result<(), Error> {
        let link = Link::new(&path.parent().unwrap_or_else(Path::root), target);
        let link = link.map_err(|source| self.link_error(path, source))?;
        self.put(path, Stored::Link(link))
    }

    fn put(&mut self, path: &Path, stored: Stored) -> Result<(), Error> {
        let kind = stored.kind();
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(is_dir(path));
        };
        if let Some(Stored::Dir(_)) = self.nodes.get(path) {
            return Err(is_dir(path));
        }
        self.make_dirs(&parent, path)?;
        self.list(&parent, name, kind);
        self.nodes.insert(path.clone(), stored);
        Ok(())
    }

    /// Makes directories down to `dir`, on behalf of `path`.
    fn make_dirs(&mut self, dir: &Path, path: &Path) -> Result<(), Error> {
        for (depth, name) in dir.components().enumerate() {
            let at = dir.prefix(depth + 1);
            match self.nodes.get(&at) {
                Some(Stored::Dir(_)) => {}
                Some(_) => return Err(not_dir(path, at)),
                None => {
                    self.list(&dir.prefix(depth), name, Kind::Dir);
                    self.nodes.insert(at, Stored::Dir(BTreeMap::new()));
                }
            }
        }
        Ok(())
    }

    fn list(&mut self, dir: &Path, name: &str, kind: Kind) {
        if let Some(Stored::Dir(names)) = self.nodes.get_mut(dir) {
            names.insert(name.to_owned(), kind);
        }
    }

    fn absent(&self, path: &Path) -> Error {
        // The nearest one that is there: all above it are directories.
        let ancestors = (0..path.components().count()).rev();
        let nearest = ancestors
            .map(|depth| path.prefix(depth))
            .find_map(|at| self.nodes.get(&at).map(|stored| (at, stored.kind())));
        match nearest {
            Some((at, kind)) if kind != Kind::Dir => not_dir(path, at),
            _ => Error::NotFound {
                path: path.clone(),
                loader: NAME.into(),
            },
        }
    }

    fn link_error(&self, path: &Path, source: PathError) -> Error {
        let (path, loader) = (path.clone(), NAME.into());
        Error::Link {
            path,
            loader,
            source,
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Loader for Memory {
    async fn open(&self, path: &Path) -> Result<Node, Error> {
        Ok(match self.nodes.get(path) {
            Some(Stored::File(bytes)) => Node::File(Arc::new(bytes.clone())),
            Some(Stored::Link(link)) => Node::Link(link.clone()),
            Some(Stored::Dir(names)) => {
                let entries = names.clone().into_iter();
                let entries = entries.map(|(name, kind)| Ok(Entry { name, kind }));
                Node::Dir(Box::pin(stream::iter(entries)))
            }
            None => return Err(self.absent(path)),
        })
    }
}

impl Stored {
    fn kind(&self) -> Kind {
        match self {
            Self::File(_) => Kind::File,
            Self::Dir(_) => Kind::Dir,
            Self::Link(_) => Kind::Link,
        }
    }
}

fn not_dir(path: &Path, at: Path) -> Error {
    let (path, loader) = (path.clone(), NAME.into());
    Error::NotDirectory { path, at, loader }
}

fn is_dir(path: &Path) -> Error {
    let (path, kind) = (path.clone(), Kind::Dir);
    Error::NotFile { path, kind }
}
