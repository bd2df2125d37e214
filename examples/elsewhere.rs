//! Runs a component that nobody knows and that is compiled in a process of its
//! own, which the kernel ends when it has taken too much of a processor, or more
//! memory than it may: some ten kilobytes can keep a compiler busy for minutes.
//!
//! ```sh
//! cargo run -p ww-examples --bin elsewhere [COMPONENT]
//! ```

#![allow(clippy::print_stdout, reason = "it tells how the guest fared")]

use std::error::Error;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use futures_lite::future::block_on;
use ww_core::Runtime;
use ww_core::cache::Cache;
use ww_core::cell::Builder;

/// Seconds of a processor that a component may take to be compiled, and KiB of
/// address space.
const SECONDS: u32 = 10;
const MEMORY: u32 = 4 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let programs = env::temp_dir().join("ww-programs");
    let component = env::args().nth(1);
    match component.as_deref() {
        Some("--compile") => compile(&programs),
        Some(file) => run(&programs, fs::read(file)?),
        None => run(&programs, example_images::wasm("hello")),
    }
}

/// What the process does that compiles: the component is its standard input.
fn compile(programs: &Path) -> Result<(), Box<dyn Error>> {
    let mut wasm = Vec::new();
    io::stdin().read_to_end(&mut wasm)?;
    let runtime = Runtime::builder()
        .cells(0)
        .cache(Cache::open(programs)?)
        .build()?;
    block_on(runtime.compile(wasm))?;
    Ok(())
}

fn run(programs: &Path, wasm: Vec<u8>) -> Result<(), Box<dyn Error>> {
    let cache = Cache::open(programs)?.filled_by(|wasm| elsewhere(wasm));
    let runtime = Runtime::builder().cache(cache).build()?;
    block_on(async {
        let program = runtime.compile(wasm).await?;
        let cell = Builder::new().program(program).spawn().await?;
        println!("it exited with {}", cell.wait().await?.code());
        Ok(())
    })
}

/// Has a component compiled by this command, within limits.
fn elsewhere(wasm: &[u8]) -> io::Result<()> {
    let limits = format!("ulimit -t {SECONDS} && ulimit -v {MEMORY} && exec \"$0\" --compile");
    let mut compiler = Command::new("sh")
        .args(["-c", &limits])
        .arg(env::current_exe()?)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // If it ends before it has read all, its status says why.
    let _ = compiler.stdin.take().map(|mut stdin| stdin.write_all(wasm));
    let compiled = compiler.wait_with_output()?;
    if compiled.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&compiled.stderr);
    let text = format!("its compiler ended with {}: {complaint}", compiled.status);
    Err(io::Error::other(text))
}
