use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::PathError;

/// Where a node stands in a loader's tree: relative, normalised UTF-8.
///
/// A path is a list of components joined by `/`. No component is empty, `.` or
/// `..`, none holds a NUL, none is longer than [`Path::MAX_COMPONENT`] bytes,
/// and the whole is at most [`Path::MAX_LEN`] bytes. The empty path is the root
/// of the tree. Cloning is cheap.
///
/// ```
/// use ww_loader::Path;
///
/// let main = Path::new("./bin//main.wasm")?;
/// assert_eq!(main.as_str(), "bin/main.wasm");
/// assert!(Path::new("../secret").is_err());
/// # Ok::<(), ww_loader::PathError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(Arc<str>);

impl Path {
    /// The longest path, in bytes.
    pub const MAX_LEN: usize = 4096;
    /// The longest component, in bytes: what common file systems can hold.
    pub const MAX_COMPONENT: usize = 255;

    /// The path of `text`. Empty components and `.` are dropped, so `a//./b/`
    /// is `a/b`, and the empty text and `.` are the root.
    ///
    /// # Errors
    ///
    /// [`PathError`] if the text is absolute, holds `..` or NUL, or is too long.
    pub fn new(text: &str) -> Result<Self, PathError> {
        if text.starts_with('/') {
            return Err(PathError::Absolute { path: clip(text) });
        }
        if text.split('/').any(|part| part == "..") {
            return Err(PathError::Parent { path: clip(text) });
        }
        Self::root().resolve(text)
    }

    /// The path of `bytes`, which must be UTF-8.
    ///
    /// # Errors
    ///
    /// [`PathError::NotUtf8`], and those of [`Path::new`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PathError> {
        Self::new(utf8(bytes)?)
    }

    /// The root of the tree.
    pub fn root() -> Self {
        Self(Arc::from(""))
    }

    /// What `text` means when it is read in this directory: `..` climbs, and an
    /// absolute text starts at the root of the tree. The target of a symbolic
    /// link is read so, in the directory of the link.
    ///
    /// This looks at text alone, so a `..` behind a name undoes that name, even
    /// where the name is a link to somewhere else.
    ///
    /// # Errors
    ///
    /// [`PathError::Escape`] if the text climbs above the root, otherwise as
    /// [`Path::new`].
    pub fn resolve(&self, text: &str) -> Result<Self, PathError> {
        if text.contains('\0') {
            return Err(PathError::Nul { path: clip(text) });
        }
        let mut joined = match text.starts_with('/') {
            true => String::new(),
            false => self.0.to_string(),
        };
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." if joined.is_empty() => {
                    let (path, from) = (clip(text), self.clone());
                    return Err(PathError::Escape { path, from });
                }
                ".." => joined.truncate(joined.rfind('/').unwrap_or(0)),
                part => {
                    bound(part, Self::MAX_COMPONENT)?;
                    if !joined.is_empty() {
                        joined.push('/');
                    }
                    joined.push_str(part);
                    bound(&joined, Self::MAX_LEN)?;
                }
            }
        }
        Ok(Self(joined.into()))
    }

    /// This path with `rest` behind it.
    ///
    /// # Errors
    ///
    /// [`PathError::TooLong`].
    pub fn join(&self, rest: &Self) -> Result<Self, PathError> {
        self.resolve(rest.as_str())
    }

    /// The path as text, without a leading or trailing `/`; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the root of the tree.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components from the root down; none for the root.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// The last component, or `None` for the root.
    pub fn name(&self) -> Option<&str> {
        self.components().next_back()
    }

    /// The directory this stands in, or `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        match self.0.rfind('/') {
            Some(end) => Some(Self(Arc::from(&self.0[..end]))),
            None if self.is_root() => None,
            None => Some(Self::root()),
        }
    }

    /// The path of the first `count` components, or all of it where it has
    /// fewer.
    pub fn prefix(&self, count: usize) -> Self {
        match self.0.match_indices('/').nth(count.wrapping_sub(1)) {
            _ if count == 0 => Self::root(),
            Some((end, _)) => Self(Arc::from(&self.0[..end])),
            None => self.clone(),
        }
    }

    /// What is left of this path below `base`, or `None` if it is not below it.
    /// Below itself a path is the root.
    pub fn below(&self, base: &Self) -> Option<Self> {
        if base.is_root() {
            return Some(self.clone());
        }
        match self.0.strip_prefix(base.as_str())? {
            "" => Some(Self::root()),
            rest => rest.strip_prefix('/').map(|rest| Self(Arc::from(rest))),
        }
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

impl TryFrom<&str> for Path {
    type Error = PathError;

    fn try_from(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

/// Writes the path, and `.` for the root.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "." } else { &self.0 })
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, PathError> {
    std::str::from_utf8(bytes).map_err(|_| PathError::NotUtf8 {
        lossy: clip(&String::from_utf8_lossy(bytes)),
    })
}

pub(crate) fn bound(text: &str, limit: usize) -> Result<(), PathError> {
    match text.len() <= limit {
        true => Ok(()),
        false => {
            let start = text.chars().take(32).collect();
            Err(PathError::TooLong { start, limit })
        }
    }
}

/// Errors quote what they were given, and what a guest gives may be long.
fn clip(text: &str) -> String {
    text.chars().take(Path::MAX_COMPONENT).collect()
}
