use std::cell::RefCell;
use std::rc::{Rc, Weak};

use capnp::private::capability::ClientHook;
use rustc_hash::FxHashMap;

use crate::Held;
use crate::hook::covers::Covers;
use crate::hook::cross::Direction;
use crate::hook::wrapper::Wrapped;

/// The wrappers of one boundary that are alive, by what they wrap.
#[derive(Default)]
pub(crate) struct Registry {
    by_inner: FxHashMap<Key, Weak<Wrapped>>,
}

thread_local! {
    /// Those of this thread, by brand.
    static ROOTS: RefCell<FxHashMap<usize, Weak<Root>>> = RefCell::default();
}

/// What boundaries share that unwrap each other's capabilities: all their
/// wrappers that are alive, by what those call themselves.
#[derive(Default)]
pub(crate) struct Root {
    by_ptr: RefCell<FxHashMap<usize, Weak<Wrapped>>>,
    covers: Covers,
}

/// What makes two references the same capability. Unique while the inner
/// reference is held, which its wrapper does.
///
/// Addresses, here and above, for capnp-rpc's hooks and ours: a peer decides at
/// most which of them stay, so a hash that is quick and known will do.
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

    pub(super) fn insert(&mut self, wrapped: &Rc<Wrapped>) {
        self.by_inner.insert(wrapped.key(), Rc::downgrade(wrapped));
    }

    /// Answers whether it was there.
    pub(super) fn remove(&mut self, wrapped: &Wrapped) -> bool {
        // While this one was being dropped, another may have taken its key.
        let known = self.by_inner.get(&wrapped.key());
        let known = known.is_some_and(|known| known.strong_count() == 0);
        if known {
            self.by_inner.remove(&wrapped.key());
        }
        known
    }

    pub(super) fn len(&self) -> usize {
        self.by_inner.len()
    }

    /// What can be seen of the wrappers that are alive.
    pub(super) fn list(&self) -> impl Iterator<Item = Held> {
        self.by_inner
            .values()
            .filter_map(|wrapped| Some(wrapped.upgrade()?.seen()))
    }

    pub(super) fn into_wrapped(self) -> impl Iterator<Item = Rc<Wrapped>> {
        self.by_inner
            .into_values()
            .filter_map(|wrapped| wrapped.upgrade())
    }
}

impl Root {
    /// One that its thread knows.
    pub(super) fn new() -> Rc<Self> {
        let root = Rc::<Self>::default();
        let known = Rc::downgrade(&root);
        ROOTS.with(|roots| roots.borrow_mut().insert(root.brand(), known));
        root
    }

    /// The wrapper that a capability is, whatever its boundary.
    pub(super) fn find(hook: &dyn ClientHook) -> Option<Rc<Wrapped>> {
        let root = ROOTS.with(|roots| roots.borrow().get(&hook.get_brand())?.upgrade());
        root?.recognise(hook.get_ptr())
    }

    /// The wrapper that calls itself `ptr`.
    pub(super) fn recognise(&self, ptr: usize) -> Option<Rc<Wrapped>> {
        self.by_ptr.borrow().get(&ptr)?.upgrade()
    }

    pub(super) fn insert(&self, wrapped: &Rc<Wrapped>) {
        let known = Rc::downgrade(wrapped);
        self.by_ptr.borrow_mut().insert(wrapped.ptr(), known);
    }

    pub(super) fn remove(&self, wrapped: &Wrapped) {
        self.by_ptr.borrow_mut().remove(&wrapped.ptr());
    }

    pub(super) fn covers(&self) -> &Covers {
        &self.covers
    }

    /// Tells the wrappers of these boundaries from all other capabilities: no
    /// other root or connection has this address while this one lives.
    pub(super) fn brand(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // A thread that is ending may have no list any more.
        let _ = ROOTS.try_with(|roots| roots.borrow_mut().remove(&self.brand()));
    }
}
