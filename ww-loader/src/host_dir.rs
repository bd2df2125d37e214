mod file;
mod listing;
mod walk;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;

use crate::{Error, Loader, Node, Path};
use walk::Tree;

/// A directory of the host. Unix only.
///
/// - The directory is opened when it is first needed and held from then on, so
///   a directory that is moved later stays the same tree. One that is missing
///   or unreadable is [`Error::Root`] then.
/// - Every name is opened relative to its directory and without following
///   links, so nothing outside is ever reached, whoever changes the tree
///   meanwhile. Links are answers: [`Node::Link`].
/// - A file holds no descriptor of the process's while nobody reads it, so that
///   thousands may be open.
/// - A file can be changed in place while it is open: reads see what the host
///   file then holds, up to the length it had when it was opened. A file that
///   became shorter, or whose place another file took, is [`Error::Changed`]. Another
///   is one with another inode, or where the file system says so, another time of birth.
/// - A name that is not UTF-8 has no [`Path`]; it is an [`Error::Name`] in the
///   listing, and the rest of the listing follows. Devices, pipes and sockets
///   are left out of listings, and opening one is [`Error::Special`].
///
/// Everything that may wait runs on the `blocking` crate's pool.
#[derive(Clone, Debug)]
pub struct HostDir {
    tree: Arc<Tree>,
}

impl HostDir {
    /// The directory at `path`, which is touched only when something is opened.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let root = path.into();
        let name = root.display().to_string();
        let fd = OnceLock::new();
        Self {
            tree: Arc::new(Tree { root, name, fd }),
        }
    }
}

#[async_trait]
impl Loader for HostDir {
    async fn open(&self, path: &Path) -> Result<Node, Error> {
        let (tree, path) = (self.tree.clone(), path.clone());
        blocking::unblock(move || tree.open(&path)).await
    }
}
