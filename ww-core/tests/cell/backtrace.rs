//! Where a guest trapped, told with names that the guest has chosen.

use ww_core::cell::Builder;
use ww_core::{Error, Runtime};

use crate::patience::patiently;
use crate::wat;

/// The call stack of a guest that traps, innermost first.
fn backtrace(builder: Builder) -> String {
    let end = patiently(async { builder.spawn().await?.wait().await });
    match end {
        Err(Error::Trap { backtrace, .. }) => backtrace,
        other => panic!("{other:?}"),
    }
}

/// A guest that traps in a function of this name, as it stands in the text
/// format.
fn trapping(name: &str) -> Builder {
    wat::component(&format!(
        r#"(func $"{name}" unreachable)
        (func (export "run") (result i32) (call $"{name}") (i32.const 0))"#
    ))
}

#[test]
fn names_are_readable_whatever_language_they_come_from() {
    let cases = [
        ("plain", "plain"),
        ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
        ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
        ("_ZN5space3fooEibc", "space::foo(int, bool, char)"),
    ];
    for (name, readable) in cases {
        let text = backtrace(trapping(name));
        let first = text.lines().next().expect("there is a frame");
        assert!(first.ends_with(&format!("m!{readable}")), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}

#[test]
fn names_that_are_long_or_unfold_are_cut() {
    // Each pair of templates doubles what the one before unfolds to.
    let doubling = |times: usize| {
        let nested = (0..times).fold("i".to_owned(), |inner, _| format!("St4pairI{inner}S_E"));
        format!("_Z1fI{nested}Evv")
    };
    let names = [
        "x".repeat(1 << 20),
        "_ZN".repeat(1000),
        doubling(20),
        doubling(60),
    ];
    for name in names {
        let text = backtrace(trapping(&name));
        assert!(text.len() < 2000, "{} bytes", text.len());
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}

#[test]
fn names_begin_no_line_and_command_no_terminal() {
    let text = backtrace(trapping(r"evil\n   0: forged\1b[2J"));
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains(r"evil\n   0: forged\u{1b}[2J"), "{text}");
}

#[test]
fn a_deep_stack_is_cut() {
    let text = backtrace(wat::component(
        r#"(func $deeper (call $deeper)) (func (export "run") (result i32)
            (call $deeper) (i32.const 0))"#,
    ));
    assert!((2..=32).contains(&text.lines().count()), "{text}");
    assert!(
        text.lines().all(|line| line.ends_with("m!deeper")),
        "{text}"
    );
}

#[test]
fn lines_of_the_source_are_named_only_where_they_are_asked_for() {
    for asked in [false, true] {
        let runtime = Runtime::builder().source_lines(asked).build();
        let runtime = runtime.expect("the engine starts");
        let text = backtrace(wat::with_source("guest.wat").runtime(&runtime));
        assert_eq!(text.contains("guest.wat:3"), asked, "{text}");
        assert!(text.contains("trapping"), "{text}");
    }
}
