use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};

use futures::future::poll_immediate;
use futures_lite::future::block_on;

use super::*;

/// Work that goes on until it is told to end, and begun, unless it has to wait.
fn work(queue: &Queue) -> (Pin<Box<impl Future<Output = ()> + use<>>>, Sender<()>) {
    let (end, ends) = channel::<()>();
    let queue = queue.clone();
    let mut work = Box::pin(async move { _ = queue.run(move || ends.recv()).await });
    assert!(block_on(poll_immediate(&mut work)).is_none());
    (work, end)
}

#[test]
fn what_waits_is_begun_whoever_else_is_polled() {
    let queue = Queue::new(2);
    let (first, end_first) = work(&queue);
    let (second, end_second) = work(&queue);
    let (third, end_third) = work(&queue);
    let (last, end_last) = work(&queue);
    // All but the last are held and not polled.
    drop((end_first, end_second, end_third, end_last));
    block_on(last);
    drop((first, second, third));
}

#[test]
fn what_nobody_waits_for_is_dropped_and_not_begun() {
    let queue = Queue::new(1);
    let (first, end) = work(&queue);
    let held = Arc::new(());
    let mut given_up = Box::pin(queue.run({
        let held = held.clone();
        move || panic!("{held:?} has begun")
    }));
    assert!(block_on(poll_immediate(&mut given_up)).is_none());
    assert_eq!(Arc::strong_count(&held), 2);
    drop(given_up);
    assert_eq!(Arc::strong_count(&held), 1);
    drop(end);
    block_on(first);
    assert_eq!(block_on(queue.run(|| 7)), 7);
}

#[test]
fn a_panic_goes_on_where_it_is_waited_for_and_ends_no_thread() {
    let queue = Queue::new(1);
    for _ in 0..2 {
        let panics = catch_unwind(|| block_on(queue.run(|| panic!("a bug"))));
        assert!(panics.is_err());
    }
    assert_eq!(block_on(queue.run(|| 7)), 7);
}
