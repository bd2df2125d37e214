//! Guests that spin, or that make as many calls as they can, share a worker with
//! those that do not.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use futures::future::{Either, FutureExt as _, select};
use futures::io::sink;
use futures_lite::AsyncWriteExt as _;
use ww_core::cell::{Builder, Cell, Driver, Input, Usage};
use ww_core::{Runtime, serve};
use ww_rpc::peer_capnp::executor;

use crate::patience::patiently;
use crate::said::{bootstrap, spawn_with_empty};
use crate::stage::{Echo, Token, guest};
use crate::wat::{component, run};

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

/// What a cell does in each turn of its thread, by its own `count`, and how long it
/// goes on.
async fn each_turn(cell: Builder, count: fn(&Usage) -> u64) -> (Vec<u64>, Duration) {
    let (cell, start) = cell.prepare().await.expect("it begins");
    let mut driving = pin!(start.drive());
    let mut turns = Vec::new();
    let began = Instant::now();
    poll_fn(|cx| {
        let before = count(&cell.usage());
        let polled = driving.as_mut().poll(cx);
        turns.push(count(&cell.usage()) - before);
        polled
    })
    .await;
    let took = began.elapsed();
    assert!(cell.wait().await.expect("it ends by itself").success());
    (turns, took)
}

/// The most of them.
async fn most_in_a_turn(cell: Builder, count: fn(&Usage) -> u64) -> u64 {
    let (turns, _) = each_turn(cell, count).await;
    turns.into_iter().max().expect("it has had a turn")
}

