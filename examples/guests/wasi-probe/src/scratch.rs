//! A writable directory, by the standard library and below it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags, filesystem_error_code,
};
use wasip2::io::streams::StreamError;

/// Works in `dir` as programs do, and tells where it comes out otherwise than
/// they expect.
pub fn work(dir: &str) -> io::Result<()> {
    let dir = Path::new(dir);
    let (a, b, sub) = (dir.join("a"), dir.join("b"), dir.join("sub/deep"));
    fs::write(&a, "hello")?;
    let mut appended = OpenOptions::new().append(true).open(&a)?;
    appended.write_all(b", scratch")?;
    appended.sync_all()?;
    println!("read {:?}", fs::read_to_string(&a)?);

    let mut file = OpenOptions::new().read(true).write(true).open(&a)?;
    file.seek(SeekFrom::Start(7))?;
    file.write_all(b"SCRATCH")?;
    file.set_len(20)?;
    let mut text = String::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_string(&mut text)?;
    println!("rewritten {text:?}");
    println!(
        "exclusive {:?}",
        File::create_new(&a).map(drop).map_err(|error| error.kind())
    );

    fs::create_dir_all(&sub)?;
    fs::rename(&a, sub.join("moved"))?;
    fs::copy(sub.join("moved"), &b)?;
    fs::hard_link(&b, dir.join("link"))?;
    println!(
        "full {:?}",
        fs::remove_dir(&sub).map_err(|error| error.raw_os_error())
    );
    let later = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::options().write(true).open(&b)?.set_modified(later)?;
    println!("modified {}", fs::metadata(&b)?.modified()? == later);

    let open = File::open(&b)?;
    fs::remove_file(&b)?;
    println!(
        "without a name {} bytes",
        io::copy(&mut &open, &mut io::sink())?
    );
    let mut names = fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    println!("names {names:?}");
    fs::remove_dir_all(dir.join("sub"))?;
    fs::remove_file(dir.join("link"))?;
    println!("left {}", fs::read_dir(dir)?.count());
    Ok(())
}

/// Writes to `dir` until there is no more room, then makes some.
pub fn fill(dir: &str) -> io::Result<()> {
    let path = Path::new(dir).join("large");
    let mut file = File::create(&path)?;
    let (chunk, mut written) = (vec![7; 10_000], 0_u64);
    let error = loop {
        match file.write(&chunk) {
            Ok(count) => written += count as u64,
            Err(error) => break error,
        }
    };
    println!("wrote {written}, then {:?}", error.raw_os_error());
    drop(file);
    fs::remove_file(&path)?;
    fs::write(&path, &chunk)?;
    println!("again {}", fs::metadata(&path)?.len());
    Ok(())
}

/// What streams tell of a failure, and what leads from one mount to another.
pub fn raw() {
    let mut mounts: Vec<(Descriptor, String)> = get_directories();
    println!(
        "mounts {:?}",
        mounts
            .iter()
            .map(|(_, path)| path.as_str())
            .collect::<Vec<_>>()
    );
    let at = mounts
        .iter()
        .position(|(_, path)| path == "/tmp")
        .expect("/tmp is mounted");
    let (scratch, _) = mounts.remove(at);
    let (image, _) = mounts.remove(0);
    let create = |path| {
        let (how, flags) = (
            OpenFlags::CREATE,
            DescriptorFlags::READ | DescriptorFlags::WRITE,
        );
        scratch.open_at(PathFlags::empty(), path, how, flags)
    };
    let file = create("file").expect("there is room");
    let stream = file.write_via_stream(3).expect("it is open");
    println!("may write {}", stream.check_write().expect("it is open"));
    stream.write(b"abc").expect("there is room");
    stream
        .blocking_write_zeroes_and_flush(2)
        .expect("there is room");
    let appended = file.append_via_stream().expect("it is open");
    appended
        .blocking_write_and_flush(b"end")
        .expect("there is room");
    println!("bytes {:?}", file.read(100, 0).expect("it is open").0);
    let long = file.write(&[7; 200_000], 11);
    println!("long {long:?} {:?}", file.stat().map(|stat| stat.size));
    println!("flags {:?} {:?}", scratch.get_flags(), file.get_flags());

    let far = file.write_via_stream(1 << 40).expect("it is open");
    match far.blocking_write_and_flush(b"x") {
        Err(StreamError::LastOperationFailed(error)) => println!(
            "too far {:?}, {}",
            filesystem_error_code(&error).map(|code| code.name().to_owned()),
            error.to_debug_string()
        ),
        other => println!("too far {other:?}"),
    }
    println!("then {:?}", far.check_write());

    let tell = |what: &str, result: Result<(), ErrorCode>| match result {
        Ok(()) => println!("{what}: done"),
        Err(code) => println!("{what}: {}", code.name()),
    };
    tell("out of scratch", scratch.rename_at("file", &image, "file"));
    tell(
        "into scratch",
        image.rename_at("etc/motd", &scratch, "motd"),
    );
    tell(
        "link",
        image.link_at(PathFlags::empty(), "etc/motd", &scratch, "motd"),
    );
    tell(
        "follow",
        scratch.link_at(PathFlags::SYMLINK_FOLLOW, "file", &scratch, "other"),
    );
    tell("symlink", scratch.symlink_at("file", "sym"));
    println!("readlink {:?}", scratch.readlink_at("sym"));
    tell("absolute", scratch.symlink_at("/etc/motd", "out"));
    println!(
        "same {} {}",
        image.is_same_object(&scratch),
        scratch.is_same_object(&scratch)
    );
}
