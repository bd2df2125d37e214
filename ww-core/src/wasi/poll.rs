use wasmtime::component::{Linker, Resource, ResourceTableError, WasmList};
use wasmtime::{AsContextMut, StoreContextMut};
use wasmtime_wasi_io::IoView;
use wasmtime_wasi_io::bindings::wasi::io::poll::Host as _;
use wasmtime_wasi_io::poll::DynPollable;

/// A list of pollables as it lies in the guest.
pub(crate) type Pollables = WasmList<Resource<DynPollable>>;

/// Defines `poll` of `wasi:io/poll` anew, with a bound on its list.
pub(super) fn add_to_linker<T: IoView + Send + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut poll = linker.instance("wasi:io/poll@0.2.12")?;
    poll.func_wrap_async(
        "poll",
        |mut store: StoreContextMut<'_, T>, (list,): (Pollables,)| {
            Box::new(async move {
                let pollables = pollables(&mut store, &list)?;
                Ok((store.data_mut().table().poll(pollables).await?,))
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// What is in a list, which has no more entries than the cell may have handles.
///
/// A longer one repeats some. That of itself takes no handles where they were
/// lent to the component, but it takes the host as long as the list is.
pub(crate) fn pollables<T: IoView + 'static>(
    store: &mut StoreContextMut<'_, T>,
    list: &Pollables,
) -> wasmtime::Result<Vec<Resource<DynPollable>>> {
    if list.len() > store.data_mut().table().max_capacity() {
        return Err(ResourceTableError::Full.into());
    }
    list.iter(store.as_context_mut())?.collect()
}
