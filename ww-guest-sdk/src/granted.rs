use std::cell::OnceCell;
use std::fmt;

use capnp::any_pointer;
use capnp::capability::FromClientHook;
use capnp::message::{Builder, HeapAllocator};
use capnp::private::capability::ClientHook;
use capnp::traits::{Imbue, ImbueMut, Owned};
use capnp::{Error, Result};
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::{executor, host};
use ww_rpc::stem_capnp::session;

/// What the session of a Wetware host grants. Calls on what the host left out
/// fail with kind `Failed`.
pub struct Wetware {
    /// The peer that runs the cell.
    pub host: host::Client,
    /// Runs further cells on that peer.
    pub executor: executor::Client,
}

/// The extension of a session, in a message of its own: an answer's bounds how
/// often it may be read.
pub(crate) struct Granted {
    message: Builder<HeapAllocator>,
    capabilities: Vec<Option<Box<dyn ClientHook>>>,
    /// Used where that is the extension.
    wetware: OnceCell<Wetware>,
}

impl Granted {
    pub(crate) fn copy<E: Owned + 'static>(session: session::Reader<'_, E>) -> Result<Self> {
        // A word for the root, and no more than what the whole session takes.
        let words = session.total_size()?.word_count + 1;
        let words = u32::try_from(words).map_err(|_| Error::failed("too large".into()))?;
        let mut message = Builder::new(HeapAllocator::new().first_segment_words(words));
        let mut capabilities = Vec::new();
        let mut root: any_pointer::Builder<'_> = message.get_root()?;
        root.imbue_mut(&mut capabilities);
        root.set_as::<E>(session.get_extension()?)?;
        Ok(Self {
            message,
            capabilities,
            wetware: OnceCell::new(),
        })
    }

    pub(crate) fn read<E: Owned>(&self) -> Result<E::Reader<'_>> {
        let mut root: any_pointer::Reader<'_> = self.message.get_root_as_reader()?;
        root.imbue(&self.capabilities);
        root.get_as()
    }

    pub(crate) fn wetware(&self) -> &Wetware {
        self.wetware.get_or_init(|| {
            let granted = self.read::<wetware_session::Owned>();
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
