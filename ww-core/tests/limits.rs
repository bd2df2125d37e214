//! What strangers' code may take: memory, tables, instances, and the host's
//! time for compiling it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use futures::future::{join_all, poll_immediate};
use futures_lite::future::block_on;
use ww_core::cell::{Builder, Limit, Limits, Usage};
use ww_core::{Error, Phase, Runtime};

const PAGE: usize = 64 << 10;

/// A component whose first module is instantiated `count` times, and whose
/// `run` is the second's.
fn wasm(core: &str, count: usize, run: &str) -> Vec<u8> {
    let instances = "(core instance (instantiate $m))".repeat(count);
    let text = format!(
        r#"(component
            (core module $m {core})
            {instances}
            (core module $n {run})
            (core instance $i (instantiate $n))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#
    );
    wat::parse_str(text).expect("this is a component")
}

const IDLE: &str = r#"(func (export "run") (result i32) i32.const 0)"#;

fn limits(set: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    set(&mut limits);
    limits
}

/// How a cell of `wasm` ends, and what it has used.
fn ends(wasm: Vec<u8>, limits: Limits) -> (Result<i32, Error>, Usage) {
    block_on(async {
        let runtime = Runtime::shared().expect("a runtime");
        let program = runtime.compile(wasm).await.expect("it compiles");
        let builder = Builder::new().program(program).limits(limits);
        let cell = builder.spawn().await.expect("it spawns");
        let end = cell.wait().await.map(|exit| exit.code());
        (end, cell.usage())
    })
}

/// What the instances of a component take that has nothing else.
fn instances(wasm: Vec<u8>) -> usize {
    ends(wasm, Limits::default()).1.peak_memory
}

#[test]
fn tables_come_out_of_the_memory() {
    const ENTRIES: usize = 100_000;
    const TABLE: usize = ENTRIES * size_of::<usize>();
    let table = format!("(table {ENTRIES} funcref)");
    for (count, fits) in [(0, true), (1, true), (4, true), (5, false)] {
        let instances = instances(wasm("(table 0 funcref)", count, IDLE));
        let bound = instances + 4 * TABLE + 7;
        let wasm = wasm(&table, count, IDLE);
        let (end, usage) = ends(wasm, limits(|limits| limits.memory = bound));
        match end {
            Ok(code) => assert!(code == 0 && fits, "{count} tables"),
            Err(Error::Limit { limit, bound: at }) => {
                assert_eq!((limit, at), (Limit::Memory, bound as u64));
                assert_eq!(usage.refused, Some(Limit::Memory));
                assert!(!fits, "{count} tables");
            }
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(usage.peak_memory, instances + count.min(4) * TABLE);
        assert_eq!(usage.memory, 0);
    }
}

#[test]
fn a_table_that_grows_comes_out_of_the_memory() {
    // Until it gets no more; `run` fails if that was not to be.
    let grow = r#"(memory 1) (table 0 funcref) (func (export "run") (result i32)
        (loop (br_if 0 (i32.ne (table.grow (ref.null func) (i32.const 1000)) (i32.const -1))))
        (i32.ne (table.size) (i32.const 8000)))"#;
    let instances = instances(wasm("", 0, &format!("(memory 0) (table 0 funcref) {IDLE}")));
    let all = instances + PAGE + 8000 * size_of::<usize>();
    let memory = limits(|limits| limits.memory = all + 8);
    let (end, usage) = ends(wasm("", 0, grow), memory);
    assert_eq!(end.expect("it exits"), 0);
    assert_eq!(usage.peak_memory, all);
    assert_eq!(usage.refused, Some(Limit::Memory));
}

#[test]
fn instances_tables_and_memories_are_counted() {
    let defaults = Limits::default();
    let sixteen = "(memory 0)".repeat(16);
    let few = |limits: &mut Limits| (limits.instances, limits.tables, limits.memories) = (5, 3, 2);
    let cases: [(Limit, &str, Limits, usize, usize); 7] = [
        // The instance that has `run` is one, too.
        (Limit::Instances, "", limits(few), 4, 5),
        (Limit::Tables, "(table 0 funcref)", limits(few), 3, 4),
        (Limit::Memories, "(memory 0)", limits(few), 2, 3),
        (Limit::Instances, "", defaults, 255, 256),
        (Limit::Tables, "(table 0 funcref)", defaults, 64, 65),
        (Limit::Memories, "(memory 0)", defaults, 16, 17),
        // No process has mappings for so many.
        (Limit::Memories, &sixteen, defaults, 1, 900),
    ];
    for (what, core, limits, fit, burst) in cases {
        let (end, _) = ends(wasm(core, fit, IDLE), limits);
        assert_eq!(end.expect("they fit"), 0);
        match ends(wasm(core, burst, IDLE), limits).0 {
            Err(Error::Limit { limit, bound }) => {
                assert_eq!(limit, what);
                // As many as fit, and the instance that has `run`.
                let each = core.matches("(memory").count().max(1);
                let fitted = fit * each + usize::from(what == Limit::Instances);
                assert_eq!(bound, fitted as u64);
            }
            other => panic!("{burst} of {what}: {other:?}"),
        }
    }
}

