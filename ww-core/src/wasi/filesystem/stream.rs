use std::future::poll_fn;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, StreamError, StreamResult};
use ww_image::{Error, File};

use super::reads::{Read, Reads};
use super::{check_offset, code};
use crate::wasi::CHUNK;
use crate::wasi::wit::filesystem::types::ErrorCode;

/// Bytes that all streams of a cell together are to read ahead.
const AHEAD: usize = 1 << 20;

/// The least that one of them reads at a time, in bytes.
const LEAST: usize = 4096;

/// A file as an input stream, read one chunk ahead of the guest: less at a
/// time the more of them there are, since nothing makes a guest take what it
/// had read.
pub(super) struct FileStream {
    file: File,
    reads: Reads,
    /// Of the first byte that is not yet read from the file.
    offset: u64,
    state: State,
}

enum State {
    /// Nothing is there and nothing is under way.
    Idle,
    /// Kept while the guest polls other things, so that a read once begun is
    /// not begun again.
    Reading(Read),
    /// Not empty.
    Ready(Bytes),
    Failed(ReadFailed),
    Ended,
}

/// Why a stream failed, for `filesystem-error-code`.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the file: {}", .code.name())]
pub(super) struct ReadFailed {
    pub(super) code: ErrorCode,
    /// What the image said.
    source: Option<Error>,
}

impl From<ErrorCode> for ReadFailed {
    fn from(code: ErrorCode) -> Self {
        Self { code, source: None }
    }
}

impl From<Error> for ReadFailed {
    fn from(error: Error) -> Self {
        Self {
            code: code(&error),
            source: Some(error),
        }
    }
}

impl FileStream {
    pub(super) fn new(file: File, offset: u64, reads: Reads) -> Self {
        Self {
            file,
            reads,
            offset,
            state: match check_offset(offset) {
                Ok(()) => State::Idle,
                Err(code) => State::Failed(code.into()),
            },
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.state = match &mut self.state {
                State::Idle if self.offset >= self.file.len() => State::Ended,
                State::Idle => {
                    let chunk = chunk(self.reads.streams());
                    let begun = self.reads.poll_begin(cx, &self.file, self.offset, chunk);
                    State::Reading(ready!(begun))
                }
                State::Reading(read) => match ready!(read.poll(cx)) {
                    Ok(bytes) if bytes.is_empty() => State::Ended,
                    Ok(bytes) => {
                        self.offset += bytes.len() as u64;
                        State::Ready(bytes)
                    }
                    Err(error) => State::Failed(error.into()),
                },
                State::Ready(_) | State::Failed(_) | State::Ended => return Poll::Ready(()),
            };
        }
    }
}

fn chunk(streams: usize) -> usize {
    (AHEAD / streams.max(1)).clamp(LEAST, CHUNK)
}

#[async_trait]
impl Pollable for FileStream {
    async fn ready(&mut self) {
        poll_fn(|cx| self.poll_ready(cx)).await;
    }
}

impl InputStream for FileStream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        // A guest may also look without ever waiting.
        let _ = self.poll_ready(&mut Context::from_waker(Waker::noop()));
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ready(mut bytes) => {
                let taken = bytes.split_to(size.min(bytes.len()));
                self.state = if bytes.is_empty() {
                    State::Idle
                } else {
                    State::Ready(bytes)
                };
                Ok(taken)
            }
            State::Failed(failed) => Err(StreamError::LastOperationFailed(failed.into())),
            State::Ended => Err(StreamError::Closed),
            pending => {
                self.state = pending;
                Ok(Bytes::new())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many bytes in a file.
    fn file(content: &Bytes) -> File {
        let files = ww_loader::Memory::files([("file", content.clone())]).expect("a file");
        let image = ww_image::Image::from(files);
        let path = ww_image::Path::new("file").expect("a path");
        match futures_lite::future::block_on(image.open(&path)) {
            Ok(ww_image::Node::File(file)) => file,
            other => panic!("it is a file: {other:?}"),
        }
    }

    #[test]
    fn many_streams_read_less_ahead_than_a_few() {
        let ahead: usize = (1..=4096).map(chunk).sum();
        assert!(ahead < 24 << 20, "{ahead} bytes");
        assert_eq!(chunk(16), CHUNK);
    }

    #[test]
    fn what_was_read_ahead_holds_nothing_else_in_memory() {
        let content = Bytes::from(vec![7; 1 << 20]);
        let mut stream = FileStream::new(file(&content), 0, Reads::default());
        let read = stream.read(1).expect("it can be read");
        assert_eq!(&read[..], [7]);
        assert!(!content.as_ptr_range().contains(&read.as_ptr()));
    }
}
