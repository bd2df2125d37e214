//! The lists of pollables that a guest hands to its host. A handle that a
//! component has only borrowed may stand in one as often as it likes: lending it
//! on takes no handle of its own.

use ww_core::Error;
use ww_core::cell::{Exit, Limit, Limits};

use crate::patience::patiently;
use crate::wat;

/// Calls `call` with a list of `many` times the one handle, which `go` was lent,
/// from 1024 on, with 8 for the answer.
fn lent(many: usize, call: &str) -> String {
    format!(
        r#"(component
            (import "wasi:io/poll@0.2.0" {POLL})
            (alias export $poll "pollable" (type $pollable))
            (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
                (alias outer 1 $pollable (type $pollable))
                (export "subscribe-duration" (func
                    (param "when" u64) (result (own $pollable))))))
            (import "wetware:turn/turn@0.1.0" {TURN})
            (component $borrower-component
                (import "poll" {POLL})
                (alias export $poll "pollable" (type $pollable))
                (import "turn" {TURN})
                (alias export $turn "connection" (type $connection))
                (core module $libc
                    (memory (export "memory") 1)
                    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                        (i32.const 0x8000)))
                (core instance $libc (instantiate $libc))
                (alias core export $libc "memory" (core memory $memory))
                (alias core export $libc "realloc" (core func $realloc))
                (core func $poll (canon lower (func $poll "poll")
                    (memory $memory) (realloc $realloc)))
                (core func $connect (canon lower (func $turn "[constructor]connection")))
                (core func $turn (canon lower (func $turn "[method]connection.turn")
                    (memory $memory) (realloc $realloc)))
                (core func $drop (canon resource.drop $pollable))
                (core module $main
                    (import "libc" "memory" (memory 1))
                    (import "wasi" "poll" (func $poll (param i32 i32 i32)))
                    (import "wasi" "connect" (func $connect (result i32)))
                    (import "wasi" "turn"
                        (func $turn (param i32 i32 i32 i32 i32 i32 i32)))
                    (import "wasi" "drop" (func $drop (param i32)))
                    (func (export "go") (param $one i32) (local $left i32)
                        (local.set $left (i32.const {many}))
                        (block $done (loop $more
                            (br_if $done (i32.eqz (local.get $left)))
                            (i32.store
                                (i32.add (i32.const 1020)
                                    (i32.mul (local.get $left) (i32.const 4)))
                                (local.get $one))
                            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                            (br $more)))
                        {call}
                        (call $drop (local.get $one))))
                (core instance $main (instantiate $main
                    (with "libc" (instance $libc))
                    (with "wasi" (instance
                        (export "poll" (func $poll)) (export "connect" (func $connect))
                        (export "turn" (func $turn)) (export "drop" (func $drop))))))
                (func (export "go") (param "one" (borrow $pollable))
                    (canon lift (core func $main "go"))))
            (instance $borrower (instantiate $borrower-component
                (with "poll" (instance $poll)) (with "turn" (instance $turn))))
            (component $lender-component
                (import "poll" {POLL})
                (alias export $poll "pollable" (type $pollable))
                (import "after" (func $after
                    (param "when" u64) (result (own $pollable))))
                (import "go" (func $go (param "one" (borrow $pollable))))
                (core func $after (canon lower (func $after)))
                (core func $go (canon lower (func $go)))
                (core module $main
                    (import "wasi" "after" (func $after (param i64) (result i32)))
                    (import "wasi" "go" (func $go (param i32)))
                    (func (export "run") (result i32)
                        (call $go (call $after (i64.const 0)))
                        (i32.const 0)))
                (core instance $main (instantiate $main
                    (with "wasi" (instance
                        (export "after" (func $after)) (export "go" (func $go))))))
                (func (export "run") (result (result)) (canon lift (core func $main "run"))))
            (instance $lender (instantiate $lender-component
                (with "poll" (instance $poll))
                (with "after" (func $clock "subscribe-duration"))
                (with "go" (func $borrower "go"))))
            (instance (export "wasi:cli/run@0.2.0") (export "run" (func $lender "run"))))"#
    )
}

const POLL: &str = r#"(instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32)))))"#;

const TURN: &str = r#"(instance $turn
    (alias outer 1 $pollable (type $pollable))
    (type $brought (record (field "accepted" u32) (field "incoming" (list u8))
        (field "ready" (option (list u32))) (field "closed" bool)))
    (export "outcome" (type $outcome (eq $brought)))
    (export "connection" (type $connection (sub resource)))
    (export "[constructor]connection" (func (result (own $connection))))
    (export "[method]connection.turn" (func (param "self" (borrow $connection))
        (param "outgoing" (list u8)) (param "pollables" (list (borrow $pollable)))
        (param "wait" bool) (result $outcome))))"#;

/// Traps unless as many are ready as `ready`.
fn counts(ready: &str, at: usize) -> String {
    format!("(if (i32.ne (i32.load (i32.const {at})) {ready}) (then unreachable))")
}

fn ends(component: &str) -> Result<Exit, Error> {
    let mut limits = Limits::default();
    limits.handles = 10;
    let builder = wat::bytes(component).limits(limits);
    patiently(async { builder.spawn().await.expect("it spawns").wait().await })
}

#[test]
fn a_list_has_no_more_entries_than_the_cell_may_have_handles() {
    for many in [1, 10, 11, 5000] {
        let list = format!("(i32.const 1024) (i32.const {many})");
        let ready = format!("(i32.const {many})");
        let poll = format!("(call $poll {list} (i32.const 8)) {}", counts(&ready, 12));
        // Its answer has the option's list from the sixteenth byte on.
        let turn = format!(
            "(call $turn (call $connect) (i32.const 0) (i32.const 0) {list} (i32.const 1)
                (i32.const 8)) {}",
            counts(&ready, 28)
        );
        for call in [poll, turn] {
            let ended = ends(&lent(many, &call));
            match ended {
                Ok(exit) => assert!(many <= 10 && exit.success(), "{many}: {call}"),
                Err(Error::Limit { limit, bound }) => {
                    assert_eq!((limit, bound), (Limit::Handles, 10));
                    assert!(many > 10, "{many}: {call}");
                }
                Err(error) => panic!("{many}: {call}: {error:?}"),
            }
        }
    }
}

#[test]
fn a_list_of_nothing_is_refused_by_a_poll_and_taken_by_a_turn() {
    let nothing = "(i32.const 1024) (i32.const 0)";
    let ended = ends(&lent(1, &format!("(call $poll {nothing} (i32.const 8))")));
    let error = ended.expect_err("it polls nothing");
    assert!(matches!(error, Error::Trap { .. }), "{error:?}");
    assert!(error.to_string().contains("empty poll list"), "{error}");
    let turn = format!(
        "(call $turn (call $connect) (i32.const 0) (i32.const 0) {nothing} (i32.const 0)
            (i32.const 8))"
    );
    assert!(ends(&lent(1, &turn)).expect("it exits").success());
}
