//! Advancing the epoch while threads hold sessions and call through them.

mod support;

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use capnp::Error;
use futures::channel::mpsc as channel;
use futures::stream;
use futures_lite::future::{block_on, poll_once, zip};
use support::*;
use ww_membrane::{
    Admission, Epochs, Error as MembraneError, Fall, Membrane, Reaper, SessionContext, membrane,
};
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::host;
use ww_rpc::stem_capnp::membrane as wire;

type Client = wire::Client<wetware_session::Owned>;

/// A membrane whose sessions have a host, and the sessions' own membranes.
fn serve(epochs: &Epochs, seen: &Seen) -> (Client, mpsc::Receiver<Membrane>) {
    let (opened, sessions) = mpsc::channel();
    let seen = seen.clone();
    let grant = move |session: &SessionContext, mut ext: wetware_session::Builder<'_>| {
        ext.set_host(peer(&seen));
        let _ = opened.send(session.membrane().clone());
        Ok(())
    };
    (membrane(epochs.clone(), Admission::open(), grant), sessions)
}

async fn graft(client: &Client) -> Result<host::Client, Error> {
    let answer = client.graft_request().send().promise.await?;
    answer.get()?.get_session()?.get_extension()?.get_host()
}

#[test]
fn ten_thousand_sessions_end_in_one_turn_of_each_worker() {
    const WORKERS: usize = 4;
    const EACH: usize = 2500;
    let epochs = Epochs::new(epoch(1));
    // Twice: when all hold their sessions, and when the epoch has passed.
    let step = Arc::new(Barrier::new(WORKERS + 1));
    let work = |epochs: Epochs, step: Arc<Barrier>| {
        let seen = Seen::default();
        let (client, opened) = serve(&epochs, &seen);
        let mut reaper = Reaper::new();
        block_on(async {
            let mut sessions = Vec::new();
            let mut pending = Vec::new();
            for _ in 0..EACH {
                let host = graft(&client).await.unwrap();
                let mut call = host.addrs_request().send().promise;
                assert!(poll_once(&mut call).await.is_none());
                pending.push(call);
                sessions.push(host);
            }
            assert!(poll_once(&mut reaper).await.is_none());
            assert_eq!((seen.waiting.get(), seen.dropped.get()), (EACH, 0));
            step.wait();
            step.wait();

            // One turn, of nobody but the reaper.
            assert!(poll_once(&mut reaper).await.is_none());
            assert_eq!((seen.waiting.get(), seen.dropped.get()), (0, EACH));
            let stale = Fall::Epoch {
                issued: 1,
                current: 2,
            };
            for ((session, host), call) in opened.try_iter().zip(&sessions).zip(pending) {
                assert_eq!(session.fall(), Some(stale.clone()));
                assert_eq!(session.authority().held, []);
                assert_stale(call.await.map(drop), "in flight");
                assert_stale(id(host).await, "after");
            }
            let fresh = graft(&client).await.unwrap();
            assert_eq!(id(&fresh).await.unwrap(), b"peer");
        });
    };
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (epochs, step) = (epochs.clone(), step.clone());
            thread::spawn(move || work(epochs, step))
        })
        .collect();
    step.wait();
    let settled = epochs.settled(2);
    epochs.advance(epoch(2)).unwrap();
    step.wait();
    block_on(settled);
    for worker in workers {
        worker.join().unwrap();
    }
}

/// Whoever reads the number of an epoch for which `advance` has returned, and
/// makes a call only then, is denied; on every thread, at any moment.
#[test]
fn no_call_of_an_older_session_is_admitted_once_advance_has_returned() {
    const EPOCHS: u64 = 300;
    let epochs = Epochs::new(epoch(0));
    let returned = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let work = |epochs: Epochs, returned: Arc<AtomicU64>, done: Arc<AtomicBool>| {
        let seen = Seen::default();
        let (client, opened) = serve(&epochs, &seen);
        let (mut admitted, mut denied) = (0_u64, 0_u64);
        block_on(async {
            while !done.load(Ordering::Acquire) {
                // An advance may come in between.
                let Ok(host) = graft(&client).await else {
                    continue;
                };
                let session = opened.try_iter().last().unwrap();
                let issued = session.authority().epoch.unwrap();
                loop {
                    let passed = returned.load(Ordering::Acquire) > issued;
                    let before = seen.calls.get();
                    match id(&host).await {
                        Ok(_) => {
                            assert!(!passed, "a call of epoch {issued} was admitted");
                            admitted += 1;
                        }
                        Err(error) => {
                            assert!(error.extra.starts_with("staleEpoch"), "{error}");
                            if passed {
                                assert_eq!(seen.calls.get(), before, "it was executed");
                            }
                            denied += 1;
                            break;
                        }
                    }
                    if done.load(Ordering::Acquire) {
                        break;
                    }
                }
            }
        });
        (admitted, denied)
    };
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let (epochs, returned, done) = (epochs.clone(), returned.clone(), done.clone());
            thread::spawn(move || work(epochs, returned, done))
        })
        .collect();
    for seq in 1..=EPOCHS {
        epochs.advance(epoch(seq)).unwrap();
        returned.store(seq, Ordering::Release);
        thread::yield_now();
    }
    // Some may not have had their turn yet; they get it now.
    let (old, seen) = (Membrane::new(epochs.guard()), Seen::default());
    let host = old.wrap(peer(&seen));
    assert!(block_on(id(&host)).is_ok());
    epochs.advance(epoch(EPOCHS + 1)).unwrap();
    assert_stale(block_on(id(&host)), "here");
    done.store(true, Ordering::Release);
    for worker in workers {
        worker.join().unwrap();
    }
}

