use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use capnp::Word;
use capnp::message::ReaderSegments;
use futures::AsyncRead;

use crate::Traffic;

/// Segments of one message. More end the connection, as with any other
/// implementation of the framing.
const SEGMENTS: u32 = 512;

/// What is allocated at first for the body of a message, in words. From there
/// on a body takes at most twice the memory of what has arrived of it,
/// whatever its header claims.
const FIRST_WORDS: usize = 1 << 10;

const ZERO: Word = capnp::word(0, 0, 0, 0, 0, 0, 0, 0);

/// Cuts a byte stream into messages by Cap'n Proto's standard stream framing
/// (<https://capnproto.org/encoding.html#serialization-over-a-stream>).
pub(crate) struct Frames<R> {
    reader: R,
    traffic: Arc<Traffic>,
    message_words: usize,
    /// The frame that is being read, its segment table included.
    words: Vec<Word>,
    /// Bytes of `words` that have arrived.
    filled: usize,
}

/// Why there is no further message.
#[derive(Debug)]
pub(crate) enum Break {
    /// The stream ended after this many bytes of a message.
    Truncated(usize),
    /// The peer sent what no message begins with.
    Malformed(String),
    /// The peer sent a larger message than it may.
    TooLarge(String),
    /// The stream failed.
    Io(io::Error),
}

/// One message, still in the shape in which it travelled.
pub(crate) struct Frame {
    words: Vec<Word>,
    /// Where in `words` each segment lies.
    segments: Vec<Range<usize>>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) fn new(reader: R, message_words: usize, traffic: Arc<Traffic>) -> Self {
        Self {
            reader,
            traffic,
            message_words,
            words: Vec::new(),
            filled: 0,
        }
    }

    /// The next message, or `None` where the stream ended between messages.
    /// Keeps what has arrived, so a poll may be the last one at any time.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, Break>> {
        if !ready!(self.poll_fill(cx, 1))? {
            return Poll::Ready(if self.filled == 0 {
                Ok(None)
            } else {
                Err(Break::Truncated(self.filled))
            });
        }
        let above_one = self.number(0);
        if above_one >= SEGMENTS {
            return Poll::Ready(Err(Break::Malformed(format!(
                "message from the peer has {} segments, more than the limit of {SEGMENTS}",
                u64::from(above_one) + 1
            ))));
        }
        // The count and a length a segment, 32 bits each, padded to a word.
        let table_words = (above_one as usize + 2).div_ceil(2);
        if !ready!(self.poll_fill(cx, table_words))? {
            return Poll::Ready(Err(Break::Truncated(self.filled)));
        }
        let mut end = table_words as u64;
        let mut ends = Vec::with_capacity(above_one as usize + 1);
        for segment in 0..=above_one as usize {
            end += u64::from(self.number(segment + 1));
            ends.push(end);
        }
        let body_words = end - table_words as u64;
        if body_words > self.message_words as u64 {
            return Poll::Ready(Err(Break::TooLarge(format!(
                "message from the peer has {body_words} words, more than the limit of {}",
                self.message_words
            ))));
        }
        if !ready!(self.poll_fill(cx, end as usize))? {
            return Poll::Ready(Err(Break::Truncated(self.filled)));
        }
        let mut start = table_words;
        let mut segments = Vec::with_capacity(ends.len());
        for end in ends {
            segments.push(start..end as usize);
            start = end as usize;
        }
        self.filled = 0;
        Poll::Ready(Ok(Some(Frame {
            words: std::mem::take(&mut self.words),
            segments,
        })))
    }

    /// Bytes that have arrived of a message that is not whole yet.
    pub(crate) fn partial(&self) -> usize {
        self.filled
    }

    /// Reads until `words` words are there. False where the stream ends first.
    fn poll_fill(&mut self, cx: &mut Context<'_>, words: usize) -> Poll<Result<bool, Break>> {
        while self.filled < words * 8 {
            if self.filled == self.words.len() * 8 {
                let grown = (self.words.len() * 2).max(FIRST_WORDS).min(words);
                self.words.resize(grown, ZERO);
            }
            let room = &mut Word::words_to_bytes_mut(&mut self.words)[self.filled..];
            let read = ready!(Pin::new(&mut self.reader).poll_read(cx, room)).map_err(Break::Io)?;
            if read == 0 {
                return Poll::Ready(Ok(false));
            }
            self.filled += read;
            self.traffic.read(read);
        }
        Poll::Ready(Ok(true))
    }

    /// The `index`th 32-bit number of the segment table.
    fn number(&self, index: usize) -> u32 {
        let bytes = &Word::words_to_bytes(&self.words)[index * 4..index * 4 + 4];
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }
}

impl Frame {
    /// Words of the message as it travelled.
    pub(crate) fn words(&self) -> usize {
        self.words.len()
    }
}

impl ReaderSegments for Frame {
    fn get_segment(&self, index: u32) -> Option<&[u8]> {
        let range = self.segments.get(index as usize)?.clone();
        Some(Word::words_to_bytes(&self.words[range]))
    }

    fn len(&self) -> usize {
        self.segments.len()
    }
}
