//! Compiled programs on disk: what is found there, and what counts as not
//! there.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_lite::future::{block_on, zip};
use tempfile::TempDir;
use ww_core::cache::Cache;
use ww_core::cell::Builder;
use ww_core::{Error, Phase, Program, Runtime, RuntimeBuilder};

/// A command that succeeds, told from others by `number`.
fn command(number: usize) -> Vec<u8> {
    let text = format!(
        r#"(component
             (core module $module
               (memory 1)
               (data (i32.const 0) "{number}")
               (func (export "run") (result i32) i32.const 0))
             (core instance $instance (instantiate $module))
             (func $run (result (result)) (canon lift (core func $instance "run")))
             (instance $interface (export "run" (func $run)))
             (export "wasi:cli/run@0.2.0" (instance $interface)))"#
    );
    wat::parse_str(text).expect("it is well-formed")
}

fn builder() -> RuntimeBuilder {
    Runtime::builder().workers(1).cells(2)
}

fn open(directory: &Path) -> Cache {
    Cache::open(directory).expect("it opens")
}

/// A program as a process makes it that has just started, and what it went
/// through for it.
fn compile(cache: Cache, wasm: &[u8]) -> (Program, Vec<Phase>) {
    compile_on(builder().cache(cache), wasm)
}

/// The same, on a runtime of these settings.
fn compile_on(runtime: RuntimeBuilder, wasm: &[u8]) -> (Program, Vec<Phase>) {
    let phases = Arc::new(Mutex::new(Vec::new()));
    let seen = phases.clone();
    let runtime = runtime.build().expect("it starts");
    let compilation = runtime
        .compile(wasm.to_vec())
        .observe(move |phase| seen.lock().expect("nobody panics").push(phase));
    let program = block_on(compilation).expect("it compiles");
    let phases = phases.lock().expect("nobody panics").clone();
    (program, phases)
}

fn runs(program: Program) -> bool {
    block_on(async {
        let cell = Builder::new().program(program).spawn().await;
        let exit = cell.expect("it spawns").wait().await;
        exit.expect("it exits").success()
    })
}

/// The most memory that a cell of it holds.
fn takes(program: Program) -> usize {
    block_on(async {
        let cell = Builder::new().program(program).spawn().await;
        let cell = cell.expect("it spawns");
        cell.wait().await.expect("it exits");
        cell.usage().peak_memory
    })
}

fn place() -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().expect("there is a place for it");
    let directory = parent.path().join("programs");
    (parent, directory)
}

/// Everything in the directory but the key.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let listing = fs::read_dir(directory).expect("it is there");
    let paths = listing.map(|entry| entry.expect("it can be read").path());
    paths.filter(|path| !path.ends_with("key")).collect()
}

const COMPILED: [Phase; 5] = [
    Phase::Hashing,
    Phase::Waiting,
    Phase::Seeking,
    Phase::Compiling,
    Phase::Linking,
];

const FOUND: [Phase; 4] = [
    Phase::Hashing,
    Phase::Waiting,
    Phase::Seeking,
    Phase::Linking,
];

#[test]
fn what_one_process_compiled_the_next_one_finds() {
    let (_parent, directory) = place();
    let wasm = command(0);
    assert_eq!(compile(open(&directory), &wasm).1, COMPILED);
    let (program, phases) = compile(open(&directory), &wasm);
    assert_eq!(phases, FOUND);
    assert!(runs(program));
    assert_eq!(compile(open(&directory), &command(1)).1, COMPILED);
    assert_eq!(entries(&directory).len(), 2);
}

#[test]
fn what_was_compiled_under_other_settings_is_left_to_those() {
    let (_parent, directory) = place();
    let wasm = command(0);
    let settings = [false, true];
    for expected in [&COMPILED[..], &FOUND[..]] {
        for source_lines in settings {
            let builder = builder().source_lines(source_lines);
            let (program, phases) = compile_on(builder.cache(open(&directory)), &wasm);
            assert_eq!(phases, expected, "source lines: {source_lines}");
            assert!(runs(program), "source lines: {source_lines}");
        }
    }
    assert_eq!(entries(&directory).len(), settings.len());
}

