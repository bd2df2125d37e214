use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::AsyncRead;
use futures::io::AllowStdIo;

use super::{check, told};

/// A file that is read from its beginning to its end.
#[derive(Debug)]
pub struct File(AllowStdIo<std::fs::File>);

impl File {
    /// Opens the file at `path`, which is absolute, of the machine that the test
    /// runs on.
    ///
    /// # Errors
    ///
    /// Those of the machine, and `NotFound` where `path` is not absolute.
    pub fn open(path: impl AsRef<str>) -> io::Result<Self> {
        let path = path.as_ref();
        check(path)?;
        let file = std::fs::File::open(path).map_err(|error| told(error.kind(), path, error))?;
        Ok(Self(AllowStdIo::new(file)))
    }
}

impl AsyncRead for File {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}
