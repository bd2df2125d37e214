//! Where it is the host's own code that fails.

use ww_core::Error;
use ww_core::cell::{Builder, Input, Output};

use crate::case::{Case, panics};
use crate::host::Broken;

pub(crate) fn cases() -> Vec<Case> {
    let calls = |what, call: &str| {
        let core = format!(r#"(func (export "run") (result i32) {call} unreachable)"#);
        Case::new(what, &core, panics("of the host"))
    };
    let caller = |what, set: fn(Builder) -> Builder| {
        let case = Case::of(what, example_images::wasm("caller"), panics("of the host"));
        case.set(set)
    };
    const READ: &str = "(call $read (call $stdin) (i64.const 1) (i32.const 16))";
    const WRITE: &str =
        "(call $write-all (call $stdout) (i32.const 64) (i32.const 64) (i32.const 16))";
    const SLEEP: &str = "(call $block (call $after (i64.const 0xffff_ffff)))";
    vec![
        calls("input from a reader that panics", READ)
            .set(|builder| builder.stdin(Input::reader(Broken))),
        calls("output to a writer that panics", WRITE)
            .set(|builder| builder.stdout(Output::writer(Broken))),
        calls(
            "random numbers from a source that panics",
            "(drop (call $random))",
        )
        .set(|builder| builder.random(Broken)),
        calls("sleep by a clock that panics", SLEEP).set(|builder| builder.clock(Broken)),
        caller("a call on a server that panics", |builder| {
            let builder = builder.args(["seq", "1", "1"]);
            builder.bootstrap(|_| Ok(Broken::server()))
        }),
        caller("a bootstrap that panics", |builder| {
            let builder = builder.args(["seq", "1", "1"]);
            builder.bootstrap(|_| -> Result<capnp::capability::Client, Error> {
                panic!("a bootstrap of the host")
            })
        }),
    ]
}
