//! What a cell's life looks like to a subscriber of `tracing`.

use std::fmt::Write;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use ww_core::cell::{Builder, Limits, Output, Transport};
use ww_core::network::Offline;
use ww_core::serve::Spawner;
use ww_loader::Memory;

use crate::patience::patiently;
use crate::stage::{RUNTIME, guest};
use crate::told::{count, listen, told};
use crate::wat;

#[test]
fn a_life_is_told_in_the_span_of_its_cell() {
    let mut tight = Limits::default();
    tight.memory = 10 << 16;
    let grow = "(loop (drop (memory.grow (i32.const 1)))
        (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (drop (memory.grow (i32.const 1)))";
    let mut tight_twice = tight;
    tight_twice.table_elements = 10;
    let in_turns = r#"(table 1 funcref)
        (func (export "run") (result i32) (local $left i32)
            (local.set $left (i32.const 10))
            (loop
                (drop (memory.grow (i32.const 10)))
                (drop (table.grow (ref.null func) (i32.const 10)))
                (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
            (i32.const 0))"#;
    let mut brief = Limits::default();
    brief.cpu = Some(Duration::from_millis(3));
    let cases = [
        (
            wat::run("(loop (br 0))").limits(brief).name("brief"),
            vec![
                "[cell name=\"brief\"] # started",
                "[cell name=\"brief\"] # WARN ended \
                 error=the cell used up its 3ms of processor time",
            ],
        ),
        (
            guest("caller").args(["seq", "1", "1"]).bootstrap(
                |_| -> Result<capnp::capability::Client, _> { panic!("the host's own fault") },
            ),
            vec![
                "[cell] # started",
                "[cell] # ERROR ended \
                 error=the host panicked while it ran the cell: the host's own fault",
            ],
        ),
        (
            guest("exits").args(["7"]).name("seven"),
            vec![
                "[cell name=\"seven\"] # started",
                "[cell name=\"seven\"] # exited code=7",
            ],
        ),
        (
            wat::run(grow).limits(tight).name("eager"),
            vec![
                "[cell name=\"eager\"] # started",
                // Once, however often.
                "[cell name=\"eager\"] # refused limit=memory",
                "[cell name=\"eager\"] # exited code=0",
            ],
        ),
        (
            wat::component(in_turns).limits(tight_twice).name("greedy"),
            vec![
                "[cell name=\"greedy\"] # started",
                // Once each, though they take turns.
                "[cell name=\"greedy\"] # refused limit=memory",
                "[cell name=\"greedy\"] # refused limit=table entries",
                "[cell name=\"greedy\"] # exited code=0",
            ],
        ),
        (
            wat::run("unreachable"),
            vec![
                "[cell] # started",
                "[cell] # WARN ended error=the cell trapped: wasm trap: wasm `unreachable` instruction executed \
                 backtrace=\"   0:      0x0 - m!<function 7>\"",
            ],
        ),
        (
            wat::run("(call $block (call $subscribe (i64.const 1_000_000_000_000)))").name("idle"),
            vec![
                "[cell name=\"idle\"] # started",
                "[cell name=\"idle\"] # dropped",
            ],
        ),
    ];
    for (builder, expected) in cases {
        let told: Vec<_> = told(builder)
            .iter()
            .map(|event| module_aside(event))
            .collect();
        assert_eq!(told, expected);
    }
}

/// Which of our modules it was is nobody's business.
fn module_aside(event: &str) -> String {
    let words = event.split(' ');
    let words = words.map(|word| match word.starts_with("ww_core::cell") {
        true => "#",
        false => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A component that writes `bytes`, and waits for ever where it is to.
fn writes(bytes: &[u8], waits: bool) -> Builder {
    let escaped = bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "\\{byte:02x}").expect("a string takes everything");
        text
    });
    let length = bytes.len();
    let wait = "(call $block (call $subscribe (i64.const 1_000_000_000_000)))";
    let wait = if waits { wait } else { "" };
    // In parts, as a guest would: blocking writes take 4,096 bytes at most.
    wat::component(&format!(
        r#"(data (i32.const 8192) "{escaped}")
        (func (export "run") (result i32) (local $stdout i32) (local $at i32) (local $part i32)
            (local.set $stdout (call $stdout))
            (loop
                (local.set $part (i32.sub (i32.const {length}) (local.get $at)))
                (if (i32.gt_u (local.get $part) (i32.const 1000))
                    (then (local.set $part (i32.const 1000))))
                (call $write (local.get $stdout)
                    (i32.add (i32.const 8192) (local.get $at)) (local.get $part) (i32.const 64))
                (local.set $at (i32.add (local.get $at) (local.get $part)))
                (br_if 0 (i32.lt_u (local.get $at) (i32.const {length}))))
            {wait} (i32.const 0))"#
    ))
}

#[test]
fn output_is_told_line_by_line_and_no_line_is_forged() {
    const LINE: usize = 8 << 10;
    let long = "ä".repeat(LINE);
    // The limit tears a character that begins at an odd place.
    let torn = format!("x{long}");
    let cases: [(&[u8], Vec<String>); 8] = [
        (
            b"one\ntwo\r\n\nfour\n",
            ["one", "two", "", "four"].map(String::from).into(),
        ),
        (b"no end", vec!["no end".into()]),
        (
            b"\x1b[2J\x07 a\rb\0\n",
            vec!["\\u{1b}[2J\\u{7} a\\rb\\u{0}".into()],
        ),
        (
            "\u{202e}drow\u{2028}line\n".as_bytes(),
            vec!["\\u{202e}drow\\u{2028}line".into()],
        ),
        (b"\xff\xfe ok\n", vec!["\u{fffd}\u{fffd} ok".into()]),
        (long.as_bytes(), vec!["ä".repeat(LINE / 2); 2]),
        (
            torn.as_bytes(),
            vec![
                format!("x{}", "ä".repeat(LINE / 2 - 1)),
                "ä".repeat(LINE / 2),
                "ä".into(),
            ],
        ),
        (b"", vec![]),
    ];
    for (bytes, expected) in cases {
        for waits in [false, true] {
            let builder = writes(bytes, waits)
                .name("writer")
                .stdout(Output::tracing());
            let told = told(builder);
            let lines: Vec<_> = told
                .iter()
                .filter_map(|event| event.split_once("ww_core::stdout "))
                .map(|(span, line)| {
                    assert!(span.starts_with("[cell name=\"writer\"]"), "{span}");
                    line.to_owned()
                })
                .collect();
            assert_eq!(lines, expected);
        }
    }
}

#[test]
fn why_a_connection_ended_is_told_and_forges_no_line() {
    let mut message = capnp::message::Builder::new_default();
    let root = message.init_root::<capnp_rpc::rpc_capnp::message::Builder<'_>>();
    root.init_abort().set_reason("enough\n\x1b[2J");
    let abort = capnp::serialize::write_message_to_words(&message);
    // Its RPC connection is its standard output.
    let told = told(writes(&abort, true).transport(Transport::Stdio));
    let ended = told.iter().find(|event| event.contains("connection ended"));
    let ended = ended.expect("it is told");
    assert!(ended.contains("enough\\n\\u{1b}[2J"), "{ended}");
}

#[test]
fn many_lines_let_others_have_their_turn() {
    const LINES: usize = 16_000;
    // Sixteen rounds, of 32 lines that the guest has told and 32 more.
    const MOST: usize = 16 * 64;
    listen();
    // In one write.
    let builder = wat::run(&format!(
        "(memory.fill (i32.const 0) (i32.const 10) (i32.const {LINES}))
        (call $put (call $stdout) (i32.const 0) (i32.const {LINES}) (i32.const 65536))"
    ));
    let builder = builder.stdout(Output::tracing());
    let (_cell, start) = patiently(builder.prepare()).expect("it is ready");
    let mut driver = start.drive();
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        let before = count();
        let polled = Pin::new(&mut driver).poll(&mut cx);
        // Its start and its end are told, too.
        let now = count() - before;
        assert!(now <= MOST + 2, "{now} events in one poll");
        if polled.is_ready() {
            break;
        }
    }
    assert_eq!(count(), LINES + 2);
}

#[test]
fn standard_error_is_told_as_such() {
    let told = told(guest("fails").stderr(Output::tracing()));
    let failure = told
        .iter()
        .find(|event| event.contains("the guest has failed"));
    let failure = failure.expect("it says so");
    assert!(failure.starts_with("[cell] ww_core::stderr "), "{failure}");
}

/// What is told of a guest that runs another, which panics: the one of `svc/nests`.
fn told_of_both(tells: bool) -> Vec<String> {
    // So that nobody waits for the compiler.
    let traps = example_images::wasm("traps");
    let kept = patiently(RUNTIME.compile(traps.clone())).expect("it compiles");
    let nests = example_images::wasm("nests");
    let files = [("bin/main.wasm", nests), ("svc/nests/bin/main.wasm", traps)];
    let mut builder = Builder::new()
        .runtime(&RUNTIME)
        .image(Memory::files(files).expect("these are paths"))
        .args(["within"])
        .name("parent")
        .bootstrap(|local| {
            let spawner = Spawner::beside(local, &RUNTIME, Arc::new(Offline::new()));
            Ok(Rc::new(spawner).client())
        });
    if tells {
        builder = builder.stderr(Output::tracing());
    }
    let told = told(builder);
    drop(kept);
    told
}

#[test]
fn what_children_say_and_why_they_end_is_told_in_the_spans_of_both() {
    let told = told_of_both(true);
    let of_child = "[cell name=\"parent\" / cell name=\"svc/nests\"] ";
    let said = |event: &&String| {
        event.starts_with(of_child)
            && event.contains("ww_core::stderr")
            && event.contains("the guest has panicked")
    };
    assert!(told.iter().any(|event| said(&event)), "{told:#?}");
    let ended = |event: &&String| event.starts_with(of_child) && event.contains("the cell trapped");
    let ended = told.iter().find(ended).expect("it is told");
    assert!(ended.contains("backtrace="), "{ended}");
    // Its parent was told where it was as well, and fails with that.
    let failed = |event: &&String| {
        event.starts_with("[cell name=\"parent\"] ww_core::stderr")
            && event.contains("!traps::main")
    };
    assert!(told.iter().any(|event| failed(&event)), "{told:#?}");

    let told = told_of_both(false);
    assert!(!told.iter().any(|event| said(&event)), "{told:#?}");
}

#[test]
fn output_that_nobody_hears_holds_up_nobody() {
    patiently(async {
        let builder = guest("wasi-probe").args(["pour", "100000"]);
        let cell = builder.stdout(Output::tracing()).spawn().await.unwrap();
        assert_eq!(cell.wait().await.unwrap().code(), 0);
        assert_eq!(cell.usage().stdio_out, 100_000);
    });
}

/// What is told of a guest's standard error, less the span.
fn told_of_errors(builder: Builder) -> Vec<String> {
    let told = told(builder.name("teller").stderr(Output::tracing()));
    let spanned = told
        .iter()
        .filter_map(|event| event.strip_prefix("[cell name=\"teller\"] "));
    let guests = spanned.filter(|event| {
        event.starts_with("ww_core::guest") || event.starts_with("ww_core::stderr")
    });
    guests.map(str::to_owned).collect()
}

#[test]
fn log_records_of_a_guest_are_events_of_their_level() {
    assert_eq!(
        told_of_errors(guest("tells").args(["log"])),
        [
            "ww_core::guest ERROR bad target=\"tells\"",
            "ww_core::guest WARN odd\\nindeed target=\"else::where\"",
            "ww_core::guest INFO fine target=\"tells\" \
             fields=user=\"a\\\"b\" n=2 odd=true path=\"a\\b\\nc\"",
            "ww_core::guest DEBUG small target=\"tells\"",
        ]
    );
}

#[test]
fn what_ends_a_guest_is_a_record_where_records_are_logged_and_text_elsewhere() {
    let record = told_of_errors(guest("tells").args(["logged-panic"]));
    let [record] = &record[..] else {
        panic!("{record:?}");
    };
    assert!(
        record.starts_with("ww_core::guest ERROR on record target=\"panic\""),
        "{record}"
    );
    assert!(
        record.contains("location=\"fixtures/src/bin/tells.rs:"),
        "{record}"
    );

    assert_eq!(
        told_of_errors(guest("tells").args(["logged-error"])),
        ["ww_core::guest ERROR for\\na reason target=\"main\""]
    );

    let text = told_of_errors(guest("tells").args(["panic", "plainly"]));
    assert!(
        text.iter().any(|line| line == "ww_core::stderr plainly"),
        "{text:?}"
    );
}

#[test]
fn no_line_passes_for_a_record_that_is_not_whole() {
    let cases: [(&[u8], &[&str]); 3] = [
        // Standard output has text alone.
        (b"\x1eERROR t\x1f m\n", &["\\u{1e}ERROR t\\u{1f} m"]),
        (b"\x1eFATAL t\x1f m\n", &["\\u{1e}FATAL t\\u{1f} m"]),
        (b"x\x1eERROR t\x1f m\n", &["x\\u{1e}ERROR t\\u{1f} m"]),
    ];
    for (bytes, expected) in cases {
        let told = told(writes(bytes, false).stdout(Output::tracing()));
        let lines = told
            .iter()
            .filter_map(|event| event.split_once("ww_core::stdout "));
        let lines: Vec<_> = lines.map(|(_, line)| line).collect();
        assert_eq!(lines, expected);
    }
}
