use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use slab::Slab;

use crate::hook::Boundary;
use crate::signal::Signal;

/// A boundary's place among those of its thread.
pub(crate) type Place = usize;

#[derive(Default)]
struct Boundaries {
    /// Fired when an epoch passes under which this thread has sessions.
    signal: Arc<Signal>,
    /// How often that had been fired at the last sweep.
    swept: Cell<u64>,
    places: RefCell<Slab<Weak<Boundary>>>,
}

thread_local! {
    /// Capabilities never change thread, so neither do boundaries.
    static BOUNDARIES: Boundaries = Boundaries::default();
}

pub(crate) fn signal() -> Arc<Signal> {
    BOUNDARIES.with(|boundaries| boundaries.signal.clone())
}

pub(crate) fn enter(boundary: Weak<Boundary>) -> Place {
    BOUNDARIES.with(|boundaries| boundaries.places.borrow_mut().insert(boundary))
}

pub(crate) fn leave(place: Place) {
    // A thread that is ending may have dropped the table before the boundary.
    let _ = BOUNDARIES.try_with(|boundaries| boundaries.places.borrow_mut().try_remove(place));
}

/// Ends those boundaries of this thread whose epoch has passed, once for each
/// firing of the signal, however many ask.
pub(crate) fn sweep(fired: u64) {
    let boundaries: Vec<Rc<Boundary>> = BOUNDARIES.with(|boundaries| {
        if boundaries.swept.replace(fired) == fired {
            return Vec::new();
        }
        let places = boundaries.places.borrow();
        places
            .iter()
            .filter_map(|(_, boundary)| boundary.upgrade())
            .collect()
    });
    for boundary in boundaries {
        // A boundary that is stale falls when it is asked.
        let _ = boundary.check();
    }
}
