use std::future::pending;
use std::marker::PhantomData;
use std::rc::Rc;

use capnp::traits::{Owned, OwnedStruct};
use ww_rpc::stem_capnp::membrane::{self, graft_results};
use ww_rpc::stem_capnp::{Status, status_poller};

use crate::hook::Message;
use crate::{Admission, Epochs, Membrane, SessionContext, SessionExtensionBuilder};

/// A server of `Membrane(Ext)` from `stem.capnp`, usually handed to a cell as
/// its bootstrap capability.
///
/// Each `graft` that `admission` admits opens a session under the current epoch:
/// its extension is filled by `builder`, and everything that leaves through it
/// is wrapped by a [`Membrane`] of the session's own. When the epoch advances,
/// the session and all that was reached through it is dead, and grafting again
/// opens a new one.
pub fn membrane<Ext>(
    epochs: Epochs,
    admission: Admission,
    builder: impl SessionExtensionBuilder<Ext>,
) -> membrane::Client<Ext>
where
    Ext: Owned + OwnedStruct + 'static,
{
    capnp_rpc::new_client(Grafter {
        epochs,
        admission,
        builder,
        extension: PhantomData,
    })
}

struct Grafter<Ext, B> {
    epochs: Epochs,
    admission: Admission,
    builder: B,
    extension: PhantomData<fn() -> Ext>,
}

struct Poller;

impl<Ext, B> membrane::Server<Ext> for Grafter<Ext, B>
where
    Ext: Owned + OwnedStruct + 'static,
    B: SessionExtensionBuilder<Ext>,
{
    async fn graft(
        self: Rc<Self>,
        params: membrane::GraftParams<Ext>,
        mut results: membrane::GraftResults<Ext>,
    ) -> Result<(), capnp::Error> {
        let epoch = self.epochs.current();
        let guard = self.epochs.guard_of(epoch.seq);
        let membrane = Membrane::new(guard.clone());
        let signer = match params.get()? {
            // The caller's own, so it is called through the membrane too.
            params if params.has_signer() => Some(membrane.wrap_reverse(params.get_signer()?)),
            _ => None,
        };
        // Counted for as long as they are held: a signer may be a promise of what
        // this very call answers.
        let signer = {
            let _counted = params;
            self.admission.admit(signer, &epoch).await?
        };
        // The signer may have taken its time.
        guard.check()?;
        let context = SessionContext {
            epoch,
            membrane,
            guard,
            signer,
        };

        let mut message = Message::new();
        let root: graft_results::Builder<'_, Ext> = message.root()?.init_as();
        let mut session = root.init_session();
        let mut issued = session.reborrow().init_issued_epoch();
        issued.set_seq(context.epoch.seq);
        issued.set_head(&context.epoch.head);
        issued.set_adopted_block(context.epoch.adopted_block);
        session.set_status_poller(capnp_rpc::new_client(Poller));
        self.builder.build(&context, session.init_extension())?;

        context.membrane.carry_out(&mut message)?;
        results.set(message.reader()?.get_as()?)
    }
}

impl status_poller::Server for Poller {
    /// Stands behind the session's membrane, so a call that gets here comes
    /// from a session that is alive.
    async fn poll_status(
        self: Rc<Self>,
        _params: status_poller::PollStatusParams,
        mut results: status_poller::PollStatusResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_status(Status::Ok);
        Ok(())
    }

    /// The membrane ends it.
    async fn ended(
        self: Rc<Self>,
        _params: status_poller::EndedParams,
        _results: status_poller::EndedResults,
    ) -> Result<(), capnp::Error> {
        pending().await
    }
}
