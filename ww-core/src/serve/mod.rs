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
//! Any stream of bytes can be served:
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

mod fault;
mod host;
mod line;
mod options;
mod process;
mod program;
mod quota;
mod sink;
mod source;
mod spawner;

pub use host::Host;
pub use sink::sink;
pub use source::{MAX_READ, source};
pub use spawner::Spawner;

pub(crate) use quota::Quota;
