use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use wasmtime::{Engine, EngineWeak};

use crate::clock::{Registration, Timer};

/// Time between two interruption ticks.
const TICK: Duration = Duration::from_millis(1);

/// Ticks that go on after the last cell's turn, so that guests that run in short
/// bursts do not set the timer each time.
const LINGER: u32 = 20;

/// Interrupts guests that do not yield, by counting up the engines' epochs while a
/// cell has its turn. Costs nothing while none does.
pub(crate) struct Ticker {
    engines: Vec<EngineWeak>,
    timer: Timer,
    /// Cells that have their turn just now, on any thread.
    running: AtomicUsize,
    ticks: AtomicU64,
    /// Whether another tick is to come.
    armed: AtomicBool,
    idle: AtomicU32,
    next: Mutex<Option<Registration>>,
}

/// A cell's turn at its thread. Dropping it ends the turn.
pub(crate) struct Turn<'a> {
    ticker: &'a Ticker,
    began: u64,
}

impl Ticker {
    pub(crate) fn new<'a>(
        engines: impl IntoIterator<Item = &'a Engine>,
        timer: Timer,
    ) -> Arc<Self> {
        Arc::new(Self {
            engines: engines.into_iter().map(Engine::weak).collect(),
            timer,
            running: AtomicUsize::new(0),
            ticks: AtomicU64::new(0),
            armed: AtomicBool::new(false),
            idle: AtomicU32::new(0),
            next: Mutex::new(None),
        })
    }

    /// Ticks so far.
    pub(crate) fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Makes sure that there is something that ticks.
    ///
    /// # Errors
    ///
    /// The system refuses a thread for it.
    pub(crate) fn start(self: &Arc<Self>) -> io::Result<()> {
        if self.armed.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.timer.start()?;
        // A thread has just come free: the turn that goes on has none to tick.
        if !self.armed.swap(true, Ordering::SeqCst) {
            self.arm();
        }
        Ok(())
    }

    /// Begins a cell's turn.
    pub(crate) fn turn(self: &Arc<Self>) -> Turn<'_> {
        let began = self.ticks();
        self.running.fetch_add(1, Ordering::SeqCst);
        if !self.armed.load(Ordering::SeqCst) && !self.armed.swap(true, Ordering::SeqCst) {
            self.arm();
        }
        Turn {
            ticker: self,
            began,
        }
    }

    /// Sets the next tick.
    ///
    /// The slot is locked all the while: a tick that comes at once must not
    /// put its own successor there before this one is, and lose it.
    fn arm(self: &Arc<Self>) {
        let mut slot = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self
            .timer
            .register(Instant::now() + TICK, Waker::from(self.clone()));
        if next.is_err() {
            // No thread to be had just now: the next turn tries again.
            self.armed.store(false, Ordering::SeqCst);
        }
        let old = std::mem::replace(&mut *slot, next.ok());
        drop(slot);
        drop(old);
    }
}

impl Turn<'_> {
    /// Ticks since it began.
    pub(crate) fn ticks(&self) -> u64 {
        self.ticker.ticks() - self.began
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.ticker.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Wake for Ticker {
    /// One tick.
    fn wake(self: Arc<Self>) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
        for engine in self.engines.iter().filter_map(EngineWeak::upgrade) {
            engine.increment_epoch();
        }
        if self.running.load(Ordering::SeqCst) > 0 {
            self.idle.store(0, Ordering::Relaxed);
        } else if self.idle.fetch_add(1, Ordering::Relaxed) >= LINGER {
            self.idle.store(0, Ordering::Relaxed);
            self.armed.store(false, Ordering::SeqCst);
            // A turn that began before it could see that is ours to serve.
            let unseen = self.running.load(Ordering::SeqCst) > 0;
            if !unseen || self.armed.swap(true, Ordering::SeqCst) {
                return;
            }
        }
        self.arm();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Each round begins with the ticker at rest, and sets it from two threads
    /// at a time: a turn that begins, and the tick that it brings about.
    #[test]
    fn it_ticks_again_however_often_it_has_rested() {
        let engine = Engine::default();
        let ticker = Ticker::new([&engine], Timer::new());
        for _ in 0..30 {
            let turn = ticker.turn();
            while turn.ticks() < 3 {
                thread::yield_now();
            }
            drop(turn);
            while ticker.armed.load(Ordering::SeqCst) {
                thread::yield_now();
            }
        }
    }
}
