//! Who wants the same waits for the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use futures::FutureExt;
use futures_lite::future::{block_on, zip};
use ww_loader::Flights;

/// Work that is begun, and ends when it is told what to give.
#[derive(Default)]
struct Works {
    flights: Flights<&'static str, u32>,
    begun: Arc<AtomicUsize>,
}

type Waits = Pin<Box<dyn Future<Output = u32>>>;

impl Works {
    /// Somebody waits for work that gives what is sent, unless there is some.
    fn join(&self, key: &'static str) -> (Waits, async_channel::Sender<u32>) {
        let (ends, gives) = async_channel::bounded(1);
        let (flights, begun) = (self.flights.clone(), self.begun.clone());
        let work = async move {
            begun.fetch_add(1, Ordering::Relaxed);
            gives.recv().await.expect("it is told")
        };
        let mut waits: Waits = Box::pin(async move { flights.join(key, work).await });
        assert_eq!((&mut waits).now_or_never(), None);
        (waits, ends)
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }
}

#[test]
fn who_is_not_polled_holds_up_no_other() {
    let works = Works::default();
    let (first, ends) = works.join("key");
    let (second, _) = works.join("key");
    let gives = async { ends.try_send(7).expect("it is begun") };
    // The second is asleep when the work goes on, and the first is not woken.
    assert_eq!(block_on(zip(second, gives)).0, 7);
    assert_eq!(block_on(first), 7);
    assert_eq!(works.begun(), 1);
}

#[test]
fn who_leaves_leaves_the_work_to_the_others() {
    let works = Works::default();
    let (first, ends) = works.join("key");
    let (second, _) = works.join("key");
    drop(first);
    ends.try_send(7).expect("it is not dropped");
    let (third, _) = works.join("other");
    assert_eq!(block_on(second), 7);
    assert_eq!(works.begun(), 2);
    drop(third);
    assert_eq!(format!("{:?}", works.flights), "Flights(0 under way)");
    let (last, ends) = works.join("key");
    drop(last);
    assert!(ends.is_closed(), "nobody waits for it");
}

#[test]
fn what_has_ended_is_not_given_to_who_comes_later() {
    let works = Works::default();
    let (first, ends) = works.join("key");
    let (slow, _) = works.join("key");
    ends.try_send(1).expect("it is begun");
    assert_eq!(block_on(first), 1);
    let (later, ends) = works.join("key");
    assert_eq!(works.begun(), 2);
    // That somebody is late to look takes nothing from those who came since.
    assert_eq!(block_on(slow), 1);
    let (last, _) = works.join("key");
    ends.try_send(2).expect("it is begun");
    assert_eq!(block_on(zip(later, last)), (2, 2));
    assert_eq!(works.begun(), 2);
}

#[test]
fn who_comes_after_a_panic_begins_anew() {
    let flights = Flights::<&str, u32>::new();
    let (tell, told) = async_channel::bounded::<()>(1);
    let work = async move {
        let _ = told.recv().await;
        panic!("as the test wants")
    };
    let mut first = Box::pin(flights.join("key", work));
    assert_eq!((&mut first).now_or_never(), None);
    let mut second = Box::pin(flights.join("key", async { 2 }));
    assert_eq!((&mut second).now_or_never(), None);
    tell.try_send(()).expect("it is begun");
    let panics =
        |look: &mut dyn FnMut() -> Option<u32>| catch_unwind(AssertUnwindSafe(look)).is_err();
    assert!(panics(&mut || (&mut first).now_or_never()));
    assert_eq!(block_on(flights.join("key", async { 3 })), 3);
    assert!(panics(&mut || (&mut second).now_or_never()));
}

/// How often somebody was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn who_looks_while_another_polls_misses_no_wake_up() {
    type Waits = Pin<Box<dyn Future<Output = u32> + Send>>;
    let flights = Flights::<&str, u32>::new();
    let woken = Arc::new(Woken::default());
    let second = Arc::new(Mutex::new(None::<Waits>));
    let mut polls = 0;
    let (looks, waker) = (second.clone(), Waker::from(woken.clone()));
    let work = poll_fn(move |cx| {
        polls += 1;
        if polls == 2 {
            // It can go on from here, and the second, who is woken, comes at once.
            cx.waker().wake_by_ref();
            let (looks, waker) = (looks.clone(), waker.clone());
            let look = thread::spawn(move || {
                let mut second = looks.lock().expect("it is whole");
                let second = second.as_mut().expect("it waits");
                let polled = second.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(polled.is_pending(), "it is being polled");
            });
            look.join().expect("it has looked");
        }
        match polls {
            1 | 2 => Poll::Pending,
            _ => Poll::Ready(7),
        }
    });
    let other = flights.clone();
    let mut first = Box::pin(flights.join("key", work));
    assert_eq!((&mut first).now_or_never(), None);
    *second.lock().expect("it is whole") =
        Some(Box::pin(
            async move { other.join("key", async { 2 }).await },
        ));
    assert_eq!((&mut first).now_or_never(), None);
    // And whether or not the first is polled any more.
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    drop(first);
    let second = second.lock().expect("it is whole").take();
    assert_eq!(block_on(second.expect("it waits")), 7);
}

#[test]
fn threads_that_come_and_go_miss_nothing() {
    const ROUNDS: u32 = 2_000;
    let flights = Flights::<u32, u32>::new();
    let waits = |seed: u32| {
        let flights = flights.clone();
        thread::spawn(move || {
            for round in 0..ROUNDS {
                let work = async move {
                    let (tell, told) = async_channel::bounded(1);
                    thread::spawn(move || tell.try_send(round).expect("there is room"));
                    told.recv().await.expect("it is told")
                };
                let mut waits = Box::pin(flights.join(round / 8, work));
                if (round + seed).is_multiple_of(3) {
                    let _ = (&mut waits).now_or_never();
                } else {
                    assert_eq!(block_on(waits) / 8, round / 8);
                }
            }
        })
    };
    let threads: Vec<_> = (0..4).map(waits).collect();
    for thread in threads {
        thread.join().expect("nothing is missed");
    }
    assert_eq!(format!("{flights:?}"), "Flights(0 under way)");
}
