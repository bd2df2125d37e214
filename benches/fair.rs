//! What a guest's neighbours cost it, and what it costs to interrupt them.

use std::rc::Rc;
use std::time::Duration;

use criterion::Criterion;
use futures_lite::AsyncReadExt;
use futures_lite::future::block_on;
use wasmtime::{Config, Engine, Instance, Module, Store};
use ww_benches::time::cpu;
use ww_benches::{Outcome, Rounds, Table, bare, calls};
use ww_core::cell::{Builder, Cell, Output};
use ww_core::{Error, Program, Runtime, serve};
use ww_rpc::cell_capnp::program;

/// Begins a neighbour, beside those that there are.
type Neighbour<'a> = &'a dyn Fn(&[Cell]) -> Builder;

/// A loop that hashes a page of bytes again and again (FNV-1a).
const HASH: &str = r#"
(module
  (memory 1)
  (func (export "run") (param $left i32) (local $hash i32)
    (loop $again
      (local.set $hash (i32.mul (i32.const 16777619) (i32.xor (local.get $hash)
        (i32.load8_u (i32.and (local.get $left) (i32.const 65535))))))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.store (i32.const 0) (local.get $hash))))
"#;

/// The tightest loop that there is: one that counts down.
const COUNT: &str = r#"
(module (func (export "run") (param $left i32)
  (loop $again
    (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
"#;

/// How many times as long a call may take beside neighbours.
const GOAL: Option<f64> = Some(10.0);

/// Takes whatever it is handed.
struct Takes;

impl program::Server for Takes {
    async fn spawn(
        self: Rc<Self>,
        _: program::SpawnParams,
        _: program::SpawnResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

/// Iterations of a loop at a time.
const ITERATIONS: i32 = 1 << 20;

/// Calls that a guest makes beside its neighbours.
const CALLS: u64 = 200;

/// Calls that a neighbour makes: more than it has time for.
const FOR_EVER: &str = "4000000000";

/// Bytes that one pours: as above.
const ENDLESS: &str = "4000000000000000";

/// A command that does `first`, and then `body` for ever.
fn forever(first: &str, body: &str) -> Outcome<Vec<u8>> {
    let text = format!(
        r#"(component
             (import "wasi:io/poll@0.2.0" (instance $poll
               (export "pollable" (type (sub resource)))
               (export "poll" (func
                 (param "in" (list (borrow 0))) (result (list u32))))))
             (alias export $poll "pollable" (type $pollable))
             (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
               (alias outer 1 $pollable (type $awaited))
               (export "pollable" (type (eq $awaited)))
               (export "subscribe-duration" (func (param "when" u64) (result (own 1))))))
             (import "wasi:io/error@0.2.0" (instance $error
               (export "error" (type (sub resource)))))
             (alias export $error "error" (type $error-type))
             (import "wasi:io/streams@0.2.0" (instance $streams
               (alias outer 1 $error-type (type $failed))
               (export "error" (type (eq $failed)))
               (type $fault (variant (case "last-operation-failed" (own 1)) (case "closed")))
               (export "stream-error" (type $stream-error (eq $fault)))
               (export "output-stream" (type $out (sub resource)))
               (export "[method]output-stream.write" (func
                 (param "self" (borrow $out)) (param "contents" (list u8))
                 (result (result (error $stream-error)))))))
             (alias export $streams "output-stream" (type $out))
             (import "wasi:cli/stdout@0.2.0" (instance $stdout
               (alias outer 1 $out (type $written))
               (export "output-stream" (type (eq $written)))
               (export "get-stdout" (func (result (own 1))))))
             (core module $memory
               (memory (export "memory") 3200)
               (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536))
             (core instance $memory (instantiate $memory))
             (alias core export $memory "memory" (core memory $m))
             (alias core export $memory "realloc" (core func $realloc))
             (core func $later (canon lower (func $clock "subscribe-duration")))
             (core func $poll (canon lower (func $poll "poll")
               (memory (core memory $m)) (realloc (core func $realloc))))
             (core func $stdout (canon lower (func $stdout "get-stdout")))
             (core func $write (canon lower
               (func $streams "[method]output-stream.write") (memory (core memory $m))))
             (core module $module
               (import "memory" "memory" (memory 3200))
               (import "host" "later" (func $later (param i64) (result i32)))
               (import "host" "poll" (func $poll (param i32 i32 i32)))
               (import "host" "stdout" (func $stdout (result i32)))
               (import "host" "write" (func $write (param i32 i32 i32 i32)))
               (func (export "run") (result i32) (local $i i32) (local $out i32)
                 {first}
                 (loop $again {body} (br $again))
                 i32.const 0))
             (core instance $instance (instantiate $module
               (with "memory" (instance $memory))
               (with "host" (instance
                 (export "later" (func $later))
                 (export "poll" (func $poll))
                 (export "stdout" (func $stdout))
                 (export "write" (func $write))))))
             (func $run (result (result)) (canon lift (core func $instance "run")))
             (instance $interface (export "run" (func $run)))
             (export "wasi:cli/run@0.2.0" (instance $interface)))"#
    );
    Ok(wat::parse_str(text)?)
}

/// What neighbours do. Filling 200 MiB is one instruction, which nothing
/// interrupts.
const FILL: &str = "(memory.fill (i32.const 0) (i32.const 1) (i32.const 209715200))";

/// Waiting for a millisecond: who does so after each fill is never found running.
const WAIT: &str = "(i32.store (i32.const 131072) (call $later (i64.const 1000000)))
     (call $poll (i32.const 131072) (i32.const 1) (i32.const 16))";

/// Host calls that hand over as much as is taken at a time: 64 KiB.
const WRITE: [&str; 2] = [
    "(local.set $out (call $stdout))",
    "(call $write (local.get $out) (i32.const 0) (i32.const 65536) (i32.const 16))",
];

/// One that polls two thousand pollables, of which one is ready.
const POLL: [&str; 2] = [
    "(loop $more
       (i32.store (i32.add (i32.const 131072) (i32.shl (local.get $i) (i32.const 2)))
         (call $later (select (i64.const 0) (i64.const 1000000000000000) (i32.eqz (local.get $i)))))
       (local.set $i (i32.add (local.get $i) (i32.const 1)))
       (br_if $more (i32.lt_u (local.get $i) (i32.const 2000))))",
    "(call $poll (i32.const 131072) (i32.const 2000) (i32.const 16))",
];

fn main() -> Outcome<()> {
    let criterion = &mut Criterion::default().configure_from_args();
    let table = &mut Table::new();

    interruption(criterion, table)?;

    let runtime = &Runtime::builder().workers(1).build()?;
    let compile = |wasm| block_on(runtime.compile(wasm));
    let caller = &compile(example_images::wasm("caller"))?;
    let endless = |first: &str, body: &str| -> Outcome<_> {
        let program = compile(forever(first, body)?)?;
        Ok(move |_: &[Cell]| Builder::new().program(program.clone()))
    };
    let spins = endless("", "")?;
    // Driven together, as a guest's children are.
    let family = |cells: &[Cell]| match cells.first() {
        Some(first) => spins(cells).beside(first),
        None => spins(cells),
    };
    let fills = endless("", FILL)?;
    let waits = endless("", &format!("{FILL} {WAIT}"))?;
    let writes = endless(WRITE[0], WRITE[1])?;
    let polls = endless(POLL[0], POLL[1])?;
    let hands = |_: &[Cell]| {
        let builder = Builder::new().program(caller.clone());
        let builder = builder.args(["hand", FOR_EVER, "1000"]);
        builder.bootstrap(|_| Ok(capnp_rpc::new_client::<program::Client, _>(Takes)))
    };
    let one_by_one = |_: &[Cell]| calling(caller, runtime, &["seq", FOR_EVER, "64"]);
    let floods = |_: &[Cell]| calling(caller, runtime, &["flight", FOR_EVER, "64", "64"]);
    let pours = &compile(example_images::wasm("pours"))?;
    let pours = |_: &[Cell]| {
        let builder = Builder::new().program(pours.clone());
        let builder = builder.args(["push", ENDLESS]);
        builder.bootstrap(|_| Ok(serve::sink(futures::io::sink())))
    };
    let neighbours: [(_, Neighbour<'_>, _, _); _] = [
        ("neighbours/1 spins", &spins, 1, GOAL),
        ("neighbours/4 spin", &spins, 4, GOAL),
        ("neighbours/64 spin", &spins, 64, None),
        ("neighbours/64 spin, of one family", &family, 64, GOAL),
        ("neighbours/1 fills memory", &fills, 1, GOAL),
        ("neighbours/4 fill memory", &fills, 4, GOAL),
        ("neighbours/4 fill memory and wait", &waits, 4, GOAL),
        ("neighbours/4 write", &writes, 4, GOAL),
        ("neighbours/4 poll", &polls, 4, GOAL),
        ("neighbours/4 call, one at a time", &one_by_one, 4, GOAL),
        ("neighbours/1 calls, 64 in flight", &floods, 1, GOAL),
        ("neighbours/4 call, 64 in flight", &floods, 4, GOAL),
        ("neighbours/4 pour", &pours, 4, GOAL),
        ("neighbours/4 hand over", &hands, 4, GOAL),
    ];
    for (name, neighbour, count, goal) in neighbours {
        let rounds = Rounds::new(
            |times| beside(caller, runtime, neighbour, count, times),
            |times| beside(caller, runtime, neighbour, 0, times),
        );
        table.row(criterion, name, "no neighbour", goal, rounds);
    }

    criterion.final_summary();
    table.print();
    Ok(())
}

/// Loops that are interrupted by epochs, or by fuel, beside the same ones that
/// are not.
fn interruption(criterion: &mut Criterion, table: &mut Table) -> Outcome<()> {
    let none = || {
        let mut config = bare::config(1);
        config.epoch_interruption(false);
        config
    };
    let fuel = || {
        let mut config = none();
        config.consume_fuel(true);
        config
    };
    for (name, text, subject, goal) in [
        ("epochs/hashing", HASH, bare::config(1), Some(1.05)),
        ("epochs/counting", COUNT, bare::config(1), None),
        ("fuel/hashing", HASH, fuel(), None),
        ("fuel/counting", COUNT, fuel(), None),
    ] {
        let (subject, peer) = (looping(&subject, text)?, looping(&none(), text)?);
        let rounds = Rounds::new(subject, peer);
        table.row(criterion, name, "no interruption", goal, rounds);
    }
    Ok(())
}

fn looping(config: &Config, text: &str) -> Outcome<impl FnMut(u64) -> Outcome<Duration> + use<>> {
    let engine = Engine::new(config)?;
    let module = Module::new(&engine, wat::parse_str(text)?)?;
    let mut store = Store::new(&engine, ());
    store.set_epoch_deadline(1);
    // Without fuel there is none to set.
    let fuelled = store.set_fuel(u64::MAX).is_ok();
    let instance = block_on(Instance::new_async(&mut store, &module, &[]))?;
    let run = instance.get_typed_func::<i32, ()>(&mut store, "run")?;
    Ok(move |times| {
        cpu(|| {
            for _ in 0..times {
                if fuelled {
                    store.set_fuel(u64::MAX)?;
                }
                block_on(run.call_async(&mut store, ITERATIONS))?;
            }
            Ok(())
        })
    })
}

/// How long a guest's calls to its host take, by the clock on the wall, beside
/// `count` neighbours on the same worker.
fn beside(
    caller: &Program,
    runtime: &Runtime,
    neighbour: Neighbour<'_>,
    count: usize,
    times: u64,
) -> Outcome<Duration> {
    block_on(async {
        let mut neighbours: Vec<Cell> = Vec::new();
        for _ in 0..count {
            let cell = neighbour(&neighbours).spawn().await?;
            // It has its first turn.
            cell.with(async |_| Ok(())).await?;
            neighbours.push(cell);
        }
        let mut took = Duration::ZERO;
        for _ in 0..times {
            took += called(caller, runtime).await?;
        }
        for neighbour in &neighbours {
            neighbour.kill();
            match neighbour.wait().await {
                Err(Error::Killed) => {}
                ended => return Err(format!("a neighbour ended by itself: {ended:?}").into()),
            }
        }
        Ok(took / u32::try_from(CALLS)?)
    })
}

/// How long all calls took, by the guest's clock.
async fn called(caller: &Program, runtime: &Runtime) -> Outcome<Duration> {
    let cell = calling(caller, runtime, &["seq", &CALLS.to_string(), "64"])
        .stdout(Output::piped())
        .spawn()
        .await?;
    let mut nanos = String::new();
    let mut stdout = cell.take_stdout().ok_or("stdout is not piped")?;
    stdout.read_to_string(&mut nanos).await?;
    cell.wait().await?;
    Ok(Duration::from_nanos(nanos.trim().parse()?))
}

/// A guest that makes calls to its host, as `args` say.
fn calling(caller: &Program, runtime: &Runtime, args: &[&str]) -> Builder {
    let runtime = runtime.clone();
    Builder::new()
        .program(caller.clone())
        .args(args.iter().copied())
        .bootstrap(move |_| Ok(calls::server(&runtime)))
}
