//! Directories beside the image: other images, and scratch.

use std::sync::LazyLock;

use futures_lite::AsyncReadExt;
use futures_lite::future::{block_on, zip};
use ww_core::cell::{Builder, Limit, Limits, Output, Usage};
use ww_core::{Error, Runtime};
use ww_image::Image;
use ww_loader::Memory;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("the engine starts"));

static IMAGE: LazyLock<Image> = LazyLock::new(|| {
    files(&[
        ("bin/main.wasm", &example_images::wasm("wasi-probe")),
        ("etc/motd", b"hello, cell\n"),
    ])
});

fn files(files: &[(&str, &[u8])]) -> Image {
    let files = files.iter().map(|(path, bytes)| (*path, bytes.to_vec()));
    Image::from(Memory::files(files).expect("these are paths"))
}

fn probe(args: &[&str]) -> Builder {
    Builder::new().runtime(&RUNTIME).image(&*IMAGE).args(args)
}

/// What a run that succeeds writes, and what it has used.
fn run(builder: Builder) -> (String, Usage) {
    block_on(async {
        let cell = builder.stdout(Output::piped()).spawn().await;
        let cell = cell.expect("it spawns");
        let mut stdout = cell.take_stdout().expect("stdout is piped");
        let mut text = String::new();
        let (exit, read) = zip(cell.wait(), stdout.read_to_string(&mut text)).await;
        read.expect("the guest writes text");
        assert!(exit.expect("the guest runs").success(), "{text}");
        (text, cell.usage())
    })
}

fn told(builder: Builder) -> String {
    run(builder).0
}

#[test]
fn programs_work_in_a_scratch_directory() {
    assert_eq!(
        told(probe(&["scratch", "/tmp"]).scratch("/tmp")),
        "read \"hello, scratch\"\n\
         rewritten \"hello, SCRATCH\\0\\0\\0\\0\\0\\0\"\n\
         exclusive Err(AlreadyExists)\n\
         full Err(Some(55))\n\
         modified true\n\
         without a name 20 bytes\n\
         names [\"link\", \"sub\"]\n\
         left 0\n"
    );
}

#[test]
fn a_full_scratch_directory_says_so_and_takes_more_when_there_is_room() {
    let mut limits = Limits::default();
    limits.scratch = 100_000;
    let full = probe(&["fill", "/tmp"]).scratch("/tmp").limits(limits);
    let (text, usage) = run(full);
    // The standard library makes EIO of whatever a stream fails with.
    assert_eq!(text, "wrote 90000, then Some(29)\nagain 10000\n");
    assert_eq!(usage.refused, Some(Limit::Scratch));

    let (text, usage) = run(probe(&["fill", "/tmp"]).scratch("/tmp"));
    assert_eq!(text, "wrote 67100000, then Some(29)\nagain 10000\n");
    // The contents are the host's, not the guest's.
    assert!(usage.peak_memory < 8 << 20);
}

#[test]
fn a_scratch_directory_is_private_and_empty_at_first() {
    let builder = || {
        probe(&["scratch", "/var/tmp"])
            .scratch("/var/tmp")
            .scratch("/tmp")
    };
    assert_eq!(told(builder()), told(builder()));
}

#[test]
fn what_fails_in_scratch_has_its_code() {
    assert_eq!(
        told(
            probe(&["scratch-raw"])
                .scratch("/tmp")
                .mount("/data", &*IMAGE)
        ),
        "mounts [\"/\", \"/tmp\", \"/data\"]\n\
         may write 65536\n\
         bytes [0, 0, 0, 97, 98, 99, 0, 0, 101, 110, 100]\n\
         long Ok(200000) Ok(200011)\n\
         flags Ok(DescriptorFlags(READ | MUTATE_DIRECTORY)) Ok(DescriptorFlags(READ | WRITE))\n\
         too far Some(\"insufficient-space\"), cannot write the file: insufficient-space\n\
         then Err(StreamError::Closed)\n\
         out of scratch: cross-device\n\
         into scratch: cross-device\n\
         link: cross-device\n\
         follow: invalid\n\
         symlink: done\n\
         readlink Ok(\"file\")\n\
         absolute: not-permitted\n\
         same false true\n"
    );
}

