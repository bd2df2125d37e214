//! Takes its RPC connection, or one direction of it, a second time.

fn main() {
    let connection = raw::create_connection();
    match std::env::args().nth(1).as_deref() {
        Some("connection") => drop(raw::create_connection()),
        Some("input") => drop([connection.get_input_stream(), connection.get_input_stream()]),
        Some("output") => drop([
            connection.get_output_stream(),
            connection.get_output_stream(),
        ]),
        _ => panic!("usage: twice (connection | input | output)"),
    }
}
