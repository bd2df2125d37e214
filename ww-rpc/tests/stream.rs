//! Streams of bytes as readers and writers, on capabilities that are served
//! here and on such that are reached over a connection.

mod support;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use capnp::capability::{Client, FromClientHook, Request};
use capnp::traits::HasTypeId;
use capnp::{Error, ErrorKind, any_pointer};
use futures::future::poll_immediate;
use futures::io::{Cursor, copy, copy_buf};
use futures::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use futures_lite::future::{block_on, or, yield_now, zip};
use support::{Outcome, Slot, settle, untyped};
use ww_rpc::peer_capnp::byte_stream;
use ww_rpc::stream::{MAX_READ, Reader, Writer, sink, source};
use ww_rpc::{Limits, Side, Vat};

/// Runs `test` on `stream` as it is, and on what arrives of it at the other end
/// of a connection.
fn everywhere(stream: impl Fn() -> byte_stream::Client, test: impl AsyncFn(byte_stream::Client)) {
    block_on(test(stream()));
    let (up, up_end) = piper::pipe(4096);
    let (down, down_end) = piper::pipe(4096);
    let bootstrap = Some(untyped(stream()));
    let server = Vat::new(up, down_end, Side::Server, bootstrap, Limits::default());
    let mut client = Vat::new(down, up_end, Side::Client, None, Limits::default());
    let imported = client.bootstrap();
    let vats = async {
        let ended = zip(server, client).await;
        panic!("the connection ended: {ended:?}")
    };
    block_on(or(test(imported), vats));
}

/// Bytes that differ from one place to the next.
fn bytes(count: usize) -> Vec<u8> {
    (0..count)
        .map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8)
        .collect()
}

/// Keeps what is written to it, as many bytes at a time as it says.
#[derive(Clone)]
struct Taker {
    taken: Rc<RefCell<Vec<u8>>>,
    /// How many more bytes it takes.
    room: Rc<Cell<usize>>,
    closed: Rc<Cell<bool>>,
    waiting: Rc<RefCell<Option<Waker>>>,
}

impl Taker {
    fn of(room: usize) -> Self {
        Self {
            taken: Rc::default(),
            room: Rc::new(Cell::new(room)),
            closed: Rc::default(),
            waiting: Rc::default(),
        }
    }

    /// Lets it take so many bytes.
    fn open(&self, room: usize) {
        self.room.set(room);
        let waiting = self.waiting.take();
        waiting.expect("somebody waits").wake();
    }
}

impl AsyncWrite for Taker {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = bytes.len().min(self.room.get());
        if count == 0 {
            self.waiting.replace(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        self.room.set(self.room.get() - count);
        self.taken.borrow_mut().extend(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed.set(true);
        Poll::Ready(Ok(()))
    }
}

#[test]
fn what_is_served_is_read_whole_however_it_is_read() {
    let max = MAX_READ as usize;
    for count in [0, 1, 7, max - 1, max, max + 1, 3 * max + 5] {
        let content = bytes(count);
        let served = || source(Cursor::new(content.clone()));
        everywhere(served, async |stream| {
            for room in [1_000, max, 4 * max] {
                // Each reads on where the one before stopped, which is the end.
                let mut reader = Reader::new(stream.clone());
                let (mut read, mut part) = (Vec::<u8>::new(), vec![0; room]);
                loop {
                    match reader.read(&mut part).await.unwrap() {
                        0 => break,
                        len => read.extend(&part[..len]),
                    }
                }
                let expected = if room == 1_000 { &content[..] } else { &[] };
                assert!(read == expected, "{count} by {room}");
                assert_eq!(reader.read(&mut part).await.unwrap(), 0);
            }
        });
        everywhere(served, async |stream| {
            let mut read = Cursor::new(Vec::new());
            let copied = copy_buf(Reader::new(stream), &mut read).await.unwrap();
            assert_eq!(copied, count as u64);
            assert!(read.into_inner() == content, "{count}");
        });
    }
}

#[test]
fn a_reader_takes_no_more_than_it_was_asked_for() {
    let served = || source(Cursor::new("header\nbody"));
    everywhere(served, async |stream| {
        let mut reader = Reader::new(stream);
        let mut header = [0; 7];
        assert_eq!(reader.read(&mut []).await.unwrap(), 0);
        reader.read_exact(&mut header).await.unwrap();
        assert_eq!(&header, b"header\n");
        let mut body = String::new();
        let mut next = Reader::new(reader.into_inner());
        next.read_to_string(&mut body).await.unwrap();
        assert_eq!(body, "body");
    });
}

#[test]
fn lines_are_read_and_what_was_not_consumed_stays() {
    let served = || source(Cursor::new("one\ntwo\nrest"));
    everywhere(served, async |stream| {
        let mut reader = Reader::new(stream);
        let (mut line, mut two) = (String::new(), [0; 2]);
        reader.read_line(&mut line).await.unwrap();
        assert_eq!(line, "one\n");
        reader.read_exact(&mut two).await.unwrap();
        assert_eq!(&two, b"tw");
        line.clear();
        reader.read_to_string(&mut line).await.unwrap();
        assert_eq!(line, "o\nrest");
    });
}

#[test]
fn lines_are_read_however_many_one_answer_has() {
    // What may be read out of one answer is bounded, and each look at it counts.
    for (line, times) in [("x\n", 50_000), ("seven\n", 10_001), ("\n", 3)] {
        let text = line.repeat(times);
        let served = || source(Cursor::new(text.clone()));
        everywhere(served, async |stream| {
            let mut reader = Reader::new(stream);
            let (mut read, mut lines) = (String::new(), 0);
            while reader.read_line(&mut read).await.unwrap() > 0 {
                lines += 1;
            }
            assert_eq!(lines, times);
            assert!(read == text);
        });
    }
}

/// Fails at each read and write, for this reason.
struct Fails(io::ErrorKind);

impl AsyncRead for Fails {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(self.0.into()))
    }
}

