use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;

use futures::channel::oneshot;
use futures::future::poll_immediate;
use ww_core::Error;
use ww_core::cell::{Input, Local};

use crate::patience::patiently;
use crate::stage::{Token, Wakes, guest};

#[test]
fn a_task_runs_on_the_cells_thread_and_may_hold_what_never_leaves_it() {
    patiently(async {
        let cell = guest("echo-child").stdin(Input::piped());
        let cell = cell.spawn().await.unwrap();
        let seven = cell.with(async |local: Local| {
            let (sender, receiver) = oneshot::channel();
            let stays = Rc::new(7);
            local.spawn(async move { sender.send(*stays).expect("somebody waits") });
            receiver.await.map_err(|_| Error::Ended { why: None })
        });
        assert_eq!(seven.await.unwrap(), 7);
        assert_ne!(
            cell.with(async |_| Ok(std::thread::current().id()))
                .await
                .unwrap(),
            std::thread::current().id()
        );
    });
}

#[test]
fn what_a_task_fails_with_is_answered() {
    patiently(async {
        let cell = guest("echo-child").stdin(Input::piped());
        let cell = cell.spawn().await.unwrap();
        let failed: Result<(), _> = cell
            .with(async |_| Err(capnp::Error::overloaded("too much".into()).into()))
            .await;
        assert!(matches!(failed, Err(Error::Rpc(error)) if error.extra == "too much"));
    });
}

#[test]
fn a_task_that_comes_after_the_end_is_dropped_and_told() {
    patiently(async {
        let cell = guest("hello").spawn().await.unwrap();
        cell.wait().await.unwrap();
        let token = Token::default();
        let held = token.clone();
        let late = cell.with(async move |_| Ok(held.is_held_elsewhere()));
        assert!(!token.is_held_elsewhere(), "it is dropped at once");
        assert!(matches!(late.await, Err(Error::Ended { .. })));
    });
}

#[test]
fn a_task_that_the_end_overtakes_is_dropped_and_told() {
    patiently(async {
        let cell = guest("echo-child").stdin(Input::piped());
        let cell = cell.spawn().await.unwrap();
        let token = Token::default();
        let held = token.clone();
        let overtaken = cell.with(async move |_: Local| {
            let _held = held;
            pending::<Result<(), Error>>().await
        });
        drop(cell.take_stdin());
        assert!(matches!(overtaken.await, Err(Error::Ended { .. })));
        cell.wait().await.unwrap();
        assert!(!token.is_held_elsewhere());
    });
}

#[test]
fn giving_up_drops_the_task_and_nothing_else() {
    patiently(async {
        let cell = guest("echo-child").stdin(Input::piped());
        let cell = cell.spawn().await.unwrap();
        let (start, started) = oneshot::channel();
        let (held, dropped) = oneshot::channel::<()>();
        let mut task = Box::pin(cell.with(async move |_: Local| {
            let _held = held;
            start.send(()).expect("the test waits");
            pending::<Result<(), Error>>().await
        }));
        assert!(poll_immediate(&mut task).await.is_none());
        started.await.expect("the task starts");
        drop(task);
        assert!(dropped.await.is_err(), "the task is dropped");
        assert!(cell.with(async |_| Ok(true)).await.unwrap());
    });
}

#[test]
fn a_task_that_panics_takes_its_cell_down_and_no_neighbour() {
    patiently(async {
        let neighbour = guest("echo-child").stdin(Input::piped());
        let neighbour = neighbour.spawn().await.unwrap();
        let cell = guest("echo-child").stdin(Input::piped());
        let cell = cell.spawn().await.unwrap();
        let token = Token::default();
        let held = token.clone();
        let panics: Result<(), _> = cell
            .with(async move |_: Local| panic!("as the test wants: {}", held.is_held_elsewhere()))
            .await;
        assert!(matches!(panics, Err(Error::Ended { .. })));
        let Err(Error::Panicked { message }) = cell.wait().await else {
            panic!("the host has panicked");
        };
        assert_eq!(message, "as the test wants: true");
        assert!(!token.is_held_elsewhere());

        assert!(neighbour.with(async |_| Ok(true)).await.unwrap());
        drop(neighbour.take_stdin());
        assert_eq!(neighbour.wait().await.unwrap().code(), 0);
    });
}

#[test]
fn nothing_runs_before_the_driver_is_polled() {
    let token = Token::default();
    let held = token.clone();
    let builder = guest("exits").args(["5"]);
    let (cell, start) = patiently(builder.prepare()).unwrap();
    let task = cell.with(async move |_| {
        drop(held);
        Ok(())
    });
    let mut driver = start.drive();
    assert!(token.is_held_elsewhere(), "the task waits");
    assert_eq!(cell.usage(), Default::default());
    let wakes = Arc::new(Wakes::default());
    assert!(wakes.settle(&mut driver).is_ready());
    assert!(!token.is_held_elsewhere());
    assert_eq!(patiently(cell.wait()).unwrap().code(), 5);
    assert!(patiently(task).is_ok(), "the task came before the end");
}
