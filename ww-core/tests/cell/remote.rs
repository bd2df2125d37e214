//! Capabilities that are held from other threads than their own.

use std::future::pending;
use std::rc::Rc;
use std::sync::LazyLock;

use capnp::ErrorKind;
use futures::channel::oneshot;
use futures::future::{Either, poll_immediate};
use ww_core::cell::{Builder, Cell, Input, Limits, Local, Remote};
use ww_core::{Error, Runtime};
use ww_rpc::peer_capnp::executor;

use crate::patience::patiently;
use crate::stage::{RUNTIME, guest};

/// A worker that is not the one of [`RUNTIME`].
static ELSEWHERE: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = Runtime::builder().workers(1).build();
    runtime.expect("the engine starts")
});

/// Answers, or hangs; says on which thread it is, and tells of its own end.
struct Here {
    _held: oneshot::Sender<()>,
}

impl executor::Server for Here {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Result<(), capnp::Error> {
        if params.get()?.get_message()?.to_str()? == "hang" {
            return pending().await;
        }
        results.get().set_response(thread());
        Ok(())
    }
}

fn thread() -> String {
    format!("{:?}", std::thread::current().id())
}

/// A cell that waits for its input.
async fn waits(runtime: &Runtime) -> Cell {
    let waits = Builder::new()
        .runtime(runtime)
        .image(example_images::path("echo-child"))
        .stdin(Input::piped());
    waits.spawn().await.expect("it runs")
}

/// A capability on the cell's thread, and what resolves when it has gone.
async fn here(cell: &Cell) -> (Remote<executor::Client>, oneshot::Receiver<()>) {
    let (held, gone) = oneshot::channel();
    let remote = cell.with(async |local: Local| {
        let client = capnp_rpc::new_client(Here { _held: held });
        Ok(Remote::new(&local, client))
    });
    (remote.await.expect("the cell lives"), gone)
}

async fn echo(echo: executor::Client, message: &str) -> Result<String, Error> {
    let mut request = echo.echo_request();
    request.get().set_message(message);
    let response = request.send().promise.await?;
    let said = response.get()?.get_response()?.to_string();
    Ok(said.map_err(capnp::Error::from)?)
}

async fn thread_of(cell: &Cell) -> String {
    let there = cell.with(async |_| Ok(thread()));
    there.await.expect("the cell lives")
}

#[test]
fn a_capability_is_called_and_released_on_its_own_thread() {
    patiently(async {
        let cell = waits(&RUNTIME).await;
        let (remote, mut gone) = here(&cell).await;
        let there = thread_of(&cell).await;
        assert_eq!(remote.call(|here| echo(here, "")).await.unwrap(), there);

        // A call that is given up goes, and others go on.
        let hangs = remote.call(|here| echo(here, "hang"));
        drop(hangs);
        let derived = remote.derive(|here| here);
        drop(remote);
        assert_eq!(derived.call(|here| echo(here, "")).await.unwrap(), there);
        assert!(poll_immediate(&mut gone).await.is_none());
        drop(derived);
        assert!(gone.await.is_err());
    });
}

#[test]
fn calls_end_with_the_cell() {
    patiently(async {
        let cell = waits(&RUNTIME).await;
        let (remote, gone) = here(&cell).await;
        let hangs = remote.call(|here| echo(here, "hang"));
        cell.kill();
        assert!(matches!(hangs.await, Err(Error::Ended { .. })));
        let late = remote.call(|here| echo(here, "")).await;
        assert!(matches!(late, Err(Error::Ended { .. })));
        assert!(gone.await.is_err());
    });
}

/// Bridges a capability to `cell`, and does `work` with it there.
async fn across<T: Send + 'static>(
    remote: &Remote<executor::Client>,
    cell: &Cell,
    work: impl AsyncFnOnce(executor::Client) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let remote = remote.clone();
    cell.with(async move |local: Local| {
        let bridged = remote.bridge(&local);
        drop(remote);
        work(bridged).await
    })
    .await
}

