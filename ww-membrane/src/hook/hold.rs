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

/// Does `work` as if nothing were being dropped, so that what it drops is gone
/// when it returns, wherever it was begun.
pub(super) fn afresh<T>(work: impl FnOnce() -> T) -> T {
    let _nested = Nested(DEPTH.replace(0));
    work()
}

/// Goes back to a depth, also when a drop panics.
struct Nested(usize);

impl Drop for Nested {
    fn drop(&mut self) {
        DEPTH.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use capnp::capability::FromClientHook;
    use ww_rpc::peer_capnp::host;

    use super::*;

    /// Does something when it is dropped, and drops the next one.
    struct Link {
        first: Box<dyn Fn()>,
        _next: Option<Hold>,
    }

    impl host::Server for Link {}

    impl Drop for Link {
        fn drop(&mut self) {
            (self.first)();
        }
    }

    fn link(first: impl Fn() + 'static, next: Option<Hold>) -> Hold {
        let client: host::Client = capnp_rpc::new_client(Link {
            first: Box::new(first),
            _next: next,
        });
        Hold::new(client.into_client_hook())
    }

    #[test]
    fn a_chain_of_any_length_is_dropped_whole() {
        let dropped = Rc::new(Cell::new(0));
        let mut chain = None;
        for _ in 0..100_000 {
            let dropped = dropped.clone();
            chain = Some(link(move || dropped.set(dropped.get() + 1), chain));
        }
        drop(chain);
        assert_eq!(dropped.get(), 100_000);
    }

    #[test]
    fn what_is_dropped_afresh_is_gone_at_once_however_deep() {
        let told = Rc::new(Cell::new(0));
        let tell = told.clone();
        let within = move || {
            let dropped = Rc::new(Cell::new(false));
            let noted = dropped.clone();
            afresh(|| drop(link(move || noted.set(true), None)));
            assert!(dropped.get());
            tell.set(tell.get() + 1);
        };
        let within: Rc<dyn Fn()> = Rc::new(within);
        let mut chain = None;
        for _ in 0..2 * NESTED {
            let within = within.clone();
            chain = Some(link(move || within(), chain));
        }
        drop(chain);
        assert_eq!(told.get(), 2 * NESTED);
    }
}
