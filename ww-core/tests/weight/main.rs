//! What instances of modules take beside their memories and tables, and what it takes to
//! compile them.

mod instances;
mod resources;
mod types;

use futures_lite::future::block_on;
use ww_core::cell::{Builder, Limit, Limits, Usage};
use ww_core::{Error, Program, Runtime};

/// Globals of a module, and instances of it that are within the limits.
const GLOBALS: usize = 5_000;
const INSTANCES: usize = 100;

/// What a global takes, in bytes.
const GLOBAL: usize = 16;

/// A component of `parts`, whose `run` is that of a module that follows.
fn wasm(parts: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            {parts}
            (core module $run (func (export "run") (result i32) i32.const 0))
            (core instance $run (instantiate $run))
            (func $run (result (result)) (canon lift (core func $run "run")))
            (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#
    );
    wat::parse_str(text).expect("this is a component")
}

/// A module of so many globals, called `$m`.
fn module(globals: usize) -> String {
    let globals = "(global i32 (i32.const 7))".repeat(globals);
    format!("(core module $m {globals})")
}

fn runtime() -> Runtime {
    Runtime::shared().expect("a runtime")
}

fn compile(parts: &str) -> Result<Program, Error> {
    block_on(runtime().compile(wasm(parts)))
}

/// Why it is not compiled.
fn refused(parts: &str) -> String {
    reason(compile(parts))
}

fn reason(compiled: Result<Program, Error>) -> String {
    match compiled {
        Err(Error::Compile(reason)) => reason.to_string(),
        other => panic!("{:?}", other.map(|_| ())),
    }
}

fn run(parts: &str, limits: Limits) -> Result<Usage, Error> {
    let program = compile(parts)?;
    block_on(async {
        let builder = Builder::new().program(program).limits(limits);
        let cell = builder.spawn().await?;
        assert!(cell.wait().await?.success());
        Ok(cell.usage())
    })
}