impl AsyncWrite for Fails {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(self.0.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(self.0.into()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(self.0.into()))
    }
}

#[test]
fn what_fails_keeps_its_kind_however_often_it_is_relayed() {
    for kind in [
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::QuotaExceeded,
        io::ErrorKind::Unsupported,
        io::ErrorKind::Other,
    ] {
        let served = || source(Reader::new(source(Fails(kind))));
        everywhere(served, async |stream| {
            let error = Reader::new(stream).read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
        });
        let served = || sink(Writer::new(sink(Fails(kind))));
        everywhere(served, async |stream| {
            let mut writer = Writer::new(stream);
            let _ = writer.write_all(b"none of it").await;
            let error = writer.flush().await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
        });
    }
}

#[test]
fn what_is_looked_at_again_and_again_stays() {
    everywhere(
        || source(Cursor::new([7; 60_000])),
        async |stream| {
            let mut reader = Reader::new(stream);
            for _ in 0..5_000 {
                assert_eq!(reader.fill_buf().await.unwrap().len(), 60_000);
                reader.consume_unpin(0);
            }
            let mut read = Vec::new();
            assert_eq!(reader.read_to_end(&mut read).await.unwrap(), 60_000);
        },
    );
}

#[test]
fn a_read_that_was_given_up_loses_nothing() {
    block_on(async {
        let (from_us, mut to_stream) = piper::pipe(64);
        let mut reader = Reader::new(source(from_us));
        let mut many = [0; 8];
        assert!(poll_immediate(reader.read(&mut many)).await.is_none());
        to_stream.write_all(b"abcd").await.unwrap();
        // Less room than the one before had.
        let mut one = [0; 1];
        for expected in [b"a", b"b", b"c", b"d"] {
            reader.read_exact(&mut one).await.unwrap();
            assert_eq!(&one, expected);
        }
    });
}

/// Answers with more than it was asked for.
struct Liar {
    surplus: usize,
}

impl byte_stream::Server for Liar {
    async fn read(
        self: Rc<Self>,
        params: byte_stream::ReadParams,
        mut results: byte_stream::ReadResults,
    ) -> Outcome {
        let asked = params.get()?.get_max_bytes();
        assert!((1..=MAX_READ).contains(&asked));
        results.get().init_data(asked + self.surplus as u32);
        Ok(())
    }
}

