use crate::Path;

/// Why a text is no [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The text begins with `/`.
    #[error("path {path:?} is absolute, and must be relative to the root of its tree")]
    Absolute {
        /// The text as given.
        path: String,
    },
    /// The text has a `..` where none is allowed.
    #[error("path {path:?} holds `..`")]
    Parent {
        /// The text as given.
        path: String,
    },
    /// The text climbs above the root of the tree.
    #[error("path {path:?}, seen from {from:?}, leaves its tree")]
    Escape {
        /// The text as given.
        path: String,
        /// The directory it was resolved from.
        from: Path,
    },
    /// One component was wanted, and the text has none or several.
    #[error("{path:?} is not a single name")]
    NotAName {
        /// The text as given.
        path: String,
    },
    /// The text holds a NUL byte.
    #[error("path {path:?} holds a NUL byte")]
    Nul {
        /// The text as given.
        path: String,
    },
    /// The bytes are not UTF-8.
    #[error("path {lossy:?} is not UTF-8")]
    NotUtf8 {
        /// The bytes, with what is not UTF-8 replaced.
        lossy: String,
    },
    /// The path, or one of its components, is too long.
    #[error("path or name beginning {start:?} is longer than {limit} bytes")]
    TooLong {
        /// The first characters of the path or the component.
        start: String,
        /// The longest that is allowed, in bytes: [`Path::MAX_LEN`] for a path,
        /// [`Path::MAX_COMPONENT`] for a component.
        limit: usize,
    },
}
