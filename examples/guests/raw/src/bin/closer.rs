//! Closes its RPC connection, and goes on.

fn main() {
    let connection = raw::create_connection();
    drop(connection.get_output_stream());
    drop(connection.get_input_stream());
    drop(connection);
    println!("closed, and going on");
}
