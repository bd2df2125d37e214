use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use capnp::capability::{Client, FromClientHook};
use futures::channel::oneshot;
use futures::future::LocalBoxFuture;
use ww_rpc::Vat;

use super::nest::Nest;
use super::shared::{Shared, part};

/// A cell as seen from the thread it lives on: the place to speak to its
/// capabilities, which never leave that thread.
#[derive(Clone)]
pub struct Local {
    inner: Rc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    nest: Nest,
    /// `None` when the cell ended.
    newcomers: RefCell<Option<Vec<LocalBoxFuture<'static, ()>>>>,
    connection: RefCell<Connection>,
}

enum Connection {
    /// The guest has no RPC, or its connection has ended.
    None(capnp::Error),
    /// Open, and whether the guest's bootstrap was asked for.
    Open {
        vat: Option<Vat>,
        exported: Option<Client>,
        wanted: Option<oneshot::Sender<Client>>,
    },
}

impl Local {
    pub(crate) fn new(shared: Arc<Shared>, nest: Nest) -> Self {
        let none = capnp::Error::disconnected("the cell has no RPC connection yet".into());
        Self {
            inner: Rc::new(Inner {
                shared,
                nest,
                newcomers: RefCell::new(Some(Vec::new())),
                connection: RefCell::new(Connection::None(none)),
            }),
        }
    }

    /// The capability that the guest exports.
    ///
    /// Asked for when first called. Calls on it wait until the guest has
    /// exported something, and fail with kind `Disconnected` if it ends
    /// without, or speaks no RPC at all.
    pub fn exported<C: FromClientHook>(&self) -> C {
        let client = match &mut *self.inner.connection.borrow_mut() {
            Connection::None(error) => capnp_rpc::new_broken_cap(error.clone()),
            Connection::Open {
                exported: Some(client),
                ..
            } => client.clone(),
            Connection::Open {
                vat,
                exported,
                wanted,
            } => {
                let client = match vat {
                    Some(vat) => vat.bootstrap(),
                    // The vat is being polled, by whoever called us.
                    None => {
                        let (sender, receiver) = oneshot::channel();
                        *wanted = Some(sender);
                        self.inner.shared.signal.raise(part::VAT);
                        capnp_rpc::new_future_client(
                            async move { receiver.await.map_err(|_| ended()) },
                        )
                    }
                };
                exported.insert(client).clone()
            }
        };
        client.cast_to()
    }

    /// Runs `task` on the cell's thread, until it is done or the cell ends.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let Some(newcomers) = &mut *self.inner.newcomers.borrow_mut() else {
            return;
        };
        newcomers.push(Box::pin(task));
        self.inner.shared.signal.raise(part::TASKS);
    }

    pub(crate) fn nest(&self) -> &Nest {
        &self.inner.nest
    }

    pub(crate) fn newcomers(&self) -> Vec<LocalBoxFuture<'static, ()>> {
        let mut newcomers = self.inner.newcomers.borrow_mut();
        newcomers.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(crate) fn connect(&self, vat: Vat) {
        *self.inner.connection.borrow_mut() = Connection::Open {
            vat: Some(vat),
            exported: None,
            wanted: None,
        };
    }

    pub(crate) fn is_connected(&self) -> bool {
        matches!(*self.inner.connection.borrow(), Connection::Open { .. })
    }

    /// Lends the vat out to `poll`, so that what runs inside may call back
    /// into this `Local`. `None` where there is none.
    pub(crate) fn lend<T>(&self, poll: impl FnOnce(&mut Vat) -> T) -> Option<T> {
        let mut vat = match &mut *self.inner.connection.borrow_mut() {
            Connection::Open { vat, .. } => vat.take()?,
            Connection::None(_) => return None,
        };
        let polled = poll(&mut vat);
        if let Connection::Open {
            vat: place, wanted, ..
        } = &mut *self.inner.connection.borrow_mut()
        {
            if let Some(wanted) = wanted.take() {
                // Nobody waits any more: the client was dropped.
                let _ = wanted.send(vat.bootstrap());
                self.inner.shared.signal.raise(part::VAT);
            }
            *place = Some(vat);
        }
        Some(polled)
    }

    /// Ends the connection; what the guest exported is broken with `error`.
    pub(crate) fn disconnect(&self, error: capnp::Error) {
        let old = self.inner.connection.replace(Connection::None(error));
        drop(old);
    }

    /// Drops what was spawned and takes nothing more.
    pub(crate) fn close(&self) {
        self.disconnect(ended());
        let newcomers = self.inner.newcomers.take();
        drop(newcomers);
    }
}

fn ended() -> capnp::Error {
    capnp::Error::disconnected("the cell has ended".into())
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}
