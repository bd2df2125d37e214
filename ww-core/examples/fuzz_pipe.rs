//! Holds the cell's pipe against a model under operations chosen by chance, for
//! as long as it is told to: `fuzz_pipe TARGET SECONDS [SEED [INPUT]]`.
//!
//! The target `model` is one thread that does anything to both ends; `threads`
//! is a writer and a reader on a thread each.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a tool for the command line, which fails by panicking"
)]

#[path = "../../ww-loader/examples/fuzz/chance.rs"]
mod chance;
#[path = "../../ww-loader/examples/fuzz/drive.rs"]
mod drive;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use chance::Chance;
use futures_lite::future::{block_on, yield_now};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use ww_core::pipe::{Reader, Writer, pipe};

fn main() {
    drive::run(|target, _| match target {
        "model" => Some(Box::new(|chance| Trial::new(chance).run())),
        "threads" => Some(Box::new(threads)),
        _ => None,
    });
}

/// Both ends of a pipe, and what is known of it.
struct Trial<'a> {
    chance: &'a mut Chance,
    writer: Option<Writer>,
    reader: Option<Reader>,
    model: Model,
    /// The byte that is written next.
    next: u8,
    /// Whoever waits at each end, unless woken since.
    writing: Option<Arc<Woken>>,
    reading: Option<Arc<Woken>>,
}

/// What a pipe is, said with a queue of bytes.
struct Model {
    queue: VecDeque<u8>,
    bound: usize,
    lossy: bool,
    /// The writer was told of room that only a lossy pipe has.
    promised: bool,
    discarded: u64,
    finished: bool,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'a> Trial<'a> {
    fn new(chance: &'a mut Chance) -> Self {
        let bounds = [0, 1, 2, 7, 64, 4095, 4096, 4097, 10_000, 1 << 16];
        let bound = bounds[chance.below(bounds.len())];
        let (writer, reader) = pipe(bound);
        Self {
            chance,
            writer: Some(writer),
            reader: Some(reader),
            model: Model {
                queue: VecDeque::new(),
                bound: bound.max(1),
                lossy: false,
                promised: false,
                discarded: 0,
                finished: false,
            },
            next: 0,
            writing: None,
            reading: None,
        }
    }

    fn run(mut self) {
        for _ in 0..self.chance.below(200) {
            match self.chance.below(1000) {
                0..400 => self.write(),
                400..780 => self.read(),
                780..850 => self.wait_to_write(),
                850..920 => self.wait_to_read(),
                920..970 => self.set_lossy(),
                970..980 => self.finish(),
                980..985 => self.writer = None,
                985..990 => self.reader = None,
                _ => {}
            }
            self.model.finished |= self.writer.is_none();
            if self.reader.is_none() {
                self.model.queue.clear();
            }
            self.agree();
        }
    }

    fn size(&mut self) -> usize {
        match self.chance.below(4) {
            0 => self.chance.below(4),
            1 => self.chance.below(100),
            _ => self.chance.below(self.model.bound + 9),
        }
    }

    fn write(&mut self) {
        let size = self.size();
        let asynchronous = self.chance.below(2) == 0;
        let Some(writer) = &mut self.writer else {
            return;
        };
        let bytes: Vec<u8> = (0..size).map(|n| self.next.wrapping_add(n as u8)).collect();
        let open = !self.model.finished && self.reader.is_some();
        let expected = if open { self.model.push(&bytes) } else { 0 };
        if asynchronous && size > 0 {
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(woken.clone());
            let mut cx = Context::from_waker(&waker);
            match Pin::new(writer).poll_write(&mut cx, &bytes) {
                Poll::Ready(Ok(count)) => assert!(open && count == expected && count > 0),
                Poll::Ready(Err(error)) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
                    assert!(!open);
                }
                Poll::Pending => {
                    assert!(open && expected == 0);
                    self.writing = Some(woken);
                    // Waiting asks for the room.
                    self.model.room();
                }
            }
        } else {
            assert_eq!(writer.try_write(&bytes).ok(), open.then_some(expected));
        }
        self.next = self.next.wrapping_add(expected as u8);
        // What a lossy pipe took and did not keep is gone from the sequence.
        self.model.taken(&bytes[..expected]);
    }

    fn read(&mut self) {
        let size = self.size();
        let how = self.chance.below(4);
        let Some(reader) = &mut self.reader else {
            return;
        };
        let ended = self.model.finished && self.model.queue.is_empty();
        let expected = self.model.pull(size);
        let mut into = vec![0; size];
        match how {
            0 => assert_eq!(reader.drain(size), expected),
            1 => {
                let mut onto = vec![1, 2, 3];
                assert_eq!(reader.drain_onto(&mut onto, size), expected.len());
                assert_eq!(onto[3..], expected);
            }
            2 => {
                let count = reader.try_read(&mut into);
                match expected.len() {
                    0 => assert_eq!(count, (ended || size == 0).then_some(0)),
                    len => assert_eq!(count, Some(len)),
                }
                assert_eq!(into[..expected.len()], expected);
            }
            _ => {
                let woken = Arc::new(Woken::default());
                let waker = Waker::from(woken.clone());
                let mut cx = Context::from_waker(&waker);
                match Pin::new(reader).poll_read(&mut cx, &mut into) {
                    Poll::Ready(count) => {
                        assert_eq!(into[..count.unwrap()], expected);
                        assert!(!expected.is_empty() || ended || size == 0);
                    }
                    Poll::Pending => {
                        assert!(expected.is_empty() && !ended);
                        self.reading = Some(woken);
                    }
                }
            }
        }
    }

