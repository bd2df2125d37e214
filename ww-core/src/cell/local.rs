use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use capnp::capability::FromClientHook;
use futures::future::LocalBoxFuture;
use tracing::Span;
use ww_rpc::Vat;

use super::connection::{Connection, Gone, Line, exported_by, keep, promise};
use super::limits::Limits;
use super::nest::Nest;
use super::shared::{Shared, part};
use crate::serve::Quota;

/// A cell as seen from the thread it lives on: the place to speak to its
/// capabilities, which never leave that thread.
#[derive(Clone)]
pub struct Local {
    inner: Rc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    nest: Nest,
    /// Of the first cell of its family.
    span: Span,
    /// `None` when the cell ended.
    newcomers: RefCell<Option<Vec<LocalBoxFuture<'static, ()>>>>,
    connection: RefCell<Connection>,
    /// Made when it is first asked for, since most spawn nothing.
    quota: OnceCell<Rc<Quota>>,
    /// What that counts for as well.
    above: OnceCell<Rc<Quota>>,
    /// Cells that end with this one; `None` when it ended.
    children: RefCell<Option<Vec<Weak<Shared>>>>,
}

impl Local {
    pub(crate) fn new(shared: Arc<Shared>, nest: Nest, span: Span) -> Self {
        Self {
            inner: Rc::new(Inner {
                shared,
                nest,
                span,
                quota: OnceCell::new(),
                above: OnceCell::new(),
                newcomers: RefCell::new(Some(Vec::new())),
                connection: RefCell::new(Connection::Idle {
                    wanted: None,
                    line: None,
                }),
                children: RefCell::new(Some(Vec::new())),
            }),
        }
    }

