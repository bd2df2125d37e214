use std::cell::RefCell;
use std::rc::Rc;

use capnp::capability::{Promise, Request};
use capnp::private::capability::{ClientHook, ParamsHook, ResultsHook};
use capnp::{Error, MessageSize, any_pointer};

use crate::hook::boundary::Boundary;
use crate::hook::broken;
use crate::hook::cross::{RESOLUTIONS, cross};
use crate::hook::flight::Flight;
use crate::hook::registry::Key;
use crate::hook::request;
use crate::hook::results::{Params, Results};

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
}

impl Wrapped {
    pub(super) fn new(boundary: &Rc<Boundary>, key: Key, inner: Box<dyn ClientHook>) -> Rc<Self> {
        Rc::new(Self {
            boundary: boundary.clone(),
            key,
            inner: RefCell::new(Some(inner)),
        })
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
        let admitted = self.wrapped.target().and_then(|target| {
            Ok((
                target,
                Params::cross(boundary, direction.reverse(), params)?,
            ))
        });
        let (target, params) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => return Promise::err(error),
        };
        let (results, written) = Results::new(boundary, direction, results);
        // Called now and not when first polled, so that calls keep their order.
        let done = target.call(interface_id, method_id, params, Box::new(results));
        let work = Promise::from_future(async move {
            done.await?;
            let draft = written
                .await
                .map_err(|_| Error::failed("results were lost".into()))?;
            draft.finish()
        });
        Flight::promise(boundary, work)
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
