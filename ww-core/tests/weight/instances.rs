//! What an instance is charged for each thing that it declares, beside what the engine
//! takes for it.

use wasmtime::ValRaw;
use wasmtime_environ::{HostPtr, VMOffsets, VMOffsetsFields};
use ww_core::cell::Limits;

use crate::run;

struct Case {
    /// What a module declares so many of, by its number.
    declares: fn(usize) -> String,
    count: usize,
    /// The engine's own count of those.
    takes: fn(&mut VMOffsetsFields<HostPtr>) -> &mut u32,
}

const CASES: [Case; 9] = [
    Case {
        declares: |_| "(global i32 (i32.const 7))".into(),
        count: 100,
        takes: |fields| &mut fields.num_defined_globals,
    },
    Case {
        declares: |_| "(global v128 (v128.const i64x2 7 7))".into(),
        count: 100,
        takes: |fields| &mut fields.num_defined_globals,
    },
    Case {
        declares: |number| format!(r#"(func (export "f{number}"))"#),
        count: 100,
        takes: |fields| &mut fields.num_escaped_funcs,
    },
    Case {
        declares: |_| r#"(data "a")"#.into(),
        count: 100,
        takes: |fields| &mut fields.num_runtime_data,
    },
    Case {
        declares: |_| "(table 0 funcref)".into(),
        count: 5,
        takes: |fields| &mut fields.num_defined_tables,
    },
    Case {
        declares: |_| "(memory 0)".into(),
        count: 5,
        takes: |fields| {
            fields.num_owned_memories += 5;
            &mut fields.num_defined_memories
        },
    },
    Case {
        declares: |number| format!(r#"(import "i" "f{number}" (func $f{number}))"#),
        count: 100,
        takes: |fields| {
            // Each may also be referred to.
            fields.num_escaped_funcs += 100;
            &mut fields.num_imported_functions
        },
    },
    Case {
        declares: |number| format!(r#"(import "i" "g{number}" (global i32))"#),
        count: 100,
        takes: |fields| &mut fields.num_imported_globals,
    },
    Case {
        declares: |number| format!(r#"(import "i" "t{number}" (table 0 funcref))"#),
        count: 100,
        takes: |fields| &mut fields.num_imported_tables,
    },
];

/// What the engine lays out for an instance that has so many of `case`.
fn laid_out(case: Option<&Case>) -> usize {
    let mut fields = VMOffsetsFields {
        ptr: HostPtr,
        num_imported_functions: 0,
        num_imported_tables: 0,
        num_imported_memories: 0,
        num_imported_globals: 0,
        num_imported_tags: 0,
        num_defined_tables: 0,
        num_defined_memories: 0,
        num_owned_memories: 0,
        num_defined_globals: 0,
        num_defined_tags: 0,
        num_escaped_funcs: 0,
        num_runtime_data: 0,
        has_startup_func: false,
    };
    if let Some(case) = case {
        *(case.takes)(&mut fields) += case.count as u32;
    }
    VMOffsets::from(fields).size_of_vmctx() as usize
}

/// What a cell is charged for an instance of `module`, beside those of `given`.
fn charged(given: &str, module: &str) -> usize {
    let exports = format!(
        r#"(core module $i (func $f) (global $g i32 (i32.const 7)) (table $t 0 funcref) {given})
        (core instance $i (instantiate $i)) (core module $m {module})"#
    );
    let peak = |instances: usize| {
        let instance = r#"(core instance (instantiate $m (with "i" (instance $i))))"#;
        let parts = exports.clone() + &instance.repeat(instances);
        let usage = run(&parts, Limits::default()).expect("they fit");
        usage.peak_memory
    };
    peak(2) - peak(1)
}

#[test]
fn instances_are_charged_what_the_engine_lays_out() {
    let given: String = (0..100)
        .map(|number| {
            format!(
                r#"(export "f{number}" (func $f)) (export "g{number}" (global $g))
                (export "t{number}" (table $t))"#
            )
        })
        .collect();
    let empty = charged(&given, "");
    for case in &CASES {
        let declared: String = (0..case.count).map(case.declares).collect();
        let charged = charged(&given, &declared) - empty;
        let takes = laid_out(Some(case)) - laid_out(None);
        let each = (case.declares)(0);
        assert!(charged >= takes, "{each}: {charged} of {takes}");
    }
}

#[test]
fn passive_elements_are_charged_as_the_engine_keeps_them() {
    let elements = |count| format!("(func $f) (elem func {})", "$f ".repeat(count));
    let charged = charged("", &elements(1000)) - charged("", &elements(0));
    assert!(charged >= 1000 * size_of::<ValRaw>(), "{charged}");
}
