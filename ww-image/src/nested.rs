use std::io;
use std::sync::Arc;

use ww_loader::{Link, Loader, Node, Path, async_trait};

use crate::pin::Hold;
use crate::{Error, Image, Layer};

/// A directory of another layer's tree, as a tree of its own.
///
/// Links mean what they would mean if nothing stood around the directory, so
/// that the same content behaves the same wherever it is nested.
struct Nested {
    base: Path,
    layer: Layer,
}

impl Image {
    /// The image whose root is the directory at `base` in every layer.
    pub(crate) async fn rooted(&self, base: &Path) -> Result<Self, Error> {
        let layers = self.layers().iter().map(|layer| {
            let nested = Nested {
                base: base.clone(),
                layer: layer.clone(),
            };
            Layer::new(layer.name(), nested)
        });
        let hold = match self.tree(None).await? {
            None => Hold::Nothing,
            Some(tree) => match tree.nested(base)? {
                Some(tree) => Hold::Sealed(Arc::new(tree)),
                None => return Err(self.absent(base)),
            },
        };
        Ok(self.derived(layers.collect(), hold))
    }
}

#[async_trait]
impl Loader for Nested {
    async fn open(&self, path: &Path) -> Result<Node, ww_loader::Error> {
        let outer = self
            .base
            .join(path)
            .map_err(|source| ww_loader::Error::Name {
                path: path.clone(),
                loader: self.layer.name().into(),
                source,
            })?;
        match self.layer.loader().open(&outer).await {
            Ok(Node::Link(link)) if !path.is_root() => self.link(path, &link),
            Ok(Node::File(_) | Node::Link(_)) if path.is_root() => Err(self.gone()),
            Err(error) if error.is_not_found() && path.is_root() => {
                Ok(Node::Dir(Box::pin(futures::stream::empty())))
            }
            Err(error) => Err(self.seen_from_inside(path, error)),
            node => node,
        }
    }
}

impl Nested {
    fn link(&self, path: &Path, link: &Link) -> Result<Node, ww_loader::Error> {
        let dir = path.parent().unwrap_or_else(Path::root);
        let link = Link::new(&dir, link.text());
        link.map(Node::Link)
            .map_err(|source| ww_loader::Error::Link {
                path: path.clone(),
                loader: self.layer.name().into(),
                source,
            })
    }

    fn seen_from_inside(&self, path: &Path, error: ww_loader::Error) -> ww_loader::Error {
        let Some(at) = error.not_directory() else {
            return error;
        };
        match at.below(&self.base) {
            Some(at) if !at.is_root() => ww_loader::Error::NotDirectory {
                path: path.clone(),
                at,
                loader: self.layer.name().into(),
            },
            _ => self.gone(),
        }
    }

    /// It was a directory when the image was made.
    fn gone(&self) -> ww_loader::Error {
        ww_loader::Error::Root {
            loader: format!("{} of layer {}", self.base, self.layer.name()),
            source: io::ErrorKind::NotADirectory.into(),
        }
    }
}
