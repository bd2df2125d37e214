use async_trait::async_trait;
use bytes::Bytes;

use crate::{Error, Loader, Node, Path};

/// Conveniences over any [`Loader`].
#[async_trait]
pub trait LoaderExt: Loader {
    /// The whole file at `path`, if it has at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] before a byte is read, [`Error::NotFile`] for a
    /// directory or a link, and whatever opening and reading say.
    async fn load(&self, path: &Path, limit: u64) -> Result<Bytes, Error> {
        let node = self.open(path).await?;
        let kind = node.kind();
        let Node::File(file) = node else {
            let path = path.clone();
            return Err(Error::NotFile { path, kind });
        };
        let len = file.len();
        match usize::try_from(len) {
            Ok(whole) if len <= limit => file.read_at(0, whole).await,
            _ => Err(Error::TooLarge {
                path: path.clone(),
                len,
                limit,
            }),
        }
    }
}

impl<L: Loader + ?Sized> LoaderExt for L {}
