use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::io::BufReader;
use futures::{AsyncBufReadExt, AsyncWriteExt};
use ww_core::Error;
use ww_core::cell::{Builder, Cell, Input, Local, Output};
use ww_core::network::{Memory, Network, Switch};
use ww_core::pipe;
use ww_core::session::Wetware;
use ww_membrane::{Admission, Epoch, Epochs, SessionContext, membrane};
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::host;
use ww_rpc::stem_capnp;

use crate::patience::patiently;
use crate::stage::{RUNTIME, finish, guest};

type Membrane = stem_capnp::membrane::Client<wetware_session::Owned>;

fn epoch(seq: u64) -> Epoch {
    Epoch {
        seq,
        ..Epoch::default()
    }
}

fn first(local: &Local, epochs: Epochs, network: Arc<Memory>) -> Membrane {
    membrane(
        epochs,
        Admission::open(),
        Wetware::new(local, &RUNTIME, network),
    )
}

/// A guest that does what it is told to, one line at a time.
pub(crate) struct Puppet {
    pub(crate) cell: Cell,
    pub(crate) stdin: pipe::Writer,
    stdout: BufReader<pipe::Reader>,
}

pub(crate) fn puppet() -> Builder {
    bootstrapping("puppet", &Epochs::new(epoch(1)))
}

fn bootstrapping(name: &str, epochs: &Epochs) -> Builder {
    let (epochs, network) = (epochs.clone(), Arc::new(Switch::new().join()));
    guest(name).bootstrap(|local| Ok(first(local, epochs, network)))
}

impl Puppet {
    pub(crate) async fn new(builder: Builder) -> Self {
        let builder = builder.stdin(Input::piped()).stdout(Output::piped());
        let cell = builder.spawn().await.expect("it spawns");
        Self {
            stdin: cell.take_stdin().expect("it is piped"),
            stdout: BufReader::new(cell.take_stdout().expect("it is piped")),
            cell,
        }
    }

    /// What it answers to a line.
    pub(crate) async fn told(&mut self, line: &str) -> String {
        let line = format!("{line}\n");
        let written = self.stdin.write_all(line.as_bytes()).await;
        written.expect("the guest reads");
        let mut answer = String::new();
        let read = self.stdout.read_line(&mut answer).await;
        read.expect("the guest writes text");
        answer.trim_end().to_owned()
    }
}

#[test]
fn a_session_ends_with_its_epoch_and_a_fresh_graft_works() {
    patiently(async {
        let epochs = Epochs::new(epoch(1));
        let mut guest = Puppet::new(bootstrapping("puppet", &epochs)).await;
        assert_eq!(guest.told("graft").await, "epoch 1");
        assert_eq!(guest.told("echo one").await, "Echo: one");
        for seq in 2..5 {
            epochs.advance(epoch(seq)).unwrap();
            let stale = guest.told("echo stale").await;
            assert!(stale.starts_with("Disconnected: "), "{stale}");
            assert!(stale.contains("staleEpoch"), "{stale}");
            assert_eq!(guest.told("graft").await, format!("epoch {seq}"));
            assert_eq!(guest.told("echo again").await, "Echo: again");
        }
        drop(guest.stdin);
        let exit = guest.cell.wait().await.unwrap();
        assert_eq!(exit.code(), 0);
        assert!(exit.rpc_error().is_none(), "{exit:?}");
    });
}

#[test]
fn one_epoch_ends_the_sessions_of_all_cells() {
    patiently(async {
        let epochs = Epochs::new(epoch(1));
        let mut guests = Vec::new();
        for _ in 0..4 {
            let mut guest = Puppet::new(bootstrapping("puppet", &epochs)).await;
            assert_eq!(guest.told("graft").await, "epoch 1");
            guests.push(guest);
        }
        epochs.advance(epoch(2)).unwrap();
        // The workers' reapers end them, calls or none.
        epochs.settled(2).await;
        for guest in &mut guests {
            let stale = guest.told("echo stale").await;
            assert!(stale.contains("staleEpoch"), "{stale}");
        }
    });
}

/// Counts itself out.
struct Granted(Arc<AtomicUsize>);

impl host::Server for Granted {}

impl Drop for Granted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Grafts so often on the thread of `local`, which holds what is granted.
async fn hold(local: Local, epochs: Epochs, released: Arc<AtomicUsize>) -> Result<(), Error> {
    let grant = move |_: &SessionContext, mut granted: wetware_session::Builder<'_>| {
        granted.set_host(capnp_rpc::new_client(Granted(released.clone())));
        Ok(())
    };
    let membrane: Membrane = membrane(epochs, Admission::open(), grant);
    let mut held = Vec::new();
    for _ in 0..SESSIONS {
        let session = membrane.graft_request().send().promise.await?;
        held.push(session.get()?.get_session()?.get_extension()?.get_host()?);
    }
    local.spawn(async move {
        let _held = held;
        pending::<()>().await;
    });
    Ok(())
}

const SESSIONS: usize = 2_500;

#[test]
fn ten_thousand_sessions_end_with_their_epoch_on_the_workers() {
    patiently(async {
        let epochs = Epochs::new(epoch(1));
        let released = Arc::new(AtomicUsize::new(0));
        let mut guests = Vec::new();
        for _ in 0..4 {
            let guest = Puppet::new(puppet()).await;
            let (epochs, released) = (epochs.clone(), released.clone());
            let held = guest.cell.with(|local| hold(local, epochs, released));
            held.await.unwrap();
            guests.push(guest);
        }
        assert_eq!(released.load(Ordering::Relaxed), 0);
        epochs.advance(epoch(2)).unwrap();
        epochs.settled(2).await;
        assert_eq!(released.load(Ordering::Relaxed), 4 * SESSIONS);
    });
}

/// A guest that was built without the SDK: it bootstraps the membrane, and
/// runs itself as a child that bootstraps a host.
#[test]
fn a_guest_that_knows_the_wire_and_nothing_of_ours_runs() {
    patiently(async {
        let epochs = Epochs::new(epoch(1));
        let network = Arc::new(Switch::new().join());
        let id = network.local().to_bytes();
        let builder = guest("wire-compat")
            .stdout(Output::piped())
            .bootstrap(|local| Ok(first(local, epochs, network)));
        let cell = builder.spawn().await.unwrap();
        let (exit, told) = finish(&cell).await;
        let exit = exit.unwrap();
        assert_eq!(exit.code(), 0, "{told}");
        assert!(exit.rpc_error().is_none(), "{exit:?}");
        let seen = format!(
            "child sees a host whose id has {} bytes\nchild exited with 0\n",
            id.len()
        );
        assert_eq!(told, seen);
    });
}
