//! Streams of bytes as capabilities: those of processes, and the guest's own.
//!
//! [`Reader`] and [`Writer`] are futures' `AsyncRead` and `AsyncWrite` on a
//! `ByteStream` of the host's or of another cell's; [`source()`] and [`sink()`]
//! make a `ByteStream` of any reader or writer, for others. The functions here
//! are short ways for what is small.

use capnp::Error;
use ww_rpc::peer_capnp::byte_stream;
pub use ww_rpc::stream::{MAX_READ, Reader, Writer, sink, source};

/// The most that one message writes: far below what ends a connection.
const PART: usize = 1 << 20;

/// Writes all of `bytes`.
///
/// # Errors
///
/// Those of the stream: it may be closed, or a read end.
///
/// # Cancel safety
///
/// Some of `bytes` may have been written when it is dropped.
pub async fn write(stream: &byte_stream::Client, bytes: &[u8]) -> Result<(), Error> {
    for part in bytes.chunks(PART) {
        let mut request = stream.write_request();
        request.get().set_data(part);
        request.send().promise.await?;
    }
    Ok(())
}

/// Reads at least one byte and at most 64 KiB. Empty is the end of the stream.
///
/// # Errors
///
/// Those of the stream: it may be a write end. An answer of more than 64 KiB.
///
/// # Cancel safety
///
/// When it is dropped, bytes that were answered are lost; [`Reader`] keeps them.
pub async fn read(stream: &byte_stream::Client) -> Result<Vec<u8>, Error> {
    let mut request = stream.read_request();
    request.get().set_max_bytes(MAX_READ);
    let response = request.send().promise.await?;
    let data = response.get()?.get_data()?;
    if data.len() > MAX_READ as usize {
        return Err(Error::failed(format!(
            "asked for at most {MAX_READ} bytes, a stream answered {}",
            data.len()
        )));
    }
    Ok(data.to_vec())
}

/// Reads to the end of the stream, all of it into memory.
///
/// # Errors
///
/// Those of [`read`]. How much it is has no bound but the guest's memory; with a
/// [`Reader`], `take` sets one.
pub async fn read_to_end(stream: &byte_stream::Client) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    loop {
        let chunk = read(stream).await?;
        if chunk.is_empty() {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&chunk);
    }
}

/// Closes the stream.
///
/// # Errors
///
/// When the stream's host cannot be reached.
pub async fn close(stream: &byte_stream::Client) -> Result<(), Error> {
    stream.close_request().send().promise.await.map(drop)
}
