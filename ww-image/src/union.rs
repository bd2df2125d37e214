//! How layers become one tree: the rules of the union, and of following links.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use futures::StreamExt;
use futures::future::join_all;
use ww_loader::{Kind, Path};

use crate::{Dir, Entry, Error, File, Image, Layer, Link, Node};

/// What all layers together say of one path.
enum Answer {
    Found(Found),
    Absent,
    /// The topmost ancestor that is not a directory in some layer.
    Barred(Path),
}

enum Found {
    Dir(Vec<(Layer, ww_loader::Node)>),
    /// A file or link.
    Leaf(Layer, ww_loader::Node),
}

impl Image {
    pub(crate) async fn resolve(&self, asked: &Path, follow: bool) -> Result<Node, Error> {
        let (path, found) = self.walk(asked, follow).await?;
        Ok(match found {
            Found::Leaf(layer, ww_loader::Node::File(content)) => Node::File(File {
                path,
                layer,
                content,
            }),
            Found::Leaf(layer, ww_loader::Node::Link(link)) => {
                Node::Link(Link { path, link, layer })
            }
            Found::Leaf(..) => return Err(self.absent(asked)),
            Found::Dir(dirs) => Node::Dir(Dir {
                image: self.clone(),
                path,
                layers: dirs.into_iter().map(|(layer, _)| layer).collect(),
            }),
        })
    }

    pub(crate) async fn list(&self, asked: &Path) -> Result<Vec<Entry>, Error> {
        let (path, found) = self.walk(asked, true).await?;
        let dirs = match found {
            Found::Dir(dirs) => dirs,
            Found::Leaf(layer, _) => return Err(barred(asked, path, &layer)),
        };
        let mut merged = BTreeMap::new();
        for (layer, node) in dirs {
            let ww_loader::Node::Dir(mut entries) = node else {
                continue;
            };
            while let Some(entry) = entries.next().await {
                let entry = entry.map_err(|source| layer.error(&path, source))?;
                merge(&mut merged, &path, entry, &layer)?;
            }
        }
        Ok(merged.into_values().collect())
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
                Answer::Found(Found::Leaf(_, ww_loader::Node::Link(link))) if follow => {
                    (path.clone(), link.target().clone())
                }
                Answer::Found(found) => return Ok((path, found)),
                Answer::Barred(at) => match self.ask(&at).await? {
                    Answer::Found(Found::Leaf(_, ww_loader::Node::Link(link))) => {
                        (at, link.target().clone())
                    }
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

    /// Asks every layer at once. All of them count: a file that wins still
    /// conflicts with a directory in a layer below.
    async fn ask(&self, path: &Path) -> Result<Answer, Error> {
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
    pub(crate) fn error(&self, path: &Path, source: ww_loader::Error) -> Error {
        Error::Layer {
            layer: self.name().into(),
            path: path.clone(),
            source,
        }
    }
}

fn unite(path: &Path, mut found: Vec<(Layer, ww_loader::Node)>) -> Result<Answer, Error> {
    let is_dir = |node: &ww_loader::Node| node.kind() == Kind::Dir;
    let dir = found.iter().rfind(|(_, node)| is_dir(node));
    let leaf = found.iter().rfind(|(_, node)| !is_dir(node));
    match (dir, leaf) {
        (Some((dir, _)), Some((other, node))) => Err(conflict(path, dir, other, node.kind())),
        (Some(_), None) => Ok(Answer::Found(Found::Dir(found))),
        (None, _) => Ok(match found.pop() {
            Some((layer, node)) => Answer::Found(Found::Leaf(layer, node)),
            None => Answer::Absent,
        }),
    }
}

fn merge(
    merged: &mut BTreeMap<String, Entry>,
    dir: &Path,
    entry: ww_loader::Entry,
    layer: &Layer,
) -> Result<(), Error> {
    match merged.entry(entry.name) {
        Slot::Vacant(slot) => {
            let name = slot.key().clone();
            let (kind, layers) = (entry.kind, vec![layer.clone()]);
            slot.insert(Entry { name, kind, layers });
        }
        Slot::Occupied(mut slot) => {
            let below = slot.get_mut();
            let path = || dir.resolve(&below.name);
            match (below.kind, entry.kind, below.layers.last()) {
                (Kind::Dir, Kind::Dir, _) => {}
                (Kind::Dir, kind, Some(dir)) => return Err(conflict(&path()?, dir, layer, kind)),
                (kind, Kind::Dir, Some(other)) => {
                    return Err(conflict(&path()?, layer, other, kind));
                }
                _ => below.kind = entry.kind,
            }
            below.layers.push(layer.clone());
        }
    }
    Ok(())
}

fn conflict(path: &Path, dir: &Layer, other: &Layer, kind: Kind) -> Error {
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
