use std::any::Any;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use capnp::capability::{Promise, Request};
use capnp::private::capability::{ClientHook, ParamsHook, ResultsHook};
use capnp::{Error, MessageSize, any_pointer};

use crate::Call;
use crate::hook::boundary::Boundary;
use crate::hook::broken;
use crate::hook::cross::{RESOLUTIONS, cross};
use crate::hook::flight::Flight;
use crate::hook::registry::Key;
use crate::hook::request;
use crate::hook::results::{Params, Results};
use crate::policy::Outcome;

/// A reference to a capability on the other side of a boundary.
pub(super) struct Wrapper {
    wrapped: Rc<Wrapped>,
}

/// What all references to the same capability share.
pub(crate) struct Wrapped {
    boundary: Rc<Boundary>,
    key: Key,
    /// Absent once the boundary has fallen.
    inner: RefCell<Option<Box<dyn ClientHook>>>,
    /// Why a stream of calls on it was denied: then all that follows is.
    denied: OnceCell<Error>,
}

/// Where a call goes that was admitted.
pub(super) struct Admitted {
    pub(super) target: Box<dyn ClientHook>,
    /// Whether that is another capability than the one that is wrapped.
    pub(super) redirected: bool,
    /// Dropped when the call is over.
    tickets: Vec<Box<dyn Any>>,
}

impl Admitted {
    /// `work`, with what the policy holds until it is over.
    pub(super) fn until_over<T: 'static>(self, work: Promise<T, Error>) -> Promise<T, Error> {
        if self.tickets.is_empty() {
            return work;
        }
        Promise::from_future(async move {
            let _tickets = self.tickets;
            work.await
        })
    }
}

impl Wrapped {
    pub(super) fn new(boundary: &Rc<Boundary>, key: Key, inner: Box<dyn ClientHook>) -> Rc<Self> {
        Rc::new(Self {
            boundary: boundary.clone(),
            key,
            inner: RefCell::new(Some(inner)),
            denied: OnceCell::new(),
        })
    }

    /// Puts a call to the policy.
    ///
    /// # Errors
    ///
    /// The boundary has fallen, or the call is denied.
    pub(super) fn admit(&self, call: &Call) -> Result<Admitted, Error> {
        if let Some(error) = self.denied.get() {
            self.boundary.check()?;
            return Err(error.clone());
        }
        let verdict = self.boundary.judge(self.key.direction(), call)?;
        let (target, redirected) = match verdict.outcome {
            Outcome::Pass => (self.target()?, false),
            Outcome::Redirect(client) => (client.hook, true),
            Outcome::Deny(error) => return Err(error),
        };
        Ok(Admitted {
            target,
            redirected,
            tickets: verdict.tickets,
        })
    }

    /// Denies all calls from now on.
    pub(super) fn deny(&self, error: Error) {
        // The first denial is the one that everybody hears of.
        let _ = self.denied.set(error);
    }

    pub(super) fn boundary(&self) -> &Rc<Boundary> {
        &self.boundary
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    pub(super) fn ptr(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// A reference to the capability itself.
    ///
    /// # Errors
    ///
    /// The boundary has fallen.
    pub(super) fn target(&self) -> Result<Box<dyn ClientHook>, Error> {
        self.boundary.check()?;
        let inner = self.inner.borrow();
        let target = inner.as_ref().map(|inner| inner.add_ref());
        target.ok_or_else(|| Error::disconnected("membrane has fallen".into()))
    }

    pub(super) fn release(&self) {
        let inner = self.inner.borrow_mut().take();
        drop(inner);
    }
}

impl Drop for Wrapped {
    fn drop(&mut self) {
        self.boundary.registry.borrow_mut().remove(self);
    }
}

impl Wrapper {
    pub(super) fn new(wrapped: Rc<Wrapped>) -> Self {
        Self { wrapped }
    }

    fn cross(&self, hook: Box<dyn ClientHook>) -> Box<dyn ClientHook> {
        cross(&self.wrapped.boundary, self.wrapped.key.direction(), hook)
    }
}

impl ClientHook for Wrapper {
    fn add_ref(&self) -> Box<dyn ClientHook> {
        Box::new(Self::new(self.wrapped.clone()))
    }

    fn new_call(
        &self,
        interface_id: u64,
        method_id: u16,
        size_hint: Option<MessageSize>,
    ) -> Request<any_pointer::Owned, any_pointer::Owned> {
        Request::new(match self.wrapped.target() {
            Err(error) => broken::request(error),
            Ok(target) => Box::new(request::Request::new(
                self.wrapped.clone(),
                interface_id,
                method_id,
                target.new_call(interface_id, method_id, size_hint).hook,
            )),
        })
    }

    fn call(
        &self,
        interface_id: u64,
        method_id: u16,
        params: Box<dyn ParamsHook>,
        results: Box<dyn ResultsHook>,
    ) -> Promise<(), Error> {
        let boundary = &self.wrapped.boundary;
        let direction = self.wrapped.key.direction();
        let call = Call {
            interface: interface_id,
            method: method_id,
        };
        let admitted = self.wrapped.admit(&call).and_then(|admitted| {
            Ok((
                admitted,
                Params::cross(boundary, direction.reverse(), params)?,
            ))
        });
        let (admitted, params) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => return Promise::err(error),
        };
        let (results, written) = Results::new(boundary, direction, results);
        // Called now and not when first polled, so that calls keep their order.
        let done = admitted
            .target
            .call(interface_id, method_id, params, Box::new(results));
        let work = Promise::from_future(async move {
            done.await?;
            let draft = written
                .await
                .map_err(|_| Error::failed("results were lost".into()))?;
            draft.finish()
        });
        Flight::promise(boundary, admitted.until_over(work))
    }

    fn get_brand(&self) -> usize {
        self.wrapped.boundary.brand()
    }

    fn get_ptr(&self) -> usize {
        self.wrapped.ptr()
    }

    /// Answers with the end of the chain of resolutions, or with a broken
    /// capability where there is none in sight; so whoever follows this comes
    /// to an end.
    fn get_resolved(&self) -> Option<Box<dyn ClientHook>> {
        let resolved = self.wrapped.target().ok()?.get_resolved()?;
        Some(self.cross(resolved))
    }

    fn when_more_resolved(&self) -> Option<Promise<Box<dyn ClientHook>, Error>> {
        // A promise that is asked after it has resolved never answers.
        if let Some(resolved) = self.get_resolved() {
            return Some(Promise::ok(resolved));
        }
        let resolution = self.wrapped.target().ok()?.when_more_resolved()?;
        let this = Self::new(self.wrapped.clone());
        let boundary = self.wrapped.boundary.clone();
        let work = Promise::from_future(async move { Ok(this.cross(resolution.await?)) });
        Some(Flight::promise(&boundary, work))
    }

    fn when_resolved(&self) -> Promise<(), Error> {
        let mut hook = self.add_ref();
        Promise::from_future(async move {
            for _ in 0..=RESOLUTIONS {
                match hook.when_more_resolved() {
                    Some(resolution) => hook = resolution.await?,
                    None => return Ok(()),
                }
            }
            Err(Error::failed(format!(
                "promise resolved {RESOLUTIONS} times without settling"
            )))
        })
    }
}
