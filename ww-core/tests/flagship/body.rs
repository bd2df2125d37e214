//! What must hold on every executor. Knows of none.

use std::sync::Arc;

use capnp::capability::FromClientHook;
use futures::channel::mpsc::UnboundedSender;
use futures::future::{AbortHandle, AbortRegistration, Abortable};
use futures::{AsyncReadExt, FutureExt, future};
use ww_core::cell::{Builder, Cell, Input, Local, Output, Remote, Start};
use ww_core::clock::Virtual;
use ww_core::network::{Memory, Network, Switch};
use ww_core::session::Wetware;
use ww_core::{Error, Runtime};
use ww_membrane::{Admission, Epoch, Epochs, membrane};
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::executor;

use crate::ends::ends;

/// Where the body's cells run.
pub(crate) struct Ground {
    pub(crate) runtime: Runtime,
    /// The time of that runtime.
    pub(crate) clock: Virtual,
    /// Who drives them; the runtime's workers, if nobody is named.
    pub(crate) drivers: Option<UnboundedSender<Undriven>>,
}

/// A cell for whoever drives.
pub(crate) struct Undriven {
    start: Start,
    unless: AbortRegistration,
}

impl Ground {
    pub(crate) async fn start(&self, builder: Builder) -> Result<Cell, Error> {
        Ok(self.start_abortable(builder).await?.0)
    }

    /// The cell, and what has its driver dropped, where there is one.
    pub(crate) async fn start_abortable(
        &self,
        builder: Builder,
    ) -> Result<(Cell, Option<AbortHandle>), Error> {
        let builder = builder.runtime(&self.runtime);
        let Some(drivers) = &self.drivers else {
            return Ok((builder.spawn().await?, None));
        };
        let (cell, start) = builder.prepare().await?;
        let (abort, unless) = AbortHandle::new_pair();
        let undriven = Undriven { start, unless };
        drivers.unbounded_send(undriven).expect("somebody drives");
        Ok((cell, Some(abort)))
    }
}

impl Undriven {
    pub(crate) fn drive(self) -> impl Future<Output = ()> {
        Abortable::new(self.start.drive(), self.unless).map(drop)
    }
}

pub(crate) async fn body(ground: Ground) -> Result<(), Error> {
    pid0(&ground).await?;
    exporter(&ground).await?;
    across(&ground).await?;
    ends(&ground).await
}

/// The guest calls, the host answers, and a child runs beside the guest.
async fn pid0(ground: &Ground) -> Result<(), Error> {
    let network = Arc::new(Switch::new().join());
    let (runtime, behind) = (ground.runtime.clone(), network.clone());
    let builder = Builder::new()
        .image(example_images::path("pid0"))
        .stdout(Output::piped())
        .bootstrap(move |local| Ok(first(local, &runtime, behind)));
    let cell = ground.start(builder).await?;
    let mut told = String::new();
    let mut stdout = cell.take_stdout().expect("stdout is piped");
    let (exit, read) = future::join(cell.wait(), stdout.read_to_string(&mut told)).await;
    read.expect("the guest writes text");
    assert_eq!(exit?.code(), 0, "{told}");
    assert_eq!(
        told,
        format!(
            "grafted under epoch 7\n\
             host is {}\n\
             Echo: anyone there?\n\
             echo-child answers: a line to the child\n\
             echo-child exited with 0\n\
             exporter Echo: from cell to cell\n",
            network.local()
        )
    );
    Ok(())
}

type Membrane = ww_rpc::stem_capnp::membrane::Client<wetware_session::Owned>;

fn first(local: &Local, runtime: &Runtime, network: Arc<Memory>) -> Membrane {
    let epochs = Epochs::new(Epoch {
        seq: 7,
        ..Epoch::default()
    });
    membrane(
        epochs,
        Admission::open(),
        Wetware::new(local, runtime, network),
    )
}

/// The host calls, the guest answers, for as long as its input is open.
async fn exporter(ground: &Ground) -> Result<(), Error> {
    let builder = Builder::new()
        .image(example_images::path("exporter"))
        .stdin(Input::piped());
    let cell = ground.start(builder).await?;
    let answers = cell.with(async |local: Local| {
        let executor: executor::Client = local.exported();
        let calls = ["there", "and back", "and there again"].map(|message| {
            let mut request = executor.echo_request();
            request.get().set_message(message);
            async {
                let response = request.send().promise.await?;
                response.get()?.get_response()?.to_string().map_err(utf8)
            }
        });
        future::try_join_all(calls).await
    });
    assert_eq!(
        answers.await?,
        ["Echo: there", "Echo: and back", "Echo: and there again"]
    );
    drop(cell.take_stdin());
    assert_eq!(cell.wait().await?.code(), 0);
    Ok(())
}

fn utf8(error: std::str::Utf8Error) -> Error {
    Error::Rpc(error.into())
}

/// What one cell exports is called from wherever this body runs, and by a cell
/// that may be on another thread.
async fn across(ground: &Ground) -> Result<(), Error> {
    let exporter = Builder::new()
        .image(example_images::path("exporter"))
        .stdin(Input::piped());
    let exporter = ground.start(exporter).await?;
    let echo = exporter.exported::<executor::Client>();
    let calls = (0..10).map(|n| said(&echo, format!("call {n}")));
    let expected: Vec<_> = (0..10).map(|n| format!("Echo: call {n}")).collect();
    assert_eq!(future::try_join_all(calls).await?, expected);
    // A handle of the same capability, by way of another.
    let same = echo.derive(|echo| echo.client.clone().cast_to::<executor::Client>());
    drop(echo);
    assert_eq!(said(&same, "derived".into()).await?, "Echo: derived");

    let bridged = same.clone();
    let caller = Builder::new()
        .image(example_images::path("probe-streams"))
        .args(["from afar"])
        .stdout(Output::piped())
        .bootstrap(move |local| Ok(bridged.bridge(local)));
    let caller = ground.start(caller).await?;
    let mut told = String::new();
    let mut stdout = caller.take_stdout().expect("stdout is piped");
    let (exit, read) = future::join(caller.wait(), stdout.read_to_string(&mut told)).await;
    read.expect("the guest writes text");
    assert_eq!((exit?.code(), &*told), (0, "Echo: from afar\n"));

    // The exporter outlives the bridge, and nobody outlives the exporter.
    assert_eq!(said(&same, "still".into()).await?, "Echo: still");
    drop(exporter.take_stdin());
    assert_eq!(exporter.wait().await?.code(), 0);
    let late = said(&same, "late".into()).await;
    assert!(matches!(late, Err(Error::Ended { .. })), "{late:?}");
    let again = exporter.exported::<executor::Client>();
    let late = said(&again, "later".into()).await;
    assert!(matches!(late, Err(Error::Ended { .. })), "{late:?}");
    Ok(())
}

fn said(
    echo: &Remote<executor::Client>,
    message: String,
) -> impl Future<Output = Result<String, Error>> + Send + use<> {
    echo.call(async move |echo| {
        let mut request = echo.echo_request();
        request.get().set_message(message);
        let response = request.send().promise.await?;
        response.get()?.get_response()?.to_string().map_err(utf8)
    })
}
