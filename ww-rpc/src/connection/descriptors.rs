use std::rc::{Rc, Weak};

use capnp::private::capability::ClientHook;
use capnp::{Error, struct_list};
use capnp_rpc::rpc_capnp::{cap_descriptor, payload};

use super::client::Client;
use super::fault::broken;
use super::import::Import;
use super::incoming::Caps;
use super::promised::Promised;
use super::{Connection, innermost, path};

/// A capability that the peer exports to us, or a promise of one.
pub(super) struct Imported {
    import: Weak<Import>,
    promised: Option<Weak<Promised>>,
    /// Whether the peer is still to say what it turns out to be.
    pub(super) open: bool,
}

impl Imported {
    /// The promise that the peer resolves, if somebody here holds it.
    pub(super) fn resolve(&mut self) -> Option<Rc<Promised>> {
        self.open = false;
        self.promised.as_ref()?.upgrade()
    }

    pub(super) fn promised(&self) -> Option<Rc<Promised>> {
        self.promised.as_ref()?.upgrade()
    }
}

impl Connection {
    /// Writes the table of what the pointers of a message lead to, and tells which
    /// exports are in it, each as often as it is.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub(super) fn describe_all(
        self: &Rc<Self>,
        caps: &Caps,
        payload: payload::Builder<'_>,
    ) -> Result<Vec<u32>, Error> {
        let mut table = payload.init_cap_table(caps.len() as u32);
        let mut exports = Vec::new();
        for (index, hook) in caps.iter().enumerate() {
            let mut descriptor = table.reborrow().get(index as u32);
            match hook {
                Some(hook) => exports.extend(self.describe(hook.add_ref(), descriptor)?),
                None => descriptor.set_none(()),
            }
        }
        // A capability's own code may have ended the connection.
        match self.ended() {
            Some(error) => Err(error),
            None => Ok(exports),
        }
    }

    /// Writes what the peer is to know `hook` by. The export's number, if it is one.
    pub(super) fn describe(
        self: &Rc<Self>,
        hook: Box<dyn ClientHook>,
        mut descriptor: cap_descriptor::Builder<'_>,
    ) -> Result<Option<u32>, Error> {
        let hook = innermost(hook);
        if let Some(client) = self.own(&*hook) {
            match client {
                Client::Import(import) => descriptor.set_receiver_hosted(import.id),
                Client::Promised(promised) => promised.write_descriptor(descriptor),
            }
            return Ok(None);
        }
        let address = hook.get_ptr();
        // Nothing is borrowed while the capability's own code runs, which may end
        // the connection.
        let known = self.exports.borrow_mut().again(address);
        if let Some((id, is_promise)) = known {
            match is_promise {
                true => descriptor.set_sender_promise(id),
                false => descriptor.set_sender_hosted(id),
            }
            return Ok(Some(id));
        }
        let more = hook.when_more_resolved();
        if let Some(error) = self.ended() {
            return Err(error);
        }
        let id = self.exports.borrow_mut().insert(hook, address);
        self.check(self.link.calls.export(id));
        match more {
            Some(more) => {
                descriptor.set_sender_promise(id);
                self.resolve_later(id, more);
            }
            None => descriptor.set_sender_hosted(id),
        }
        Ok(Some(id))
    }

    /// What the pointers of a message from the peer lead to.
    pub(super) fn receive_all(
        self: &Rc<Self>,
        table: struct_list::Reader<'_, cap_descriptor::Owned>,
    ) -> Result<Caps, Error> {
        table.iter().map(|entry| self.receive(entry)).collect()
    }

    pub(super) fn receive(
        self: &Rc<Self>,
        descriptor: cap_descriptor::Reader<'_>,
    ) -> Result<Option<Box<dyn ClientHook>>, Error> {
        Ok(Some(match descriptor.which()? {
            cap_descriptor::None(()) => return Ok(None),
            cap_descriptor::SenderHosted(id) => self.import(id, false),
            cap_descriptor::SenderPromise(id) => self.import(id, true),
            cap_descriptor::ReceiverHosted(id) => self.exported(id).unwrap_or_else(|| {
                broken(Error::failed(format!(
                    "peer sent export {id} back, which it does not hold"
                )))
            }),
            cap_descriptor::ReceiverAnswer(answer) => {
                let answer = answer?;
                self.pipelined(
                    answer.get_question_id(),
                    path::read(answer.get_transform()?)?,
                )
            }
            cap_descriptor::ThirdPartyHosted(_) => {
                return Err(Error::unimplemented(
                    "peer sent a capability of a third vat's".into(),
                ));
            }
        }))
    }

    /// What we have exported as `id`.
    pub(super) fn exported(&self, id: u32) -> Option<Box<dyn ClientHook>> {
        let exports = self.exports.borrow();
        Some(exports.slots.get(id)?.hook.add_ref())
    }

    fn import(self: &Rc<Self>, id: u32, is_promise: bool) -> Box<dyn ClientHook> {
        let known = {
            let imports = self.imports.borrow();
            let known = imports.get(&id);
            known.and_then(|known| Some((known.import.upgrade()?, known.promised())))
        };
        let (import, promised) = known.unwrap_or_else(|| {
            let import = Import::new(self, id);
            let imported = Imported {
                import: Rc::downgrade(&import),
                promised: None,
                open: false,
            };
            self.imports.borrow_mut().insert(id, imported);
            (import, None)
        });
        import.add_reference();
        if !is_promise {
            return Box::new(Client::Import(import));
        }
        // One that has turned out to be another says nothing of what is promised now.
        let promised = promised.filter(|promised| promised.resolved().is_none());
        let promised = promised.unwrap_or_else(|| {
            let promised = Promised::import(import);
            if let Some(imported) = self.imports.borrow_mut().get_mut(&id) {
                imported.promised = Some(Rc::downgrade(&promised));
                imported.open = true;
            }
            promised
        });
        Box::new(Client::Promised(promised))
    }
}
