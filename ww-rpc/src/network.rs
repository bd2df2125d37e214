use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll};

use capnp::capability::Promise;
use capnp::message::{Builder, HeapAllocator, Reader, ReaderOptions, ReaderSegments};
use capnp::{Error, any_pointer};
use capnp_rpc::rpc_capnp::{exception, message, return_};
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{IncomingMessage, OutgoingMessage, VatNetwork};
use futures::{AsyncRead, AsyncWrite};

use crate::calls::Held;
use crate::fate::Fate;
use crate::frame::{Frame, Frames};
use crate::link::Link;
use crate::outbox::{Message, Outbox};
use crate::plain::Plain;
use crate::refusal::Refusal;
use crate::{Limits, elsewhere, reach, reason};

/// The one connection of a vat, as capnp-rpc wants to see it.
pub(crate) struct Network<R, W> {
    connection: Option<Connection<R>>,
    spare: Connection<R>,
    outbox: Option<Outbox<W>>,
    side: Side,
}

/// A network on which nothing has been said.
pub(crate) trait Silent: VatNetwork<Side> {
    /// Waits for the peer to say something. False where it never will, and has
    /// ended cleanly.
    fn poll_begun(&self, cx: &mut Context<'_>) -> Poll<bool>;
}

struct Connection<R> {
    frames: Rc<RefCell<Frames<R>>>,
    link: Rc<Link>,
    side: Side,
}

struct Incoming {
    message: Reader<Frame>,
    /// What is counted of a call for as long as its parameters are held.
    held: Option<Held>,
    link: Rc<Link>,
}

struct Outgoing {
    message: Builder<HeapAllocator>,
    /// Words that capnp-rpc expected it to need.
    hint: usize,
    first_segment_words: usize,
    link: Rc<Link>,
}

impl<R, W> Network<R, W>
where
    R: AsyncRead + Unpin + 'static,
    W: AsyncWrite + Unpin + 'static,
{
    pub(crate) fn new(reader: R, writer: W, side: Side, limits: Limits, link: Rc<Link>) -> Self {
        let traffic = &link.traffic;
        let frames = Frames::new(reader, limits.message_words, traffic.clone());
        let outbox = Outbox::new(writer, traffic.clone());
        let connection = Connection {
            frames: Rc::new(RefCell::new(frames)),
            link,
            side,
        };
        Self {
            spare: connection.clone(),
            connection: Some(connection),
            outbox: Some(outbox),
            side,
        }
    }
}

impl<R, W> Silent for Network<R, W>
where
    R: AsyncRead + Unpin + 'static,
    W: AsyncWrite + Unpin + 'static,
{
    fn poll_begun(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let Connection { link, frames, .. } = &self.spare;
        link.poll_begun(cx, &mut frames.borrow_mut())
    }
}

impl<R, W> VatNetwork<Side> for Network<R, W>
where
    R: AsyncRead + Unpin + 'static,
    W: AsyncWrite + Unpin + 'static,
{
    fn connect(&mut self, host: Side) -> Option<Box<dyn capnp_rpc::Connection<Side>>> {
        (host != self.side).then(|| Box::new(self.spare.clone()) as Box<_>)
    }

    fn accept(&mut self) -> Promise<Box<dyn capnp_rpc::Connection<Side>>, Error> {
        match self.connection.take() {
            Some(connection) => Promise::ok(Box::new(connection)),
            None => Promise::from_future(pending()),
        }
    }

    fn drive_until_shutdown(&mut self) -> Promise<(), Error> {
        let link = self.spare.link.clone();
        match self.outbox.take() {
            Some(mut outbox) => Promise::from_future(async move {
                poll_fn(|cx| link.poll_outgoing(cx, &mut outbox)).await;
                Ok(())
            }),
            None => Promise::from_future(pending()),
        }
    }
}

impl<R: AsyncRead + Unpin + 'static> capnp_rpc::Connection<Side> for Connection<R> {
    fn get_peer_vat_id(&self) -> Side {
        self.side
    }