struct Wakes(AtomicU64);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn epochs_follow_a_stream_to_its_end() {
    let epochs = Epochs::new(epoch(1));
    let (source, heads) = channel::unbounded();
    let mut following = pin!(epochs.follow(heads));
    let membrane = Membrane::new(epochs.guard());
    let host = membrane.wrap(peer(&Seen::default()));
    block_on(async {
        assert!(poll_once(&mut following).await.is_none());
        assert!(id(&host).await.is_ok());
        // The current one is passed over, gaps are allowed.
        for seq in [1, 2, 2, 7] {
            source.unbounded_send(epoch(seq)).unwrap();
        }
        assert!(poll_once(&mut following).await.is_none());
        assert_eq!(epochs.current(), epoch(7));
        assert_stale(id(&host).await, "followed");
        drop(source);
        assert_eq!(following.await, Ok(()));
        assert_eq!(epochs.seq(), 7);
    });
}

#[test]
fn an_epoch_that_does_not_follow_ends_the_following() {
    for (wrong, offered) in [
        (epoch(6), 6),
        (
            ww_membrane::Epoch {
                head: vec![0],
                ..epoch(7)
            },
            7,
        ),
    ] {
        let epochs = Epochs::new(epoch(7));
        let heads = stream::iter([wrong, epoch(8)]);
        let outcome = block_on(epochs.follow(heads));
        let current = 7;
        assert_eq!(outcome, Err(MembraneError::Advance { current, offered }));
        assert_eq!(epochs.current(), epoch(7), "nothing has changed");
        // Whoever follows again goes on.
        assert_eq!(block_on(epochs.follow(stream::iter([epoch(8)]))), Ok(()));
        assert_eq!(epochs.seq(), 8);
    }
}

#[test]
fn a_stream_that_never_waits_leaves_others_their_turn() {
    let epochs = Epochs::new(epoch(0));
    let heads = stream::iter((1..=1000).map(|seq| ww_membrane::Epoch {
        seq,
        ..Default::default()
    }));
    let mut following = pin!(epochs.follow(heads));
    let wakes = Arc::new(Wakes(AtomicU64::new(0)));
    let waker = Waker::from(wakes.clone());
    let mut turns = 0;
    let mut last = 0;
    while following
        .as_mut()
        .poll(&mut Context::from_waker(&waker))
        .is_pending()
    {
        turns += 1;
        assert_eq!(wakes.0.load(Ordering::SeqCst), turns, "it asks for more");
        assert!(
            epochs.seq() - last <= 100,
            "{} in a turn",
            epochs.seq() - last
        );
        last = epochs.seq();
    }
    assert!(turns >= 10, "{turns}");
    assert_eq!(epochs.seq(), 1000);
}

#[test]
fn a_source_may_live_on_another_thread() {
    let epochs = Epochs::new(epoch(1));
    let (source, heads) = channel::unbounded();
    let driver = thread::spawn({
        let epochs = epochs.clone();
        move || block_on(epochs.follow(heads))
    });
    let membrane = Membrane::new(epochs.guard());
    block_on(async {
        let host = membrane.wrap(peer(&Seen::default()));
        let send = async { source.unbounded_send(epoch(2)).unwrap() };
        let (fall, ()) = zip(membrane.fallen(), send).await;
        let stale = Fall::Epoch {
            issued: 1,
            current: 2,
        };
        assert_eq!(fall, stale);
        assert_stale(id(&host).await, "followed");
    });
    drop(source);
    assert_eq!(driver.join().unwrap(), Ok(()));
}

#[test]
fn one_that_waits_for_the_fall_is_woken_once_and_lets_go() {
    let (epochs, membrane) = standing();
    let wakes = Arc::new(Wakes(AtomicU64::new(0)));
    let waker = Waker::from(wakes.clone());
    let mut kept = Box::pin(membrane.fallen());
    let mut dropped = Box::pin(membrane.fallen());
    for waiting in [&mut kept, &mut dropped] {
        let polled = waiting.as_mut().poll(&mut Context::from_waker(&waker));
        assert_eq!(polled, Poll::Pending);
    }
    drop(dropped);
    epochs.advance(epoch(2)).unwrap();
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    let polled = kept.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_ready());
}

/// Has an epoch pass, and is the first to notice.
struct Noticing {
    epochs: Epochs,
    lent: host::Client,
    seen: Seen,
    /// What had been dropped by then.
    dropped: Rc<Cell<Option<usize>>>,
}

impl host::Server for Noticing {
    async fn id(self: Rc<Self>, _: host::IdParams, _: host::IdResults) -> Result<(), capnp::Error> {
        self.epochs.advance(epoch(2)).expect("it is newer");
        assert_stale(id(&self.lent).await, "noticed");
        self.dropped.set(Some(self.seen.dropped.get()));
        Ok(())
    }
}

#[test]
fn what_a_vat_notices_to_be_stale_is_dropped_when_its_poll_is_over() {
    // A connection may notice it while its tables are borrowed, which a `Drop` may
    // have need of.
    let (epochs, membrane) = standing();
    let (seen, dropped) = (Seen::default(), Rc::default());
    let noticing: host::Client = capnp_rpc::new_client(Noticing {
        lent: membrane.wrap(peer(&seen)),
        epochs,
        seen: seen.clone(),
        dropped: Rc::clone(&dropped),
    });
    connected(noticing, |noticing| async move {
        id(&noticing).await.unwrap();
        assert_eq!(dropped.get(), Some(0));
        assert_eq!(seen.dropped.get(), 1);
    });
}
