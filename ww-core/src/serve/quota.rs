use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use async_lock::{Semaphore, SemaphoreGuardArc};
use capnp::Error;

use crate::Program;
use crate::cell::{Limit, Shared};

/// The most calls that may wait for a compilation.
const MOST_COMPILING: usize = 16;

/// The most programs that may be held. Each has mappings and a descriptor, which
/// are the whole process's.
const MOST_PROGRAMS: usize = 256;

/// What the executors of one cell's sessions have of the process together.
pub(crate) struct Quota {
    /// Told what it is refused.
    cell: Option<Arc<Shared>>,
    compiling: Cell<usize>,
    /// One compilation at a time, so that others' code is compiled as well.
    turn: Arc<Semaphore>,
    /// Programs that are held, by what they are known as.
    held: RefCell<HashMap<usize, Weak<Held>>>,
}

/// A place among the calls that compile, until this is dropped.
pub(super) struct Compiling(Rc<Quota>);

/// A program that counts, until this is dropped.
pub(super) struct Held {
    of: Rc<Quota>,
    program: Program,
}

impl Quota {
    pub(crate) fn new(cell: Option<Arc<Shared>>) -> Self {
        Self {
            cell,
            compiling: Cell::default(),
            turn: Arc::new(Semaphore::new(1)),
            held: RefCell::default(),
        }
    }

    /// Reserves a place among the calls that compile.
    ///
    /// # Errors
    ///
    /// `Overloaded` when there are as many as there may be.
    pub(super) fn compilation(self: &Rc<Self>) -> Result<Compiling, Error> {
        let count = self.compiling.get();
        if count == MOST_COMPILING {
            return Err(Error::overloaded(format!(
                "{count} calls of this executor wait for a compilation already"
            )));
        }
        self.compiling.set(count + 1);
        Ok(Compiling(self.clone()))
    }

    /// Counts `program` among those that are held, of whose machine code there may
    /// be `most` bytes; once, however often it is held.
    ///
    /// # Errors
    ///
    /// `Overloaded` when that is too much, or when there are as many as there may be.
    pub(super) fn hold(self: &Rc<Self>, program: &Program, most: usize) -> Result<Rc<Held>, Error> {
        let mut held = self.held.borrow_mut();
        if let Some(known) = held.get(&program.identity()).and_then(Weak::upgrade) {
            return Ok(known);
        }
        if held.len() == MOST_PROGRAMS {
            return Err(self.refused(format!("holds {MOST_PROGRAMS} programs already")));
        }
        let known = held.values().filter_map(Weak::upgrade);
        let sizes = known.map(|held| held.program.size());
        let code = sizes.fold(program.size(), usize::saturating_add);
        if code > most {
            return Err(self.refused(format!(
                "holds no more than {most} bytes of machine code, and with this program it \
                 would be {code}"
            )));
        }
        let new = Rc::new(Held {
            of: self.clone(),
            program: program.clone(),
        });
        held.insert(program.identity(), Rc::downgrade(&new));
        Ok(new)
    }

    /// Waits until no other compiles.
    pub(super) async fn turn(&self) -> SemaphoreGuardArc {
        self.turn.acquire_arc().await
    }

    fn refused(&self, why: String) -> Error {
        if let Some(cell) = &self.cell {
            cell.meter.refuse(Limit::Code);
        }
        Error::overloaded(format!("this executor {why}"))
    }
}

impl Held {
    pub(super) fn program(&self) -> &Program {
        &self.program
    }
}

impl Drop for Compiling {
    fn drop(&mut self) {
        self.0.compiling.update(|count| count - 1);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.held.borrow_mut().remove(&self.program.identity());
    }
}
