use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};

use super::exit::Exit;
use super::shared::{Shared, part};
use super::state::State;
use crate::error::{Error, cause};
use crate::program::Place;
use crate::ticker::Ticker;
use crate::tier::Linked;
use crate::wasi;

/// Ticks for which a guest may run before it lets others.
const SLICE: u64 = 1;

/// Instantiates a program in its place, runs it to its end, and answers how it exited.
pub(crate) async fn run(
    place: Place,
    state: State,
    shared: Arc<Shared>,
    ticker: Arc<Ticker>,
) -> Result<Exit, Error> {
    let mut store = Store::new(place.linked.pre.engine(), state);
    let handles = store.data().handles();
    store.set_max_component_handles(handles);
    store.limiter(State::limiter);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| {
        if shared.is_killed() {
            return Err(wasmtime::Error::new(Error::Killed));
        }
        // The deadline may have passed while the guest was waiting, or while
        // it was others' turn.
        let ran = ticker.ticks() - shared.slice.load(Ordering::Relaxed);
        Ok(if ran < SLICE {
            UpdateDeadline::Continue(1)
        } else {
            UpdateDeadline::YieldCustom(1, Box::pin(Yield(Some(shared.clone()))))
        })
    });
    let result = call(&place.linked, &mut store).await;
    // However it ended, what it wrote is not lost.
    let outputs = store.data().outputs();
    let closing = outputs.map(|(stream, output)| (stream, output.close()));
    let output_error = closed(closing).await;
    Ok(Exit {
        code: result?,
        rpc_error: None,
        output_error,
    })
}

async fn call(program: &Linked, store: &mut Store<State>) -> Result<i32, Error> {
    let instance = match program.pre.instantiate_async(&mut *store).await {
        Ok(instance) => instance,
        Err(error) => return end(error, |error| Error::Instantiate(cause(error))),
    };
    let run = instance
        .get_typed_func::<(), (Result<(), ()>,)>(&mut *store, program.entry)
        .map_err(|error| error.context("its wasi:cli/run has another type than WASI says"))
        .map_err(|error| Error::Instantiate(cause(error)))?;
    match run.call_async(store, ()).await {
        Ok((status,)) => Ok(status.is_err().into()),
        Err(error) => end(error, trap),
    }
}

/// Waits for all of them, and answers the first error.
async fn closed<F>(closing: [(&'static str, F); 2]) -> Option<Error>
where
    F: Future<Output = io::Result<()>>,
{
    let mut failed = None;
    for (stream, closing) in closing {
        match closing.await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => {
                let source = Arc::new(error);
                failed.get_or_insert(Error::Stdio { stream, source });
            }
        }
    }
    failed
}

/// What ended the guest: its own exit, one of our own errors, or what `other`
/// makes of it.
fn end(error: wasmtime::Error, other: impl FnOnce(wasmtime::Error) -> Error) -> Result<i32, Error> {
    if let Some(exit) = error.downcast_ref::<wasi::Exit>() {
        return Ok(exit.0);
    }
    Err(match error.downcast_ref::<Error>() {
        Some(error) => error.clone(),
        None if error.is::<Trap>() => trap(error),
        None => other(error),
    })
}

fn trap(error: wasmtime::Error) -> Error {
    let backtrace = error
        .downcast_ref::<WasmBacktrace>()
        .map(|frames| format!("{frames}"))
        .unwrap_or_default();
    Error::Trap {
        message: error.root_cause().to_string(),
        backtrace,
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
