use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use capnp::private::capability::{ParamsHook, ResultsHook};
use capnp::{Error, MessageSize};

use crate::Call;
use crate::hook::admit::Tickets;
use crate::hook::wrapper::Wrapped;
use crate::hook::written::HandedOver;

/// A call in which nobody has a say, that carries no capability, and for which
/// nobody waits in line: it begins by itself when it is first polled.
pub(super) enum Bare {
    /// Absent once it has begun, or failed to.
    Waiting(Option<Waiting>),
    Begun(HandedOver),
}

pub(super) struct Waiting {
    wrapped: Rc<Wrapped>,
    call: Call,
    params: Box<dyn ParamsHook>,
    results: Box<dyn ResultsHook>,
}

impl Bare {
    pub(super) fn new(
        wrapped: Rc<Wrapped>,
        call: Call,
        params: Box<dyn ParamsHook>,
        results: Box<dyn ResultsHook>,
    ) -> Self {
        Self::Waiting(Some(Waiting {
            wrapped,
            call,
            params,
            results,
        }))
    }
}

impl Wrapped {
    /// The size of a call's parameters, where the call is [`Bare`] if they carry
    /// nothing. Whoever makes it may have borrowed what has other calls waiting,
    /// so nothing else is asked.
    pub(super) fn bare_size(&self, params: &dyn ParamsHook) -> Option<MessageSize> {
        let bare = self.is_unqueued() && self.denied().is_none() && self.boundary().is_open();
        let size = || params.get()?.target_size();
        bare.then(size)?.ok()
    }
}

impl Waiting {
    fn begin(self) -> Result<HandedOver, Error> {
        self.wrapped.count(&self.call, true);
        let target = self.wrapped.target()?;
        let tickets = Tickets::default();
        let wrapped = &self.wrapped;
        Ok(wrapped.make(self.call, &*target, self.params, self.results, tickets))
    }
}

impl Future for Bare {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Self::Waiting(waiting) = &mut *self
            && let Some(waiting) = waiting.take()
        {
            *self = Self::Begun(waiting.begin()?);
        }
        match &mut *self {
            Self::Begun(begun) => Pin::new(begun).poll(cx),
            Self::Waiting(_) => Poll::Pending,
        }
    }
}
