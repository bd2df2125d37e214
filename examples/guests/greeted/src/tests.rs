//! The guest's own code, natively: `cargo test`, without a cell.

use std::rc::Rc;

use example_greeting::greeting_capnp::{greeter, reception};
use ww_guest_sdk::capnp::{self, ErrorKind};
use ww_guest_sdk::testing::Host;
use ww_guest_sdk::{Error, capnp_rpc};
use ww_membrane::{Admission, Epoch, Epochs, SessionContext, membrane};

use super::greeting;

/// Greets everybody but one, at whose name the epoch ends.
struct Greeter {
    epochs: Epochs,
}

impl greeter::Server for Greeter {
    async fn greet(
        self: Rc<Self>,
        params: greeter::GreetParams,
        mut results: greeter::GreetResults,
    ) -> Result<(), capnp::Error> {
        let name = params.get()?.get_name()?.to_str()?;
        if name == "Nemesis" {
            let next = Epoch {
                seq: 1,
                ..Epoch::default()
            };
            self.epochs.advance(next).map_err(capnp::Error::from)?;
        }
        results.get().set_greeting(format!("Welcome, {name}."));
        Ok(())
    }
}

/// What the guest gets to hear from a host with a real membrane.
fn greeted(name: Option<&'static str>) -> Result<String, Error> {
    let epochs = Epochs::new(Epoch::default());
    let granted = epochs.clone();
    let grant = move |_: &SessionContext, mut extension: reception::Builder<'_>| {
        let epochs = granted.clone();
        extension.set_greeter(capnp_rpc::new_client(Greeter { epochs }));
        Ok(())
    };
    let host = membrane::<reception::Owned>(epochs, Admission::open(), grant);
    Host::new(host).run(async |membrane| greeting(&membrane, name).await)?
}

#[test]
fn everybody_is_greeted_by_name() {
    for (name, greeting) in [
        (None, "Welcome, stranger."),
        (Some("Ada"), "Welcome, Ada."),
        (Some(""), "Welcome, ."),
    ] {
        assert_eq!(greeted(name).unwrap(), greeting);
    }
}

#[test]
fn a_session_that_ends_meanwhile_is_said_to_have() {
    let error = greeted(Some("Nemesis")).unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::Disconnected), "{error}");
}