#[test]
fn an_answer_longer_than_was_asked_for_is_refused() {
    for (surplus, refused) in [(0, false), (1, true), (1 << 20, true)] {
        let served = || capnp_rpc::new_client(Liar { surplus });
        everywhere(served, async |stream| {
            let mut reader = Reader::new(stream.clone());
            for room in [1, 100, MAX_READ as usize, 1 << 20] {
                let mut into = vec![1; room];
                match reader.read(&mut into).await {
                    Ok(read) => {
                        assert!(!refused);
                        assert_eq!(read, room.min(MAX_READ as usize));
                    }
                    Err(error) => {
                        assert!(refused, "{error}");
                        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                        assert!(into.iter().all(|&byte| byte == 1), "some of it was given");
                    }
                }
            }
            let mut reader = Reader::new(stream);
            let filled = reader.fill_buf().await.map(<[u8]>::len);
            assert_eq!(filled.is_err(), refused);
        });
    }
}

#[test]
fn what_is_written_arrives_whole_and_in_order() {
    for count in [0, 1, 65_536, 65_537, 1_000_000] {
        let content = bytes(count);
        let takers = RefCell::new(Vec::new());
        let served = || {
            let taker = Taker::of(usize::MAX);
            takers.borrow_mut().push(taker.clone());
            sink(taker)
        };
        everywhere(served, async |stream| {
            let mut writer = Writer::new(stream);
            copy(Cursor::new(&content), &mut writer).await.unwrap();
            writer.close().await.unwrap();
            let taker = takers.borrow().last().unwrap().clone();
            assert!(*taker.taken.borrow() == content, "{count}");
            assert!(taker.closed.get());
            // Closed already.
            writer.flush().await.unwrap();
            writer.close().await.unwrap();
            let error = writer.write(b"x").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        });
    }
}

#[test]
fn a_flush_waits_until_the_stream_has_everything() {
    let ends = RefCell::new(None);
    let served = || {
        let (end, writer) = piper::pipe(2);
        ends.replace(Some(end));
        sink(writer)
    };
    everywhere(served, async |stream| {
        let mut end = ends.take().unwrap();
        let mut writer = Writer::new(stream);
        // Nothing was written: there is nothing to wait for.
        writer.flush().await.unwrap();
        let count = Cell::new(0);
        let write = async {
            writer.write_all(b"abc").await.unwrap();
            let given_up = poll_immediate(writer.flush()).await;
            assert!(given_up.is_none());
            writer.write_all(b"def").await.unwrap();
            writer.flush().await.unwrap();
            // The pipe has the other two.
            assert!(count.get() >= 4, "flushed when {} were read", count.get());
        };
        let read = async {
            for byte in b"abcd" {
                let mut one = [0; 1];
                end.read_exact(&mut one).await.unwrap();
                assert_eq!(one[0], *byte);
                count.set(count.get() + 1);
                // A flush that is done now, and should not be, gets to say so.
                for _ in 0..10 {
                    yield_now().await;
                }
            }
        };
        zip(write, read).await;
    });
}

#[test]
fn a_writer_waits_for_a_stream_that_takes_nothing() {
    let taker = Taker::of(0);
    let (up, up_end) = piper::pipe(4096);
    let (down, down_end) = piper::pipe(4096);
    let bootstrap = Some(untyped(sink(taker.clone())));
    let server = Vat::new(up, down_end, Side::Server, bootstrap, Limits::default());
    let mut client = Vat::new(down, up_end, Side::Client, None, Limits::default());
    let mut writer = Writer::new(client.bootstrap());
    let written = Rc::new(Cell::new(0));
    let count = written.clone();
    let content = bytes(10 << 20);
    let mut writing = Slot::new(async move {
        while count.get() < content.len() {
            let rest = &content[count.get()..];
            count.set(count.get() + writer.write(rest).await.unwrap());
        }
        writer.close().await.unwrap();
    });
    let mut vats = Slot::new(zip(server, client));
    let mut run = || {
        settle(|cx| {
            writing.poll(cx);
            vats.poll(cx);
        });
        writing.output
    };
    assert_eq!(run(), None);
    // The window, and the push that goes beyond it.
    assert!((1..=3 << 16).contains(&written.get()), "{}", written.get());
    let before = written.get();
    taker.open(1 << 20);
    assert_eq!(run(), None);
    assert_eq!(taker.taken.borrow().len(), 1 << 20);
    assert!(written.get() <= before + (1 << 20));
    taker.open(usize::MAX);
    assert_eq!(run(), Some(()));
    assert!(*taker.taken.borrow() == bytes(10 << 20));
}

