use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use capnp::Word;
use capnp::message::{Builder, HeapAllocator, ReaderSegments};
use futures::AsyncRead;

use crate::Traffic;

/// Segments of one message. More end the connection, as with any other
/// implementation of the framing.
const SEGMENTS: u32 = 512;

/// What is read at a time, in words: several small messages, and the longest
/// segment table.
const STAGE_WORDS: usize = 288;

/// What is read before there is a stage, in bytes: enough for a question for the
/// bootstrap capability alone. Whatever else there is comes with the next read.
const FIRST_BYTES: usize = 64;

/// What is allocated at first for the body of a large message, in words. From
/// there on a body takes at most twice the memory of what has arrived of it,
/// whatever its header claims, unless it takes that of a message before it.
const FIRST_WORDS: usize = 1 << 10;

/// Words of a body that is kept: room for the longest part of a stream of bytes.
const SPARE_WORDS: usize = 33 << 10;

/// Bodies that are kept: as many messages of a stream are under way at a time.
const SPARES: usize = 2;

const ZERO: Word = capnp::word(0, 0, 0, 0, 0, 0, 0, 0);

/// Copied in whole to where a body is to be read into: word by word, clearing
/// a message of 64 KiB took a guest a quarter of its time.
static ZEROS: [Word; FIRST_WORDS] = [ZERO; FIRST_WORDS];

thread_local! {
    /// Bodies of long messages that were dropped, for others to be read into
    /// without clearing memory first.
    static SPARE: RefCell<Vec<Vec<Word>>> = const { RefCell::new(Vec::new()) };
}

/// Cuts a byte stream into messages by Cap'n Proto's standard stream framing
/// (<https://capnproto.org/encoding.html#serialization-over-a-stream>).
pub(crate) struct Frames<R> {
    reader: R,
    traffic: Arc<Traffic>,
    message_words: usize,
    /// What was read and is not cut yet, from the word `start` to the byte
    /// `end`. A message begins at `start`, unless `large` has it.
    stage: Box<[Word]>,
    start: usize,
    end: usize,
    /// A message that the stage has no room for.
    large: Option<Large>,
}

/// A message whose header is known, and whose body is being read.
struct Large {
    body: Vec<Word>,
    /// Bytes of `body` that have arrived.
    filled: usize,
    header: Header,
}

/// What the segment table in front of a message says.
struct Header {
    table_words: usize,
    body_words: usize,
    /// Where in the body each segment but the last one ends.
    ends: Vec<usize>,
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

/// One message, without its segment table.
pub(crate) struct Frame {
    /// The message, and whatever else there is room for.
    body: Vec<Word>,
    words: usize,
    /// Where in the body each segment but the last one ends.
    ends: Vec<usize>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) fn new(reader: R, message_words: usize, traffic: Arc<Traffic>) -> Self {
        Self {
            reader,
            traffic,
            message_words,
            stage: Box::default(),
            start: 0,
            end: 0,
            large: None,
        }
    }

