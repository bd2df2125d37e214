use std::fmt::Write;
use std::io;
use std::pin::Pin;
use std::str;
use std::task::{Context, Poll};

use futures::AsyncWrite;
use tracing::{Level, Span};

use super::plain::Plain;
use super::record::Record;
use crate::wasi::Stdout;

/// Bytes of a line that are told together. What is longer is told in parts.
const LINE: usize = 8 << 10;

/// Lines that are told before others have their turn.
const LINES: usize = 32;

/// Which of a guest's outputs it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// Tells what is written to it line by line, as events in a cell's span.
pub(super) struct Lines {
    stream: Stream,
    span: Span,
    /// Never more than [`LINE`].
    line: Vec<u8>,
    /// Lines that were told since others had their turn.
    told: usize,
}

impl Stream {
    /// The process's own stream of the same name.
    pub(super) fn inherit(self) -> Stdout {
        match self {
            Self::Out => Stdout::inherit_stdout(),
            Self::Err => Stdout::inherit_stderr(),
        }
    }

    fn tell(self, span: &Span, line: &str) {
        match self {
            Self::Out => tracing::info!(target: "ww_core::stdout", parent: span, "{line}"),
            Self::Err => tracing::info!(target: "ww_core::stderr", parent: span, "{line}"),
        }
    }

    fn is_heard(self) -> bool {
        match self {
            Self::Out => tracing::enabled!(target: "ww_core::stdout", Level::INFO),
            Self::Err => tracing::enabled!(target: "ww_core::stderr", Level::INFO),
        }
    }
}

impl Lines {
    pub(super) fn new(stream: Stream, span: &Span) -> Self {
        Self {
            stream,
            span: span.clone(),
            line: Vec::new(),
            told: 0,
        }
    }

    /// Takes what makes so many lines as may be told, and says how many bytes that
    /// is.
    fn take(&mut self, all: &[u8]) -> usize {
        let mut bytes = all;
        while !bytes.is_empty() && self.told < LINES {
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let room = LINE - self.line.len();
            let count = end.unwrap_or(bytes.len()).min(room);
            self.line.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            if let Some(rest) = bytes.strip_prefix(b"\n") {
                bytes = rest;
                self.tell(self.line.len());
            } else if self.line.len() == LINE {
                self.tell(whole(&self.line));
            }
        }
        all.len() - bytes.len()
    }

    /// Tells the first `count` bytes of the line.
    fn tell(&mut self, count: usize) {
        let Self {
            stream, span, line, ..
        } = self;
        let record = str::from_utf8(&line[..count]).ok().and_then(Record::parse);
        if let (Stream::Err, Some(record)) = (*stream, record) {
            record.tell(span);
        } else if stream.is_heard() {
            let mut text = String::new();
            let told = line[..count].strip_suffix(b"\r").unwrap_or(&line[..count]);
            // It takes any number of characters.
            let mut plain = Plain::new(&mut text, usize::MAX);
            let _ = plain.write_str(&String::from_utf8_lossy(told));
            stream.tell(span, &text);
        }
        line.drain(..count);
        self.told += 1;
    }

    /// The last line may have no end.
    fn finish(&mut self) {
        if !self.line.is_empty() {
            self.tell(self.line.len());
        }
    }
}

/// How much of a full line to tell, so that no character is torn.
fn whole(line: &[u8]) -> usize {
    match str::from_utf8(line) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => line.len(),
    }
}

impl AsyncWrite for Lines {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.told == LINES {
            self.told = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(self.take(bytes)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Lines {
    /// A cell that was cut short does not close its outputs.
    fn drop(&mut self) {
        self.finish();
    }
}