    fn wait_to_write(&mut self) {
        let Some(writer) = &self.writer else {
            return;
        };
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let room = self.model.room();
        let open = !self.model.finished && self.reader.is_some();
        match writer.poll_writable(&mut Context::from_waker(&waker)) {
            Poll::Ready(Ok(count)) => assert!(open && count == room && room > 0),
            Poll::Ready(Err(_)) => assert!(!open),
            Poll::Pending => {
                assert!(open && room == 0);
                self.writing = Some(woken);
            }
        }
    }

    fn wait_to_read(&mut self) {
        let Some(reader) = &self.reader else {
            return;
        };
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let len = self.model.queue.len();
        match reader.poll_readable(&mut Context::from_waker(&waker)) {
            Poll::Ready(count) => assert!(count == len && (len > 0 || self.model.finished)),
            Poll::Pending => {
                assert!(len == 0 && !self.model.finished);
                self.reading = Some(woken);
            }
        }
    }

    fn set_lossy(&mut self) {
        if let Some(reader) = &self.reader {
            self.model.lossy = !self.model.lossy;
            reader.set_lossy(self.model.lossy);
        }
    }

    fn finish(&mut self) {
        if let Some(writer) = &self.writer {
            writer.finish();
            self.model.finished = true;
        }
    }

    /// That the ends look like the model, and nobody waits for what is there.
    fn agree(&mut self) {
        let Model {
            queue,
            discarded,
            finished,
            ..
        } = &self.model;
        if let Some(reader) = &self.reader {
            assert_eq!(reader.len(), queue.len());
            assert_eq!(reader.is_empty(), queue.is_empty());
            assert_eq!(reader.is_closed(), *finished);
            assert_eq!(reader.is_finished(), *finished && queue.is_empty());
            assert_eq!(reader.discarded(), *discarded);
            if !queue.is_empty() || *finished {
                woken(&mut self.reading);
            }
        }
        if let Some(writer) = &self.writer {
            assert_eq!(writer.is_closed(), self.reader.is_none());
            let full = queue.len() == self.model.bound && !self.model.lossy;
            if !full || *finished || self.reader.is_none() {
                woken(&mut self.writing);
            }
        }
    }
}

/// That whoever waited was told.
fn woken(waiting: &mut Option<Arc<Woken>>) {
    if let Some(waiting) = waiting.take() {
        assert!(waiting.0.load(Ordering::Relaxed), "waits for ever");
    }
}

impl Model {
    fn push(&mut self, bytes: &[u8]) -> usize {
        let free = self.bound - self.queue.len();
        match std::mem::take(&mut self.promised) || self.lossy {
            true => bytes.len().min(self.bound),
            false => bytes.len().min(free),
        }
    }

    /// Keeps what there is room for of what was taken.
    fn taken(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(self.bound - self.queue.len());
        self.queue.extend(&bytes[..kept]);
        self.discarded += (bytes.len() - kept) as u64;
    }

    fn pull(&mut self, max: usize) -> Vec<u8> {
        let count = max.min(self.queue.len());
        self.queue.drain(..count).collect()
    }

    fn room(&mut self) -> usize {
        self.promised = self.lossy;
        match self.lossy {
            true => self.bound,
            false => self.bound - self.queue.len(),
        }
    }
}

/// A writer and a reader who take turns as their threads do: every byte comes
/// through, in order, and whoever leaves early leaves nobody waiting.
fn threads(chance: &mut Chance) {
    let (mut writer, mut reader) = pipe(1 + chance.below(300));
    let total = chance.below(20_000);
    let patience = match chance.below(4) {
        0 => chance.below(total + 1),
        _ => usize::MAX,
    };
    let mut sizes = Chance::of(chance.next(), 0);
    let writing = std::thread::spawn(move || {
        block_on(async {
            let bytes: Vec<u8> = (0..total).map(|n| (n % 251) as u8).collect();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(1 + sizes.below(rest.len().min(500)));
                if writer.write_all(now).await.is_err() {
                    return false;
                }
                if sizes.below(8) == 0 {
                    yield_now().await;
                }
                rest = later;
            }
            true
        })
    });
    let read = block_on(async {
        let mut read = 0;
        let mut into = [0; 700];
        while read < patience {
            let size = 1 + chance.below(into.len() - 1);
            match reader.read(&mut into[..size]).await.unwrap() {
                0 => break,
                count => {
                    for byte in &into[..count] {
                        assert_eq!(*byte, (read % 251) as u8);
                        read += 1;
                    }
                }
            }
        }
        read
    });
    drop(reader);
    let whole = writing.join().unwrap();
    assert!(read == total || (read >= patience && read < total));
    assert!(whole || patience < total);
}
