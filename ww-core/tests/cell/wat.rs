//! Components by hand, with as many imports as it takes to wait.

use ww_core::cell::Builder;
use ww_image::Image;
use ww_loader::Memory;

/// Types and functions of WASI, lowered for a core module that imports them
/// from `wasi`, and its memory from `libc`. Results of more than one word go to
/// an address that comes last.
const WASI: &str = r#"
    (import "wasi:io/error@0.2.0" (instance $error
        (export "error" (type (sub resource)))))
    (alias export $error "error" (type $error-type))
    (import "wasi:io/poll@0.2.0" (instance $poll
        (export "pollable" (type $pollable (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:io/streams@0.2.0" (instance $streams
        (export "input-stream" (type $input (sub resource)))
        (export "output-stream" (type $output (sub resource)))
        (alias outer 1 $error-type (type $e))
        (export "error" (type $error (eq $e)))
        (type $s (variant (case "last-operation-failed" (own $error)) (case "closed")))
        (export "stream-error" (type $stream-error (eq $s)))
        (export "[method]input-stream.blocking-read"
            (func (param "self" (borrow $input)) (param "len" u64)
                (result (result (list u8) (error $stream-error)))))
        (export "[method]output-stream.write"
            (func (param "self" (borrow $output)) (param "contents" (list u8))
                (result (result (error $stream-error)))))
        (export "[method]output-stream.blocking-write-and-flush"
            (func (param "self" (borrow $output)) (param "contents" (list u8))
                (result (result (error $stream-error)))))))
    (alias export $streams "input-stream" (type $input))
    (alias export $streams "output-stream" (type $output))
    (import "wasi:cli/stdin@0.2.0" (instance $stdin
        (alias outer 1 $input (type $i))
        (export "input-stream" (type $input (eq $i)))
        (export "get-stdin" (func (result (own $input))))))
    (import "wasi:cli/stdout@0.2.0" (instance $stdout
        (alias outer 1 $output (type $o))
        (export "output-stream" (type $output (eq $o)))
        (export "get-stdout" (func (result (own $output))))))
    (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
        (alias outer 1 $pollable (type $p))
        (export "pollable" (type $pollable (eq $p)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
    (core module $libc
        (memory (export "memory") 2)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
    (core instance $libc (instantiate $libc))
    (alias core export $libc "memory" (core memory $memory))
    (alias core export $libc "realloc" (core func $realloc))
    (core func $block (canon lower (func $poll "[method]pollable.block")))
    (core func $subscribe (canon lower (func $clock "subscribe-duration")))
    (core func $stdin (canon lower (func $stdin "get-stdin")))
    (core func $stdout (canon lower (func $stdout "get-stdout")))
    (core func $read (canon lower (func $streams "[method]input-stream.blocking-read") (memory $memory)
        (realloc $realloc)))
    (core func $write
        (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
            (memory $memory)))
    (core func $put
        (canon lower (func $streams "[method]output-stream.write") (memory $memory)))
    (core instance $wasi
        (export "block" (func $block)) (export "subscribe" (func $subscribe))
        (export "stdin" (func $stdin)) (export "stdout" (func $stdout))
        (export "read" (func $read)) (export "write" (func $write))
        (export "put" (func $put)))"#;

/// A component whose core module has these functions beside its imports.
pub(crate) fn component(functions: &str) -> Builder {
    bytes(&format!(
        r#"(component {WASI}
            (core module $m
                (import "libc" "memory" (memory 0))
                (import "wasi" "block" (func $block (param i32)))
                (import "wasi" "subscribe" (func $subscribe (param i64) (result i32)))
                (import "wasi" "stdin" (func $stdin (result i32)))
                (import "wasi" "stdout" (func $stdout (result i32)))
                (import "wasi" "read" (func $read (param i32 i64 i32)))
                (import "wasi" "write" (func $write (param i32 i32 i32 i32)))
                (import "wasi" "put" (func $put (param i32 i32 i32 i32)))
                {functions})
            (core instance $i (instantiate $m
                (with "libc" (instance $libc)) (with "wasi" (instance $wasi))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#
    ))
}

/// One whose `run` does nothing but this, and succeeds.
pub(crate) fn run(body: &str) -> Builder {
    component(&format!(
        r#"(func (export "run") (result i32) {body} (i32.const 0))"#
    ))
}

/// One whose `run` does this alone, with `new` to make resources of its own.
pub(crate) fn resources(body: &str) -> Builder {
    bytes(&format!(
        r#"(component
            (type $own (resource (rep i32)))
            (core func $new (canon resource.new $own))
            (core module $m
                (import "own" "new" (func $new (param i32) (result i32)))
                (func (export "run") (result i32) {body} (i32.const 0)))
            (core instance $own (export "new" (func $new)))
            (core instance $i (instantiate $m (with "own" (instance $own))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#
    ))
}

/// One that traps in the third line of its source, a core module in a file of
/// this name, and carries DWARF that says so.
pub(crate) fn with_source(file: &str) -> Builder {
    const MODULE: &str = r#"(module
        (func $trapping
            unreachable)
        (func (export "run") (result i32) (call $trapping) (i32.const 0)))"#;
    let mut parser = wat::Parser::new();
    parser.generate_dwarf(wat::GenerateDwarf::Full);
    let path = std::path::Path::new(file);
    let module = parser.parse_str(Some(path), MODULE).expect("a module");
    let around = wat::parse_str(
        r#"(component
            (core module $m (func (export "run") (result i32) unreachable))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#,
    );
    built(replace_first(&around.expect("a component"), &module))
}

/// Puts `module` into the first section of a component, which is a module that
/// is shorter than 128 bytes.
fn replace_first(component: &[u8], module: &[u8]) -> Vec<u8> {
    let (head, rest) = component.split_at(8);
    let [1, length @ 0..128, rest @ ..] = rest else {
        panic!("a module comes first, and it is short");
    };
    let mut bytes = [head, &[1]].concat();
    // LEB128, seven bits at a time.
    let mut left = module.len();
    while left >= 128 {
        bytes.push(left as u8 | 128);
        left >>= 7;
    }
    bytes.push(left as u8);
    [&bytes, module, &rest[usize::from(*length)..]].concat()
}

/// One of this text.
pub(crate) fn bytes(text: &str) -> Builder {
    built(wat::parse_str(text).expect("this is a component"))
}

fn built(bytes: Vec<u8>) -> Builder {
    let tree = Memory::files([("bin/main.wasm", bytes)]).expect("this is a path");
    Builder::new().image(Image::from(tree))
}
