//! Sessions of an application's own schema, against a real membrane in the same
//! process.
#![cfg(not(target_family = "wasm"))]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use example_greeting::greeting_capnp::{greeter, reception};
use ww_guest_sdk::capnp::{self, ErrorKind};
use ww_guest_sdk::futures::future::poll_immediate;
use ww_guest_sdk::membrane_capnp::wetware_session;
use ww_guest_sdk::stem_capnp::membrane;
use ww_guest_sdk::testing::Host;
use ww_guest_sdk::time::sleep;
use ww_guest_sdk::{Error, Grafted, Session, capnp_rpc, graft, graft_as, spawn};
use ww_membrane::{Admission, Epoch, Epochs, SessionContext, membrane};

type Application = membrane::Client<reception::Owned>;

/// Greets everybody but one, at whose name the epoch ends.
struct Greeter(Epochs);

impl greeter::Server for Greeter {
    async fn greet(
        self: Rc<Self>,
        params: greeter::GreetParams,
        mut results: greeter::GreetResults,
    ) -> Result<(), capnp::Error> {
        let name = params.get()?.get_name()?.to_str()?;
        if name == "Nemesis" {
            let next = Epoch {
                seq: self.0.seq() + 1,
                ..Epoch::default()
            };
            self.0.advance(next).map_err(capnp::Error::from)?;
        }
        results.get().set_greeting(format!("Welcome, {name}."));
        Ok(())
    }
}

/// A host that grants greeters, and counts them.
fn application(granted: &Rc<Cell<u32>>) -> Application {
    let epochs = Epochs::new(Epoch::default());
    let (greeters, granted) = (epochs.clone(), granted.clone());
    let grant = move |_: &SessionContext, mut extension: reception::Builder<'_>| {
        granted.set(granted.get() + 1);
        extension.set_greeter(capnp_rpc::new_client(Greeter(greeters.clone())));
        Ok(())
    };
    membrane(epochs, Admission::open(), grant)
}

async fn greet(session: &Session<reception::Owned>, name: &str) -> Result<String, capnp::Error> {
    let mut request = session.extension()?.get_greeter()?.greet_request();
    request.get().set_name(name);
    let response = request.send().promise.await?;
    Ok(response.get()?.get_greeting()?.to_string()?)
}

#[test]
fn a_session_grants_what_the_application_does_and_tells_its_end() {
    Host::new(application(&Rc::default()))
        .run(async |membrane: Application| {
            let session = graft(&membrane).await.unwrap();
            assert_eq!(session.epoch, 0);
            let waits = session.clone();
            let mut ended = spawn(async move { waits.ended().await.kind });
            assert_eq!(greet(&session, "Ada").await.unwrap(), "Welcome, Ada.");
            sleep(Duration::from_secs(1)).await;
            assert!(poll_immediate(&mut ended).await.is_none());
            let dead = greet(&session, "Nemesis").await.unwrap_err();
            assert_eq!(dead.kind, ErrorKind::Disconnected, "{dead}");
            assert_eq!(ended.await, Ok(ErrorKind::Disconnected));
            // It is still there to be read, and what it granted is dead.
            let dead = greet(&session, "Ada").await.unwrap_err();
            assert_eq!(dead.kind, ErrorKind::Disconnected, "{dead}");

            let session = graft(&membrane).await.unwrap();
            assert_eq!(session.epoch, 1);
            assert_eq!(greet(&session, "Ada").await.unwrap(), "Welcome, Ada.");
        })
        .unwrap();
}

#[test]
fn a_session_of_the_application_is_grafted_again_when_it_has_died() {
    let granted = Rc::new(Cell::new(0));
    Host::new(application(&granted))
        .run(async |membrane: Application| {
            let grafted = Grafted::new(membrane);
            let call = async |name| {
                let called = grafted.with(async |session| {
                    greet(session, name).await?;
                    Ok::<_, Error>(session.epoch)
                });
                called.await.map_err(|error| error.kind())
            };
            assert_eq!(call("Ada").await, Ok(0));
            assert_eq!(call("Bob").await, Ok(0));
            assert_eq!(granted.get(), 1);
            let dead = Err(Some(ErrorKind::Disconnected));
            assert_eq!(call("Nemesis").await, dead);
            assert_eq!(call("Ada").await, Ok(1));
            assert_eq!(granted.get(), 2);
        })
        .unwrap();
}

#[test]
fn a_signer_stands_for_who_grafts_the_application() {
    /// Fails, as a signer that was not made for the domain.
    struct Refuses;

    impl ww_guest_sdk::stem_capnp::signer::Server for Refuses {}

    let epochs = Epochs::new(Epoch::default());
    let grant = |_: &SessionContext, _: reception::Builder<'_>| Ok(());
    let members = Admission::peers("the club", Vec::new());
    Host::new(membrane::<reception::Owned>(epochs, members, grant))
        .run(async |membrane: Application| {
            let kind = async |signer| graft_as(&membrane, signer).await.unwrap_err().kind;
            let signer = capnp_rpc::new_client(Refuses);
            assert_eq!(kind(signer).await, ErrorKind::Unimplemented);
        })
        .unwrap();
}

#[test]
fn what_a_wetware_host_leaves_out_fails_when_it_is_called() {
    let epochs = Epochs::new(Epoch::default());
    let grant = |_: &SessionContext, _: wetware_session::Builder<'_>| Ok(());
    let host = membrane::<wetware_session::Owned>(epochs, Admission::open(), grant);
    Host::new(host)
        .run(async |membrane: ww_guest_sdk::Membrane| {
            let session = graft(&membrane).await.unwrap();
            let id = session.host.id_request().send().promise.await;
            assert_eq!(id.err().unwrap().kind, ErrorKind::Failed);
            let echo = session.executor.echo_request().send().promise.await;
            assert_eq!(echo.err().unwrap().kind, ErrorKind::Failed);
        })
        .unwrap();
}
