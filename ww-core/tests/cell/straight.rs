//! Guests that call the host one time after the other, in no loop: they are
//! interrupted between the calls as others are in their loops.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use ww_core::Error;
use ww_core::cell::Builder;

use crate::patience::patiently;
use crate::wat;

/// Enough of them to take many interruption ticks.
const CALLS: usize = 2000;

/// Tells its host of so many panics, each a mebibyte long.
fn panics(calls: usize) -> Builder {
    let call = "(call $panicked (i32.const 0) (i32.const 0x100000))";
    wat::bytes(&format!(
        r#"(component
            (import "wetware:turn/turn@0.1.0" (instance $turn
                (export "panicked" (func (param "message" string)))))
            (core module $libc (memory (export "memory") 16))
            (core instance $libc (instantiate $libc))
            (alias core export $libc "memory" (core memory $memory))
            (core func $panicked (canon lower (func $turn "panicked") (memory $memory)))
            (core module $m
                (import "turn" "panicked" (func $panicked (param i32 i32)))
                (func (export "run") (result i32) {} (i32.const 0)))
            (core instance $i (instantiate $m
                (with "turn" (instance (export "panicked" (func $panicked))))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#,
        call.repeat(calls)
    ))
}

#[test]
fn calls_that_follow_one_another_let_others_have_their_turn() {
    for killed in [false, true] {
        let (cell, start) = patiently(panics(CALLS).prepare()).expect("it begins");
        let mut driver = start.drive();
        let mut cx = Context::from_waker(Waker::noop());
        let mut turns = 0;
        loop {
            turns += 1;
            match Pin::new(&mut driver).poll(&mut cx) {
                Poll::Pending if killed && turns == 2 => cell.kill(),
                Poll::Pending if killed && turns > 4 => panic!("it goes on"),
                Poll::Pending => {}
                Poll::Ready(()) => break,
            }
        }
        let ended = patiently(cell.wait());
        if killed {
            assert!(matches!(ended, Err(Error::Killed)), "{ended:?}");
        } else {
            assert!(ended.is_ok_and(|exit| exit.success()));
            assert!(turns > 10, "{turns}");
            assert!(cell.usage().interruptions > 10);
        }
    }
}
