use futures::channel::mpsc::UnboundedSender;
use ww_core::cell::{Builder, Cell, Input, Local, Start};
use ww_core::{Error, Program, Runtime};
use ww_rpc::peer_capnp::executor;

/// Where hostile guests and their neighbours run: all on one thread.
pub(crate) struct Ground {
    pub(crate) runtime: Runtime,
    /// Who drives them; the runtime's one worker, if nobody is named.
    pub(crate) drivers: Option<UnboundedSender<Start>>,
}

impl Ground {
    pub(crate) async fn compile(&self, wasm: Vec<u8>) -> Program {
        let compiled = self.runtime.compile(wasm).await;
        compiled.expect("it compiles")
    }

    pub(crate) async fn start(&self, builder: Builder) -> Cell {
        let Some(drivers) = &self.drivers else {
            return builder.spawn().await.expect("it spawns");
        };
        let (cell, start) = builder.prepare().await.expect("it is ready");
        drivers.unbounded_send(start).expect("somebody drives");
        cell
    }
}

/// A cell that answers calls.
pub(crate) struct Neighbour(Cell);

impl Neighbour {
    /// `exporter` is the guest of that name.
    pub(crate) async fn new(ground: &Ground, exporter: &Program) -> Self {
        let builder = Builder::new().program(exporter.clone());
        Self(ground.start(builder.stdin(Input::piped())).await)
    }

    /// Calls it, and waits for the answer.
    pub(crate) async fn answers(&self) {
        let answer = self.0.with(async |local: Local| {
            let exported: executor::Client = local.exported();
            let mut request = exported.echo_request();
            request.get().set_message("still there");
            let response = request.send().promise.await?;
            let text = response.get()?.get_response()?.to_str();
            assert_eq!(text, Ok("Echo: still there"));
            Ok(())
        });
        answer.await.expect("it answers");
    }

    pub(crate) async fn leaves(self) -> Result<(), Error> {
        drop(self.0.take_stdin());
        assert_eq!(self.0.wait().await?.code(), 0);
        Ok(())
    }
}