    fn new_outgoing_message(&mut self, hint: u32) -> Box<dyn OutgoingMessage> {
        let hint = hint as usize;
        let first_segment_words = self.link.sizes.first_segment(hint);
        let allocator = HeapAllocator::new().first_segment_words(first_segment_words as u32);
        Box::new(Outgoing {
            message: Builder::new(allocator),
            hint,
            first_segment_words,
            link: self.link.clone(),
        })
    }

    fn receive_incoming_message(&mut self) -> Promise<Option<Box<dyn IncomingMessage>>, Error> {
        let Self { frames, link, .. } = self.clone();
        Promise::from_future(async move {
            let (message, held) = loop {
                let frame = poll_fn(|cx| link.poll_incoming(cx, &mut frames.borrow_mut())).await?;
                let Some(frame) = frame else {
                    return Ok(None);
                };
                let read = read(frame, &link);
                let read = read.map_err(|refusal| refusal.into_error(&link.traffic));
                let refusal = match read? {
                    Read::Message(message, held) => break (message, held),
                    Read::Refused(refusal) => refusal,
                };
                link.traffic.was_called();
                let words = refusal.size_in_words();
                link.push(refusal, words);
                give_way().await;
            };
            let incoming = Incoming {
                message,
                held,
                link,
            };
            Ok(Some(Box::new(incoming) as Box<_>))
        })
    }

    fn shutdown(&mut self, result: Result<(), Error>) -> Promise<(), Error> {
        self.link.shut(result);
        Promise::ok(())
    }
}

impl<R> Clone for Connection<R> {
    fn clone(&self) -> Self {
        Self {
            frames: self.frames.clone(),
            link: self.link.clone(),
            side: self.side,
        }
    }
}

