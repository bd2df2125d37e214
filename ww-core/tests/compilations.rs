//! Compilations that wait for one another.

use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use tempfile::TempDir;
use ww_core::cache::Cache;
use ww_core::{Error, Runtime};

#[test]
fn what_waits_to_be_compiled_waits_for_nobody_who_does_not_look() {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let directory = TempDir::new().expect("a directory");
    let (end, ends) = mpsc::channel::<()>();
    let ends = Mutex::new(ends);
    let cache = Cache::open(directory.path().join("programs")).expect("it opens");
    let cache = cache.filled_by(move |_| {
        let _ = ends.lock().expect("nobody panics").recv();
        Err(std::io::Error::other("not compiled"))
    });
    let runtime = Runtime::builder()
        .cells(0)
        .cache(cache)
        .build()
        .expect("it starts");
    let mut compilations: Vec<_> = (0..processors + 2)
        .map(|number| runtime.compile(number.to_string()))
        .collect();
    let (wakes, woken) = mpsc::channel();
    let waker = Waker::from(Arc::new(Told(wakes)));
    let cx = &mut Context::from_waker(&waker);
    let mut last = compilations.pop().expect("there are some");
    for compilation in &mut compilations {
        let ignored = &mut Context::from_waker(Waker::noop());
        assert!(Pin::new(compilation).poll(ignored).is_pending());
    }
    assert!(Pin::new(&mut last).poll(cx).is_pending());
    drop(end);
    let outcome = loop {
        woken.recv().expect("it is woken");
        if let Poll::Ready(outcome) = Pin::new(&mut last).poll(cx) {
            break outcome;
        }
    };
    assert!(matches!(outcome, Err(Error::Compile(_))), "{outcome:?}");
}

/// Tells that somebody was woken.
struct Told(mpsc::Sender<()>);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        // Nobody looks any more.
        let _ = self.0.send(());
    }
}
