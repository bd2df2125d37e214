//! What a plain std program, which knows nothing of Wetware, finds in a cell.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, mpsc};
use std::time::Duration;

use futures_lite::future::{block_on, zip};
use futures_lite::io::Cursor;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use ww_core::cell::{Builder, Cell, Input, Limit, Limits, Output};
use ww_core::clock::{Clock, Virtual};
use ww_core::random::{Random, Seeded};
use ww_core::{Error, Runtime};
use ww_image::{Image, Path};
use ww_loader::Memory;

/// One for all tests, so that the guest is compiled once.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("the engine starts"));

static IMAGE: LazyLock<Image> = LazyLock::new(|| {
    let main = example_images::wasm("wasi-probe");
    let mut tree = Memory::files([
        ("bin/main.wasm", main),
        ("etc/motd", b"hello, cell\n".to_vec()),
        ("a/b/c", b"deep".to_vec()),
        ("large", vec![7; 200_000]),
    ])
    .expect("these are paths");
    for (at, target) in [("motd", "etc/motd"), ("a/up", "../etc"), ("abs", "/etc")] {
        let at = Path::new(at).expect("this is a path");
        tree.link(&at, target).expect("the link stays inside");
    }
    Image::from(tree)
});

fn probe(args: &[&str]) -> Builder {
    Builder::new()
        .runtime(&RUNTIME)
        .image(&*IMAGE)
        .args(args)
        .stdout(Output::piped())
}

/// Runs to the end; the code and what was written to stdout.
fn finish(builder: Builder) -> Result<(i32, Vec<u8>), Error> {
    block_on(async {
        let (cell, start) = builder.prepare().await?;
        // Output that nobody has taken is dropped where it is too much, so it is
        // taken before the guest begins.
        let (drained, ()) = zip(drain(&cell), start.drive()).await;
        drained
    })
}

async fn drain(cell: &Cell) -> Result<(i32, Vec<u8>), Error> {
    let mut stdout = cell.take_stdout().expect("stdout is piped");
    let mut written = Vec::new();
    let (exit, read) = zip(cell.wait(), stdout.read_to_end(&mut written)).await;
    read.expect("a pipe does not fail to read");
    Ok((exit?.code(), written))
}

/// What a run that succeeds writes.
fn told(builder: Builder) -> String {
    let (code, written) = finish(builder).expect("the guest runs");
    let text = String::from_utf8(written).expect("the guest writes text");
    assert_eq!(code, 0, "{text}");
    text
}

#[test]
fn arguments_environment_and_directory_are_as_given() {
    let builder = probe(&["about", "ein", "Wörtchen"]).env("HOME", "/etc");
    assert_eq!(
        told(builder),
        "args [\"main.wasm\", \"about\", \"ein\", \"Wörtchen\"]\n\
         env [(\"HOME\", \"/etc\")]\n\
         cwd /\n"
    );
}

#[test]
fn files_of_the_image_are_read() {
    assert_eq!(
        told(probe(&["cat", "/etc/motd", "a/b/c"])),
        "hello, cell\ndeep"
    );
    assert_eq!(told(probe(&["cat", "large"])).len(), 200_000);
    let size = example_images::wasm("wasi-probe").len();
    assert_eq!(
        told(probe(&["tree"])),
        format!(
            "/a/\n/a/b/\n/a/b/c 4\n/a/up -> ../etc\n/abs -> etc\n/bin/\n\
             /bin/main.wasm {size}\n/etc/\n/etc/motd 12\n/large 200000\n/motd -> etc/motd\n"
        )
    );
    assert_eq!(
        told(probe(&["file"])),
        "whole Ok((\"hello, cell\\n\", false))\n\
         middle Ok((\"llo\", false))\n\
         past the end Ok((\"\", true))\n\
         stream Ok(\"llo\")\n\
         skip true\n\
         end Err(StreamError::Closed)\n\
         same true false\n\
         hash true true\n\
         hash of another false\n\
         capped 65536\n"
    );
}

#[test]
fn whatever_would_change_the_image_is_refused_with_its_code() {
    let refused = told(probe(&["read-only"]));
    let others = [
        ("open directory and create", "invalid"),
        ("open sync", "unsupported"),
        ("open file as directory", "not-directory"),
        ("file sync", "done"),
        ("file sync-data", "done"),
        ("file advise", "done"),
        ("file as base", "not-directory"),
        ("directory read", "bad-descriptor"),
        ("directory read-via-stream", "is-directory"),
    ];
    assert_eq!(refused.lines().count(), 25);
    for line in refused.lines() {
        let (what, code) = line.split_once(": ").expect("what and code");
        let expected = others.iter().find(|(other, _)| *other == what);
        assert_eq!(
            code,
            expected.map_or("read-only", |(_, code)| code),
            "{what}"
        );
    }
}

