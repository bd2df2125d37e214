use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::error::Error;
use crate::mappings::Mappings;

/// Mappings that a place in the pool comes to have: a stack and the guard below
/// it from the start; a memory's image, what that does not cover, and what is
/// not accessible yet, once a cell was there.
const PLACE: usize = 6;

/// Mappings that a place has at most on average, after cells of many different
/// programs were there: the kernel does not merge all that was split for them.
const WORN_PLACE: usize = 7;

/// The largest pool that is counted as worn. A process with the usual limit has
/// no room for a worn pool of 10,000; see [`RuntimeBuilder::cells`].
///
/// [`RuntimeBuilder::cells`]: crate::RuntimeBuilder::cells
const WORN_POOL: u32 = 8_000;

/// Mappings that a cell allocated on demand takes besides its memories: a stack
/// and its guard.
const ON_DEMAND: usize = 2;

/// Mappings of a memory that is allocated on demand: the guard before it, its
/// image, what that does not cover on either side, and what is not accessible
/// yet. The kernel merges some of them with those of neighbours, if it can.
const MEMORY: usize = 5;

/// How many cells a runtime has, and has room for.
#[derive(Debug)]
pub(crate) struct Room {
    pool: u32,
    pooled: AtomicU32,
    cells: AtomicUsize,
}

/// A cell's share of the room, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    room: Arc<Room>,
    /// Its own, where it is not in the pool.
    mappings: Option<Mappings>,
}

/// How much of a runtime is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Occupancy {
    /// Cells that are alive, those included that are prepared and not started.
    pub cells: usize,
    /// How many of them are in the pool.
    pub pooled: u32,
    /// Places of the pool, taken or not.
    pub pool: u32,
}

impl Room {
    /// Room with a pool of `cells` places.
    pub(crate) fn new(cells: u32) -> Self {
        Self {
            pool: cells,
            pooled: AtomicU32::new(0),
            cells: AtomicUsize::new(0),
        }
    }

    /// Sets aside what a pool of `cells` places has of mappings.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] when the process may not have as many.
    pub(crate) fn places(cells: u32) -> Result<Mappings, Error> {
        let each = if cells <= WORN_POOL {
            WORN_PLACE
        } else {
            PLACE
        };
        Mappings::take((cells as usize).saturating_mul(each))
    }

    /// A place in the pool. `None` when all are taken.
    pub(crate) fn pooled(self: &Arc<Self>) -> Option<Seat> {
        let taken = self
            .pooled
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < self.pool).then_some(taken + 1)
            });
        taken.is_ok().then(|| self.seat(None))
    }

    /// Room for a cell with `memories` linear memories outside the pool.
    ///
    /// # Errors
    ///
    /// [`Error::Full`].
    pub(crate) fn on_demand(self: &Arc<Self>, memories: usize) -> Result<Seat, Error> {
        let mappings = Mappings::take(ON_DEMAND.saturating_add(memories.saturating_mul(MEMORY)))?;
        Ok(self.seat(Some(mappings)))
    }

    fn seat(self: &Arc<Self>, mappings: Option<Mappings>) -> Seat {
        self.cells.fetch_add(1, Ordering::Relaxed);
        Seat {
            room: self.clone(),
            mappings,
        }
    }

    pub(crate) fn occupancy(&self) -> Occupancy {
        Occupancy {
            cells: self.cells.load(Ordering::Relaxed),
            pooled: self.pooled.load(Ordering::Relaxed),
            pool: self.pool,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.cells.fetch_sub(1, Ordering::Relaxed);
        if self.mappings.is_none() {
            self.room.pooled.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
