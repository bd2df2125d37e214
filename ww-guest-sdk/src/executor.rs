use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use wasip2::io::poll::poll;

use crate::flag::Flag;
use crate::line::Channel;
use crate::tasks::Tasks;
use crate::{Error, time, watch};

/// Rounds of polling after which the host is looked at although there is
/// still work, so that busy tasks cannot keep bytes and timers from arriving.
const ROUNDS: u32 = 64;

/// What is said of a guest that waits for ever. One with a connection does not,
/// before that has ended.
const STRANDED: &str = "main waits, and there is nothing left that could wake it; \
    the end of a connection is told by `serve` and by `closed()`";

/// Drives `main`, its tasks and its connection to the end of `main`.
///
/// Everything that was woken is polled until nothing is; only then does the
/// guest block, in one host call that also pushes what was written.
pub(crate) fn run<C: Channel, F: Future>(main: F, mut line: Option<C>) -> Result<F::Output, Error> {
    let mut main: Pin<Box<F>> = Box::pin(main);
    let flag = Flag::new();
    let mut tasks = Tasks::new();
    let mut rounds = 0;
    let output = loop {
        if flag.take()
            && let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(flag.waker()))
        {
            break output;
        }
        tasks.poll();
        line = line.and_then(|mut line| line.poll().then_some(line));

        let woken = flag.is_raised() || tasks.is_woken() || line.as_ref().is_some_and(C::is_woken);
        rounds = if woken { rounds + 1 } else { 0 };
        if !woken || rounds % ROUNDS == 0 {
            turn(&mut line, !woken)?;
        }
    };
    // What `main` and its tasks held is released while it can still be said.
    drop(main);
    drop(tasks);
    if let Some(line) = line {
        line.close();
    }
    Ok(output)
}

fn turn<C: Channel>(line: &mut Option<C>, wait: bool) -> Result<(), Error> {
    time::watch();
    match line {
        Some(line) => watch::wait_with(|pollables| line.turn(pollables, wait)),
        None if watch::is_idle() => {
            if wait && !time::pass() {
                return Err(STRANDED.into());
            }
        }
        None if wait => watch::wait_with(poll),
        None => watch::wait_with(watch::ready_now),
    }
    time::wake();
    Ok(())
}
