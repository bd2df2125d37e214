//! The SDK's own loop, natively, against a host in the same process.
#![cfg(not(target_family = "wasm"))]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use ww_guest_sdk::capnp::{self, ErrorKind};
use ww_guest_sdk::futures::channel::oneshot;
use ww_guest_sdk::futures::future::{FusedFuture, join_all, poll_immediate};
use ww_guest_sdk::peer_capnp::executor;
use ww_guest_sdk::testing::Host;
use ww_guest_sdk::time::sleep;
use ww_guest_sdk::{Cancelled, capnp_rpc, closed, export, serve, spawn};

/// Answers.
struct Echo;

impl executor::Server for Echo {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Result<(), capnp::Error> {
        let message = params.get()?.get_message()?.to_str()?;
        results.get().set_response(format!("Echo: {message}"));
        Ok(())
    }
}

fn host() -> executor::Client {
    capnp_rpc::new_client(Echo)
}

async fn echo(echo: &executor::Client, message: &str) -> Result<String, capnp::Error> {
    let mut request = echo.echo_request();
    request.get().set_message(message);
    let response = request.send().promise.await?;
    Ok(response.get()?.get_response()?.to_string()?)
}

#[test]
fn calls_go_both_ways() {
    let guest = async |host: executor::Client| {
        let messages: Vec<_> = (0..100).map(|n| "x".repeat(n * 1000)).collect();
        let calls = messages.iter().map(|message| echo(&host, message));
        for (message, answer) in messages.iter().zip(join_all(calls).await) {
            assert_eq!(answer.unwrap(), format!("Echo: {message}"));
        }
        serve(host, pending::<()>()).await.unwrap()
    };
    let asked = Rc::new(Cell::new(false));
    let seen = asked.clone();
    let outcome = Host::new(host())
        .calls(async move |exported: executor::Client| {
            assert_eq!(echo(&exported, "hey").await.unwrap(), "Echo: hey");
            seen.set(true);
        })
        .run(guest);
    // The host was done, and shut the guest down.
    assert_eq!(outcome.unwrap(), None);
    assert!(asked.get());
}

#[test]
fn either_side_may_be_the_first_to_speak_and_late() {
    // The host does, to a guest that never does.
    let outcome = Host::new(host())
        .calls(async |exported: executor::Client| {
            assert_eq!(echo(&exported, "hey").await.unwrap(), "Echo: hey");
        })
        .run(async |_: executor::Client| serve(self::host(), pending::<()>()).await);
    assert_eq!(outcome.unwrap().unwrap(), None);

    // The guest does, when it has waited for long.
    let outcome = Host::new(host()).run(async |host: executor::Client| {
        sleep(Duration::from_secs(60)).await;
        let answers = join_all([echo(&host, "late"), echo(&host.clone(), "later")]).await;
        answers.into_iter().collect::<Result<Vec<_>, _>>()
    });
    assert_eq!(outcome.unwrap().unwrap(), ["Echo: late", "Echo: later"]);
}

#[test]
fn work_that_is_done_ends_the_service() {
    let outcome = Host::new(host())
        .run(async |host: executor::Client| serve(host, async { 7 }).await)
        .unwrap();
    assert_eq!(outcome.unwrap(), Some(7));
}

#[test]
fn a_host_that_was_not_done_is_told_of() {
    let outcome = Host::new(host())
        .calls(async |_: executor::Client| pending().await)
        .run(async |_: executor::Client| ());
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("before what its host had to do"), "{error}");
}

#[test]
fn what_was_never_exported_fails_when_the_guest_ends() {
    let kind = Rc::new(Cell::new(None));
    let seen = kind.clone();
    Host::new(host())
        .calls(async move |exported: executor::Client| {
            let failed = echo(&exported, "hey").await;
            seen.set(failed.err().map(|error| error.kind));
        })
        .run(async |_: executor::Client| ())
        .unwrap();
    assert_eq!(kind.get(), Some(ErrorKind::Disconnected));
}

#[test]
fn a_task_is_joined_cancelled_or_let_run() {
    Host::new(host())
        .run(async |host: executor::Client| {
            let call = host.clone();
            let joined = spawn(async move { echo(&call, "from a task").await });
            assert_eq!(joined.await.unwrap().unwrap(), "Echo: from a task");

            let (held, dropped) = oneshot::channel::<()>();
            let endless = spawn(async move {
                let _held = held;
                pending::<()>().await;
            });
            let mut endless = Box::pin(endless);
            assert!(poll_immediate(&mut endless).await.is_none());
            endless.cancel();
            assert!(dropped.await.is_err());
            assert!(!endless.is_terminated(), "who waits is to hear of it");
            assert_eq!((&mut endless).await, Err(Cancelled));
            assert!(endless.is_terminated());

            let (say, said) = oneshot::channel();
            drop(spawn(async move { say.send(7).unwrap() }));
            assert_eq!(said.await, Ok(7));

            let mut task = spawn(async { 1 });
            sleep(Duration::from_secs(1)).await;
            // Done long since.
            task.cancel();
            assert!(!task.is_terminated());
            assert_eq!((&mut task).await, Ok(1));
            assert!(task.is_terminated());
            assert_eq!(task.await, Err(Cancelled), "it is had once");
        })
        .unwrap();
}

