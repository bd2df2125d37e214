use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use slab::Slab;
use ww_rpc::Panics;

use crate::adrift::Adrift;
use crate::hook::{Boundary, Over, Stream};
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
    /// Streams with calls under way on capabilities that nobody holds.
    adrift: Adrift<Over>,
}

thread_local! {
    /// Capabilities never change thread, so neither do boundaries.
    static BOUNDARIES: Boundaries = Boundaries::default();
}

pub(crate) fn signal() -> Arc<Signal> {
    BOUNDARIES.with(|boundaries| boundaries.signal.clone())
}

/// Fired when [`sweep`] may let go of what was set adrift.
pub(crate) fn adrift() -> Arc<Signal> {
    BOUNDARIES.with(|boundaries| boundaries.adrift.signal().clone())
}

pub(crate) fn enter(boundary: Weak<Boundary>) -> Place {
    BOUNDARIES.with(|boundaries| boundaries.places.borrow_mut().insert(boundary))
}

pub(crate) fn leave(place: Place) {
    // A thread that is ending may have dropped the table before the boundary.
    let _ = BOUNDARIES.try_with(|boundaries| boundaries.places.borrow_mut().try_remove(place));
}

/// Keeps `stream` until its calls are over.
///
/// They are looked after by the thread's [`Reaper`](crate::Reaper)s, and
/// whenever another one is set adrift.
pub(crate) fn set_adrift(stream: Rc<Stream>) {
    if stream.settle() {
        return;
    }
    // A thread that is ending lets go of it at once.
    let _ = BOUNDARIES.try_with(|boundaries| {
        let mut panics = Panics::default();
        boundaries.adrift.set(stream.over());
        boundaries.adrift.settle(&mut panics);
        panics.resume();
    });
}

/// Lets go of what was set adrift and is over, and ends those boundaries of this
/// thread whose epoch has passed, once for each firing of the signal, however many
/// ask. What panics in one keeps none of the others from it.
pub(crate) fn sweep(fired: u64) {
    let mut panics = Panics::default();
    let boundaries: Vec<Rc<Boundary>> = BOUNDARIES.with(|boundaries| {
        boundaries.adrift.settle(&mut panics);
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
        panics.contain(move || {
            // A boundary that is stale falls when it is asked.
            let _ = boundary.check();
        });
    }
    panics.resume();
}
