//! Tells what its WASI host does, one fact a line. The first argument says what
//! to look at. Knows nothing of Wetware.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, process};

mod codes;
mod raw;
mod scratch;
mod streams;

fn main() {
    let mut args = env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let result = match what.as_str() {
        "about" => about(),
        "cat" => cat(&rest),
        "clock" => clock(),
        "sleep" => sleep(&rest),
        "exit" => process::exit(number(&rest) as i32),
        "panic" => panic!("as asked"),
        "stdin" => upper(),
        "pour" => pour(number(&rest)),
        "tree" => tree("/"),
        "list" => list(&rest[0]),
        "libc" => libc(),
        "scratch" => scratch::work(&rest[0]),
        "fill" => scratch::fill(&rest[0]),
        what => raw::tell(what, &rest),
    };
    if let Err(error) = result {
        eprintln!("{what}: {error}");
        process::exit(1);
    }
}

fn number(rest: &[String]) -> u64 {
    rest.first()
        .and_then(|text| text.parse().ok())
        .expect("a number follows")
}

fn about() -> io::Result<()> {
    println!("args {:?}", env::args().collect::<Vec<_>>());
    let mut vars: Vec<_> = env::vars().collect();
    vars.sort();
    println!("env {vars:?}");
    println!("cwd {}", env::current_dir()?.display());
    Ok(())
}

fn cat(paths: &[String]) -> io::Result<()> {
    for path in paths {
        io::copy(&mut fs::File::open(path)?, &mut io::stdout())?;
    }
    Ok(())
}

fn clock() -> io::Result<()> {
    let begin = Instant::now();
    println!(
        "wall {:?}",
        SystemTime::UNIX_EPOCH.elapsed().map(|age| age.as_secs())
    );
    std::thread::sleep(Duration::from_millis(20));
    println!("slept {}", begin.elapsed() >= Duration::from_millis(20));
    Ok(())
}

fn sleep(rest: &[String]) -> io::Result<()> {
    let begin = Instant::now();
    std::thread::sleep(Duration::from_secs(number(rest)));
    println!("slept {:?}", begin.elapsed());
    Ok(())
}

fn upper() -> io::Result<()> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    print!("{}", text.to_uppercase());
    io::stdout().flush()
}

/// Writes `total` bytes that a reader can check.
fn pour(total: u64) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let bytes: Vec<u8> = (0..total).map(|n| (n % 251) as u8).collect();
    out.write_all(&bytes)?;
    out.flush()
}

fn tree(dir: &str) -> io::Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let path = entry.path();
        let shown = path.display();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            println!("{shown}/");
            tree(&shown.to_string())?;
        } else if kind.is_symlink() {
            println!("{shown} -> {}", fs::read_link(&path)?.display());
        } else {
            println!("{shown} {}", entry.metadata()?.len());
        }
    }
    Ok(())
}

fn list(dir: &str) -> io::Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let is_link = entry.metadata()?.is_symlink();
        println!("{} {is_link}", entry.file_name().display());
    }
    Ok(())
}

/// What the standard library makes of a read-only file system.
fn libc() -> io::Result<()> {
    let tell = |what, result: io::Result<()>| match result {
        Ok(()) => println!("{what}: done"),
        Err(error) => println!("{what}: {:?}", error.kind()),
    };
    tell("create", fs::File::create("/new").map(drop));
    tell(
        "append",
        fs::OpenOptions::new()
            .append(true)
            .open("/etc/motd")
            .map(drop),
    );
    tell("write", fs::write("/etc/motd", "changed"));
    tell("mkdir", fs::create_dir("/dir"));
    tell("mkdir -p", fs::create_dir_all("/etc"));
    tell("remove", fs::remove_file("/etc/motd"));
    tell("rename", fs::rename("/etc/motd", "/motd"));
    tell("missing", fs::read("/nothing").map(drop));
    tell("not a directory", fs::read("/etc/motd/x").map(drop));
    tell("a directory", fs::read("/etc").map(drop));
    tell("relative", fs::read("etc/motd").map(drop));
    tell("above the root", fs::read("/../etc/motd").map(drop));
    Ok(())
}
