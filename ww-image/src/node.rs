use ww_loader::{Kind, Path};

use crate::{Dir, File, Layer};

/// What stands at a path of the union.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Node {
    /// A file, open for reading.
    File(File),
    /// A directory, merged from all layers that have it.
    Dir(Dir),
    /// A symbolic link. Only where links are not followed.
    Link(Link),
}

/// A symbolic link of an image.
#[derive(Clone, Debug)]
pub struct Link {
    pub(crate) path: Path,
    pub(crate) link: ww_loader::Link,
    pub(crate) layer: Layer,
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

    /// Where the node stands once every link on the way is followed. Nodes of
    /// one image are the same node exactly if their paths are equal.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(file) => file.path(),
            Self::Dir(dir) => dir.path(),
            Self::Link(link) => link.path(),
        }
    }
}

impl Link {
    /// Where the link stands, with every link on the way followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it points, seen from the root of the image. Nothing need stand
    /// there.
    pub fn target(&self) -> &Path {
        self.link.target()
    }

    /// The target as it is written in the layer.
    pub fn text(&self) -> &str {
        self.link.text()
    }

    /// The layer it comes from.
    pub fn layer(&self) -> &Layer {
        &self.layer
    }
}
