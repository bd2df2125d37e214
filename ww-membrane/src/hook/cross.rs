use std::rc::Rc;

use capnp::Error;
use capnp::private::capability::ClientHook;

use crate::hook::boundary::Boundary;
use crate::hook::broken;
use crate::hook::registry::Key;
use crate::hook::wrapper::{Wrapped, Wrapper};

/// How many resolutions of a promise are followed. A longer chain is broken;
/// a hostile peer can make it endless.
pub(super) const RESOLUTIONS: usize = 64;

/// Which way a capability crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    /// From inside to outside: answers of calls from outside.
    Outward,
    /// From outside to inside: parameters of calls from outside.
    Inward,
}

impl Direction {
    pub(super) fn reverse(self) -> Self {
        match self {
            Self::Outward => Self::Inward,
            Self::Inward => Self::Outward,
        }
    }
}

/// Carries a capability across the boundary: the only place where one is
/// wrapped or unwrapped.
///
/// One that had crossed the other way is unwrapped to the original, one that
/// is wrapped already stays as it is, and any other gets the wrapper that
/// stands for it.
pub(crate) fn cross(
    boundary: &Rc<Boundary>,
    direction: Direction,
    hook: Box<dyn ClientHook>,
) -> Box<dyn ClientHook> {
    if let Err(error) = boundary.check() {
        return broken::client(error);
    }
    let Some(hook) = resolved(hook) else {
        return broken::client(Error::failed(format!(
            "promise resolved {RESOLUTIONS} times without settling"
        )));
    };
    if hook.get_brand() == boundary.brand() {
        let known = boundary.registry.borrow().recognise(hook.get_ptr());
        return match known {
            Some(wrapped) if wrapped.key().direction() != direction => {
                wrapped.target().unwrap_or_else(broken::client)
            }
            _ => hook,
        };
    }
    let key = Key::of(&*hook, direction);
    let known = boundary.registry.borrow().find(key);
    Box::new(match known {
        // `hook` is dropped at the end, with no borrow held.
        Some(wrapped) => Wrapper::new(wrapped),
        None => {
            let wrapped = Wrapped::new(boundary, key, hook);
            boundary.registry.borrow_mut().insert(&wrapped);
            Wrapper::new(wrapped)
        }
    })
}

/// Follows resolutions to the end, or answers `None` where there is none in
/// sight.
fn resolved(mut hook: Box<dyn ClientHook>) -> Option<Box<dyn ClientHook>> {
    for _ in 0..=RESOLUTIONS {
        match hook.get_resolved() {
            Some(next) => hook = next,
            None => return Some(hook),
        }
    }
    None
}
