use std::cell::RefCell;
use std::rc::{Rc, Weak};

use capnp::private::capability::ClientHook;
use rustc_hash::FxHashMap;

use crate::hook::boundary::Boundary;
use crate::hook::returned::Cover;

/// The covers of promises that have gone back, of one root.
#[derive(Default)]
pub(super) struct Covers(RefCell<FxHashMap<Covered, Weak<Cover>>>);

/// What makes two references the same promise beneath one boundary. Unique while its
/// cover holds the promise, and this has to go before that lets go of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Covered {
    brand: usize,
    ptr: usize,
    boundary: usize,
}

impl Covered {
    pub(super) fn of(promise: &dyn ClientHook, boundary: &Rc<Boundary>) -> Self {
        Self {
            brand: promise.get_brand(),
            ptr: promise.get_ptr(),
            boundary: Rc::as_ptr(boundary) as usize,
        }
    }
}

impl Covers {
    pub(super) fn find(&self, covered: Covered) -> Option<Rc<Cover>> {
        self.0.borrow().get(&covered)?.upgrade()
    }

    pub(super) fn insert(&self, covered: Covered, cover: &Rc<Cover>) {
        let known = Rc::downgrade(cover);
        self.0.borrow_mut().insert(covered, known);
    }

    pub(super) fn remove(&self, covered: Covered) {
        self.0.borrow_mut().remove(&covered);
    }

    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}
