use std::rc::Rc;

use capnp::Error;
use capnp::any_pointer;
use capnp::capability::{Promise, RemotePromise};
use capnp::private::capability::{ClientHook, PipelineHook, RequestHook};
use capnp::traits::ImbueMut;

use crate::hook::admit::{Admitted, Route, Tickets};
use crate::hook::broken;
use crate::hook::early::Early;
use crate::hook::flight::Flight;
use crate::hook::link;
use crate::hook::message::{Message, Table, carry};
use crate::hook::params::Params;
use crate::hook::results::Results;
use crate::hook::sent::{Landing, Pipelining, Sent};
use crate::hook::wrapper::Wrapped;
use crate::hook::written::Written;
use crate::{Call, Passage};

/// A call through a wrapper that is being built.
///
/// Its capabilities are written into a table of its own, so that they cross
/// when it is sent.
pub(super) struct Request {
    wrapped: Rc<Wrapped>,
    call: Call,
    content: Content,
    /// Whether a policy has passed the call already.
    judged: bool,
}

/// Where the parameters are written.
enum Content {
    /// A message of our own, which the inside gets as it is.
    Own(Message),
    /// The message of a request to the inside, the table of our own, and what
    /// the request was made for.
    Inner(Box<dyn RequestHook>, Table, Box<dyn ClientHook>),
}

/// Whether a capability is hosted on this thread and behind no other membrane,
/// so that a call on it need not be a request of its own kind.
pub(super) fn is_local(target: &dyn ClientHook) -> bool {
    target.get_brand() == 0
}

/// The brand of requests to a connection that pass another membrane first.
/// Those to a connection itself have its own, and all others have none.
fn beyond() -> usize {
    static BEYOND: u8 = 0;
    std::ptr::from_ref(&BEYOND) as usize
}

impl Request {
    /// A call to `target`, the inside of `wrapped`.
    pub(super) fn new(
        wrapped: Rc<Wrapped>,
        call: Call,
        target: Box<dyn ClientHook>,
        judged: bool,
    ) -> Self {
        let content = if is_local(&*target) {
            Content::Own(Message::new())
        } else {
            let inner = target.new_call(call.interface, call.method, None).hook;
            Content::Inner(inner, Table::new(), target)
        };
        Self {
            wrapped,
            call,
            content,
            judged,
        }
    }

    fn launch(mut self) -> Result<RemotePromise<any_pointer::Owned>, Error> {
        let wrapped = &self.wrapped;
        let content = &mut self.content;
        let size = || content.get().target_size();
        let Admitted { route, tickets } = wrapped.admit(&self.call, self.judged, size)?;
        let inner = match (self.content, route) {
            (content, Route::Undecided(target)) => {
                let inner = content.copied(&self.call, &*target)?;
                return Ok(pass(wrapped, inner, tickets));
            }
            (Content::Own(message), Route::Inside) if is_local(&*wrapped.callee()?) => {
                return call(wrapped, &self.call, &*wrapped.callee()?, message, tickets);
            }
            (Content::Own(message), Route::Elsewhere(target)) if is_local(&*target) => {
                return call(wrapped, &self.call, &*target, message, tickets);
            }
            (content, Route::Inside) => content.inner(wrapped, &self.call)?,
            (content, Route::Elsewhere(target)) => {
                content.crossed(wrapped)?.copied(&self.call, &*target)?
            }
        };
        Ok(send(wrapped, self.call, inner, tickets))
    }

    /// The request in whose stead this stands, where it goes over a connection
    /// as a stream.
    fn launch_stream(mut self) -> Result<Promise<(), Error>, Error> {
        let wrapped = self.wrapped.clone();
        let inner = match &self.content {
            Content::Inner(inner, ..) => inner.get_brand() != 0,
            Content::Own(_) => false,
        };
        if !inner {
            let promise = self.launch()?.promise;
            return Ok(Promise::from_future(
                async move { promise.await.map(|_| ()) },
            ));
        }
        let content = &mut self.content;
        let size = || content.get().target_size();
        let Admitted { route, tickets } = wrapped.admit(&self.call, self.judged, size)?;
        let mut inner = match route {
            Route::Inside => self.content.inner(&wrapped, &self.call)?,
            Route::Elsewhere(target) => {
                let content = self.content.crossed(&wrapped)?;
                content.copied(&self.call, &*target)?
            }
            Route::Undecided(target) => {
                let inner = self.content.copied(&self.call, &*target)?;
                let promise = pass(&wrapped, inner, tickets).promise;
                return Ok(Promise::from_future(
                    async move { promise.await.map(|_| ()) },
                ));
            }
        };
        let words = inner.get().target_size()?.word_count;
        let bytes = usize::try_from(words)
            .unwrap_or(usize::MAX)
            .saturating_mul(8);
        let promise = inner.send().promise;
        let boundary = wrapped.boundary().clone();
        let (call, direction) = (self.call, wrapped.key().direction());
        let work = tickets.until_over(Promise::from_future(async move {
            let response = promise.await?;
            if boundary.weighs() {
                let size = response.get()?.target_size()?;
                boundary.weigh(&Passage::answer(call, direction, size))?;
            }
            Ok(())
        }));
        let work = Flight::promise(wrapped.boundary(), work);
        Ok(wrapped.stream().send(bytes, work))
    }
}

