//! What it takes to tell which resources are which.

use ww_core::cell::Limits;

use crate::{refused, run};

/// So many exports of an instance's type, each a resource.
pub(crate) fn sub_resources(count: usize) -> String {
    (0..count)
        .map(|number| format!(r#"(export "r{number}" (type (sub resource)))"#))
        .collect()
}

/// So many resources that a component defines and exports.
pub(crate) fn defined(count: usize) -> String {
    (0..count)
        .map(|number| {
            format!(
                r#"(type $t{number} (resource (rep i32))) (export "r{number}" (type $t{number}))"#
            )
        })
        .collect()
}

#[test]
fn resources_are_not_looked_for_without_bound() {
    let defined = defined(4000);
    // Each is looked for in all that the instance has.
    let taken = format!(
        r#"(component $a {defined}) (instance $a (instantiate $a))
        (component $b (import "i" (instance {})))
        (instance (instantiate $b (with "i" (instance $a))))"#,
        sub_resources(4000)
    );
    // Also where one hands on what it has within it.
    let given = format!(
        r#"(component $b (component $a {defined}) (instance $a (instantiate $a))
            (export "a" (instance $a)))
        (instance (instantiate $b))"#
    );
    let known = format!(
        "{} (component $c (component $c) {}) {}",
        "(type (resource (rep i32)))".repeat(80_000),
        "(instance (instantiate $c))".repeat(100),
        "(instance (instantiate $c))".repeat(100)
    );
    for parts in [taken, given, known] {
        let reason = refused(&parts);
        assert!(reason.contains("8388608 parts"), "{reason}");
    }
}

#[test]
fn components_may_hand_many_resources_on() {
    let interfaces = || 0..30;
    let resources = || 0..3;
    let functions = || 0..20;
    let provided: String = interfaces()
        .map(|interface| {
            let types: String = resources()
                .map(|number| format!("(type $r{interface}-{number} (resource (rep i32)))"))
                .collect();
            let items: String = resources()
                .map(|number| format!(r#"(export "r{number}" (type $r{interface}-{number}))"#))
                .chain(functions().map(|number| {
                    format!(r#"(export "f{number}" (func $f{interface}))"#)
                }))
                .collect();
            format!(
                r#"{types} (func $f{interface} (param "a" (own $r{interface}-0)) (canon lift (core func $m "f")))
                (instance $i{interface} {items}) (export "i{interface}" (instance $i{interface}))"#
            )
        })
        .collect();
    let provided = format!(
        r#"(component $p (core module $m (func (export "f") (param i32)))
            (core instance $m (instantiate $m)) {provided})
        (instance $p (instantiate $p))"#
    );
    let items: String = resources()
        .map(|number| format!(r#"(export "r{number}" (type $r{number} (sub resource)))"#))
        .chain(
            functions()
                .map(|number| format!(r#"(export "f{number}" (func (param "a" (own $r0))))"#)),
        )
        .collect();
    let imports: String = interfaces()
        .map(|interface| format!(r#"(import "i{interface}" (instance $i{interface} {items}))"#))
        .collect();
    let given: String = interfaces()
        .map(|interface| format!(r#"(with "i{interface}" (instance $i{interface}))"#))
        .collect();
    let picked: String = interfaces()
        .map(|interface| format!(r#"(alias export $p "i{interface}" (instance $i{interface}))"#))
        .collect();
    let taken: String = (0..60)
        .map(|number| {
            format!(
                r#"(component $c{number} {imports} (export "o" (instance $i0)))
                (instance (instantiate $c{number} {given}))"#
            )
        })
        .collect();
    let parts = format!("{provided} {picked} {taken}");
    run(&parts, Limits::default()).expect("they fit");
}
