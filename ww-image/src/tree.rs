use std::collections::BTreeMap;
use std::mem::take;
use std::sync::Arc;

use ww_loader::ipld::Cid;
use ww_loader::{Kind, Link, Node, Path};

use crate::chunks::Chunks;
use crate::listing::{Charge, Growth};
use crate::union::{Answer, Found, Leaf};
use crate::{Entry, Error, Layer, Profile};

/// What an image held when it was hashed, down to the hash of every chunk. An
/// image with a tree answers from it, and reads files against it.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) profile: Profile,
    pub(crate) root: Arc<Directory>,
    /// Where the root stands in the layers.
    base: Path,
    chunks: Arc<Chunks>,
}

#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) cid: Cid,
    pub(crate) layers: Vec<Layer>,
    pub(crate) entries: BTreeMap<String, Slot>,
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) layers: Vec<Layer>,
    pub(crate) held: Held,
}

#[derive(Debug)]
pub(crate) enum Held {
    File(Arc<Chunked>),
    Dir(Arc<Directory>),
    /// The text, which is read where the link stands.
    Link(Box<str>),
}

/// A file as its chunks.
#[derive(Debug)]
pub(crate) struct Chunked {
    pub(crate) len: u64,
    /// The SHA-256 of the block of each chunk.
    pub(crate) hashes: Box<[Hash]>,
}

pub(crate) type Hash = [u8; 32];

/// What a file is held to while it is read.
#[derive(Clone)]
pub(crate) struct Seal {
    pub(crate) profile: Profile,
    /// Where it stands in its layer.
    pub(crate) at: Path,
    pub(crate) file: Arc<Chunked>,
    pub(crate) chunks: Arc<Chunks>,
}

impl Tree {
    pub(crate) fn new(profile: Profile, root: Arc<Directory>) -> Self {
        Self {
            profile,
            root,
            base: Path::root(),
            chunks: Arc::default(),
        }
    }

    /// The tree of a directory of this one.
    pub(crate) fn nested(&self, path: &Path) -> Result<Option<Self>, Error> {
        let mut root = &self.root;
        for name in path.components() {
            match root.entries.get(name).map(|slot| &slot.held) {
                Some(Held::Dir(dir)) => root = dir,
                _ => return Ok(None),
            }
        }
        Ok(Some(Self {
            profile: self.profile,
            root: root.clone(),
            base: self.base.join(path)?,
            chunks: self.chunks.clone(),
        }))
    }

    /// What stands at `path`.
    pub(crate) async fn ask(&self, path: &Path) -> Result<Answer, Error> {
        let mut dir = &self.root;
        let count = path.components().count();
        for (depth, name) in path.components().enumerate() {
            let Some(slot) = dir.entries.get(name) else {
                return Ok(Answer::Absent);
            };
            match &slot.held {
                Held::Dir(below) => dir = below,
                _ if depth + 1 < count => return Ok(Answer::Barred(path.prefix(depth + 1))),
                Held::File(file) => return self.file(path, slot, file).await,
                Held::Link(text) => return slot.link(path, text),
            }
        }
        Ok(Answer::Found(Found::Held(dir.clone())))
    }

    async fn file(&self, path: &Path, slot: &Slot, file: &Arc<Chunked>) -> Result<Answer, Error> {
        let Some(layer) = slot.layers.last() else {
            return Ok(Answer::Absent);
        };
        let altered = || Error::Altered {
            path: path.clone(),
            layer: layer.name().into(),
        };
        let at = self.base.join(path)?;
        let content = match layer.loader().open(&at).await {
            Ok(Node::File(content)) if content.len() == file.len => content,
            Ok(_) => return Err(altered()),
            Err(error) if error.is_not_found() || error.not_directory().is_some() => {
                return Err(altered());
            }
            Err(error) => return Err(layer.error(path, error)),
        };
        let seal = Seal {
            profile: self.profile,
            at,
            file: file.clone(),
            chunks: self.chunks.clone(),
        };
        let leaf = Leaf::File(content, Some(seal));
        Ok(Answer::Found(Found::Leaf(layer.clone(), leaf)))
    }
}

impl Slot {
    fn link(&self, path: &Path, text: &str) -> Result<Answer, Error> {
        let Some(layer) = self.layers.last() else {
            return Ok(Answer::Absent);
        };
        let link = Link::new(&path.parent().unwrap_or_else(Path::root), text);
        let link = link.map_err(|source| {
            let source = ww_loader::Error::Link {
                path: path.clone(),
                loader: layer.name().into(),
                source,
            };
            layer.error(path, source)
        })?;
        Ok(Answer::Found(Found::Leaf(layer.clone(), Leaf::Link(link))))
    }
}

/// By hand, since a tree can be deeper than the stack of a thread.
impl Drop for Directory {
    fn drop(&mut self) {
        let mut left = vec![take(&mut self.entries)];
        while let Some(entries) = left.pop() {
            for slot in entries.into_values() {
                if let Held::Dir(dir) = slot.held
                    && let Some(mut dir) = Arc::into_inner(dir)
                {
                    left.push(take(&mut dir.entries));
                }
            }
        }
    }
}

impl Directory {
    pub(crate) fn list(&self, charge: &mut Charge<'_>) -> Result<Vec<Entry>, Error> {
        let entries = self.entries.iter().map(|(name, slot)| {
            charge(Growth::name(name, slot.layers.len()))?;
            Ok(Entry {
                name: name.clone(),
                kind: match slot.held {
                    Held::File(_) => Kind::File,
                    Held::Dir(_) => Kind::Dir,
                    Held::Link(_) => Kind::Link,
                },
                layers: slot.layers.clone(),
            })
        });
        entries.collect()
    }
}

/// The SHA-256 in a CID that was made of one.
pub(crate) fn hash(cid: &Cid) -> Hash {
    let digest = cid.multihash().last_chunk().copied();
    digest.unwrap_or_default()
}
