//! The servers of the wire's own capabilities.
//!
//! ```text
//!  Host ──► Spawner (Executor) ──► Program ──► Process ──► ByteStream
//!    │          │                                │          source, sink
//!  Network    Runtime                           Cell ─────── pipes
//! ```
//!
//! They live on one thread, with whoever is served. None of them looks at an
//! epoch: a session's membrane stands in front of all of them.
//!
//! Any stream of bytes can be served, and any that is held can be read and
//! written; see [`ww_rpc::stream`].
//!
//! ```
//! use futures::io::Cursor;
//!
//! # fn main() -> Result<(), capnp::Error> {
//! # futures_lite::future::block_on(async {
//! let stream = ww_core::serve::source(Cursor::new("hello"));
//! let mut request = stream.read_request();
//! request.get().set_max_bytes(4);
//! assert_eq!(request.send().promise.await?.get()?.get_data()?, b"hell");
//! # Ok(())
//! # })
//! # }
//! ```

mod host;
mod options;
mod process;
mod program;
mod quota;
mod services;
mod spawner;

pub use host::Host;
pub use spawner::Spawner;
pub use ww_rpc::stream::{MAX_READ, sink, source};

pub(crate) use quota::Quota;
