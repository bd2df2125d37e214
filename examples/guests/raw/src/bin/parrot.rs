//! Says on its RPC connection, byte for byte, what comes in on its standard
//! input, and lets what it hears go by.

use wasip2::cli::stdin::get_stdin;
use wasip2::io::poll::poll;

/// The most that one blocking write takes.
const PART: usize = 4096;

fn main() {
    let connection = raw::create_connection();
    let heard = connection.get_input_stream();
    let say = connection.get_output_stream();
    let stdin = get_stdin();
    let (told, listening) = (stdin.subscribe(), heard.subscribe());
    let mut awaited = vec![&told, &listening];
    loop {
        poll(&awaited);
        if heard.read(1 << 16).is_err() {
            awaited.truncate(1);
        }
        let Ok(bytes) = stdin.read(1 << 16) else {
            return;
        };
        for part in bytes.chunks(PART) {
            if say.blocking_write_and_flush(part).is_err() {
                println!("cut off");
                return;
            }
        }
    }
}
