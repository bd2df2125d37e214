//! Streams of bytes as capabilities, served natively.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::future::{join, join3, poll_immediate};
use futures::io::Cursor;
use futures::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use futures_lite::future::{block_on, yield_now};
use ww_core::pipe::pipe;
use ww_core::serve::{MAX_READ, sink, source};

use crate::stage::{close, finish, push, read, write};

#[test]
fn a_read_answers_what_is_there_and_then_the_end() {
    let long = vec![7; MAX_READ as usize + 1];
    let cases: [(&[u8], &[(u32, usize)]); 4] = [
        (b"", &[(10, 0), (10, 0)]),
        (b"hello", &[(2, 2), (0, 0), (10, 3), (10, 0)]),
        // Empty because nothing was asked for, and the end is still to come.
        (b"x", &[(0, 0), (0, 0), (1, 1), (0, 0), (1, 0)]),
        (
            &long,
            &[(u32::MAX, MAX_READ as usize), (u32::MAX, 1), (u32::MAX, 0)],
        ),
    ];
    for (content, reads) in cases {
        let stream = source(Cursor::new(content.to_vec()));
        let mut at = 0;
        for &(most, count) in reads {
            let data = block_on(read(&stream, most)).unwrap();
            assert_eq!(
                data,
                &content[at..at + count],
                "{most} of {content:.8?} at {at}"
            );
            at += count;
        }
        assert_eq!(at, content.len());
    }
}

#[test]
fn a_read_of_4_gib_allocates_nothing_of_the_sort() {
    struct Modest(Arc<AtomicUsize>);

    impl AsyncRead for Modest {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            self.0.fetch_max(into.len(), Ordering::Relaxed);
            Poll::Ready(Ok(into.len().min(3)))
        }
    }

    let asked = Arc::new(AtomicUsize::new(0));
    let stream = source(Modest(asked.clone()));
    assert_eq!(block_on(read(&stream, u32::MAX)).unwrap().len(), 3);
    assert_eq!(asked.load(Ordering::Relaxed), MAX_READ as usize);
}

#[test]
fn a_read_that_waits_is_polled_with_the_same_buffer() {
    /// Ready once it sees what it wrote when it was not.
    struct Marking(u8);

    impl AsyncRead for Marking {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            into: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            if self.0 > 0 && into[0] != self.0 {
                return Poll::Ready(Err(io::ErrorKind::NotFound.into()));
            }
            if self.0 == 3 {
                return Poll::Ready(Ok(1));
            }
            self.0 += 1;
            into[0] = self.0;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }

    let stream = source(Marking(0));
    assert_eq!(block_on(read(&stream, u32::MAX)).unwrap(), [3]);
}

#[test]
fn reads_in_flight_are_answered_in_order_and_one_that_is_given_up_takes_nothing() {
    let (mut writer, reader) = pipe(1024);
    let stream = source(reader);
    block_on(async {
        let mut abandoned = Box::pin(read(&stream, 3));
        assert!(poll_immediate(&mut abandoned).await.is_none());
        let first = read(&stream, 3);
        let second = read(&stream, 3);
        let feed = async {
            // Both wait by now.
            yield_now().await;
            drop(abandoned);
            writer.write_all(b"abcdef").await.unwrap();
        };
        let (first, second, ()) = join3(first, second, feed).await;
        assert_eq!(first.unwrap(), b"abc");
        assert_eq!(second.unwrap(), b"def");
    });
}

#[test]
fn closing_a_read_end_ends_the_reads_that_wait() {
    let (writer, reader) = pipe(1024);
    let stream = source(reader);
    block_on(async {
        let mut waiting = Box::pin(read(&stream, 10));
        let mut behind = Box::pin(read(&stream, 10));
        assert!(poll_immediate(&mut waiting).await.is_none());
        assert!(poll_immediate(&mut behind).await.is_none());
        close(&stream).await.unwrap();
        assert_eq!(waiting.await.unwrap(), b"");
        assert_eq!(behind.await.unwrap(), b"");
        assert_eq!(read(&stream, 10).await.unwrap(), b"");
        assert!(writer.is_closed());
        close(&stream).await.unwrap();
    });
}

#[test]
fn closing_a_write_end_ends_the_writes_that_wait() {
    let (writer, mut reader) = pipe(4);
    let stream = sink(writer);
    block_on(async {
        let mut waiting = Box::pin(write(&stream, b"abcdef"));
        let mut behind = Box::pin(write(&stream, b"ghi"));
        assert!(poll_immediate(&mut waiting).await.is_none());
        assert!(poll_immediate(&mut behind).await.is_none());
        close(&stream).await.unwrap();
        for failed in [
            waiting.await,
            behind.await,
            write(&stream, b"x").await,
            push(&stream, b"x").await,
        ] {
            let error = failed.unwrap_err();
            assert!(error.extra.contains("stream is closed"), "{error}");
        }
        let mut text = String::new();
        reader.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "abcd");
    });
}

#[test]
fn what_was_pushed_arrives_whole_and_in_order_before_finish_returns() {
    let (writer, mut reader) = pipe(4);
    let stream = sink(writer);
    block_on(async {
        let produce = async {
            let pushed: Vec<_> = (0..100_u8).map(|n| push(&stream, &[n; 7])).collect();
            let finished = finish(&stream);
            for pushed in pushed {
                pushed.await.unwrap();
            }
            finished.await.unwrap();
            // Finished already.
            finish(&stream).await.unwrap();
            close(&stream).await.unwrap();
        };
        let consume = async {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).await.unwrap();
            bytes
        };
        let ((), bytes) = join(produce, consume).await;
        let expected: Vec<_> = (0..100).flat_map(|n| [n; 7]).collect();
        assert_eq!(bytes, expected);
    });
}

#[test]
fn a_write_returns_once_all_of_it_is_in_the_buffer() {
    let (writer, mut reader) = pipe(4);
    let stream = sink(writer);
    block_on(async {
        write(&stream, b"abcd").await.unwrap();
        let mut waiting = Box::pin(write(&stream, b"efghi"));
        assert!(poll_immediate(&mut waiting).await.is_none());
        let mut four = [0; 4];
        reader.read_exact(&mut four).await.unwrap();
        assert!(poll_immediate(&mut waiting).await.is_none());
        reader.read_exact(&mut four).await.unwrap();
        waiting.await.unwrap();
        write(&stream, b"").await.unwrap();

        drop(reader);
        let error = write(&stream, b"x").await.unwrap_err();
        assert!(error.extra.contains("cannot write to stream"), "{error}");
    });
}

#[test]
fn dropping_the_capability_closes_the_stream() {
    let (writer, mut reader) = pipe(4);
    drop(sink(writer));
    assert_eq!(block_on(reader.read(&mut [0])).unwrap(), 0);

    let (writer, reader) = pipe(4);
    drop(source(reader));
    assert!(writer.is_closed());
}

#[test]
fn each_end_goes_one_way() {
    let (writer, reader) = pipe(4);
    let (write_end, read_end) = (sink(writer), source(reader));
    block_on(async {
        for (failed, which) in [
            (read(&write_end, 1).await.map(drop), "write end of stream"),
            (write(&read_end, b"x").await, "read end of stream"),
            (finish(&read_end).await, "read end of stream"),
            (push(&read_end, b"x").await, "read end of stream"),
        ] {
            let error = failed.unwrap_err();
            assert!(error.extra.contains(which), "{error}");
        }
    });
}
