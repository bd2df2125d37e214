//! Against what the specification of WASI asks of guests.

use futures::io::sink;
use ww_core::cell::{Input, Output};

use crate::case::{Case, Fate, traps};

pub(crate) fn cases() -> Vec<Case> {
    /// A byte more than 64 KiB, without having asked, once there is no more
    /// input.
    const OVERRUN: &str = r#"(func (export "run") (result i32) (local $out i32)
        (call $read (call $stdin) (i64.const 1) (i32.const 16))
        (drop (memory.grow (i32.const 3)))
        (local.set $out (call $stdout))
        (call $write (local.get $out) (i32.const 0) (i32.const 0x10001) (i32.const 16))
        (i32.load8_u (i32.const 16)))"#;
    vec![
        Case::new(
            "an input stream dropped before its pollable",
            r#"(func (export "run") (result i32) (local $in i32)
                (local.set $in (call $stdin))
                (drop (call $readable (local.get $in)))
                (call $drop-in (local.get $in))
                (i32.const 0))"#,
            traps("child"),
        ),
        Case::new(
            "an output stream dropped before its pollable",
            r#"(func (export "run") (result i32) (local $out i32)
                (local.set $out (call $stdout))
                (drop (call $writable (local.get $out)))
                (call $drop-out (local.get $out))
                (i32.const 0))"#,
            traps("child"),
        ),
        Case::new(
            "a handle dropped twice",
            r#"(func (export "run") (result i32) (local $out i32)
                (local.set $out (call $stdout))
                (call $drop-out (local.get $out))
                (call $drop-out (local.get $out))
                (i32.const 0))"#,
            traps("handle"),
        ),
        Case::new(
            "a handle of another kind",
            r#"(func (export "run") (result i32)
                (call $drop-pollable (call $stdout)) (i32.const 0))"#,
            traps("handle"),
        ),
        Case::new(
            "a result that is none",
            r#"(func (export "run") (result i32) (i32.const 3))"#,
            traps("discriminant"),
        ),
        Case::new(
            "more written than a pipe has room for",
            OVERRUN,
            traps("check-write"),
        )
        .set(|builder| builder.stdin(Input::piped()).stdout(Output::piped()))
        .host(|cell| {
            Box::pin(async move {
                let _stdout = cell.take_stdout();
                drop(cell.take_stdin());
                let _ = cell.wait().await;
            })
        }),
        Case::new(
            "more written than a writer was said to take",
            OVERRUN,
            traps("check-write"),
        )
        .set(|builder| builder.stdout(Output::writer(sink()))),
        Case::new(
            "an exit with a hundred pollables pending",
            r#"(func (export "run") (result i32) (local $left i32)
                (i32.store (i32.const 64) (call $after (i64.const 0)))
                (i32.store (i32.const 68) (call $readable (call $stdin)))
                (local.set $left (i32.const 400))
                (loop
                    (i32.store (i32.add (i32.const 68) (local.get $left))
                        (call $after (i64.const -1)))
                    (local.set $left (i32.sub (local.get $left) (i32.const 4)))
                    (br_if 0 (local.get $left)))
                (call $poll (i32.const 64) (i32.const 102) (i32.const 16))
                (call $exit (i32.const 1))
                unreachable)"#,
            Fate::Exits(1),
        )
        .set(|builder| builder.stdin(Input::piped())),
        Case::new(
            "an exit at start-up",
            r#"(func $begin (call $exit (i32.const 1))) (start $begin)
            (func (export "run") (result i32) unreachable)"#,
            Fate::Exits(1),
        ),
    ]
}