#[test]
fn a_bridge_leads_to_another_thread_and_goes_with_what_is_held_across_it() {
    patiently(async {
        let (cell, other) = (waits(&RUNTIME).await, waits(&ELSEWHERE).await);
        let (remote, gone) = here(&cell).await;
        let (there, elsewhere) = (thread_of(&cell).await, thread_of(&other).await);
        assert_ne!(there, elsewhere);
        let said = across(&remote, &other, async |here| echo(here, "").await);
        assert_eq!(said.await.unwrap(), there);
        // The cells live on, and so does the remote: the bridge alone has gone.
        let said = across(&remote, &other, async |here| echo(here, "").await);
        assert_eq!(said.await.unwrap(), there);
        drop(remote);
        assert!(gone.await.is_err());
    });
}

#[test]
fn a_bridge_stands_until_the_last_call_across_it_is_answered() {
    patiently(async {
        let (cell, other) = (waits(&RUNTIME).await, waits(&ELSEWHERE).await);
        let (remote, gone) = here(&cell).await;
        let there = thread_of(&cell).await;
        let said = across(&remote, &other, async |here| {
            let mut request = here.echo_request();
            request.get().set_message("");
            let answer = request.send().promise;
            drop(here);
            let answer = answer.await?;
            let said = answer.get()?.get_response()?;
            Ok(said.to_string().map_err(capnp::Error::from)?)
        });
        assert_eq!(said.await.unwrap(), there);
        drop(remote);
        // The bridge is gone, too, although both cells live on.
        assert!(gone.await.is_err());
    });
}

#[test]
fn a_bridge_has_the_limits_of_its_cells() {
    patiently(async {
        let (cell, other) = (waits(&RUNTIME).await, waits(&ELSEWHERE).await);
        let (remote, _) = here(&cell).await;
        let many = async |here: executor::Client| {
            let hangs = (0..20).map(|_| echo(here.clone(), "hang"));
            let hangs = futures::future::select_all(hangs.map(Box::pin));
            match futures::future::select(hangs, Box::pin(echo(here, ""))).await {
                Either::Left(((hung, ..), _)) => hung,
                Either::Right((answered, _)) => answered,
            }
        };
        assert!(across(&remote, &other, many).await.is_ok());

        let mut limits = Limits::default();
        limits.rpc.calls = 10;
        let narrow = guest("echo-child").stdin(Input::piped()).limits(limits);
        let narrow = narrow.spawn().await.expect("it runs");
        let (remote, _) = here(&narrow).await;
        match across(&remote, &other, many).await {
            Err(Error::Rpc(error)) => assert_eq!(error.kind, ErrorKind::Overloaded, "{error}"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_bridge_breaks_with_either_cell() {
    patiently(async {
        for far in [false, true] {
            let (cell, other) = (waits(&RUNTIME).await, waits(&ELSEWHERE).await);
            let (remote, gone) = here(&cell).await;
            let (called, calling) = oneshot::channel();
            let hangs = across(&remote, &other, async |here| {
                let mut hangs = Box::pin(echo(here.clone(), "hang"));
                assert!(poll_immediate(&mut hangs).await.is_none());
                // An answer to this comes behind what was called before.
                echo(here, "").await?;
                called.send(()).expect("the test waits");
                hangs.await
            });
            let ends = async {
                calling.await.unwrap();
                match far {
                    true => cell.kill(),
                    false => other.kill(),
                }
            };
            let (hung, ()) = futures::future::join(hangs, ends).await;
            match (far, hung) {
                (true, Err(Error::Rpc(error))) => assert_eq!(error.kind, ErrorKind::Disconnected),
                (false, Err(Error::Ended { .. })) => {}
                (_, hung) => panic!("{far}: {hung:?}"),
            }
            drop(remote);
            assert!(gone.await.is_err());
        }
    });
}
