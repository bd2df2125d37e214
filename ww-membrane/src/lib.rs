//! Epochs, guards, and membranes that revoke every capability reached through
//! them.
//!
//! ```text
//!        outside             boundary              inside
//!                               ┃
//!   caller ──► wrapper ─────────╂── call ──────► server
//!                 ▲             ┃                  │
//!   answers ──────┴─────────────╂── wrapped ───────┤
//!   callbacks ──────────────────╂── wrapped ─────► │
//!                               ┃
//!        Epochs::advance ─────► ┃ falls: every call is denied, calls in
//!        Membrane::revoke ────► ┃ flight end, references are released
//! ```
//!
//! The [`guide`] explains the pattern to those who have not met it.
//!
//! Three layers, each of which can be used alone:
//!
//! - A [`Membrane`] stands between an inside and an outside. Whatever leaves
//!   through it is wrapped, and so is whatever is reached from there: by an
//!   answer, a pipeline, the resolution of a promise, or a callback. Casting a
//!   wrapper gives the same wrapper.
//! - [`Epochs`] are the generations of a deployment, and a [`Guard`] says
//!   whether one of them is still current. A membrane made with a guard falls
//!   when its epoch passes, so no server need ask.
//! - [`membrane`] serves `Membrane(Extension)` of `stem.capnp`. Who grafts is
//!   granted a session under the current epoch: an extension, filled by a
//!   [`SessionExtensionBuilder`] and wrapped by a membrane of the session's
//!   own.
//!
//! # Who is granted a session
//!
//! [`Admission::open`] grants one to whoever asks. With [`Admission::signed`]
//! and [`Admission::peers`] the caller hands in a `Signer`, which is asked to
//! sign a nonce of this one graft, for the membrane's domain and the epoch; the
//! extension's builder learns which peer that was, and may grant one more than
//! another. [`KeySigner`] is such a signer, and never shows its key.
//!
//! # What may be called
//!
//! [`Membrane::policed`] makes a membrane that puts each call across it to a
//! [`Policy`], which passes it, redirects it or denies it. [`policies`] has the
//! usual ones, and tuples compose them. This attenuates: whoever holds a
//! capability can hand on less than all of it.
//!
//! [`Membrane::child`] makes a membrane that passes no more than its parent and
//! falls with it. Children of one root unwrap each other's capabilities;
//! membranes that were made apart are strangers, and neither sees through the
//! other.
//!
//! [`Methods`] tell a membrane what cannot be seen of a call: whether it
//! streams, and where its results have capabilities.
//!
//! # What is held
//!
//! [`Membrane::authority`] lists what is held across a membrane, what was
//! called, and what was denied; [`Membrane::when_empty`] tells when the last of
//! it is gone, and [`Membrane::fallen`] waits for the end and says why it came.
//! Counting costs a call a look through the handful of methods that were called
//! before on the same capability.
//!
//! # What a peer can do
//!
//! A hostile peer can hang or panic a vat of capnp-rpc's that touches the peer's
//! capabilities bare: by promises that resolve in circles, or into the answer
//! that gives them back, by answers without the capability that is pipelined on,
//! and by messages with a million capabilities. Through a membrane each of these
//! is an error, so put one between a peer and all that serves it: an
//! [`outermost`](Membrane::outermost), with [`wrap`](Membrane::wrap) for what the
//! peer bootstraps and [`wrap_reverse`](Membrane::wrap_reverse) for what it
//! exports.
//!
//! # Example
//!
//! A host hands out an executor. When the epoch advances, what was granted is
//! dead, and grafting again grants anew.
//!
//! ```
//! use std::rc::Rc;
//!
//! use ww_membrane::{Admission, Epoch, Epochs, SessionContext, membrane};
//! use ww_rpc::membrane_capnp::wetware_session;
//! use ww_rpc::peer_capnp::executor;
//! use ww_rpc::stem_capnp;
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
//! type Client = stem_capnp::membrane::Client<wetware_session::Owned>;
//!
//! async fn graft(client: &Client) -> Result<executor::Client, capnp::Error> {
//!     let answer = client.graft_request().send().promise.await?;
//!     answer.get()?.get_session()?.get_extension()?.get_executor()
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # futures_lite::future::block_on(async {
//! let epochs = Epochs::new(Epoch::default());
//! let grant = |_: &SessionContext, mut extension: wetware_session::Builder<'_>| {
//!     extension.set_executor(capnp_rpc::new_client(Echo));
//!     Ok(())
//! };
//! let client: Client = membrane(epochs.clone(), Admission::open(), grant);
//!
//! let executor = graft(&client).await?;
//! assert!(executor.echo_request().send().promise.await.is_ok());
//!
//! epochs.advance(Epoch { seq: 1, ..Epoch::default() })?;
//! let denied = executor.echo_request().send().promise.await.err();
//! assert_eq!(denied.map(|error| error.kind), Some(capnp::ErrorKind::Disconnected));
//!
//! let executor = graft(&client).await?;
//! assert!(executor.echo_request().send().promise.await.is_ok());
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # When things end
//!
//! Capabilities live on one thread, and so does a membrane. Once
//! [`Epochs::advance`] has returned, no thread admits a call of an older
//! session. Calls in flight are woken to fail with kind
//! [`Disconnected`](capnp::ErrorKind::Disconnected), wherever they wait; the
//! first that is polled takes its whole session down. A thread that polls a
//! [`Reaper`] releases what its stale sessions hold in its next turn, calls or
//! none; without one, that waits until a session is next touched or dropped.
//! [`Membrane::revoke`] does all of it before it returns.
//!
//! What survives: a capability that had crossed back and was unwrapped to the
//! original, though not the promise that it came as; what was read from messages; and the target of a request that was
//! built and not sent, until the request is sent, which fails, or dropped.

mod admission;
mod adrift;
mod authority;
mod challenge;
mod envelope;
mod epoch;
mod error;
mod fall;
mod fallen;
mod follow;
mod graft;
mod guard;
#[doc = include_str!("../GUIDE.md")]
pub mod guide {}
mod hook;
mod ledger;
mod membrane;
mod method;
pub mod policies;
mod policy;
mod reaper;
mod session;
mod signal;
mod signer;
mod thread;
mod watch;

pub use admission::Admission;
pub use authority::{Authority, Calls, Held, MethodCalls};
pub use epoch::{Epoch, Epochs};
pub use error::Error;
pub use fall::Fall;
pub use fallen::Fallen;
pub use follow::Follow;
pub use graft::membrane;
pub use guard::Guard;
pub use hook::Direction;
pub use membrane::Membrane;
pub use method::{Method, Methods, Selected};
pub use policy::{Call, Passage, Policy, Verdict};
pub use reaper::Reaper;
pub use session::{SessionContext, SessionExtensionBuilder};
pub use signer::KeySigner;
pub use watch::{Next, Settled};
