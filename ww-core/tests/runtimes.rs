//! Runtimes that come one after the other. Alone in its file, because each takes
//! nearly all that the process has.
#![cfg(target_os = "linux")]

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

use futures_lite::future::{block_on, poll_once};
use tempfile::TempDir;
use ww_core::cache::Cache;
use ww_core::{Error, Runtime, RuntimeBuilder};
use ww_image::Image;
use ww_loader::{Memory, Path};

/// An image of a command that does nothing.
fn image() -> Image {
    const TEXT: &str = r#"(component
        (core module $m (memory 1) (func (export "run") (result i32) (i32.const 0)))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#;
    let mut files = Memory::new();
    let main = Path::new("bin/main.wasm").expect("it is a path");
    let wasm = wat::parse_str(TEXT).expect("it is well-formed");
    files.file(&main, wasm).expect("nothing else is there");
    Image::from(files)
}

fn builder() -> RuntimeBuilder {
    Runtime::builder().workers(1).cells(8_000)
}

/// Mappings that are set aside.
fn set_aside() -> usize {
    match Runtime::builder().cells(u32::MAX).build() {
        Err(Error::Full { taken, .. }) => taken,
        other => panic!("no process may have as many maps: {other:?}"),
    }
}

#[test]
fn a_runtime_that_has_gone_leaves_its_room_to_the_next() {
    let image = image();
    for number in 0..5 {
        let runtime = builder().build();
        let runtime = runtime.unwrap_or_else(|error| panic!("number {number}: {error:?}"));
        block_on(runtime.load(&image)).expect("it compiles");
    }

    // Not while a compilation goes on, which has its engine.
    let directory = TempDir::new().expect("a directory");
    let (begins, begun) = channel();
    let (end, ends) = channel::<()>();
    let ends = Mutex::new(ends);
    let cache = Cache::open(directory.path().join("programs")).expect("it opens");
    let cache = cache.filled_by(move |_| {
        begins.send(()).expect("somebody waits");
        let _ = ends.lock().expect("nobody panics").recv();
        Err(std::io::Error::other("nobody waits for it"))
    });
    let runtime = builder().cache(cache).build().expect("there is room");
    let wasm = block_on(image.main()).expect("it is there");
    let mut compilation = runtime.compile(wasm);
    assert!(block_on(poll_once(&mut compilation)).is_none());
    begun.recv().expect("it begins");
    let taken = set_aside();
    drop((compilation, runtime));
    assert_eq!(set_aside(), taken);
    drop(end);
    while set_aside() > 0 {
        thread::yield_now();
    }
}
