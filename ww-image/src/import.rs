//! The walk over an image that gives its CID.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use futures_lite::future::yield_now;
use ww_loader::{Kind, Path};

use crate::listing::Growth;
use crate::tree::{Chunked, Directory, Held, Slot, hash};
use crate::unixfs::{Balanced, Named, Part, Root, directory};
use crate::{Entry, Error, File, Image, Layer, Node, Profile, Progress};

/// How many files are read at once.
const FILES: usize = 8;
/// How many chunks of one file are read and hashed at once.
const CHUNKS: usize = 4;
/// Bytes of a link's text that take as much memory as a name does.
const TEXT: usize = 256;
/// Directories with more entries are put together on the blocking pool.
const LARGE: usize = 1024;

pub(crate) type Observer = Arc<dyn Fn(Progress) + Send + Sync>;

/// Hashes what the layers of an image hold. In memory there are never more
/// than [`FILES`] times [`CHUNKS`] chunks, the listings of the directories on
/// the way to where it is, and what it shall keep.
pub(crate) struct Import {
    image: Image,
    profile: Profile,
    /// Whether to remember every chunk's hash and every name.
    keep: bool,
    /// Whether to read past what the image is held to.
    layers: bool,
    observer: Option<Observer>,
    files: AtomicU64,
    bytes: AtomicU64,
    /// All that were listed.
    names: AtomicU64,
    /// Bytes of all files that were opened.
    claimed: AtomicU64,
}

/// A directory on the way, with what is done of it.
struct Frame {
    path: Path,
    /// What the directory above knows it by.
    entry: Option<Entry>,
    layers: Vec<Layer>,
    left: Vec<Entry>,
    done: Vec<Named>,
    kept: BTreeMap<String, Slot>,
}

struct Imported {
    entry: Entry,
    root: Root,
    held: Option<Held>,
}

impl Import {
    /// Hashes an image as it answers.
    pub(crate) fn new(image: Image, profile: Profile, observer: Option<Observer>) -> Self {
        Self {
            image,
            profile,
            keep: false,
            layers: false,
            observer,
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            names: AtomicU64::new(0),
            claimed: AtomicU64::new(0),
        }
    }

    /// Hashes what its layers hold, and keeps every chunk's hash.
    pub(crate) fn of_layers(image: Image, profile: Profile, observer: Option<Observer>) -> Self {
        Self {
            layers: true,
            ..Self::new(image, profile, observer).keeping()
        }
    }

    /// Keeps every name and every chunk's hash.
    pub(crate) fn keeping(self) -> Self {
        Self { keep: true, ..self }
    }

    /// The root directory: its entries only where they are kept.
    ///
    /// # Errors
    ///
    /// Whatever reading the image gives, and [`Error::Collision`].
    pub(crate) async fn run(self) -> Result<Arc<Directory>, Error> {
        let import = Arc::new(self);
        let mut frames = Vec::new();
        let mut frame = import.clone().begin(Path::root(), None).await?;
        loop {
            if let Some(entry) = frame.left.pop() {
                let path = child(&frame.path, &entry.name)?;
                let below = import.clone().begin(path, Some(entry)).await?;
                frames.push(std::mem::replace(&mut frame, below));
                continue;
            }
            let (entry, root, dir) = import.end(frame).await?;
            let (Some(above), Some(entry)) = (frames.pop(), entry) else {
                return Ok(dir);
            };
            frame = above;
            let held = import.keep.then_some(Held::Dir(dir));
            frame.add(Imported { entry, root, held });
        }
    }

