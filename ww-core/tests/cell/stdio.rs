use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures::io::Cursor;
use futures::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use ww_core::Error;
use ww_core::cell::{Input, Output};

use crate::patience::patiently;
use crate::stage::{Wakes, guest};
use crate::wat;

/// What a piped stream holds before its writer waits.
const KEPT: usize = 64 << 10;

const MIB: usize = 1 << 20;

fn poured(total: usize) -> Vec<u8> {
    (0..total).map(|n| (n % 251) as u8).collect()
}

#[test]
fn without_a_word_input_is_empty_and_output_goes_nowhere() {
    patiently(async {
        let cell = guest("echo-child").spawn().await.unwrap();
        assert_eq!(cell.wait().await.unwrap().code(), 0);
        assert!(cell.take_stdin().is_none());
        assert!(cell.take_stdout().is_none());
        assert!(cell.take_stderr().is_none());

        let cell = guest("wasi-probe").args(["pour", "1048576"]);
        let cell = cell.spawn().await.unwrap();
        assert_eq!(cell.wait().await.unwrap().code(), 0);
    });
}

#[test]
fn pipes_carry_lines_both_ways_until_stdin_is_dropped() {
    patiently(async {
        let builder = guest("echo-child")
            .stdin(Input::piped())
            .stdout(Output::piped());
        let cell = builder.spawn().await.unwrap();
        let mut stdin = cell.take_stdin().unwrap();
        let mut stdout = cell.take_stdout().unwrap();
        assert!(cell.take_stdin().is_none() && cell.take_stdout().is_none());
        for line in ["one\n", "two\n"] {
            stdin.write_all(line.as_bytes()).await.unwrap();
            let mut echo = vec![0; line.len()];
            stdout.read_exact(&mut echo).await.unwrap();
            assert_eq!(echo, line.as_bytes());
        }
        drop(stdin);
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
        assert_eq!(cell.wait().await.unwrap().code(), 0);
    });
}

#[test]
fn a_reader_feeds_and_a_writer_is_fed() {
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<(Vec<u8>, bool)>>);

    impl AsyncWrite for Kept {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.lock().unwrap().0.extend(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.0.lock().unwrap().1 = true;
            Poll::Ready(Ok(()))
        }
    }

    patiently(async {
        let kept = Kept::default();
        let cell = guest("echo-child")
            .stdin(Input::reader(Cursor::new("from a reader\n")))
            .stdout(Output::writer(kept.clone()))
            .spawn()
            .await
            .unwrap();
        assert_eq!(cell.wait().await.unwrap().code(), 0);
        let (bytes, closed) = &*kept.0.lock().unwrap();
        assert_eq!(bytes, b"from a reader\n");
        assert!(
            closed,
            "a cell closes what it was given before it has ended"
        );
    });
}

#[test]
fn a_slow_writer_is_fed_whatever_the_guest_waits_for() {
    /// Takes nothing until it is told to.
    #[derive(Clone, Default)]
    struct Slow(Arc<Mutex<Taken>>);

    #[derive(Default)]
    struct Taken {
        ready: bool,
        waiting: Option<Waker>,
        bytes: Vec<u8>,
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = &mut *self.0.lock().unwrap();
            taken.waiting = Some(cx.waker().clone());
            if !taken.ready {
                return Poll::Pending;
            }
            taken.bytes.extend(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    let slow = Slow::default();
    // It says a line without a flush, and waits for something else for ever.
    let builder = wat::run(
        "(i32.store8 (i32.const 0) (i32.const 33))
        (call $put (call $stdout) (i32.const 0) (i32.const 1) (i32.const 64))
        (call $block (call $subscribe (i64.const 1_000_000_000_000)))",
    );
    let builder = builder.stdout(Output::writer(slow.clone()));
    let (_cell, start) = patiently(builder.prepare()).unwrap();
    let (mut driver, wakes) = (start.drive(), Arc::<Wakes>::default());
    assert!(wakes.settle(&mut driver).is_pending());
    let waiting = {
        let taken = &mut *slow.0.lock().unwrap();
        assert!(taken.bytes.is_empty());
        taken.ready = true;
        taken.waiting.take().unwrap()
    };
    waiting.wake();
    assert!(wakes.settle(&mut driver).is_pending());
    assert_eq!(slow.0.lock().unwrap().bytes, b"!");
}

#[test]
fn output_that_nobody_takes_is_kept_to_a_bound_and_holds_up_nobody() {
    patiently(async {
        let builder = guest("wasi-probe")
            .args(["pour", &MIB.to_string()])
            .stdout(Output::piped());
        let cell = builder.spawn().await.unwrap();
        assert_eq!(cell.wait().await.unwrap().code(), 0);
        let mut stdout = cell.take_stdout().unwrap();
        assert_eq!(stdout.discarded(), (MIB - KEPT) as u64);
        let mut kept = Vec::new();
        stdout.read_to_end(&mut kept).await.unwrap();
        assert_eq!(kept, poured(KEPT));
    });
}

#[test]
fn output_that_was_taken_waits_for_its_reader() {
    let builder = guest("wasi-probe")
        .args(["pour", &MIB.to_string()])
        .stdout(Output::piped());
    let (cell, start) = patiently(builder.prepare()).unwrap();
    let stdout = cell.take_stdout().unwrap();
    let (wakes, mut driver) = (Arc::new(Wakes::default()), start.drive());
    assert!(wakes.settle(&mut driver).is_pending());
    assert_eq!(stdout.len(), KEPT, "the guest waits with the pipe full");
    let mut taken: Vec<u8> = Vec::new();
    loop {
        let mut some = [0; 4096];
        let polled = wakes.settle(&mut driver);
        match stdout.try_read(&mut some) {
            Some(0) => break,
            Some(read) => taken.extend(&some[..read]),
            None => assert!(polled.is_pending(), "the guest ended, its output did not"),
        }
    }
    assert_eq!(taken, poured(MIB));
    assert_eq!(stdout.discarded(), 0);
    assert_eq!(patiently(cell.wait()).unwrap().code(), 0);
}

#[test]
fn a_guest_whose_reader_went_away_is_told() {
    patiently(async {
        let builder = guest("wasi-probe")
            .args(["pour", &MIB.to_string()])
            .stdout(Output::piped())
            .stderr(Output::piped());
        let cell = builder.spawn().await.unwrap();
        drop(cell.take_stdout().unwrap());
        assert_ne!(cell.wait().await.unwrap().code(), 0);
    });
}

#[test]
fn a_writer_that_fails_is_told_by_the_guest_or_by_the_end() {
    struct Full;

    impl AsyncWrite for Full {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::Error::other("the disk is full")))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::Error::other("the disk is full")))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    patiently(async {
        let builder = guest("wasi-probe").args(["pour", "100"]);
        let cell = builder.stdout(Output::writer(Full)).spawn().await.unwrap();
        match cell.wait().await {
            Ok(exit) => assert_ne!(exit.code(), 0),
            Err(Error::Stdio { stream, source }) => {
                assert_eq!(
                    (stream, source.to_string().as_str()),
                    ("stdout", "the disk is full")
                );
            }
            Err(error) => panic!("{error}"),
        }
    });
}
