//! Builds the guests and lays them out as images.

#[path = "src/catalog.rs"]
mod catalog;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::{env, io};

use catalog::CATALOG;

const TARGET: &str = "wasm32-wasip2";

/// What the guests are made from, seen from the top of the repository.
const SOURCES: &[&str] = &[
    "examples/greeting",
    "examples/services",
    "ww-guest-sdk/Cargo.toml",
    "ww-guest-sdk/macros",
    "ww-guest-sdk/src",
    "ww-membrane/Cargo.toml",
    "ww-membrane/src",
    "ww-rpc/Cargo.toml",
    "ww-rpc/src",
    "wit",
    "Cargo.toml",
];

fn main() {
    let images = Path::new(env!("CARGO_MANIFEST_DIR"));
    let top = images
        .ancestors()
        .nth(2)
        .expect("the crate is two folders deep");
    let guests = top.join("examples/guests");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", top.join(source).display());
    }
    watch(&guests).unwrap_or_else(|error| panic!("{}: {error}", guests.display()));

    build(&guests);

    let release = guests.join("target").join(TARGET).join("release");
    let component = |guest: &str| release.join(guest).with_extension("wasm");
    for entry in CATALOG {
        let image = images.join(entry.name);
        install(&component(entry.name), &image);
        for service in entry.services {
            install(&component(service), &image.join("svc").join(service));
        }
    }
}

/// Watches the guests' folder, except for what the build itself writes there.
fn watch(guests: &Path) -> io::Result<()> {
    for entry in fs::read_dir(guests)? {
        let entry = entry?;
        if entry.file_name() != "target" {
            println!("cargo::rerun-if-changed={}", entry.path().display());
        }
    }
    Ok(())
}

fn build(guests: &Path) {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(guests)
        .args(["build", "--release", "--locked", "--target", TARGET])
        .arg("--target-dir")
        .arg(guests.join("target"));
    for (name, _) in env::vars_os() {
        if !survives(&name) {
            command.env_remove(name);
        }
    }
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cargo does not start: {error}"));
    if output.status.success() {
        return;
    }
    let text = String::from_utf8_lossy(&output.stderr);
    // rustc says so for `core`, the first crate that every guest needs.
    if text.contains("can't find crate for `core`") || text.contains("can't find crate for `std`") {
        panic!("the guests need the {TARGET} target: run `rustup target add {TARGET}`");
    }
    panic!("the guests do not build:\n{text}");
}

/// Whether an environment variable is meant for the guests' build too. What
/// Cargo and its wrappers set for this build would make it another one.
fn survives(name: &OsStr) -> bool {
    const MEANT: &[&str] = &[
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_MAKEFLAGS",
        "CARGO_NET_",
        "CARGO_REGISTRIES_",
        "CARGO_REGISTRY_",
    ];
    const OTHERS: &[&str] = &[
        "DEBUG",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "TARGET",
    ];
    let name = name.to_string_lossy();
    MEANT.iter().any(|meant| name.starts_with(meant))
        || !(name.starts_with("CARGO") || name.starts_with("RUSTC") || name.starts_with("RUSTDOC"))
            && name != "RUSTFLAGS"
            && name != "CLIPPY_ARGS"
            && !OTHERS.contains(&&*name)
}

/// Puts `component` into `image` as its `bin/main.wasm`.
fn install(component: &Path, image: &Path) {
    let main = image.join("bin/main.wasm");
    println!("cargo::rerun-if-changed={}", main.display());
    write(component, &main).unwrap_or_else(|error| panic!("{}: {error}", main.display()));
}

/// Copies where the bytes differ, in one step: other builds may read the file,
/// or write it, at the same time.
fn write(from: &Path, to: &Path) -> io::Result<()> {
    let bytes = fs::read(from)?;
    if fs::read(to).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let folder: PathBuf = to.parent().map(Path::to_owned).unwrap_or_default();
    fs::create_dir_all(&folder)?;
    let partial = folder.join(format!("main.wasm.{}", process::id()));
    fs::write(&partial, bytes)?;
    // Cargo runs this script again when a watched file is newer than its last
    // run, so an output is dated back to before this one.
    let script = fs::metadata(env::current_exe()?)?.modified()?;
    File::options()
        .write(true)
        .open(&partial)?
        .set_modified(script)?;
    fs::rename(partial, to)
}
