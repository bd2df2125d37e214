use std::io;

use crate::{Kind, Path, PathError, ipfs};

/// Why a loader did not give what it was asked for.
///
/// Whether something is absent is asked with [`Error::is_not_found`], which
/// also looks into a chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The loader answers, and has nothing at this path.
    #[error("{path} is not in {loader}")]
    NotFound {
        /// What was asked for.
        path: Path,
        /// The loader that has no such path.
        loader: String,
    },
    /// Something on the way to the path is a file or a link, not a directory.
    #[error("{path} is not reachable in {loader}, where {at} is not a directory")]
    NotDirectory {
        /// What was asked for.
        path: Path,
        /// The ancestor of `path` that is not a directory.
        at: Path,
        /// The loader it was asked of.
        loader: String,
    },
    /// A file was wanted, and something else stands there.
    #[error("{path} is a {kind}, not a file")]
    NotFile {
        /// What was asked for.
        path: Path,
        /// What stands there.
        kind: Kind,
    },
    /// The path names a device, pipe or socket, which no tree can hold.
    #[error("{path} in {loader} is neither a file nor a directory nor a link")]
    Special {
        /// What was asked for.
        path: Path,
        /// The loader it was asked of.
        loader: String,
    },
    /// The file is longer than the caller allows.
    #[error("{path} has {len} bytes, over the limit of {limit}")]
    TooLarge {
        /// The file.
        path: Path,
        /// Its length in bytes.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file is shorter than it was when it was opened, or gone, or another.
    #[error("{path} in {loader} was cut short or replaced while it was open")]
    Changed {
        /// The file.
        path: Path,
        /// The loader that opened it.
        loader: String,
    },
    /// A symbolic link points out of the tree, or at no valid path.
    #[error("link {path} in {loader} has a target that cannot be followed")]
    Link {
        /// The link.
        path: Path,
        /// The loader it stands in.
        loader: String,
        /// What is wrong with the target.
        source: PathError,
    },
    /// A directory holds a name that is no path component.
    #[error("directory {path} in {loader} holds a name that cannot be used")]
    Name {
        /// The directory.
        path: Path,
        /// The loader it stands in.
        loader: String,
        /// What is wrong with the name.
        source: PathError,
    },
    /// The loader's own root is missing or cannot be opened.
    #[error("directory {loader} cannot be opened")]
    Root {
        /// The loader.
        loader: String,
        /// What the system said.
        source: io::Error,
    },
    /// Reading failed.
    #[error("{path} in {loader} cannot be read")]
    Io {
        /// What was being read.
        path: Path,
        /// The loader it was asked of.
        loader: String,
        /// What went wrong.
        source: io::Error,
    },
    /// A tree of IPFS does not give the path.
    #[error("{path} in {loader} cannot be had")]
    Ipfs {
        /// What was asked for.
        path: Path,
        /// The loader it was asked of.
        loader: String,
        /// Which block fails, and what every source says of it.
        source: Box<ipfs::Error>,
    },
    /// No loader of a chain gave the path: `errors` holds what each one that
    /// was asked said, in order. The last one ended the search.
    #[error("no loader of the chain gave {path}: {}", listed(errors))]
    Chain {
        /// What was asked for.
        path: Path,
        /// What the loaders said, in order.
        errors: Vec<Self>,
    },
}

impl Error {
    /// Whether the path is absent, which is all that lets a chain or a union
    /// look elsewhere. Any other failure says nothing about what exists.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Chain { errors, .. } => errors.iter().all(Self::is_not_found),
            _ => false,
        }
    }

    /// The ancestor that is not a directory, if that is what is wrong.
    pub fn not_directory(&self) -> Option<&Path> {
        match self {
            Self::NotDirectory { at, .. } => Some(at),
            Self::Chain { errors, .. } => errors.last().and_then(Self::not_directory),
            _ => None,
        }
    }

    /// Whether the same question may have another answer before long: a time
    /// that ran out, a connection that broke, a source that is busy.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::Interrupted
                    | io::ErrorKind::NetworkDown
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::NotConnected
                    | io::ErrorKind::ResourceBusy
                    | io::ErrorKind::StaleNetworkFileHandle
                    | io::ErrorKind::TimedOut
                    | io::ErrorKind::WouldBlock
            ),
            Self::Ipfs { source, .. } => source.is_passing(),
            Self::Chain { errors, .. } => errors.last().is_some_and(Self::is_passing),
            _ => false,
        }
    }

    /// This error with its paths seen from above `prefix`.
    pub(crate) fn under(mut self, prefix: &Path) -> Self {
        // A path that grows too long by it stays as it was.
        let moved = |path: &mut Path| {
            if let Ok(longer) = prefix.join(path) {
                *path = longer;
            }
        };
        match &mut self {
            Self::NotDirectory { path, at, .. } => {
                moved(path);
                moved(at);
            }
            Self::NotFound { path, .. }
            | Self::NotFile { path, .. }
            | Self::Special { path, .. }
            | Self::TooLarge { path, .. }
            | Self::Changed { path, .. }
            | Self::Link { path, .. }
            | Self::Name { path, .. }
            | Self::Ipfs { path, .. }
            | Self::Io { path, .. } => moved(path),
            Self::Root { .. } => {}
            Self::Chain { path, errors } => {
                moved(path);
                let inner = std::mem::take(errors);
                *errors = inner.into_iter().map(|error| error.under(prefix)).collect();
            }
        }
        self
    }
}

fn listed(errors: &[Error]) -> String {
    let texts: Vec<_> = errors.iter().map(|error| chain_text(error)).collect();
    texts.join("; ")
}

/// A chain holds several causes, and `source` can name but one, so the text
/// carries them.
pub(crate) fn chain_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