/// Fails once it has taken so many bytes.
struct Breaks {
    after: usize,
}

impl AsyncWrite for Breaks {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.after == 0 {
            return Poll::Ready(Err(io::Error::other("the disk is full")));
        }
        let count = bytes.len().min(self.after);
        self.after -= count;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_failed_push_shows_at_what_comes_next_and_stays() {
    let failed = |error: io::Error| {
        assert_eq!(error.kind(), io::ErrorKind::Other);
        assert!(error.to_string().contains("the disk is full"), "{error}");
        let inner = error.get_ref().unwrap().downcast_ref::<Error>();
        assert_eq!(inner.unwrap().kind, ErrorKind::Failed);
    };
    for after in [0, 1, 100_000, 1_000_000] {
        let served = || sink(Breaks { after });
        everywhere(served, async |stream| {
            let mut writer = Writer::new(stream);
            let written = writer.write_all(&bytes(after + 200_000)).await;
            written.map_err(failed).unwrap_err();
            // The rest would follow upon a gap.
            writer.write(b"x").await.map_err(failed).unwrap_err();
            writer.flush().await.map_err(failed).unwrap_err();
            writer.close().await.map_err(failed).unwrap_err();
        });
        for close in [false, true] {
            everywhere(served, async |stream| {
                let mut writer = Writer::new(stream);
                // Sent, and not known to have failed.
                let written = writer.write_all(&bytes(after + 1)).await;
                let settled = match close {
                    true => writer.close().await,
                    false => writer.flush().await,
                };
                written.and(settled).map_err(failed).unwrap_err();
                writer.write(b"x").await.map_err(failed).unwrap_err();
            });
        }
    }
}

async fn write(stream: &byte_stream::Client) -> Result<(), Error> {
    stream.write_request().send().promise.await.map(drop)
}

async fn finish(stream: &byte_stream::Client) -> Result<(), Error> {
    stream.finish_request().send().promise.await.map(drop)
}

async fn close(stream: &byte_stream::Client) -> Result<(), Error> {
    stream.close_request().send().promise.await.map(drop)
}

async fn push(stream: &byte_stream::Client, bytes: &[u8]) -> Result<(), Error> {
    let mut request = stream.push_request();
    request.get().set_data(bytes);
    request.send().await
}

#[test]
fn closing_a_stream_ends_the_pushes_that_wait() {
    let stream = sink(Taker::of(4));
    block_on(async {
        let mut waiting = Box::pin(push(&stream, b"abcdef"));
        let mut behind = Box::pin(push(&stream, b"ghi"));
        assert!(poll_immediate(&mut waiting).await.is_none());
        assert!(poll_immediate(&mut behind).await.is_none());
        let closed = poll_immediate(close(&stream)).await;
        closed.expect("it waits for nobody").unwrap();
        for failed in [
            waiting.await,
            behind.await,
            write(&stream).await,
            finish(&stream).await,
        ] {
            let error = failed.unwrap_err();
            assert!(error.extra.contains("stream is closed"), "{error}");
        }
        close(&stream).await.unwrap();
    });
}

#[test]
fn a_push_that_is_refused_is_nobody_elses() {
    everywhere(
        || source(Cursor::new(bytes(10))),
        async |stream| {
            let theirs = stream.clone();
            // A push over a connection may fail after it has resolved.
            let pushed = push(&theirs, b"x").await;
            let error = pushed.and(write(&theirs).await).unwrap_err();
            assert!(error.extra.contains("cannot be written"), "{error}");
            let mut content = Vec::new();
            let mut reader = Reader::new(stream.clone());
            reader.read_to_end(&mut content).await.unwrap();
            assert_eq!(content, bytes(10));
            close(&stream).await.unwrap();
        },
    );
}

#[test]
fn a_push_that_makes_no_sense_is_nobody_elses() {
    let taker = Taker::of(usize::MAX);
    let stream = sink(taker.clone());
    let untyped = Client::new(stream.clone().into_client_hook());
    let mut request: Request<any_pointer::Owned, any_pointer::Owned> =
        untyped.new_call(byte_stream::Client::TYPE_ID, 3, None);
    request.get().initn_as::<capnp::data::Builder<'_>>(8);
    block_on(async {
        request.send().promise.await.map(drop).unwrap_err();
        push(&stream, b"abc").await.unwrap();
        finish(&stream).await.unwrap();
    });
    assert_eq!(*taker.taken.borrow(), b"abc");
    assert!(taker.closed.get());
}

#[test]
fn what_is_not_whole_is_not_finished() {
    let served = || sink(Breaks { after: 4 });
    everywhere(served, async |stream| {
        push(&stream, b"abcdef").await.ok();
        for failed in [write(&stream).await, finish(&stream).await] {
            let error = failed.unwrap_err();
            assert!(error.extra.contains("the disk is full"), "{error}");
        }
        close(&stream).await.unwrap();
    });
}

/// Takes everything, and closes once it may, with this outcome.
#[derive(Clone)]
struct Lingers {
    may: Rc<Cell<bool>>,
    asked: Rc<RefCell<Option<Waker>>>,
    outcome: Result<(), &'static str>,
}

impl Lingers {
    fn of(outcome: Result<(), &'static str>) -> Self {
        Self {
            may: Rc::default(),
            asked: Rc::default(),
            outcome,
        }
    }

