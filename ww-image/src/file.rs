use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use ww_loader::Path;

use crate::{Error, Layer};

/// A file of an image, open for reading. Cloning is cheap.
#[derive(Clone)]
pub struct File {
    pub(crate) path: Path,
    pub(crate) layer: Layer,
    pub(crate) content: Arc<dyn ww_loader::File>,
}

impl File {
    /// Where the file stands, with every link on the way followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The layer it comes from.
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// The length in bytes, which never changes.
    pub fn len(&self) -> u64 {
        self.content.len()
    }

    /// Whether the file is empty.
    pub fn is_empty(&self) -> bool {
        self.content.is_empty()
    }

    /// The bytes from `offset`, `len` of them or as many as there are before
    /// the end. No more is allocated than is given.
    ///
    /// # Errors
    ///
    /// [`Error::Layer`] if reading fails, or if the file has become shorter
    /// since it was opened.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        let read = self.content.read_at(offset, len).await;
        read.map_err(|source| self.layer.error(&self.path, source))
    }

    /// The whole file, if it has at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] before a byte is read, otherwise as
    /// [`read_at`](Self::read_at).
    pub async fn read(&self, limit: u64) -> Result<Bytes, Error> {
        let len = self.len();
        match usize::try_from(len) {
            Ok(whole) if len <= limit => self.read_at(0, whole).await,
            _ => Err(Error::TooLarge {
                path: self.path.clone(),
                layer: self.layer.name().into(),
                len,
                limit,
            }),
        }
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, layer) = (self.len(), self.layer.name());
        write!(f, "File({}, {len} bytes, layer {layer:?})", self.path)
    }
}
