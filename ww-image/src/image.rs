use std::sync::Arc;

use bytes::Bytes;
use libp2p_identity::PeerId;
use ww_loader::ipld::Cid;
use ww_loader::{Kind, Memory, Path};

use crate::import::Observer;
use crate::pin::{Hold, Pin};
use crate::tree::Tree;
use crate::{Builder, Entry, Error, Hashing, Layer, Memo, Node, fhs};

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
    limits: Limits,
    hold: Hold,
    memo: Memo,
}

/// How much is taken of layers that nobody vouches for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of the component.
    pub(crate) main: u64,
    /// Names that are hashed.
    pub(crate) names: u64,
    /// Bytes of files that are hashed.
    pub(crate) bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            main: Image::MAIN_LIMIT,
            names: Image::NAMES_LIMIT,
            bytes: Image::BYTES_LIMIT,
        }
    }
}

impl Image {
    /// The longest `bin/main.wasm` that is read unless the builder says
    /// otherwise: 256 MiB.
    pub const MAIN_LIMIT: u64 = 256 << 20;

    /// The most names, of files, directories and links, that an image may have
    /// to be hashed, unless the builder says otherwise: 4,194,304.
    pub const NAMES_LIMIT: u64 = 1 << 22;

    /// The most bytes that the files of an image may have together to be hashed,
    /// unless the builder says otherwise: 64 GiB. To hash them takes a processor
    /// about a minute, and the hashes of their chunks 8 MiB at the most.
    pub const BYTES_LIMIT: u64 = 64 << 30;

    /// The most bytes that the listing of [`fhs::BOOT`] or [`fhs::SVC`] may take, as
    /// [`read_dir_within`](Self::read_dir_within) counts them: 4 MiB, some thirty
    /// thousand names.
    pub const LISTING_LIMIT: usize = 4 << 20;

    /// How many links one path may lead through.
    pub const MAX_LINKS: usize = 40;

    /// The image of `layers`, lowest first.
    pub fn new(layers: impl IntoIterator<Item = impl Into<Layer>>) -> Self {
        let layers = layers.into_iter().map(Into::into).collect();
        Self::assemble(layers, Limits::default(), Hold::Nothing)
    }

    /// An image to be given its layers one by one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn assemble(layers: Vec<Layer>, limits: Limits, hold: Hold) -> Self {
        let memo = Memo::default();
        Self(Arc::new(Inner {
            layers,
            limits,
            hold,
            memo,
        }))
    }

    /// This image, held to something else.
    fn held(&self, hold: Hold) -> Self {
        Self::assemble(self.0.layers.clone(), self.0.limits, hold)
    }

    /// An image of other layers with the settings of this one.
    pub(crate) fn derived(&self, layers: Vec<Layer>, hold: Hold) -> Self {
        Self::assemble(layers, self.0.limits, hold)
    }

    pub(crate) fn sealed(&self, tree: Arc<Tree>) -> Self {
        self.held(Hold::Sealed(tree))
    }

    /// What the image's answers come from, if it is held to something.
    pub(crate) async fn tree(
        &self,
        observer: Option<&Observer>,
    ) -> Result<Option<&Arc<Tree>>, Error> {
        self.0.hold.tree(self, observer).await
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.0.layers
    }

    /// This image, pinned: it answers only if what its layers hold has the CID
    /// `cid`, and only with what has.
    ///
    /// It is hashed whole when it is first used, under the profile of the CID's
    /// version. From then on it answers for what it held then: listings and
    /// links from memory (some hundred bytes for each name, 32 for each chunk
    /// of a file), and the bytes of files from their layers, each chunk
    /// verified against its hash before a byte of it is given. So it does not
    /// matter when a layer changes: what no longer has the CID is
    /// [`Error::Altered`] and never runs.
    ///
    /// An image whose only layer is [verified](Layer::verified) against this CID
    /// is not hashed: its loader holds it to the CID already.
    ///
    /// An image that has another CID fails every question with [`Error::Pin`]. A
    /// pin takes the place of what the image was held to before, and of signers
    /// that were required; for both together use the [`Builder`].
    pub fn pin(&self, cid: Cid) -> Self {
        self.held(Hold::Pinned(Box::new(Pin::new(Some(cid), None, None))))
    }

    /// The CID that the image is pinned to, was sealed with, or has from its
    /// only layer, a [verified](Layer::verified) one: whatever is read of the
    /// image has it. Of an image that need only be signed, it is
    /// known once the image has been used.
    pub fn pinned(&self) -> Option<Cid> {
        self.0.hold.cid().or_else(|| self.verified().cloned())
    }

    /// The CID of the only layer, where its loader verifies what it gives.
    pub(crate) fn verified(&self) -> Option<&Cid> {
        match self.layers() {
            [layer] => layer.cid(),
            _ => None,
        }
    }

    /// Whose signature the image was accepted for, once an image that must be
    /// [signed](Builder::signed_by) has been used.
    pub fn signer(&self) -> Option<PeerId> {
        self.0.hold.signer()
    }

    /// The image's CID: what identifies its content wherever it comes from,
    /// under the profile of its pin or [`Profile::default`](crate::Profile).
    ///
    /// Everything the image holds is read for it, unless its only layer is a
    /// [verified](Layer::verified) one: then it is the layer's.
    ///
    /// # Errors
    ///
    /// As [`Hashing::cid`].
    pub async fn cid(&self) -> Result<Cid, Error> {
        match (self.tree(None).await?, self.verified()) {
            (None, Some(cid)) => Ok(cid.clone()),
            _ => self.hashing().cid().await,
        }
    }

    /// The computation of the image's CID, for whoever wants to choose the
    /// profile, see progress, or seal the image.
    pub fn hashing(&self) -> Hashing {
        Hashing::new(self.clone(), self.0.hold.profile().unwrap_or_default())
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
    /// layers and sorted by name. However much that is, it is held in memory: of layers
    /// that nobody vouches for, use [`read_dir_within`](Self::read_dir_within).
    ///
    /// # Errors
    ///
    /// [`Error::NotDirectory`] if it is a file, [`Error::Conflict`] if a name in
    /// it is a directory in one layer only, [`Error::Layer`] if a layer holds a
    /// name that is not UTF-8; otherwise as [`Image::open`].
    pub async fn read_dir(&self, path: &Path) -> Result<Vec<Entry>, Error> {
        self.list(path, &mut |_| Ok(())).await
    }

    /// The component the image runs: the bytes of [`fhs::MAIN`].
    ///
    /// # Errors
    ///
    /// [`Error::NoMain`] if no layer holds it, [`Error::TooLarge`] if it is
    /// over the limit, otherwise as [`Image::read`].
    pub async fn main(&self) -> Result<Bytes, Error> {
        match self.read(&Path::new(fhs::MAIN)?, self.0.limits.main).await {
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
    /// [`Error::Listing`] if there are more than fit
    /// [`LISTING_LIMIT`](Self::LISTING_LIMIT); otherwise as [`Image::read_dir`], but for
    /// an image without services.
    pub async fn services(&self) -> Result<Vec<String>, Error> {
        let svc = Path::new(fhs::SVC)?;
        let entries = match self.read_dir_within(&svc, Self::LISTING_LIMIT).await {
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
            Node::Dir(dir) => self.rooted(dir.path()).await,
            Node::File(file) => Err(Error::NotDirectory {
                path: path.clone(),
                at: file.path().clone(),
                layer: file.layer().name().into(),
            }),
            Node::Link(link) => Err(self.absent(link.target())),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.0.limits
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