/// Lets others run that wait for the same thread.
async fn give_way() {
    let mut given = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What becomes of a message from the peer.
enum Read {
    /// capnp-rpc has it, or something in its stead, and what is counted of it.
    Message(Reader<Frame>, Option<Held>),
    /// It is answered at once.
    Refused(Message),
}

/// Reads a message, out of which no more can be read than the limits allow, and
/// takes note of what it asks for.
fn read(frame: Frame, link: &Link) -> Result<Read, Refusal> {
    let calls = &link.calls;
    let limits = calls.limits();
    let words = frame.words();
    let mut options = ReaderOptions::new();
    options
        .traversal_limit_in_words(Some(Limits::traversal_words(words)))
        .nesting_limit(limits.nesting);
    let held = match Plain::of(frame.get_segment(0).unwrap_or_default()) {
        Some(Plain::Call { question, target }) => calls.plain_call(question, target, words)?,
        Some(Plain::Results {
            question,
            no_finish_needed,
        }) => {
            link.returned(question, no_finish_needed, words);
            return results(frame, options, link, false);
        }
        Some(Plain::Finish { question }) => {
            let instead = calls.finish(question)?;
            let frame = instead.unwrap_or(frame);
            return Ok(Read::Message(Reader::new(frame, options), None));
        }
        None => return read_whole(frame, options, link),
    };
    Ok(Read::Message(Reader::new(frame, options), held))
}

/// The same of a message that is not plain.
fn read_whole(frame: Frame, mut options: ReaderOptions, link: &Link) -> Result<Read, Refusal> {
    let calls = &link.calls;
    let words = frame.words();
    let message = Reader::new(&frame, options);
    let root: message::Reader<'_> = message.get_root()?;
    let mut held = None;
    let instead = match root.which() {
        Ok(message::Call(call)) => {
            let call = call?;
            if let Some(refusal) = elsewhere::refusal(call) {
                return Ok(Read::Refused(refusal));
            }
            held = calls.call(call, words)?;
            None
        }
        Ok(message::Return(answer)) => {
            let answer = answer?;
            let awaited = calls.are_awaiting(answer.get_answer_id());
            link.returned(answer.get_answer_id(), answer.get_no_finish_needed(), words);
            match answer.which()? {
                return_::Results(given) => {
                    let Some(text) = calls.answered(given?, words)? else {
                        return results(frame, options, link, awaited);
                    };
                    Some(unheard(answer, link, awaited, &text)?)
                }
                return_::Exception(exception) => reason::of_return(answer, exception?)?,
                _ => elsewhere::missed(answer)?,
            }
        }
        Ok(message::Finish(finish)) => calls.finish(finish?.get_question_id())?,
        Ok(message::Resolve(resolve)) => {
            let resolve = resolve?;
            calls.resolve(resolve)?;
            reason::of_resolve(resolve)?
        }
        Ok(message::Bootstrap(bootstrap)) => {
            calls.bootstrap(bootstrap?)?;
            None
        }
        Ok(message::Abort(abort)) => reason::of_abort(abort?)?,
        Ok(message::Release(_) | message::Disembargo(_) | message::Unimplemented(_)) => None,
        _ => {
            // capnp-rpc sends it back: its root is read twice, and all else once.
            options.traversal_limit_in_words(Some(words.saturating_mul(2)));
            None
        }
    };
    // What has been read of it here does not count.
    let frame = instead.unwrap_or(frame);
    Ok(Read::Message(Reader::new(frame, options), held))
}

/// Results that may be read again and again: capnp-rpc reads the way to what is in
/// them each time that somebody looks, and panics where that is too much. A failure,
/// where too much could be read of them at once.
fn results(
    frame: Frame,
    mut options: ReaderOptions,
    link: &Link,
    awaited: bool,
) -> Result<Read, Refusal> {
    let limits = link.calls.limits();
    let most = limits.answer_traversal_words(frame.words());
    if reach::is_within(&frame, limits.nesting, most) {
        options.traversal_limit_in_words(None);
        return Ok(Read::Message(Reader::new(frame, options), None));
    }
    let message = Reader::new(&frame, options);
    let root: message::Reader<'_> = message.get_root()?;
    let instead = match root.which() {
        Ok(message::Return(answer)) => {
            let text = "the answer is far larger to read than to send";
            Some(unheard(answer?, link, awaited, text)?)
        }
        _ => None,
    };
    let frame = instead.unwrap_or(frame);
    Ok(Read::Message(Reader::new(frame, options), None))
}

/// The failure that stands for results which capnp-rpc does not hear of.
///
/// Where they are `awaited`, it tells the peer that it keeps what came with them; where
/// not, it has told it to let go of that.
fn unheard(
    answer: return_::Reader<'_>,
    link: &Link,
    awaited: bool,
    text: &str,
) -> Result<Frame, Error> {
    if awaited && let Ok(return_::Results(results)) = answer.which() {
        link.release(results?)?;
    }
    Ok(reason::failure(answer, exception::Type::Overloaded, text))
}

impl IncomingMessage for Incoming {
    fn get_body(&self) -> Result<any_pointer::Reader<'_>, Error> {
        self.message.get_root()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            self.link.calls.release(held);
        }
    }
}

impl OutgoingMessage for Outgoing {
    fn get_body(&mut self) -> Result<any_pointer::Builder<'_>, Error> {
        self.message.get_root()
    }

    fn get_body_as_reader(&self) -> Result<any_pointer::Reader<'_>, Error> {
        self.message.get_root_as_reader()
    }

    /// The promise says that the message is queued, not that it was written. What is
    /// given back is what capnp-rpc has made, whatever is sent.
    fn send(self: Box<Self>) -> (Promise<(), Error>, Message) {
        let used = self.message.size_in_words();
        self.link.sizes.note(self.hint, used);
        let words = used.max(self.first_segment_words);
        let queued = self.link.queued(words);
        let sent = self.link.calls.sent(&self.message, used, queued);
        let message = Rc::new(self.message);
        match sent {
            Ok(Fate::Sent) => self.link.push(message.clone(), words),
            Ok(Fate::Kept) => {}
            Ok(Fate::Replaced(instead)) => {
                let words = instead.size_in_words();
                self.link.push(instead, words);
            }
            Ok(Fate::Refused(heard)) => self.link.hear(heard),
            Err(reason) => self.link.break_off(reason),
        }
        (Promise::ok(()), message)
    }

    fn take(self: Box<Self>) -> Builder<HeapAllocator> {
        self.message
    }

    fn size_in_words(&self) -> usize {
        self.message.size_in_words()
    }
}
