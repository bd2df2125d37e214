use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use capnp::message::Builder;
use capnp::{Error, ErrorKind};
use capnp_rpc::rpc_capnp::{message, payload};
use futures::{AsyncRead, AsyncWrite};

use crate::calls::Calls;
use crate::frame::{Break, Frame, Frames};
use crate::outbox::{Message, Outbox, Queue};
use crate::refusal::Refusal;
use crate::sizes::Sizes;
use crate::watch::poll_watched;
use crate::{Limit, Limits, Traffic, releases};

/// Where a connection is in its life. Shared by the vat, the half that reads,
/// and the half that writes.
pub(crate) struct Link {
    /// The calls of the peer's that are in flight.
    pub(crate) calls: Calls,
    pub(crate) traffic: Arc<Traffic>,
    /// How large the messages to the peer are.
    pub(crate) sizes: Sizes,
    queue_words: usize,
    /// Whether more may be there to read at once than capnp-rpc has asked for.
    ahead: Cell<bool>,
    /// Whether there is something to write that nobody has tried to.
    behind: Cell<bool>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    outgoing: Queue,
    /// Messages of our own that are read as if they were the peer's.
    own: VecDeque<Frame>,
    /// What cannot be read at once is no longer waited for.
    draining: bool,
    /// Nothing further will be read. The reason is what calls in flight fail
    /// with, where it is not the peer's own clean end.
    end: Option<Result<(), Error>>,
    /// Calls that had been read have come as far as they can by themselves, so
    /// the end may be told.
    settled: bool,
    /// Why nothing further can be written.
    unwritable: Option<Error>,
    /// What the vat resolves with, where it is not a plain end.
    fault: Option<Error>,
    /// Set when capnp-rpc has let go of the connection.
    shut: Option<Result<(), Error>>,
    reading: Option<Waker>,
    writing: Option<Waker>,
}

impl Link {
    pub(crate) fn new(limits: Limits) -> Self {
        let traffic = Arc::new(Traffic::default());
        Self {
            calls: Calls::new(limits, traffic.clone()),
            traffic,
            sizes: Sizes::default(),
            queue_words: limits.queue_words,
            ahead: Cell::default(),
            behind: Cell::default(),
            state: RefCell::default(),
        }
    }

    /// Reads on only as long as nothing has to be waited for.
    pub(crate) fn drain(&self) {
        self.state.borrow_mut().draining = true;
        self.wake_reader();
        // It may be all that still goes on.
        self.wake_writer();
    }

    /// Writes nothing further.
    pub(crate) fn hush(&self) {
        let state = &mut *self.state.borrow_mut();
        let dropped = || Error::disconnected("the connection was dropped".into());
        state.unwritable.get_or_insert_with(dropped);
    }

    /// Whether the end has been read, but not been told to capnp-rpc.
    pub(crate) fn is_settling(&self) -> bool {
        let state = self.state.borrow();
        state.end.is_some() && !state.settled
    }

    /// Lets capnp-rpc know of the end that has been read.
    pub(crate) fn settle(&self) {
        self.state.borrow_mut().settled = true;
        self.wake_reader();
    }

    /// Whether more may be there to read at once than capnp-rpc has asked for.
    pub(crate) fn is_ahead(&self) -> bool {
        self.ahead.get()
    }

