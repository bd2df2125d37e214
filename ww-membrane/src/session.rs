use capnp::traits::Owned;
use libp2p_identity::PeerId;

use crate::{Epoch, Guard, Membrane};

/// Fills the extension of each session that a membrane server grants.
///
/// - `build` is called once for each session, on the thread of the membrane
///   server, and may not wait.
/// - Every capability it puts into `ext`, and every capability reached through
///   one of them, dies with the session; no server need check the epoch.
/// - An error refuses the graft and is what the caller sees.
///
/// Closures of the same shape are builders too.
pub trait SessionExtensionBuilder<Ext: Owned>: 'static {
    /// Fills `ext` for `session`.
    ///
    /// # Errors
    ///
    /// Whatever kept the extension from being built.
    fn build(
        &self,
        session: &SessionContext,
        ext: <Ext as Owned>::Builder<'_>,
    ) -> Result<(), capnp::Error>;
}

/// What is known about a session while its extension is built.
#[derive(Debug)]
pub struct SessionContext {
    pub(crate) epoch: Epoch,
    pub(crate) guard: Guard,
    pub(crate) membrane: Membrane,
    pub(crate) signer: Option<PeerId>,
}

impl SessionContext {
    /// The epoch that the session is issued under.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Says whether the session's epoch is still current.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The session's membrane, for capabilities that leave by another way than
    /// the extension and shall die with the session all the same.
    pub fn membrane(&self) -> &Membrane {
        &self.membrane
    }

    /// The peer that proved itself by signing, where the membrane asked for it.
    pub fn signer(&self) -> Option<&PeerId> {
        self.signer.as_ref()
    }
}

impl<Ext, F> SessionExtensionBuilder<Ext> for F
where
    Ext: Owned,
    F: for<'a> Fn(&SessionContext, <Ext as Owned>::Builder<'a>) -> Result<(), capnp::Error>
        + 'static,
{
    fn build(
        &self,
        session: &SessionContext,
        ext: <Ext as Owned>::Builder<'_>,
    ) -> Result<(), capnp::Error> {
        self(session, ext)
    }
}