#[test]
fn the_standard_library_sees_a_read_only_file_system() {
    assert_eq!(
        told(probe(&["libc"])),
        "create: ReadOnlyFilesystem\n\
         append: ReadOnlyFilesystem\n\
         write: ReadOnlyFilesystem\n\
         mkdir: ReadOnlyFilesystem\n\
         mkdir -p: done\n\
         remove: ReadOnlyFilesystem\n\
         rename: ReadOnlyFilesystem\n\
         missing: NotFound\n\
         not a directory: NotADirectory\n\
         a directory: IsADirectory\n\
         relative: done\n\
         above the root: PermissionDenied\n"
    );
}

#[test]
fn paths_and_links_do_not_lead_out() {
    let paths = ["..", "/etc/motd", "etc/../..", "a:up/motd", "a:../etc/motd"];
    let text = told(probe(&[&["paths"], &paths[..]].concat()));
    for line in text.lines() {
        assert!(
            line.ends_with("stat not-permitted, open not-permitted, readlink not-permitted"),
            "{line}"
        );
    }
    assert_eq!(text.lines().count(), paths.len());
    assert_eq!(
        told(probe(&["paths", "@a/up", "a/up/motd"])),
        "@a/up: stat DescriptorType::SymbolicLink 6, open loop, readlink ../etc\n\
         a/up/motd: stat DescriptorType::RegularFile 12, open DescriptorType::RegularFile, \
         readlink invalid\n"
    );
}

#[test]
fn a_link_that_leads_out_is_seen_and_not_followed() {
    let outside = tempfile::tempdir().expect("a directory");
    let root = outside.path().join("image");
    for dir in ["bin", "etc"] {
        std::fs::create_dir_all(root.join(dir)).expect("a directory");
    }
    let main = example_images::wasm("wasi-probe");
    std::fs::write(root.join("bin/main.wasm"), main).expect("a file");
    std::fs::write(root.join("etc/motd"), "").expect("a file");
    std::fs::write(outside.path().join("secret"), "").expect("a file");
    for (at, target) in [
        ("etc/out", "../../secret"),
        ("etc/zone", "motd"),
        ("door", ".."),
        ("way", "etc"),
    ] {
        std::os::unix::fs::symlink(target, root.join(at)).expect("a link");
    }
    let image = Image::from(root);
    let told = |args: &[&str]| told(probe(args).image(&image));
    assert_eq!(told(&["list", "/etc"]), "motd false\nout true\nzone true\n");
    let seen = "stat DescriptorType::SymbolicLink 0, open loop, readlink not-permitted";
    let paths = ["@etc/out", "@way/out", "@door"];
    let expected = paths.map(|path| format!("{path}: {seen}\n")).concat();
    assert_eq!(told(&[&["paths"], &paths[..]].concat()), expected);
    let denied = "stat not-permitted, open not-permitted, readlink not-permitted";
    let paths = ["@etc/out/", "@door/secret", "@door/etc/out"];
    let expected = paths.map(|path| format!("{path}: {denied}\n")).concat();
    assert_eq!(told(&[&["paths"], &paths[..]].concat()), expected);
    for followed in ["etc/out", "door"] {
        let told = told(&["paths", followed]);
        let expected = "stat not-permitted, open not-permitted, readlink not-permitted\n";
        assert_eq!(told, format!("{followed}: {expected}"));
    }
}

#[test]
fn sockets_and_names_are_denied() {
    let text = told(probe(&["sockets"]));
    let mut lines = text.lines();
    for (what, code) in [
        ("tcp", "access-denied"),
        ("udp", "access-denied"),
        ("name", "permanent-resolver-failure"),
    ] {
        assert_eq!(lines.next(), Some(&*format!("{what}: {code}")));
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn codes_and_panics_are_told_apart() {
    for (args, expected) in [
        (&["exit", "0"][..], 0),
        (&["exit", "7"], 1),
        (&["exit-with-code", "0"], 0),
        (&["exit-with-code", "42"], 42),
        (&["exit-with-code", "255"], 255),
    ] {
        let (code, _) = finish(probe(args)).expect("the guest runs");
        assert_eq!(code, expected, "{args:?}");
    }
    assert!(matches!(finish(probe(&["panic"])), Err(Error::Trap { .. })));
}

#[test]
fn a_guest_that_asks_for_too_much_traps() {
    for (what, why) in [
        ("random-flood", "16777217 random bytes"),
        ("random-insecure-flood", "16777217 random bytes"),
        ("handles", "more than its 4096 handles"),
        ("overrun", "more than check-write permitted"),
    ] {
        let end = finish(probe(&[what])).expect_err("it asks for too much");
        assert!(end.to_string().contains(why), "{what}: {end}");
    }
}

#[test]
fn a_seed_repeats_and_the_system_does_not() {
    let seeded = |seed| told(probe(&["random"]).random(Seeded::new(seed)));
    assert_eq!(seeded(1), seeded(1));
    assert_ne!(seeded(1), seeded(2));
    assert_ne!(told(probe(&["random"])), told(probe(&["random"])));
}

/// A source whose bytes are all the same, and which tells of each draw.
struct Ones<F>(F);

impl<F: FnMut(usize) + Send + 'static> Random for Ones<F> {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        (self.0)(bytes.len());
        bytes.fill(1);
        Ok(())
    }
}

