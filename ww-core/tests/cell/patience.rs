use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use std::{io::Write, process, thread};

/// How long a test may take before it counts as hanging. No test waits for it.
const PATIENCE: Duration = Duration::from_secs(240);

/// Runs a test; aborts the process, naming the test, if it hangs.
pub(crate) fn patiently<T>(test: impl Future<Output = T>) -> T {
    let (done, watch) = channel::<()>();
    let name = thread::current().name().unwrap_or("a test").to_owned();
    thread::spawn(move || {
        if watch.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            // Whether that can be told or not, the process ends.
            let _ = writeln!(std::io::stderr(), "{name} hangs");
            process::abort();
        }
    });
    let result = futures_lite::future::block_on(test);
    drop(done);
    result
}
