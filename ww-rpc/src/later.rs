use std::any::Any;
use std::cell::RefCell;

use crate::panics::Panics;

thread_local! {
    /// What is dropped when the poll of a vat is over; `None` outside of one.
    static LATER: RefCell<Option<Vec<Box<dyn Any>>>> = const { RefCell::new(None) };
}

/// Drops `value`: at once, or when the poll is over that a vat of this thread
/// is in.
///
/// capnp-rpc borrows its tables while it lets go of what a peer has released.
/// A server whose `Drop` calls that peer would find them borrowed, and panic.
pub fn drop_later(value: impl Any) {
    let value: Box<dyn Any> = Box::new(value);
    let at_once = LATER.try_with(|later| match &mut *later.borrow_mut() {
        Some(later) => {
            later.push(value);
            None
        }
        None => Some(value),
    });
    drop(at_once);
}

/// Runs `poll`, and then drops what was to be dropped later.
pub(crate) fn during<T>(poll: impl FnOnce() -> T) -> T {
    let outermost = LATER.with_borrow_mut(|later| match later {
        Some(_) => false,
        None => {
            *later = Some(Vec::new());
            true
        }
    });
    let _over = outermost.then_some(Over);
    poll()
}

/// The end of a poll, also where that panics.
struct Over;

impl Drop for Over {
    fn drop(&mut self) {
        let mut panics = Panics::default();
        while let Some(value) = LATER.with_borrow_mut(|later| later.as_mut()?.pop()) {
            // The rest is dropped all the same.
            panics.contain(|| drop(value));
        }
        LATER.set(None);
        panics.resume();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    use super::*;

    struct Breaks;

    impl Drop for Breaks {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    struct Dropped(Rc<Cell<u32>>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn a_drop_that_panics_keeps_nothing_from_being_dropped() {
        let dropped = Rc::<Cell<u32>>::default();
        let later = || drop_later(Dropped(dropped.clone()));
        let with_panics = || {
            during(|| {
                later();
                drop_later(Breaks);
                later();
                drop_later(Breaks);
            });
        };
        assert!(catch_unwind(AssertUnwindSafe(with_panics)).is_err());
        assert_eq!(dropped.get(), 2);
        during(later);
        assert_eq!(dropped.get(), 3);
        later();
        assert_eq!(dropped.get(), 4);
    }
}
