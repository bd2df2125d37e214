//! How layers become one tree: the rules of the union, and of following links.

use std::sync::Arc;

use futures::future::join_all;
use futures::stream::BoxStream;
use ww_loader::{Kind, Path};

use crate::listing::{Charge, united};
use crate::tree::{Directory, Seal};
use crate::{Dir, Entry, Error, File, Image, Layer, Link, Node};

/// What all layers together say of one path.
pub(crate) enum Answer {
    Found(Found),
    Absent,
    /// The topmost ancestor that is not a directory in some layer.
    Barred(Path),
}

pub(crate) enum Found {
    /// A directory, with its listing in each layer.
    Dir(Vec<(Layer, Listing)>),
    /// A directory as it was when the image was hashed.
    Held(Arc<Directory>),
    Leaf(Layer, Leaf),
}

pub(crate) type Listing = BoxStream<'static, Result<ww_loader::Entry, ww_loader::Error>>;

pub(crate) enum Leaf {
    File(Arc<dyn ww_loader::File>, Option<Seal>),
    Link(ww_loader::Link),
}

impl Image {
    pub(crate) async fn resolve(&self, asked: &Path, follow: bool) -> Result<Node, Error> {
        let (path, found) = self.walk(asked, follow).await?;
        Ok(match found {
            Found::Leaf(layer, Leaf::File(content, seal)) => Node::File(File {
                path,
                layer,
                content,
                seal,
            }),
            Found::Leaf(layer, Leaf::Link(link)) => Node::Link(Link { path, link, layer }),
            Found::Held(dir) => Node::Dir(Dir {
                image: self.clone(),
                path,
                layers: dir.layers.clone(),
            }),
            Found::Dir(dirs) => Node::Dir(Dir {
                image: self.clone(),
                path,
                layers: dirs.into_iter().map(|(layer, _)| layer).collect(),
            }),
        })
    }

    pub(crate) async fn list(
        &self,
        asked: &Path,
        charge: &mut Charge<'_>,
    ) -> Result<Vec<Entry>, Error> {
        let (path, found) = self.walk(asked, true).await?;
        match found {
            Found::Dir(dirs) => united(&path, dirs, charge).await,
            Found::Held(dir) => dir.list(charge),
            Found::Leaf(layer, _) => Err(barred(asked, path, &layer)),
        }
    }

    /// What the layers have in the directory at `path`, whatever the image is
    /// pinned to, and which of them have it.
    pub(crate) async fn list_layers(
        &self,
        path: &Path,
        charge: &mut Charge<'_>,
    ) -> Result<(Vec<Layer>, Vec<Entry>), Error> {
        match self.ask_layers(path).await? {
            Answer::Found(Found::Dir(dirs)) => {
                let layers = dirs.iter().map(|(layer, _)| layer.clone()).collect();
                Ok((layers, united(path, dirs, charge).await?))
            }
            Answer::Absent if path.is_root() => Ok((Vec::new(), Vec::new())),
            Answer::Found(Found::Leaf(layer, _)) => Err(barred(path, path.clone(), &layer)),
            _ => Err(self.absent(path)),
        }
    }

    /// Follows links until something else stands at the path, or, where the
    /// last component is not to be followed, until no link is on the way.
    async fn walk(&self, asked: &Path, follow: bool) -> Result<(Path, Found), Error> {
        let mut path = asked.clone();
        let mut links = 0;
        loop {
            let (link, target) = match self.ask(&path).await? {
                Answer::Absent if path.is_root() => return Ok((path, Found::Dir(Vec::new()))),
                Answer::Absent => return Err(self.absent(asked)),
                Answer::Found(Found::Leaf(_, Leaf::Link(link))) if follow => {
                    (path.clone(), link.target().clone())
                }
                Answer::Found(found) => return Ok((path, found)),
                Answer::Barred(at) => match self.ask(&at).await? {
                    Answer::Found(Found::Leaf(_, Leaf::Link(link))) => (at, link.target().clone()),
                    Answer::Found(Found::Leaf(layer, _)) => return Err(barred(asked, at, &layer)),
                    // The layers changed between the two questions.
                    _ => return Err(self.absent(asked)),
                },
            };
            links += 1;
            if links > Self::MAX_LINKS {
                let path = asked.clone();
                return Err(Error::Loop { path, link });
            }
            let rest = path.below(&link).unwrap_or_else(Path::root);
            path = target.join(&rest)?;
        }
    }

