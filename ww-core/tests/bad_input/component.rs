//! Bytes that are no component, and components that no cell can run.

use ww_core::Error;
use ww_core::cell::Builder;
use ww_image::Image;
use ww_loader::Memory;

use crate::cases::{case, check};

/// A cell of these bytes.
pub(crate) fn bytes(main: impl Into<Vec<u8>>) -> Builder {
    let tree = Memory::files([("bin/main.wasm", main.into())]);
    Builder::new().image(Image::from(tree.expect("this is a path")))
}

/// A component with these imports, whose `run` is the core module's.
pub(crate) fn component(imports: &str, core: &str) -> Builder {
    let text = format!(
        r#"(component
            {imports}
            (core module $m {core})
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#
    );
    bytes(wat::parse_str(text).expect("this is a component"))
}

const RUN: &str = r#"(func (export "run") (result i32) i32.const 0)"#;

fn import(name: &str, function: &str) -> Builder {
    let imports = format!(r#"(import "{name}" (instance {function}))"#);
    component(&imports, RUN)
}

#[test]
fn bytes_that_are_no_component_are_told_for_what_they_are() {
    let hello = example_images::wasm("hello");
    let mut corrupt = hello.clone();
    corrupt[hello.len() / 2..].fill(0xff);
    check([
        case!(
            "nothing",
            bytes(""),
            Error::NotAComponent { .. },
            ["no bytes"]
        ),
        case!(
            "garbage",
            bytes("#!/bin/sh\nexec true\n"),
            Error::NotAComponent { .. },
            ["not a WASM component", "does not begin"],
        ),
        case!(
            "a core module",
            bytes(wat::parse_str("(module)").expect("this is a module")),
            Error::NotAComponent { .. },
            ["core module", "wasm32-wasip2"],
        ),
        case!(
            "a module of a version to come",
            bytes(*b"\0asm\x02\0\0\0"),
            Error::NotAComponent { .. },
            ["another version"],
        ),
        case!(
            "the head of a component and no more",
            bytes(&hello[..6]),
            Error::NotAComponent { .. },
            ["another version"],
        ),
        case!(
            "half a component",
            bytes(&hello[..hello.len() / 2]),
            Error::Compile(_),
            ["cannot compile the component", "unexpected end-of-file"],
        ),
        case!(
            "a corrupt component",
            bytes(corrupt),
            Error::Compile(_),
            ["offset"]
        ),
    ]);
}

#[test]
fn an_import_that_nobody_offers_is_named() {
    let pour = r#"(export "pour" (func))"#;
    let function = r#"(import "acme:teapot/pour@1.0.0" (func))"#;
    let two = format!(
        r#"(import "acme:teapot/spout@1.2.3" (instance {pour}))
           (import "acme:kettle/spout@4.5.6" (instance {pour}))"#
    );
    check([
        case!(
            "an interface of nobody's",
            import("acme:teapot/spout@1.2.3", pour),
            Error::Import { .. },
            ["nobody offers", "acme:teapot/spout@1.2.3"],
        ),
        case!(
            "two of them",
            component(&two, RUN),
            Error::Import { .. },
            ["acme:teapot/spout@1.2.3", "acme:kettle/spout@4.5.6"],
        ),
        case!(
            "a function",
            component(function, RUN),
            Error::Import { .. },
            ["acme:teapot/pour@1.0.0"],
        ),
        case!(
            "a package of WASI that cells have not",
            import("wasi:http/outgoing-handler@0.2.0", pour),
            Error::Import { .. },
            ["wasi:http/outgoing-handler@0.2.0"],
        ),
        case!(
            "a package of WASI that nobody has",
            import("wasi:teapot/spout@0.2.0", pour),
            Error::Import { .. },
            ["wasi:teapot/spout@0.2.0"],
        ),
        case!(
            "a version of WASI to come",
            import("wasi:random/random@0.3.0", pour),
            Error::Import { .. },
            ["wasi:random/random@0.3.0"],
        ),
        case!(
            "an interface that its package has not",
            import("wasi:cli/teapot@0.2.0", pour),
            Error::Import { .. },
            ["wasi:cli/teapot@0.2.0"],
        ),
        case!(
            "a version of our own to come",
            import("wetware:streams/streams@0.9.0", pour),
            Error::Import { .. },
            ["wetware:streams/streams@0.9.0"],
        ),
    ]);
}

#[test]
fn an_import_of_another_type_is_named() {
    let now = r#"(export "now" (func (param "zone" string) (result u64)))"#;
    let pour = r#"(export "pour" (func))"#;
    check([
        case!(
            "a function of another type",
            import("wasi:clocks/monotonic-clock@0.2.0", now),
            Error::Link(_),
            ["cannot link", "wasi:clocks/monotonic-clock@0.2.0", "now"],
        ),
        case!(
            "a function that its interface has not",
            import("wasi:clocks/monotonic-clock@0.2.0", pour),
            Error::Link(_),
            ["cannot link", "wasi:clocks/monotonic-clock@0.2.0", "pour"],
        ),
    ]);
}

#[test]
fn a_component_that_is_no_command_is_told() {
    let exporting = |name: &str, result: &str| {
        let text = format!(
            r#"(component
                (core module $m (func (export "run") (result i32) i32.const 0))
                (core instance $i (instantiate $m))
                (func $run {result} (canon lift (core func $i "run")))
                (instance (export "{name}") (export "run" (func $run))))"#
        );
        bytes(wat::parse_str(text).expect("this is a component"))
    };
    let empty = wat::parse_str("(component)").expect("this is a component");
    check([
        case!(
            "an empty component",
            bytes(empty),
            Error::NoEntry,
            ["wasi:cli/run"]
        ),
        case!(
            "a command of another version",
            exporting("wasi:cli/run@0.3.0", "(result (result))"),
            Error::NoEntry,
            ["wasi:cli/run@0.2"],
        ),
        case!(
            "a run of another type",
            exporting("wasi:cli/run@0.2.0", "(result u32)"),
            Error::Instantiate(_),
            ["wasi:cli/run has another type", "u32"],
        ),
    ]);
}
