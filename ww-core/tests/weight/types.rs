//! What it takes to go through the types of a component, and to validate it.

use crate::refused;
use crate::resources::{defined, sub_resources};

/// Types `$t0` to `$t16`, each of which is the one before twice.
fn doubled() -> String {
    let mut types = String::from("(type $t0 (tuple u8 u8))");
    for level in 1..17 {
        let below = level - 1;
        types += &format!("(type $t{level} (tuple $t{below} $t{below}))");
    }
    types
}

#[test]
fn types_are_not_written_out_without_bound() {
    let types = doubled();
    let lifted = format!(
        r#"{types} (type $f (func (param "x" $t16)))
        (core module $m (memory (export "m") 1)
            (func (export "f") (param i32))
            (func (export "r") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
        (core instance $m (instantiate $m))
        {}"#,
        r#"(func (type $f) (canon lift (core func $m "f") (memory (core memory $m "m")) (realloc (core func $m "r"))))"#
            .repeat(100)
    );
    let reason = refused(&lifted);
    assert!(reason.contains("4194304 parts"), "{reason}");
}

#[test]
fn names_count_for_their_length() {
    let name = "a".repeat(90_000);
    let parts = format!(
        r#"(core module $m) (component $c (alias outer 1 $m (core module $m))
            (export "{name}" (core module $m)))
        {}"#,
        "(instance (instantiate $c))".repeat(990)
    );
    let reason = refused(&parts);
    assert!(reason.contains("4194304 parts"), "{reason}");
}

#[test]
fn types_that_are_handed_on_count() {
    let types = doubled();
    let given = r#"(instance (instantiate $c (with "t" (type $t16))))"#.repeat(100);
    let reason = refused(&format!("{types} (component $c) {given}"));
    assert!(reason.contains("4194304 parts"), "{reason}");
}

#[test]
fn what_types_refer_to_is_not_gone_through_without_bound() {
    let instance = format!("(type $t (instance {}))", sub_resources(2000));
    let exported = r#"(type (instance (export "a" (instance (type $t)))))"#;
    let declared = format!("{instance} {}", exported.repeat(2000));
    let taken_up =
        r#"(type (instance (alias outer 1 $t (type $t)) (export "a" (instance (type $t)))))"#;
    let within = format!("(type (instance {instance} {}))", taken_up.repeat(2000));
    let picked = format!(
        r#"(type (instance {instance}
            (type $u (instance (alias outer 1 $t (type $t)) (export "t" (type (eq $t)))))
            (export "u" (instance $u (type $u))) (alias export $u "t" (type $p)) {}))"#,
        taken_up.replace("outer 1 $t", "outer 1 $p").repeat(2000)
    );
    let numbered =
        |count: usize, text: fn(usize) -> String| (0..count).map(text).collect::<String>();
    let imports = numbered(20, |number| {
        format!(r#"(import "i{number}" (instance (type $t)))"#)
    });
    let exports = numbered(400, |number| {
        format!(r#"(export "e{number}" (instance $i))"#)
    });
    let import = r#"(alias outer 1 $t (type $t)) (import "i" (instance $i (type $t)))"#;
    // Where each resource is to be found goes with it.
    let mut deep = format!("(type $t0 (instance {}))", sub_resources(200));
    for level in 1..90 {
        let below = level - 1;
        deep += &format!(r#"(type $t{level} (instance (export "a" (instance (type $t{below})))))"#);
    }
    // Of the components, there are no instances.
    let imported = format!("(component (alias outer 1 $t (type $t)) {imports})").repeat(50);
    let handed_on = format!("(component {import} {exports})").repeat(3);
    let bundled = format!(
        "(component {import} {})",
        r#"(instance (export "a" (instance $i)))"#.repeat(900)
    );
    let given = format!(
        "(component {import} (component $c) {})",
        r#"(instance (instantiate $c (with "a" (instance $i))))"#.repeat(900)
    );
    let started = format!(
        "(component (component $c {}) {})",
        defined(2000),
        "(instance (instantiate $c))".repeat(900)
    );
    // A component is compared with one that it is given for, and what is within that.
    let mut compared = String::from("(type $t0 (component");
    for number in 0..100 {
        compared += &format!(r#"(export "f{number}" (func))"#);
    }
    compared += "))";
    for level in 1..90 {
        let below = level - 1;
        compared +=
            &format!(r#"(type $t{level} (component (export "a" (component (type $t{below})))))"#);
    }
    compared = format!(
        r#"(component {compared} (import "i" (component $i (type $t89)))
            (component $c (alias outer 1 $t89 (type $t)) (import "i" (component (type $t))))
            {})"#,
        r#"(instance (instantiate $c (with "i" (component $i))))"#.repeat(100)
    );
    let [imported, handed_on, bundled, given] =
        [imported, handed_on, bundled, given].map(|parts| instance.clone() + &parts);
    let types = doubled();
    let aliased = "(alias outer 1 $t16 (type))".repeat(100);
    let aliased = format!("{types} (component {aliased})");
    let taken_in = "(alias outer 2 $t16 (type))".repeat(100);
    let taken_in = format!("{types} (component (type (instance {taken_in})))");
    for parts in [
        declared, within, picked, deep, compared, imported, handed_on, bundled, given, started,
        aliased, taken_in,
    ] {
        let reason = refused(&parts);
        assert!(reason.contains("4194304 parts"), "{reason}");
    }
}

#[test]
fn what_modules_import_and_export_is_not_gone_through_without_bound() {
    let names = |text: fn(usize) -> String| (0..5000).map(text).collect::<String>();
    let exports = names(|number| format!(r#"(export "f{number}" (func $f))"#));
    let imports = names(|number| format!(r#"(import "a" "f{number}" (func))"#));
    // Of which there is no instance.
    let reason = refused(&format!(
        r#"(component (core module $a (func $f) {exports}) (core instance $a (instantiate $a))
            (core module $m {imports}) {})"#,
        r#"(core instance (instantiate $m (with "a" (instance $a))))"#.repeat(900)
    ));
    assert!(reason.contains("4194304 parts"), "{reason}");
    let reason = refused(&format!(
        "(component (core module $a (func $f) {exports}) {})",
        "(core instance (instantiate $a))".repeat(900)
    ));
    assert!(reason.contains("4194304 parts"), "{reason}");
}

#[test]
fn modules_are_not_handed_out_without_bound() {
    let name = "a".repeat(10_000);
    let exports: String = (0..10)
        .map(|number| format!(r#"(export "{name}{number}" (func $f))"#))
        .collect();
    let out: String = (0..900)
        .map(|number| format!(r#"(export "m{number}" (core module $m))"#))
        .collect();
    let reason = refused(&format!("(core module $m (func $f) {exports}) {out}"));
    assert!(reason.contains("4194304 parts"), "{reason}");
}

#[test]
fn what_functions_carry_is_not_gone_through_without_bound() {
    let mut types = String::from("(type $t0 u8)");
    for level in 1..7 {
        let below = level - 1;
        let cases: String = (0..9)
            .map(|number| format!(r#"(case "c{number}" $t{below})"#))
            .collect();
        types += &format!("(type $t{level} (variant {cases}))");
    }
    // What is not counted before takes minutes.
    let reason = refused(&format!(
        r#"{types} (type $f (func (param "x" $t6)))
        (core module $m (func (export "f") (param i32 i32 i32 i32 i32 i32 i32)))
        (core instance $m (instantiate $m))
        (func $f (type $f) (canon lift (core func $m "f")))
        {}"#,
        "(core func (canon lower (func $f)))".repeat(25_000)
    ));
    assert!(reason.contains("4194304 parts"), "{reason}");
}

#[test]
fn modules_and_names_do_not_add_up_without_bound() {
    let modules = format!("(component {})", "(core module)".repeat(900)).repeat(5);
    let names: String = (0..20_000)
        .map(|number| format!(r#"(import "t{number}" (type (eq $t)))"#))
        .collect();
    let names = format!("(type $t bool) {names} {}", "(core module)".repeat(900));
    for parts in [modules, names] {
        let reason = refused(&parts);
        assert!(reason.contains("more than 16777216"), "{reason}");
    }
}
