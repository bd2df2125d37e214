//! What the programs that fuzz have in common: `TARGET SECONDS [SEED [INPUT]]`.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::chance::Chance;

/// Longer than any input takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tries one input.
pub(crate) type Try = Box<dyn Fn(&mut Chance)>;

/// Tries inputs of the target that the command line names, which `target` makes
/// (it is told whether one alone is tried), until the time is over.
///
/// A finding is a panic, or an input that takes too long. The seed and the
/// number of the input are told with it, and make it again.
pub(crate) fn run(target: impl FnOnce(&str, bool) -> Option<Try>) {
    let args: Vec<_> = env::args().collect();
    let [program, name, seconds, rest @ ..] = &args[..] else {
        panic!("TARGET SECONDS [SEED [INPUT]]");
    };
    let seed = rest.first().map_or(1, |seed| seed.parse().unwrap());
    let first = rest.get(1).map(|input| input.parse().unwrap());
    let try_one = target(name, first.is_some());
    let try_one = try_one.unwrap_or_else(|| panic!("{program} has no target {name}"));
    let end = Instant::now() + Duration::from_secs(seconds.parse().unwrap());
    let inputs = Arc::new(AtomicU64::new(first.unwrap_or(0)));
    watch(name.clone(), seed, inputs.clone());
    let told = Telling(name, seed, &inputs);
    while Instant::now() < end {
        let input = inputs.load(Ordering::Relaxed);
        if input.is_multiple_of(100_000) {
            println!("{name}: seed {seed}, input {input}");
        }
        try_one(&mut Chance::of(seed, input));
        inputs.store(input + 1, Ordering::Relaxed);
        if first.is_some() {
            break;
        }
    }
    std::mem::forget(told);
    let inputs = inputs.load(Ordering::Relaxed);
    println!("{name}: seed {seed}, {inputs} inputs in {seconds} s, no finding");
}

/// Ends the process when the same input has been tried for too long.
fn watch(name: String, seed: u64, inputs: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        loop {
            let before = inputs.load(Ordering::Relaxed);
            std::thread::sleep(PATIENCE);
            if inputs.load(Ordering::Relaxed) == before {
                eprintln!("{name}: seed {seed}, input {before} does not end");
                std::process::abort();
            }
        }
    });
}

/// Says which input it was when it is dropped by a panic.
struct Telling<'a>(&'a str, u64, &'a AtomicU64);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let Self(name, seed, input) = self;
        let input = input.load(Ordering::Relaxed);
        eprintln!("{name}: seed {seed}, input {input}");
    }
}
