use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use capnp::message::{Builder, HeapAllocator};
use futures::AsyncWrite;

use crate::Traffic;

/// Bytes that are gathered before they are handed to the writer together, and
/// the most memory that an idle outbox keeps.
const BATCH: usize = 16 << 10;

/// Bytes of a segment that is written from where it lies: to gather a shorter
/// one costs less than another write.
const LONG: usize = 8 << 10;

/// What a message takes up in memory beside its segments, in words.
const ENVELOPE_WORDS: usize = 32;

pub(crate) type Message = Rc<Builder<HeapAllocator>>;

/// Messages that wait to be written, in order.
#[derive(Default)]
pub(crate) struct Queue {
    messages: VecDeque<(Message, usize)>,
    /// Of these, and of the one that is being written.
    words: usize,
}

/// Writes messages in order, several at a time where several wait, and
/// flushes only when none is left.
pub(crate) struct Outbox<W> {
    stream: Stream<W>,
    /// What was gathered of messages, to be written first.
    bytes: Vec<u8>,
    /// The message that was not gathered to its end, which of its segments comes
    /// next, a long one, and the words that it has.
    message: Option<(Message, usize, usize)>,
}

struct Stream<W> {
    writer: W,
    traffic: Arc<Traffic>,
    /// How much the writer has taken of what it is given now.
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

    /// What they would take up with one more.
    pub(crate) fn words_with(&self, words: usize) -> usize {
        self.words
            .saturating_add(words)
            .saturating_add(ENVELOPE_WORDS)
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

    /// The next message, which counts until it is given back, and its words.
    fn pop(&mut self) -> Option<(Message, usize)> {
        self.messages.pop_front()
    }

    fn give_back(&mut self, words: usize) {
        self.words = self.words.saturating_sub(words);
    }
}

impl<W: AsyncWrite + Unpin> Outbox<W> {
    pub(crate) fn new(writer: W, traffic: Arc<Traffic>) -> Self {
        Self {
            stream: Stream {
                writer,
                traffic,
                written: 0,
                flushed: true,
            },
            bytes: Vec::new(),
            message: None,
        }
    }

    /// Ready when all of `queue` has been written and flushed.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        queue: &mut Queue,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.bytes.is_empty() {
                ready!(self.stream.poll_write(cx, &self.bytes))?;
                self.bytes.clear();
                self.bytes.shrink_to(BATCH);
            }
            if let Some((message, next, _)) = &mut self.message {
                let segments = message.get_segments_for_output();
                ready!(self.stream.poll_write(cx, segments[*next]))?;
                *next += 1;
            }
            if !self.gather(queue) {
                return self.stream.poll_flush(cx);
            }
        }
    }

    /// Gathers what can be written together, up to a long segment. False where
    /// nothing is left to write.
    fn gather(&mut self, queue: &mut Queue) -> bool {
        while self.bytes.len() < BATCH {
            let (message, mut next, words) = match self.message.take() {
                Some(begun) => begun,
                None => match queue.pop() {
                    Some((message, words)) => (message, 0, words),
                    None => break,
                },
            };
            let segments = message.get_segments_for_output();
            if next == 0 {
                table(&segments, &mut self.bytes);
            }
            while let Some(segment) = segments.get(next)
                && segment.len() < LONG
            {
                self.bytes.extend_from_slice(segment);
                next += 1;
            }
            if next < segments.len() {
                drop(segments);
                self.message = Some((message, next, words));
                break;
            }
            queue.give_back(words);
        }
        !self.bytes.is_empty() || self.message.is_some()
    }
}

impl<W: AsyncWrite + Unpin> Stream<W> {
    /// Ready when all of `bytes` has been written: the same ones, until then.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<()>> {
        while self.written < bytes.len() {
            let rest = &bytes[self.written..];
            let written = ready!(Pin::new(&mut self.writer).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            self.written += written;
            self.traffic.wrote(written);
            self.flushed = false;
        }
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.flushed {
            ready!(Pin::new(&mut self.writer).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

/// Appends the segment table that stands in front of a message.
fn table(segments: &[&[u8]], into: &mut Vec<u8>) {
    let above_one = segments.len() - 1;
    into.extend_from_slice(&(above_one as u32).to_le_bytes());
    for segment in segments {
        into.extend_from_slice(&(segment.len() as u32 / 8).to_le_bytes());
    }
    // A count and as many lengths are to be whole words.
    if above_one % 2 == 1 {
        into.extend_from_slice(&[0; 4]);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use capnp::message::AllocationStrategy;
    use capnp::serialize;

    use super::*;

    /// Takes so many bytes at a time, and nothing at every other poll.
    struct Slow {
        most: usize,
        ready: bool,
        taken: Vec<u8>,
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.ready = !self.ready;
            if !self.ready {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let count = bytes.len().min(self.most);
            self.taken.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Parts of so many bytes, each in a segment of its own.
    fn message(parts: &[usize]) -> Message {
        let allocator = HeapAllocator::new()
            .first_segment_words(16)
            .allocation_strategy(AllocationStrategy::FixedSize);
        let mut message = Builder::new(allocator);
        let mut list = message.initn_root::<capnp::data_list::Builder<'_>>(parts.len() as u32);
        for (index, &part) in parts.iter().enumerate() {
            list.set(index as u32, &vec![index as u8 + 1; part]);
        }
        Rc::new(message)
    }

    #[test]
    fn messages_are_written_by_the_standard_framing_however_long_their_segments_are() {
        let shapes: [&[usize]; 8] = [
            &[],
            &[1],
            &[LONG],
            &[LONG - 8, LONG, 1],
            &[LONG, 200, LONG, 200],
            &[3 * LONG, 3 * LONG],
            &[200; 40],
            &[BATCH, 1],
        ];
        for most in [1, 1000, usize::MAX] {
            let mut queue = Queue::default();
            let mut expected = Vec::new();
            for parts in shapes {
                let message = message(parts);
                serialize::write_message(&mut expected, &message).unwrap();
                let words = message.size_in_words();
                queue.push(message, words);
            }
            let slow = Slow {
                most,
                ready: false,
                taken: Vec::new(),
            };
            let traffic = Arc::<Traffic>::default();
            let mut outbox = Outbox::new(slow, traffic);
            let mut cx = Context::from_waker(Waker::noop());
            while outbox.poll_send(&mut cx, &mut queue).is_pending() {}
            assert_eq!(queue.words(), 0);
            assert!(outbox.stream.writer.taken == expected, "{most} at a time");
        }
    }
}