#[test]
fn time_passes_in_order_and_at_once() {
    let order = RefCell::new(Vec::new());
    let mark = async |hours: u64| {
        sleep(Duration::from_hours(hours)).await;
        order.borrow_mut().push(hours);
    };
    Host::new(host())
        .run(async |host: executor::Client| {
            join_all([3, 1, 2, 1].map(mark)).await;
            // A call goes on before time does.
            let never = sleep(Duration::from_hours(1));
            echo(&host, "quick").await.unwrap();
            assert!(poll_immediate(never).await.is_none());
        })
        .unwrap();
    assert_eq!(*order.borrow(), [1, 1, 2, 3]);
}

#[test]
fn time_passes_after_the_end_of_the_connection_as_before() {
    let shuts_down = || {
        Host::new(host()).calls(async |exported: executor::Client| {
            echo(&exported, "there").await.unwrap();
        })
    };
    let order = shuts_down().run(async |host: executor::Client| {
        let order = Rc::new(RefCell::new(Vec::new()));
        let mark = |hours: u64| {
            let order = order.clone();
            spawn(async move {
                sleep(Duration::from_hours(hours)).await;
                order.borrow_mut().push(hours);
            })
        };
        let early = mark(3);
        export(host);
        closed().await.unwrap();
        sleep(Duration::from_hours(1)).await;
        let late = mark(1);
        join_all([early, late]).await;
        order.take()
    });
    assert_eq!(order.unwrap(), [1, 3]);

    let outcome = shuts_down().run(async |host: executor::Client| {
        export(host);
        sleep(Duration::from_hours(1)).await;
        pending::<()>().await;
    });
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("nothing left that could wake"), "{error}");
}

#[test]
fn the_end_of_the_connection_wakes_everybody_who_waits_for_it() {
    let woken = Rc::new(Cell::new(0));
    let count = woken.clone();
    Host::new(host())
        .calls(async |exported: executor::Client| {
            echo(&exported, "there").await.unwrap();
        })
        .run(async move |host: executor::Client| {
            export(host.clone());
            let waits = (0..3).map(|_| {
                let count = count.clone();
                spawn(async move {
                    closed().await.unwrap();
                    count.set(count.get() + 1);
                })
            });
            join_all(waits).await;
            let error = echo(&host, "late").await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Disconnected);
            // And whoever comes later.
            closed().await.unwrap();
        })
        .unwrap();
    assert_eq!(woken.get(), 3);
}

/// Somebody who waits, as others hold on to it.
#[derive(Default)]
struct Waits(AtomicUsize);

impl Waits {
    /// Has it wait for `future`, which is not ready.
    fn poll(self: &Arc<Self>, future: Pin<&mut impl Future>) {
        let waker = Waker::from(self.clone());
        assert!(future.poll(&mut Context::from_waker(&waker)).is_pending());
    }

    fn wakers(self: &Arc<Self>) -> usize {
        Arc::strong_count(self) - 1
    }
}

impl Wake for Waits {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn nothing_is_kept_of_who_waits_for_the_end_no_more() {
    Host::new(host())
        .run(async |_: executor::Client| {
            let [first, second] = [(); 2].map(|()| Arc::<Waits>::default());
            let mut moved = Box::pin(closed());
            first.poll(moved.as_mut());
            first.poll(moved.as_mut());
            assert_eq!(first.wakers(), 1);
            second.poll(moved.as_mut());
            assert_eq!((first.wakers(), second.wakers()), (0, 1));
            drop(moved);
            assert_eq!(second.wakers(), 0);
        })
        .unwrap();
}

#[test]
fn who_waits_for_the_end_twice_is_woken_when_it_has_given_up_one() {
    let waits = Arc::<Waits>::default();
    Host::new(host())
        .calls(async |exported: executor::Client| {
            echo(&exported, "there").await.unwrap();
        })
        .run(async |host: executor::Client| {
            let mut kept = pin!(closed());
            let mut given_up = Box::pin(closed());
            waits.poll(kept.as_mut());
            waits.poll(given_up.as_mut());
            drop(given_up);
            export(host);
            closed().await.unwrap();
            assert_eq!(waits.0.load(Ordering::Relaxed), 1);
            assert!(poll_immediate(kept).await.is_some());
        })
        .unwrap();
    assert_eq!(waits.wakers(), 0);
}
