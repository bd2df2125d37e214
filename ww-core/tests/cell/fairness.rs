//! Guests that spin, or that make as many calls as they can, share a worker with
//! those that do not.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use futures::io::sink;
use ww_core::cell::{Builder, Cell, Usage};
use ww_core::{Runtime, serve};
use ww_rpc::peer_capnp::executor;

use crate::patience::patiently;
use crate::stage::{Echo, Token, guest};
use crate::wat::component;

const SPINNERS: usize = 4;
const CALLS: u64 = 200;

/// Answers, and notes how often each spinner has been interrupted by then.
struct Watch {
    spinners: Arc<Vec<Cell>>,
    seen: Arc<Mutex<Vec<Vec<u64>>>>,
}

impl executor::Server for Watch {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Result<(), capnp::Error> {
        let message = params.get()?.get_message()?.to_str()?;
        results.get().set_response(format!("Echo: {message}"));
        let interruptions = |cell: &Cell| cell.usage().interruptions;
        let seen = self.spinners.iter().map(interruptions).collect();
        self.seen.lock().expect("nobody panics").push(seen);
        Ok(())
    }
}

/// The most that a cell does in one turn of its thread, by its own `count`.
async fn most_in_a_turn(cell: Builder, count: fn(&Usage) -> u64) -> u64 {
    let (cell, start) = cell.prepare().await.expect("it begins");
    let mut driving = pin!(start.drive());
    let mut most = 0;
    poll_fn(|cx| {
        let before = count(&cell.usage());
        let polled = driving.as_mut().poll(cx);
        most = most.max(count(&cell.usage()) - before);
        polled
    })
    .await;
    assert!(cell.wait().await.expect("it ends by itself").success());
    most
}

#[test]
fn a_guest_is_answered_about_as_often_in_a_turn_however_many_calls_are_in_flight() {
    patiently(async {
        for args in [&["seq", "2000", "64"][..], &["flight", "2000", "64", "64"]] {
            let caller = guest("caller").args(args.iter().copied());
            let caller = caller.bootstrap(|_| Ok(Echo::client(Token::default())));
            let most = most_in_a_turn(caller, |usage| usage.calls_out).await;
            // Many, so that it gets on beside guests that spin; not all that come,
            // so that others do.
            assert!((24..64).contains(&most), "{args:?}: {most} in a turn");
        }
    });
}

#[test]
fn a_guest_that_pours_lets_others_run_after_some_of_it() {
    patiently(async {
        let pours = guest("pours").args(["push", "16777216"]);
        let pours = pours.bootstrap(|_| Ok(serve::sink(sink())));
        let most = most_in_a_turn(pours, |usage| usage.rpc_out).await;
        assert!((1 << 17..3 << 19).contains(&most), "{most} bytes in a turn");
    });
}

/// Fills 200 MiB in one instruction, says so, and waits for a millisecond, for ever.
const FILLS: &str = r#"
    (func (export "run") (result i32) (local $out i32)
        (drop (memory.grow (i32.const 3200)))
        (local.set $out (call $stdout))
        (loop $again
            (memory.fill (i32.const 65536) (i32.const 1) (i32.const 209715200))
            (call $write (local.get $out) (i32.const 65536) (i32.const 1) (i32.const 16))
            (call $block (call $subscribe (i64.const 1000000)))
            (br $again))
        (i32.const 0))"#;

#[test]
fn a_guest_rests_after_what_nothing_interrupts_though_it_is_not_found_running() {
    patiently(async {
        let (cell, start) = component(FILLS).prepare().await.unwrap();
        let mut driving = pin!(start.drive());
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            let lives = driving.as_mut().poll(cx).is_pending();
            assert!(lives, "it goes on for ever");
            match cell.usage().stdio_out {
                0..5 => Poll::Pending,
                _ => Poll::Ready(()),
            }
        })
        .await;
        // It sits out eight polls of the cell for each of several ticks, two of
        // which may be one of the driver's.
        assert!(polls > 60, "{polls} polls for four rests");
    });
}

/// Keeps the thread to itself for each call.
struct Slow;

impl executor::Server for Slow {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Result<(), capnp::Error> {
        thread::sleep(Duration::from_millis(50));
        let message = params.get()?.get_message()?.to_str()?;
        results.get().set_response(format!("Echo: {message}"));
        Ok(())
    }
}

#[test]
fn a_guest_rests_after_calls_that_take_its_host_long() {
    patiently(async {
        let caller = guest("caller")
            .args(["seq", "5", "64"])
            .bootstrap(|_| Ok(capnp_rpc::new_client::<executor::Client, _>(Slow)));
        let (cell, start) = caller.prepare().await.unwrap();
        let mut driving = pin!(start.drive());
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            driving.as_mut().poll(cx)
        })
        .await;
        assert!(cell.wait().await.unwrap().success());
        // Eight polls for each of sixteen ticks at least, two of which may be one of
        // the driver's.
        assert!(polls > 60, "{polls} polls for five calls");
    });
}

#[test]
fn calls_go_on_beside_guests_that_spin_and_those_go_on_too() {
    patiently(async {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let on = |name: &str| {
            let image = example_images::path(name);
            Builder::new().runtime(&runtime).image(image)
        };
        let mut spinners = Vec::new();
        for _ in 0..SPINNERS {
            spinners.push(on("spins").spawn().await.unwrap());
        }
        // Each has had its turn, so all of them are in the way.
        for spinner in &spinners {
            while spinner.usage().interruptions == 0 {
                spinner.with(async |_| Ok(())).await.unwrap();
            }
        }
        let (spinners, seen) = (Arc::new(spinners), Arc::new(Mutex::new(Vec::new())));
        let watch = Watch {
            spinners: spinners.clone(),
            seen: seen.clone(),
        };
        let caller = on("caller")
            .args(["seq", &CALLS.to_string(), "64"])
            .bootstrap(|_| Ok(capnp_rpc::new_client::<executor::Client, _>(watch)));
        let caller = caller.spawn().await.unwrap();
        assert!(caller.wait().await.unwrap().success());

        let seen = seen.lock().expect("nobody panics").clone();
        assert_eq!(seen.len(), CALLS as usize);
        let (first, last) = (&seen[0], &seen[seen.len() - 1]);
        for (first, last) in first.iter().zip(last) {
            // Less than one slice of each for four calls: more are made in a
            // turn of the executor, and a spinner sits out several.
            let interruptions = last - first;
            assert!(interruptions < CALLS / 4, "{interruptions}");
        }
        let busy: u64 = last.iter().sum();
        assert!(busy > 0);
        for spinner in &*spinners {
            assert!(spinner.with(async |_| Ok(true)).await.unwrap(), "it lives");
        }
    });
}
