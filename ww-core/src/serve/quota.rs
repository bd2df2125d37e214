use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::iter;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use async_lock::{Semaphore, SemaphoreGuardArc};
use capnp::Error;

use crate::Program;
use crate::cell::{Limit, Limits, Shared};

/// The most programs that may be held. Each has mappings and a descriptor, which
/// are the whole process's.
const MOST_PROGRAMS: usize = 256;

/// What the executors of one cell's sessions have of the process together, and those of
/// the cells below it.
pub(crate) struct Quota {
    /// Told what it is refused.
    cell: Option<Arc<Shared>>,
    limits: Limits,
    /// What it counts for as well.
    above: Option<Rc<Self>>,
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
    _above: Option<Rc<Self>>,
}

impl Quota {
    /// What there is for executors that are no cell's.
    pub(super) fn new(limits: Limits) -> Self {
        Self::within(limits, None, None)
    }

    /// What there is for the executors of `cell`, which counts for `above`.
    pub(crate) fn of(cell: &Arc<Shared>, above: Option<Rc<Self>>) -> Self {
        Self::within(cell.limits, Some(cell.clone()), above)
    }

    fn within(limits: Limits, cell: Option<Arc<Shared>>, above: Option<Rc<Self>>) -> Self {
        Self {
            cell,
            limits,
            above,
            compiling: Cell::default(),
            turn: Arc::new(Semaphore::new(1)),
            held: RefCell::default(),
        }
    }

    /// This, and all that it counts for.
    fn all(self: &Rc<Self>) -> impl Iterator<Item = &Rc<Self>> {
        iter::successors(Some(self), |quota| quota.above.as_ref())
    }

    /// Reserves a place among the calls that compile, until what it answers is dropped.
    ///
    /// # Errors
    ///
    /// `Overloaded` when there are as many as there may be.
    pub(super) fn compilation(self: &Rc<Self>) -> Result<Vec<Compiling>, Error> {
        let place = |quota: &Rc<Self>| {
            let count = quota.compiling.get();
            if count >= quota.limits.compilations {
                return Err(quota.refused(
                    Limit::Compilations,
                    &format!("{count} of its calls wait for a compilation already"),
                ));
            }
            quota.compiling.set(count + 1);
            Ok(Compiling(quota.clone()))
        };
        self.all().map(place).collect()
    }

    /// Counts `program` among those that are held; once, however often it is held.
    ///
    /// # Errors
    ///
    /// `Overloaded` when that is too much machine code, or when there are as many as there
    /// may be.
    pub(super) fn hold(self: &Rc<Self>, program: &Program) -> Result<Rc<Held>, Error> {
        let known = self.held.borrow().get(&program.identity()).cloned();
        if let Some(known) = known.and_then(|known| known.upgrade()) {
            return Ok(known);
        }
        self.has_room_for(program)?;
        let above = self.above.as_ref().map(|above| above.hold(program));
        let new = Rc::new(Held {
            _above: above.transpose()?,
            of: self.clone(),
            program: program.clone(),
        });
        let mut held = self.held.borrow_mut();
        held.insert(program.identity(), Rc::downgrade(&new));
        Ok(new)
    }

    fn has_room_for(&self, program: &Program) -> Result<(), Error> {
        let held = self.held.borrow();
        if held.len() == MOST_PROGRAMS {
            let why = format!("{MOST_PROGRAMS} programs are held through it already");
            return Err(self.refused(Limit::Code, &why));
        }
        let known = held.values().filter_map(Weak::upgrade);
        let sizes = known.map(|held| held.program.size());
        let code = sizes.fold(program.size(), usize::saturating_add);
        let most = self.limits.code;
        if code > most {
            return Err(self.refused(
                Limit::Code,
                &format!(
                    "no more than {most} bytes of machine code may be held through it, and with \
                     this program it would be {code}"
                ),
            ));
        }
        Ok(())
    }

    /// Waits until no other of the family compiles, where each cell has one that asks.
    pub(super) async fn turn(self: &Rc<Self>) -> Vec<SemaphoreGuardArc> {
        let mut turns = Vec::new();
        for quota in self.all() {
            turns.push(quota.turn.acquire_arc().await);
        }
        turns
    }

    fn refused(&self, limit: Limit, why: &str) -> Error {
        if let Some(cell) = &self.cell {
            cell.meter.refuse(limit);
        }
        Error::overloaded(format!("the executor refuses: {why}"))
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
