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

use ww_guest_sdk::capnp::capability::FromClientHook;
use ww_guest_sdk::capnp::{self, ErrorKind};
use ww_guest_sdk::futures::channel::oneshot;
use ww_guest_sdk::futures::future::{join_all, poll_immediate};
use ww_guest_sdk::membrane_capnp::wetware_session::Owned as Extension;
use ww_guest_sdk::peer_capnp::executor;
use ww_guest_sdk::stem_capnp::{membrane, status_poller};
use ww_guest_sdk::testing::Host;
use ww_guest_sdk::time::sleep;
use ww_guest_sdk::{Cancelled, Error, Grafted, Membrane, capnp_rpc, closed, export, serve, spawn};

/// Answers, and lets its calls fail once they are so many.
#[derive(Default)]
struct Echo {
    calls: Cell<u32>,
    last: Option<u32>,
}

impl executor::Server for Echo {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Result<(), capnp::Error> {
        self.calls.set(self.calls.get() + 1);
        if self.last.is_some_and(|last| self.calls.get() > last) {
            return Err(capnp::Error::disconnected("staleEpoch".into()));
        }
        let message = params.get()?.get_message()?.to_str()?;
        results.get().set_response(format!("Echo: {message}"));
        Ok(())
    }
}

fn host() -> executor::Client {
    capnp_rpc::new_client(Echo::default())
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
        serve(host, pending::<()>()).await
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
    assert_eq!(outcome.unwrap(), None);

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
    assert_eq!(outcome, Some(7));
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
            assert_eq!(endless.await, Err(Cancelled));
            assert!(dropped.await.is_err());

            let (say, said) = oneshot::channel();
            drop(spawn(async move { say.send(7).unwrap() }));
            assert_eq!(said.await, Ok(7));

            let task = spawn(async { 1 });
            sleep(Duration::from_secs(1)).await;
            // Done long since.
            task.cancel();
            assert_eq!(task.await, Ok(1));
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
        closed().await;
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
                    closed().await;
                    count.set(count.get() + 1);
                })
            });
            join_all(waits).await;
            let error = echo(&host, "late").await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Disconnected);
            // And whoever comes later.
            closed().await;
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
            closed().await;
            assert_eq!(waits.0.load(Ordering::Relaxed), 1);
            assert!(poll_immediate(kept).await.is_some());
        })
        .unwrap();
    assert_eq!(waits.wakers(), 0);
}

fn none<C: FromClientHook>() -> C {
    capnp_rpc::new_broken_cap(capnp::Error::failed("there is none".into())).cast_to()
}

/// Grants a session that is good, and counts.
struct Steady(Cell<u32>);

impl membrane::Server<Extension> for Steady {
    async fn graft(
        self: Rc<Self>,
        _: membrane::GraftParams<Extension>,
        mut results: membrane::GraftResults<Extension>,
    ) -> Result<(), capnp::Error> {
        self.0.set(self.0.get() + 1);
        let mut session = results.get().init_session();
        let granted = self.0.get().into();
        session.reborrow().init_issued_epoch().set_seq(granted);
        session.set_status_poller(capnp_rpc::new_client(Good));
        Ok(())
    }
}

struct Good;

impl status_poller::Server for Good {
    async fn poll_status(
        self: Rc<Self>,
        _: status_poller::PollStatusParams,
        _: status_poller::PollStatusResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

#[test]
fn a_session_outlives_the_end_of_what_it_led_to() {
    let host: Membrane = capnp_rpc::new_client(Steady(Cell::new(0)));
    Host::new(host)
        .run(async |membrane: Membrane| {
            let grafted = Grafted::new(membrane);
            let gone = || capnp::Error::disconnected("a peer is not reached".into());
            for _ in 0..2 {
                let failed = grafted.with(async |_| Err::<(), _>(gone())).await;
                assert!(failed.is_err());
                assert_eq!(grafted.session().await.unwrap().epoch, 1);
            }
        })
        .unwrap();
}

/// Grants executors that die after so many calls, and counts.
struct Grants {
    lasts: u32,
    granted: Rc<Cell<u32>>,
    fails: Cell<u32>,
}

impl membrane::Server<Extension> for Grants {
    async fn graft(
        self: Rc<Self>,
        _: membrane::GraftParams<Extension>,
        mut results: membrane::GraftResults<Extension>,
    ) -> Result<(), capnp::Error> {
        self.granted.set(self.granted.get() + 1);
        if self.fails.get() > 0 {
            self.fails.set(self.fails.get() - 1);
            return Err(capnp::Error::failed("not today".into()));
        }
        let mut session = results.get().init_session();
        session
            .reborrow()
            .init_issued_epoch()
            .set_seq(self.granted.get().into());
        session.set_status_poller(none());
        let mut extension = session.init_extension();
        extension.set_host(none());
        extension.set_executor(capnp_rpc::new_client(Echo {
            last: Some(self.lasts),
            ..Echo::default()
        }));
        Ok(())
    }
}

#[test]
fn a_session_that_has_died_is_grafted_again_once_and_no_call_is_made_twice() {
    let granted = Rc::new(Cell::new(0));
    let grants = Grants {
        lasts: 2,
        granted: granted.clone(),
        fails: Cell::new(1),
    };
    let host: Membrane = capnp_rpc::new_client(grants);
    Host::new(host)
        .run(async |membrane: Membrane| {
            let grafted = Grafted::new(membrane);
            let call = async || {
                let called = grafted.with(async |session| {
                    echo(&session.executor, "hey").await?;
                    Ok::<_, Error>(session.epoch)
                });
                called.await.map_err(|error| error.kind())
            };
            // What the membrane refuses is not tried again by itself.
            assert_eq!(call().await, Err(Some(ErrorKind::Failed)));
            assert_eq!(granted.get(), 1);
            // One that learns late that its session has died.
            let (go_on, held) = oneshot::channel::<()>();
            let late = grafted.with(async |session| {
                held.await?;
                echo(&session.executor, "late").await?;
                Ok::<_, Error>(())
            });
            let mut late = Box::pin(late);
            assert!(poll_immediate(&mut late).await.is_none());
            // Several share one graft, and what died is given up once.
            let calls = join_all((0..5).map(|_| call())).await;
            let dead = Err(Some(ErrorKind::Disconnected));
            assert_eq!(calls, [Ok(2), Ok(2), dead, dead, dead]);
            assert_eq!(granted.get(), 2);
            assert_eq!(call().await, Ok(3));
            go_on.send(()).unwrap();
            let late = late.await.unwrap_err();
            assert_eq!(late.kind(), Some(ErrorKind::Disconnected));
            assert_eq!(grafted.session().await.unwrap().epoch, 3);
            // Another failure leaves the session alone.
            let failed = grafted
                .with(async |_| Err::<(), _>("of another kind"))
                .await
                .unwrap_err();
            assert_eq!(failed.kind(), None);
            assert_eq!(call().await, Ok(3));
            assert_eq!(granted.get(), 3);
        })
        .unwrap();
}
