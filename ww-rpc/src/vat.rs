use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use capnp::Error;
use capnp::capability::{Client, FromClientHook};
use capnp_rpc::rpc_twoparty_capnp::Side;
use futures::{AsyncRead, AsyncWrite};

use crate::deferred::Deferred;
use crate::later;
use crate::link::Link;
use crate::network::{Network, Peer};
use crate::opening::{Opening, ended};
use crate::running::Running;
use crate::watch::poll_watched;
use crate::{Limits, Traffic};

/// Turns of the executor that calls may take by themselves after the peer has
/// ended. Calls that wait for something else take one; the bound is there for
/// a server that wakes itself for ever.
const SETTLING_TURNS: usize = 1000;

/// One side of a two-party Cap'n Proto connection.
///
/// A `Vat` is a future: it must be polled for calls to make progress in either
/// direction. It holds no thread, no task and no timer of its own, and it is
/// woken by its streams and by the calls it serves alone. Until one side says
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
/// A call that is pipelined to the peer and there turns out to lead back to this
/// vat fails with kind [`Unimplemented`](capnp::ErrorKind::Unimplemented) where
/// the peer would have this vat keep the results (`sendResultsTo.yourself`), as
/// Cap'n Proto's C++ runtime would; once the capability has arrived, calls on it
/// stay here.
///
/// Of what the peer says when it gives up, or when it breaks a promise, the
/// first kilobyte is kept.
///
/// Calls in flight to the peer fail with kind
/// [`Disconnected`](capnp::ErrorKind::Disconnected), and so does every call
/// after the end. Only where one side broke the protocol does the error keep
/// that error's kind.
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
    settling_turns: usize,
}

enum Stage {
    /// Neither side has said anything, as far as the vat has looked.
    Opening(Rc<Opening>, Rc<dyn Peer>),
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
        let peer = network.peer();
        let opening = Opening::new(Box::new(network), bootstrap, side, link.clone());
        Self {
            stage: Stage::Opening(Rc::new(opening), peer),
            link,
            side,
            settling_turns: SETTLING_TURNS,
        }
    }

    /// The peer's bootstrap capability, as a promise: calls on it queue until
    /// the peer has answered.
    ///
    /// It may be asked for at any time and more than once. Once the connection
    /// has ended it is broken, with kind `Disconnected`.
    pub fn bootstrap<C: FromClientHook>(&mut self) -> C {
        if self.link.is_shut() {
            return ended().cast_to();
        }
        let (side, opening) = (self.side, matches!(self.stage, Stage::Opening(..)));
        let Some(running) = self.begin() else {
            return ended().cast_to();
        };
        let bootstrap = running.bootstrap(side);
        if opening {
            // The vat waits for the peer alone.
            self.link.wake_reader();
        }
        bootstrap
    }

    /// The same, for one that may never be used: the peer is asked for it at the
    /// first call on it, or when it says something itself.
    pub fn bootstrap_later<C: FromClientHook>(&mut self) -> C {
        match &self.stage {
            Stage::Opening(opening, _) => C::new(Deferred::hook(opening.clone())),
            Stage::Running(_) | Stage::Ended => self.bootstrap(),
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
    /// off. A reader that comes to its end by itself needs no `drain`.
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
        if let Stage::Opening(opening, peer) = &this.stage
            && !opening.has_begun()
        {
            let spoken = peer.poll_begun(cx, &this.link);
            // What is read from is foreign code, and may have begun.
            match spoken {
                Poll::Pending if !opening.has_begun() => return Poll::Pending,
                Poll::Ready(false) if !opening.has_begun() => {
                    opening.end();
                    this.stage = Stage::Ended;
                    return Poll::Ready(this.link.outcome());
                }
                _ => {}
            }
        }
        this.begin();
        loop {
            let Stage::Running(running) = &mut this.stage else {
                panic!("vat polled after its end");
            };
            let settling = this.link.is_settling();
            let (polled, woken) = if settling {
                poll_watched(cx, |cx| running.poll(cx))
            } else {
                (running.poll(cx), false)
            };
            if let Poll::Ready(result) = polled {
                running.wind_up();
                // Drops the server futures that were cancelled.
                this.stage = Stage::Ended;
                return Poll::Ready(this.link.outcome().and(result));
            }
            if settling && woken && this.settling_turns > 0 {
                this.settling_turns -= 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if settling {
                this.link.settle();
            } else if !this.link.is_settling() {
                return Poll::Pending;
            }
        }
    }

    /// What runs, made now if it was not. `None` after the end.
    fn begin(&mut self) -> Option<&mut Running> {
        if let Stage::Opening(opening, _) = &self.stage {
            self.stage = opening.begin().map_or(Stage::Ended, Stage::Running);
        }
        match &mut self.stage {
            Stage::Running(running) => Some(running),
            Stage::Opening(..) | Stage::Ended => None,
        }
    }
}

impl Drop for Vat {
    fn drop(&mut self) {
        let running = match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Opening(opening, _) => opening.end(),
            Stage::Running(running) => Some(running),
            Stage::Ended => None,
        };
        if let Some(mut running) = running {
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
