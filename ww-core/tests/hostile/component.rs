//! Components for hostile guests: a few lines of WAT each, between the imports
//! that they all may use and the export that makes a command of them.

/// A command whose `run` is that of the core module `core`, in which the
/// functions of [`FUNCTIONS`] and the memory stand imported.
pub(crate) fn command(core: &str) -> Vec<u8> {
    let mut lowered = String::new();
    let mut exported = String::new();
    let mut imported = String::new();
    for (name, source, options, signature) in FUNCTIONS {
        let memory = match *options {
            Options::None => "",
            Options::Memory => "(memory $memory)",
            Options::Realloc => "(memory $memory) (realloc $realloc)",
        };
        lowered += &match source {
            Source::Function(instance, function) => {
                format!(
                    r#"(core func ${name} (canon lower (func ${instance} "{function}") {memory}))"#
                )
            }
            Source::Drop(resource) => {
                format!("(core func ${name} (canon resource.drop ${resource}))")
            }
        };
        exported += &format!(r#"(export "{name}" (func ${name}))"#);
        imported += &format!(r#"(import "wasi" "{name}" (func ${name} {signature}))"#);
    }
    let text = format!(
        r#"(component
            {IMPORTS}
            (core module $libc-module {LIBC})
            (core instance $libc (instantiate $libc-module))
            (alias core export $libc "memory" (core memory $memory))
            (alias core export $libc "realloc" (core func $realloc))
            {lowered}
            (core module $main
                {imported}
                (import "libc" "memory" (memory 1))
                (import "libc" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
                {core})
            (core instance $i (instantiate $main
                (with "libc" (instance $libc))
                (with "wasi" (instance {exported}))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#
    );
    wat::parse_str(text).expect("this is a component")
}

/// A memory of one page, of which the first 32 KiB are the guest's own, and an
/// allocator that never frees.
const LIBC: &str = r#"
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 0x8000))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
        (local $at i32)
        (local.set $at (global.get $top))
        (global.set $top (i32.and
            (i32.add (i32.add (local.get $at) (local.get 3)) (i32.const 7)) (i32.const -8)))
        (block $fits (loop $more
            (br_if $fits (i32.le_u (global.get $top)
                (i32.mul (memory.size) (i32.const 0x10000))))
            (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
            unreachable))
        (local.get $at))"#;

const IMPORTS: &str = r#"
    (import "wasi:io/poll@0.2.0" (instance $poll
        (export "pollable" (type $pollable (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $pollable))))
        (export "poll" (func
            (param "in" (list (borrow $pollable))) (result (list u32))))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:io/error@0.2.0" (instance $error
        (export "error" (type (sub resource)))))
    (alias export $error "error" (type $failure))
    (import "wasi:io/streams@0.2.0" (instance $streams
        (alias outer 1 $pollable (type $pollable))
        (alias outer 1 $failure (type $failure))
        (export "input-stream" (type $in (sub resource)))
        (export "output-stream" (type $out (sub resource)))
        (type $kinds (variant (case "last-operation-failed" (own $failure)) (case "closed")))
        (export "stream-error" (type $stream-error (eq $kinds)))
        (export "[method]input-stream.blocking-read" (func
            (param "self" (borrow $in)) (param "len" u64)
            (result (result (list u8) (error $stream-error)))))
        (export "[method]input-stream.subscribe" (func
            (param "self" (borrow $in)) (result (own $pollable))))
        (export "[method]output-stream.check-write" (func
            (param "self" (borrow $out)) (result (result u64 (error $stream-error)))))
        (export "[method]output-stream.write" (func
            (param "self" (borrow $out)) (param "contents" (list u8))
            (result (result (error $stream-error)))))
        (export "[method]output-stream.blocking-write-and-flush" (func
            (param "self" (borrow $out)) (param "contents" (list u8))
            (result (result (error $stream-error)))))
        (export "[method]output-stream.write-zeroes" (func
            (param "self" (borrow $out)) (param "len" u64)
            (result (result (error $stream-error)))))
        (export "[method]output-stream.subscribe" (func
            (param "self" (borrow $out)) (result (own $pollable))))))
    (alias export $streams "input-stream" (type $in))
    (alias export $streams "output-stream" (type $out))
    (import "wasi:cli/stdin@0.2.0" (instance $stdin
        (alias outer 1 $in (type $in))
        (export "get-stdin" (func (result (own $in))))))
    (import "wasi:cli/stdout@0.2.0" (instance $stdout
        (alias outer 1 $out (type $out))
        (export "get-stdout" (func (result (own $out))))))
    (import "wasi:cli/exit@0.2.0" (instance $exit
        (export "exit" (func (param "status" (result))))))
    (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
        (alias outer 1 $pollable (type $pollable))
        (export "now" (func (result u64)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
    (import "wasi:random/random@0.2.0" (instance $random
        (export "get-random-u64" (func (result u64)))))
    (import "wasi:filesystem/types@0.2.0" (instance $files
        (export "descriptor" (type (sub resource)))))
    (alias export $files "descriptor" (type $descriptor))
    (import "wasi:filesystem/preopens@0.2.0" (instance $preopens
        (alias outer 1 $descriptor (type $descriptor))
        (export "get-directories" (func
            (result (list (tuple (own $descriptor) string)))))))"#;

enum Options {
    None,
    Memory,
    Realloc,
}

enum Source {
    /// Of an imported instance.
    Function(&'static str, &'static str),
    /// Of a resource type.
    Drop(&'static str),
}

/// What a core module may call: name, where it comes from, what its lowering
/// needs, and the signature that this gives it.
const FUNCTIONS: &[(&str, Source, Options, &str)] = {
    use Options::{Memory, None, Realloc};
    use Source::{Drop, Function};
    const TO_HANDLE: &str = "(result i32)";
    const OF_HANDLE: &str = "(param i32)";
    const TO_OTHER: &str = "(param i32) (result i32)";
    /// Stream, bytes, how many, and where the answer goes.
    const WRITES: &str = "(param i32 i32 i32 i32)";
    &[
        (
            "block",
            Function("poll", "[method]pollable.block"),
            None,
            OF_HANDLE,
        ),
        (
            "poll",
            Function("poll", "poll"),
            Realloc,
            "(param i32 i32 i32)",
        ),
        ("drop-pollable", Drop("pollable"), None, OF_HANDLE),
        (
            "read",
            Function("streams", "[method]input-stream.blocking-read"),
            Realloc,
            "(param i32 i64 i32)",
        ),
        (
            "readable",
            Function("streams", "[method]input-stream.subscribe"),
            None,
            TO_OTHER,
        ),
        (
            "check",
            Function("streams", "[method]output-stream.check-write"),
            Memory,
            "(param i32 i32)",
        ),
        (
            "write",
            Function("streams", "[method]output-stream.write"),
            Memory,
            WRITES,
        ),
        (
            "write-all",
            Function("streams", "[method]output-stream.blocking-write-and-flush"),
            Memory,
            WRITES,
        ),
        (
            "write-zeroes",
            Function("streams", "[method]output-stream.write-zeroes"),
            Memory,
            "(param i32 i64 i32)",
        ),
        (
            "writable",
            Function("streams", "[method]output-stream.subscribe"),
            None,
            TO_OTHER,
        ),
        ("drop-in", Drop("in"), None, OF_HANDLE),
        ("drop-out", Drop("out"), None, OF_HANDLE),
        ("stdin", Function("stdin", "get-stdin"), None, TO_HANDLE),
        ("stdout", Function("stdout", "get-stdout"), None, TO_HANDLE),
        ("exit", Function("exit", "exit"), None, "(param i32)"),
        ("now", Function("clock", "now"), None, "(result i64)"),
        (
            "after",
            Function("clock", "subscribe-duration"),
            None,
            "(param i64) (result i32)",
        ),
        (
            "random",
            Function("random", "get-random-u64"),
            None,
            "(result i64)",
        ),
        (
            "directories",
            Function("preopens", "get-directories"),
            Realloc,
            "(param i32)",
        ),
    ]
};
