use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;

use super::dir::Listing;
use super::file::BlockFile;
use super::node::Unixfs;
use super::walk::Stop;
use super::{Blocks, Error, IpfsPath};
use crate::ipld::Cid;
use crate::path::utf8;
use crate::{Link, Loader, Node, Path};

/// The tree at an immutable path of IPFS.
///
/// - Nothing is asked for before something is opened, and files are read by
///   range, block by block.
/// - What stands at the path must be a directory; anything else is
///   [`Error::Root`](crate::Error::Root) when something is opened.
/// - Links are answers: [`Node::Link`]. They never lead out of the tree at the
///   path, whatever tree that stands in.
/// - A name that is no component of a [`Path`] is an
///   [`Error::Name`](crate::Error::Name) in its place in the listing, and the
///   rest of the listing follows. A directory that has a name twice is an
///   error.
/// - Listing a directory asks for the first block of each entry that is not
///   raw, to tell what it is.
#[derive(Clone)]
pub struct Ipfs {
    root: IpfsPath,
    blocks: Blocks,
    name: Arc<str>,
}

impl Ipfs {
    /// The tree at `root`, from `blocks`.
    pub fn new(root: IpfsPath, blocks: &Blocks) -> Self {
        let name = root.to_string().into();
        let blocks = blocks.clone();
        Self { root, blocks, name }
    }

    /// Where the tree stands.
    pub fn path(&self) -> &IpfsPath {
        &self.root
    }

    fn node(&self, path: &Path, cid: Cid, node: Unixfs) -> Result<Node, crate::Error> {
        let listing = || Listing {
            blocks: self.blocks.clone(),
            path: path.clone(),
            loader: self.name.clone(),
        };
        Ok(match node {
            Unixfs::Dir(links) => Node::Dir(listing().plain(links)),
            Unixfs::Shard(shard) => Node::Dir(listing().sharded(shard)),
            Unixfs::File(_) | Unixfs::Symlink(_) if path.is_root() => {
                return Err(self.root_error(io::ErrorKind::NotADirectory));
            }
            Unixfs::File(part) => Node::File(Arc::new(BlockFile {
                blocks: self.blocks.clone(),
                cid,
                len: part.len,
                small: part.small().map(Arc::new),
                path: path.clone(),
                loader: self.name.clone(),
            })),
            Unixfs::Symlink(target) => {
                let parent = path.parent().unwrap_or_else(Path::root);
                let link = utf8(&target).and_then(|text| Link::new(&parent, text));
                Node::Link(link.map_err(|source| crate::Error::Link {
                    path: path.clone(),
                    loader: self.name.to_string(),
                    source,
                })?)
            }
        })
    }

    fn stopped(&self, path: &Path, stop: Stop) -> crate::Error {
        let base = self.root.path.components().count();
        let (path, loader) = (path.clone(), self.name.to_string());
        match stop {
            Stop::Error(error) => error.at(&path, &loader),
            Stop::Absent(depth) if depth < base => self.root_error(io::ErrorKind::NotFound),
            Stop::Absent(_) => crate::Error::NotFound { path, loader },
            Stop::NotDirectory(depth) if depth <= base => {
                self.root_error(io::ErrorKind::NotADirectory)
            }
            Stop::NotDirectory(depth) => crate::Error::NotDirectory {
                at: path.prefix(depth - base),
                path,
                loader,
            },
        }
    }

    fn root_error(&self, kind: io::ErrorKind) -> crate::Error {
        crate::Error::Root {
            loader: self.name.to_string(),
            source: kind.into(),
        }
    }
}

#[async_trait]
impl Loader for Ipfs {
    async fn open(&self, path: &Path) -> Result<Node, crate::Error> {
        let whole = self.root.path.join(path);
        let whole = whole.map_err(|source| crate::Error::Name {
            path: path.clone(),
            loader: self.name.to_string(),
            source,
        })?;
        match self.blocks.walk(&self.root.cid, &whole).await {
            Ok((cid, node)) => self.node(path, cid, node),
            Err(stop) => Err(self.stopped(path, stop)),
        }
    }
}

impl Error {
    /// This error, met at `path` of `loader`.
    pub(super) fn at(self, path: &Path, loader: &str) -> crate::Error {
        crate::Error::Ipfs {
            path: path.clone(),
            loader: loader.to_owned(),
            source: Box::new(self),
        }
    }
}

impl fmt::Debug for Ipfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ipfs({})", self.name)
    }
}