    /// The capability that the guest exports.
    ///
    /// Asked for when first called. Calls on it wait until the guest has
    /// exported something, and fail with kind `Disconnected` if it ends
    /// without, or speaks no RPC at all. What ended the cell is in the text of their
    /// error, whose kind is `Overloaded` where that was a limit.
    pub fn exported<C: FromClientHook>(&self) -> C {
        if self.open() {
            self.inner.shared.signal.raise(part::VAT);
        }
        let client = match &mut *self.inner.connection.borrow_mut() {
            Connection::None(gone) => capnp_rpc::new_broken_cap(gone.error()),
            Connection::Idle { wanted, .. } => {
                let (client, _) = wanted.get_or_insert_with(promise);
                client.clone()
            }
            Connection::Open {
                vat,
                membrane,
                exported,
                wanted,
            } => exported
                .get_or_insert_with(|| match vat {
                    Some(vat) => exported_by(vat, membrane),
                    // It is being polled, by whoever called us.
                    None => {
                        let (client, keeper) = promise();
                        *wanted = Some(keeper);
                        client
                    }
                })
                .clone(),
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

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.inner.shared.limits
    }

    /// What its executors have together, however many sessions it grafts.
    pub(crate) fn quota(&self) -> Rc<Quota> {
        let inner = &self.inner;
        let quota = || Rc::new(Quota::of(&inner.shared, inner.above.get().cloned()));
        inner.quota.get_or_init(quota).clone()
    }

    /// Has that count for `above` as well. Before it is asked for.
    pub(crate) fn share_quota(&self, above: Rc<Quota>) {
        debug_assert!(
            self.inner.quota.get().is_none(),
            "somebody has asked for it"
        );
        let _ = self.inner.above.set(above);
    }

    /// That of the first cell of its family, in which all others' are.
    pub(crate) fn span(&self) -> &Span {
        &self.inner.span
    }

    pub(crate) fn nest(&self) -> &Nest {
        &self.inner.nest
    }

    pub(crate) fn newcomers(&self) -> Vec<LocalBoxFuture<'static, ()>> {
        let mut newcomers = self.inner.newcomers.borrow_mut();
        newcomers.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes in what becomes the connection.
    pub(crate) fn connect(&self, new: Line) {
        let wanted = match &mut *self.inner.connection.borrow_mut() {
            Connection::Idle { wanted, line } => {
                *line = Some(new);
                wanted.is_some()
            }
            Connection::Open { .. } | Connection::None(_) => false,
        };
        if wanted {
            self.open();
        }
    }

    /// Makes the vat, unless it is there or cannot be yet: then false. Whoever
    /// wants something of the guest meanwhile gets a promise.
    fn open(&self) -> bool {
        let Some(line) = self.take_line() else {
            return false;
        };
        let (mut vat, membrane) = line.open(self.limits().rpc);
        self.inner.shared.meter.connected(vat.traffic());
        let connection = &mut *self.inner.connection.borrow_mut();
        let Connection::Idle { wanted, .. } = connection else {
            return false;
        };
        let exported = wanted.take().map(|(client, keeper)| {
            keep(keeper, exported_by(&mut vat, &membrane));
            client
        });
        *connection = Connection::Open {
            vat: Some(vat),
            membrane,
            exported,
            wanted: None,
        };
        true
    }

    fn take_line(&self) -> Option<Line> {
        match &mut *self.inner.connection.borrow_mut() {
            Connection::Idle { line, .. } => line.take(),
            Connection::Open { .. } | Connection::None(_) => None,
        }
    }

    /// Polls the connection, which the guest's first word opens. `None` where
    /// there is none, or it is being polled.
    pub(crate) fn poll_connection(
        &self,
        cx: &mut Context<'_>,
    ) -> Option<Poll<Result<(), capnp::Error>>> {
        let begun = match &*self.inner.connection.borrow() {
            Connection::Idle { line, .. } => match line.as_ref()?.reader.poll_readable(cx) {
                Poll::Pending => return Some(Poll::Pending),
                // The guest has closed its end.
                Poll::Ready(0) => return Some(Poll::Ready(Ok(()))),
                Poll::Ready(_) => true,
            },
            Connection::Open { .. } | Connection::None(_) => false,
        };
        if begun {
            self.open();
        }
        self.lend(|vat| Pin::new(vat).poll(cx))
    }

    /// Has the connection end once what the guest has said until now is handled.
    pub(crate) fn drain(&self) {
        self.open();
        self.lend(Vat::drain);
        self.inner.shared.signal.raise(part::VAT);
    }

    /// Takes in a cell that ends with this one, at once where this has ended.
    pub(crate) fn adopt(&self, child: &Arc<Shared>) {
        let mut children = self.inner.children.borrow_mut();
        let Some(children) = &mut *children else {
            child.kill();
            return;
        };
        if children.len() == children.capacity() {
            let lives = |child: Arc<Shared>| !child.has_ended();
            children.retain(|child| child.upgrade().is_some_and(lives));
        }
        children.push(Arc::downgrade(child));
    }

    /// Whether the connection is there, or still to come.
    pub(crate) fn is_connected(&self) -> bool {
        !matches!(*self.inner.connection.borrow(), Connection::None(_))
    }

    /// Lends the vat out to `poll`, so that what runs inside may call back
    /// into this `Local`. `None` where there is none.
    fn lend<T>(&self, poll: impl FnOnce(&mut Vat) -> T) -> Option<T> {
        let mut vat = match &mut *self.inner.connection.borrow_mut() {
            Connection::Open { vat, .. } => vat.take()?,
            Connection::Idle { .. } | Connection::None(_) => return None,
        };
        // The vat goes back before a panic goes on: dropped by the unwinding,
        // it would run more of what has just panicked.
        let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut vat)));
        if let Connection::Open {
            vat: place,
            membrane,
            wanted,
            ..
        } = &mut *self.inner.connection.borrow_mut()
        {
            if let Some(keeper) = wanted.take() {
                keep(keeper, exported_by(&mut vat, membrane));
                self.inner.shared.signal.raise(part::VAT);
            }
            *place = Some(vat);
        }
        Some(polled.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// Ends the connection; what the guest exported is broken with `why`.
    pub(crate) fn disconnect(&self, why: Gone) {
        // Most cells have nobody who would hear of it.
        let error = match &*self.inner.connection.borrow() {
            Connection::Idle { wanted: None, .. } | Connection::None(_) => None,
            Connection::Idle { .. } | Connection::Open { .. } => Some(why.error()),
        };
        let old = self.inner.connection.replace(Connection::None(why));
        let Some(error) = error else { return };
        let broken = || capnp_rpc::new_broken_cap(error.clone());
        match old {
            Connection::Open {
                vat,
                membrane,
                wanted,
                ..
            } => {
                if let Some(keeper) = wanted {
                    keep(keeper, broken());
                }
                // Whoever waits for an answer is told by the connection.
                drop(vat);
                // A guest can have a call hold what it was called with, and that
                // the call, so that neither ends by itself.
                membrane.revoke(error);
            }
            Connection::Idle {
                wanted: Some((_, keeper)),
                ..
            } => keep(keeper, broken()),
            Connection::Idle { wanted: None, .. } | Connection::None(_) => {}
        }
    }

    /// Drops what was spawned and not begun, ends the children, and takes nothing
    /// more.
    pub(crate) fn close(&self) {
        let children = self.inner.children.take().unwrap_or_default();
        for child in children.iter().filter_map(Weak::upgrade) {
            child.kill();
        }
        let newcomers = self.inner.newcomers.take();
        drop(newcomers);
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}
