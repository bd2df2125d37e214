//! Streams and pollables, and host streams that fail, are short, or never come
//! to be ready.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use futures::{AsyncRead, AsyncWrite};
use futures_lite::AsyncReadExt;
use futures_lite::future::{block_on, zip};
use futures_lite::io::Cursor;
use ww_core::cell::{Builder, Exit, Input, Output};
use ww_core::clock::{Clock, Virtual};
use ww_core::{Error, Runtime};
use ww_image::Image;
use ww_loader::Memory;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("the engine starts"));

static IMAGE: LazyLock<Image> = LazyLock::new(|| {
    let main = example_images::wasm("wasi-probe");
    Image::from(Memory::files([("bin/main.wasm", main)]).expect("this is a path"))
});

fn probe(what: &str) -> Builder {
    Builder::new().runtime(&RUNTIME).image(&*IMAGE).args([what])
}

/// How it ends, and what it tells.
fn run(builder: Builder) -> (Result<Exit, Error>, String) {
    block_on(async {
        let cell = builder.stderr(Output::piped()).spawn().await;
        let cell = cell.expect("it spawns");
        let mut stderr = cell.take_stderr().expect("stderr is piped");
        let mut text = String::new();
        let (exit, read) = zip(cell.wait(), stderr.read_to_string(&mut text)).await;
        read.expect("the guest writes text");
        (exit, text)
    })
}

/// What a run that succeeds tells.
fn told(builder: Builder) -> String {
    let (exit, text) = run(builder);
    let exit = exit.expect("the guest runs");
    assert!(exit.success() && exit.output_error().is_none(), "{text}");
    text
}

/// A stream that does one thing after the other. As a reader it is at its end
/// then, as a writer it takes all.
#[derive(Clone, Default)]
struct Script {
    acts: Arc<Mutex<Vec<Act>>>,
    /// Whoever it has stopped.
    stopped: Arc<Mutex<Option<Waker>>>,
    written: Arc<Mutex<Vec<u8>>>,
}

/// Written in the order in which they come.
#[derive(Clone, Copy)]
enum Act {
    /// Moves as many bytes, which a reader makes up.
    Move(usize),
    /// Is not ready, and is at once asked again.
    Wait,
    /// Is not ready, until it is to go on.
    Stop,
    Fail,
    FailAs(io::ErrorKind),
    FailFlush,
}

impl Script {
    fn new(acts: &[Act]) -> Self {
        let script = Self::default();
        script.go_on(acts);
        script
    }

    /// Does this from now on.
    fn go_on(&self, acts: &[Act]) {
        *self.acts.lock().expect("no panic") = acts.iter().rev().copied().collect();
        if let Some(waker) = self.stopped.lock().expect("no panic").take() {
            waker.wake();
        }
    }

