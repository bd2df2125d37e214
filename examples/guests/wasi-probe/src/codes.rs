//! What each function of a descriptor answers.

use wasip2::clocks::wall_clock::Datetime;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
    filesystem_error_code,
};
use wasip2::io::streams::StreamError;

type Call = fn(&Descriptor) -> Result<(), ErrorCode>;

/// Calls each function on each preopened directory and on `file` in it, opened
/// to be read and, where it may be, to be written. Beside it stands `dir`. A
/// line has the codes in this order.
pub fn tell() {
    for (root, path) in get_directories() {
        // Where they cannot be made they are there.
        let _ = root.create_directory_at("dir");
        let _ = open(&root, "file", OpenFlags::CREATE, DescriptorFlags::WRITE);
        let file = |flags| open(&root, "file", OpenFlags::empty(), flags);
        let mut files = vec![file(DescriptorFlags::READ).expect("it is there")];
        files.extend(file(DescriptorFlags::WRITE));
        files.insert(0, root);
        println!("{path}");
        for (what, call) in CALLS {
            print!("{what}:");
            for descriptor in &files {
                match call(descriptor) {
                    Ok(()) => print!(" done"),
                    Err(code) => print!(" {}", code.name()),
                }
            }
            println!();
        }
    }
}

fn open(
    base: &Descriptor,
    path: &str,
    how: OpenFlags,
    flags: DescriptorFlags,
) -> Result<Descriptor, ErrorCode> {
    base.open_at(PathFlags::empty(), path, how, flags)
}

/// A time that no clock has.
const NEVER: NewTimestamp = NewTimestamp::Timestamp(Datetime {
    seconds: u64::MAX,
    nanoseconds: 1_000_000_000,
});

const NONE: PathFlags = PathFlags::empty();
const STAYS: NewTimestamp = NewTimestamp::NoChange;
const READ: DescriptorFlags = DescriptorFlags::READ;

/// The last offset that a file may have.
const LAST: u64 = i64::MAX as u64;

/// What a stream tells at first; then it is closed.
fn streamed<T>(read: impl Fn() -> Result<T, StreamError>) -> Result<(), ErrorCode> {
    match read() {
        Err(StreamError::LastOperationFailed(error)) => {
            assert!(matches!(read(), Err(StreamError::Closed)));
            Err(filesystem_error_code(&error).expect("it has a code"))
        }
        Err(StreamError::Closed) => panic!("it is closed at first"),
        Ok(_) => Ok(()),
    }
}

const CALLS: &[(&str, Call)] = &[
    ("read-via-stream", |it| it.read_via_stream(0).map(drop)),
    ("write-via-stream", |it| it.write_via_stream(0).map(drop)),
    ("append-via-stream", |it| it.append_via_stream().map(drop)),
    ("advise", |it| it.advise(0, 1, Advice::Normal)),
    ("sync-data", |it| it.sync_data()),
    ("get-flags", |it| it.get_flags().map(drop)),
    ("get-type", |it| it.get_type().map(drop)),
    ("set-size", |it| it.set_size(0)),
    ("set-times", |it| it.set_times(STAYS, NewTimestamp::Now)),
    ("set-times never", |it| it.set_times(STAYS, NEVER)),
    ("read", |it| it.read(1, 0).map(drop)),
    ("write", |it| it.write(b"x", 0).map(drop)),
    ("read last", |it| it.read(1, LAST).map(drop)),
    ("read beyond", |it| it.read(1, LAST + 1).map(drop)),
    ("write last", |it| it.write(b"x", LAST).map(drop)),
    ("write beyond", |it| it.write(b"x", LAST + 1).map(drop)),
    ("read-via-stream beyond", |it| {
        let stream = it.read_via_stream(LAST + 1)?;
        streamed(|| stream.blocking_read(1))
    }),
    ("write-via-stream beyond", |it| {
        let stream = it.write_via_stream(LAST + 1)?;
        streamed(|| stream.blocking_write_and_flush(b"x"))
    }),
    ("set-size beyond", |it| it.set_size(LAST + 1)),
    ("read-directory", |it| it.read_directory().map(drop)),
    ("sync", |it| it.sync()),
    ("create-directory-at", |it| it.create_directory_at("dir")),
    ("stat", |it| it.stat().map(drop)),
    ("stat-at", |it| it.stat_at(NONE, "file").map(drop)),
    ("set-times-at", |it| {
        it.set_times_at(NONE, "nothing", STAYS, NewTimestamp::Now)
    }),
    ("set-times-at never", |it| {
        it.set_times_at(NONE, "nothing", NEVER, STAYS)
    }),
    ("link-at", |it| it.link_at(NONE, "file", it, "dir")),
    ("link-at follow", |it| {
        it.link_at(PathFlags::SYMLINK_FOLLOW, "file", it, "dir")
    }),
    ("open-at", |it| {
        open(it, "nothing", OpenFlags::empty(), READ).map(drop)
    }),
    ("open-at create", |it| {
        open(it, "file", OpenFlags::CREATE | OpenFlags::EXCLUSIVE, READ).map(drop)
    }),
    ("open-at truncate", |it| {
        open(it, "dir", OpenFlags::TRUNCATE, READ).map(drop)
    }),
    ("open-at write", |it| {
        open(it, "dir", OpenFlags::empty(), DescriptorFlags::WRITE).map(drop)
    }),
    ("open-at sync", |it| {
        let flags = DescriptorFlags::FILE_INTEGRITY_SYNC;
        open(it, "nothing", OpenFlags::CREATE, flags).map(drop)
    }),
    ("open-at directory", |it| {
        open(it, "file", OpenFlags::DIRECTORY, READ).map(drop)
    }),
    ("open-at create directory", |it| {
        open(it, "new", OpenFlags::DIRECTORY | OpenFlags::CREATE, READ).map(drop)
    }),
    ("readlink-at", |it| it.readlink_at("file").map(drop)),
    ("remove-directory-at", |it| {
        it.remove_directory_at("nothing")
    }),
    ("rename-at", |it| it.rename_at("nothing", it, "new")),
    ("symlink-at", |it| it.symlink_at("file", "dir")),
    ("unlink-file-at", |it| it.unlink_file_at("dir")),
    ("metadata-hash", |it| it.metadata_hash().map(drop)),
    ("metadata-hash-at", |it| {
        it.metadata_hash_at(NONE, "file").map(drop)
    }),
];
