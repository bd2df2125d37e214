use std::rc::Rc;

use crate::hook::boundary::Boundary;

/// Something that holds references to the inside of a boundary.
pub(super) trait Release {
    /// Lets go of them. Runs foreign `Drop`s, which may wrap, call or revoke.
    fn release(&self);

    /// Wakes who waits for them, once all holders have let go: a waker is
    /// foreign code, and may panic.
    fn wake(&self) {}
}

/// A place among the holders of a boundary. Dropping it gives it back.
pub(super) struct Place {
    boundary: Rc<Boundary>,
    key: usize,
}

impl Place {
    pub(super) fn new(boundary: Rc<Boundary>, key: usize) -> Self {
        Self { boundary, key }
    }

    pub(super) fn boundary(&self) -> &Rc<Boundary> {
        &self.boundary
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.boundary.take_back(self.key);
    }
}