    fn next(&self, flush: bool, cx: &mut Context<'_>) -> Poll<io::Result<Option<usize>>> {
        let mut acts = self.acts.lock().expect("no panic");
        match acts.last().copied() {
            Some(Act::Move(_) | Act::Fail | Act::FailAs(_)) | None if flush => {
                Poll::Ready(Ok(None))
            }
            Some(Act::FailFlush) if !flush => Poll::Ready(Ok(None)),
            Some(Act::Stop) => {
                *self.stopped.lock().expect("no panic") = Some(cx.waker().clone());
                Poll::Pending
            }
            act => {
                acts.pop();
                match act {
                    Some(Act::Move(count)) => Poll::Ready(Ok(Some(count))),
                    Some(Act::Wait) => {
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                    Some(Act::FailAs(kind)) => Poll::Ready(Err(kind.into())),
                    Some(_) => Poll::Ready(Err(io::Error::other("the cable is cut"))),
                    None => Poll::Ready(Ok(None)),
                }
            }
        }
    }
}

impl AsyncRead for Script {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.next(false, cx).map_ok(|count| {
            let count = count.unwrap_or(0).min(buffer.len());
            buffer[..count].fill(b'x');
            count
        })
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.next(false, cx).map_ok(|count| {
            let count = count.unwrap_or(bytes.len()).min(bytes.len());
            self.written
                .lock()
                .expect("no panic")
                .extend(&bytes[..count]);
            count
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.next(true, cx).map_ok(|_| ())
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const CLOSED: &str = "ready true\nclosed closed\n";

#[test]
fn a_reader_that_is_short_late_or_fails_is_told_as_it_is() {
    use Act::{Fail, FailAs, Move, Wait};
    let failed = "failed, the cable is cut";
    for (acts, bytes, end) in [
        (&[][..], 0, "closed"),
        (&[Move(1), Wait, Move(2), Wait, Wait, Move(7)], 10, "closed"),
        (&[Wait, Move(100_000)], 65_536, "closed"),
        (&[Fail], 0, failed),
        (&[Move(3), Wait, Fail, Move(3)], 3, failed),
        (&[Move(3), FailAs(io::ErrorKind::BrokenPipe)], 3, "closed"),
        (
            &[FailAs(io::ErrorKind::PermissionDenied)],
            0,
            "failed as not-permitted, permission denied",
        ),
    ] {
        let text = told(probe("io-read").stdin(Input::reader(Script::new(acts))));
        let expected = format!("read {:?}\n{end}\n{CLOSED}", "x".repeat(bytes));
        assert_eq!(text, expected);
    }
}

#[test]
fn a_writer_that_fails_is_told_once_and_is_closed_then() {
    use Act::{Fail, FailFlush, Move, Wait};
    for (acts, rounds) in [
        (&[Fail][..], 0),
        (&[FailFlush], 0),
        (&[Move(10), Wait, Move(4), Move(6), Fail], 2),
        (&[Move(4), Fail], 0),
        (&[Wait, Move(3), Wait, Move(7), Wait, FailFlush], 0),
        // Nothing more is taken.
        (&[Move(0)], 0),
    ] {
        let script = Script::new(acts);
        let text = told(probe("io-write").stdout(Output::writer(script)));
        let why = match acts {
            [Move(0)] => "write zero",
            _ => "the cable is cut",
        };
        let expected = format!("{rounds} rounds, failed, {why}\n{CLOSED}closed closed\n");
        assert_eq!(text, expected);
    }
}

#[test]
fn a_writer_fails_as_its_error_says() {
    use Act::{FailAs, Move};
    use io::ErrorKind;
    for (kind, end) in [
        (ErrorKind::BrokenPipe, "closed"),
        (
            ErrorKind::StorageFull,
            "failed as insufficient-space, no storage space",
        ),
        (
            ErrorKind::PermissionDenied,
            "failed as not-permitted, permission denied",
        ),
        (ErrorKind::TimedOut, "failed, timed out"),
    ] {
        let script = Script::new(&[Move(10), FailAs(kind)]);
        let text = told(probe("io-write").stdout(Output::writer(script)));
        let expected = format!("1 rounds, {end}\n{CLOSED}closed closed\n");
        assert_eq!(text, expected);
    }
}

#[test]
fn a_flush_lasts_until_all_is_taken() {
    use Act::{Move, Stop, Wait};
    let script = Script::new(&[Move(3), Wait, Move(2), Stop]);
    let builder = probe("io-flush").stdout(Output::writer(script.clone()));
    block_on(async {
        let cell = builder.stderr(Output::piped()).spawn().await;
        let cell = cell.expect("it spawns");
        let mut stderr = cell.take_stderr().expect("stderr is piped");
        let mut room = [0; 7];
        stderr
            .read_exact(&mut room)
            .await
            .expect("the guest writes");
        assert_eq!(&room, b"room 0\n");
        script.go_on(&[Move(1), Wait]);
        let mut rest = String::new();
        let (exit, read) = zip(cell.wait(), stderr.read_to_string(&mut rest)).await;
        read.expect("the guest writes text");
        assert!(exit.expect("the guest runs").success());
        assert_eq!(rest, "then 65536\n");
    });
    assert_eq!(*script.written.lock().expect("no panic"), b"some bytes");
}

#[test]
fn streams_whose_other_ends_do_nothing_are_not_ready() {
    let (stdin, stdout) = (Script::new(&[Act::Stop]), Script::new(&[Act::Stop]));
    let builder = probe("io-idle").stdin(Input::reader(stdin));
    block_on(async {
        let builder = builder
            .stdout(Output::writer(stdout))
            .stderr(Output::piped());
        let cell = builder.spawn().await.expect("it spawns");
        let mut stderr = cell.take_stderr().expect("stderr is piped");
        let mut text = String::new();
        // It never ends, since its output cannot be closed.
        let mut line = [0; 1];
        while text.lines().count() < 5 || !text.ends_with('\n') {
            stderr
                .read_exact(&mut line)
                .await
                .expect("the guest writes");
            text.push(line[0] as char);
        }
        assert_eq!(
            text,
            "read [] skip 0\n\
             wrote 65536 empty ()\n\
             zeroes () splice 0\n\
             flush () room 0\n\
             ready false false\n"
        );
        stderr
            .read_exact(&mut [0; 14])
            .await
            .expect("the guest writes");
        cell.kill();
        assert!(matches!(cell.wait().await, Err(Error::Killed)));
    });
}

#[test]
fn splices_move_bytes_from_stream_to_stream() {
    let input: Vec<u8> = (0..200_000).map(|n| (n % 251) as u8).collect();
    let output = Script::default();
    let builder = probe("io-splice").stdin(Input::reader(Cursor::new(input.clone())));
    let text = told(builder.stdout(Output::writer(output.clone())));
    assert_eq!(text, "none 0\nsome 5\nrest 199995, closed\nagain closed\n");
    assert!(*output.written.lock().expect("no panic") == input);
}

#[test]
fn what_is_skipped_is_gone() {
    let stdin = Input::reader(Cursor::new("0123456789"));
    assert_eq!(
        told(probe("io-skip").stdin(stdin)),
        "6\n0\nOk([54, 55])\n2\nclosed\n"
    );
}

#[test]
fn zeroes_are_written_like_other_bytes() {
    let output = Script::default();
    let builder = probe("io-zeroes").stdout(Output::writer(output.clone()));
    assert_eq!(told(builder), "room 65536\n");
    let expected = [&b"a"[..], &[0; 4099], b"b"].concat();
    assert!(*output.written.lock().expect("no panic") == expected);
}

#[test]
fn a_poll_tells_every_place_that_is_ready() {
    assert_eq!(
        told(probe("io-polls")),
        "ready true false\npolled [1, 3]\nmany 1000\none many times 3000\n"
    );
}

#[test]
fn clocks_are_the_hosts() {
    let clock = Virtual::new();
    clock.advance(Duration::from_secs(5));
    let since = clock.wall().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.expect("it is after 1970");
    let advance = async {
        clock.slept_on().await;
        clock.advance(Duration::from_millis(1));
    };
    let builder = probe("io-clocks").clock(clock.clone());
    let cell = async {
        let cell = builder.stderr(Output::piped()).spawn().await;
        let cell = cell.expect("it spawns");
        let mut stderr = cell.take_stderr().expect("stderr is piped");
        cell.wait().await.expect("the guest runs");
        let mut text = String::new();
        stderr.read_to_string(&mut text).await.expect("it is text");
        text
    };
    let (text, ()) = block_on(zip(cell, advance));
    let later = since + Duration::from_millis(1);
    let wall = |time: Duration| format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
    let expected = format!(
        "1000000000 1001000000\nready true false\n{}\n{}\n0 true\n",
        wall(since),
        wall(later)
    );
    assert_eq!(text, expected);
}

#[test]
fn pipes_and_streams_of_the_host_are_no_terminals() {
    let builder = probe("io-terminals").stdin(Input::piped());
    assert_eq!(told(builder), "false false false\n");
}

#[test]
fn what_the_interfaces_say_traps_does() {
    for (what, why) in [
        ("trap-zeroes", "zeroes than `check_write` allows"),
        ("trap-zeroes-and-flush", "at most 4096"),
        ("trap-write-and-flush", "at most 4096"),
    ] {
        match run(probe(what)).0 {
            Err(Error::Trap { message, .. }) => assert!(message.contains(why), "{what}: {message}"),
            other => panic!("{what}: {other:?}"),
        }
    }
}
