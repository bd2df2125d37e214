use std::future::Future;
use std::io;
use std::sync::Arc;

use wasmtime::Store;

use super::exit::Exit;
use super::shared::Shared;
use super::slice::Slice;
use super::state::State;
use super::trap;
use crate::error::{Error, cause};
use crate::program::Place;
use crate::ticker::Ticker;
use crate::tier::Linked;

/// Most bytes that a guest hands over in one host call, where its streams do
/// not take more. The host copies them, which nothing interrupts and which is
/// not counted as the guest's memory. More trap.
pub(crate) const HANDED_OVER: usize = 16 << 20;

/// Instantiates a program in its place, runs it to its end, and answers how it
/// exited.
///
/// The store is made before the future, which so holds a pointer to the state in
/// place of the state.
pub(crate) fn run(
    place: Place,
    state: State,
    shared: Arc<Shared>,
    ticker: Arc<Ticker>,
) -> impl Future<Output = Result<Exit, Error>> {
    let mut store = Store::new(place.linked.pre.engine(), state);
    let limits = *store.data().limits();
    store.set_max_component_handles(limits.handles);
    store.set_hostcall_fuel(HANDED_OVER.max(limits.stdio).max(limits.rpc_buffer));
    store.limiter(State::limiter);
    let slice = Slice::new(shared.clone(), ticker);
    store.call_hook_async(slice.clone());
    store.epoch_deadline_callback(move |_| slice.ticked());
    async move {
        // Dropped at any point from here on, the place outlives what is in it.
        // Before, nothing is.
        let place = place;
        let mut store = store;
        store.set_epoch_deadline(1);
        let result = call(&place.linked, &mut store, &shared).await;
        // Before its connection closes with the store.
        let _ = shared.end.set(match &result {
            Ok(code) => Error::Exited { code: *code },
            Err(error) => error.clone(),
        });
        // However it ended, what it wrote is not lost.
        let outputs = store.data().outputs();
        let closing = outputs.map(|(stream, output)| (stream, output.close()));
        // Whoever takes it may take it slowly.
        drop(store);
        shared.freed();
        drop(place);
        let output_error = closed(closing).await;
        Ok(Exit {
            code: result?,
            rpc_error: None,
            output_error,
        })
    }
}

async fn call(program: &Linked, store: &mut Store<State>, shared: &Shared) -> Result<i32, Error> {
    store.data_mut().started()?;
    let instance = match program.pre.instantiate_async(&mut *store).await {
        Ok(instance) => instance,
        Err(error) => {
            let growth = store.data_mut().take_refused();
            let limits = store.data().limits();
            return trap::unstarted(error, limits, shared.meter.refused(), growth);
        }
    };
    let run = instance
        .get_typed_func::<(), (Result<(), ()>,)>(&mut *store, program.entry)
        .map_err(|error| error.context("its wasi:cli/run has another type than WASI says"))
        .map_err(|error| Error::Instantiate(cause(error)))?;
    match run.call_async(&mut *store, ()).await {
        Ok((status,)) => Ok(status.is_err().into()),
        Err(error) => {
            let panic = store.data_mut().take_panic();
            trap::ended(error, store.data().limits(), shared.meter.refused(), panic)
        }
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