/// What each function answers: on a directory of an image and a file in it; on a
/// directory of scratch and a file in it that is open to be read, or to be
/// written.
///
/// It is what Wasmtime's command has for a directory on Linux that is mounted
/// read only, and for one that is not, but for four. That answers
/// `not-permitted` where the interface says `read-only`. The kernel answers that of
/// what is not there as well, where the interface has it only for what would succeed
/// otherwise. It gives a stream of a file that was not opened for it, which then fails.
/// And it sets the times of no directory that was preopened.
const CODES: &str = "
    read-via-stream          | is-directory done             | is-directory done bad-descriptor
    write-via-stream         | bad-descriptor read-only      | bad-descriptor bad-descriptor done
    append-via-stream        | bad-descriptor read-only      | bad-descriptor bad-descriptor done
    advise                   | bad-descriptor done           | bad-descriptor done done
    sync-data                | done done                     | done done done
    get-flags                | done done                     | done done done
    get-type                 | done done                     | done done done
    set-size                 | bad-descriptor read-only      | bad-descriptor invalid done
    set-times                | read-only read-only           | done done done
    set-times never          | overflow overflow             | overflow overflow overflow
    read                     | bad-descriptor done           | bad-descriptor done bad-descriptor
    write                    | bad-descriptor read-only      | bad-descriptor bad-descriptor done
    read last                | bad-descriptor done           | bad-descriptor done bad-descriptor
    read beyond              | bad-descriptor invalid        | bad-descriptor invalid bad-descriptor
    write last               | bad-descriptor read-only      | bad-descriptor bad-descriptor file-too-large
    write beyond             | bad-descriptor read-only      | bad-descriptor bad-descriptor invalid
    read-via-stream beyond   | is-directory invalid          | is-directory invalid bad-descriptor
    write-via-stream beyond  | bad-descriptor read-only      | bad-descriptor bad-descriptor invalid
    set-size beyond          | bad-descriptor read-only      | bad-descriptor invalid invalid
    read-directory           | done not-directory            | done not-directory not-directory
    sync                     | done done                     | done done done
    create-directory-at      | exist not-directory           | exist not-directory not-directory
    stat                     | done done                     | done done done
    stat-at                  | done not-directory            | done not-directory not-directory
    set-times-at             | no-entry not-directory        | no-entry not-directory not-directory
    set-times-at never       | overflow not-directory        | overflow not-directory not-directory
    link-at                  | read-only not-directory       | exist not-directory not-directory
    link-at follow           | invalid not-directory         | invalid not-directory not-directory
    open-at                  | no-entry not-directory        | no-entry not-directory not-directory
    open-at create           | read-only not-directory       | exist not-directory not-directory
    open-at truncate         | read-only not-directory       | is-directory not-directory not-directory
    open-at write            | read-only not-directory       | is-directory not-directory not-directory
    open-at sync             | unsupported not-directory     | unsupported not-directory not-directory
    open-at directory        | not-directory not-directory   | not-directory not-directory not-directory
    open-at create directory | invalid not-directory         | invalid not-directory not-directory
    readlink-at              | invalid not-directory         | invalid not-directory not-directory
    remove-directory-at      | no-entry not-directory        | no-entry not-directory not-directory
    rename-at                | no-entry not-directory        | no-entry not-directory not-directory
    symlink-at               | exist not-directory           | exist not-directory not-directory
    unlink-file-at           | read-only not-directory       | is-directory not-directory not-directory
    metadata-hash            | done done                     | done done done
    metadata-hash-at         | done not-directory            | done not-directory not-directory
";

#[test]
fn each_function_of_a_descriptor_answers_its_code() {
    let image = files(&[
        ("bin/main.wasm", &example_images::wasm("wasi-probe")),
        ("file", b"content"),
        ("dir/file", b"more"),
    ]);
    let told = told(probe(&["codes"]).image(image).scratch("/tmp"));
    let (mut image, mut scratch) = (String::from("/\n"), String::from("/tmp\n"));
    for line in CODES.lines().filter(|line| !line.is_empty()) {
        let codes: Vec<_> = line.split('|').map(str::trim).collect();
        image += &format!("{}: {}\n", codes[0], codes[1]);
        scratch += &format!("{}: {}\n", codes[0], codes[2]);
    }
    for (line, expected) in told.lines().zip((image + &scratch).lines()) {
        assert_eq!(line, expected, "{told}");
    }
    assert_eq!(told.lines().count(), 2 * CODES.trim().lines().count() + 2);
}

#[test]
fn several_images_are_read_where_they_are_mounted() {
    let data = files(&[("etc/motd", b"other\n"), ("one/two", b"deep\n")]);
    let paths = [
        "/etc/motd",
        "/data/etc/motd",
        "/srv/deep/one/two",
        "data/one/two",
    ];
    let builder = probe(&[&["cat"], &paths[..]].concat());
    let builder = builder.mount("/data", &data).mount("/srv/deep", &data);
    assert_eq!(told(builder), "hello, cell\nother\ndeep\ndeep\n");

    let bare = files(&[("etc/motd", b"no program here\n")]);
    let program = block_on(RUNTIME.load(&IMAGE)).expect("it compiles");
    let builder = Builder::new()
        .program(program)
        .mount("/", bare)
        .args(["cat", "/etc/motd"]);
    assert_eq!(told(builder), "no program here\n");
}

#[test]
fn a_guest_begins_at_the_root_where_there_is_one() {
    let program = block_on(RUNTIME.load(&IMAGE)).expect("it compiles");
    let bare = || Builder::new().program(program.clone()).args(["cwd"]);
    for (builder, cwd) in [
        (probe(&["cwd"]), "Some(\"/\")"),
        (bare().scratch("/tmp").scratch("/"), "Some(\"/\")"),
        (bare().scratch("/tmp"), "None"),
        (bare(), "None"),
    ] {
        assert_eq!(told(builder), format!("{cwd}\n"));
    }
}

#[test]
fn a_place_that_is_none_is_refused_with_the_reason() {
    for (path, reason) in [
        ("tmp", "is not absolute"),
        ("", "is not absolute"),
        ("/a/../b", "holds `..`"),
        ("/..", "holds `..`"),
        ("/a/", "is not normalised"),
        ("//a", "is not normalised"),
        ("/a/./b", "is not normalised"),
        ("/a\0", "is too long or holds a NUL"),
        ("/", "is taken"),
        ("/data", "is taken"),
    ] {
        let builders = [
            probe(&[]).scratch("/data").scratch(path),
            probe(&[]).mount("/data", &*IMAGE).mount(path, &*IMAGE),
        ];
        for builder in builders {
            match block_on(builder.prepare()) {
                Err(Error::Mount {
                    path: told,
                    reason: why,
                    ..
                }) => {
                    assert_eq!((&*told, why), (path, reason));
                }
                other => panic!("{path:?}: {:?}", other.map(|_| ())),
            }
        }
    }
}
