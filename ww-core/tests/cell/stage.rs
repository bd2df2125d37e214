//! One worker for all tests of this file, what they serve their guests, and a
//! waker that counts.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};

use futures::FutureExt;
use futures::task::AtomicWaker;
use ww_core::Runtime;
use ww_core::cell::{Builder, Driver};
use ww_core::clock::{Clock, Virtual};
use ww_rpc::peer_capnp::executor;

/// All cells share its one worker, so each test has neighbours.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = Runtime::builder().workers(1).build();
    runtime.expect("the engine starts")
});

pub(crate) fn guest(name: &str) -> Builder {
    let image = example_images::path(name);
    Builder::new().runtime(&RUNTIME).image(image)
}

/// Counted by clones: who else holds something of a test's.
#[derive(Clone, Default)]
pub(crate) struct Token(Arc<()>);

impl Token {
    pub(crate) fn is_held_elsewhere(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// An `Executor` that echoes, and holds a token as long as it lives.
pub(crate) struct Echo {
    _token: Token,
}

impl Echo {
    pub(crate) fn client(token: Token) -> executor::Client {
        capnp_rpc::new_client(Self { _token: token })
    }
}

impl executor::Server for Echo {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Result<(), capnp::Error> {
        let message = params.get()?.get_message()?.to_str()?;
        results.get().set_response(format!("Echo: {message}"));
        Ok(())
    }
}

/// A waker that counts how often it is woken.
#[derive(Default)]
pub(crate) struct Wakes {
    count: AtomicUsize,
    /// Somebody who is woken with it.
    also: AtomicWaker,
}

impl Wakes {
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Lets time pass on `clock` whenever the driver waits for that. Pending where it
    /// waits for something else.
    pub(crate) fn pass(
        self: &Arc<Self>,
        driver: &mut Driver,
        clock: &Virtual,
        cx: &Context<'_>,
    ) -> Poll<()> {
        self.also.register(cx.waker());
        while self.settle(driver).is_pending() {
            let Some(deadline) = clock.slept_on().now_or_never() else {
                return Poll::Pending;
            };
            clock.advance(deadline - clock.now());
        }
        Poll::Ready(())
    }

    /// Polls until the driver waits for something from outside.
    pub(crate) fn settle(self: &Arc<Self>, driver: &mut Driver) -> Poll<()> {
        let waker = Waker::from(self.clone());
        loop {
            let before = self.count();
            let polled = Pin::new(&mut *driver).poll(&mut Context::from_waker(&waker));
            if polled.is_ready() || self.count() == before {
                return polled;
            }
        }
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.also.wake();
    }
}
