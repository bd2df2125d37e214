use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use ww_loader::Path;

use crate::chunks::Place;
use crate::tree::{Seal, hash};
use crate::{Error, Layer};

/// A file of an image, open for reading. Cloning is cheap.
#[derive(Clone)]
pub struct File {
    pub(crate) path: Path,
    pub(crate) layer: Layer,
    pub(crate) content: Arc<dyn ww_loader::File>,
    pub(crate) seal: Option<Seal>,
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
        self.len() == 0
    }

    /// The bytes from `offset`, `len` of them or as many as there are before
    /// the end. No more is allocated than is given; of a pinned image, whole
    /// chunks are read, once for all who want the same at a time, and kept for later
    /// reads: 32 MiB of them at the most, for all files of the image.
    ///
    /// # Errors
    ///
    /// [`Error::Layer`] if reading fails, or if the file has become shorter
    /// since it was opened; [`Error::Altered`] if the image is pinned and the
    /// bytes are not those that were hashed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        match &self.seal {
            None => self.read_layer(offset, len).await,
            Some(seal) => self.read_sealed(seal, offset, len).await,
        }
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

    /// It is not what it was when it was opened or listed.
    pub(crate) fn changed(&self) -> Error {
        self.layer.changed(&self.path)
    }

    async fn read_layer(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        let read = self.content.read_at(offset, len).await;
        read.map_err(|source| self.layer.error(&self.path, source))
    }

    async fn read_sealed(&self, seal: &Seal, offset: u64, len: usize) -> Result<Bytes, Error> {
        let end = offset.saturating_add(len as u64).min(seal.file.len);
        if offset >= end {
            return Ok(Bytes::new());
        }
        let chunk = seal.profile.chunk();
        let mut read = Vec::new();
        for index in offset / chunk..=(end - 1) / chunk {
            let start = index * chunk;
            let (from, to) = (offset.max(start) - start, end.min(start + chunk) - start);
            let bytes = self.chunk(seal, index, from, to).await?;
            // No chunk is longer than what fits a `usize`.
            let part = bytes.slice(from as usize..to as usize);
            if part.len() as u64 == end - offset && part.len() == bytes.len() {
                return Ok(part);
            }
            if read.is_empty() {
                read.reserve_exact((end - offset) as usize);
            }
            read.extend_from_slice(&part);
        }
        Ok(read.into())
    }

    /// A whole chunk, verified; kept where only `from..to` of it is wanted. Whoever wants
    /// the same at a time has it read once.
    async fn chunk(&self, seal: &Seal, index: u64, from: u64, to: u64) -> Result<Bytes, Error> {
        let altered = || Error::Altered {
            path: self.path.clone(),
            layer: self.layer.name().into(),
        };
        let at = usize::try_from(index).ok();
        let wanted = at.and_then(|index| seal.file.hashes.get(index));
        let wanted = *wanted.ok_or_else(altered)?;
        let start = index * seal.profile.chunk();
        let len = seal.profile.chunk().min(seal.file.len - start);
        let place = Place {
            file: seal.at.clone(),
            index,
            keep: to - from < len,
        };
        let (content, profile) = (self.content.clone(), seal.profile);
        let read = async move {
            let bytes = match content.read_at(start, len as usize).await {
                Ok(bytes) => bytes,
                Err(ww_loader::Error::Changed { .. }) => return Ok(None),
                Err(error) => return Err(Arc::new(error)),
            };
            let part = profile.leaf(bytes.clone()).await;
            let verified = part.len == len && hash(&part.root.cid) == wanted;
            Ok(verified.then_some(bytes))
        };
        let read = seal.chunks.read(place, wanted, read).await;
        let read = read.map_err(|source| self.layer.error(&self.path, source))?;
        read.ok_or_else(altered)
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, layer) = (self.len(), self.layer.name());
        write!(f, "File({}, {len} bytes, layer {layer:?})", self.path)
    }
}
