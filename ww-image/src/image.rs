use std::sync::Arc;

use bytes::Bytes;
use ww_loader::{Kind, Memory, Path};

use crate::{Builder, Entry, Error, Layer, Memo, Node, fhs};

/// A tree united from layers. Cloning is cheap, and clones are one image.
///
/// An image is a snapshot: its layers are fixed, and it remembers what was made
/// of it (see [`Image::memo`]). A new state of the world is a new image.
/// Nothing is read before it is asked for.
///
/// With a path in place of layers it is the directory of the host there.
#[derive(Clone, Debug)]
pub struct Image(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    layers: Vec<Layer>,
    main_limit: u64,
    memo: Memo,
}

impl Image {
    /// The longest `bin/main.wasm` that is read unless the builder says
    /// otherwise: 256 MiB.
    pub const MAIN_LIMIT: u64 = 256 << 20;

    /// How many links one path may lead through.
    pub const MAX_LINKS: usize = 40;

    /// The image of `layers`, lowest first.
    pub fn new(layers: impl IntoIterator<Item = impl Into<Layer>>) -> Self {
        let layers = layers.into_iter().map(Into::into).collect();
        Self::assemble(layers, Self::MAIN_LIMIT)
    }

    /// An image to be given its layers one by one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn assemble(layers: Vec<Layer>, main_limit: u64) -> Self {
        let memo = Memo::default();
        Self(Arc::new(Inner {
            layers,
            main_limit,
            memo,
        }))
    }

    /// An image of other layers with the settings of this one.
    pub(crate) fn derived(&self, layers: Vec<Layer>) -> Self {
        Self::assemble(layers, self.0.main_limit)
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.0.layers
    }

    /// What others have made of this image.
    pub fn memo(&self) -> &Memo {
        &self.0.memo
    }

    /// What stands at `path`, following links; never [`Node::Link`].
    ///
    /// # Errors
    ///
    /// - [`Error::NotFound`] if no layer has it, or a link on the way points
    ///   nowhere;
    /// - [`Error::NotDirectory`] if something on the way is a file;
    /// - [`Error::Conflict`] if layers disagree on what is a directory;
    /// - [`Error::Loop`] for links without end;
    /// - [`Error::Layer`] if any layer fails, or a link leaves the image.
    pub async fn open(&self, path: &Path) -> Result<Node, Error> {
        self.resolve(path, true).await
    }

    /// What stands at `path`, following links on the way but not the last
    /// component.
    ///
    /// # Errors
    ///
    /// As [`Image::open`].
    pub async fn open_link(&self, path: &Path) -> Result<Node, Error> {
        self.resolve(path, false).await
    }

    /// The whole file at `path`, following links, if it has at most `limit`
    /// bytes.
    ///
    /// # Errors
    ///
    /// [`Error::NotFile`] for a directory, [`Error::TooLarge`] before a byte is
    /// read, otherwise as [`Image::open`].
    pub async fn read(&self, path: &Path, limit: u64) -> Result<Bytes, Error> {
        match self.open(path).await? {
            Node::File(file) => file.read(limit).await,
            other => Err(Error::NotFile {
                path: path.clone(),
                kind: other.kind(),
                layers: self.described(),
            }),
        }
    }

    /// What is in the directory at `path`, following links, merged from all
    /// layers and sorted by name.
    ///
    /// # Errors
    ///
    /// [`Error::NotDirectory`] if it is a file, [`Error::Conflict`] if a name in
    /// it is a directory in one layer only, [`Error::Layer`] if a layer holds a
    /// name that is not UTF-8; otherwise as [`Image::open`].
    pub async fn read_dir(&self, path: &Path) -> Result<Vec<Entry>, Error> {
        self.list(path).await
    }

    /// The component the image runs: the bytes of [`fhs::MAIN`].
    ///
    /// # Errors
    ///
    /// [`Error::NoMain`] if no layer holds it, [`Error::TooLarge`] if it is
    /// over the limit, otherwise as [`Image::read`].
    pub async fn main(&self) -> Result<Bytes, Error> {
        match self.read(&Path::new(fhs::MAIN)?, self.0.main_limit).await {
            Err(Error::NotFound { layers, .. }) => Err(Error::NoMain { layers }),
            read => read,
        }
    }

    /// The nested image of service `name`: [`fhs::service`] as an image of its
    /// own.
    ///
    /// # Errors
    ///
    /// [`Error::Path`] if the name is not one component of a path, otherwise as
    /// [`Image::nested`].
    pub async fn service(&self, name: &str) -> Result<Self, Error> {
        self.nested(&fhs::service(name)?).await
    }

    /// The names of the nested images: of what is a directory in [`fhs::SVC`],
    /// or a link there, sorted.
    ///
    /// # Errors
    ///
    /// As [`Image::read_dir`], but for an image without services.
    pub async fn services(&self) -> Result<Vec<String>, Error> {
        let entries = match self.read_dir(&Path::new(fhs::SVC)?).await {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            entries => entries?,
        };
        let nested = entries.into_iter().filter(|entry| entry.kind != Kind::File);
        Ok(nested.map(|entry| entry.name).collect())
    }

    /// The directory at `path`, links followed, as an image of its own: with
    /// the same layers, seen from there, and the same settings.
    ///
    /// Nothing in it leads out of it: an absolute link starts at its own root.
    /// It has a [`Memo`] of its own, so whoever runs it more than once should
    /// keep it.
    ///
    /// # Errors
    ///
    /// [`Error::NotDirectory`] if a file stands there, otherwise as
    /// [`Image::open`].
    pub async fn nested(&self, path: &Path) -> Result<Self, Error> {
        match self.open(path).await? {
            Node::Dir(dir) => Ok(self.rooted(dir.path())),
            Node::File(file) => Err(Error::NotDirectory {
                path: path.clone(),
                at: file.path().clone(),
                layer: file.layer().name().into(),
            }),
            Node::Link(link) => Err(self.absent(link.target())),
        }
    }

    /// The layers as errors name them.
    pub(crate) fn described(&self) -> String {
        let names: Vec<_> = self.layers().iter().map(Layer::name).collect();
        match names.len() {
            0 => "an image without layers".into(),
            1 => format!("layer {}", names[0]),
            _ => format!("layers {}", names.join(", ")),
        }
    }
}

impl From<Layer> for Image {
    fn from(layer: Layer) -> Self {
        Self::new([layer])
    }
}

impl From<Memory> for Image {
    fn from(memory: Memory) -> Self {
        Self::new([memory])
    }
}

impl From<&Self> for Image {
    fn from(image: &Self) -> Self {
        image.clone()
    }
}