#[test]
fn growth_that_fails_takes_nothing() {
    // `run` answers whether, after 100 growths that fail, one of a page fits.
    let tries = |memory: &str, grow: &str, failed: &str| {
        format!(
            r#"{memory} (func (export "run") (result i32) (local $left i32)
                (local.set $left (i32.const 100))
                (loop
                    (if (i32.eqz {failed}) (then unreachable))
                    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                    (br_if 0 (local.get $left)))
                {grow})"#
        )
    };
    let cases = [
        (
            "beyond its own maximum",
            tries(
                "(memory 1 2)",
                "(i32.ne (memory.grow (i32.const 1)) (i32.const 1))",
                "(i32.eq (memory.grow (i32.const 100)) (i32.const -1))",
            ),
            2 * PAGE,
            limits(|limits| limits.memory = 200 * PAGE),
        ),
        (
            "a table, beyond its own maximum",
            tries(
                "(table 0 8192 funcref)",
                "(i32.ne (table.grow (ref.null func) (i32.const 8192)) (i32.const 0))",
                "(i32.eq (table.grow (ref.null func) (i32.const 80000)) (i32.const -1))",
            ),
            PAGE,
            limits(|limits| limits.memory = 20 * PAGE),
        ),
        (
            "more than the machine has",
            tries(
                "(memory i64 1)",
                "(i64.ne (memory.grow (i64.const 1)) (i64.const 1))",
                "(i64.eq (memory.grow (i64.const 0x2_0000_0000)) (i64.const -1))",
            ),
            2 * PAGE,
            limits(|limits| limits.memory = usize::MAX),
        ),
    ];
    for (what, run, peak, limits) in cases {
        let declared = format!(
            "{} {IDLE}",
            if run.contains("table") {
                "(table 0 funcref)"
            } else {
                "(memory 0)"
            }
        );
        let instances = instances(wasm("", 0, &declared));
        let (end, usage) = ends(wasm("", 0, &run), limits);
        assert_eq!(end.expect(what), 0, "{what}");
        assert_eq!(usage.peak_memory, instances + peak, "{what}");
    }
}

/// One of many components that are all different.
fn distinct(number: usize) -> Vec<u8> {
    wasm(&format!("(memory {number})"), 1, IDLE)
}

#[test]
fn a_program_stays_compiled_whatever_others_compile() {
    let runtime = Runtime::new().expect("a runtime");
    let known = distinct(0);
    let asked = || poll_immediate(runtime.compile(known.clone()));
    block_on(async {
        runtime.compile(known.clone()).await.expect("it compiles");
        for byte in 0..100 {
            let garbage = [&b"\0asm\x0d\0\x01\0"[..], &[0xff, byte]].concat();
            runtime.compile(garbage).await.expect_err("it is garbage");
        }
        asked().await.expect("at once").expect("it is compiled");

        let mut others: Vec<_> = (1..40)
            .map(|number| Box::pin(runtime.compile(distinct(number))))
            .collect();
        for other in &mut others {
            let _ = poll_immediate(other).await;
        }
        asked().await.expect("at once").expect("it is compiled");
        for compiled in join_all(others).await {
            compiled.expect("it compiles");
        }
        asked().await.expect("at once").expect("it is compiled");
    });
}

#[test]
fn the_program_used_longest_ago_is_forgotten_when_there_are_too_many() {
    // 256 programs are kept.
    forgets(256, distinct);
}

#[test]
fn the_program_used_longest_ago_is_forgotten_when_there_is_too_much_code() {
    // 256 MiB are kept, data included, and the code around it takes some.
    const BYTES: usize = 32 << 20;
    let pages = BYTES / 65_536;
    let data = "x".repeat(BYTES);
    forgets(7, |number| {
        let memory = format!("(memory {pages}) (data (i32.const 0) \"{number}\")");
        let filled = format!("{memory} (data (i32.const 16) \"{}\")", &data[16..]);
        wasm(&filled, 1, IDLE)
    });
}

/// A runtime keeps `kept` programs and not one more.
fn forgets(kept: usize, program: impl Fn(usize) -> Vec<u8>) {
    let runtime = Runtime::new().expect("a runtime");
    let compiles = |number| {
        let compiled = Arc::new(AtomicBool::new(false));
        let seen = compiled.clone();
        let compilation = runtime.compile(program(number)).observe(move |phase| {
            seen.fetch_or(phase == Phase::Compiling, Ordering::Relaxed);
        });
        block_on(compilation).expect("it compiles");
        compiled.load(Ordering::Relaxed)
    };
    assert!((0..kept).all(compiles));
    // Used last from now on.
    assert!(!compiles(0));
    assert!(compiles(kept));
    assert!(!compiles(kept));
    assert!(!compiles(0));
    assert!(compiles(1));
}

#[cfg(target_os = "linux")]
#[test]
fn compilations_take_turns() {
    const COUNT: usize = 80;
    let threads = || std::fs::read_dir("/proc/self/task").expect("Linux").count();
    let runtime = Runtime::new().expect("a runtime");
    let code = "(drop (i32.mul (i32.const 7) (i32.clz (local.get 0))))".repeat(500);
    let slow = |number| {
        let core = format!("(memory {number}) (func (param i32) {code})");
        wasm(&core, 1, IDLE)
    };
    let before = threads();
    let peak = Cell::new(before);
    block_on(join_all((0..COUNT).map(slow).map(|wasm| async {
        runtime.compile(wasm).await.expect("it compiles");
        peak.set(peak.get().max(threads()));
    })));
    // One a processor here, one a processor within the compiler, and those of
    // the tests beside this one.
    let processors = thread::available_parallelism().expect("Linux").get();
    let more = peak.get().saturating_sub(before);
    assert!(more <= 2 * processors + 24, "{more} more threads");
}
