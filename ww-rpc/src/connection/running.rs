use std::rc::Rc;
use std::task::{Context, Poll};

use capnp::Error;
use capnp::capability::{Client, FromClientHook};

use super::Connection;
use super::tasks::{Task, Tasks};
use crate::link::Link;
use crate::streams::Streams;

/// Messages that are read in a poll: others wait for the same thread.
const MESSAGES: usize = 16;

/// Capabilities of what has been read after which no further message is: to receive
/// two or three takes as long as a call without any.
const CAPABILITIES: u64 = 64;

/// A connection on which something was said.
pub(crate) struct Running {
    connection: Rc<Connection>,
    streams: Box<dyn Streams>,
    tasks: Tasks,
}

impl Running {
    pub(crate) fn new(
        streams: Box<dyn Streams>,
        link: Rc<Link>,
        bootstrap: Option<Client>,
    ) -> Self {
        Self {
            connection: Connection::new(link, bootstrap),
            streams,
            tasks: Tasks::default(),
        }
    }

    /// Asks the peer for its bootstrap capability.
    pub(crate) fn bootstrap<C: FromClientHook>(&self) -> C {
        C::new(self.connection.bootstrap())
    }

    /// Ready when the connection has ended and the peer was told.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            connection,
            streams,
            tasks,
        } = self;
        let link = connection.link.clone();
        link.begin_poll();
        tasks.poll(&connection.new_tasks, cx);
        let before = link.traffic.capabilities_in();
        let mut heard = 0;
        while !link.is_shut() {
            if heard == MESSAGES || link.traffic.capabilities_in() - before >= CAPABILITIES {
                cx.waker().wake_by_ref();
                break;
            }
            let frame = match streams.poll_incoming(&link, cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(Some(frame))) => frame,
                Poll::Ready(Ok(None)) => {
                    connection.end(Error::disconnected(
                        "the peer has ended the connection".into(),
                    ));
                    break;
                }
                Poll::Ready(Err(error)) => {
                    connection.end(error);
                    break;
                }
            };
            heard += 1;
            link.traffic.heard();
            match connection.hear(frame) {
                Ok(None) => {}
                // Calls are begun in the order in which they came.
                Ok(Some(call)) if tasks.is_empty() && call.poll(cx).is_ready() => {}
                Ok(Some(call)) => tasks.push(Task::call(&call)),
                Err(error) => connection.end(error),
            }
            tasks.poll(&connection.new_tasks, cx);
        }
        connection.new_tasks.wait(cx);
        let over = streams.poll_outgoing(&link, cx);
        if over.is_ready() {
            self.cancel();
        }
        over
    }

    /// Drops whatever runs.
    fn cancel(&mut self) {
        self.tasks.cancel(&self.connection.new_tasks);
    }

    /// Ends the connection at once.
    pub(crate) fn disconnect(&mut self) {
        self.connection
            .end(Error::disconnected("the connection was dropped".into()));
        self.cancel();
    }
}
