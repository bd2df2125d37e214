//! The default session, as a cell sees it through its membrane.

use std::sync::Arc;

use capnp::capability::FromClientHook;
use futures_lite::AsyncReadExt;
use futures_lite::future::block_on;
use ww_core::cell::{Builder, Cell, Local, Output};
use ww_core::network::{Memory, Network, PeerId, Switch};
use ww_core::session::Wetware;
use ww_core::{Error, Runtime};
use ww_membrane::{Admission, Epoch, Epochs, membrane};
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::{executor, host};
use ww_rpc::stem_capnp;

use crate::stage::{Answer, Spawn, compile, echo, run_bytes, stdout, text, wait};

type Membrane = stem_capnp::membrane::Client<wetware_session::Owned>;

/// A cell whose bootstrap is the membrane.
fn cell(guest: &str, args: &[&str], epochs: &Epochs, network: &Arc<Memory>) -> Cell {
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
