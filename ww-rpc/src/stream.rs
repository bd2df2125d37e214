//! Streams of bytes as capabilities: any reader or writer served as the wire's
//! `ByteStream`, and any `ByteStream` read and written as futures' `AsyncRead`
//! and `AsyncWrite`.
//!
//! ```text
//!  AsyncRead  ──► source ══ ByteStream ══► Reader ──► AsyncRead
//!  AsyncWrite ◄── sink   ══ ByteStream ══◄ Writer ◄── AsyncWrite
//! ```
//!
//! Host and guest do this alike, and either may be at either end.
//!
//! ```
//! use futures::io::Cursor;
//! use futures_lite::{AsyncReadExt, AsyncWriteExt, future::block_on};
//! use ww_rpc::stream::{Reader, Writer, sink, source};
//!
//! # fn main() -> std::io::Result<()> {
//! let mut said = String::new();
//! let mut reader = Reader::new(source(Cursor::new("hello")));
//! block_on(reader.read_to_string(&mut said))?;
//! assert_eq!(said, "hello");
//!
//! let (heard, to_us) = piper::pipe(1024);
//! let mut writer = Writer::new(sink(to_us));
//! block_on(async {
//!     writer.write_all(said.as_bytes()).await?;
//!     // The end, after all that was written.
//!     writer.close().await
//! })?;
//! # drop(heard);
//! # Ok(())
//! # }
//! ```

mod client;
mod fault;
mod line;
mod reader;
mod sink;
mod source;
mod writer;

pub use reader::Reader;
pub use sink::{Sink, sink};
pub use source::{MAX_READ, Source, source};
pub use writer::Writer;
