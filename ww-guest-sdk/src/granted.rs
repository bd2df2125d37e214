use std::cell::{Cell, OnceCell};
use std::fmt;

use capnp::capability::{FromClientHook, Response};
use capnp::traits::Owned;
use capnp::{Error, Result};
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::{executor, host};
use ww_rpc::stem_capnp::membrane::graft_results;

/// What the session of a Wetware host grants. Calls on what the host left out
/// fail with kind `Failed`.
pub struct Wetware {
    /// The peer that runs the cell.
    pub host: host::Client,
    /// Runs further cells on that peer.
    pub executor: executor::Client,
}

/// The answer to a graft.
pub(crate) struct Granted<E: Owned> {
    answer: Response<graft_results::Owned<E>>,
    /// Used where that is the extension.
    wetware: OnceCell<Wetware>,
    /// The session has been found to be at its end.
    over: Cell<bool>,
}

impl<E: Owned + 'static> Granted<E> {
    pub(crate) fn new(answer: Response<graft_results::Owned<E>>) -> Self {
        Self {
            answer,
            wetware: OnceCell::new(),
            over: Cell::new(false),
        }
    }

    pub(crate) fn read(&self) -> Result<E::Reader<'_>> {
        self.answer.get()?.get_session()?.get_extension()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }

    pub(crate) fn end(&self) {
        self.over.set(true);
    }
}

impl Granted<wetware_session::Owned> {
    pub(crate) fn wetware(&self) -> &Wetware {
        self.wetware.get_or_init(|| {
            let granted = self.read();
            let host = granted.clone().and_then(|granted| granted.get_host());
            let executor = granted.and_then(|granted| granted.get_executor());
            Wetware {
                host: host.unwrap_or_else(|error| left_out("host", &error)),
                executor: executor.unwrap_or_else(|error| left_out("executor", &error)),
            }
        })
    }
}

fn left_out<C: FromClientHook>(name: &str, error: &Error) -> C {
    let error = Error::failed(format!("the session grants no {name}: {error}"));
    capnp_rpc::new_broken_cap(error).cast_to()
}

impl fmt::Debug for Wetware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wetware").finish_non_exhaustive()
    }
}
