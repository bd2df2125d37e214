//! Time as it passes natively.
#![cfg(not(target_family = "wasm"))]

use std::cell::Cell;
use std::future::{pending, ready};
use std::rc::Rc;
use std::time::Duration;

use ww_guest_sdk::capnp::capability::Client;
use ww_guest_sdk::futures::future::{join, poll_immediate};
use ww_guest_sdk::testing::Host;
use ww_guest_sdk::time::{Elapsed, sleep, timeout};
use ww_guest_sdk::{capnp, capnp_rpc, spawn};

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
