//! One-way byte pipe between two tasks, on any executor and across threads.
//!
//! One ring buffer with a waker at each end: it takes no memory before the
//! first byte, starts at 4 KiB and doubles up to the bound it was made with.
//! A byte is copied once in and once out.
//!
//! ```
//! use futures_lite::{AsyncReadExt, AsyncWriteExt, future::block_on};
//!
//! let (mut writer, mut reader) = ww_core::pipe::pipe(64 * 1024);
//! block_on(async {
//!     writer.write_all(b"hello").await?;
//!     drop(writer);
//!     let mut text = String::new();
//!     reader.read_to_string(&mut text).await?;
//!     assert_eq!(text, "hello");
//!     std::io::Result::Ok(())
//! })
//! # .unwrap();
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

pub use reader::Reader;
pub use writer::Writer;

mod reader;
mod ring;
#[cfg(test)]
mod tests;
mod writer;

/// A pipe that holds at most `bound` bytes, at least one.
pub fn pipe(bound: usize) -> (Writer, Reader) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            ring: ring::Ring::new(bound),
            reading: None,
            writing: None,
        }),
    });
    (Writer::new(Arc::clone(&shared)), Reader::new(shared))
}

/// The pipe takes no more bytes: one of its ends is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pipe is closed")]
pub struct Closed;

impl From<Closed> for std::io::Error {
    fn from(closed: Closed) -> Self {
        Self::new(std::io::ErrorKind::BrokenPipe, closed)
    }
}

struct Shared {
    state: Mutex<State>,
}

struct State {
    ring: ring::Ring,
    /// Whom to wake when bytes arrive or the writer closes.
    reading: Option<Waker>,
    /// Whom to wake when room appears or the reader closes.
    writing: Option<Waker>,
}

impl Shared {
    /// Nothing runs under this lock but the ring's own code and a waker's
    /// clone, so a poisoned state is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps `waker` in `slot`, without a clone when it is there already. Hands
/// back the one it displaced: a waker's drop may run anything, so it is not for
/// under the lock.
#[must_use]
fn remember(slot: &mut Option<Waker>, waker: &Waker) -> Option<Waker> {
    match slot {
        Some(kept) if kept.will_wake(waker) => None,
        _ => slot.replace(waker.clone()),
    }
}

/// Wakes after the state's guard is gone, so that no waker runs under the lock.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