    /// Lists a directory and hashes what is in it but directories.
    async fn begin(self: Arc<Self>, path: Path, entry: Option<Entry>) -> Result<Frame, Error> {
        // Others get their turn, however fast the layers answer.
        yield_now().await;
        let (layers, entries) = self.list(&path).await?;
        let (left, leaves): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|entry| entry.kind == Kind::Dir);
        let mut frame = Frame {
            path,
            entry,
            layers,
            left,
            done: Vec::new(),
            kept: BTreeMap::new(),
        };
        let dir = frame.path.clone();
        let mut imported = stream::iter(leaves)
            .map(move |entry| self.clone().leaf(dir.clone(), entry))
            .buffer_unordered(FILES);
        while let Some(imported) = imported.try_next().await? {
            frame.add(imported);
            yield_now().await;
        }
        Ok(frame)
    }

    /// A tree in which one directory stands in many places is as large as it
    /// looks, however small what it is made of.
    fn count(&self, path: &Path, names: u64) -> Result<(), Error> {
        let limit = self.image.limits().names;
        match self.names.fetch_add(names, Ordering::Relaxed) + names <= limit {
            true => Ok(()),
            false => Err(Error::TooMany {
                path: path.clone(),
                layers: self.image.described(),
                limit,
            }),
        }
    }

    /// A file may say that it has any number of bytes, and give them all.
    fn claim(&self, file: &File) -> Result<(), Error> {
        let limit = self.image.limits().bytes;
        let more = |claimed: u64| claimed.checked_add(file.len()).filter(|all| *all <= limit);
        let claimed = &self.claimed;
        match claimed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::TooMuch {
                path: file.path().clone(),
                layers: self.image.described(),
                limit,
            }),
        }
    }

    async fn leaf(self: Arc<Self>, dir: Path, entry: Entry) -> Result<Imported, Error> {
        let path = child(&dir, &entry.name)?;
        let node = match self.layers {
            true => self.image.open_top(&path, &entry).await?,
            false => self.image.open_link(&path).await?,
        };
        let (root, held) = match node {
            Node::File(file) => {
                let (root, chunked) = self.file(file).await?;
                (root, Held::File(Arc::new(chunked)))
            }
            Node::Link(link) => {
                let text = link.text();
                self.count(&dir, (text.len() / TEXT) as u64)?;
                (self.profile.symlink(text), Held::Link(text.into()))
            }
            Node::Dir(_) => return Err(self.image.absent(&path)),
        };
        self.files.fetch_add(1, Ordering::Relaxed);
        self.tell();
        let held = self.keep.then_some(held);
        Ok(Imported { entry, root, held })
    }

    async fn list(&self, path: &Path) -> Result<(Vec<Layer>, Vec<Entry>), Error> {
        let mut charge = |more: Growth| self.count(path, more.names);
        if self.layers {
            return self.image.list_layers(path, &mut charge).await;
        }
        match self.image.open_link(path).await? {
            Node::Dir(dir) => {
                let entries = self.image.list(dir.path(), &mut charge).await?;
                Ok((dir.layers().to_vec(), entries))
            }
            _ => Err(self.image.absent(path)),
        }
    }

    async fn file(self: &Arc<Self>, file: File) -> Result<(Root, Chunked), Error> {
        self.claim(&file)?;
        let (len, chunk) = (file.len(), self.profile.chunk());
        // An empty file is one empty chunk.
        let count = len.div_ceil(chunk).max(1);
        let mut parts = stream::iter(0..count)
            .map(|index| {
                let (import, file) = (self.clone(), file.clone());
                let at = index * chunk;
                let want = chunk.min(len - at);
                async move {
                    // No chunk is longer than what fits a `usize`.
                    let bytes = file.read_at(at, want as usize).await?;
                    match bytes.len() as u64 == want {
                        true => Ok(import.chunk(bytes).await),
                        false => Err(file.changed()),
                    }
                }
            })
            .buffered(CHUNKS);
        let mut balanced = Balanced::new(self.profile);
        let mut hashes = Vec::new();
        while let Some(part) = parts.next().await {
            let part: Part = part?;
            if self.keep {
                hashes.push(hash(&part.root.cid));
            }
            balanced.push(part);
        }
        let hashes = hashes.into();
        Ok((balanced.finish().root, Chunked { len, hashes }))
    }

    async fn chunk(&self, bytes: Bytes) -> Part {
        let len = bytes.len() as u64;
        let part = self.profile.leaf(bytes).await;
        self.bytes.fetch_add(len, Ordering::Relaxed);
        self.tell();
        part
    }

    fn tell(&self) {
        if let Some(observer) = &self.observer {
            observer(Progress {
                files: self.files.load(Ordering::Relaxed),
                bytes: self.bytes.load(Ordering::Relaxed),
            });
        }
    }

    async fn end(&self, frame: Frame) -> Result<(Option<Entry>, Root, Arc<Directory>), Error> {
        let Frame { path, done, .. } = frame;
        let profile = self.profile;
        let root = match done.len() <= LARGE {
            true => directory(profile, &done),
            false => blocking::unblock(move || directory(profile, &done)).await,
        };
        let root = root.map_err(|names| Error::Collision {
            path,
            names: (names.0, names.1),
        })?;
        let dir = Directory {
            cid: root.cid.clone(),
            layers: frame.layers,
            entries: frame.kept,
        };
        Ok((frame.entry, root, Arc::new(dir)))
    }
}

impl Frame {
    fn add(&mut self, imported: Imported) {
        let Entry { name, layers, .. } = imported.entry;
        if let Some(held) = imported.held {
            self.kept.insert(name.clone(), Slot { layers, held });
        }
        let root = imported.root;
        self.done.push(Named { name, root });
    }
}

/// The path of `name` in `dir`, which a layer that breaks the contract may have
/// given as more than a name.
fn child(dir: &Path, name: &str) -> Result<Path, Error> {
    let path = dir.resolve(name)?;
    match path.parent().as_ref() == Some(dir) && path.name() == Some(name) {
        true => Ok(path),
        false => Err(ww_loader::PathError::NotAName { path: name.into() }.into()),
    }
}
