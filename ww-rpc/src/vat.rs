use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use capnp::Error;
use capnp::capability::{Client, FromClientHook};
use capnp_rpc::rpc_twoparty_capnp::Side;
use futures::{AsyncRead, AsyncWrite};

use crate::later;
use crate::link::Link;
use crate::network::{Network, Silent};
use crate::recall::Recall;
use crate::running::Running;
use crate::{Limits, Traffic};

/// Turns of the executor that calls may take by themselves after the peer has
/// ended. Calls that wait for something else take one; the bound is there for
/// a server that wakes itself for ever.
const SETTLING_TURNS: usize = 1000;

/// Polls of capnp-rpc in a row, while there is something to write or there may be
/// more to read: in each it reads two messages and asks for another, and what it
/// answers is written in the next. So those are answered together, for which others
/// on the same thread wait.
const POLLS: usize = 8;

/// Polls of capnp-rpc that follow at once when it has let go of the connection. One is
/// enough; the bound is there for a server that wakes itself for ever.
const ENDING_POLLS: usize = 16;

/// Capabilities of what has been read after which no further such poll follows: to
/// receive two or three takes as long as a call without any.
const CAPABILITIES: u64 = 64;

/// One side of a two-party Cap'n Proto connection.
///
/// A `Vat` is a future: it must be polled for calls to make progress in either
/// direction. It holds no thread, no task and no timer of its own, and it is
/// woken by its streams and by the calls it serves alone. A poll reads no more
/// than some messages, and wakes whoever polls for the rest. Until one side says
/// something there is little more of it than its two streams.
///
/// # End
///
/// The future resolves when the connection has ended: `Ok` where the peer
/// ended it or went away between messages, or [`drain`](Self::drain) did;
/// an error where the peer broke the protocol or a limit, said that we did,
/// stopped inside a message, or where a stream failed.
///
/// What the peer had written before it ended is handled first, pipelined calls
/// included, up to where a call waits for something else than the connection.
/// Such a call is cancelled. Where writing to the peer fails, its calls are
/// handled all the same, until there is nothing more to read at once.
///
/// A peer that ends is still written to, until it has read all that waits for it or
/// goes away: one that does neither keeps the vat for ever, so whoever serves
/// strangers [drains](Self::drain) it after a while. The streams are dropped in the
/// end and not closed, so over TLS no `close_notify` is sent.
///
/// A call that is pipelined to the peer and there turns out to lead back to this
/// vat fails with kind [`Unimplemented`](capnp::ErrorKind::Unimplemented) where
/// the peer would have this vat keep the results (`sendResultsTo.yourself`), as
/// Cap'n Proto's C++ runtime would; once the capability has arrived, calls on it
/// stay here. One from which the peer returns with neither results nor a failure,
/// as if it had been cancelled or the results were for somebody else, fails too.
///
/// Of what the peer says when it gives up, or when it breaks a promise, the
/// first kilobyte is kept.
///
/// Calls in flight to the peer fail with kind
/// [`Disconnected`](capnp::ErrorKind::Disconnected), and so does every call
/// after the end. They fail in the poll that resolves, unless there is something
/// to write that the peer does not take at once. Only where one side broke the
/// protocol does the error keep that error's kind.
///
/// # Trust
///
/// [`Limits`] bound what the peer has the vat keep and do, whatever it says. What
/// its capabilities do to the code that holds them they do not: promises of a
/// hostile peer's that resolve in circles, or into the answer of a call that they
/// were passed to, can hang or panic whoever calls, waits for or hands on what such
/// a peer has bootstrapped or passed. So both what is handed to strangers and what
/// comes of them stands behind a membrane, as `ww-membrane` has them.
///
/// # Cancel safety
///
/// Dropping a `Vat` disconnects at once: calls fail on both sides as above,
/// server futures are dropped, everything that crossed is released, and the
/// streams are dropped with it. What had not been written yet is not written.
/// The vat's own bootstrap capability lives on for as long as a capability of
/// the peer's is held, dead as that one is. A peer can have one of its calls
/// hold a promise of that call's own answer: then both live on, unless what is
/// served stands behind a membrane that is revoked after the end.
///
/// A server is dropped with the connection's tables borrowed when the peer lets
/// go of it: one whose `Drop` calls that peer panics, unless it stands behind a
/// membrane, which [puts the drop off](crate::drop_later).
///
/// # Example
///
/// See the [crate's](crate) documentation.
#[must_use = "a vat does nothing unless polled"]
pub struct Vat {
    stage: Stage,
    link: Rc<Link>,
    side: Side,
    /// Wakes for all that runs, once something does.
    recall: Option<Recall>,
    settling_turns: usize,
}

enum Stage {
    /// Neither side has said anything. What the peer may bootstrap comes second.
    Silent(Box<dyn Silent>, Option<Client>),
    Running(Running),
    Ended,
}

