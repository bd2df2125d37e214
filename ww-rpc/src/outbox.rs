use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use capnp::message::{Builder, HeapAllocator};
use capnp::serialize;
use futures::AsyncWrite;

use crate::Traffic;

/// Bytes that are gathered before they are handed to the writer together, and
/// the most memory that an idle outbox keeps.
const BATCH: usize = 16 << 10;

/// What a message takes up in memory beside its segments, in words.
const ENVELOPE_WORDS: usize = 32;

pub(crate) type Message = Rc<Builder<HeapAllocator>>;

/// Messages that wait to be written, in order.
#[derive(Default)]
pub(crate) struct Queue {
    messages: VecDeque<(Message, usize)>,
    words: usize,
}

/// Writes messages in order, several at a time where several wait, and
/// flushes only when none is left.
pub(crate) struct Outbox<W> {
    writer: W,
    traffic: Arc<Traffic>,
    bytes: Vec<u8>,
    /// How much of `bytes` the writer has taken.
    written: usize,
    flushed: bool,
}

impl Queue {
    /// Appends a message whose segments take up `words` words.
    pub(crate) fn push(&mut self, message: Message, words: usize) {
        let words = words.saturating_add(ENVELOPE_WORDS);
        self.words = self.words.saturating_add(words);
        self.messages.push_back((message, words));
    }

    /// Appends everything that waits in `later`.
    pub(crate) fn append(&mut self, later: &mut Self) {
        self.messages.append(&mut later.messages);
        self.words = self.words.saturating_add(std::mem::take(&mut later.words));
    }

    /// What the messages take up in memory, in words.
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    fn pop(&mut self) -> Option<Message> {
        let (message, words) = self.messages.pop_front()?;
        self.words = self.words.saturating_sub(words);
        Some(message)
    }
}

impl<W: AsyncWrite + Unpin> Outbox<W> {
    pub(crate) fn new(writer: W, traffic: Arc<Traffic>) -> Self {
        Self {
            writer,
            traffic,
            bytes: Vec::new(),
            written: 0,
            flushed: true,
        }
    }

    /// Ready when all of `queue` has been written and flushed.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        queue: &mut Queue,
    ) -> Poll<io::Result<()>> {
        loop {
            while self.written < self.bytes.len() {
                let rest = &self.bytes[self.written..];
                let written = ready!(Pin::new(&mut self.writer).poll_write(cx, rest))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                }
                self.written += written;
                self.traffic.wrote(written);
                self.flushed = false;
            }
            self.written = 0;
            self.bytes.clear();
            self.bytes.shrink_to(BATCH);
            while self.bytes.len() < BATCH
                && let Some(message) = queue.pop()
            {
                serialize::write_message(&mut self.bytes, &message).map_err(io::Error::other)?;
            }
            if self.bytes.is_empty() {
                break;
            }
        }
        if !self.flushed {
            ready!(Pin::new(&mut self.writer).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}
