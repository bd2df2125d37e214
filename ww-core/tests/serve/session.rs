//! The default session, as a cell sees it through its membrane.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use capnp::capability::FromClientHook;
use futures::channel::oneshot;
use futures_lite::AsyncReadExt;
use futures_lite::future::{block_on, yield_now};
use ww_core::cell::{self, Builder, Local, Output};
use ww_core::network::{Memory, Network, PeerId, Switch};
use ww_core::session::Wetware;
use ww_core::{Error, Runtime};
use ww_membrane::{Admission, Epoch, Epochs, membrane};
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::{executor, host};
use ww_rpc::stem_capnp;

use crate::stage::{
    Answer, Spawn, compile, echo, finish, kill, read, run_bytes, stdin, stdout, text, wait, write,
};

type Membrane = stem_capnp::membrane::Client<wetware_session::Owned>;

/// A cell whose bootstrap is the membrane.
fn cell(guest: &str, args: &[&str], epochs: &Epochs, network: &Arc<Memory>) -> cell::Cell {
    let runtime = Runtime::shared().expect("a runtime");
    let (epochs, network) = (epochs.clone(), network.clone());
    block_on(async {
        let program = runtime.compile(example_images::wasm(guest)).await.unwrap();
        let builder = Builder::new()
            .program(program)
            .args(args)
            .stdout(Output::piped());
        let builder = builder.bootstrap(move |local| {
            let client: capnp::capability::Client = grafts(local, epochs, network).cast_to();
            Ok(client)
        });
        builder.spawn().await.unwrap()
    })
}

fn grafts(local: &Local, epochs: Epochs, network: Arc<Memory>) -> Membrane {
    let runtime = Runtime::shared().expect("a runtime");
    membrane(
        epochs,
        Admission::open(),
        Wetware::new(local, &runtime, network),
    )
}

async fn graft(membrane: &Membrane) -> Answer<(host::Client, executor::Client)> {
    let response = membrane.graft_request().send().promise.await?;
    let session = response.get()?.get_session()?.get_extension()?;
    Ok((session.get_host()?, session.get_executor()?))
}

fn epoch(seq: u64) -> Epoch {
    Epoch {
        seq,
        ..Epoch::default()
    }
}

#[test]
fn a_cell_grafts_its_membrane_and_calls_through_it() {
    let epochs = Epochs::new(epoch(1));
    let network = Arc::new(Switch::new().join());
    let cell = cell(
        "caller",
        &["membrane", "flight", "100", "64", "16"],
        &epochs,
        &network,
    );
    assert_eq!(block_on(cell.wait()).unwrap().code(), 0);
    let mut nanos = String::new();
    block_on(cell.take_stdout().unwrap().read_to_string(&mut nanos)).unwrap();
    assert!(nanos.trim_end().parse::<u64>().is_ok(), "{nanos}");
}

#[test]
fn a_session_runs_children_beside_its_cell_and_dies_with_its_epoch() {
    let epochs = Epochs::new(epoch(1));
    let network = Arc::new(Switch::new().join());
    let parent = cell("spins", &[], &epochs, &network);
    let (advance, local_id) = (epochs.clone(), network.local());
    let task = async move |local: Local| {
        let membrane = grafts(&local, epochs, network);
        let (host, executor) = graft(&membrane).await?;
        let response = host.id_request().send().promise.await?;
        assert_eq!(
            PeerId::from_bytes(response.get()?.get_peer_id()?).unwrap(),
            local_id
        );
        assert_eq!(echo(&executor, "hey").await?, "Echo: hey");

        // A child of `runBytes` bootstraps the host, and so does one that is
        // handed the host that the session gave out.
        let seen = format!(
            "child sees a host whose id has {} bytes\n",
            local_id.to_bytes().len()
        );
        let wasm = example_images::wasm("wire-compat");
        let child = run_bytes(&executor, &wasm, &["wire-compat", "child"], &[]).await?;
        assert_eq!(text(stdout(&child).await).await, seen);
        assert_eq!(wait(&child).await?, 0);
        let program = compile(&executor, "wire-compat").await?;
        let spawn = Spawn::args(&["wire-compat", "child"]).bootstrap(host.clone());
        let child = spawn.spawn(&program).await?;
        assert_eq!(text(stdout(&child).await).await, seen);

        let waiting = run_bytes(&executor, &example_images::wasm("spins"), &["spins"], &[]).await?;
        advance.advance(epoch(2)).expect("a later epoch");
        for dead in [
            host.id_request().send().promise.await.map(drop),
            echo(&executor, "hey").await.map(drop),
            wait(&waiting).await.map(drop),
            Spawn::default().spawn(&program).await.map(drop),
        ] {
            let error = dead.unwrap_err();
            assert_eq!(error.kind, capnp::ErrorKind::Disconnected, "{error}");
            assert!(error.extra.contains("staleEpoch"), "{error}");
        }
        let (_, executor) = graft(&membrane).await?;
        assert_eq!(echo(&executor, "again").await?, "Echo: again");
        Ok::<_, Error>(())
    };
    block_on(parent.with(task)).unwrap();
}

