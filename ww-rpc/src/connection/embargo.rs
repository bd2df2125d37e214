use std::rc::Rc;

use capnp::Error;
use capnp::capability::Client as AnyClient;
use capnp::private::capability::ClientHook;
use capnp_rpc::rpc_capnp::{disembargo, message, message_target};
use futures::channel::oneshot;

use super::Connection;
use super::draft::Draft;
use super::tasks::Task;

// Embargoes keep calls in order where a promise turns out to lead back to who
// made them (`Disembargo` in `rpc.capnp`).

impl Connection {
    /// What to call instead of `hook`, until all calls have come back from the peer
    /// that were sent to what `write` addresses.
    pub(super) fn embargo(
        &self,
        hook: Box<dyn ClientHook>,
        write: impl FnOnce(message_target::Builder<'_>),
    ) -> Box<dyn ClientHook> {
        if self.end.borrow().is_some() {
            return hook;
        }
        let (over, waits) = oneshot::channel();
        let id = self.embargoes.borrow_mut().insert(over);
        let mut draft = Draft::new(&self.link, 0);
        let mut disembargo = disembargo(&mut draft);
        disembargo.reborrow().init_context().set_sender_loopback(id);
        write(disembargo.init_target());
        self.check(self.link.calls.embargo(id));
        draft.send(&self.link);
        let later: AnyClient = capnp_rpc::new_future_client(async move {
            let over = waits.await;
            over.map_err(|_| Error::disconnected("the connection has ended".into()))??;
            Ok(AnyClient::new(hook))
        });
        later.hook
    }

    /// Sends an embargo of the peer's back, behind all calls that lead there.
    pub(super) fn send_back(
        self: &Rc<Self>,
        embargo: u32,
        target: &dyn ClientHook,
    ) -> Result<(), Error> {
        let mut draft = Draft::new(&self.link, 0);
        let mut disembargo = disembargo(&mut draft);
        let mut context = disembargo.reborrow().init_context();
        context.set_receiver_loopback(embargo);
        let returns = match self.own(target) {
            Some(client) => client.write_target(disembargo.init_target()).is_none(),
            None => false,
        };
        if !returns {
            return Err(Error::failed(
                "peer sent an embargo to what does not lead back to it".into(),
            ));
        }
        let connection = Rc::downgrade(self);
        self.new_tasks.push(Task::Other(Box::pin(async move {
            if let Some(connection) = connection.upgrade() {
                draft.send(&connection.link);
            }
        })));
        Ok(())
    }
}

fn disembargo(draft: &mut Draft) -> disembargo::Builder<'_> {
    let root = draft.message.init_root::<message::Builder<'_>>();
    root.init_disembargo()
}