    fn open(&self) {
        self.may.set(true);
        self.asked.take().expect("somebody waits").wake();
    }
}

impl AsyncWrite for Lingers {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.may.get() {
            return Poll::Ready(self.outcome.map_err(io::Error::other));
        }
        self.asked.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

#[test]
fn whoever_closes_a_stream_hears_what_came_of_it() {
    for outcome in [Ok(()), Err("the disk is full")] {
        let writer = Lingers::of(outcome);
        let stream = sink(writer.clone());
        let (first, second, third) = (stream.clone(), stream.clone(), stream.clone());
        let mut given_up = Slot::new(async move { finish(&first).await });
        let mut closers = [
            Slot::new(async move { finish(&second).await }),
            Slot::new(async move { close(&third).await }),
        ];
        settle(|cx| given_up.poll(cx));
        given_up.cancel();
        for _ in 0..2 {
            settle(|cx| closers.iter_mut().for_each(|closer| closer.poll(cx)));
            assert!(closers.iter().all(|closer| closer.output.is_none()));
        }
        writer.open();
        settle(|cx| closers.iter_mut().for_each(|closer| closer.poll(cx)));
        let outcomes = closers.map(|closer| closer.output.expect("no hang"));
        for closed in outcomes.into_iter().chain([block_on(close(&stream))]) {
            assert_eq!(closed.is_ok(), outcome.is_ok(), "{closed:?}");
        }
    }
}

#[test]
fn a_flush_does_not_take_the_end_back() {
    let lingers = Lingers::of(Ok(()));
    let mut writer = Writer::new(sink(lingers.clone()));
    block_on(async {
        writer.write_all(b"abc").await.unwrap();
        assert!(poll_immediate(writer.close()).await.is_none());
        assert!(poll_immediate(writer.flush()).await.is_none());
        lingers.open();
        writer.flush().await.unwrap();
        writer.close().await.unwrap();
        let error = writer.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "{error}");
    });
}

/// Takes what is pushed, and fails once when it is to say that it has.
#[derive(Default)]
struct Forgets {
    failed: Cell<bool>,
}

impl byte_stream::Server for Forgets {
    async fn push(self: Rc<Self>, _: byte_stream::PushParams) -> Outcome {
        Ok(())
    }

    async fn write(
        self: Rc<Self>,
        _: byte_stream::WriteParams,
        _: byte_stream::WriteResults,
    ) -> Outcome {
        match self.failed.replace(true) {
            false => Err(Error::overloaded("not now".into())),
            true => Ok(()),
        }
    }

    async fn finish(
        self: Rc<Self>,
        _: byte_stream::FinishParams,
        _: byte_stream::FinishResults,
    ) -> Outcome {
        Ok(())
    }
}

#[test]
fn what_failed_once_does_not_work_again() {
    let served = || capnp_rpc::new_client(Forgets::default());
    everywhere(served, async |stream| {
        let mut writer = Writer::new(stream);
        writer.write_all(b"abc").await.unwrap();
        for failed in [
            writer.flush().await,
            writer.write_all(b"def").await,
            writer.flush().await,
            writer.close().await,
        ] {
            let error = failed.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded, "{error}");
        }
    });
}

