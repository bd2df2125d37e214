//! With the lists of `wasi:io/poll`.

use ww_core::cell::Limit;

use crate::case::{Case, Fate, traps};

pub(crate) fn cases() -> Vec<Case> {
    /// `many` handles of `one` from 32 KiB on, and a call with them.
    const DUPLICATES: &str = r#"
        (func $poll-many (param $one i32) (param $many i32) (local $at i32)
            (local.set $at (call $realloc (i32.const 0) (i32.const 0) (i32.const 4)
                (i32.mul (local.get $many) (i32.const 4))))
            (call $fill (local.get $at) (local.get $one) (local.get $many))
            (call $poll (local.get $at) (local.get $many) (i32.const 16)))
        (func $fill (param $at i32) (param $one i32) (param $many i32)
            (loop
                (i32.store (local.get $at) (local.get $one))
                (local.set $at (i32.add (local.get $at) (i32.const 4)))
                (local.set $many (i32.sub (local.get $many) (i32.const 1)))
                (br_if 0 (local.get $many))))"#;
    let many = |what, one: &str, many: usize, fate| {
        let core = format!(
            r#"{DUPLICATES} (func (export "run") (result i32)
                (call $poll-many {one} (i32.const {many}))
                (i32.ne (i32.load (i32.const 20)) (i32.const {many})))"#
        );
        Case::new(what, &core, fate)
    };
    const NEVER: &str = "(call $after (i64.const -1))";
    const AT_ONCE: &str = "(call $after (i64.const 0))";
    vec![
        Case::new(
            "a poll of nothing",
            r#"(func (export "run") (result i32)
                (call $poll (i32.const 64) (i32.const 0) (i32.const 16)) unreachable)"#,
            traps("empty poll list"),
        ),
        Case::new(
            "a poll list longer than memory",
            r#"(func (export "run") (result i32)
                (call $poll (i32.const 64) (i32.const 0x3fff_ffff) (i32.const 16))
                unreachable)"#,
            traps("out of bounds"),
        ),
        many(
            "a poll of one pollable four thousand times",
            AT_ONCE,
            4000,
            Fate::Exits(0),
        ),
        many(
            "a wait for one pollable four thousand times",
            NEVER,
            4000,
            Fate::Waits,
        ),
        many(
            "a poll of one pollable a million times",
            AT_ONCE,
            1_000_000,
            Fate::Exceeds(Limit::Handles),
        ),
        many(
            "a poll of one pollable fifty million times",
            AT_ONCE,
            50_000_000,
            traps("hostcalls"),
        ),
        Case::new(
            "polls of two thousand pollables without end, one of them ready",
            r#"(func (export "run") (result i32) (local $at i32) (local $list i32)
                (local.set $list (call $realloc (i32.const 0) (i32.const 0) (i32.const 4)
                    (i32.const 8000)))
                (i32.store (local.get $list) (call $after (i64.const 0)))
                (local.set $at (i32.const 4))
                (loop
                    (i32.store (i32.add (local.get $list) (local.get $at))
                        (call $after (i64.const -1)))
                    (local.set $at (i32.add (local.get $at) (i32.const 4)))
                    (br_if 0 (i32.ne (local.get $at) (i32.const 8000))))
                (loop
                    (call $poll (local.get $list) (i32.const 2000) (i32.const 16))
                    (if (i32.ne (i32.load (i32.const 20)) (i32.const 1)) (then unreachable))
                    (br 0))
                unreachable)"#,
            Fate::Spins,
        ),
    ]
}