impl Vat {
    /// A vat that reads messages from `reader`, writes them to `writer`, and
    /// hands `bootstrap` to the peer that asks for it.
    ///
    /// The two ends of a connection take different sides; which takes which
    /// makes no difference to either. A peer that asks for a bootstrap
    /// capability where there is none gets a broken one.
    ///
    /// Messages travel in Cap'n Proto's standard framing, unpacked. The vat
    /// gathers what it writes, so neither stream needs a buffer around it.
    pub fn new(
        reader: impl AsyncRead + Unpin + 'static,
        writer: impl AsyncWrite + Unpin + 'static,
        side: Side,
        bootstrap: Option<Client>,
        limits: Limits,
    ) -> Self {
        let link = Rc::new(Link::new(limits));
        let network = Network::new(reader, writer, side, limits, link.clone());
        Self {
            stage: Stage::Silent(Box::new(network), bootstrap),
            link,
            side,
            recall: None,
            settling_turns: SETTLING_TURNS,
        }
    }

    /// The peer's bootstrap capability, as a promise: calls on it queue until
    /// the peer has answered.
    ///
    /// It may be asked for at any time and more than once. Once the connection
    /// has ended it is broken, with kind `Disconnected`.
    pub fn bootstrap<C: FromClientHook>(&mut self) -> C {
        let side = self.side;
        let was_silent = matches!(self.stage, Stage::Silent(..));
        match self.begin() {
            Some(running) => {
                let bootstrap = running.bootstrap(side);
                if was_silent {
                    // The vat was waiting for the peer alone.
                    self.link.wake_reader();
                }
                bootstrap
            }
            None => {
                let error = Error::disconnected("the connection has ended".into());
                C::new(capnp_rpc::new_broken_cap(error).hook)
            }
        }
    }

    /// What has crossed the connection, to be read from any thread.
    pub fn traffic(&self) -> Arc<Traffic> {
        self.link.traffic.clone()
    }

    /// Ends the connection gracefully: what the peer has written until now is
    /// handled as at its own end, and nothing further is waited for. A message
    /// of which only a part is there makes the vat resolve with an error.
    ///
    /// The vat must be polled on until it resolves. That needs no doing of the
    /// peer's, but a peer that goes on writing as fast as it is read can put it
    /// off. What the peer does not take at once is not written any more. A reader
    /// that comes to its end by itself needs no `drain`, unless the peer then leaves
    /// unread what is written to it.
    pub fn drain(&mut self) {
        self.link.drain();
    }
}

impl Future for Vat {
    type Output = Result<(), Error>;

    /// # Panics
    ///
    /// When polled again after it has resolved.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        later::during(|| self.get_mut().advance(cx))
    }
}

impl Vat {
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self;
        if let Stage::Silent(network, _) = &this.stage
            && !ready!(network.poll_begun(cx))
        {
            this.stage = Stage::Ended;
            return Poll::Ready(this.link.outcome());
        }
        this.begin();
        let Self {
            stage,
            link,
            recall,
            settling_turns,
            ..
        } = this;
        let polls = recall.get_or_insert_with(Recall::new).polls(cx);
        let before = link.traffic.capabilities_in();
        let (mut polled, mut ending) = (0, 0);
        loop {
            let Stage::Running(running) = stage else {
                panic!("vat polled after its end");
            };
            let settling = link.is_settling();
            let (ended, woken) = polls.once(|cx| running.poll(cx));
            if let Poll::Ready(result) = ended {
                running.wind_up();
                // Drops the server futures that were cancelled.
                *stage = Stage::Ended;
                return Poll::Ready(link.outcome().and(result));
            }
            polled += 1;
            if settling && woken && *settling_turns > 0 {
                *settling_turns -= 1;
                return Poll::Pending;
            }
            let again = woken
                && (link.is_ahead() || link.is_behind())
                && polled < POLLS
                && link.traffic.capabilities_in() - before < CAPABILITIES;
            // Calls have failed by then: who made them learns why in the same poll.
            let ends = woken && link.is_shut() && ending < ENDING_POLLS;
            ending += usize::from(ends);
            if settling {
                link.settle();
            } else if !(again || ends || link.is_settling()) {
                return Poll::Pending;
            }
        }
    }

    /// What runs, made now if it was not. `None` after the end.
    fn begin(&mut self) -> Option<&mut Running> {
        if let Stage::Silent(..) = self.stage
            && let Stage::Silent(network, bootstrap) =
                std::mem::replace(&mut self.stage, Stage::Ended)
        {
            self.stage = Stage::Running(Running::new(network, bootstrap));
        }
        match &mut self.stage {
            Stage::Running(running) if !self.link.is_shut() => Some(running),
            _ => None,
        }
    }
}

impl Drop for Vat {
    fn drop(&mut self) {
        if let Stage::Running(running) = &mut self.stage {
            self.link.hush();
            running.disconnect();
        }
    }
}

impl fmt::Debug for Vat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vat")
            .field("side", &self.side)
            .field("ended", &matches!(self.stage, Stage::Ended))
            .finish_non_exhaustive()
    }
}
