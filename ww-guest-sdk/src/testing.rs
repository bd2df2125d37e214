//! Guests in native tests: the code that runs in a cell, against a host in the
//! same process, without WebAssembly.
//!
//! ```
//! use std::rc::Rc;
//!
//! use ww_guest_sdk::peer_capnp::executor;
//! use ww_guest_sdk::{Error, capnp, capnp_rpc, testing};
//!
//! // What the guest's `main` does, in a function of its own.
//! async fn greet(executor: executor::Client) -> Result<String, Error> {
//!     let mut request = executor.echo_request();
//!     request.get().set_message("anyone there?");
//!     let response = request.send().promise.await?;
//!     Ok(response.get()?.get_response()?.to_string()?)
//! }
//!
//! struct Echo;
//!
//! impl executor::Server for Echo {
//!     async fn echo(
//!         self: Rc<Self>,
//!         params: executor::EchoParams,
//!         mut results: executor::EchoResults,
//!     ) -> Result<(), capnp::Error> {
//!         let message = params.get()?.get_message()?.to_str()?;
//!         results.get().set_response(format!("Echo: {message}"));
//!         Ok(())
//!     }
//! }
//!
//! let host: executor::Client = capnp_rpc::new_client(Echo);
//! let greeting = testing::Host::new(host).run(greet).unwrap().unwrap();
//! assert_eq!(greeting, "Echo: anyone there?");
//! ```
//!
//! The guest runs on the same executor as in a cell, and speaks to the host over
//! a real connection: two vats, with every call as bytes between them. Tasks,
//! [`export`](crate::export()), [`closed`](crate::closed) and
//! [`sleep`](crate::time::sleep) work as they do there; time is made up, and
//! passes when nothing else is left to do. What is missing is WASI: `std` is the
//! machine's own, and the [standard streams](crate::stdio) are the test's.

mod in_process;

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use capnp::capability::{Client, FromClientHook};
use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::line::Line;
use crate::{Error, executor};
use in_process::InProcess;

type Caller = Box<dyn FnOnce(Client) -> LocalBoxFuture<'static, ()>>;

/// A host for one guest.
pub struct Host {
    bootstrap: Client,
    caller: Option<Caller>,
}

impl Host {
    /// A host whose guest bootstraps `bootstrap`.
    pub fn new(bootstrap: impl FromClientHook) -> Self {
        Self {
            bootstrap: bootstrap.cast_to(),
            caller: None,
        }
    }

    /// Has the host do `calls` with what the guest exports. When that is done, it
    /// shuts the connection down.
    pub fn calls<C, F>(mut self, calls: impl FnOnce(C) -> F + 'static) -> Self
    where
        C: FromClientHook,
        F: Future<Output = ()> + 'static,
    {
        self.caller = Some(Box::new(|exported| calls(exported.cast_to()).boxed_local()));
        self
    }

    /// Runs `guest`, with all its tasks, to its end, and answers what it
    /// returns. Where it waits for what never happens, this waits too, as long as
    /// there is the connection.
    ///
    /// # Errors
    ///
    /// The guest was done, and what the host [calls](Self::calls) was not; or the
    /// connection has ended, and the guest goes on waiting for what never happens.
    ///
    /// # Panics
    ///
    /// Where the guest panics, or what the host does.
    pub fn run<C, F>(self, guest: impl FnOnce(C) -> F) -> Result<F::Output, Error>
    where
        C: FromClientHook,
        F: Future,
    {
        let done = Rc::new(Cell::new(true));
        let caller = self.caller.map(|caller| {
            done.set(false);
            let done = done.clone();
            |exported| {
                caller(exported)
                    .inspect(move |()| done.set(true))
                    .boxed_local()
            }
        });
        let (line, bootstrap) = Line::over(InProcess::new(self.bootstrap, caller));
        let output = executor::run(guest(bootstrap), Some(line))?;
        if !done.get() {
            return Err("the guest was done before what its host had to do with it".into());
        }
        Ok(output)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("calls", &self.caller.is_some())
            .finish_non_exhaustive()
    }
}
