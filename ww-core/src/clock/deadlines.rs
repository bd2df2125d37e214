use std::collections::BTreeMap;
use std::task::Waker;

/// Who is to be woken when, in order.
#[derive(Debug)]
pub(super) struct Deadlines<T> {
    wakers: BTreeMap<Key<T>, Waker>,
    next: u64,
}

/// A deadline, told apart from others at the same time.
pub(super) type Key<T> = (T, u64);

impl<T: Ord + Copy> Deadlines<T> {
    pub(super) const fn new() -> Self {
        Self {
            wakers: BTreeMap::new(),
            next: 0,
        }
    }

    pub(super) fn insert(&mut self, deadline: T, waker: Waker) -> Key<T> {
        let key = (deadline, self.next);
        self.next += 1;
        self.wakers.insert(key, waker);
        key
    }

    /// Hands back the waker, so that it is dropped outside the caller's lock.
    pub(super) fn remove(&mut self, key: &Key<T>) -> Option<Waker> {
        self.wakers.remove(key)
    }

    pub(super) fn first(&self) -> Option<T> {
        self.wakers.first_key_value().map(|(key, _)| key.0)
    }

    /// Takes the first waker whose deadline `now` has reached.
    pub(super) fn due(&mut self, now: T) -> Option<Waker> {
        if self.first()? <= now {
            self.wakers.pop_first().map(|(_, waker)| waker)
        } else {
            None
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }
}
