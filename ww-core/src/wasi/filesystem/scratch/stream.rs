use bytes::Bytes;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError, StreamResult};

use super::super::stream::ReadFailed;
use super::Open;
use crate::wasi::CHUNK;
use crate::wasi::output::too_much;
use crate::wasi::wit::filesystem::types::ErrorCode;

/// A file as an input stream. It is always ready, and closed once it has been
/// at the end or has failed.
pub(in super::super) struct Reader {
    file: Open,
    offset: u64,
    ended: bool,
}

/// A file as an output stream, whose bytes are written at once.
pub(in super::super) struct Writer {
    file: Open,
    /// Where the next byte goes; at the file's end if absent.
    offset: Option<u64>,
    failed: bool,
}

/// Why a write failed, for `filesystem-error-code`.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the file: {}", .0.name())]
pub(in super::super) struct WriteFailed(pub(in super::super) ErrorCode);

impl Reader {
    pub(in super::super) fn new(file: Open, offset: u64) -> Self {
        Self {
            file,
            offset,
            ended: false,
        }
    }
}

#[async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {}
}

impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.ended {
            return Err(StreamError::Closed);
        }
        if size == 0 {
            return Ok(Bytes::new());
        }
        let read = self.file.read(size as u64, self.offset);
        match read {
            Ok((bytes, false)) => {
                self.offset += bytes.len() as u64;
                Ok(bytes.into())
            }
            Ok((_, true)) => {
                self.ended = true;
                Err(StreamError::Closed)
            }
            Err(code) => {
                self.ended = true;
                let failed = ReadFailed::from(code);
                Err(StreamError::LastOperationFailed(failed.into()))
            }
        }
    }
}

impl Writer {
    pub(in super::super) fn at(file: Open, offset: u64) -> Self {
        Self {
            file,
            offset: Some(offset),
            failed: false,
        }
    }

    pub(in super::super) fn append(file: Open) -> Self {
        Self {
            file,
            offset: None,
            failed: false,
        }
    }
}

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {}
}

impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let room = self.check_write()?;
        if bytes.len() > room {
            return Err(too_much());
        }
        let written = match self.offset {
            Some(offset) => self.file.write(&bytes, offset).map(|_| ()),
            None => self.file.append(&bytes),
        };
        if let Err(code) = written {
            self.failed = true;
            return Err(StreamError::LastOperationFailed(WriteFailed(code).into()));
        }
        if let Some(offset) = &mut self.offset {
            *offset += bytes.len() as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check_write().map(|_| ())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        match self.failed {
            true => Err(StreamError::Closed),
            false => Ok(CHUNK),
        }
    }
}
