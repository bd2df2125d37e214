use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::iter;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use async_lock::{Mutex, MutexGuardArc};
use capnp::Error;

use crate::Program;
use crate::cell::{Limit, Limits, Shared};

/// What a program counts at least, in bytes of machine code. Each has mappings and a
/// descriptor, which are the whole process's.
const LEAST: usize = 1 << 20;

/// What the executors of one cell's sessions have of the process together, and those of
/// the cells below it.
pub(crate) struct Quota {
    /// Told what it is refused, and what is refused below it for its limits.
    cell: Option<Arc<Shared>>,
    limits: Limits,
    /// What it counts for as well.
    above: Option<Rc<Self>>,
    compiling: Cell<usize>,
    /// Lookups of images that are under way.
    looking: Cell<usize>,
    /// One image that is read at a time.
    reading: Arc<Mutex<()>>,
    /// One call of the cell's own at a time, which may wait for the family's turn.
    turn: Arc<Mutex<()>>,
    /// One compilation at a time of the cell and those below it, so that others' code is
    /// compiled as well. Whoever has waited for long has it before those that come later.
    family: Arc<Mutex<()>>,
    /// Programs that are held, by what they are known as.
    held: RefCell<HashMap<usize, Weak<Held>>>,
}

/// A place among the calls that compile, until this is dropped.
pub(super) struct Compiling(Rc<Quota>);

/// An image is looked for, until this is dropped.
pub(super) struct Looking(Rc<Quota>);

/// It is the turn of somebody, until this is dropped.
pub(super) struct Turn(Vec<MutexGuardArc<()>>);

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
            looking: Cell::default(),
            reading: Arc::default(),
            turn: Arc::default(),
            family: Arc::default(),
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
        let is_full = |quota: &&Rc<Self>| quota.compiling.get() >= quota.limits.compilations;
        if let Some(full) = self.all().find(is_full) {
            let most = full.limits.compilations;
            let why = format!("{most} of its calls wait for a compilation already");
            return Err(self.refused(Limit::Compilations, full, &why));
        }
        let place = |quota: &Rc<Self>| {
            quota.compiling.update(|count| count + 1);
            Compiling(quota.clone())
        };
        Ok(self.all().map(place).collect())
    }

    /// Reserves a place among the calls that look for an image, as many as may wait for a
    /// compilation, until what it answers is dropped.
    ///
    /// # Errors
    ///
    /// `Overloaded` when there are as many as there may be.
    pub(super) fn lookup(self: &Rc<Self>) -> Result<Looking, Error> {
        let most = self.limits.compilations;
        if self.looking.get() >= most {
            let why = format!("{most} of its calls look for an image already");
            return Err(self.refused(Limit::Compilations, self, &why));
        }
        self.looking.update(|count| count + 1);
        Ok(Looking(self.clone()))
    }

    /// Counts `program` among those that are held; once, however often it is held.
    ///
    /// # Errors
    ///
    /// `Overloaded` when that is too much machine code.
    pub(super) fn hold(self: &Rc<Self>, program: &Program) -> Result<Rc<Held>, Error> {
        // Where one holds it, so do all above.
        let mut new = self
            .all()
            .take_while(|quota| quota.known(program).is_none());
        let full = new.find_map(|quota| {
            let code = quota.with(program);
            (code > quota.limits.code).then_some((quota, code))
        });
        if let Some((full, code)) = full {
            let most = full.limits.code;
            let why = format!(
                "no more than {most} bytes of machine code may be held through it, and with this \
                 program it would be {code}"
            );
            return Err(self.refused(Limit::Code, full, &why));
        }
        Ok(self.take(program))
    }

    fn take(self: &Rc<Self>, program: &Program) -> Rc<Held> {
        if let Some(known) = self.known(program) {
            return known;
        }
        let new = Rc::new(Held {
            _above: self.above.as_ref().map(|above| above.take(program)),
            of: self.clone(),
            program: program.clone(),
        });
        let mut held = self.held.borrow_mut();
        held.insert(program.identity(), Rc::downgrade(&new));
        new
    }

    fn known(&self, program: &Program) -> Option<Rc<Held>> {
        let held = self.held.borrow();
        held.get(&program.identity()).and_then(Weak::upgrade)
    }

    /// Bytes of machine code that are held, and those of `program`.
    fn with(&self, program: &Program) -> usize {
        let counts = |program: &Program| program.size().max(LEAST);
        let held = self.held.borrow();
        let known = held.values().filter_map(Weak::upgrade);
        let sizes = known.map(|held| counts(&held.program));
        sizes.fold(counts(program), usize::saturating_add)
    }

    /// Waits for a turn among the calls of one cell that read an image.
    pub(super) async fn reading(&self) -> Turn {
        Turn(vec![self.reading.lock_arc().await])
    }

    /// Waits for a turn among the calls of one cell that compile.
    pub(super) async fn turn(&self) -> Turn {
        Turn(vec![self.turn.lock_arc().await])
    }

    /// Waits for a turn of the cell's in its family, in which each has one at the most
    /// that waits.
    pub(super) async fn lead(self: &Rc<Self>, mut turn: Turn) -> Turn {
        for quota in self.all() {
            turn.0.push(quota.family.lock_arc().await);
        }
        turn
    }

    /// Tells who is refused, and whose limit it is.
    fn refused(&self, limit: Limit, full: &Self, why: &str) -> Error {
        if let Some(cell) = &self.cell {
            cell.meter.refuse(limit);
        }
        if let Some(cell) = &full.cell
            && !std::ptr::eq(self, full)
        {
            cell.meter.refuse_below(limit);
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

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.looking.update(|count| count - 1);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.held.borrow_mut().remove(&self.program.identity());
    }
}
