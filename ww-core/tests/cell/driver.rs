//! Dropping a driver, at every stage, frees all that its cells hold; and a
//! driver whose cells wait is left alone.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite, FutureExt};
use ww_core::Error;
use ww_core::cell::{Builder, Driver, Input, Local, Output};
use ww_core::clock::Virtual;
use ww_core::network::Offline;
use ww_core::session::Wetware;
use ww_membrane::{Admission, Epoch, Epochs, SessionContext, SessionExtensionBuilder, membrane};
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::executor;

use crate::patience::patiently;
use crate::stage::{Echo, RUNTIME, Token, Wakes, guest};

/// An end of a stream that holds a token.
struct Held {
    _token: Token,
}

impl Held {
    fn new(token: &Token) -> Self {
        Self {
            _token: token.clone(),
        }
    }
}

impl AsyncRead for Held {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(0))
    }
}

impl AsyncWrite for Held {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Calls a bare capability.
fn caller(token: &Token) -> Builder {
    let (captured, served) = (token.clone(), token.clone());
    guest("caller")
        .args(["flight", "64", "64", "4"])
        .bootstrap(move |_| {
            drop(captured);
            Ok(Echo::client(served))
        })
}

/// Grafts, calls through the membrane, and runs a child.
fn pid0(token: &Token) -> Builder {
    let token = token.clone();
    guest("pid0").bootstrap(move |local| {
        let wetware = Wetware::new(local, &RUNTIME, Arc::new(Offline::new()));
        let grant = move |session: &SessionContext, extension: wetware_session::Builder<'_>| {
            let _held = token.clone();
            wetware.build(session, extension)
        };
        let epochs = Epochs::new(Epoch::default());
        let client = membrane::<wetware_session::Owned>(epochs, Admission::open(), grant);
        Ok(client)
    })
}

/// Is called, through what it exports.
fn exporter(token: &Token) -> Builder {
    let token = token.clone();
    guest("exporter").bootstrap(|_| Ok(Echo::client(token)))
}

/// Drives for `turns` polls. Whether that was to the end.
async fn drive(driver: &mut Driver, mut turns: usize) -> bool {
    poll_fn(|cx| {
        if turns == 0 {
            return Poll::Ready(false);
        }
        turns -= 1;
        match Pin::new(&mut *driver).poll(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if turns == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

thread_local! {
    /// What a cell exported, held by somebody who outlives it.
    static EXPORTED: RefCell<Option<executor::Client>> = const { RefCell::new(None) };
}

#[test]
fn dropping_a_driver_at_every_stage_frees_everything() {
    for (name, builder) in [
        ("caller", caller as fn(&Token) -> Builder),
        ("pid0", pid0),
        ("exporter", exporter),
    ] {
        for turns in 0.. {
            assert!(turns < 1000, "{name} does not end");
            if patiently(dropped_after(builder, turns)) {
                assert!(turns > 0);
                break;
            }
        }
    }
}

/// Drops a cell's driver after some turns, and looks at what is left. Whether
/// the cell had ended before.
async fn dropped_after(builder: fn(&Token) -> Builder, turns: usize) -> bool {
    let token = Token::default();
    let (cell, start) = builder(&token)
        .stdin(Input::reader(Held::new(&token)))
        .stdout(Output::writer(Held::new(&token)))
        .prepare()
        .await
        .expect("it is ready");
    let held = token.clone();
    let task = cell.with(async move |local: Local| {
        let _held = held.clone();
        local.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        EXPORTED.set(Some(local.exported()));
        pending::<Result<(), Error>>().await
    });
    let mut driver = start.drive();
    let ended = drive(&mut driver, turns).await;
    drop(driver);

    // At once, not at some later turn: nothing polls for the cell any more.
    let exit = cell.wait().now_or_never().expect("there is an answer");
    match exit {
        // Its driver may have to sit out what it had still to sit out, or its children.
        Ok(exit) => assert!(exit.success(), "{turns}"),
        Err(Error::Dropped) => assert!(!ended, "{turns}"),
        Err(error) => panic!("after {turns} turns: {error}"),
    }
    let task = task.now_or_never().expect("the task has an answer");
    assert!(matches!(task, Err(Error::Ended { .. })));
    if let Some(exported) = EXPORTED.take() {
        let error = exported.echo_request().send().promise.await.err();
        let kind = error.map(|error| error.kind);
        assert_eq!(kind, Some(capnp::ErrorKind::Disconnected), "{turns}");
    }
    assert!(!token.is_held_elsewhere(), "after {turns} turns");
    assert_eq!(cell.usage().memory, 0, "after {turns} turns");
    ended
}

/// A driver whose cell waits is not woken: not by the interruption of others,
/// not by a clock, not by itself.
#[test]
fn a_cell_that_waits_is_left_alone() {
    let clock = Virtual::new();
    let idle = || guest("exporter").clock(clock.clone()).stdin(Input::piped());
    let (cell, start) = patiently(idle().prepare()).unwrap();
    let (beside, other) = patiently(guest("echo-child").stdin(Input::piped()).prepare()).unwrap();
    let (wakes, mut driver) = (Arc::new(Wakes::default()), start.drive());
    let (other_wakes, mut other) = (Arc::new(Wakes::default()), other.drive());
    assert!(wakes.settle(&mut driver).is_pending());
    assert!(other_wakes.settle(&mut other).is_pending());
    let before = (wakes.count(), other_wakes.count());
    let busy = (cell.usage().busy, beside.usage().busy);

    // Others live and die on the same runtime meanwhile, and hours go by.
    for _ in 0..50 {
        patiently(async {
            let neighbour = guest("hello").spawn().await.unwrap();
            neighbour.wait().await.unwrap();
        });
        clock.advance(Duration::from_secs(3600));
    }
    assert_eq!((wakes.count(), other_wakes.count()), before);
    assert!(clock.is_idle(), "a cell that waits holds no timer");
    assert_eq!((cell.usage().busy, beside.usage().busy), busy);

    drop(cell.take_stdin());
    assert_eq!(wakes.count(), before.0 + 1);
    assert!(wakes.settle(&mut driver).is_ready());
    assert_eq!(patiently(cell.wait()).unwrap().code(), 0);
}