/// Takes what is pushed, and says so from the second time on that it is asked.
#[derive(Default)]
struct Hesitates {
    asked: Cell<u32>,
}

impl byte_stream::Server for Hesitates {
    async fn push(self: Rc<Self>, _: byte_stream::PushParams) -> Outcome {
        Ok(())
    }

    async fn write(
        self: Rc<Self>,
        _: byte_stream::WriteParams,
        _: byte_stream::WriteResults,
    ) -> Outcome {
        match self.asked.replace(self.asked.get() + 1) {
            0 => pending().await,
            _ => Ok(()),
        }
    }
}

#[test]
fn a_flush_that_was_given_up_does_not_stand_for_a_later_one() {
    let served = || capnp_rpc::new_client(Hesitates::default());
    everywhere(served, async |stream| {
        let mut writer = Writer::new(stream);
        writer.write_all(b"abc").await.unwrap();
        // As long as there is nothing else between, it is taken up again.
        for _ in 0..20 {
            assert!(poll_immediate(writer.flush()).await.is_none());
            yield_now().await;
        }
        writer.write_all(b"def").await.unwrap();
        let hangs = async {
            for _ in 0..1000 {
                yield_now().await;
            }
            panic!("the flush waits for the one before");
        };
        or(writer.flush(), hangs).await.unwrap();
    });
}

#[test]
fn one_direction_goes_on_when_the_other_was_closed() {
    let ends = RefCell::new(None);
    let served = || {
        let (end, writer) = piper::pipe(64);
        ends.replace(Some(end));
        sink(writer)
    };
    everywhere(served, async |stream| {
        let mut asked = ends.take().unwrap();
        let (answers, mut answer) = piper::pipe(64);
        let mut answers = Reader::new(source(answers));
        let mut writer = Writer::new(stream);
        writer.write_all(b"question").await.unwrap();
        writer.close().await.unwrap();
        let mut question = String::new();
        asked.read_to_string(&mut question).await.unwrap();
        answer.write_all(b"re: ").await.unwrap();
        answer.write_all(question.as_bytes()).await.unwrap();
        drop(answer);
        let mut heard = String::new();
        answers.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "re: question");
    });
}

#[test]
fn the_end_of_the_connection_is_no_end_of_the_stream() {
    let (up, up_end) = piper::pipe(4096);
    let (down, down_end) = piper::pipe(4096);
    struct Silent;
    impl byte_stream::Server for Silent {
        async fn read(
            self: Rc<Self>,
            _: byte_stream::ReadParams,
            _: byte_stream::ReadResults,
        ) -> Outcome {
            pending().await
        }

        async fn push(self: Rc<Self>, _: byte_stream::PushParams) -> Outcome {
            pending().await
        }
    }
    let silent: byte_stream::Client = capnp_rpc::new_client(Silent);
    let server = Vat::new(
        up,
        down_end,
        Side::Server,
        Some(untyped(silent)),
        Limits::default(),
    );
    let mut client = Vat::new(down, up_end, Side::Client, None, Limits::default());
    let stream: byte_stream::Client = client.bootstrap();
    let (mut reader, mut writer) = (Reader::new(stream.clone()), Writer::new(stream));
    let mut reading = Slot::new(async move { reader.read(&mut [0; 8]).await });
    let mut writing = Slot::new(async move {
        writer.write_all(b"abc").await?;
        writer.flush().await
    });
    let (mut server, mut client) = (Slot::new(server), Slot::new(client));
    let mut run = |server: &mut Slot<_>| {
        settle(|cx| {
            reading.poll(cx);
            writing.poll(cx);
            server.poll(cx);
            client.poll(cx);
        });
        (reading.output.take(), writing.output.take())
    };
    assert!(matches!(run(&mut server), (None, None)));
    server.cancel();
    let (read, written) = run(&mut server);
    for error in [read.unwrap().unwrap_err(), written.unwrap().unwrap_err()] {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    }
}
