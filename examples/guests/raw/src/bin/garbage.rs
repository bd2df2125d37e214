//! Writes garbage into its RPC connection, and waits for the host to close it.

fn main() {
    let connection = raw::create_connection();
    let input = connection.get_input_stream();
    let output = connection.get_output_stream();
    // The host may be done with the connection before it is done reading.
    let _ = output.blocking_write_and_flush(&[0xff; 4096]);
    while input.blocking_read(4096).is_ok() {}
    println!("the host has closed the connection");
}
