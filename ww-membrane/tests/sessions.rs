//! Ten thousand sessions end with their epoch, and a hundred thousand wrappers
//! leave nothing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use capnp::{Error, ErrorKind};
use futures::future::join_all;
use futures_lite::future::{block_on, poll_once, yield_now};
use support::*;
use ww_membrane::{Admission, Epochs, Membrane, Reaper, SessionContext, membrane};
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::host;
use ww_rpc::stem_capnp;

type Grafter = stem_capnp::membrane::Client<wetware_session::Owned>;

fn grafter(epochs: &Epochs, seen: &Seen) -> Grafter {
    let seen = seen.clone();
    let grant = move |_: &SessionContext, mut extension: wetware_session::Builder<'_>| {
        extension.set_host(peer(&seen));
        Ok(())
    };
    membrane(epochs.clone(), Admission::open(), grant)
}

async fn graft(grafter: &Grafter) -> Result<host::Client, Error> {
    let answer = grafter.graft_request().send().promise.await?;
    answer.get()?.get_session()?.get_extension()?.get_host()
}

const WORKERS: usize = 4;
const SESSIONS: usize = 10_000 / WORKERS;

/// A worker's share of the sessions, which it holds while the epoch advances.
async fn work(
    grafter: Grafter,
    seen: Seen,
    grafted: mpsc::Sender<()>,
    advanced: mpsc::Receiver<()>,
) {
    let mut hosts = Vec::new();
    let mut straddling = Vec::new();
    for count in 0..SESSIONS {
        let host = graft(&grafter).await.unwrap();
        if count % 100 == 0 {
            let mut call = host.addrs_request().send().promise;
            assert!(poll_once(&mut call).await.is_none());
            straddling.push(call);
        }
        hosts.push(host);
    }
    until(|| seen.waiting.get() == straddling.len()).await;
    grafted.send(()).unwrap();
    advanced.recv().unwrap();
    // Nothing is admitted, before this thread has had a turn.
    let denied = hosts[0].id_request().send().promise;
    let mut reaper = Reaper::new();
    assert!(poll_once(&mut reaper).await.is_none());
    assert_eq!(seen.dropped.get(), SESSIONS);
    assert_eq!(seen.waiting.get(), 0);
    assert_stale(denied.await.map(|_| ()), "denied");
    for call in straddling {
        assert_stale(call.await.map(|_| ()), "straddling");
    }
    let fresh = graft(&grafter).await.unwrap();
    assert_eq!(id(&fresh).await.unwrap(), b"peer");
}

#[test]
fn ten_thousand_sessions_end_in_one_turn_of_each_worker() {
    for transport in [Transport::Local, Transport::Exported] {
        ten_thousand_sessions_end(transport);
    }
}

fn ten_thousand_sessions_end(transport: Transport) {
    let epochs = Epochs::new(epoch(1));
    let (grafted, all_grafted) = mpsc::channel();
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (epochs, grafted) = (epochs.clone(), grafted.clone());
            let (advanced, go_on) = mpsc::channel::<()>();
            let worker = thread::spawn(move || {
                let seen = Seen::default();
                let grafter = grafter(&epochs, &seen);
                let work = |grafter| work(grafter, seen, grafted, go_on);
                match transport {
                    Transport::Local => block_on(work(grafter)),
                    _ => connected(grafter, work),
                }
            });
            (advanced, worker)
        })
        .collect();
    for _ in 0..WORKERS {
        all_grafted.recv().unwrap();
    }
    epochs.advance(epoch(2)).unwrap();
    assert!(block_on(poll_once(epochs.settled(2))).is_none());
    for (advanced, _) in &workers {
        advanced.send(()).unwrap();
    }
    block_on(epochs.settled(2));
    for (_, worker) in workers {
        worker.join().unwrap();
    }
}

#[test]
fn reconnecting_grafts_once_for_an_epoch() {
    for transport in [Transport::Local, Transport::Exported] {
        let epochs = Epochs::new(epoch(1));
        let seen = Seen::default();
        let run = |grafter: Grafter| {
            let epochs = epochs.clone();
            async move {
                let grafts = Rc::new(Cell::new(0));
                let count = grafts.clone();
                let connect = move || {
                    count.set(count.get() + 1);
                    let sent = grafter.graft_request().send();
                    Ok(sent.pipeline.get_session().get_extension().get_host())
                };
                let (host, _set): (host::Client, _) = capnp_rpc::auto_reconnect(connect).unwrap();
                assert_eq!(id(&host).await.unwrap(), b"peer");
                let straddling = host.addrs_request().send().promise;
                epochs.advance(epoch(2)).unwrap();
                let error = straddling.await.err().unwrap();
                assert_eq!(
                    error.kind,
                    ErrorKind::Disconnected,
                    "{transport:?}: {error}"
                );
                assert_eq!(id(&host).await.unwrap(), b"peer", "{transport:?}");
                assert_eq!(id(&host).await.unwrap(), b"peer", "{transport:?}");
                assert_eq!(grafts.get(), 2, "{transport:?}");
            }
        };
        match transport {
            Transport::Local => block_on(run(grafter(&epochs, &seen))),
            _ => connected(grafter(&epochs, &seen), run),
        }
    }
}

#[test]
fn a_hundred_thousand_wrappers_come_and_go() {
    let membrane = Membrane::ungated();
    let seen = Seen::default();
    block_on(async {
        for _ in 0..100_000 {
            drop(membrane.wrap(peer(&seen)));
        }
    });
    assert_eq!((membrane.held(), seen.dropped.get()), (0, 100_000));

    for transport in [Transport::Exported, Transport::Imported] {
        let seen = Seen::default();
        let held = membrane.clone();
        let makers = Makers(RefCell::new(seen.clone()));
        let maker: host::Client = capnp_rpc::new_client(makers);
        over(transport, &membrane, maker, |host| async move {
            // A hundred at a time.
            for _ in 0..1_000 {
                let sent = (0..100).map(|_| host.executor_request().send().promise);
                for answer in join_all(sent).await {
                    answer.unwrap();
                }
            }
            until(|| held.held() == 1).await;
            yield_now().await;
        });
        // The connection is gone, and the bootstrap capability with it.
        assert_eq!(membrane.held(), 0, "{transport:?}");
    }
}

/// Makes a new executor for each call.
struct Makers(RefCell<Seen>);

impl host::Server for Makers {
    async fn executor(
        self: Rc<Self>,
        _: host::ExecutorParams,
        mut results: host::ExecutorResults,
    ) -> Result<(), Error> {
        let runner = Runner(self.0.borrow().clone());
        results.get().set_executor(capnp_rpc::new_client(runner));
        Ok(())
    }
}
