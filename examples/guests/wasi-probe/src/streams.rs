//! Streams, pollables and clocks, below the standard library. What is found is
//! told on standard error, since standard output is what is looked at.

use wasip2::cli::{stdin, stdout, terminal_stderr, terminal_stdin, terminal_stdout};
use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::filesystem::types::filesystem_error_code;
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

pub fn tell(what: &str) -> bool {
    let (input, output) = (stdin::get_stdin(), stdout::get_stdout());
    match what {
        "io-read" => read(&input),
        "io-idle" => idle(&input, &output),
        "io-write" => write(&output),
        "io-flush" => flush(&output),
        "io-splice" => splice(&input, &output),
        "io-skip" => skip(&input),
        "io-zeroes" => zeroes(&output),
        "io-polls" => polls(),
        "io-clocks" => clocks(),
        "io-terminals" => terminals(),
        "trap-zeroes" => drop(output.write_zeroes(u64::MAX)),
        "trap-zeroes-and-flush" => drop(output.blocking_write_zeroes_and_flush(4097)),
        "trap-write-and-flush" => drop(output.blocking_write_and_flush(&[0; 4097])),
        _ => return false,
    }
    true
}

fn failure(error: &StreamError) -> String {
    match error {
        StreamError::Closed => "closed".into(),
        StreamError::LastOperationFailed(error) => {
            let code = filesystem_error_code(error);
            let code = code.map_or(String::new(), |code| format!(" as {}", code.name()));
            format!("failed{code}, {}", error.to_debug_string())
        }
    }
}

fn show<T: std::fmt::Debug>(result: Result<T, StreamError>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => failure(&error),
    }
}

/// Reads to the end, and beyond.
fn read(input: &InputStream) {
    let mut text = Vec::new();
    let error = loop {
        match input.blocking_read(10) {
            Ok(bytes) => text.extend(bytes),
            Err(error) => break error,
        }
    };
    eprintln!("read {:?}", String::from_utf8_lossy(&text));
    eprintln!("{}", failure(&error));
    eprintln!("ready {}", input.subscribe().ready());
    eprintln!("{} {}", show(input.read(1)), show(input.blocking_skip(1)));
}

/// Streams whose other ends do nothing.
fn idle(input: &InputStream, output: &OutputStream) {
    eprintln!(
        "read {} skip {}",
        show(input.read(10)),
        show(input.skip(10))
    );
    let mut written = 0;
    loop {
        match output.check_write().expect("it is open") {
            0 => break,
            room => {
                output
                    .write(&vec![1; room as usize])
                    .expect("there is room");
                written += room;
            }
        }
    }
    eprintln!("wrote {written} empty {}", show(output.write(&[])));
    eprintln!(
        "zeroes {} splice {}",
        show(output.write_zeroes(0)),
        show(output.splice(input, 9))
    );
    eprintln!(
        "flush {} room {}",
        show(output.flush()),
        show(output.check_write())
    );
    let (readable, writable) = (input.subscribe(), output.subscribe());
    eprintln!("ready {} {}", readable.ready(), writable.ready());
    let timer = monotonic_clock::subscribe_duration(1);
    eprintln!("polled {:?}", poll(&[&readable, &timer, &writable, &timer]));
}

/// Writes and waits, until it is told of a failure.
fn write(output: &OutputStream) {
    let mut rounds = 0;
    let error = loop {
        if let Err(error) = output.blocking_write_and_flush(b"some bytes") {
            break error;
        }
        rounds += 1;
    };
    eprintln!("{rounds} rounds, {}", failure(&error));
    eprintln!("ready {}", output.subscribe().ready());
    eprintln!(
        "{} {}",
        show(output.check_write()),
        show(output.write(b"x"))
    );
    eprintln!("{} {}", show(output.flush()), show(output.blocking_flush()));
}

/// A flush takes until the other end has taken everything.
fn flush(output: &OutputStream) {
    output.write(b"some bytes").expect("there is room");
    output.flush().expect("it is open");
    eprintln!("room {}", show(output.check_write()));
    output.blocking_flush().expect("it is open");
    eprintln!("then {}", show(output.check_write()));
}

fn splice(input: &InputStream, output: &OutputStream) {
    eprintln!("none {}", show(output.blocking_splice(input, 0)));
    eprintln!("some {}", show(output.blocking_splice(input, 5)));
    let mut count = 0;
    let end = loop {
        match output.blocking_splice(input, u64::MAX) {
            Ok(some) => count += some,
            Err(error) => break error,
        }
    };
    eprintln!("rest {count}, {}", failure(&end));
    eprintln!("again {}", show(output.splice(input, 1)));
    output.blocking_flush().expect("it is open");
}

fn skip(input: &InputStream) {
    eprintln!("{}", show(input.blocking_skip(6)));
    eprintln!("{}", show(input.skip(0)));
    eprintln!("{:?}", input.blocking_read(2));
    eprintln!("{}", show(input.skip(u64::MAX)));
    eprintln!("{}", show(input.blocking_skip(1)));
}

fn zeroes(output: &OutputStream) {
    let room = output.check_write().expect("it is open");
    output.write(b"a").expect("there is room");
    output.write_zeroes(3).expect("there is room");
    output
        .blocking_write_zeroes_and_flush(4096)
        .expect("it is open");
    output.blocking_write_and_flush(b"b").expect("it is open");
    eprintln!("room {room}");
}

fn polls() {
    let past = monotonic_clock::subscribe_instant(0);
    let never = monotonic_clock::subscribe_instant(u64::MAX);
    eprintln!("ready {} {}", past.ready(), never.ready());
    past.block();
    eprintln!("polled {:?}", poll(&[&never, &past, &never, &past]));
    let many: Vec<Pollable> = (0..1000)
        .map(|_| monotonic_clock::subscribe_duration(0))
        .collect();
    eprintln!("many {}", poll(&many.iter().collect::<Vec<_>>()).len());
    let soon: Vec<&Pollable> = vec![&past; 3000];
    eprintln!("one many times {}", poll(&soon).len());
}

fn clocks() {
    let (begin, wall) = (monotonic_clock::now(), wall_clock::now());
    monotonic_clock::subscribe_duration(1_000_000).block();
    let end = monotonic_clock::now();
    eprintln!("{begin} {end}");
    let (now, next) = (
        monotonic_clock::subscribe_instant(end),
        monotonic_clock::subscribe_instant(end + 1),
    );
    eprintln!("ready {} {}", now.ready(), next.ready());
    eprintln!("{}.{:09}", wall.seconds, wall.nanoseconds);
    let wall = wall_clock::now();
    eprintln!("{}.{:09}", wall.seconds, wall.nanoseconds);
    let resolution = wall_clock::resolution();
    let same = resolution.nanoseconds as u64 == monotonic_clock::resolution();
    eprintln!("{} {same}", resolution.seconds);
}

fn terminals() {
    eprintln!(
        "{} {} {}",
        terminal_stdin::get_terminal_stdin().is_some(),
        terminal_stdout::get_terminal_stdout().is_some(),
        terminal_stderr::get_terminal_stderr().is_some()
    );
}