#[test]
fn an_entry_that_was_touched_counts_as_not_there() {
    let (_parent, directory) = place();
    let wasm = command(0);
    compile(open(&directory), &wasm);
    let [entry] = &entries(&directory)[..] else {
        panic!("there is one entry");
    };
    let whole = fs::read(entry).expect("it can be read");
    let flipped = |index: usize| {
        let mut bytes = whole.clone();
        bytes[index] ^= 1;
        bytes
    };
    let last = whole.len() - 1;
    let mut longer = whole.clone();
    longer.push(0);
    for (what, bytes) in [
        ("empty", Vec::new()),
        ("a part of the seal", whole[..16].to_vec()),
        ("the seal alone", whole[..32].to_vec()),
        ("cut in half", whole[..whole.len() / 2].to_vec()),
        ("without its last byte", whole[..last].to_vec()),
        ("with a byte more", longer),
        ("another seal", flipped(0)),
        ("another head", flipped(32)),
        ("another middle", flipped(whole.len() / 2)),
        ("another end", flipped(last)),
    ] {
        fs::write(entry, bytes).expect("it can be written");
        let (program, phases) = compile(open(&directory), &wasm);
        assert_eq!(phases, COMPILED, "{what}");
        assert!(runs(program), "{what}");
        assert_eq!(compile(open(&directory), &wasm).1, FOUND, "{what}");
    }
}

#[test]
fn what_is_no_file_of_ours_counts_as_not_there() {
    let (_parent, directory) = place();
    let wasm = command(0);
    compile(open(&directory), &wasm);
    let [entry] = &entries(&directory)[..] else {
        panic!("there is one entry");
    };
    let aside = directory.with_file_name("aside");
    type Put = fn(&Path, &Path);
    let puts: [(&str, Put); 4] = [
        ("a link to the entry", |entry, aside| {
            symlink(aside, entry).expect("it links");
        }),
        ("a pipe", |entry, _| {
            let made = rustix::fs::mkfifoat(rustix::fs::CWD, entry, 0o600.into());
            made.expect("it is made");
        }),
        ("a directory", |entry, _| {
            fs::create_dir(entry).expect("it is made");
        }),
        ("an entry that others may write", |entry, aside| {
            fs::copy(aside, entry).expect("it copies");
            fs::set_permissions(entry, Permissions::from_mode(0o666)).expect("it is ours");
        }),
    ];
    for (what, put) in puts {
        fs::rename(entry, &aside).expect("it moves");
        put(entry, &aside);
        let (program, phases) = compile(open(&directory), &wasm);
        assert_eq!(phases, COMPILED, "{what}");
        assert!(runs(program), "{what}");
        if entry.is_dir() {
            fs::remove_dir(entry).expect("it is empty");
        } else {
            fs::remove_file(entry).expect("it is there");
        }
        fs::rename(&aside, entry).expect("it moves back");
    }
    assert_eq!(compile(open(&directory), &wasm).1, FOUND);
}

#[test]
fn an_entry_is_worth_nothing_under_another_name_or_key() {
    let (_parent, directory) = place();
    let (one, other) = (command(1), command(2));
    compile(open(&directory), &one);
    let first = entries(&directory).remove(0);
    compile(open(&directory), &other);
    let second = entries(&directory)
        .into_iter()
        .find(|entry| *entry != first)
        .expect("there are two");
    fs::copy(&first, &second).expect("it copies");
    assert_eq!(compile(open(&directory), &other).1, COMPILED);

    fs::remove_file(directory.join("key")).expect("it is there");
    assert_eq!(compile(open(&directory), &one).1, COMPILED);
    assert_eq!(compile(open(&directory), &one).1, FOUND);
}

#[test]
fn what_was_used_longest_ago_goes_when_there_is_too_much() {
    let (_parent, directory) = place();
    compile(open(&directory), &command(0));
    let first = entries(&directory).remove(0);
    let len = fs::metadata(&first).expect("it is there").len();
    let age = |path: &Path, minutes: u64| {
        let then = SystemTime::now() - Duration::from_secs(60 * minutes);
        let file = OpenOptions::new().write(true).open(path);
        let set = file.and_then(|file| file.set_modified(then));
        set.expect("it is ours");
    };
    age(&first, 3);
    compile(open(&directory), &command(1));
    let second = entries(&directory)
        .into_iter()
        .find(|entry| *entry != first)
        .expect("there are two");
    age(&second, 2);
    // Being found makes it young.
    assert_eq!(compile(open(&directory), &command(0)).1, FOUND);
    let bounded = || open(&directory).most(2 * len + len / 2);
    compile(bounded(), &command(2));
    assert_eq!(entries(&directory).len(), 2);
    assert!(first.exists() && !second.exists());
    // What is larger than all there may be is not kept.
    compile(open(&directory).most(len / 2), &command(3));
    assert_eq!(entries(&directory).len(), 2);
}

