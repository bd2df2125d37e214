use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi_io::IoView;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use crate::cell::State;
use crate::pipe;
use crate::wasi::{FromPipe, ToPipe};

/// The resource `connection` of `wetware:streams`. Each direction is there
/// until the guest takes it.
struct Streams {
    incoming: Option<pipe::Reader>,
    outgoing: Option<pipe::Writer>,
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut streams = linker.instance("wetware:streams/streams@0.1.0")?;
    streams.resource(
        "connection",
        ResourceType::host::<Streams>(),
        |mut store, rep| {
            let streams = Resource::<Streams>::new_own(rep);
            store.data_mut().table().delete(streams)?;
            Ok(())
        },
    )?;
    streams.func_wrap("create-connection", create)?;
    streams.func_wrap("[method]connection.get-input-stream", input)?;
    streams.func_wrap("[method]connection.get-output-stream", output)
}

fn create(mut store: StoreContextMut<'_, State>, (): ()) -> wasmtime::Result<(Resource<Streams>,)> {
    let (incoming, outgoing) = store.data_mut().connection().take()?;
    let streams = Streams {
        incoming: Some(incoming),
        outgoing: Some(outgoing),
    };
    Ok((store.data_mut().table().push(streams)?,))
}

fn input(
    mut store: StoreContextMut<'_, State>,
    (streams,): (Resource<Streams>,),
) -> wasmtime::Result<(Resource<DynInputStream>,)> {
    let table = store.data_mut().table();
    let Some(incoming) = table.get_mut(&streams)?.incoming.take() else {
        return Err(wasmtime::Error::msg(
            "the connection's input stream was taken before",
        ));
    };
    let stream: DynInputStream = Box::new(FromPipe(Arc::new(incoming)));
    Ok((table.push(stream)?,))
}

fn output(
    mut store: StoreContextMut<'_, State>,
    (streams,): (Resource<Streams>,),
) -> wasmtime::Result<(Resource<DynOutputStream>,)> {
    let table = store.data_mut().table();
    let Some(outgoing) = table.get_mut(&streams)?.outgoing.take() else {
        return Err(wasmtime::Error::msg(
            "the connection's output stream was taken before",
        ));
    };
    let stream: DynOutputStream = Box::new(ToPipe(Arc::new(outgoing)));
    Ok((table.push(stream)?,))
}
