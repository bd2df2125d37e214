use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;

use slab::Slab;
use ww_rpc::Panics;

use crate::hook::{Boundary, Stream};
use crate::signal::{Listener, Signal};

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
    adrift: RefCell<Vec<Adrift>>,
}

struct Adrift {
    stream: Rc<Stream>,
    /// Has the thread's reapers look after it.
    _listener: Listener,
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
        settle_adrift(boundaries, &mut panics);
        let mut listener = Listener::new(stream.signal().clone());
        listener.listen(&Waker::from(boundaries.signal.clone()));
        // What was over by then has woken nobody.
        if !stream.settle() {
            boundaries.adrift.borrow_mut().push(Adrift {
                stream,
                _listener: listener,
            });
        }
        panics.resume();
    });
}

fn settle_adrift(boundaries: &Boundaries, panics: &mut Panics) {
    for adrift in boundaries.adrift.take() {
        // One that panics has lost its calls.
        let mut over = true;
        panics.contain(|| over = adrift.stream.settle());
        if over {
            panics.contain(|| drop(adrift));
        } else {
            boundaries.adrift.borrow_mut().push(adrift);
        }
    }
}

/// Ends those boundaries of this thread whose epoch has passed, once for each
/// firing of the signal, however many ask. What panics in one keeps none of the
/// others from it.
pub(crate) fn sweep(fired: u64) {
    let mut panics = Panics::default();
    let boundaries: Vec<Rc<Boundary>> = BOUNDARIES.with(|boundaries| {
        if boundaries.swept.replace(fired) == fired {
            return Vec::new();
        }
        settle_adrift(boundaries, &mut panics);
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
