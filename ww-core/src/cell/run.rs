use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use futures::StreamExt;
use futures::future::{BoxFuture, LocalBoxFuture};
use futures::stream::FuturesUnordered;
use tracing::Span;

use super::budget::Budget;
use super::connection::Gone;
use super::exit::Exit;
use super::limits::Limit;
use super::local::Local;
use super::outcome::{Teller, why};
use super::plain::{TOLD, plain};
use super::rest::{MESSAGES, Rest};
use super::shared::{Shared, part};
use super::start::Connect;
use crate::error::{Error, panic_text};
use crate::ticker::Ticker;

/// How often a poll looks at the cell's parts before it lets others run.
const ROUNDS: usize = 16;

/// One cell's life, as a future.
pub(crate) struct Run {
    local: Local,
    shared: Arc<Shared>,
    pub(super) ticker: Arc<Ticker>,
    budget: Budget,
    /// Entered while the cell is polled.
    span: Span,
    stage: Stage,
    /// Makes the RPC connection, at the first poll.
    connect: Option<Connect>,
    guest: Option<BoxFuture<'static, Result<Exit, Error>>>,
    /// What was spawned on the cell's thread, if anything was.
    tasks: Option<Tasks>,
    wakers: Wakers,
    rpc_error: Option<Arc<capnp::Error>>,
    outcome: Option<Teller>,
    rest: Rest,
    /// Whether a tick fell into the last poll, so that others are to have their turn.
    pub(super) met_tick: bool,
}

struct Wakers {
    guest: Waker,
    vat: Waker,
}

struct Tasks {
    futures: FuturesUnordered<LocalBoxFuture<'static, ()>>,
    waker: Waker,
}

enum Stage {
    New,
    Running,
    /// The guest has returned; what it had written is still being handled.
    Draining(Result<Exit, Error>),
    Done,
}

impl Run {
    pub(crate) fn new(
        local: Local,
        ticker: Arc<Ticker>,
        budget: Budget,
        span: Span,
        connect: Connect,
        guest: BoxFuture<'static, Result<Exit, Error>>,
        outcome: Teller,
    ) -> Self {
        let shared = local.shared().clone();
        let wakers = Wakers {
            guest: shared.signal.waker(part::GUEST),
            vat: shared.signal.waker(part::VAT),
        };
        Self {
            local,
            shared,
            ticker,
            budget,
            span,
            stage: Stage::New,
            connect: Some(connect),
            guest: Some(guest),
            tasks: None,
            wakers,
            rpc_error: None,
            outcome: Some(outcome),
            rest: Rest::default(),
            met_tick: false,
        }
    }

    /// Polls the parts that were woken, but for those that rest: the guest, and with it
    /// the vat, which would go on with all that the guest has said. `Some` is how the
    /// cell ended.
    fn round(&mut self, mut ready: u8, rests: bool) -> Option<Result<Exit, Error>> {
        if rests {
            const RESTING: u8 = part::GUEST | part::VAT;
            ready &= !RESTING;
            self.shared.signal.raise(RESTING);
        }
        if ready & part::CALL != 0 {
            if self.shared.is_killed() {
                return Some(self.cut_short(Error::Killed));
            }
            if let Some(error) = self.budget.spent(&self.shared) {
                return Some(self.cut_short(error));
            }
            for errand in self.shared.take_errands() {
                let task = errand(self.local.clone());
                self.local.spawn(task);
            }
        }
        if ready & part::WALL != 0
            && let Some(error) = self.budget.over()
        {
            return Some(self.cut_short(error));
        }
        if ready & part::GUEST != 0 {
            if let Some(result) = self.poll_guest() {
                // It may have met the end of its input, which goes with the
                // handle, before the kill was looked at.
                if self.shared.is_killed() {
                    return Some(self.cut_short(Error::Killed));
                }
                self.stage = Stage::Draining(result);
            }
            if self.guest.is_some()
                && let Some(error) = self.budget.spent(&self.shared)
            {
                return Some(self.cut_short(error));
            }
        }
        // What the guest has just said is heard in the same round, and what that
        // answers is taken note of.
        let listens = !rests
            && (self.shared.signal.take_part(part::VAT)
                || ready & part::VAT != 0
                || matches!(self.stage, Stage::Draining(_)));
        if listens {
            self.poll_vat();
        }
        let answered = self.shared.signal.take_part(part::TASKS);
        if answered || ready & part::TASKS != 0 {
            self.poll_tasks();
        }
        match &mut self.stage {
            // Without a connection there is nothing left to handle.
            Stage::Draining(result) if !self.local.is_connected() => {
                Some(mem::replace(result, Err(Error::Ended { why: None })))
            }
            _ => None,
        }
    }

