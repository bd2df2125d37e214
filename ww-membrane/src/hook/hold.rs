use std::cell::{Cell, RefCell};
use std::ops::Deref;

use capnp::private::capability::ClientHook;

/// How many are dropped from within one another. What lies deeper waits until
/// the outermost one has been dropped.
const NESTED: usize = 32;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static WAITING: RefCell<Vec<Box<dyn ClientHook>>> = const { RefCell::new(Vec::new()) };
}

/// A reference to a capability, which takes little of the stack to drop.
///
/// A peer can resolve a promise to an answer that holds its next promise, and
/// so on without end. Dropping the first would drop all others from within one
/// another, if one of these did not stand between each two of them.
pub(super) struct Hold(Option<Box<dyn ClientHook>>);

impl Hold {
    pub(super) fn new(hook: Box<dyn ClientHook>) -> Self {
        Self(Some(hook))
    }
}

impl Deref for Hold {
    type Target = dyn ClientHook;

    fn deref(&self) -> &Self::Target {
        self.0.as_deref().expect("present until it is dropped")
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Some(mut hook) = self.0.take() else {
            return;
        };
        let depth = DEPTH.get();
        if depth == NESTED {
            // A thread that is ending has no list any more.
            let _ = WAITING.try_with(|waiting| waiting.borrow_mut().push(hook));
            return;
        }
        let _nested = Nested(depth);
        DEPTH.set(depth + 1);
        loop {
            drop(hook);
            if depth > 0 {
                return;
            }
            let next = WAITING.try_with(|waiting| waiting.borrow_mut().pop());
            let Ok(Some(next)) = next else {
                return;
            };
            hook = next;
        }
    }
}

/// Goes back to a depth, also when a drop panics.
struct Nested(usize);

impl Drop for Nested {
    fn drop(&mut self) {
        DEPTH.set(self.0);
    }
}
