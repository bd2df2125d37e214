//! Reading and writing the byte streams of processes.

use capnp::Error;
use ww_rpc::peer_capnp::byte_stream;

/// The most that a stream answers to one read.
const CHUNK: u32 = 64 * 1024;

/// The most that one message writes: far below what ends a connection.
const PART: usize = 1 << 20;

/// Writes all of `bytes`.
///
/// # Errors
///
/// Those of the stream: it may be closed, or a read end.
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
/// Those of the stream: it may be a write end.
pub async fn read(stream: &byte_stream::Client) -> Result<Vec<u8>, Error> {
    let mut request = stream.read_request();
    request.get().set_max_bytes(CHUNK);
    let response = request.send().promise.await?;
    Ok(response.get()?.get_data()?.to_vec())
}

/// Reads to the end of the stream, all of it into memory.
///
/// # Errors
///
/// Those of the stream: it may be a write end.
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
