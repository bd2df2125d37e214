//! Sessions: how they are granted, and how they end.

mod support;

use std::cell::Cell;
use std::future::Future;

use capnp::Error;
use capnp::capability::FromClientHook;
use futures_lite::future::{block_on, poll_once, zip};
use support::*;
use ww_membrane::{Admission, Epochs, Reaper, SessionContext, SessionExtensionBuilder, membrane};
use ww_rpc::cell_capnp::program;
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::{executor, host, peer_info};
use ww_rpc::stem_capnp::{Status, membrane as wire, session, status_poller};

type Membrane = wire::Client<wetware_session::Owned>;

/// Grants a host, and a program in the executor's place.
struct Wetware(Seen);

impl SessionExtensionBuilder<wetware_session::Owned> for Wetware {
    fn build(
        &self,
        _session: &SessionContext,
        mut ext: wetware_session::Builder<'_>,
    ) -> Result<(), Error> {
        ext.set_host(peer(&self.0));
        let keeper: program::Client = capnp_rpc::new_client(Keeper(self.0.clone()));
        ext.set_executor(keeper.cast_to());
        Ok(())
    }
}

struct Granted {
    seq: u64,
    head: Vec<u8>,
    block: u64,
    poller: status_poller::Client,
    host: host::Client,
    executor: executor::Client,
}

async fn graft(membrane: &Membrane) -> Result<Granted, Error> {
    let answer = membrane.graft_request().send().promise.await?;
    let session = answer.get()?.get_session()?;
    let issued = session.get_issued_epoch()?;
    let extension = session.get_extension()?;
    Ok(Granted {
        seq: issued.get_seq(),
        head: issued.get_head()?.to_vec(),
        block: issued.get_adopted_block(),
        poller: session.get_status_poller()?,
        host: extension.get_host()?,
        executor: extension.get_executor()?,
    })
}

async fn status(poller: &status_poller::Client) -> Result<Status, Error> {
    let answer = poller.poll_status_request().send().promise.await?;
    Ok(answer.get()?.get_status()?)
}

/// Runs `test` against a membrane of its own, locally and over a connection.
fn both<F: Future<Output = ()>>(test: impl Fn(Seen, Epochs, Membrane, &'static str) -> F) {
    for remote in [false, true] {
        let seen = Seen::default();
        let epochs = Epochs::new(support::epoch(7));
        let served = membrane(epochs.clone(), Admission::open(), Wetware(seen.clone()));
        if remote {
            connected(served, |client| test(seen, epochs, client, "connected"));
        } else {
            block_on(test(seen, epochs, served, "local"));
        }
    }
}

#[test]
fn a_null_signer_is_granted_a_session_of_the_current_epoch() {
    both(|_seen, epochs, membrane, case| async move {
        let session = graft(&membrane).await.unwrap();
        let issued = ww_membrane::Epoch {
            seq: session.seq,
            head: session.head,
            adopted_block: session.block,
        };
        assert_eq!(issued, epochs.current(), "{case}");
        assert_eq!(status(&session.poller).await.unwrap(), Status::Ok, "{case}");
        assert_eq!(id(&session.host).await.unwrap(), b"peer", "{case}");
    });
}

#[test]
fn a_session_dies_with_its_epoch_and_a_fresh_graft_works() {
    both(|seen, epochs, membrane, case| async move {
        let old = graft(&membrane).await.unwrap();
        let reached = old.host.executor_request().send().promise.await.unwrap();
        let reached = reached.get().unwrap().get_executor().unwrap();
        let straddling = old.host.addrs_request().send().promise;
        let advance = async {
            until(|| seen.waiting.get() == 1).await;
            epochs.advance(support::epoch(8)).unwrap();
        };
        let (straddled, ()) = zip(straddling, advance).await;
        assert_stale(straddled, case);

        assert_stale(status(&old.poller).await, case);
        assert_stale(id(&old.host).await, case);
        assert_stale(echo(&old.executor, "hi").await, case);
        assert_stale(echo(&reached, "hi").await, case);
        until(|| seen.waiting.get() == 0 && seen.dropped.get() == 1).await;

        let new = graft(&membrane).await.unwrap();
        assert_eq!(new.seq, 8, "{case}");
        assert_eq!(status(&new.poller).await.unwrap(), Status::Ok, "{case}");
        assert_eq!(id(&new.host).await.unwrap(), b"peer", "{case}");
        assert_stale(id(&old.host).await, case);
    });
}

#[test]
fn a_capability_handed_back_to_its_session_is_the_original() {
    both(|seen, _epochs, membrane, case| async move {
        let session = graft(&membrane).await.unwrap();
        let keeper: program::Client = session.executor.cast_to();
        let mut request = keeper.spawn_request();
        request
            .get()
            .init_bootstrap()
            .set_as_capability(session.host.client.hook);
        request.send().promise.await.unwrap();
        let kept = seen.callback.borrow().clone().unwrap();
        // The original has a server here; a wrapper has a brand of its own.
        assert_eq!(kept.client.hook.get_brand(), 0, "{case}");
        assert_eq!(id(&kept).await.unwrap(), b"peer", "{case}");
    });
}

#[test]
fn sessions_are_pipelined_through_the_graft() {
    both(|_seen, epochs, membrane, case| async move {
        let graft = membrane.graft_request().send();
        let host = graft.pipeline.get_session().get_extension().get_host();
        assert_eq!(id(&host).await.unwrap(), b"peer", "{case}");
        epochs.advance(support::epoch(8)).unwrap();
        assert_stale(id(&host).await, case);
    });
}

#[test]
fn a_thousand_sessions_die_in_one_turn() {
    let seen = Seen::default();
    let epochs = Epochs::new(support::epoch(1));
    let membrane = membrane(epochs.clone(), Admission::open(), Wetware(seen.clone()));
    block_on(async {
        let mut sessions = Vec::new();
        for _ in 0..1000 {
            sessions.push(graft(&membrane).await.unwrap());
        }
        let mut reaper = Reaper::new();
        assert!(poll_once(&mut reaper).await.is_none());
        assert_eq!(seen.dropped.get(), 0);
        epochs.advance(support::epoch(2)).unwrap();
        assert!(poll_once(epochs.settled(2)).await.is_none());
        assert!(poll_once(&mut reaper).await.is_none());
        assert_eq!(seen.dropped.get(), 1000);
        assert!(poll_once(epochs.settled(2)).await.is_some());
        for session in &sessions {
            assert_stale(id(&session.host).await, "old");
        }
        let fresh = graft(&membrane).await.unwrap();
        assert_eq!(id(&fresh.host).await.unwrap(), b"peer");
    });
}

#[test]
fn a_builder_that_fails_refuses_the_graft() {
    let epochs = Epochs::new(support::epoch(1));
    let refusing = |_: &SessionContext, _: wetware_session::Builder<'_>| -> Result<(), Error> {
        Err(Error::failed("no executor here".into()))
    };
    let membrane: Membrane = membrane(epochs.clone(), Admission::open(), refusing);
    let error = block_on(graft(&membrane)).err().unwrap();
    assert!(error.extra.contains("no executor here"), "{error}");
    epochs.advance(support::epoch(2)).unwrap();
    // Nothing is left of the session that was not granted.
    assert!(block_on(poll_once(epochs.settled(2))).is_some());
}

