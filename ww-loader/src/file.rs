use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::Error;

/// An open file.
///
/// - [`len`](File::len) never changes.
/// - [`read_at`](File::read_at) gives exactly the bytes of the range that lie
///   before the end: `len` of them, fewer only at the end, none past it. A
///   source that no longer has them is an error.
/// - It allocates no more than it gives, so that the caller bounds memory by
///   what it asks for.
/// - Any number of reads may run at once, on any executor. A read that is
///   dropped has no effect.
#[async_trait]
pub trait File: Send + Sync {
    /// The length in bytes.
    fn len(&self) -> u64;

    /// Whether the file is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most `len` bytes from `offset`.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] if the file has become shorter, [`Error::Io`] and
    /// others if it cannot be read.
    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, Error>;
}

#[async_trait]
impl File for Bytes {
    fn len(&self) -> u64 {
        Self::len(self) as u64
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Self, Error> {
        let end = Self::len(self);
        let start = usize::try_from(offset).map_or(end, |offset| offset.min(end));
        Ok(self.slice(start..start.saturating_add(len).min(end)))
    }
}

macro_rules! forward {
    ($($of:ty),*) => {$(
        #[async_trait]
        impl<F: File + ?Sized> File for $of {
            fn len(&self) -> u64 {
                (**self).len()
            }

            async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
                (**self).read_at(offset, len).await
            }
        }
    )*};
}

forward!(&F, Arc<F>, Box<F>);
