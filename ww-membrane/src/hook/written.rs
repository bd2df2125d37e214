use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use capnp::Error;
use capnp::capability::Promise;
use futures::channel::oneshot;

use crate::hook::admit::Tickets;
use crate::hook::results::Draft;

/// What a call on a capability of this thread's own has written, once it is over.
pub(super) struct Written {
    /// The call, until it is over.
    done: Option<Promise<(), Error>>,
    draft: oneshot::Receiver<Draft>,
    _tickets: Tickets,
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
            _tickets: tickets,
        }
    }
}

impl Future for Written {
    type Output = Result<Draft, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(done) = &mut self.done {
            let done = ready!(Pin::new(done).poll(cx));
            self.done = None;
            done?;
        }
        let draft = ready!(Pin::new(&mut self.draft).poll(cx));
        Poll::Ready(draft.map_err(|_| Error::failed("results were lost".into())))
    }
}
