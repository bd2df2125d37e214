use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{fmt, mem};

use capnp::capability::{Promise, Response};
use futures::{AsyncBufRead, AsyncRead};

use crate::peer_capnp::byte_stream::{Client, read_results};
use crate::stream::MAX_READ;
use crate::stream::fault::fault;

type Answer = Response<read_results::Owned>;

/// The read end of a stream of bytes, as an [`AsyncRead`].
///
/// Each read is one call, for as many bytes as there is room for and at most
/// [`MAX_READ`], so that nothing is taken from the stream that was not asked
/// for. As an [`AsyncBufRead`] it asks for `MAX_READ` bytes at a time, and gives
/// them where they lie in the answer, without a copy.
///
/// Dropping it lets go of the capability; the stream closes with the last who
/// does.
///
/// # Errors
///
/// A failed call is an error of kind `ConnectionReset` where the capability was
/// disconnected or revoked, `QuotaExceeded` where its host was overloaded,
/// `Unsupported` where it has no such method, and `Other` else; the
/// [`capnp::Error`] is its inner error. The next read asks again. An answer
/// longer than what was asked for is `InvalidData`, and none of it is given.
///
/// # Cancel safety
///
/// A read that is given up loses nothing: what it is answered is there for the
/// next one.
pub struct Reader {
    stream: Client,
    state: State,
}

enum State {
    /// No call is under way.
    Idle,
    /// So many bytes at most were asked for.
    Asked(usize, Promise<Answer, capnp::Error>),
    /// All of so many bytes of the answer have yet to be read: at least one.
    Answered(Answer, usize),
    /// Bytes from there on have: at least one. A copy, for whoever takes them bit by
    /// bit: what is read out of a message is bounded, and each look at it counts.
    Left(Vec<u8>, usize),
    /// What was answered cannot be read any further, which nobody has heard of yet.
    Failed(io::Error),
    Ended,
}

impl Reader {
    /// Reads `stream`, from wherever it is.
    pub fn new(stream: Client) -> Self {
        Self {
            stream,
            state: State::Idle,
        }
    }

    /// The capability, and with it what was not read. Bytes that were answered,
    /// or asked for, and not read yet are lost: there are none unless a read was
    /// given up, or had less room than the one before it that was.
    pub fn into_inner(self) -> Client {
        self.stream
    }

    /// Waits until there are bytes or the end. Asks for at most `room` bytes,
    /// where it has to ask.
    fn poll_answer(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::Idle => {
                    let asked = room.min(MAX_READ as usize);
                    let mut request = self.stream.read_request();
                    request.get().set_max_bytes(asked as u32);
                    self.state = State::Asked(asked, request.send().promise);
                }
                State::Asked(asked, promise) => {
                    let asked = *asked;
                    let answered = ready!(Pin::new(promise).poll(cx));
                    self.state = State::Idle;
                    let answer = answered.map_err(fault)?;
                    let len = data(&answer)?.len();
                    if len > asked {
                        return Poll::Ready(Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            format!("asked for at most {asked} bytes, a stream answered {len}"),
                        )));
                    }
                    self.state = match len {
                        0 => State::Ended,
                        _ => State::Answered(answer, len),
                    };
                }
                State::Failed(_) => {
                    let failed = mem::replace(&mut self.state, State::Idle);
                    if let State::Failed(error) = failed {
                        return Poll::Ready(Err(error));
                    }
                }
                State::Answered(..) | State::Left(..) | State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// What was answered and not read yet. Empty at the end.
    fn rest(&self) -> io::Result<&[u8]> {
        match &self.state {
            State::Answered(answer, _) => data(answer),
            State::Left(bytes, read) => Ok(&bytes[*read..]),
            State::Idle | State::Asked(..) | State::Failed(_) | State::Ended => Ok(&[]),
        }
    }

    /// Takes note that `count` bytes of the rest were read.
    fn advance(&mut self, count: usize) {
        match &mut self.state {
            State::Answered(_, len) if count < *len => self.keep(count),
            State::Left(bytes, read) if *read + count < bytes.len() => *read += count,
            State::Answered(..) | State::Left(..) => self.state = State::Idle,
            State::Idle | State::Asked(..) | State::Failed(_) | State::Ended => {}
        }
    }

    /// Copies what was answered from there on.
    fn keep(&mut self, from: usize) {
        if let State::Answered(answer, _) = &self.state {
            self.state = match data(answer) {
                Ok(bytes) => State::Left(bytes[from..].to_vec(), 0),
                Err(error) => State::Failed(error),
            };
        }
    }
}

fn data(answer: &Answer) -> io::Result<&[u8]> {
    let data = answer.get().and_then(read_results::Reader::get_data);
    data.map_err(fault)
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if into.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let this = self.get_mut();
        ready!(this.poll_answer(cx, into.len()))?;
        let rest = this.rest()?;
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        this.advance(count);
        Poll::Ready(Ok(count))
    }
}

impl AsyncBufRead for Reader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if let State::Answered(..) = this.state {
            // Looked at before, and not read.
            this.keep(0);
        }
        ready!(this.poll_answer(cx, MAX_READ as usize))?;
        Poll::Ready(this.rest())
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        if count > 0 {
            self.get_mut().advance(count);
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("state", &mem::discriminant(&self.state))
            .finish_non_exhaustive()
    }
}