#[test]
fn a_guest_is_answered_about_as_often_in_a_turn_however_many_calls_are_in_flight() {
    patiently(async {
        for args in [&["seq", "2000", "64"][..], &["flight", "2000", "64", "64"]] {
            let caller = guest("caller").args(args.iter().copied());
            let caller = caller.bootstrap(|_| Ok(Echo::client(Token::default())));
            let (turns, took) = each_turn(caller, |usage| usage.calls_out).await;
            let ticks = took.as_millis();
            // Not all that come, so that others do.
            assert!(turns.iter().all(|&calls| calls < 64), "{args:?}: {turns:?}");
            // Many, so that it gets on beside guests that spin. A tick ends a turn as
            // well, of which there is one a millisecond; and the last calls are few.
            let few = turns.iter().filter(|calls| (1..12).contains(*calls));
            let few = few.count() as u128;
            assert!(
                few <= ticks + 1,
                "{args:?}: {few} short turns in {ticks} ticks"
            );
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

/// Fills 128 MiB in one instruction, says so, and waits for a millisecond, for ever.
const FILLS: &str = r#"
    (func (export "run") (result i32) (local $out i32)
        (drop (memory.grow (i32.const 2048)))
        (local.set $out (call $stdout))
        (loop $again
            (memory.fill (i32.const 65536) (i32.const 1) (i32.const 134217728))
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
            let lives = driving.as_mut().poll(cx).is_pending();
            assert!(lives, "it goes on for ever");
            match cell.usage().stdio_out {
                // The first fill also brings the memory about, and so takes long.
                0..=1 => Poll::Pending,
                2..=6 => {
                    polls += 1;
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
        .await;
        // It sits out eight polls of the cell for each of several ticks, two of
        // which may be one of the driver's.
        assert!(polls > 40, "{polls} polls for five rests");
    });
}

/// Keeps the thread to itself for each call.
struct Slow(Duration);

impl executor::Server for Slow {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Result<(), capnp::Error> {
        thread::sleep(self.0);
        let message = params.get()?.get_message()?.to_str()?;
        results.get().set_response(format!("Echo: {message}"));
        Ok(())
    }
}

/// How many turns a cell takes, with something to do after each.
async fn turns(driver: Driver, mut then: impl FnMut()) -> u64 {
    let mut driving = pin!(driver);
    let mut turns = 0;
    poll_fn(|cx| {
        turns += 1;
        let polled = driving.as_mut().poll(cx);
        then();
        polled
    })
    .await;
    turns
}

/// A guest that makes so many calls, of which each takes its host so many
/// milliseconds.
fn beside_slow(calls: u64, took: u64) -> Builder {
    let server = Slow(Duration::from_millis(took));
    let caller = guest("caller").args(["seq", &calls.to_string(), "64"]);
    caller.bootstrap(|_| Ok(capnp_rpc::new_client::<executor::Client, _>(server)))
}

#[test]
fn a_turn_ends_after_a_call_that_takes_its_host_long() {
    patiently(async {
        let most = most_in_a_turn(beside_slow(20, 5), |usage| usage.calls_out).await;
        // A turn of the driver's may be two of its cell's, and ticks are late at times.
        assert!(most < 8, "{most} calls in a turn");
    });
}

#[test]
fn a_guest_rests_after_calls_that_take_its_host_long() {
    patiently(async {
        // Eight polls for each of 64 ticks at most, and of sixteen where they are late;
        // two may be one of the driver's.
        let (cell, start) = beside_slow(5, 100).prepare().await.unwrap();
        let turns = turns(start.drive(), || {}).await;
        assert!(cell.wait().await.unwrap().success());
        assert!((320..1600).contains(&turns), "{turns} turns");
    });
}

#[test]
fn a_guest_rests_for_the_capabilities_that_it_hands_over() {
    patiently(async {
        // It waits until all its calls have been read, or ends at once.
        for waits in [true, false] {
            let parrot = guest("parrot").stdin(Input::piped());
            // What it is asked it has not, which makes no difference.
            let parrot = parrot.bootstrap(|_| Ok(Echo::client(Token::default())));
            let (cell, start) = parrot.prepare().await.unwrap();
            let mut told = cell.take_stdin().unwrap();
            told.write_all(&bootstrap()).await.unwrap();
            for id in 1..=CALLS as u32 {
                told.write_all(&spawn_with_empty(id, 100)).await.unwrap();
            }
            let mut told = waits.then_some(told);
            let turns = turns(start.drive(), || {
                told.take_if(|_| cell.usage().calls_out == CALLS);
            })
            .await;
            // Two calls are read at once, for which it sits out five polls; two may be
            // one of the driver's.
            assert!(turns > CALLS / 2, "{turns} turns, waits: {waits}");
            let exit = cell.wait().await.unwrap();
            assert!(exit.success() && exit.rpc_error().is_none());
            assert_eq!(cell.usage().calls_out, CALLS);
        }
    });
}

/// Waits for the end of its input, computes for less than a tick, and ends.
const BURST: &str = "
    (local $left i32)
    (call $read (call $stdin) (i64.const 1) (i32.const 16))
    (local.set $left (i32.const 300000))
    (loop $computes
        (br_if $computes (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))";

#[test]
fn a_turn_of_a_family_ends_at_a_tick_though_each_of_it_ends_before_one() {
    const FAMILY: usize = 64;
    patiently(async {
        let burst = || run(BURST).stdin(Input::piped());
        let (first, start) = burst().prepare().await.unwrap();
        let mut driving = start.drive();
        let mut family = vec![first];
        while family.len() < FAMILY {
            let another = pin!(burst().beside(&family[0]).spawn());
            let Either::Right((another, _)) = select(&mut driving, another).await else {
                panic!("they wait for their input");
            };
            family.push(another.unwrap());
        }
        // Each has begun, and waits.
        for cell in &family {
            let asked = pin!(cell.with(async |_| Ok(())));
            let Either::Right((Ok(()), _)) = select(&mut driving, asked).await else {
                panic!("they wait for their input");
            };
        }
        for cell in &family {
            drop(cell.take_stdin());
        }
        let left = || family.iter().filter(|cell| cell.usage().memory > 0).count();
        let (mut before, mut most) = (FAMILY, 0);
        turns(driving, || {
            let now = left();
            most = most.max(before - now);
            before = now;
        })
        .await;
        // Ticks are late at times.
        assert!(most < FAMILY / 2, "{most} of them in a turn");
    });
}

/// Fills 128 MiB in one instruction, and ends.
const FILLS_ONCE: &str = "
    (drop (memory.grow (i32.const 2048)))
    (memory.fill (i32.const 65536) (i32.const 1) (i32.const 134217728))";

#[test]
fn what_a_cell_still_had_to_sit_out_when_it_ended_is_sat_out_by_those_beside_it() {
    patiently(async {
        let (waits, start) = run(BURST).stdin(Input::piped()).prepare().await.unwrap();
        let mut driving = start.drive();
        let fills = pin!(run(FILLS_ONCE).beside(&waits).spawn());
        let Either::Right((fills, _)) = select(&mut driving, fills).await else {
            panic!("it waits for its input");
        };
        let fills = fills.unwrap();
        let (mut told, mut since) = (waits.take_stdin(), 0);
        turns(driving, || {
            if fills.wait().now_or_never().is_some() {
                told = None;
                since += 1;
            }
        })
        .await;
        assert!(waits.wait().await.unwrap().success());
        // Eight polls for each of several ticks.
        assert!(since > 15, "{since} turns after it");
    });
}

/// How often each of so many spinners is interrupted while a guest on their worker
/// makes its calls.
async fn interruptions_beside(spinners: usize, of_one_family: bool) -> Vec<u64> {
    let runtime = Runtime::builder().workers(1).build().expect("a runtime");
    let on = |name: &str| {
        let image = example_images::path(name);
        Builder::new().runtime(&runtime).image(image)
    };
    let mut cells: Vec<Cell> = Vec::new();
    for _ in 0..spinners {
        let spinner = on("spins");
        let spinner = match cells.first() {
            Some(first) if of_one_family => spinner.beside(first),
            _ => spinner,
        };
        cells.push(spinner.spawn().await.expect("it begins"));
    }
    // Each has had its turn, so all of them are in the way.
    for spinner in &cells {
        while spinner.usage().interruptions == 0 {
            spinner.with(async |_| Ok(())).await.expect("it spins");
        }
    }
    let (spinners, seen) = (Arc::new(cells), Arc::new(Mutex::new(Vec::new())));
    let watch = Watch {
        spinners: spinners.clone(),
        seen: seen.clone(),
    };
    let caller = on("caller")
        .args(["seq", &CALLS.to_string(), "64"])
        .bootstrap(|_| Ok(capnp_rpc::new_client::<executor::Client, _>(watch)));
    let caller = caller.spawn().await.expect("it begins");
    assert!(caller.wait().await.expect("it ends by itself").success());
    for spinner in &*spinners {
        spinner.with(async |_| Ok(())).await.expect("it lives");
    }

    let seen = seen.lock().expect("nobody panics").clone();
    assert_eq!(seen.len(), CALLS as usize);
    let (first, last) = (&seen[0], &seen[seen.len() - 1]);
    assert!(last.iter().sum::<u64>() > 0);
    first.iter().zip(last).map(|(f, l)| l - f).collect()
}

#[test]
fn calls_go_on_beside_guests_that_spin_and_those_go_on_too() {
    patiently(async {
        for interruptions in interruptions_beside(SPINNERS, false).await {
            // Less than one slice of each for four calls: more are made in a turn of
            // the executor, and a spinner sits out several.
            assert!(interruptions < CALLS / 4, "{interruptions}");
        }
    });
}

#[test]
fn a_family_of_guests_that_spin_gets_hardly_more_than_a_few() {
    patiently(async {
        let interruptions: u64 = interruptions_beside(48, true).await.iter().sum();
        // All of them together: a turn of the family is over when two have asked for
        // another.
        assert!(interruptions < CALLS / 4, "{interruptions} of the family");
    });
}