#[test]
fn any_struct_can_be_the_extension() {
    // Without a capability, nested, and as large as it likes.
    let epochs = Epochs::new(support::epoch(1));
    let plain = |session: &SessionContext, mut ext: peer_info::Builder<'_>| {
        assert!(session.signer().is_none());
        ext.set_peer_id(&session.epoch().head);
        Ok(())
    };
    let served: wire::Client<peer_info::Owned> = membrane(epochs.clone(), Admission::open(), plain);
    connected(served, |client| async move {
        let answer = client.graft_request().send().promise.await.unwrap();
        let extension = answer.get().unwrap().get_session().unwrap().get_extension();
        assert_eq!(extension.unwrap().get_peer_id().unwrap(), [1]);
    });

    type Nested = session::Owned<wetware_session::Owned>;
    let seen = Seen::default();
    let wetware = Wetware(seen);
    let nested = move |session: &SessionContext,
                       ext: session::Builder<'_, wetware_session::Owned>| {
        wetware.build(session, ext.init_extension())
    };
    let served: wire::Client<Nested> = membrane(epochs.clone(), Admission::open(), nested);
    connected(served, |client| async move {
        let sent = client.graft_request().send();
        let inner = sent.pipeline.get_session().get_extension();
        let host = inner.get_extension().get_host();
        assert_eq!(id(&host).await.unwrap(), b"peer");
        epochs.advance(support::epoch(2)).unwrap();
        assert_stale(id(&host).await, "nested");
    });
}

#[test]
fn what_the_builder_wraps_by_another_way_dies_too() {
    let epochs = Epochs::new(support::epoch(1));
    let kept = std::rc::Rc::new(Cell::new(None));
    let keep = kept.clone();
    let builder = move |session: &SessionContext, mut ext: wetware_session::Builder<'_>| {
        assert!(session.guard().is_current());
        let guarded = session.membrane().wrap(peer(&Seen::default()));
        ext.set_host(guarded.clone());
        keep.set(Some(guarded));
        ext.set_executor(capnp_rpc::new_client(Runner(Seen::default())));
        Ok(())
    };
    let served: Membrane = membrane(epochs.clone(), Admission::open(), builder);
    block_on(async {
        let session = graft(&served).await.unwrap();
        let kept = kept.take().unwrap();
        let name = |host: &host::Client| host.client.hook.get_ptr();
        assert_eq!(name(&session.host), name(&kept), "wrapped once");
        assert_eq!(id(&kept).await.unwrap(), b"peer");
        epochs.advance(support::epoch(2)).unwrap();
        assert_stale(id(&kept).await, "guarded");
    });
}