/// Calls `target` with what `message` has, without a copy.
fn call(
    wrapped: &Rc<Wrapped>,
    call: &Call,
    target: &dyn ClientHook,
    message: Message,
    tickets: Tickets,
) -> Result<RemotePromise<any_pointer::Owned>, Error> {
    let boundary = wrapped.boundary();
    let direction = wrapped.key().direction();
    let params = Params::new(message.crossed(boundary, direction.reverse())?);
    let early = Rc::<Early>::default();
    let (results, written) = Results::own(boundary, *call, direction, early.clone());
    let done = target.call(
        call.interface,
        call.method,
        Box::new(params),
        Box::new(results),
    );
    let work = Promise::from_future(Written::new(done, written, tickets));
    let flight = Flight::new(boundary, work, None, Landing::new(*call, direction));
    Ok(Sent::new(boundary, flight, Pipelining::Waiting(early)).promise())
}

/// Sends a request that has crossed.
fn send(
    wrapped: &Rc<Wrapped>,
    call: Call,
    inner: Box<dyn RequestHook>,
    tickets: Tickets,
) -> RemotePromise<any_pointer::Owned> {
    let brand = inner.get_brand();
    let eager = brand != 0 && brand != beyond();
    let RemotePromise { promise, pipeline } = inner.send();
    let work = tickets.until_over(promise);
    let landing = Landing::new(call, wrapped.key().direction());
    let flight = Flight::new(wrapped.boundary(), work, Some(pipeline.hook), landing);
    Sent::new(wrapped.boundary(), flight, Pipelining::Along { eager }).promise()
}

/// Sends a request that does not cross here.
fn pass(
    wrapped: &Rc<Wrapped>,
    inner: Box<dyn RequestHook>,
    tickets: Tickets,
) -> RemotePromise<any_pointer::Owned> {
    let RemotePromise { promise, pipeline } = inner.send();
    let this = wrapped.clone();
    let work = tickets.until_over(Promise::from_future(async move {
        let _waiting = this;
        promise.await
    }));
    RemotePromise {
        promise: Flight::promise(wrapped.boundary(), work),
        pipeline,
    }
}

impl Content {
    fn get(&mut self) -> any_pointer::Builder<'_> {
        match self {
            Self::Own(message) => message
                .root()
                .expect("a message of our own has room for its root"),
            Self::Inner(inner, table, _) => {
                let mut content = inner.get();
                content.imbue_mut(table);
                content
            }
        }
    }

    /// The same with its capabilities carried across.
    fn crossed(self, wrapped: &Rc<Wrapped>) -> Result<Self, Error> {
        let inward = wrapped.key().direction().reverse();
        Ok(match self {
            Self::Own(message) => Self::Own(message.crossed(wrapped.boundary(), inward)?),
            Self::Inner(inner, mut table, callee) => {
                carry(&mut table, wrapped.boundary(), inward)?;
                Self::Inner(inner, table, callee)
            }
        })
    }

    /// A request to `target` with a copy of it.
    fn copied(
        mut self,
        call: &Call,
        target: &dyn ClientHook,
    ) -> Result<Box<dyn RequestHook>, Error> {
        let mut copy = target.new_call(call.interface, call.method, None).hook;
        copy.get().set_as(self.get().into_reader())?;
        Ok(copy)
    }

    /// The request to the inside, carried across.
    fn inner(self, wrapped: &Rc<Wrapped>, call: &Call) -> Result<Box<dyn RequestHook>, Error> {
        match self.crossed(wrapped)? {
            Self::Inner(inner, table, made_for)
                if table.is_empty() && made_for.get_resolved().is_none() =>
            {
                Ok(inner)
            }
            // A promise may have resolved since: to itself, or elsewhere, where
            // a connection redirects a request without its capabilities.
            Self::Inner(mut inner, mut table, made_for)
                if is_same(&*made_for, &*wrapped.callee()?) =>
            {
                if table.is_empty() {
                    return Ok(inner);
                }
                // The table of the inner request is out of reach, other than
                // by setting a field of it.
                if table.len() == 1 {
                    let mut content = inner.get();
                    content.imbue_mut(&mut table);
                    if let Some(field) = link::field_of_one(content) {
                        if let Some(Some(capability)) = table.pop() {
                            link::relink(inner.get(), field, capability)?;
                        }
                        return Ok(inner);
                    }
                }
                Self::Inner(inner, table, made_for).copied(call, &*wrapped.callee()?)
            }
            content => content.copied(call, &*wrapped.callee()?),
        }
    }
}

/// Whether it is the same capability, as far as both are resolved.
pub(super) fn is_same(one: &dyn ClientHook, other: &dyn ClientHook) -> bool {
    (one.get_brand(), one.get_ptr()) == (other.get_brand(), other.get_ptr())
}

impl RequestHook for Request {
    fn get(&mut self) -> any_pointer::Builder<'_> {
        self.content.get()
    }

    /// No connection's, so that no connection takes it for one of its own.
    fn get_brand(&self) -> usize {
        match &self.content {
            Content::Inner(inner, ..) if inner.get_brand() != 0 => beyond(),
            _ => 0,
        }
    }

    fn send(self: Box<Self>) -> RemotePromise<any_pointer::Owned> {
        self.launch().unwrap_or_else(broken::call)
    }

    fn send_streaming(self: Box<Self>) -> Promise<(), Error> {
        let wrapped = self.wrapped.clone();
        self.launch_stream().unwrap_or_else(|error| {
            wrapped.deny(error.clone());
            Promise::err(error)
        })
    }

    /// Never a tail call: its answer would not cross.
    fn tail_send(self: Box<Self>) -> Option<(u32, Promise<(), Error>, Box<dyn PipelineHook>)> {
        None
    }
}