/// Is handed down to a child, which calls it and lets go of it when it ends.
struct Handed {
    called: Rc<Cell<usize>>,
    _held: oneshot::Sender<()>,
}

impl executor::Server for Handed {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Answer<()> {
        self.called.set(self.called.get() + 1);
        let message = params.get()?.get_message()?.to_str()?;
        results.get().set_response(format!("Echo: {message}"));
        Ok(())
    }
}

#[test]
fn children_their_streams_and_what_they_export_die_with_the_session() {
    let epochs = Epochs::new(epoch(1));
    let network = Arc::new(Switch::new().join());
    let parent = cell("spins", &[], &epochs, &network);
    let advance = epochs.clone();
    let task = async move |local: Local| {
        let membrane = grafts(&local, epochs, network);
        let (_, executor) = graft(&membrane).await?;

        // A child that calls what it was handed, for ever.
        let called = Rc::new(Cell::new(0));
        let (held, ended) = oneshot::channel();
        let handed: executor::Client = capnp_rpc::new_client(Handed {
            called: called.clone(),
            _held: held,
        });
        let program = compile(&executor, "caller").await?;
        let caller = Spawn::args(&["caller", "seq", "1000000000", "1"]).bootstrap(handed);
        let caller = caller.spawn(&program).await?;
        while called.get() == 0 {
            yield_now().await;
        }
        // One that waits for input, with a read and a wait under way.
        let program = compile(&executor, "echo-child").await?;
        let reader = Spawn::args(&["echo-child"]).spawn(&program).await?;
        let (input, output) = (stdin(&reader).await?, stdout(&reader).await?);
        write(&input, b"before\n").await?;
        assert_eq!(read(&output, 100).await?, b"before\n");
        let (reading, waiting) = (read(&output, 100), wait(&caller));
        // One that exports, and what came out of it.
        let program = compile(&executor, "exporter").await?;
        let exporter = Spawn::args(&["exporter"]).spawn(&program).await?;
        let _open = stdin(&exporter).await?;
        let response = exporter.bootstrap_request().send().promise.await?;
        let exported: executor::Client = response.get()?.get_cap().get_as_capability()?;
        assert_eq!(echo(&exported, "hey").await?, "Echo: hey");
        // One below a child.
        let below = exporter.executor_request().send();
        let below = below.promise.await?.get()?.get_executor()?;
        let within = compile(&below, "exporter").await?;
        let grandchild = Spawn::args(&["exporter"]).spawn(&within).await?;
        let _open_as_well = stdin(&grandchild).await?;
        let response = grandchild.bootstrap_request().send().promise.await?;
        let of_grandchild: executor::Client = response.get()?.get_cap().get_as_capability()?;
        assert_eq!(echo(&of_grandchild, "hey").await?, "Echo: hey");

        let advancing = async { advance.advance(epoch(2)).expect("a later epoch") };
        let (reading, waiting, ()) = futures::join!(reading, waiting, advancing);
        for (what, dead) in [
            ("a read under way", reading.map(drop)),
            ("a wait under way", waiting.map(drop)),
            ("a process", wait(&reader).await.map(drop)),
            ("a kill", kill(&exporter).await),
            ("its input", write(&input, b"after\n").await),
            ("its input's end", finish(&input).await),
            ("its output", read(&output, 100).await.map(drop)),
            ("what it exports", echo(&exported, "hey").await.map(drop)),
            ("its executor", echo(&below, "hey").await.map(drop)),
            ("a process below it", wait(&grandchild).await.map(drop)),
            (
                "an export below it",
                echo(&of_grandchild, "hey").await.map(drop),
            ),
            (
                "its program",
                Spawn::default().spawn(&program).await.map(drop),
            ),
        ] {
            let Err(error) = dead else {
                panic!("{what} is alive")
            };
            assert_eq!(
                error.kind,
                capnp::ErrorKind::Disconnected,
                "{what}: {error}"
            );
            assert!(error.extra.contains("staleEpoch"), "{what}: {error}");
        }
        // The children themselves have ended, though all this is still held,
        // and with them what they were handed is let go.
        assert!(ended.await.is_err());
        advance.settled(2).await;
        drop((caller, reader, exporter));
        Ok::<_, Error>(())
    };
    block_on(parent.with(task)).unwrap();
}
