use std::collections::HashMap;
use std::rc::{Rc, Weak};

use capnp::private::capability::ClientHook;

use crate::hook::cross::Direction;
use crate::hook::wrapper::Wrapped;

/// The wrappers of one boundary that are alive, by what they wrap and by
/// themselves.
#[derive(Default)]
pub(crate) struct Registry {
    by_inner: HashMap<Key, Weak<Wrapped>>,
    by_ptr: HashMap<usize, Weak<Wrapped>>,
}

/// What makes two references the same capability. Unique while the inner
/// reference is held, which its wrapper does.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    brand: usize,
    ptr: usize,
    direction: Direction,
}

impl Key {
    pub(super) fn of(inner: &dyn ClientHook, direction: Direction) -> Self {
        Self {
            brand: inner.get_brand(),
            ptr: inner.get_ptr(),
            direction,
        }
    }

    pub(super) fn direction(&self) -> Direction {
        self.direction
    }
}

impl Registry {
    pub(super) fn find(&self, key: Key) -> Option<Rc<Wrapped>> {
        self.by_inner.get(&key)?.upgrade()
    }

    /// The wrapper that calls itself `ptr`.
    pub(super) fn recognise(&self, ptr: usize) -> Option<Rc<Wrapped>> {
        self.by_ptr.get(&ptr)?.upgrade()
    }

    pub(super) fn insert(&mut self, wrapped: &Rc<Wrapped>) {
        self.by_inner.insert(wrapped.key(), Rc::downgrade(wrapped));
        self.by_ptr.insert(wrapped.ptr(), Rc::downgrade(wrapped));
    }

    pub(super) fn remove(&mut self, wrapped: &Wrapped) {
        self.by_ptr.remove(&wrapped.ptr());
        // While this one was being dropped, another may have taken its key.
        if self
            .by_inner
            .get(&wrapped.key())
            .is_some_and(|known| known.strong_count() == 0)
        {
            self.by_inner.remove(&wrapped.key());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_ptr.len()
    }

    pub(super) fn into_wrapped(self) -> impl Iterator<Item = Rc<Wrapped>> {
        self.by_ptr
            .into_values()
            .filter_map(|wrapped| wrapped.upgrade())
    }
}
