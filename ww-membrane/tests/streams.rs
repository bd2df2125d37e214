//! Streaming calls across a membrane: their back-pressure, and their end.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use capnp::{Error, ErrorKind};
use futures::channel::oneshot;
use futures::future::maybe_done;
use futures_lite::future::{or, poll_once, yield_now, zip};
use support::*;
use ww_membrane::policies::{Allow, InFlight};
use ww_membrane::{Call, Membrane, Method, Methods, Policy, Reaper, Verdict};
use ww_rpc::peer_capnp::byte_stream;

/// Takes what is pushed, one at a time, when it is let.
#[derive(Clone, Default)]
struct Slow(Rc<Pushed>);

#[derive(Default)]
struct Pushed {
    taken: Cell<usize>,
    finished: Cell<bool>,
    gates: RefCell<Vec<oneshot::Sender<()>>>,
    dropped: Cell<usize>,
}

impl Slow {
    /// Lets so many pushes through that have begun.
    async fn let_through(&self, count: usize) {
        for _ in 0..count {
            until(|| !self.0.gates.borrow().is_empty()).await;
            let gate = self.0.gates.borrow_mut().remove(0);
            let _ = gate.send(());
        }
    }
}

struct Stream(Slow);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.0.dropped.set(self.0.0.dropped.get() + 1);
    }
}

impl byte_stream::Server for Stream {
    async fn push(self: Rc<Self>, _: byte_stream::PushParams) -> Result<(), Error> {
        let (gate, opened) = oneshot::channel();
        self.0.0.gates.borrow_mut().push(gate);
        let _ = opened.await;
        self.0.0.taken.set(self.0.0.taken.get() + 1);
        Ok(())
    }

    async fn finish(
        self: Rc<Self>,
        _: byte_stream::FinishParams,
        _: byte_stream::FinishResults,
    ) -> Result<(), Error> {
        self.0.0.finished.set(true);
        Ok(())
    }
}

fn slow() -> (Slow, byte_stream::Client) {
    let slow = Slow::default();
    (slow.clone(), capnp_rpc::new_client(Stream(slow)))
}

async fn push(stream: &byte_stream::Client, bytes: usize) -> Result<(), Error> {
    let mut request = stream.push_request();
    request.get().init_data(bytes as u32);
    request.send().await
}

async fn finish(stream: &byte_stream::Client) -> Result<(), Error> {
    stream.finish_request().send().promise.await.map(|_| ())
}

/// How many pushes of 8 KiB are accepted before one has to wait, while none is
/// taken.
async fn accepted(stream: &byte_stream::Client) -> usize {
    for count in 0..1000 {
        let mut pushed = Box::pin(push(stream, 8 << 10));
        let mut ready = false;
        for _ in 0..20 {
            ready |= poll_once(&mut pushed).await.is_some();
            if ready {
                break;
            }
            yield_now().await;
        }
        if !ready {
            return count;
        }
    }
    1000
}

#[test]
fn back_pressure_is_that_of_the_same_stream_without_a_membrane() {
    let plain = Rc::new(Cell::new(0));
    let remote = plain.clone();
    connected(slow().1, |stream| async move {
        remote.set(accepted(&stream).await)
    });
    assert!((4..100).contains(&plain.get()), "{}", plain.get());
    for transport in TRANSPORTS {
        let expected = match transport {
            // There is no latency to make up for.
            Transport::Local => 0,
            Transport::Exported | Transport::Imported => plain.get(),
        };
        let membrane = Membrane::ungated();
        over(transport, &membrane, slow().1, |stream| async move {
            assert_eq!(accepted(&stream).await, expected, "{transport:?}");
        });
    }
}

#[test]
fn room_in_the_window_wakes_everybody_who_waits_for_it() {
    let (slow, stream) = slow();
    over(
        Transport::Imported,
        &Membrane::ungated(),
        stream,
        |stream| async move {
            let full = accepted(&stream).await;
            let first = push(&stream, 1);
            let second = push(&stream, 1);
            let taking = slow.let_through(full + 3);
            let (first, (second, ())) = zip(first, zip(second, taking)).await;
            first.unwrap();
            second.unwrap();
            finish(&stream).await.unwrap();
            assert!(slow.0.finished.get());
            assert_eq!(slow.0.taken.get(), full + 3);
        },
    );
}

/// Denies pushes while it is shut, and says what is known of the method.
struct Gate {
    shut: Rc<Cell<bool>>,
    knows: bool,
}

impl Policy for Gate {
    fn inbound(&self, call: &Call) -> Verdict {
        if self.shut.get() && call.method() == 3 {
            return Verdict::deny(Error::failed("shut".into()));
        }
        Verdict::pass()
    }

    fn method(&self, _: &Call) -> Option<Method> {
        self.knows
            .then(|| Method::of(byte_stream::Client::push_request).unwrap())
    }
}