    /// How a cell ends that goes no further: as its guest did, where that has
    /// ended.
    fn cut_short(&mut self, error: Error) -> Result<Exit, Error> {
        match mem::replace(&mut self.stage, Stage::Done) {
            Stage::Draining(result) => result,
            Stage::New | Stage::Running | Stage::Done => Err(error),
        }
    }

    fn poll_guest(&mut self) -> Option<Result<Exit, Error>> {
        let guest = self.guest.as_mut()?;
        let polled = {
            let _busy = self.shared.run();
            let began = self.ticker.ticks();
            self.shared.slice.store(began, Ordering::Relaxed);
            guest
                .as_mut()
                .poll(&mut Context::from_waker(&self.wakers.guest))
        };
        let interrupted = self.shared.slice.load(Ordering::Relaxed);
        self.rest.note_ran(self.ticker.ticks() - interrupted);
        match polled {
            Poll::Pending => None,
            Poll::Ready(result) => {
                self.free();
                Some(result)
            }
        }
    }

    fn poll_vat(&mut self) {
        let cx = &mut Context::from_waker(&self.wakers.vat);
        if let Some(Poll::Ready(result)) = self.local.poll_connection(cx) {
            let error = match result {
                Ok(()) => capnp::Error::disconnected("the cell closed its RPC connection".into()),
                Err(error) => {
                    // It may quote what the guest said.
                    let told = plain(&error.to_string(), TOLD);
                    tracing::debug!(error = %told, "RPC connection ended");
                    if let Some(limit) = self.shared.meter.exceeded() {
                        self.shared.meter.refuse(Limit::Rpc(limit));
                    }
                    self.rpc_error = Some(Arc::new(error.clone()));
                    error
                }
            };
            // A guest that ends closes it as well, and may stop inside a message.
            let end = self.shared.end.get().cloned();
            let gone = end.map_or(Gone::Broken(error), Gone::Ended);
            self.local.disconnect(gone);
        }
    }

