//! More than anybody reads, and more than the guest does.

use std::io::ErrorKind;

use futures::{AsyncReadExt, AsyncWriteExt};
use ww_core::cell::{Input, Output};

use crate::case::{Case, Fate, traps};
use crate::host::Stuck;

/// Bytes that a piped standard stream holds.
const PIPE: usize = 64 << 10;

pub(crate) fn cases() -> Vec<Case> {
    /// Answers 1 once the stream takes no more.
    const FLOOD: &str = r#"(func (export "run") (result i32) (local $out i32)
        (local.set $out (call $stdout))
        (loop
            (call $write-all (local.get $out) (i32.const 1024) (i32.const 4096) (i32.const 16))
            (br_if 0 (i32.eqz (i32.load8_u (i32.const 16)))))
        (i32.const 1))"#;
    const MEGABYTE: &str = r#"(func (export "run") (result i32) (local $out i32) (local $left i32)
        (local.set $out (call $stdout))
        (local.set $left (i32.const 256))
        (loop
            (call $write-all (local.get $out) (i32.const 1024) (i32.const 4096) (i32.const 16))
            (if (i32.load8_u (i32.const 16)) (then unreachable))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if 0 (local.get $left)))
        (i32.const 0))"#;
    /// Looks at its standard input, and waits for something else.
    const IGNORES: &str = r#"(func (export "run") (result i32)
        (drop (call $readable (call $stdin)))
        (call $block (call $after (i64.const -1)))
        unreachable)"#;
    vec![
        Case::new("output that is discarded", FLOOD, Fate::Spins),
        Case::new(
            "a hundred megabytes of output at once",
            r#"(func (export "run") (result i32)
                (drop (memory.grow (i32.const 1600)))
                (call $write (call $stdout) (i32.const 0) (i32.const 100_000_000) (i32.const 16))
                (i32.const 0))"#,
            traps("hostcalls"),
        ),
        Case::new(
            "a hundred megabytes of zeros at once",
            r#"(func (export "run") (result i32)
                (call $write-zeroes (call $stdout) (i64.const 100_000_000) (i32.const 16))
                (i32.const 0))"#,
            traps("check_write"),
        ),
        Case::new(
            "a megabyte of output that nobody asks for",
            MEGABYTE,
            Fate::Exits(0),
        )
        .set(|builder| builder.stdout(Output::piped()))
        .host(|cell| {
            Box::pin(async move {
                let _ = cell.wait().await;
                let mut kept = Vec::new();
                let mut stdout = cell.take_stdout().expect("it is piped");
                stdout.read_to_end(&mut kept).await.expect("a pipe");
                assert_eq!(kept.len(), PIPE);
            })
        }),
        Case::new("output that nobody reads", FLOOD, Fate::Waits)
            .set(|builder| builder.stdout(Output::piped()))
            .host(|cell| {
                Box::pin(async move {
                    let mut stdout = cell.take_stdout().expect("it is piped");
                    let _ = cell.wait().await;
                    let mut kept = Vec::new();
                    stdout.read_to_end(&mut kept).await.expect("a pipe");
                    assert!(kept.len() <= PIPE, "{}", kept.len());
                })
            }),
        Case::new("output whose reader leaves", FLOOD, Fate::Exits(1))
            .set(|builder| builder.stdout(Output::piped()))
            .host(|cell| {
                Box::pin(async move {
                    let mut stdout = cell.take_stdout().expect("it is piped");
                    let read = stdout.read_exact(&mut [0; 4096]).await;
                    read.expect("it writes");
                })
            }),
        Case::new(
            "output to a writer that never takes any",
            FLOOD,
            Fate::Waits,
        )
        .set(|builder| builder.stdout(Output::writer(Stuck))),
        Case::new(
            "an end, with output left for a writer that never takes any",
            r#"(func (export "run") (result i32)
                (call $write (call $stdout) (i32.const 1024) (i32.const 4096) (i32.const 16))
                (i32.const 0))"#,
            Fate::Waits,
        )
        .set(|builder| builder.stdout(Output::writer(Stuck))),
        Case::new(
            "megabytes of input that it never reads",
            IGNORES,
            Fate::Waits,
        )
        .set(|builder| builder.stdin(Input::piped()))
        .host(|cell| {
            Box::pin(async move {
                let mut stdin = cell.take_stdin().expect("it is piped");
                let mut taken = 0;
                let error = loop {
                    match stdin.write(&[0; 5000]).await {
                        Ok(count) => taken += count,
                        Err(error) => break error,
                    }
                };
                assert_eq!(taken, PIPE);
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            })
        }),
        Case::new(
            "an end, with megabytes of input to come",
            r#"(func (export "run") (result i32) (i32.const 0))"#,
            Fate::Exits(0),
        )
        .set(|builder| builder.stdin(Input::piped()))
        .host(|cell| {
            Box::pin(async move {
                let mut stdin = cell.take_stdin().expect("it is piped");
                let error = stdin.write_all(&[0; 4 << 20]).await.expect_err("it ends");
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            })
        }),
    ]
}