#[test]
fn instances_come_out_of_the_memory() {
    let instances = "(core instance (instantiate $m))".repeat(INSTANCES);
    let parts = module(GLOBALS) + &instances;
    let expected = GLOBALS * INSTANCES * GLOBAL;

    let mut limits = Limits::default();
    let usage = run(&parts, limits).expect("they fit");
    assert!(usage.peak_memory >= expected);
    // An instance takes something, whatever it declares.
    assert!(usage.peak_memory < expected + (INSTANCES + 1) * 1024);
    assert_eq!(usage.memory, 0);

    limits.memory = usage.peak_memory;
    run(&parts, limits).expect("they still fit");
    limits.memory -= 1;
    match run(&parts, limits) {
        Err(Error::Limit { limit, bound }) => {
            assert_eq!((limit, bound), (Limit::Memory, limits.memory as u64));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_component_has_the_host_write_for_long_before_its_code_runs() {
    let all = |module: &str| module.to_owned() + &"(core instance (instantiate $m))".repeat(200);
    let functions = "$f ".repeat(10_000);
    let passive = format!("(core module $m (func $f) (elem func {functions}))");
    let with = |what: &str, module: &str| {
        let instances = r#"(core instance (instantiate $m (with "" (instance $i))))"#;
        format!(
            r#"(core module $i ({what})) (core instance $i (instantiate $i))
            (core module $m {module}) {}"#,
            instances.repeat(200)
        )
    };
    let active = with(
        r#"table (export "t") 10000 funcref"#,
        &format!(
            r#"(import "" "t" (table 1 funcref)) (func $f) (elem (i32.const 0) func {functions})"#
        ),
    );
    let data = with(
        r#"memory (export "m") 16"#,
        &format!(
            r#"(import "" "m" (memory 1)) (data (i32.const 0) "{}")"#,
            "x".repeat(1 << 20)
        ),
    );
    for parts in [all(&module(1 << 19)), all(&passive), active, data] {
        let reason = refused(&parts);
        assert!(reason.contains("of at most 16777216"), "{reason}");
    }
}

#[test]
fn a_module_is_counted_however_a_component_comes_by_it() {
    let module = module(GLOBALS);
    let many = "(core instance (instantiate $x))".repeat(INSTANCES);
    let outer = format!(
        "{module} (component $c (alias outer 1 $m (core module $x)) {many})
        (instance (instantiate $c))"
    );
    let given = format!(
        r#"{module} (component $c (import "x" (core module $x)) {many})
        (instance (instantiate $c (with "x" (core module $m))))"#
    );
    let exported = format!(
        r#"(component $d {module} (export "x" (core module $m)))
        (instance $d (instantiate $d))
        (alias export $d "x" (core module $x)) {many}"#
    );
    let handed_on = format!(
        r#"(component $d {module} (export "a" (core module $m)))
        (instance $d (instantiate $d))
        (alias export $d "a" (core module $a))
        (instance $b (export "x" (core module $a)))
        (component $c (import "b" (instance $b (export "x" (core module))))
            (alias export $b "x" (core module $x)) {many})
        (instance (instantiate $c (with "b" (instance $b))))"#
    );
    let by_component = format!(
        r#"{module}
        (component $c (alias outer 1 $m (core module $x)) {})
        (component $d (import "c" (component $c)) (instance (instantiate $c)) (instance (instantiate $c)))
        (instance (instantiate $d (with "c" (component $c))))"#,
        "(core instance (instantiate $x))".repeat(INSTANCES / 2)
    );
    for parts in [outer, given, exported, handed_on, by_component] {
        let usage = run(&parts, Limits::default()).expect("it fits");
        let expected = GLOBALS * INSTANCES * GLOBAL;
        assert!(usage.peak_memory >= expected, "{}", usage.peak_memory);
        assert!(usage.peak_memory < expected + (INSTANCES + 2) * 2048);
    }
}

#[test]
fn components_do_not_multiply_without_bound() {
    let mut parts = String::from("(component $c0)");
    for level in 1..6 {
        let below = level - 1;
        parts += &format!(
            "(component $c{level} (alias outer 1 $c{below} (component $x)) {})",
            "(instance (instantiate $x))".repeat(200)
        );
    }
    parts += "(instance (instantiate $c5))";
    let reason = refused(&parts);
    assert!(reason.contains("262144 parts"), "{reason}");
}

#[test]
fn instances_do_not_stand_within_one_another_without_bound() {
    let mut chain = String::from("(instance $i0)");
    for level in 1..900 {
        let below = level - 1;
        chain += &format!(r#"(instance $i{level} (export "a" (instance $i{below})))"#);
    }
    let chain = refused(&chain);
    assert!(chain.contains("deeper than 100"), "{chain}");
    let mut declared = String::from("(type $i0 (instance))");
    for level in 1..900 {
        let below = level - 1;
        declared +=
            &format!(r#"(type $i{level} (instance (export "a" (instance (type $i{below})))))"#);
    }
    let declared = refused(&declared);
    assert!(declared.contains("deeper than 100"), "{declared}");
    // Each has the one before twice, which the engine copies.
    let mut doubled = String::from("(instance $i0)");
    for level in 1..19 {
        let below = level - 1;
        doubled += &format!(
            r#"(instance $i{level} (export "a" (instance $i{below})) (export "b" (instance $i{below})))"#
        );
    }
    doubled += &r#"(instance (export "a" (instance $i18)))"#.repeat(900);
    let doubled = refused(&doubled);
    assert!(doubled.contains("4194304 parts"), "{doubled}");
}

#[test]
fn modules_do_not_have_the_compiler_write_without_bound() {
    let tables = "(table 1048576 funcref)".repeat(100);
    let elements: String = (0..100)
        .map(|table| format!("(elem (table {table}) (i32.const 1048575) func $f)"))
        .collect();
    // Of which there is no instance.
    let reason = refused(&format!("(core module (func $f) {tables} {elements})"));
    assert!(reason.contains("of at most 16777216"), "{reason}");
}

#[test]
fn components_do_not_nest_without_bound() {
    let mut chain = String::from("(component $c0)");
    for level in 1..200 {
        let below = level - 1;
        chain += &format!(
            "(component $c{level} (alias outer 1 $c{below} (component $x)) (instance (instantiate $x)))"
        );
    }
    chain += "(instance (instantiate $c199))";
    let chain = refused(&chain);

    let empty = b"\0asm\x0d\0\x01\0".to_vec();
    let nested = (0..200).fold(empty.clone(), |inner, _| {
        let size = inner.len();
        let size = [
            0x80 | size as u8,
            0x80 | (size >> 7) as u8,
            (size >> 14) as u8,
        ];
        // A section of one component.
        [&empty[..], &[4], &size, &inner].concat()
    });
    let nested = reason(block_on(runtime().compile(nested)));

    // A section of one type of an instance, which declares one, which declares one.
    let levels = 5000;
    let size = 1 + 3 * levels + 2;
    let size = [0x80 | size as u8, (size >> 7) as u8];
    let declared = [0x42, 1, 1].repeat(levels);
    let declared = [&empty[..], &[7], &size, &[1], &declared, &[0x42, 0]].concat();
    let declared = reason(block_on(runtime().compile(declared)));
    for reason in [chain, nested, declared] {
        assert!(reason.contains("deeper than 100"), "{reason}");
    }
}

#[test]
fn components_do_not_take_in_others_without_bound() {
    // Each takes in the one before twice.
    let mut closures = String::from("(component $c0)");
    for level in 1..22 {
        let below = level - 1;
        let alias = format!("(alias outer 1 $c{below} (component))");
        closures += &format!("(component $c{level} {alias} {alias})");
    }
    let closures = refused(&closures);
    assert!(closures.contains("1048576 parts"), "{closures}");
    // And once, so that they do not grow but in depth.
    let mut chain = String::from("(component $c0)");
    for level in 1..900 {
        let below = level - 1;
        chain += &format!("(component $c{level} (alias outer 1 $c{below} (component)))");
    }
    let chain = refused(&chain);
    assert!(chain.contains("deeper than 100"), "{chain}");
}

#[test]
fn what_an_instance_holds_counts_whatever_its_type_says() {
    // A component that takes it for an empty instance hands it out within another.
    let deeper = r#"(component $c (import "i" (instance $i))
            (instance $o (export "a" (instance $i))) (export "o" (instance $o)))
        (instance $i0)"#;
    let deeper = (1..400).fold(deeper.to_owned(), |parts, level| {
        let below = level - 1;
        parts
            + &format!(
                r#"(instance $o{level} (instantiate $c (with "i" (instance $i{below}))))
                (alias export $o{level} "o" (instance $i{level}))"#
            )
    });
    let deeper = refused(&deeper);
    assert!(deeper.contains("deeper than 100"), "{deeper}");

    let exports: String = (0..5000)
        .map(|number| format!(r#"(export "e{number}" (instance $n))"#))
        .collect();
    let wider = format!(
        r#"(instance $n) (instance $i {exports})
        (component $c (import "i" (instance $i)) {})
        (instance (instantiate $c (with "i" (instance $i))))"#,
        r#"(instance (export "a" (instance $i)))"#.repeat(900)
    );
    let wider = refused(&wider);
    assert!(wider.contains("1048576 parts"), "{wider}");
}

#[test]
fn names_that_instances_are_looked_for_by_are_bounded() {
    let name = |number: usize| format!("{}{number}", "n".repeat(90_000));
    let imports: String = (0..10)
        .map(|number| format!(r#"(import "{}" (instance))"#, name(number)))
        .collect();
    let given: String = (0..10)
        .map(|number| format!(r#"(with "{}" (instance $n))"#, name(number)))
        .collect();
    let reason = refused(&format!(
        "(component $a {imports}) (instance $n)
        {}",
        format!("(instance (instantiate $a {given}))").repeat(10)
    ));
    assert!(reason.contains("262144 parts"), "{reason}");
}

#[test]
fn what_is_written_to_carry_values_is_bounded() {
    let kind = format!(r#"(param "x" (tuple {}))"#, "string ".repeat(24));
    let lower = r#"(core func (canon lower (func $f) string-encoding=utf16
        (memory (core memory $m "m")) (realloc (core func $m "r"))))"#;
    let memory = r#"(core module $m (memory (export "m") 1) (func (export "f") (param i32))
            (func (export "r") (param i32 i32 i32 i32) (result i32) i32.const 0))
        (core instance $m (instantiate $m))"#;
    let parts = format!(
        r#"(component $a {memory}
            (func (export "f") {kind} (canon lift (core func $m "f")
                (memory (core memory $m "m")) (realloc (core func $m "r")))))
        (instance $a (instantiate $a))
        (component $b (import "f" (func $f {kind})) {memory} {})
        (instance (instantiate $b (with "f" (func $a "f"))))"#,
        lower.repeat(300)
    );
    let reason = refused(&parts);
    assert!(reason.contains("strings and lists"), "{reason}");
    // All in one function, of types that are each another.
    let tuples: String = (0..1000)
        .map(|number| {
            let signs = (0..10).map(|bit| if number >> bit & 1 == 0 { "u8 " } else { "s8 " });
            let signs: String = signs.collect();
            format!("(type $t{number} (tuple {signs} {}))", "string ".repeat(24))
        })
        .collect();
    let all: String = (0..1000).map(|number| format!("$t{number} ")).collect();
    let types = format!("{tuples} (type $t (tuple {all}))");
    let kind = r#"(param "x" $t)"#;
    let parts = format!(
        r#"(component $a {memory} {types}
            (func (export "f") {kind} (canon lift (core func $m "f")
                (memory (core memory $m "m")) (realloc (core func $m "r")))))
        (instance $a (instantiate $a))
        (component $b {types} (import "f" (func $f {kind})) {memory} {lower})
        (instance (instantiate $b (with "f" (func $a "f"))))"#
    );
    let reason = refused(&parts);
    assert!(reason.contains("strings and lists"), "{reason}");
}

#[test]
fn the_compiler_does_not_write_down_memories_without_bound() {
    let memories = "(memory 256)".repeat(20);
    let ends: String = (0..20)
        .map(|memory| {
            format!(
                r#"(data (memory {memory}) (i32.const 0) "a")
                (data (memory {memory}) (i32.const 16777213) "b")"#
            )
        })
        .collect();
    let reason = refused(&format!("(core module {memories} {ends})"));
    assert!(reason.contains("of at most 16777216"), "{reason}");
}

#[test]
fn what_no_host_gives_is_named() {
    for import in [
        r#"(import "m" (core module))"#,
        r#"(import "c" (component))"#,
    ] {
        let reason = refused(import);
        assert!(
            reason.contains("imports a module or a component"),
            "{reason}"
        );
    }
}

#[test]
fn code_does_not_have_the_compiler_work_without_bound() {
    let values = "i32 ".repeat(1000);
    let given = "(local.get 0)".repeat(1000);
    let wide = format!("(type $t (func (param {values}) (result {values})))");
    let locals = format!("(func (local {}))", "i32 ".repeat(50_000)).repeat(100);
    let called = format!(
        "{wide} (func $f (type $t) {given} {})",
        "(call $f)".repeat(100)
    );
    let blocks = format!(
        "{wide} (func (type $t) {given} {} {})",
        "loop (type $t)".repeat(100),
        "end ".repeat(100)
    );
    let branches = format!(
        "{wide} (func (type $t) {given} (br_table {} (i32.const 0)))",
        "0 ".repeat(100)
    );
    let adds: String = (0..1000)
        .map(|local| format!("(local.set {local} (i32.add (local.get {local}) (i32.const 1)))"))
        .collect();
    let loops = format!(
        "(func (local {values}) {} {adds} {})",
        "loop ".repeat(100),
        "(br_if 0 (local.get 0)) end ".repeat(100)
    );
    let no_function = "(ref.null func) br_on_null 0 drop ".repeat(100);
    let nulls = format!("{wide} (func (type $t) {given} {no_function})");
    let sets: String = (0..20_000)
        .map(|local| format!("(local.set {local} (i32.const 1))"))
        .collect();
    let paths = format!(
        "(func (local {}) block {} {sets} end)",
        "i32 ".repeat(20_000),
        "(br_if 0 (local.get 0))".repeat(20_000)
    );
    let nested = |block: &str, within: &str| {
        let ends = "end ".repeat(40_000);
        format!("(func {} {within} {ends})", block.repeat(40_000))
    };
    let numbers: String = (0..40_000).map(|number| format!("{number} ")).collect();
    let table = format!("(br_table {numbers} (i32.const 0))");
    let tabled = nested("block ", &table);
    let looped = nested("loop ", "");
    // Each from the innermost of 250 loops to the outermost.
    let climbed = format!(
        "(func {} {} {})",
        "loop ".repeat(250),
        "(br_if 249 (i32.const 0))".repeat(300_000),
        "end ".repeat(250)
    );
    for (code, what) in [
        (locals, "too many locals to be"),
        (called, "too many values"),
        (blocks, "too many values"),
        (branches, "too many values"),
        (nulls, "too many values"),
        (loops, "too many locals within loops"),
        (paths, "too many locals and branches"),
        (tabled, "too many targets of tables"),
        (looped, "too many l"),
        (climbed, "too many loops to go back out of"),
    ] {
        let reason = refused(&format!("(core module {code})"));
        assert!(reason.contains(what), "{what}: {reason}");
    }
}
