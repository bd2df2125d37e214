use std::cell::Cell;
use std::rc::Rc;

use capnp::private::capability::ClientHook;

use crate::hook::boundary::Boundary;
use crate::hook::broken;
use crate::hook::registry::{Key, Root};
use crate::hook::returned::Returned;
use crate::hook::wrapper::{Wrapped, Wrapper};

/// How many resolutions of a promise are followed, and wrappers around one
/// another. A longer chain is broken; a hostile peer can make it endless.
pub(super) const RESOLUTIONS: usize = 64;

/// Which way something crosses a [`Membrane`](crate::Membrane).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From inside to outside: answers of calls from outside.
    Outward,
    /// From outside to inside: parameters of calls from outside.
    Inward,
}

impl Direction {
    pub(crate) fn reverse(self) -> Self {
        match self {
            Self::Outward => Self::Inward,
            Self::Inward => Self::Outward,
        }
    }
}

/// Carries a capability across the boundary: the only place where one is
/// wrapped or unwrapped.
///
/// One that had crossed the other way, by this boundary or another of the same
/// root, is unwrapped to the original; one that this boundary has wrapped
/// already stays as it is, as does what any has, where this one is the outermost;
/// and any other gets the wrapper that stands for it.
pub(crate) fn cross(
    boundary: &Rc<Boundary>,
    direction: Direction,
    hook: Box<dyn ClientHook>,
) -> Box<dyn ClientHook> {
    if let Err(error) = boundary.check() {
        return broken::client(error);
    }
    let Some(hook) = resolved(hook) else {
        return broken::endless();
    };
    if hook.get_brand() == boundary.root().brand() {
        match boundary.root().recognise(hook.get_ptr()) {
            Some(wrapped) if wrapped.key().direction() != direction => {
                return wrapped
                    .target()
                    .map_or_else(broken::client, |target| Returned::cover(target, boundary));
            }
            // That of a sibling's is wrapped once more, to fall with both.
            Some(wrapped) if !Rc::ptr_eq(wrapped.boundary(), boundary) => {}
            // Of a boundary that has fallen, where it is not known any more.
            _ => return hook,
        }
    }
    if boundary.is_outermost() && direction == Direction::Outward && is_let_out(&*hook) {
        return hook;
    }
    let key = Key::of(&*hook, direction);
    let known = boundary.registry.borrow().find(key);
    Box::new(match known {
        // `hook` is dropped at the end, with no borrow held.
        Some(wrapped) => Wrapper::new(wrapped),
        None => Wrapper::new(Wrapped::new(boundary, key, hook)),
    })
}

/// Whether it is behind a boundary already, for those outside of that.
fn is_let_out(hook: &dyn ClientHook) -> bool {
    Root::find(hook).is_some_and(|wrapped| wrapped.key().direction() == Direction::Outward)
}

/// Follows resolutions to the end, or answers `None` where there is none in
/// sight.
///
/// A resolution that leads through wrappers follows those from within, so the
/// bound is one for all of them on this thread.
pub(super) fn resolved(mut hook: Box<dyn ClientHook>) -> Option<Box<dyn ClientHook>> {
    let depth = Depth::enter()?;
    for _ in depth.0..=RESOLUTIONS {
        match hook.get_resolved() {
            Some(next) => hook = next,
            None => return Some(hook),
        }
    }
    None
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// How many resolutions are being followed from within one another.
pub(super) struct Depth(usize);

impl Depth {
    /// One more, unless there are too many.
    pub(super) fn enter() -> Option<Self> {
        let depth = DEPTH.get();
        (depth < RESOLUTIONS).then(|| {
            DEPTH.set(depth + 1);
            Self(depth)
        })
    }
}

impl Drop for Depth {
    fn drop(&mut self) {
        DEPTH.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use capnp::any_pointer;
    use capnp::capability::{Promise, Request};
    use capnp::private::capability::{ParamsHook, ResultsHook};
    use capnp::{Error, ErrorKind, MessageSize};

    use super::*;

    /// A promise that has resolved to a promise that has resolved, for as many
    /// times as are left; for ever without a number.
    #[derive(Clone)]
    struct Chain(Option<usize>);

    impl ClientHook for Chain {
        fn add_ref(&self) -> Box<dyn ClientHook> {
            Box::new(self.clone())
        }
        fn new_call(
            &self,
            _: u64,
            _: u16,
            _: Option<MessageSize>,
        ) -> Request<any_pointer::Owned, any_pointer::Owned> {
            Request::new(broken::request(Error::overloaded("reached".into())))
        }
        fn call(
            &self,
            _: u64,
            _: u16,
            _: Box<dyn ParamsHook>,
            _: Box<dyn ResultsHook>,
        ) -> Promise<(), Error> {
            Promise::err(Error::overloaded("reached".into()))
        }
        fn get_brand(&self) -> usize {
            1
        }
        fn get_ptr(&self) -> usize {
            self.0.unwrap_or(usize::MAX)
        }
        fn get_resolved(&self) -> Option<Box<dyn ClientHook>> {
            match self.0 {
                None => Some(self.add_ref()),
                Some(0) => None,
                Some(left) => Some(Box::new(Self(Some(left - 1)))),
            }
        }
        fn when_more_resolved(&self) -> Option<Promise<Box<dyn ClientHook>, Error>> {
            self.get_resolved().map(Promise::ok)
        }
        fn when_resolved(&self) -> Promise<(), Error> {
            Promise::ok(())
        }
    }

    #[test]
    fn resolutions_are_followed_to_a_bound() {
        for (chain, reached) in [
            (Some(0), true),
            (Some(1), true),
            (Some(RESOLUTIONS), true),
            (Some(RESOLUTIONS + 1), false),
            (None, false),
        ] {
            let boundary = Boundary::new(None, None);
            let wrapper = cross(&boundary, Direction::Outward, Box::new(Chain(chain)));
            assert!(wrapper.get_resolved().is_none());
            let sent = wrapper.new_call(0, 0, None).send();
            let error = futures_lite::future::block_on(sent.promise).err();
            let kind = if reached {
                ErrorKind::Overloaded
            } else {
                ErrorKind::Failed
            };
            assert_eq!(error.map(|error| error.kind), Some(kind), "{chain:?}");
            futures_lite::future::block_on(wrapper.when_resolved()).unwrap();
        }
    }
}
