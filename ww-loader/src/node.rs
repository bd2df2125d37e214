use std::fmt;
use std::sync::Arc;

use futures::stream::BoxStream;

use crate::{Error, File, Link};

/// What stands at a path.
#[non_exhaustive]
pub enum Node {
    /// A file, open for reading.
    File(Arc<dyn File>),
    /// A directory: its entries in any order, each name once.
    ///
    /// An entry that cannot be told is an error in its place, and the stream
    /// goes on behind it.
    Dir(BoxStream<'static, Result<Entry, Error>>),
    /// A symbolic link.
    Link(Link),
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name: one component of a [`Path`](crate::Path).
    pub name: String,
    /// What it names.
    pub kind: Kind,
}

/// The kinds of node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
}

impl Node {
    /// The kind of this node.
    pub fn kind(&self) -> Kind {
        match self {
            Self::File(_) => Kind::File,
            Self::Dir(_) => Kind::Dir,
            Self::Link(_) => Kind::Link,
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "File({} bytes)", file.len()),
            Self::Dir(_) => f.write_str("Dir"),
            Self::Link(link) => write!(f, "Link({link})"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Dir => "directory",
            Self::Link => "link",
        })
    }
}