    /// The next message, or `None` where the stream ended between messages.
    /// Keeps what has arrived, so a poll may be the last one at any time.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, Break>> {
        while self.large.is_none() {
            if let Some(header) = self.header()? {
                let whole = header.table_words + header.body_words;
                if whole <= self.staged() / 8 {
                    let body = self.start + header.table_words;
                    self.start += whole;
                    return Poll::Ready(Ok(Some(Frame {
                        body: self.stage[body..self.start].to_vec(),
                        words: header.body_words,
                        ends: header.ends,
                    })));
                }
                if whole > self.stage.len() {
                    self.large = Some(self.enlarge(header));
                    break;
                }
            }
            if !ready!(self.poll_stage(cx))? {
                return Poll::Ready(match self.partial() {
                    0 => Ok(None),
                    bytes => Err(Break::Truncated(bytes)),
                });
            }
        }
        if !ready!(self.poll_large(cx))? {
            return Poll::Ready(Err(Break::Truncated(self.partial())));
        }
        Poll::Ready(Ok(self.large.take().map(|large| Frame {
            body: large.body,
            words: large.header.body_words,
            ends: large.header.ends,
        })))
    }

    /// Waits until a message begins; `None` where the stream ends before.
    pub(crate) fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<()>, Break>> {
        let begun = self.partial() > 0 || ready!(self.poll_stage(cx))?;
        Poll::Ready(Ok(begun.then_some(())))
    }

    /// Bytes that have arrived of a message that is not whole yet.
    pub(crate) fn partial(&self) -> usize {
        let large = self.large.as_ref();
        large.map_or(self.staged(), |large| {
            large.header.table_words * 8 + large.filled
        })
    }

    /// Whether more may be there at once, after `last`: more has been read than
    /// that, or that was read by itself.
    pub(crate) fn is_ahead(&self, last: &Frame) -> bool {
        self.staged() > 0 || last.words >= STAGE_WORDS
    }

    /// Bytes that were read and are not cut yet.
    fn staged(&self) -> usize {
        self.end - self.start * 8
    }

    /// What stands in front of the next message, if as much has arrived.
    fn header(&self) -> Result<Option<Header>, Break> {
        if self.staged() < 8 {
            return Ok(None);
        }
        let above_one = self.number(0);
        if above_one >= SEGMENTS {
            return Err(Break::Malformed(format!(
                "message from the peer has {} segments, more than the limit of {SEGMENTS}",
                u64::from(above_one) + 1
            )));
        }
        let above_one = above_one as usize;
        // The count and a length a segment, 32 bits each, padded to a word.
        let table_words = (above_one + 2).div_ceil(2);
        if self.staged() < table_words * 8 {
            return Ok(None);
        }
        let mut body_words = 0;
        let mut ends = Vec::with_capacity(above_one);
        for segment in 0..=above_one {
            body_words += u64::from(self.number(segment + 1));
            if segment < above_one {
                ends.push(body_words as usize);
            }
        }
        if body_words > self.message_words as u64 {
            return Err(Break::TooLarge(format!(
                "message from the peer has {body_words} words, more than the limit of {}",
                self.message_words
            )));
        }
        Ok(Some(Header {
            table_words,
            body_words: body_words as usize,
            ends,
        }))
    }

    /// The `index`th 32-bit number of the segment table.
    fn number(&self, index: usize) -> u32 {
        let start = self.start * 8 + index * 4;
        let bytes = &Word::words_to_bytes(&self.stage)[start..start + 4];
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// Takes what the stage has of a message out of it.
    fn enlarge(&mut self, header: Header) -> Large {
        let mut body = spare(header.body_words).unwrap_or_default();
        let first = header.body_words.min(FIRST_WORDS);
        grow(&mut body, first);
        let arrived = self.start * 8 + header.table_words * 8..self.end;
        let filled = arrived.len();
        Word::words_to_bytes_mut(&mut body)[..filled]
            .copy_from_slice(&Word::words_to_bytes(&self.stage)[arrived]);
        (self.start, self.end) = (0, 0);
        Large {
            body,
            filled,
            header,
        }
    }

    /// Reads more of what follows. False where the stream has ended.
    fn poll_stage(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Break>> {
        if self.stage.is_empty() {
            return self.poll_first(cx);
        }
        if self.start > 0 {
            // What is left is less than a message.
            self.stage.copy_within(self.start..self.end.div_ceil(8), 0);
            (self.start, self.end) = (0, self.staged());
        }
        let room = &mut Word::words_to_bytes_mut(&mut self.stage)[self.end..];
        let read = ready!(Pin::new(&mut self.reader).poll_read(cx, room)).map_err(Break::Io)?;
        self.end += read;
        self.traffic.read(read);
        Poll::Ready(Ok(read > 0))
    }

    /// Reads the first of all there is, so that a peer that says nothing takes up
    /// no memory. False where the stream has ended.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Break>> {
        let mut first = [0; FIRST_BYTES];
        let reader = Pin::new(&mut self.reader);
        let read = ready!(reader.poll_read(cx, &mut first)).map_err(Break::Io)?;
        if read > 0 {
            self.stage = vec![ZERO; STAGE_WORDS].into();
            Word::words_to_bytes_mut(&mut self.stage)[..read].copy_from_slice(&first[..read]);
            self.end = read;
            self.traffic.read(read);
        }
        Poll::Ready(Ok(read > 0))
    }

    /// Reads the rest of a large message. False where the stream ends first.
    fn poll_large(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Break>> {
        let Some(large) = &mut self.large else {
            return Poll::Ready(Ok(true));
        };
        let whole = large.header.body_words * 8;
        while large.filled < whole {
            if large.filled == large.body.len() * 8 {
                let grown = (large.body.len() * 2).min(large.header.body_words);
                grow(&mut large.body, grown);
            }
            let until = whole.min(large.body.len() * 8);
            let room = &mut Word::words_to_bytes_mut(&mut large.body)[large.filled..until];
            let read = ready!(Pin::new(&mut self.reader).poll_read(cx, room)).map_err(Break::Io)?;
            if read == 0 {
                return Poll::Ready(Ok(false));
            }
            large.filled += read;
            self.traffic.read(read);
        }
        Poll::Ready(Ok(true))
    }
}

/// A body that was kept, for a message of so many words: at most twice as many,
/// so that small messages do not hold on to large bodies.
fn spare(words: usize) -> Option<Vec<Word>> {
    SPARE.with_borrow_mut(|kept| {
        let fits = |body: &Vec<Word>| (words..=words * 2).contains(&body.len());
        let place = kept.iter().position(fits)?;
        Some(kept.swap_remove(place))
    })
}

/// Appends zeros to `body` until it has `words` words.
fn grow(body: &mut Vec<Word>, words: usize) {
    body.reserve_exact(words.saturating_sub(body.len()));
    while body.len() < words {
        let some = (words - body.len()).min(ZEROS.len());
        body.extend_from_slice(&ZEROS[..some]);
    }
}

impl Frame {
    /// A message of our own, as if it had been sent to us.
    pub(crate) fn of(message: &Builder<HeapAllocator>) -> Self {
        let segments = message.get_segments_for_output();
        let mut ends = Vec::new();
        let mut body = Vec::new();
        for segment in segments.iter() {
            ends.push(body.len() + segment.len() / 8);
            let start = body.len();
            body.resize(start + segment.len() / 8, ZERO);
            Word::words_to_bytes_mut(&mut body[start..]).copy_from_slice(segment);
        }
        ends.pop();
        let words = body.len();
        Self { body, words, ends }
    }

    /// Words of the message, without its segment table.
    pub(crate) fn words(&self) -> usize {
        self.words
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if (FIRST_WORDS..=SPARE_WORDS).contains(&self.body.len()) {
            let body = std::mem::take(&mut self.body);
            // Nothing is kept by a thread that ends.
            let _ = SPARE.try_with(|kept| {
                let mut kept = kept.borrow_mut();
                kept.truncate(SPARES - 1);
                kept.insert(0, body);
            });
        }
    }
}

impl ReaderSegments for Frame {
    fn get_segment(&self, index: u32) -> Option<&[u8]> {
        let index = index as usize;
        if self.ends.is_empty() {
            // Asked for whenever anything is read, of nearly every message.
            let whole = || Word::words_to_bytes(&self.body[..self.words]);
            return (index == 0).then(whole);
        }
        if index > self.ends.len() {
            return None;
        }
        let start = index.checked_sub(1).map_or(0, |last| self.ends[last]);
        let end = self.ends.get(index).copied();
        let end = end.unwrap_or(self.words);
        Some(Word::words_to_bytes(&self.body[start..end]))
    }

    fn len(&self) -> usize {
        self.ends.len() + 1
    }
}
