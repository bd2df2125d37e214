//! The sequence of epochs, as those who watch it see it.

mod support;

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use futures_lite::future::{block_on, or, poll_once};
use support::{Seen, connected, epoch, peer};
use ww_membrane::{Call, Epochs, Error, Membrane, Policy, Reaper, Verdict};
use ww_rpc::peer_capnp::host;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn only_a_later_epoch_follows() {
    for (current, offered, follows) in [
        (0, 0, false),
        (3, 2, false),
        (3, 3, false),
        (3, 4, true),
        (3, 900, true),
        (u64::MAX, 0, false),
    ] {
        let epochs = Epochs::new(epoch_at(current));
        let outcome = epochs.advance(epoch_at(offered));
        if follows {
            assert_eq!(outcome, Ok(()));
            assert_eq!(epochs.current(), epoch_at(offered));
        } else {
            assert_eq!(outcome, Err(Error::Advance { current, offered }));
            let text = outcome.unwrap_err().to_string();
            assert!(text.contains(&current.to_string()) && text.contains(&offered.to_string()));
            assert_eq!(epochs.current(), epoch_at(current));
        }
        assert_eq!(epochs.seq(), epochs.current().seq);
    }
}

fn epoch_at(seq: u64) -> ww_membrane::Epoch {
    ww_membrane::Epoch {
        seq,
        ..Default::default()
    }
}

#[test]
fn epochs_and_what_watches_them_go_to_any_thread() {
    fn portable<T: Send + Sync>() {}
    portable::<Epochs>();
    portable::<ww_membrane::Guard>();
    portable::<ww_membrane::Next>();
    portable::<ww_membrane::Settled>();
}

#[test]
fn next_waits_on_any_thread_and_may_skip() {
    let epochs = Epochs::new(epoch(1));
    let watcher = thread::spawn({
        let epochs = epochs.clone();
        move || block_on(epochs.next(1))
    });
    epochs.advance(epoch(2)).unwrap();
    assert!(watcher.join().unwrap().seq >= 2);

    epochs.advance(epoch(3)).unwrap();
    epochs.advance(epoch(7)).unwrap();
    assert_eq!(block_on(epochs.next(1)), epoch(7));
    assert!(block_on(poll_once(epochs.next(7))).is_none());
}

#[test]
fn every_watcher_is_woken_and_a_dropped_one_is_not() {
    let epochs = Epochs::new(epoch(1));
    let wakes: Vec<Arc<Wakes>> = (0..3).map(|_| Arc::default()).collect();
    let mut watchers: Vec<_> = wakes
        .iter()
        .map(|wakes| {
            let mut next = Box::pin(epochs.next(1));
            let waker = Waker::from(wakes.clone());
            assert!(
                next.as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
            next
        })
        .collect();
    drop(watchers.remove(1));
    // One for the table, one for the watcher that is left alone.
    assert_eq!(Arc::strong_count(&wakes[1]), 1);
    epochs.advance(epoch(2)).unwrap();
    let woken: Vec<usize> = wakes
        .iter()
        .map(|wakes| wakes.0.load(Ordering::SeqCst))
        .collect();
    assert_eq!(woken, [1, 0, 1]);
}

#[test]
fn a_guard_is_stale_on_every_thread_once_advance_has_returned() {
    let epochs = Epochs::new(epoch(4));
    let guard = epochs.guard();
    assert_eq!(guard.check(), Ok(()));
    let (advanced, seen) = mpsc::channel();
    let other = thread::spawn(move || {
        seen.recv().unwrap();
        guard.check()
    });
    epochs.advance(epoch(5)).unwrap();
    advanced.send(()).unwrap();
    let stale = Error::StaleEpoch {
        issued: 4,
        current: 5,
    };
    assert_eq!(other.join().unwrap(), Err(stale.clone()));
    let error = capnp::Error::from(stale);
    assert_eq!(error.kind, capnp::ErrorKind::Disconnected);
    assert!(error.extra.starts_with("staleEpoch"));
}

#[test]
fn settled_waits_for_the_sessions_of_every_thread() {
    let epochs = Epochs::new(epoch(1));
    let (report, reports) = mpsc::channel();
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let (epochs, report) = (epochs.clone(), report.clone());
            let (stop, stopped) = futures::channel::oneshot::channel::<()>();
            let worker = thread::spawn(move || {
                let seen = Seen::default();
                let membrane = Membrane::new(epochs.guard());
                let held: Vec<_> = (0..10).map(|_| membrane.wrap(peer(&seen))).collect();
                report.send(()).unwrap();
                // Only the reaper runs on this thread from now on.
                block_on(or(
                    async {
                        let _ = Reaper::new().await;
                    },
                    async {
                        let _ = stopped.await;
                    },
                ));
                assert_eq!(seen.dropped.get(), 10);
                drop(held);
            });
            (stop, worker)
        })
        .collect();
    for _ in &workers {
        reports.recv().unwrap();
    }

    let mut settled = pin!(epochs.settled(2));
    let waker = Waker::from(Arc::<Wakes>::default());
    let first = settled.as_mut().poll(&mut Context::from_waker(&waker));
    assert_eq!(first, Poll::Pending);
    assert!(block_on(poll_once(epochs.settled(1))).is_some());
    epochs.advance(epoch(2)).unwrap();
    block_on(settled);
    for (stop, worker) in workers {
        stop.send(()).unwrap();
        worker.join().unwrap();
    }
}

#[test]
fn a_session_that_is_dropped_has_settled() {
    let epochs = Epochs::new(epoch(1));
    let membrane = Membrane::new(epochs.guard());
    epochs.advance(epoch(2)).unwrap();
    assert!(block_on(poll_once(epochs.settled(2))).is_none());
    drop(membrane);
    assert!(block_on(poll_once(epochs.settled(2))).is_some());
}

#[test]
fn a_membrane_that_was_made_too_late_keeps_nobody_waiting() {
    let epochs = Epochs::new(epoch(1));
    let guard = epochs.guard();
    epochs.advance(epoch(2)).unwrap();
    let late = Membrane::new(guard.clone());
    let policed = Membrane::policed_until(guard, ww_membrane::policies::Allow::new());
    assert!(block_on(poll_once(epochs.settled(2))).is_some());
    assert!(late.fall().is_some() && policed.fall().is_some());
}

/// Tells when it is dropped.
struct Noted(Rc<Cell<bool>>);

impl Policy for Noted {
    fn inbound(&self, _: &Call) -> Verdict {
        Verdict::pass()
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn an_answer_that_is_kept_keeps_no_session() {
    async fn keep(host: host::Client) {
        let epochs = Epochs::new(epoch(1));
        let dropped = Rc::new(Cell::new(false));
        let membrane = Membrane::policed_until(epochs.guard(), Noted(dropped.clone()));
        let host = membrane.wrap(host);
        let sent = host.id_request().send();
        let answer = sent.promise.await.unwrap();
        drop((sent.pipeline, host, membrane));
        assert!(dropped.get());
        epochs.advance(epoch(2)).unwrap();
        assert!(poll_once(epochs.settled(2)).await.is_some());
        assert_eq!(answer.get().unwrap().get_peer_id().unwrap(), b"peer");
    }
    block_on(keep(peer(&Seen::default())));
    connected(peer(&Seen::default()), keep);
}
