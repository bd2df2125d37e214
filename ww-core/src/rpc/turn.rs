use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, Lower, Resource, ResourceType, WasmList};
use wasmtime_wasi_io::IoView;
use wasmtime_wasi_io::bindings::wasi::io::poll::Host as _;

use crate::cell::State;
use crate::pipe;
use crate::wasi::{Pollables, pollables};

/// The most bytes that one turn hands to the guest: more than the largest read
/// of a stream and what goes with it.
const MOST: usize = 128 << 10;

/// A guest that hands over so many bytes at once may have more, for which it has no
/// room itself.
const FULL: usize = 256 << 10;

/// The resource `connection` of `wetware:turn`.
struct Ends {
    incoming: pipe::Reader,
    outgoing: pipe::Writer,
    /// The guest was told that the host has closed, so that is no news, and
    /// nothing to end a wait with, any more.
    told: AtomicBool,
}

/// The record of the same name.
#[derive(ComponentType, Lower)]
#[component(record)]
struct Outcome {
    accepted: u32,
    incoming: Vec<u8>,
    ready: Option<Vec<u32>>,
    closed: bool,
}

type Turn = (Resource<Arc<Ends>>, WasmList<u8>, Pollables, bool);

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("wetware:turn/turn@0.1.0")?;
    instance.resource(
        "connection",
        ResourceType::host::<Arc<Ends>>(),
        |mut store, rep| {
            let ends = Resource::<Arc<Ends>>::new_own(rep);
            store.data_mut().table().delete(ends)?;
            Ok(())
        },
    )?;
    instance.func_wrap("[constructor]connection", connect)?;
    instance.func_wrap("[method]connection.write", write)?;
    instance.func_wrap(
        "panicked",
        |mut store: StoreContextMut<'_, State>, (message,): (String,)| {
            store.data_mut().panicked(&message);
            Ok(())
        },
    )?;
    instance.func_wrap_async("[method]connection.turn", |store, params: Turn| {
        Box::new(turn(store, params))
    })?;
    instance.func_wrap_async("[method]connection.finish", |store, params| {
        Box::new(finish(store, params))
    })
}

fn connect(
    mut store: StoreContextMut<'_, State>,
    (): (),
) -> wasmtime::Result<(Resource<Arc<Ends>>,)> {
    let (incoming, outgoing) = store.data_mut().connection().take()?;
    let ends = Arc::new(Ends {
        incoming,
        outgoing,
        told: AtomicBool::new(false),
    });
    Ok((store.data_mut().table().push(ends)?,))
}

async fn turn(
    mut store: StoreContextMut<'_, State>,
    (connection, outgoing, list, wait): Turn,
) -> wasmtime::Result<(Outcome,)> {
    let pollables = pollables(&mut store, &list)?;
    let ends = store.data_mut().table().get(&connection)?.clone();
    let bytes = outgoing.as_le_slice(&store);
    let mut accepted = ends.write(bytes);
    let stuck = accepted == 0 && !bytes.is_empty();
    let room = accepted > 0 && (accepted < bytes.len() || bytes.len() >= FULL);
    let wait = wait && !room;

    let mut ready = None;
    if pollables.is_empty() {
        poll_fn(|cx| {
            if ends.poll(cx, stuck).is_ready() || ends.told() || !wait {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    } else {
        let mut polling = pin!(store.data_mut().table().poll(pollables));
        poll_fn(|cx| {
            let polled = match polling.as_mut().poll(cx) {
                Poll::Ready(Ok(indices)) => {
                    ready = Some(indices);
                    true
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => false,
            };
            if ends.poll(cx, stuck).is_ready() || polled || !wait {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        })
        .await?;
    }

    if stuck {
        accepted = ends.write(outgoing.as_le_slice(&store));
    }
    let incoming = ends.incoming.drain(MOST);
    let closed = ends.incoming.is_finished();
    if closed {
        ends.told.store(true, Ordering::Relaxed);
    }
    let outcome = Outcome {
        accepted: u32::try_from(accepted).unwrap_or(u32::MAX),
        incoming,
        ready,
        closed,
    };
    Ok((outcome,))
}

fn write(
    mut store: StoreContextMut<'_, State>,
    (connection, outgoing): (Resource<Arc<Ends>>, WasmList<u8>),
) -> wasmtime::Result<(u32,)> {
    let ends = store.data_mut().table().get(&connection)?.clone();
    let accepted = ends.write(outgoing.as_le_slice(&store));
    Ok((u32::try_from(accepted).unwrap_or(u32::MAX),))
}

async fn finish(
    mut store: StoreContextMut<'_, State>,
    (connection, outgoing): (Resource<Arc<Ends>>, WasmList<u8>),
) -> wasmtime::Result<()> {
    let ends = store.data_mut().table().get(&connection)?.clone();
    let mut written = 0;
    loop {
        let left = &outgoing.as_le_slice(&store)[written..];
        written += ends.write(left);
        if written == outgoing.len() || ends.outgoing.writable().await.is_err() {
            return Ok(());
        }
    }
}

impl Ends {
    /// How many of `bytes` there was room for. What nobody will read any more
    /// is as good as written.
    fn write(&self, bytes: &[u8]) -> usize {
        self.outgoing.try_write(bytes).unwrap_or(bytes.len())
    }

    fn told(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }

    /// Ready when bytes have arrived, when the host's end is news, and, where
    /// the guest's bytes are `stuck`, when there is room for some.
    fn poll(&self, cx: &mut Context<'_>, stuck: bool) -> Poll<()> {
        let arrived = !self.told() && self.incoming.poll_readable(cx).is_ready();
        let room = stuck && self.outgoing.poll_writable(cx).is_ready();
        if arrived || room {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}
