//! Answers every line of its standard input with the same line, and exits at
//! the end of it.

use std::io::{self, BufRead, Write};

#[ww_guest_sdk::main]
async fn main() -> io::Result<()> {
    let mut output = io::stdout();
    for line in io::stdin().lock().lines() {
        writeln!(output, "{}", line?)?;
    }
    Ok(())
}
