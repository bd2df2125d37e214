//! Who wants the same waits for the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
