use std::fmt;

use crate::path::bound;
use crate::{Path, PathError};

/// A symbolic link: the text it was written with, and the path that text means.
///
/// Two links with the same target may have different texts, and then the trees
/// that hold them are different content.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link {
    text: Box<str>,
    target: Path,
}

impl Link {
    /// The link that stands in the directory `dir` and is written as `text`:
    /// relative to that directory, or absolute from the root of the tree.
    ///
    /// # Errors
    ///
    /// [`PathError`] if the text leads out of the tree, is no path, or is longer
    /// than [`Path::MAX_LEN`], whatever it comes to.
    pub fn new(dir: &Path, text: impl Into<Box<str>>) -> Result<Self, PathError> {
        let text = text.into();
        bound(&text, Path::MAX_LEN)?;
        let target = dir.resolve(&text)?;
        Ok(Self { text, target })
    }

    /// The target as it is written in the source.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the link points, seen from the root of the tree. Nothing need
    /// stand there.
    pub fn target(&self) -> &Path {
        &self.target
    }
}

/// Writes the target, seen from the root.
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)
    }
}
