//! A guest that hands its child less than it has.

use std::rc::Rc;
use std::sync::Arc;

use capnp::Error;
use capnp::capability::FromClientHook;
use capnp::traits::HasTypeId;
use futures_lite::AsyncReadExt;
use futures_lite::future::block_on;
use ww_core::Runtime;
use ww_core::cell::{Builder, Output};
use ww_core::network::{Network, Offline, Switch};
use ww_core::session::Wetware;
use ww_membrane::{Admission, Call, Epoch, Epochs, Membrane, Policy, Verdict, membrane};
use ww_rpc::peer_capnp::executor;

use crate::stage::{Spawn, Stage, compile};

/// The ways to the host that the child tries, as it names them.
const WAYS: [&str; 9] = [
    "pipeline",
    "answer",
    "settled pipeline",
    "callback",
    "promise",
    "resolution",
    "what it resolved to",
    "cast and back",
    "round trip",
];

#[test]
fn a_child_does_not_get_around_what_its_parent_left_out() {
    let runtime = Runtime::shared().expect("a runtime");
    let network = Arc::new(Switch::new().join());
    let id = network.local().to_bytes().len();
    let told = block_on(async {
        let cell = Builder::new()
            .image(example_images::path("attenuates"))
            .stdout(Output::piped())
            .bootstrap(move |local| {
                let session = Wetware::new(local, &runtime, network);
                let epochs = Epochs::new(Epoch::default());
                Ok(membrane(epochs, Admission::open(), session))
            })
            .spawn()
            .await
            .unwrap();
        let mut told = String::new();
        let mut stdout = cell.take_stdout().unwrap();
        stdout.read_to_string(&mut told).await.unwrap();
        let exit = cell.wait().await.unwrap();
        assert_eq!(exit.code(), 0, "{told}");
        told
    });
    let mut lines: Vec<&str> = told.lines().collect();
    // The desk counts what was denied: five of each way, and the two casts.
    let denied = 5 * WAYS.len() + 2;
    let last = lines.pop().unwrap();
    assert!(last.starts_with(&format!("{denied} by ")), "{told}");
    assert_eq!(lines.pop(), Some("child exited with 0"), "{told}");
    let mut expected: Vec<String> = WAYS
        .iter()
        .map(|way| {
            format!(
                "{way}: id of {id} bytes; addrs denied; peers denied; connect denied; \
                 echo, pipelined denied, answered denied"
            )
        })
        .collect();
    expected.insert(7, "cast: denied".into());
    expected.insert(8, "cast to what the host gives: denied".into());
    assert_eq!(lines, expected, "{told}");
}

/// Lets nobody have an executor echo.
struct NoEcho;

impl Policy for NoEcho {
    fn inbound(&self, call: &Call) -> Verdict {
        match (call.interface(), call.method()) {
            (executor::Client::TYPE_ID, ECHO) => Verdict::deny(Error::failed("no echo".into())),
            _ => Verdict::pass(),
        }
    }
}

/// `Executor.echo`'s ordinal.
const ECHO: u16 = 1;

#[test]
fn a_child_does_not_get_around_its_parents_session() {
    Stage::run(async |stage| {
        let membrane = Membrane::policed(NoEcho);
        let spawner = stage.spawner(Offline::new()).membrane(membrane.clone());
        // As its parent has it.
        let executor: executor::Client = membrane.wrap(Rc::new(spawner).client());
        let program = compile(&executor, "exporter").await.unwrap();
        let process = Spawn::args(&["exporter"]).spawn(&program).await.unwrap();
        let response = process.bootstrap_request().send().promise.await.unwrap();
        let exported = response.get().unwrap().get_cap();
        let exported: executor::Client = exported.get_as_capability().unwrap();
        let pipelined = process.bootstrap_request().send().pipeline;
        let pipelined: executor::Client = FromClientHook::new(pipelined.get_cap().as_cap());
        for (how, child) in [("answered", exported), ("pipelined", pipelined)] {
            let mut request = child.run_image_request();
            let mut bootstrap = request.get().init_bootstrap();
            bootstrap.set_as_capability(executor.client.hook.clone());
            let error = request.send().promise.await.err().expect(how);
            assert!(error.extra.contains("no echo"), "{how}: {error}");
        }
    });
}
