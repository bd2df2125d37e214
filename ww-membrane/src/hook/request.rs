use std::rc::Rc;

use capnp::Error;
use capnp::any_pointer;
use capnp::capability::{Promise, RemotePromise, Response};
use capnp::private::capability::{PipelineHook, RequestHook};
use capnp::traits::ImbueMut;

use crate::Call;
use crate::hook::broken;
use crate::hook::flight::Flight;
use crate::hook::message::{Table, carry};
use crate::hook::pipeline::Pipeline;
use crate::hook::sent::Sent;
use crate::hook::wrapper::{Admitted, Wrapped};

/// A call through a wrapper that is being built.
///
/// Its parameters are written into the message of the inner request, but its
/// capabilities into a table of its own, so that they cross when it is sent.
pub(super) struct Request {
    target: Rc<Wrapped>,
    interface: u64,
    method: u16,
    inner: Box<dyn RequestHook>,
    table: Table,
}

impl Request {
    pub(super) fn new(
        target: Rc<Wrapped>,
        interface: u64,
        method: u16,
        inner: Box<dyn RequestHook>,
    ) -> Self {
        Self {
            target,
            interface,
            method,
            inner,
            table: Table::new(),
        }
    }

    /// The inner request, ready to be sent.
    fn admit(mut self) -> Result<(Box<dyn RequestHook>, Admitted), Error> {
        let call = Call {
            interface: self.interface,
            method: self.method,
        };
        let admitted = self.target.admit(&call)?;
        if self.table.is_empty() && !admitted.redirected {
            return Ok((self.inner, admitted));
        }
        // The table of the inner request is out of reach, so a second one
        // takes a copy.
        let inward = self.target.key().direction().reverse();
        carry(&mut self.table, self.target.boundary(), inward)?;
        let target = &admitted.target;
        let mut copy = target.new_call(self.interface, self.method, None).hook;
        let mut written = self.inner.get();
        written.imbue_mut(&mut self.table);
        copy.get().set_as(written.into_reader())?;
        Ok((copy, admitted))
    }
}

impl RequestHook for Request {
    fn get(&mut self) -> any_pointer::Builder<'_> {
        let mut params = self.inner.get();
        params.imbue_mut(&mut self.table);
        params
    }

    /// No connection's, so that no connection takes it for one of its own.
    fn get_brand(&self) -> usize {
        0
    }

    fn send(self: Box<Self>) -> RemotePromise<any_pointer::Owned> {
        let wrapped = self.target.clone();
        let (inner, admitted) = match self.admit() {
            Ok(admitted) => admitted,
            Err(error) => return broken::call(error),
        };
        // Only requests to a connection have a brand.
        let eager = inner.get_brand() != 0;
        let RemotePromise { promise, pipeline } = inner.send();
        let work = admitted.until_over(promise);
        let flight = Flight::new(wrapped.boundary(), work, Some(pipeline.hook));
        let sent = Sent::new(flight, wrapped.key().direction(), eager);
        let waiting = sent.clone();
        let promise = Promise::from_future(async move {
            let answer = std::future::poll_fn(|cx| waiting.poll(cx)).await?;
            Ok(Response::new(Box::new(answer)))
        });
        RemotePromise {
            promise,
            pipeline: any_pointer::Pipeline::new(Box::new(Pipeline::new(sent))),
        }
    }

    fn send_streaming(self: Box<Self>) -> Promise<(), Error> {
        let wrapped = self.target.clone();
        match self.admit() {
            Ok((inner, admitted)) => {
                let work = admitted.until_over(inner.send_streaming());
                Flight::promise(wrapped.boundary(), work)
            }
            Err(error) => {
                wrapped.deny(error.clone());
                Promise::err(error)
            }
        }
    }

    /// Never a tail call: its answer would not cross.
    fn tail_send(self: Box<Self>) -> Option<(u32, Promise<(), Error>, Box<dyn PipelineHook>)> {
        None
    }
}