#[test]
fn a_denied_push_ends_its_stream_for_good() {
    for transport in TRANSPORTS {
        for knows in [false, true] {
            let case = format!("{transport:?}, knows: {knows}");
            let (slow, stream) = slow();
            let shut = Rc::new(Cell::new(true));
            let gate = Gate {
                shut: shut.clone(),
                knows,
            };
            let membrane = Membrane::policed(gate);
            over(transport, &membrane, stream, |stream| async move {
                // Over a connection the caller hears of it by a later call.
                let mut denied = push(&stream, 1).await;
                for _ in 0..50 {
                    if denied.is_err() {
                        break;
                    }
                    yield_now().await;
                    denied = push(&stream, 1).await;
                }
                assert!(denied.unwrap_err().extra.contains("shut"), "{case}");
                // The one that said so has been sent all the same.
                for _ in 0..50 {
                    yield_now().await;
                }
                shut.set(false);
                // Where nothing tells that the call streamed, it is denied
                // alone.
                let sticks = knows || !matches!(transport, Transport::Exported);
                let finished = finish(&stream).await;
                assert_eq!(finished.is_err(), sticks, "{case}");
                assert_eq!(slow.0.finished.get(), !sticks, "{case}");
                assert_eq!(slow.0.taken.get(), 0, "{case}");
            });
        }
    }
}

#[test]
fn an_allowlist_ends_the_stream_of_a_push_that_it_knows_of() {
    for transport in TRANSPORTS {
        let (slow, stream) = slow();
        let methods = Methods::new().method(byte_stream::Client::push_request);
        let allow = Allow::new().method(byte_stream::Client::finish_request);
        let membrane = Membrane::policed((methods, allow));
        over(transport, &membrane, stream, |stream| async move {
            let _ = push(&stream, 1).await;
            let error = finish(&stream).await.unwrap_err();
            assert!(
                error.extra.contains("not allowed"),
                "{transport:?}: {error}"
            );
            assert!(!slow.0.finished.get());
        });
    }
}

#[test]
fn revoking_ends_a_stream_and_takes_back_what_was_under_way() {
    for (transport, nested) in TRANSPORTS.into_iter().flat_map(|t| [(t, false), (t, true)]) {
        let case = format!("{transport:?}, nested: {nested}");
        let (slow, stream) = slow();
        let membrane = Membrane::ungated();
        let by_hand = membrane.clone();
        let outer = Membrane::ungated();
        over(transport, &membrane, stream, |stream| async move {
            let stream = match nested {
                true => outer.wrap(stream),
                false => stream,
            };
            // Either way the one that falls is the outermost.
            let by_hand = if nested { outer } else { by_hand };
            let mut pushes = Box::pin(maybe_done(zip(push(&stream, 1), push(&stream, 1))));
            while slow.0.gates.borrow().is_empty() {
                let _ = poll_once(&mut pushes).await;
                yield_now().await;
            }
            by_hand.revoke(Error::disconnected("fell".into()));
            // Calls in flight are over, wherever they were.
            for _ in 0..100 {
                let _ = poll_once(&mut pushes).await;
                yield_now().await;
            }
            let gates = slow.0.gates.take();
            for gate in gates {
                assert!(gate.send(()).is_err(), "{case}: goes on");
            }
            let _ = push(&stream, 1).await;
            let error = finish(&stream).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Disconnected, "{case}: {error}");
            assert_eq!(slow.0.taken.get(), 0, "{case}");
            assert!(!slow.0.finished.get(), "{case}");
        });
    }
}

#[test]
fn what_was_pushed_arrives_though_the_stream_is_dropped() {
    let (slow, stream) = slow();
    let membrane = Membrane::ungated();
    let held = membrane.clone();
    over(
        Transport::Imported,
        &membrane,
        stream,
        |stream| async move {
            let work = async {
                for _ in 0..3 {
                    push(&stream, 1).await.unwrap();
                }
                drop(stream);
                slow.let_through(3).await;
                until(|| slow.0.taken.get() == 3).await;
                // The reaper lets go of what is over.
                until(|| held.held() == 0).await;
            };
            or(work, async {
                Reaper::new().await;
            })
            .await;
        },
    );
}

#[test]
fn pushes_that_are_over_are_not_in_flight() {
    let (slow, stream) = slow();
    let limit = InFlight::new(2);
    let membrane = Membrane::policed(limit.clone());
    over(
        Transport::Imported,
        &membrane,
        stream,
        |stream| async move {
            for _ in 0..5 {
                push(&stream, 1).await.unwrap();
                slow.let_through(1).await;
                until(|| limit.count() < 2 || slow.0.taken.get() > 0).await;
                // The answer is on its way.
                for _ in 0..20 {
                    yield_now().await;
                }
            }
            finish(&stream).await.unwrap();
            assert_eq!(slow.0.taken.get(), 5);
        },
    );
}
