use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use slab::Slab;

/// Wakes every task that listens, from any thread.
///
/// Carries no value: whoever is woken looks at the state that changed before
/// the signal was fired.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    fired: AtomicU64,
    wakers: Mutex<Slab<Waker>>,
}

/// One task's place at a [`Signal`]; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Listener {
    signal: Arc<Signal>,
    place: Option<(usize, Waker)>,
}

impl Signal {
    pub(crate) fn fire(&self) {
        self.fired.fetch_add(1, Ordering::Release);
        // Wakers run foreign code, so none runs under the lock.
        let wakers: Vec<Waker> = self.lock().iter().map(|(_, waker)| waker.clone()).collect();
        for waker in wakers {
            waker.wake();
        }
    }

    /// How often this was fired. Listen first, then ask, and no firing is
    /// missed.
    pub(crate) fn fired(&self) -> u64 {
        self.fired.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.fire();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.fire();
    }
}

impl Listener {
    pub(crate) fn new(signal: Arc<Signal>) -> Self {
        Self {
            signal,
            place: None,
        }
    }

    /// Has `waker` woken by every firing from now on, in place of the one
    /// given before.
    pub(crate) fn listen(&mut self, waker: &Waker) {
        if let Some((place, known)) = &mut self.place {
            if known.will_wake(waker) {
                return;
            }
            let old = std::mem::replace(&mut self.signal.lock()[*place], waker.clone());
            drop(old);
            *known = waker.clone();
            return;
        }
        let place = self.signal.lock().insert(waker.clone());
        self.place = Some((place, waker.clone()));
    }

    pub(crate) fn stop(&mut self) {
        if let Some((place, _)) = self.place.take() {
            let old = self.signal.lock().try_remove(place);
            drop(old);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}
