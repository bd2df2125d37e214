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

/// A call in which nobody has a say, that carries no capability, and before which
/// nobody waits in line. It begins by itself when it is first polled, as calls on
/// capnp-rpc's own servers do: of several, the one first that is polled first.
pub(super) struct Bare {
    /// Held until the call is over.
    wrapped: Rc<Wrapped>,
    state: State,
}

enum State {
    /// Absent once it has begun, or failed to.
    Waiting(Option<Waiting>),
    Begun(HandedOver),
}

struct Waiting {
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
        let waiting = Waiting {
            call,
            params,
            results,
        };
        Self {
            wrapped,
            state: State::Waiting(Some(waiting)),
        }
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
    fn begin(self, wrapped: &Wrapped) -> Result<HandedOver, Error> {
        wrapped.count(&self.call, true);
        let target = wrapped.target()?;
        let tickets = Tickets::default();
        Ok(wrapped.make(self.call, &*target, self.params, self.results, tickets))
    }
}

impl Future for Bare {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { wrapped, state } = &mut *self;
        if let State::Waiting(waiting) = state
            && let Some(waiting) = waiting.take()
        {
            *state = State::Begun(waiting.begin(wrapped)?);
        }
        match state {
            State::Begun(begun) => Pin::new(begun).poll(cx),
            State::Waiting(_) => Poll::Pending,
        }
    }
}
