//! Components of any 0.2.x, and of several at once.

use std::sync::Arc;

use futures_lite::future::block_on;
use ww_core::cell::{Builder, Output};
use ww_core::{Error, Runtime};

/// A command that reaches standard output by four versions of `wasi:io` and
/// two of `wasi:cli`, and exits with 7 by a fifth.
fn mixed(run: &str) -> String {
    format!(
        r#"(component
            (import "wasi:random/random@0.2.1" (instance $random
                (export "get-random-u64" (func (result u64)))))
            (import "wasi:clocks/monotonic-clock@0.2.3" (instance $old-clock
                (export "now" (func (result u64)))))
            (import "wasi:clocks/monotonic-clock@0.2.9" (instance $clock
                (export "now" (func (result u64)))))
            (import "wasi:io/streams@0.2.0" (instance $streams
                (export "output-stream" (type $out (sub resource)))))
            (alias export $streams "output-stream" (type $out))
            (import "wasi:cli/stdout@0.2.0" (instance $stdout
                (alias outer 1 $out (type $out))
                (export "get-stdout" (func (result (own $out))))))
            (import "wasi:io/error@0.2.6" (instance $error
                (export "error" (type (sub resource)))))
            (alias export $error "error" (type $failure))
            (import "wasi:io/streams@0.2.6" (instance $new-streams
                (alias outer 1 $failure (type $failure))
                (export "output-stream" (type $out (sub resource)))
                (type $kinds (variant (case "last-operation-failed" (own $failure)) (case "closed")))
                (export "stream-error" (type $stream-error (eq $kinds)))
                (export "[method]output-stream.blocking-write-and-flush" (func
                    (param "self" (borrow $out)) (param "contents" (list u8))
                    (result (result (error $stream-error)))))))
            (alias export $new-streams "output-stream" (type $new-out))
            (import "wasi:cli/stdout@0.2.12" (instance $new-stdout
                (alias outer 1 $new-out (type $out))
                (export "get-stdout" (func (result (own $out))))))
            (import "wasi:cli/exit@0.2.4" (instance $exit
                (export "exit-with-code" (func (param "status-code" u8)))))
            (core module $libc (memory (export "memory") 1)
                (data (i32.const 8) "mixed"))
            (core instance $memory (instantiate $libc))
            (alias core export $memory "memory" (core memory $memory))
            (core func $random (canon lower (func $random "get-random-u64")))
            (core func $old-now (canon lower (func $old-clock "now")))
            (core func $now (canon lower (func $clock "now")))
            (core func $stdout (canon lower (func $stdout "get-stdout")))
            (core func $drop (canon resource.drop $out))
            (core func $new-stdout (canon lower (func $new-stdout "get-stdout")))
            (core func $write (canon lower
                (func $new-streams "[method]output-stream.blocking-write-and-flush")
                (memory $memory)))
            (core func $exit (canon lower (func $exit "exit-with-code")))
            (core module $main
                (import "" "random" (func $random (result i64)))
                (import "" "old-now" (func $old-now (result i64)))
                (import "" "now" (func $now (result i64)))
                (import "" "stdout" (func $stdout (result i32)))
                (import "" "drop" (func $drop (param i32)))
                (import "" "new-stdout" (func $new-stdout (result i32)))
                (import "" "write" (func $write (param i32 i32 i32 i32)))
                (import "" "exit" (func $exit (param i32)))
                (import "libc" "memory" (memory 1))
                (func (export "run") (result i32)
                    (drop (call $random))
                    (if (i64.gt_u (call $old-now) (call $now)) (then unreachable))
                    (call $drop (call $stdout))
                    (call $write (call $new-stdout) (i32.const 8) (i32.const 5) (i32.const 16))
                    (if (i32.load8_u (i32.const 16)) (then unreachable))
                    (call $exit (i32.const 7))
                    unreachable))
            (core instance $i (instantiate $main (with "libc" (instance $memory)) (with "" (instance
                (export "random" (func $random))
                (export "old-now" (func $old-now))
                (export "now" (func $now))
                (export "stdout" (func $stdout))
                (export "drop" (func $drop))
                (export "new-stdout" (func $new-stdout))
                (export "write" (func $write))
                (export "exit" (func $exit))))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance (export "{run}") (export "run" (func $run))))"#
    )
}

/// The code it exits with, and what it writes.
fn runs(text: &str) -> Result<(i32, Vec<u8>), Error> {
    use futures_lite::AsyncReadExt;

    let wasm = wat::parse_str(text).expect("this is a component");
    block_on(async {
        let program = Runtime::shared()?.compile(wasm).await?;
        let builder = Builder::new().program(program).stdout(Output::piped());
        let cell = builder.spawn().await?;
        let code = cell.wait().await?.code();
        let mut written = Vec::new();
        let mut stdout = cell.take_stdout().expect("stdout is piped");
        let read = stdout.read_to_end(&mut written).await;
        read.map_err(|error| Error::Worker(Arc::new(error)))?;
        Ok((code, written))
    })
}

#[test]
fn several_versions_at_once_link_and_share_their_resources() {
    for patch in 0..=12 {
        let (code, written) = runs(&mixed(&format!("wasi:cli/run@0.2.{patch}"))).expect("it runs");
        assert_eq!((code, &*written), (7, &b"mixed"[..]), "0.2.{patch}");
    }
}

#[test]
fn other_minor_versions_are_refused_by_name() {
    for run in ["wasi:cli/run@0.3.0", "wasi:cli/run@1.2.0"] {
        let end = runs(&mixed(run)).expect_err("nobody knows it");
        assert!(matches!(end, Error::NoEntry), "{run}: {end}");
    }
    let other = mixed("wasi:cli/run@0.2.0").replace("random@0.2.1", "random@0.3.1");
    match runs(&other).expect_err("nobody offers it") {
        Error::Import { names } => assert_eq!(names, ["wasi:random/random@0.3.1"]),
        end => panic!("{end}"),
    }
}