    fn poll_tasks(&mut self) {
        loop {
            let newcomers = self.local.newcomers();
            if self.tasks.is_none() && newcomers.is_empty() {
                break;
            }
            let Tasks { futures, waker } = self.tasks.get_or_insert_with(|| Tasks {
                futures: FuturesUnordered::new(),
                waker: self.shared.signal.waker(part::TASKS),
            });
            futures.extend(newcomers);
            match futures.poll_next_unpin(&mut Context::from_waker(waker)) {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
    }

    /// Polls, and turns a panic, which is the host's own fault, into the end of
    /// this cell alone.
    pub(crate) fn poll_contained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let span = mem::replace(&mut self.span, Span::none());
        let entered = span.enter();
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *self).poll(cx)));
        let polled = polled.unwrap_or_else(|panic| {
            let message = panic_text(&*panic).to_owned();
            let end = || self.finish(Err(Error::Panicked { message }));
            // What is dropped may panic again: then the cell was dropped.
            let _ = catch_unwind(AssertUnwindSafe(end));
            Poll::Ready(())
        });
        drop(entered);
        self.span = span;
        polled
    }

    /// Ends the cell: frees all that it holds, then says how it ended.
    fn finish(&mut self, result: Result<Exit, Error>) {
        self.stage = Stage::Done;
        self.connect = None;
        self.budget.stop();
        self.cut_off(why(&result));
        // Calls in flight have failed just now; those who made them may want
        // to say so.
        self.poll_tasks();
        self.release();
        self.tell(&result);
        if let Some(outcome) = self.outcome.take() {
            let rpc_error = self.rpc_error.take();
            outcome.tell(result.map(|exit| Exit { rpc_error, ..exit }));
        }
    }

    /// Of children at level DEBUG alone: a guest can have as many end as it likes, and
    /// their parent is told.
    fn tell(&self, result: &Result<Exit, Error>) {
        let is_child = self.shared.above().next().is_some();
        match result {
            Ok(exit) => tracing::debug!(code = exit.code, "exited"),
            // The host's own fault.
            Err(error @ Error::Panicked { .. }) => tracing::error!(%error, "ended"),
            Err(error @ Error::Trap { backtrace, .. }) if !backtrace.is_empty() => {
                // As a text, of which a line stays one in the log.
                match is_child {
                    true => tracing::debug!(%error, backtrace, "ended"),
                    false => tracing::warn!(%error, backtrace, "ended"),
                }
            }
            Err(error @ (Error::Trap { .. } | Error::Limit { .. })) if !is_child => {
                tracing::warn!(%error, "ended");
            }
            Err(error) => tracing::debug!(%error, "ended"),
        }
    }

    /// Frees the guest's memory and closes its ends of the pipes.
    fn free(&mut self) {
        self.guest = None;
        self.shared.freed();
    }

    /// Frees the guest, and breaks what it exported.
    fn cut_off(&mut self, why: Error) {
        self.free();
        self.local.disconnect(Gone::Ended(why));
    }

    fn release(&mut self) {
        self.local.close();
        let tasks = self.tasks.take();
        drop(tasks);
        self.shared.close();
    }
}

impl Future for Run {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let shared = this.shared.clone();
        let ticker = this.ticker.clone();
        let turn = ticker.turn();
        shared.signal.enter(cx.waker());
        let mut ready = shared.signal.take();
        if let Stage::New = this.stage {
            this.stage = Stage::Running;
            tracing::debug!("started");
            ready = part::ALL;
            this.budget.start(|| shared.signal.waker(part::WALL));
            if shared.is_killed() {
                this.finish(Err(Error::Killed));
                return Poll::Ready(());
            }
            // A guest that nothing interrupts does not start.
            if let Err(error) = ticker.start() {
                this.finish(Err(Error::Engine(Arc::new(error))));
                return Poll::Ready(());
            }
            if let Some(connect) = this.connect.take()
                && let Err(error) = connect(&this.local)
            {
                this.finish(Err(error));
                return Poll::Ready(());
            }
        }
        let rests = this.rest.sit_out() || this.local.nest().rests();
        let before = shared.meter.served();
        let served = || shared.meter.served() - before;
        let mut ended = false;
        for round in 1.. {
            if let Some(result) = this.round(ready, rests) {
                this.finish(result);
                ended = true;
                break;
            }
            // What was woken in the last round waits for another poll.
            if rests || round == ROUNDS || served() >= MESSAGES || turn.ticks() > 0 {
                break;
            }
            ready = shared.signal.take();
            if ready == 0 {
                break;
            }
        }
        let ticks = turn.ticks();
        this.met_tick = ticks > 0;
        if !rests {
            let lives = this.guest.is_some() || ended;
            this.rest.note_poll(&shared.signal, lives, ticks, served());
        }
        if ended {
            this.local.nest().rest(this.rest.owed());
            return Poll::Ready(());
        }
        shared.signal.leave();
        Poll::Pending
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let span = mem::replace(&mut self.span, Span::none());
        span.in_scope(|| {
            // The sender is taken last, when all is released.
            if self.outcome.is_some() {
                self.cut_off(Error::Dropped);
                self.release();
            }
            if !matches!(self.stage, Stage::Done) {
                tracing::debug!("dropped");
            }
        });
    }
}