#[test]
fn as_much_chance_comes_at_once_as_a_call_may_carry() {
    let drawn = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&drawn);
    let source = Ones(move |len| {
        count.fetch_add(len, Ordering::Relaxed);
    });
    let told = told(probe(&["random-large"]).random(source));
    assert_eq!(
        told,
        "random 16777216 bytes, 16777216 drawn\n\
         insecure 262144 bytes, 262144 drawn\n"
    );
    // And the seed of what is insecure.
    assert_eq!(drawn.load(Ordering::Relaxed), (16 << 20) + 8);
}

#[test]
fn a_long_draw_gives_way_to_the_end_of_its_cell() {
    let (send, kill) = mpsc::channel::<Arc<Cell>>();
    let drawn = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&drawn);
    let source = Ones(move |_| {
        if count.fetch_add(1, Ordering::Relaxed) == 2 {
            kill.recv().expect("it was sent").kill();
        }
    });
    let (cell, end) = block_on(async {
        let builder = probe(&["random-large"]).random(source);
        let (cell, start) = builder.prepare().await.expect("it is prepared");
        let cell = Arc::new(cell);
        send.send(Arc::clone(&cell)).expect("it is awaited");
        start.drive().await;
        let end = cell.wait().await;
        (cell, end)
    });
    assert!(matches!(end, Err(Error::Killed)), "{end:?}");
    assert_eq!(drawn.load(Ordering::Relaxed), 3);
    assert_eq!(cell.usage().memory, 0);
}

#[test]
fn a_long_draw_counts_as_memory_while_it_lasts() {
    let mut limits = Limits::default();
    limits.memory = 12 << 20;
    let (cell, end) = block_on(async {
        let builder = probe(&["random-large"]).limits(limits);
        let (cell, start) = builder.prepare().await.expect("it is prepared");
        start.drive().await;
        let end = cell.wait().await;
        (cell, end)
    });
    assert!(
        matches!(
            end,
            Err(Error::Limit {
                limit: Limit::Memory,
                ..
            })
        ),
        "{end:?}"
    );
    assert_eq!(cell.usage().refused, Some(Limit::Memory));
    assert_eq!(cell.usage().memory, 0);
}

#[test]
fn time_is_the_hosts_or_what_the_host_says() {
    assert!(told(probe(&["clock"])).ends_with("slept true\n"));
    let clock = Virtual::new();
    let builder = probe(&["sleep", "3600"]).clock(clock.clone());
    let advance = async {
        let deadline = clock.slept_on().await;
        assert_eq!(deadline, Duration::from_secs(3600));
        clock.advance(deadline - clock.now());
    };
    let run = async { drain(&builder.spawn().await?).await };
    let (run, ()) = block_on(zip(run, advance));
    assert_eq!(run.expect("the guest runs").1, b"slept 3600s\n");
}

#[test]
fn stdin_is_read_to_its_end_from_wherever_it_comes() {
    assert_eq!(told(probe(&["stdin"])), "");
    let reader = Input::reader(Cursor::new("from a reader"));
    assert_eq!(told(probe(&["stdin"]).stdin(reader)), "FROM A READER");
    let piped = block_on(async {
        let cell = probe(&["stdin"]).stdin(Input::piped()).spawn().await?;
        let mut stdin = cell.take_stdin().expect("stdin is piped");
        stdin
            .write_all(b"from a pipe")
            .await
            .expect("the guest reads");
        drop(stdin);
        drain(&cell).await
    });
    assert_eq!(piped.expect("the guest runs").1, b"FROM A PIPE");
}

#[test]
fn output_arrives_whole_through_pipe_and_writer() {
    let total = 1_000_000;
    let expected: Vec<u8> = (0..total).map(|n| (n % 251) as u8).collect();
    let args = ["pour", &total.to_string()];
    let (_, piped) = finish(probe(&args)).expect("the guest runs");
    assert!(piped == expected);

    let (writer, mut reader) = ww_core::pipe::pipe(1000);
    let builder = probe(&args).stdout(Output::writer(writer));
    let run = async { builder.spawn().await?.wait().await };
    let mut written = Vec::new();
    let (exit, read) = block_on(zip(run, reader.read_to_end(&mut written)));
    read.expect("a pipe does not fail to read");
    assert!(exit.expect("the guest runs").success());
    assert!(written == expected);
}
