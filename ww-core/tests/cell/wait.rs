use std::task::{Context, Waker};

use futures::future::{join, join3, poll_immediate};
use ww_core::Error;
use ww_core::cell::Input;

use crate::patience::patiently;
use crate::stage::guest;

#[test]
fn waiting_answers_the_same_as_often_as_asked() {
    patiently(async {
        let builder = guest("exits").args(["42"]);
        let cell = builder.spawn().await.unwrap();
        let (one, two, three) = join3(cell.wait(), cell.wait(), cell.wait()).await;
        let late = cell.wait().await;
        for exit in [one, two, three, late] {
            assert_eq!(exit.unwrap().code(), 42);
        }
    });
}

#[test]
fn waiting_late_answers_what_was_long_since() {
    patiently(async {
        let (cell, start) = guest("exits").args(["42"]).prepare().await.unwrap();
        start.drive().await;
        assert_eq!(cell.wait().await.unwrap().code(), 42);
    });
}

#[test]
fn waiting_from_other_threads_answers_the_same() {
    let builder = guest("echo-child").stdin(Input::piped());
    let cell = patiently(builder.spawn()).unwrap();
    std::thread::scope(|scope| {
        let waiting = [(); 4].map(|()| scope.spawn(|| patiently(cell.wait())));
        drop(cell.take_stdin());
        for thread in waiting {
            let exit = thread.join().expect("waiting does not panic");
            assert_eq!(exit.unwrap().code(), 0);
        }
    });
}

#[test]
fn a_wait_that_is_given_up_loses_nothing() {
    patiently(async {
        let builder = guest("echo-child").stdin(Input::piped());
        let cell = builder.spawn().await.unwrap();
        for _ in 0..3 {
            assert!(poll_immediate(Box::pin(cell.wait())).await.is_none());
        }
        // One is given up while another waits on.
        let mut given_up = Box::pin(cell.wait());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(given_up.as_mut().poll(&mut cx).is_pending());
        let end = async {
            drop(given_up);
            drop(cell.take_stdin());
        };
        let (exit, ()) = join(cell.wait(), end).await;
        assert_eq!(exit.unwrap().code(), 0);
    });
}

#[test]
fn dropping_the_handle_kills_and_detaching_does_not() {
    patiently(async {
        let start = || guest("exits").args(["7"]).stdin(Input::piped());
        let kept = guest("echo-child").stdin(Input::piped());
        let kept = kept.spawn().await.unwrap();
        let waiting = kept.wait();
        drop(kept);
        assert!(matches!(waiting.await, Err(Error::Killed)));

        let detached = start().spawn().await.unwrap();
        let waiting = detached.wait();
        detached.detach();
        assert_eq!(waiting.await.unwrap().code(), 7);

        let detached = guest("echo-child").stdin(Input::piped());
        let detached = detached.spawn().await.unwrap();
        let (waiting, stdin) = (detached.wait(), detached.take_stdin());
        detached.detach();
        drop(stdin);
        assert_eq!(waiting.await.unwrap().code(), 0);
    });
}

#[test]
fn a_start_that_is_never_driven_is_a_cell_that_was_dropped() {
    patiently(async {
        let (cell, start) = guest("hello").prepare().await.unwrap();
        assert!(poll_immediate(Box::pin(cell.wait())).await.is_none());
        drop(start);
        assert!(matches!(cell.wait().await, Err(Error::Dropped)));
    });
}
