//! Time as it passes natively.
#![cfg(not(target_family = "wasm"))]

use std::cell::Cell;
use std::future::{pending, ready};
use std::rc::Rc;
use std::time::Duration;

use ww_guest_sdk::capnp::capability::Client;
use ww_guest_sdk::futures::future::{FusedFuture, FutureExt, join, poll_immediate};
use ww_guest_sdk::futures::{select, select_biased};
use ww_guest_sdk::testing::Host;
use ww_guest_sdk::time::{Elapsed, sleep, timeout};
use ww_guest_sdk::{capnp, capnp_rpc, closed, spawn};

/// A host that has nothing to say.
fn host() -> Host {
    let none = capnp::Error::failed("there is none".into());
    Host::new(capnp_rpc::new_broken_cap(none))
}

#[test]
fn a_sleep_of_no_time_lets_others_go_first() {
    let others = Rc::new(Cell::new(0));
    let count = others.clone();
    host()
        .run(async move |_: Client| {
            let task = spawn(async move {
                for _ in 0..3 {
                    count.set(count.get() + 1);
                    sleep(Duration::ZERO).await;
                }
            });
            // It waits for the other by nothing but giving way.
            let mut rounds = 0;
            while others.get() < 3 {
                rounds += 1;
                assert!(rounds < 10, "{others:?}");
                sleep(Duration::ZERO).await;
            }
            task.await.unwrap();
        })
        .unwrap();
}

#[test]
fn what_is_in_time_is_not_given_up_and_what_is_late_is() {
    let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
    host()
        .run(async |_: Client| {
            assert_eq!(timeout(Duration::ZERO, ready(7)).await, Ok(7));
            assert_eq!(timeout(Duration::MAX, sleep(minute)).await, Ok(()));
            assert_eq!(timeout(second, pending::<()>()).await, Err(Elapsed));
            assert_eq!(timeout(second, sleep(minute)).await, Err(Elapsed));
            // Counted from the call, and what is done by then is in time.
            let late = timeout(minute, pending::<()>());
            sleep(minute - second).await;
            let (late, woken) = join(timeout(second, late), sleep(second)).await;
            assert_eq!((late, woken), (Ok(Err(Elapsed)), ()));
        })
        .unwrap();
}

#[test]
fn a_time_that_never_comes_keeps_nobody_else() {
    host()
        .run(async |_: Client| {
            let mut never = Box::pin(sleep(Duration::MAX));
            assert!(poll_immediate(&mut never).await.is_none());
            sleep(Duration::from_hours(1)).await;
            assert!(poll_immediate(&mut never).await.is_none());
        })
        .unwrap();
}

#[test]
fn waits_of_the_sdk_are_selected_from_as_they_are() {
    let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
    host()
        .run(async move |_: Client| {
            select! {
                () = sleep(second) => {}
                ended = closed() => panic!("{ended:?}"),
            }
            select! {
                late = timeout(second, pending::<()>()) => assert_eq!(late, Err(Elapsed)),
                () = sleep(minute) => panic!("a minute is longer"),
            }
            // Each is done once, and not polled on.
            let (mut first, mut then, mut end) = (sleep(second), sleep(minute), closed());
            let mut order = Vec::new();
            while !(first.is_terminated() && then.is_terminated()) {
                select_biased! {
                    ended = end => panic!("{ended:?}"),
                    () = first => order.push("first"),
                    () = then => order.push("then"),
                }
            }
            assert_eq!(order, ["first", "then"]);
            assert!(!end.is_terminated());
        })
        .unwrap();
    // Without a connection there is an end at once, and one alone.
    let mut end = closed();
    assert!((&mut end).now_or_never().is_some());
    assert!(end.is_terminated());
}
