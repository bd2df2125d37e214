use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use capnp::Error;
use capnp::capability::FromClientHook;

use crate::membrane::WeakMembrane;
use crate::{Call, Membrane, Policy, Verdict};

/// Keeps the key of what was handed out: takes it back for a while, or for
/// good.
///
/// Clones are the same caretaker, which may look after any number of
/// membranes.
///
/// ```
/// use ww_membrane::policies::Caretaker;
/// # use ww_rpc::peer_capnp::executor;
/// # struct Echo;
/// # impl executor::Server for Echo {}
/// # let executor: executor::Client = capnp_rpc::new_client(Echo);
///
/// let (lent, caretaker) = Caretaker::lend(executor);
/// // `lent` is handed to somebody who shall have it for a while.
/// caretaker.revoke(capnp::Error::disconnected("it was lent for an hour".into()));
/// # let error = futures_lite::future::block_on(lent.echo_request().send().promise);
/// # assert!(error.is_err_and(|error| error.extra.contains("for an hour")));
/// ```
#[derive(Clone, Default)]
pub struct Caretaker {
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    /// Why calls are denied.
    refusal: Option<Error>,
    revoked: bool,
    /// Those that it is the policy of. They hold it, so it may not hold them.
    membranes: Vec<WeakMembrane>,
}

impl Caretaker {
    /// A caretaker that passes all calls, for now.
    pub fn new() -> Self {
        Self::default()
    }

    /// A forwarder to `inside`, and who may revoke it.
    pub fn lend<C: FromClientHook>(inside: C) -> (C, Self) {
        let caretaker = Self::new();
        let lent = Membrane::policed(caretaker.clone()).wrap(inside);
        (lent, caretaker)
    }

    /// Denies all calls with `error`, in both directions, until
    /// [`resume`](Self::resume). Calls in flight go on.
    pub fn suspend(&self, error: Error) {
        let mut state = self.state.borrow_mut();
        if !state.revoked {
            state.refusal = Some(error);
        }
    }

    /// Passes calls again, unless it was revoked.
    pub fn resume(&self) {
        let mut state = self.state.borrow_mut();
        if !state.revoked {
            state.refusal = None;
        }
    }

    /// Revokes every membrane that it is the policy of, as
    /// [`Membrane::revoke`] does, and those that it will be. Does nothing if it
    /// already has.
    pub fn revoke(&self, error: Error) {
        let membranes = {
            let mut state = self.state.borrow_mut();
            if std::mem::replace(&mut state.revoked, true) {
                return;
            }
            state.refusal = Some(error.clone());
            std::mem::take(&mut state.membranes)
        };
        for membrane in membranes.iter().filter_map(WeakMembrane::upgrade) {
            membrane.revoke(error.clone());
        }
    }

    fn refusal(&self) -> Option<Error> {
        self.state.borrow().refusal.clone()
    }
}

impl Policy for Caretaker {
    fn inbound(&self, _: &Call) -> Verdict {
        self.refusal().map_or_else(Verdict::pass, Verdict::deny)
    }

    fn outbound(&self, call: &Call) -> Verdict {
        self.inbound(call)
    }

    fn joined(&self, membrane: &Membrane) {
        let revoked = {
            let mut state = self.state.borrow_mut();
            if !state.revoked {
                let known = &mut state.membranes;
                if known.len() == known.capacity() {
                    known.retain(|known| known.upgrade().is_some());
                }
                known.push(membrane.downgrade());
                return;
            }
            state.refusal.clone()
        };
        if let Some(error) = revoked {
            membrane.revoke(error);
        }
    }

    fn describe(&self) -> String {
        let state = self.state.borrow();
        match (&state.refusal, state.revoked) {
            (None, _) => "revocable".to_owned(),
            (Some(error), false) => format!("suspended: {}", error.extra),
            (Some(error), true) => format!("revoked: {}", error.extra),
        }
    }
}

impl fmt::Debug for Caretaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Caretaker").field(&self.describe()).finish()
    }
}
