//! Connections on which nothing was said yet.

mod support;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use capnp::ErrorKind;
use futures::AsyncRead;
use futures_lite::{AsyncWriteExt, future};
use support::{Log, Pair, Slot, Wakes, echo, executor_of, pair, serve_host, settle, untyped};
use ww_rpc::peer_capnp::host;
use ww_rpc::{Limits, Side, Vat};

/// A vat alone that serves: what it reads, what it has written, and itself.
fn alone(log: &Log) -> (piper::Writer, piper::Reader, Vat) {
    let (reader, to_vat) = piper::pipe(1 << 16);
    let (from_vat, writer) = piper::pipe(1 << 16);
    let host = Some(untyped(serve_host(log)));
    let vat = Vat::new(reader, writer, Side::Client, host, Limits::default());
    (to_vat, from_vat, vat)
}

/// Of two vats that wait for one another, one is asked for its bootstrap.
#[test]
fn whichever_side_begins_both_are_heard() {
    let Pair {
        client,
        mut server,
        at_client,
        ..
    } = pair();
    let traffic = client.traffic();
    let mut client = Slot::new(client);
    settle(|cx| {
        client.poll(cx);
        assert!(Pin::new(&mut server).poll(cx).is_pending());
    });
    assert_eq!((traffic.bytes_in(), traffic.bytes_out()), (0, 0));

    let host: host::Client = server.bootstrap();
    let mut call = Slot::new(echo(&executor_of(&host), "hello"));
    let mut server = Slot::new(server);
    settle(|cx| {
        client.poll(cx);
        server.poll(cx);
        call.poll(cx);
    });
    assert_eq!(call.output.expect("answered").unwrap(), "Echo: hello");
    assert_eq!(*at_client.echoed.borrow(), ["hello"]);
}

/// What asks is woken where it was left waiting, and by nothing else.
#[test]
fn asking_wakes_a_vat_that_waits_for_its_peer() {
    let log = Log::default();
    let (_to_vat, said, mut vat) = alone(&log);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(&mut vat).poll(&mut cx).is_pending());
    let woken = || wakes.0.load(Ordering::Relaxed);
    assert_eq!(woken(), 0);
    let _host: host::Client = vat.bootstrap();
    assert_eq!(woken(), 1);
    settle(|cx| assert!(Pin::new(&mut vat).poll(cx).is_pending()));
    assert!(!said.is_empty());
}

/// A stream that fails as soon as it is read.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::Error::other("no such luck")))
    }
}

#[test]
fn an_end_before_the_first_word_is_an_end() {
    enum End {
        Closed,
        Drained,
        Dropped,
    }
    for end in [End::Closed, End::Drained, End::Dropped] {
        let log = Log::default();
        let (to_vat, _said, mut vat) = alone(&log);
        let mut polled = false;
        settle(|cx| polled = Pin::new(&mut vat).poll(cx).is_ready());
        assert!(!polled);
        match end {
            End::Dropped => drop(vat),
            End::Closed | End::Drained => {
                match end {
                    End::Closed => drop(to_vat),
                    _ => vat.drain(),
                }
                future::block_on(&mut vat).expect("nobody is to blame");
                let host: host::Client = vat.bootstrap();
                let late = future::block_on(echo(&executor_of(&host), "late"));
                let error = late.expect_err("it has ended");
                assert_eq!(error.kind, ErrorKind::Disconnected);
            }
        }
        assert_eq!(log.alive(), 0, "what it served is released");
    }
}

#[test]
fn an_end_inside_the_first_word_is_an_error() {
    let log = Log::default();
    let (mut to_vat, _said, vat) = alone(&log);
    future::block_on(to_vat.write_all(&[0; 3])).expect("in memory");
    drop(to_vat);
    let error = future::block_on(vat).expect_err("it is no message");
    assert!(error.extra.contains("inside a message"), "{error}");

    let (_from_vat, writer) = piper::pipe(1024);
    let vat = Vat::new(Broken, writer, Side::Client, None, Limits::default());
    let error = future::block_on(vat).expect_err("reading fails");
    assert!(error.extra.contains("no such luck"), "{error}");
}

#[test]
fn a_vat_that_is_dropped_between_the_question_and_the_next_poll_fails_the_call() {
    let log = Log::default();
    let (_to_vat, _said, mut vat) = alone(&log);
    settle(|cx| assert!(Pin::new(&mut vat).poll(cx).is_pending()));
    let host: host::Client = vat.bootstrap();
    let mut call = Slot::new(echo(&executor_of(&host), "lost"));
    drop(vat);
    settle(|cx| call.poll(cx));
    let error = call.output.expect("no hang").expect_err("nobody answers");
    assert_eq!(error.kind, ErrorKind::Disconnected);
    drop(host);
    assert_eq!(log.alive(), 0);
}
