use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use async_lock::{Semaphore, SemaphoreGuardArc};
use capnp::Error;

/// The most calls that may wait for a compilation.
const MOST_COMPILING: usize = 16;

/// The most programs that may be held. Each has machine code, whose memory and
/// mappings are the whole process's.
const MOST_PROGRAMS: usize = 256;

/// What the executors of one cell's sessions have of the process together.
#[derive(Debug)]
pub(crate) struct Quota {
    compiling: Cell<usize>,
    /// One compilation at a time, so that others' code is compiled as well.
    turn: Arc<Semaphore>,
    programs: Cell<usize>,
}

/// One of what is counted, until this is dropped.
pub(super) struct Share {
    of: Rc<Quota>,
    counter: fn(&Quota) -> &Cell<usize>,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            compiling: Cell::default(),
            turn: Arc::new(Semaphore::new(1)),
            programs: Cell::default(),
        }
    }
}

impl Quota {
    /// Reserves a place among the calls that compile.
    ///
    /// # Errors
    ///
    /// `Overloaded` when there are as many as there may be.
    pub(super) fn compilation(self: &Rc<Self>) -> Result<Share, Error> {
        let waiting = "calls of this executor wait for a compilation already";
        self.take(|quota| &quota.compiling, MOST_COMPILING, waiting)
    }

    /// Reserves a place among the programs that are held.
    ///
    /// # Errors
    ///
    /// `Overloaded` when there are as many as there may be.
    pub(super) fn program(self: &Rc<Self>) -> Result<Share, Error> {
        let held = "programs of this executor are held already";
        self.take(|quota| &quota.programs, MOST_PROGRAMS, held)
    }

    /// Waits until no other compiles.
    pub(super) async fn turn(&self) -> SemaphoreGuardArc {
        self.turn.acquire_arc().await
    }

    fn take(
        self: &Rc<Self>,
        counter: fn(&Self) -> &Cell<usize>,
        most: usize,
        full: &str,
    ) -> Result<Share, Error> {
        let count = counter(self);
        if count.get() == most {
            return Err(Error::overloaded(format!("{most} {full}")));
        }
        count.set(count.get() + 1);
        Ok(Share {
            of: self.clone(),
            counter,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let count = (self.counter)(&self.of);
        count.set(count.get() - 1);
    }
}