#[test]
fn a_directory_that_others_can_enter_is_refused() {
    let (_parent, directory) = place();
    for mode in [0o755, 0o770, 0o701] {
        fs::create_dir(&directory).expect("it is new");
        fs::set_permissions(&directory, Permissions::from_mode(mode)).expect("it is ours");
        let error = Cache::open(&directory).expect_err("others can enter");
        assert!(
            matches!(&error, Error::Cache { path, source } if *path == directory
                && source.to_string().contains(&format!("{mode:o}"))),
            "{error:?}"
        );
        fs::remove_dir(&directory).expect("nothing was put there");
    }
    let _ = open(&directory);
    let aside = directory.with_file_name("link");
    symlink(&directory, &aside).expect("it links");
    Cache::open(&aside).expect_err("a link may lead elsewhere tomorrow");
    fs::write(directory.join("key"), "short").expect("it is ours");
    let error = Cache::open(&directory).expect_err("the key was cut");
    let told = std::error::Error::source(&error).map(ToString::to_string);
    assert!(told.is_some_and(|told| told.contains("key")), "{error:?}");
}

#[test]
fn who_opens_at_the_same_time_shares_one_key() {
    for _ in 0..20 {
        let (_parent, directory) = place();
        let opens = || {
            blocking::unblock({
                let directory = directory.clone();
                move || open(&directory)
            })
        };
        let (one, other) = block_on(zip(opens(), opens()));
        compile(one, &command(0));
        assert_eq!(compile(other, &command(0)).1, FOUND);
    }
}

#[test]
fn what_instances_take_is_found_with_the_program() {
    const PAGE: usize = 64 << 10;
    let (_parent, directory) = place();
    let (program, phases) = compile(open(&directory), &command(0));
    assert_eq!(phases, COMPILED);
    let taken = takes(program);
    assert!(taken > PAGE, "{taken}");
    let (program, phases) = compile(open(&directory), &command(0));
    assert_eq!(phases, FOUND);
    assert_eq!(takes(program), taken);
}

#[test]
fn what_is_compiled_elsewhere_is_loaded() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("programs");
    let asked = Arc::new(Mutex::new(0));
    let filled = || {
        let (path, asked) = (path.clone(), asked.clone());
        open(&path.clone()).filled_by(move |wasm| {
            *asked.lock().expect("nobody panics") += 1;
            let elsewhere = builder().cache(open(&path)).build();
            let compiled = elsewhere.and_then(|runtime| block_on(runtime.compile(wasm.clone())));
            compiled.map(drop).map_err(std::io::Error::other)
        })
    };
    let (program, phases) = compile(filled(), &command(1));
    assert!(runs(program));
    assert!(phases.ends_with(&[Phase::Seeking, Phase::Compiling, Phase::Linking]));
    assert!(runs(compile(filled(), &command(1)).0));
    assert_eq!(*asked.lock().expect("nobody panics"), 1);
    let error = refused(filled(), b"no component");
    assert!(error.contains("not a WASM component"), "{error}");
}

#[test]
fn what_is_not_compiled_elsewhere_is_not_compiled_here() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("programs");
    let error = refused(open(&path).filled_by(|_| Ok(())), &command(1));
    assert!(error.contains("was not put into the cache"), "{error}");
    let fails = |_: &_| Err(std::io::Error::other("its time is up"));
    let error = refused(open(&path).filled_by(fails), &command(1));
    assert!(error.contains("its time is up"), "{error}");
    let panics = |_: &_| panic!("and says so");
    let error = refused(open(&path).filled_by(panics), &command(1));
    assert!(error.contains("and says so"), "{error}");
    // For other settings than those of whoever looks.
    let elsewhere = path.clone();
    let other = open(&path).filled_by(move |wasm| {
        let other = builder().source_lines(true).cache(open(&elsewhere));
        compile_on(other, wasm);
        Ok(())
    });
    let error = refused(other, &command(1));
    assert!(error.contains("of these settings"), "{error}");
}

/// Why it is no program, and what that is because of.
fn refused(cache: Cache, wasm: &[u8]) -> String {
    let runtime = builder().cache(cache).build().expect("it starts");
    match block_on(runtime.compile(wasm.to_vec())) {
        Err(Error::Compile(cause)) => cause.to_string(),
        other => panic!("{other:?}"),
    }
}
