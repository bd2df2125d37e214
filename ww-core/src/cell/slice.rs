use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures::FutureExt;
use wasmtime::{CallHook, CallHookHandler, StoreContextMut, UpdateDeadline};

use super::shared::{Shared, part};
use super::state::State;
use crate::error::Error;
use crate::ticker::Ticker;

/// Ticks for which a guest may run before it lets others.
const TICKS: u64 = 1;

/// How long a guest may run at a time, and where it is interrupted: at the entry of
/// each function and each turn of a loop by its own code, which looks at the engine's
/// epoch, and after each host call. Code that calls the host one time after the other
/// enters no function and turns in no loop, and a call may copy
/// [much](super::HANDED_OVER).
#[derive(Clone)]
pub(super) struct Slice {
    shared: Arc<Shared>,
    ticker: Arc<Ticker>,
}

impl Slice {
    pub(super) fn new(shared: Arc<Shared>, ticker: Arc<Ticker>) -> Self {
        Self { shared, ticker }
    }

    /// What the guest does at an interruption tick that found it running.
    pub(super) fn ticked(&self) -> wasmtime::Result<UpdateDeadline> {
        Ok(match self.over()? {
            None => UpdateDeadline::Continue(1),
            Some(turn) => UpdateDeadline::YieldCustom(1, Box::pin(turn)),
        })
    }

    /// The turn of others that is due, if it is.
    ///
    /// # Errors
    ///
    /// The cell was killed.
    fn over(&self) -> wasmtime::Result<Option<Yield>> {
        if self.shared.is_killed() {
            return Err(wasmtime::Error::new(Error::Killed));
        }
        // The tick may have come while the guest was waiting, or while it was
        // others' turn.
        let ran = self.ticker.ticks() - self.shared.slice.load(Ordering::Relaxed);
        if ran < TICKS {
            return Ok(None);
        }
        self.shared.meter.interrupted();
        Ok(Some(Yield(Some(self.shared.clone()))))
    }
}

/// As the trait's macro has it, but for a future that takes no memory where there is
/// nothing to wait for, as after nearly all calls.
impl CallHookHandler<State> for Slice {
    fn handle_call_event<'a, 'b, 'f>(
        &'a self,
        _: StoreContextMut<'b, State>,
        event: CallHook,
    ) -> Pin<Box<dyn Future<Output = wasmtime::Result<()>> + Send + 'f>>
    where
        'a: 'f,
        'b: 'f,
        Self: 'f,
    {
        if !matches!(event, CallHook::ReturningFromHost) {
            return Box::pin(GoOn);
        }
        match self.over() {
            Ok(None) => Box::pin(GoOn),
            Ok(Some(turn)) => Box::pin(turn.map(Ok)),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

/// Nothing to wait for.
struct GoOn;

impl Future for GoOn {
    type Output = wasmtime::Result<()>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
    }
}

/// Waits for one turn of the executor, and tells the cell why.
struct Yield(Option<Arc<Shared>>);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.0.take() {
            None => Poll::Ready(()),
            Some(shared) => {
                shared.signal.raise(part::YIELD);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
