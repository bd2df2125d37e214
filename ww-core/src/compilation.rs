use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::error::Error;
use crate::phase::{Observer, Phase};
use crate::program::Program;

/// A program to come, from [`Runtime::compile`](crate::Runtime::compile) or
/// [`Runtime::load`](crate::Runtime::load).
///
/// # Cancel safety
///
/// Nothing happens before it is polled. Dropped while it compiles, it lets the
/// compiler finish what it has begun, and begin nothing more, unless somebody
/// else waits for the same program.
#[must_use = "nothing is compiled before this is polled"]
pub struct Compilation(State);

enum State {
    New {
        begin: Box<dyn FnOnce(Option<Observer>) -> Outcome + Send>,
        observer: Option<Observer>,
    },
    Begun(Outcome),
    Done,
}

type Outcome = BoxFuture<'static, Result<Program, Error>>;

impl Compilation {
    pub(crate) fn new<F>(begin: impl FnOnce(Option<Observer>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<Program, Error>> + Send + 'static,
    {
        Self(State::New {
            begin: Box::new(|observer| begin(observer).boxed()),
            observer: None,
        })
    }

    /// Tells `observer` of each phase when it begins, on the thread where it
    /// does. A program that is there already has at most the first of them. The
    /// observer must not block. Has no effect after the first poll.
    pub fn observe(mut self, observer: impl Fn(Phase) + Send + Sync + 'static) -> Self {
        if let State::New { observer: slot, .. } = &mut self.0 {
            *slot = Some(Arc::new(observer));
        }
        self
    }
}

impl Future for Compilation {
    type Output = Result<Program, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut program = match std::mem::replace(&mut self.0, State::Done) {
            State::New { begin, observer } => begin(observer),
            State::Begun(program) => program,
            State::Done => return Poll::Pending,
        };
        let polled = program.as_mut().poll(cx);
        if polled.is_pending() {
            self.0 = State::Begun(program);
        }
        polled
    }
}

impl fmt::Debug for Compilation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::New { .. } => "Compilation::New",
            State::Begun(_) => "Compilation::Begun",
            State::Done => "Compilation::Done",
        })
    }
}