    /// Whether there is something to write that nobody has tried to.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.get()
    }

    /// Whether capnp-rpc has let go of the connection.
    pub(crate) fn is_shut(&self) -> bool {
        self.state.borrow().shut.is_some()
    }

    /// How the connection ended: as it may, or by somebody's fault.
    pub(crate) fn outcome(&self) -> Result<(), Error> {
        let mut state = self.state.borrow_mut();
        match (state.fault.take(), state.shut.take()) {
            (Some(fault), _) => Err(fault),
            (None, Some(Err(reason))) if reason.kind != ErrorKind::Disconnected => Err(reason),
            _ => Ok(()),
        }
    }

    /// What the messages would take up that wait for the peer to read, with one of so many
    /// words.
    pub(crate) fn queued(&self, words: usize) -> usize {
        self.state.borrow().outgoing.words_with(words)
    }

    /// Queues a message whose segments take up `words` words. Where that is
    /// more than may wait, the connection ends.
    pub(crate) fn push(&self, message: Message, words: usize) {
        let waiting = {
            let state = &mut *self.state.borrow_mut();
            if state.unwritable.is_some() {
                return;
            }
            state.outgoing.push(message, words);
            state.outgoing.words()
        };
        if waiting <= self.queue_words {
            self.behind.set(true);
            self.wake_writer();
            return;
        }
        let reason = Limit::QueueWords.exceeded(format!(
            "messages that the peer has not read take {waiting} words, more than the limit of {}",
            self.queue_words
        ));
        self.give_up(reason);
    }

    /// Has capnp-rpc hear these before anything else of the peer's.
    pub(crate) fn hear(&self, messages: Vec<Frame>) {
        self.state.borrow_mut().own.extend(messages);
        self.wake_reader();
    }

    /// Takes note that the peer has returned from a call of our own, in a message of so
    /// many words.
    pub(crate) fn returned(&self, question: u32, no_finish_needed: bool, words: usize) {
        let kept = (!no_finish_needed).then_some(words);
        if !self.calls.returned(question, kept) {
            return;
        }
        let mut finish = Builder::new_default();
        let root = finish.init_root::<message::Builder<'_>>();
        // It lets go of the capabilities in the answer, unless it is told otherwise.
        root.init_finish().set_question_id(question);
        let words = finish.size_in_words();
        self.push(Rc::new(finish), words);
    }

    /// Lets go of the capabilities of results that capnp-rpc does not hear of.
    pub(crate) fn release(&self, results: payload::Reader<'_>) -> Result<(), Error> {
        for release in releases::of(results.get_cap_table()?)? {
            let words = release.size_in_words();
            self.push(Rc::new(release), words);
        }
        Ok(())
    }

    /// Ends the connection, of which the peer is told.
    pub(crate) fn break_off(&self, reason: Refusal) {
        let reason = reason.into_error(&self.traffic);
        self.state.borrow_mut().end_at_once(reason);
        self.wake_reader();
    }

    /// Ends the connection at once, in both directions.
    fn give_up(&self, reason: Refusal) {
        let reason = reason.into_error(&self.traffic);
        self.state.borrow_mut().give_up(reason);
        self.wake_reader();
    }

    /// Takes note that capnp-rpc lets go of the connection, and why.
    pub(crate) fn shut(&self, reason: Result<(), Error>) {
        self.state.borrow_mut().shut = Some(reason);
        self.wake_writer();
    }

    /// Lets whoever reads look again.
    pub(crate) fn wake_reader(&self) {
        let waker = self.state.borrow_mut().reading.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn wake_writer(&self) {
        let waker = self.state.borrow_mut().writing.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits for the peer to say something. False where it never will, and has
    /// ended cleanly.
    pub(crate) fn poll_begun<R: AsyncRead + Unpin>(
        &self,
        cx: &mut Context<'_>,
        frames: &mut Frames<R>,
    ) -> Poll<bool> {
        if self.poll_reading(cx, frames, Frames::poll_begun).is_ready() {
            return Poll::Ready(true);
        }
        match &self.state.borrow().end {
            Some(end) => Poll::Ready(end.is_err()),
            None => Poll::Pending,
        }
    }

    /// The next message, `None` after a clean end, once calls have settled.
    pub(crate) fn poll_incoming<R: AsyncRead + Unpin>(
        &self,
        cx: &mut Context<'_>,
        frames: &mut Frames<R>,
    ) -> Poll<Result<Option<Frame>, Error>> {
        let own = self.state.borrow_mut().next_of_own();
        if let Some(own) = own {
            self.ahead.set(true);
            return Poll::Ready(Ok(Some(own)));
        }
        let polled = self.poll_reading(cx, frames, Frames::poll_next);
        let ahead = match &polled {
            Poll::Ready(Ok(Some(frame))) => {
                self.traffic.heard();
                frames.is_ahead(frame)
            }
            _ => false,
        };
        self.ahead.set(ahead);
        polled
    }

    fn poll_reading<R, T>(
        &self,
        cx: &mut Context<'_>,
        frames: &mut Frames<R>,
        mut poll: impl FnMut(&mut Frames<R>, &mut Context<'_>) -> Poll<Result<Option<T>, Break>>,
    ) -> Poll<Result<Option<T>, Error>>
    where
        R: AsyncRead + Unpin,
    {
        // The reader is foreign code, so nothing is borrowed while it runs.
        let (ended, last) = {
            let state = self.state.borrow();
            let last = state.draining || state.unwritable.is_some();
            (state.end.is_some(), last)
        };
        let (polled, more) = if ended {
            (Poll::Pending, false)
        } else if last {
            // Readers may give way to others before they have given all.
            poll_watched(cx, |cx| poll(frames, cx))
        } else {
            (poll(frames, cx), false)
        };
        let state = &mut *self.state.borrow_mut();
        match polled {
            Poll::Ready(Ok(Some(read))) => return Poll::Ready(Ok(Some(read))),
            Poll::Ready(Ok(None)) => state.end = Some(Ok(())),
            Poll::Ready(Err(reason)) => state.break_off(reason, &self.traffic),
            Poll::Pending if ended || more => {}
            Poll::Pending if state.draining && frames.partial() == 0 => state.end = Some(Ok(())),
            Poll::Pending if state.draining => {
                state.break_off(Break::Truncated(frames.partial()), &self.traffic);
            }
            Poll::Pending => {
                if let Some(error) = state.unwritable.clone() {
                    state.end = Some(Err(error));
                }
            }
        }
        if state.settled
            && let Some(end) = &state.end
        {
            return Poll::Ready(end.clone().map(|()| None));
        }
        state.reading = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Writes what is queued. Ready when the connection is over for writing.
    pub(crate) fn poll_outgoing<W: AsyncWrite + Unpin>(
        &self,
        cx: &mut Context<'_>,
        outbox: &mut Outbox<W>,
    ) -> Poll<()> {
        self.behind.set(false);
        let sent = if self.state.borrow().unwritable.is_some() {
            Poll::Ready(Ok(()))
        } else {
            let mut queue = std::mem::take(&mut self.state.borrow_mut().outgoing);
            let sent = outbox.poll_send(cx, &mut queue);
            let mut state = self.state.borrow_mut();
            queue.append(&mut state.outgoing);
            state.outgoing = queue;
            sent
        };
        if let Poll::Ready(Err(error)) = &sent {
            self.state.borrow_mut().cut_off(error);
            self.wake_reader();
        }
        let state = &mut *self.state.borrow_mut();
        if state.unwritable.is_some() {
            state.outgoing = Queue::default();
        }
        // A peer that has only finished writing may still read, so all of it
        // is written. In any other case nobody is worth waiting for.
        let lingers = !state.draining && matches!(state.end, Some(Ok(())));
        if state.shut.is_some() && (sent.is_ready() || !lingers) {
            return Poll::Ready(());
        }
        state.writing = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl State {
    /// Once the end may be told, nothing comes before it.
    fn next_of_own(&mut self) -> Option<Frame> {
        let over = self.settled && self.end.is_some();
        (!over).then(|| self.own.pop_front()).flatten()
    }

    /// Ends reading for a reason of the peer's or the stream's making.
    fn break_off(&mut self, reason: Break, traffic: &Traffic) {
        let error = match reason {
            Break::Truncated(bytes) => {
                let error = Error::disconnected(format!(
                    "connection ended inside a message, after {bytes} bytes of it"
                ));
                self.fault = Some(error.clone());
                error
            }
            Break::Malformed(text) => Error::failed(text),
            Break::TooLarge(text) => Limit::MessageWords.exceeded(text).into_error(traffic),
            Break::Io(error) => {
                self.blame(&error);
                Error::disconnected(format!("reading from the peer failed: {error}"))
            }
        };
        self.end = Some(Err(error));
    }

    /// Gives up writing. What the peer had written before is still read.
    fn cut_off(&mut self, error: &io::Error) {
        self.blame(error);
        self.unwritable = Some(Error::disconnected(format!(
            "writing to the peer failed: {error}"
        )));
    }

    fn give_up(&mut self, reason: Error) {
        self.outgoing = Queue::default();
        self.unwritable = Some(reason.clone());
        self.end_at_once(reason);
    }

    /// Reads nothing further. The first reason stands.
    fn end_at_once(&mut self, reason: Error) {
        if !matches!(self.end, Some(Err(_))) {
            self.end = Some(Err(reason));
        }
        self.settled = true;
    }

    /// A stream that says that the peer has gone is an end like any other.
    fn blame(&mut self, error: &io::Error) {
        let error = Error::from(io::Error::new(error.kind(), error.to_string()));
        if error.kind != ErrorKind::Disconnected {
            self.fault.get_or_insert(error);
        }
    }
}
