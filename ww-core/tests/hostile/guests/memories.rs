//! After the host's memory.

use ww_core::cell::Limit;

use crate::case::{Case, Fate, PAGE};

const MIB: usize = 1 << 20;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "memory until it is refused, and then all of it touched",
            r#"(func (export "run") (result i32) (local $at i32)
                (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
                (local.set $at (i32.mul (memory.size) (i32.const 0x10000)))
                (loop
                    (local.set $at (i32.sub (local.get $at) (i32.const 0x1000)))
                    (i32.store (local.get $at) (i32.const 1))
                    (br_if 0 (local.get $at)))
                (i32.const 0))"#,
            Fate::Exits(0),
        )
        .peak(256 * MIB)
        .refused(Limit::Memory),
        Case::new(
            "all of its memory filled over and over",
            r#"(func (export "run") (result i32)
                (loop (br_if 0 (i32.ne (memory.grow (i32.const 64)) (i32.const -1))))
                (loop
                    (memory.fill (i32.const 0) (i32.const 1)
                        (i32.mul (memory.size) (i32.const 0x10000)))
                    (br 0))
                unreachable)"#,
            Fate::Spins,
        )
        .limit(|limits| limits.memory = 16 * MIB + 2 * PAGE)
        .peak(16 * MIB + PAGE)
        .refused(Limit::Memory),
        Case::new(
            "a table until it is refused, and then all of it filled",
            r#"(table $table 0 funcref)
            (func $f (export "run") (result i32)
                (loop (br_if 0 (i32.ne
                    (table.grow $table (ref.null func) (i32.const 1)) (i32.const -1))))
                (table.fill $table (i32.const 0) (ref.func $f) (table.size $table))
                (i32.const 0))"#,
            Fate::Exits(0),
        )
        .peak(PAGE + 100_000 * size_of::<usize>())
        .refused(Limit::TableElements),
        Case::of(
            "files until it is refused more scratch space",
            example_images::wasm("wasi-probe"),
            Fate::Exits(0),
        )
        .set(|builder| builder.args(["fill", "/tmp"]).scratch("/tmp"))
        .limit(|limits| limits.scratch = 1 << 20)
        .refused(Limit::Scratch),
    ]
}

/// 18 MB of code and data.
pub(crate) fn large() -> Case {
    const SIZE: usize = 18_000_000;
    let pages = SIZE.div_ceil(PAGE) + 1;
    let data = "x".repeat(SIZE);
    let core = format!(
        r#"(memory $large {pages}) (data (memory $large) (i32.const 1) "{data}")
        (func (export "run") (result i32)
            (i32.ne (i32.load8_u $large (i32.const {SIZE})) (i32.const 120)))"#
    );
    Case::new("a component of 18 MB", &core, Fate::Exits(0)).peak((pages + 1) * PAGE)
}
