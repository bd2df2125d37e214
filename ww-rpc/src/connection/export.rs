use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use capnp::Error;
use capnp::capability::Promise;
use capnp::private::capability::ClientHook;
use capnp_rpc::rpc_capnp::{message, resolve};

use super::draft::Draft;
use super::slots::Slots;
use super::tasks::Task;
use super::{Connection, fault, innermost};

/// What the peer holds of ours.
#[derive(Default)]
pub(super) struct Exports {
    pub(super) slots: Slots<Export>,
    /// Which export a capability is, by its address.
    pub(super) by_address: HashMap<usize, u32>,
}

pub(super) struct Export {
    /// How often the peer was sent it.
    references: u32,
    pub(super) hook: Box<dyn ClientHook>,
    /// By which it is known, unless it stands for a promise that was resolved.
    address: Option<usize>,
    /// What tells the peer when it turns out to be another.
    resolving: Option<Rc<Resolving>>,
}

/// Waits until an exported promise turns out to be another capability.
pub(super) struct Resolving {
    connection: Weak<Connection>,
    export: u32,
    promise: RefCell<Option<Promise<Box<dyn ClientHook>, Error>>>,
    waker: RefCell<Option<Waker>>,
}

impl Export {
    pub(super) fn new(hook: Box<dyn ClientHook>, address: usize) -> Self {
        Self {
            references: 1,
            hook,
            address: Some(address),
            resolving: None,
        }
    }
}

impl Exports {
    /// Counts another reference to what is known by `address`.
    pub(super) fn again(&mut self, address: usize) -> Option<(u32, bool)> {
        let id = *self.by_address.get(&address)?;
        let export = self.slots.get_mut(id)?;
        export.references = export.references.saturating_add(1);
        Some((id, export.resolving.is_some()))
    }

    pub(super) fn insert(&mut self, hook: Box<dyn ClientHook>, address: usize) -> u32 {
        let id = self.slots.insert(Export::new(hook, address));
        self.by_address.insert(address, id);
        id
    }

    /// Has an export stand for a promise that is resolved, and for nothing else. What
    /// was waiting for that is there to drop.
    fn settle(&mut self, id: u32) -> Option<Rc<Resolving>> {
        let export = self.slots.get_mut(id)?;
        if let Some(address) = export.address.take() {
            self.by_address.remove(&address);
        }
        export.resolving.take()
    }

    /// Takes `count` references back. The capability is there for whoever borrows
    /// nothing to drop, once none is left.
    ///
    /// # Errors
    ///
    /// There are not as many.
    pub(super) fn release(&mut self, id: u32, count: u32) -> Result<Option<Export>, Error> {
        let Some(export) = self.slots.get_mut(id) else {
            return Err(Error::failed(format!(
                "peer released export {id}, which it does not hold"
            )));
        };
        let Some(left) = export.references.checked_sub(count) else {
            return Err(Error::failed(format!(
                "peer released export {id} {count} times, and was sent it {} times",
                export.references
            )));
        };
        export.references = left;
        if left > 0 {
            return Ok(None);
        }
        if let Some(address) = export.address {
            self.by_address.remove(&address);
        }
        Ok(self.slots.remove(id))
    }
}

impl Connection {
    /// Tells the peer what the promise `export` turns out to be.
    pub(super) fn resolve_later(
        self: &Rc<Self>,
        export: u32,
        promise: Promise<Box<dyn ClientHook>, Error>,
    ) {
        let resolving = Rc::new(Resolving {
            connection: Rc::downgrade(self),
            export,
            promise: RefCell::new(Some(promise)),
            waker: RefCell::default(),
        });
        let task = Task::Resolve(Rc::downgrade(&resolving));
        let before = match self.exports.borrow_mut().slots.get_mut(export) {
            Some(entry) => entry.resolving.replace(resolving),
            None => return,
        };
        drop(before);
        self.new_tasks.push(task);
    }

    fn resolve_export(
        self: &Rc<Self>,
        id: u32,
        to: Result<Box<dyn ClientHook>, Error>,
    ) -> Result<(), Error> {
        let to = match to {
            Ok(hook) => innermost(hook),
            Err(error) => {
                let mut draft = Draft::new(&self.link, 0);
                fault::write(&error, begin(&mut draft, id).init_exception());
                draft.send(&self.link);
                let before = self.exports.borrow_mut().settle(id);
                drop(before);
                return Ok(());
            }
        };
        let address = to.get_ptr();
        let own = self.is_own(&*to);
        let more = if own { None } else { to.when_more_resolved() };
        let hook = to.add_ref();
        let (before, goes_on) = {
            let mut exports = self.exports.borrow_mut();
            let resolving = exports.settle(id);
            let Exports { slots, by_address } = &mut *exports;
            let Some(entry) = slots.get_mut(id) else {
                return Ok(());
            };
            // A promise of another promise goes on as that, if nothing else does.
            let goes_on = more.is_some() && !by_address.contains_key(&address);
            if goes_on {
                entry.address = Some(address);
                by_address.insert(address, id);
            }
            let hook = std::mem::replace(&mut entry.hook, hook);
            ((hook, resolving), goes_on)
        };
        drop(before);
        if let (Some(more), true) = (more, goes_on) {
            self.resolve_later(id, more);
            return Ok(());
        }
        let mut draft = Draft::new(&self.link, 0);
        let descriptor = begin(&mut draft, id).init_cap();
        if self.describe(to, descriptor)?.is_none() {
            self.link.calls.reflect(id);
        }
        draft.send(&self.link);
        Ok(())
    }
}

/// A message that says what a promise of ours has turned out to be.
fn begin(draft: &mut Draft, promise: u32) -> resolve::Builder<'_> {
    let root = draft.message.init_root::<message::Builder<'_>>();
    let mut resolve = root.init_resolve();
    resolve.set_promise_id(promise);
    resolve
}

impl Resolving {
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mut promise) = self.promise.borrow_mut().take() else {
            return Poll::Ready(());
        };
        let Poll::Ready(to) = Pin::new(&mut promise).poll(cx) else {
            self.promise.replace(Some(promise));
            self.waker.replace(Some(cx.waker().clone()));
            return Poll::Pending;
        };
        drop(promise);
        if let Some(connection) = self.connection.upgrade()
            && let Err(error) = connection.resolve_export(self.export, to)
        {
            connection.end(error);
        }
        Poll::Ready(())
    }
}

impl Drop for Resolving {
    fn drop(&mut self) {
        if let Some(waker) = self.waker.get_mut().take() {
            waker.wake();
        }
    }
}
