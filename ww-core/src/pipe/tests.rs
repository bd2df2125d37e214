use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_lite::future::{block_on, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counter() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (Arc::clone(&count), Waker::from(count))
}

#[test]
fn bytes_cross_in_order_between_threads() {
    let total = if cfg!(miri) { 20_000 } else { 1_000_000 };
    let sent: Vec<u8> = (0..total).map(|n| (n % 251) as u8).collect();
    let (mut writer, mut reader) = pipe(5000);
    let expected = sent.clone();
    let thread = std::thread::spawn(move || {
        block_on(async { writer.write_all(&sent).await }).expect("the reader stays open");
    });
    let mut received = Vec::new();
    block_on(reader.read_to_end(&mut received)).expect("a pipe does not fail to read");
    thread.join().expect("the writer does not panic");
    assert!(received == expected);
}

#[test]
fn a_full_pipe_makes_the_writer_wait_until_the_reader_takes() {
    let (writer, reader) = pipe(4);
    let (woken, waker) = counter();
    let mut cx = Context::from_waker(&waker);
    assert_eq!(writer.try_write(b"abcdef"), Ok(4));
    assert_eq!(writer.try_write(b"ef"), Ok(0));
    assert_eq!(writer.poll_writable(&mut cx), Poll::Pending);
    assert_eq!(reader.drain(2), b"ab");
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert_eq!(writer.poll_writable(&mut cx), Poll::Ready(Ok(2)));
}

#[test]
fn an_empty_pipe_makes_the_reader_wait_until_the_writer_writes_or_closes() {
    let (writer, reader) = pipe(4);
    let (woken, waker) = counter();
    let mut cx = Context::from_waker(&waker);
    assert_eq!(reader.try_read(&mut [0; 2]), None);
    assert_eq!(reader.poll_readable(&mut cx), Poll::Pending);
    assert_eq!(writer.try_write(b"a"), Ok(1));
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert_eq!(reader.poll_readable(&mut cx), Poll::Ready(1));
    assert_eq!(reader.drain(9), b"a");
    assert_eq!(reader.poll_readable(&mut cx), Poll::Pending);
    drop(writer);
    assert_eq!(woken.0.load(Ordering::SeqCst), 2);
    assert_eq!(reader.poll_readable(&mut cx), Poll::Ready(0));
    assert_eq!(reader.try_read(&mut [0; 2]), Some(0));
}

#[test]
fn a_dropped_writer_leaves_its_bytes_and_then_the_end() {
    let (writer, mut reader) = pipe(16);
    assert_eq!(writer.try_write(b"last words"), Ok(10));
    drop(writer);
    assert!(reader.is_closed() && !reader.is_finished());
    let mut text = String::new();
    block_on(reader.read_to_string(&mut text)).expect("a pipe does not fail to read");
    assert_eq!(text, "last words");
    assert!(reader.is_finished());
}

#[test]
fn a_dropped_reader_breaks_the_pipe_and_wakes_the_writer() {
    let (mut writer, reader) = pipe(2);
    let (woken, waker) = counter();
    assert_eq!(writer.try_write(b"abc"), Ok(2));
    assert!(
        writer
            .poll_writable(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(reader);
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(writer.is_closed());
    assert_eq!(writer.try_write(b"c"), Err(Closed));
    let error = block_on(writer.write_all(b"c")).expect_err("nobody reads");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_closed_writer_refuses_its_own_bytes() {
    let (mut writer, reader) = pipe(2);
    block_on(writer.close()).expect("a pipe does not fail to close");
    assert_eq!(writer.try_write(b"a"), Err(Closed));
    assert!(!writer.is_closed(), "the reader is still there");
    assert!(reader.is_finished());
}

#[test]
fn a_lossy_pipe_keeps_to_its_bound_and_counts_the_rest() {
    let (writer, reader) = pipe(4);
    let (woken, waker) = counter();
    let mut cx = Context::from_waker(&waker);
    assert_eq!(writer.try_write(b"abcd"), Ok(4));
    assert!(writer.poll_writable(&mut cx).is_pending());
    reader.set_lossy(true);
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert_eq!(writer.try_write(b"efg"), Ok(3));
    assert_eq!(reader.discarded(), 3);
    assert_eq!(writer.try_write(b"ghijk"), Ok(4), "its bound is its room");
    reader.set_lossy(false);
    assert_eq!(writer.try_write(b"h"), Ok(0));
    assert_eq!(reader.drain(9), b"abcd");
    assert_eq!(writer.try_write(b"h"), Ok(1));
}

#[test]
fn a_cancelled_wait_takes_nothing() {
    let (writer, mut reader) = pipe(4);
    {
        let mut into = [0; 4];
        let mut read = std::pin::pin!(reader.read(&mut into));
        let waker = Waker::noop();
        let mut cx = Context::from_waker(waker);
        assert!(Future::poll(read.as_mut(), &mut cx).is_pending());
        assert_eq!(writer.try_write(b"ab"), Ok(2));
    }
    assert_eq!(reader.drain(9), b"ab");
}

#[test]
fn both_ends_run_in_one_task() {
    let (mut writer, mut reader) = pipe(3);
    let (write, read) = block_on(zip(
        async move { writer.write_all(b"more than three bytes").await },
        async move {
            let mut text = String::new();
            reader.read_to_string(&mut text).await.map(|_| text)
        },
    ));
    write.expect("the reader stays open");
    assert_eq!(read.expect("valid text"), "more than three bytes");
}
