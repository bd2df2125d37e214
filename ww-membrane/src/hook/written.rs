use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use capnp::Error;
use capnp::capability::Promise;
use capnp::private::capability::{ClientHook, ParamsHook, ResultsHook};
use futures::channel::oneshot;

use crate::Call;
use crate::hook::admit::Tickets;
use crate::hook::results::{Draft, Results};
use crate::hook::wrapper::Wrapped;

/// What a call on a capability of this thread's own has written, once it is over.
pub(super) struct Written {
    /// The call, until it is over.
    done: Option<Promise<(), Error>>,
    draft: oneshot::Receiver<Draft>,
    tickets: Tickets,
}

/// The same, in the hands of the caller.
pub(super) struct HandedOver(Written);

impl Wrapped {
    /// Makes a call on `target`, of which the parameters have crossed.
    pub(super) fn make(
        &self,
        call: Call,
        target: &dyn ClientHook,
        params: Box<dyn ParamsHook>,
        results: Box<dyn ResultsHook>,
        tickets: Tickets,
    ) -> HandedOver {
        let direction = self.key().direction();
        let (results, draft) = Results::of_caller(self.boundary(), call, direction, results);
        let done = target.call(call.interface, call.method, params, Box::new(results));
        HandedOver(Written::new(done, draft, tickets))
    }
}

impl Written {
    pub(super) fn new(
        done: Promise<(), Error>,
        draft: oneshot::Receiver<Draft>,
        tickets: Tickets,
    ) -> Self {
        Self {
            done: Some(done),
            draft,
            tickets,
        }
    }

    fn poll_draft(&mut self, cx: &mut Context<'_>) -> Poll<Result<Draft, Error>> {
        if let Some(done) = &mut self.done {
            let done = ready!(Pin::new(done).poll(cx));
            self.done = None;
            done?;
        }
        let draft = ready!(Pin::new(&mut self.draft).poll(cx));
        Poll::Ready(draft.map_err(|_| Error::failed("results were lost".into())))
    }
}

impl Future for Written {
    type Output = Result<Draft, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let draft = ready!(self.poll_draft(cx));
        drop(mem::take(&mut self.tickets));
        Poll::Ready(draft)
    }
}

impl Future for HandedOver {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let written = &mut self.0;
        let draft = ready!(written.poll_draft(cx));
        let handed_over = draft.and_then(Draft::hand_over);
        drop(mem::take(&mut written.tickets));
        Poll::Ready(handed_over)
    }
}