    /// The file or link that `entry` of a listing named, from the layer that
    /// gives it: no other needs to be asked again.
    pub(crate) async fn open_top(&self, path: &Path, entry: &Entry) -> Result<Node, Error> {
        let Some(layer) = entry.layers.last().cloned() else {
            return Err(self.absent(path));
        };
        let path = path.clone();
        match (layer.loader().open(&path).await, entry.kind) {
            (Ok(ww_loader::Node::File(content)), Kind::File) => Ok(Node::File(File {
                path,
                layer,
                content,
                seal: None,
            })),
            (Ok(ww_loader::Node::Link(link)), Kind::Link) => {
                Ok(Node::Link(Link { path, link, layer }))
            }
            (Ok(_), _) => Err(layer.changed(&path)),
            (Err(error), _) if error.is_not_found() => Err(layer.changed(&path)),
            (Err(error), _) => Err(layer.error(&path, error)),
        }
    }

    async fn ask(&self, path: &Path) -> Result<Answer, Error> {
        match self.tree(None).await? {
            Some(tree) => tree.ask(path).await,
            None => self.ask_layers(path).await,
        }
    }

    /// Asks every layer at once. All of them count: a file that wins still
    /// conflicts with a directory in a layer below.
    async fn ask_layers(&self, path: &Path) -> Result<Answer, Error> {
        let opens = self.layers().iter().map(|layer| layer.loader().open(path));
        let mut found: Vec<(Layer, ww_loader::Node)> = Vec::new();
        let mut barrier: Option<Path> = None;
        for (layer, opened) in self.layers().iter().zip(join_all(opens).await) {
            match opened {
                Ok(node) => found.push((layer.clone(), node)),
                Err(error) if error.is_not_found() => {}
                Err(error) => match error.not_directory() {
                    // Both are ancestors of one path, so the shorter is above.
                    Some(at) => {
                        let shorter = barrier.as_ref().is_none_or(|have| at < have);
                        barrier = if shorter { Some(at.clone()) } else { barrier };
                    }
                    None => return Err(layer.error(path, error)),
                },
            }
        }
        match barrier {
            Some(at) => Ok(Answer::Barred(at)),
            None => unite(path, found),
        }
    }

    pub(crate) fn absent(&self, path: &Path) -> Error {
        let layers = self.described();
        let path = path.clone();
        Error::NotFound { path, layers }
    }
}

impl Layer {
    pub(crate) fn changed(&self, path: &Path) -> Error {
        let source = ww_loader::Error::Changed {
            path: path.clone(),
            loader: self.name().into(),
        };
        self.error(path, source)
    }

    pub(crate) fn error(&self, path: &Path, source: impl Into<Arc<ww_loader::Error>>) -> Error {
        Error::Layer {
            layer: self.name().into(),
            path: path.clone(),
            source: source.into(),
        }
    }
}

fn unite(path: &Path, found: Vec<(Layer, ww_loader::Node)>) -> Result<Answer, Error> {
    let is_dir = |node: &ww_loader::Node| node.kind() == Kind::Dir;
    let dir = found.iter().rfind(|(_, node)| is_dir(node));
    let leaf = found.iter().rfind(|(_, node)| !is_dir(node));
    if let (Some((dir, _)), Some((other, node))) = (dir, leaf) {
        return Err(conflict(path, dir, other, node.kind()));
    }
    let mut dirs = Vec::new();
    let mut top = None;
    for (layer, node) in found {
        match node {
            ww_loader::Node::Dir(entries) => dirs.push((layer, entries)),
            ww_loader::Node::File(content) => top = Some((layer, Leaf::File(content, None))),
            ww_loader::Node::Link(link) => top = Some((layer, Leaf::Link(link))),
            // A kind that was added to the loaders and not yet here.
            _ => return Err(layer.error(path, special(path, &layer))),
        }
    }
    Ok(match top {
        Some((layer, leaf)) => Answer::Found(Found::Leaf(layer, leaf)),
        None if dirs.is_empty() => Answer::Absent,
        None => Answer::Found(Found::Dir(dirs)),
    })
}

fn special(path: &Path, layer: &Layer) -> ww_loader::Error {
    ww_loader::Error::Special {
        path: path.clone(),
        loader: layer.name().into(),
    }
}

pub(crate) fn conflict(path: &Path, dir: &Layer, other: &Layer, kind: Kind) -> Error {
    Error::Conflict {
        path: path.clone(),
        dir: dir.name().into(),
        other: other.name().into(),
        kind,
    }
}

fn barred(asked: &Path, at: Path, layer: &Layer) -> Error {
    Error::NotDirectory {
        path: asked.clone(),
        at,
        layer: layer.name().into(),
    }
}
