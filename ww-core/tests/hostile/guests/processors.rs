//! After the host's processor.

use std::time::Duration;

use ww_core::cell::Limit;

use crate::case::{Case, Fate, traps};

pub(crate) fn cases() -> Vec<Case> {
    const LOOP: &str = r#"(func (export "run") (result i32) (loop (br 0)) unreachable)"#;
    const SLEEP: &str = r#"(func (export "run") (result i32)
        (call $block (call $after (i64.const -1))) unreachable)"#;
    const SOON: Duration = Duration::from_millis(10);
    vec![
        Case::new("a loop without end", LOOP, Fate::Spins),
        Case::new(
            "a loop beyond its processor time",
            LOOP,
            Fate::Exceeds(Limit::Cpu),
        )
        .limit(|limits| limits.cpu = Some(SOON)),
        Case::new("a loop beyond its time", LOOP, Fate::Exceeds(Limit::Wall))
            .limit(|limits| limits.wall = Some(SOON)),
        Case::new("a sleep beyond its time", SLEEP, Fate::Exceeds(Limit::Wall))
            .limit(|limits| limits.wall = Some(SOON)),
        Case::new("a sleep without end", SLEEP, Fate::Waits),
        Case::new(
            "calls without end",
            r#"(func $f (export "run") (result i32) (i32.add (call $f) (call $f)))"#,
            traps("call stack exhausted"),
        ),
        Case::new(
            "host calls without end",
            r#"(func (export "run") (result i32) (loop (drop (call $now)) (br 0)) unreachable)"#,
            Fate::Spins,
        ),
        Case::new(
            "a start that computes without end",
            r#"(func $begin (loop (br 0))) (start $begin)
            (func (export "run") (result i32) unreachable)"#,
            Fate::Spins,
        ),
        Case::new(
            "a start that waits for ever",
            r#"(func $begin (call $block (call $after (i64.const -1)))) (start $begin)
            (func (export "run") (result i32) unreachable)"#,
            Fate::Waits,
        ),
    ]
}
