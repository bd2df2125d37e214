use std::sync::Arc;

use ww_loader::ipld::Cid;
use ww_loader::{Kind, Path, PathError};

use crate::fhs;

/// Why an image did not give what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No layer holds the component that an image runs.
    #[error(
        "no {main} in {layers}; build the component into {main} of a layer, \
         or add a layer that holds it",
        main = fhs::MAIN
    )]
    NoMain {
        /// The image's layers, as text.
        layers: String,
    },
    /// No layer holds this path.
    #[error("{path} is not in {layers}")]
    NotFound {
        /// What was asked for.
        path: Path,
        /// The image's layers, as text.
        layers: String,
    },
    /// Something on the way to the path is not a directory.
    #[error("{path} is not reachable, since {at} in layer {layer} is not a directory")]
    NotDirectory {
        /// What was asked for.
        path: Path,
        /// What is not a directory: an ancestor of the path, or the path itself
        /// where a directory was wanted.
        at: Path,
        /// The layer it stands in.
        layer: String,
    },
    /// A file was wanted, and something else stands there.
    #[error("{path} in {layers} is a {kind}, not a file")]
    NotFile {
        /// What was asked for.
        path: Path,
        /// What stands there.
        kind: Kind,
        /// The image's layers, as text.
        layers: String,
    },
    /// One layer has a directory where another has something else.
    #[error("{path} is a directory in layer {dir} but a {kind} in layer {other}")]
    Conflict {
        /// The path in both layers.
        path: Path,
        /// The layer in which it is a directory.
        dir: String,
        /// The layer in which it is something else.
        other: String,
        /// What it is there.
        kind: Kind,
    },
    /// Following links came to no end within [`Image::MAX_LINKS`](crate::Image::MAX_LINKS).
    #[error("{path} leads through too many links, last through {link}")]
    Loop {
        /// What was asked for.
        path: Path,
        /// The link that was one too many.
        link: Path,
    },
    /// The file is longer than the caller allows.
    #[error("{path} in layer {layer} has {len} bytes, over the limit of {limit}")]
    TooLarge {
        /// The file.
        path: Path,
        /// The layer it comes from.
        layer: String,
        /// Its length in bytes.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The image's content is not what it is pinned to.
    #[error("{layers}: the content is {found}, and is pinned to {expected}")]
    Pin {
        /// What the image is pinned to.
        expected: Cid,
        /// What its layers held when they were hashed.
        found: Cid,
        /// The image's layers, as text.
        layers: String,
    },
    /// The image must be signed, and is not by anybody who counts.
    #[error(
        "{layers}: the content is {cid}, and no accepted signer vouches for that ({})",
        reasons.join("; ")
    )]
    Unsigned {
        /// What the layers held when they were hashed.
        cid: Cid,
        /// What is wrong with each signature, or where none was found.
        reasons: Vec<String>,
        /// The image's layers, as text.
        layers: String,
    },
    /// The image is pinned, and a layer no longer holds what was hashed.
    #[error("{path} in layer {layer} is not what it was when the image was hashed")]
    Altered {
        /// The file or directory.
        path: Path,
        /// The layer it comes from.
        layer: String,
    },
    /// The image has more names than may be hashed, some of them perhaps many
    /// times over.
    #[error("{layers}: more than {limit} names, the last of them in {path}")]
    TooMany {
        /// The directory that has one too many.
        path: Path,
        /// The image's layers, as text.
        layers: String,
        /// The limit.
        limit: u64,
    },
    /// The image's files have more bytes than may be hashed, some of them
    /// perhaps many times over.
    #[error("{layers}: more than {limit} bytes, the last of them in {path}")]
    TooMuch {
        /// The file that has one too many.
        path: Path,
        /// The image's layers, as text.
        layers: String,
        /// The limit.
        limit: u64,
    },
    /// A directory has more names than whoever asked has room for.
    #[error("{path} in {layers} has more names than fit {limit} bytes")]
    Listing {
        /// The directory.
        path: Path,
        /// The image's layers, as text.
        layers: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// A directory is large enough for shards, and two of its names have the
    /// same hash, so that no UnixFS directory can hold both.
    #[error("names {:?} and {:?} in {path} have equal hashes", names.0, names.1)]
    Collision {
        /// The directory.
        path: Path,
        /// The names.
        names: (String, String),
    },
    /// A text is no path, or following a link made a path too long.
    #[error("not a path in the image")]
    Path(#[from] PathError),
    /// A layer failed: it is missing, cannot be read, or refused.
    #[error("layer {layer} cannot give {path}")]
    Layer {
        /// The layer.
        layer: Arc<str>,
        /// What it was asked for.
        path: Path,
        /// What its loader said.
        source: Arc<ww_loader::Error>,
    },
}

impl Error {
    /// Whether the path itself is at fault, or a link it leads through, rather
    /// than a layer that failed.
    pub(crate) fn is_of_the_path(&self) -> bool {
        match self {
            Self::Layer { source, .. } => matches!(**source, ww_loader::Error::Link { .. }),
            Self::NotFound { .. } | Self::NotDirectory { .. } | Self::Loop { .. } => true,
            _ => false,
        }
    }

    /// Whether what was asked for is absent from all layers, as opposed to
    /// every other failure.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::NoMain { .. })
    }

    /// Whether the same question may have another answer before long; see
    /// [`ww_loader::Error::is_passing`].
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Layer { source, .. } if source.is_passing())
    }
}
