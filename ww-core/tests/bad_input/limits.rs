//! Guests that take more than they may.

use ww_core::Error;
use ww_core::cell::{Builder, Limits};

use crate::cases::{case, check};
use crate::component::component;
use crate::fate::{RUNTIME, guest};
use crate::patience::patiently;

/// Bytes by which memory grows.
const PAGE: usize = 64 << 10;

const MIB: usize = 1 << 20;

/// One of memory, few of anything else.
fn tight() -> Limits {
    let mut limits = Limits::default();
    limits.memory = MIB;
    limits.table_elements = 100;
    limits
}

/// Asks for one page after the other, and aborts when it gets none.
fn bomb() -> Builder {
    let grow = r#"(memory 1) (func (export "run") (result i32)
        (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        unreachable)"#;
    component("", grow)
}

#[test]
fn growth_ends_at_the_limit() {
    let table = r#"(table 1 funcref) (func (export "run") (result i32)
        (loop (br_if 0 (i32.ne (table.grow (ref.null func) (i32.const 1)) (i32.const -1))))
        unreachable)"#;
    let whole = r#"(memory 100) (func (export "run") (result i32) i32.const 0)"#;
    let wide = r#"(table 101 funcref) (func (export "run") (result i32) i32.const 0)"#;
    let deep = r#"(func $f (export "run") (result i32) (i32.add (call $f) (call $f)))"#;
    check([
        case!(
            "memory page by page",
            bomb().limits(tight()),
            Error::Trap { .. },
            ["unreachable", "refused more memory"]
        ),
        case!(
            "a table entry by entry",
            component("", table).limits(tight()),
            Error::Trap { .. },
            ["unreachable", "refused more table entries"],
        ),
        case!(
            "memory from the start",
            component("", whole).limits(tight()),
            Error::Limit { .. },
            ["memory"],
        ),
        case!(
            "a table from the start",
            component("", wide).limits(tight()),
            Error::Limit { .. },
            ["table"],
        ),
        case!(
            "calls without end",
            component("", deep),
            Error::Trap { .. },
            ["stack"]
        ),
        case!(
            "a guest of std that does not fit",
            guest("hello").limits({
                let mut limits = Limits::default();
                limits.memory = MIB / 4;
                limits
            }),
            Error::Limit { .. },
            ["memory"],
        ),
    ]);
}

#[test]
fn what_was_refused_is_not_counted_as_held() {
    for (limits, most) in [(tight(), MIB), (Limits::default(), 256 * MIB)] {
        patiently(async {
            let builder = bomb().runtime(&RUNTIME).limits(limits);
            let cell = builder.spawn().await.expect("it spawns");
            cell.wait().await.expect_err("it aborts");
            // Its instances take less than a page, and memory grows by pages.
            let peak = cell.usage().peak_memory;
            assert!(peak <= most && most - peak < PAGE, "{peak} of {most}");
            assert_eq!(cell.usage().memory, 0);
        });
    }
}
