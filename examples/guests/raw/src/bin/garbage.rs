//! Writes garbage into its RPC connection, and waits for the host to close it.
//!
//! ```text
//! garbage [BYTES]     4096 of them, if not told otherwise; maybe none
//! ```

fn main() {
    let bytes = std::env::args().nth(1).map_or(4096, |bytes| {
        bytes.parse().expect("the argument is a number of bytes")
    });
    let connection = raw::create_connection();
    let input = connection.get_input_stream();
    let output = connection.get_output_stream();
    // The host may be done with the connection before it is done reading.
    let _ = output.blocking_write_and_flush(&vec![0xff; bytes]);
    while input.blocking_read(4096).is_ok() {}
    println!("the host has closed the connection");
}
