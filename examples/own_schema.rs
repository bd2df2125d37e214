//! A host that serves its own schema: what its cells are granted is the
//! application's `Reception`, and nothing of Wetware's.
//!
//! ```sh
//! cargo run -p ww-examples --bin own-schema
//! ```

use std::rc::Rc;

use example_greeting::greeting_capnp::{greeter, reception};
use ww_core::cell::Builder;
use ww_membrane::{Admission, Epoch, Epochs, SessionContext, membrane};

struct Greeter;

impl greeter::Server for Greeter {
    async fn greet(
        self: Rc<Self>,
        params: greeter::GreetParams,
        mut results: greeter::GreetResults,
    ) -> Result<(), capnp::Error> {
        let name = params.get()?.get_name()?.to_str()?;
        results.get().set_greeting(format!("Welcome, {name}."));
        Ok(())
    }
}

/// What each session is granted, for as long as its epoch lasts.
fn grant(_: &SessionContext, mut granted: reception::Builder<'_>) -> Result<(), capnp::Error> {
    granted.set_greeter(capnp_rpc::new_client(Greeter));
    Ok(())
}

async fn host() -> Result<i32, ww_core::Error> {
    let epochs = Epochs::new(Epoch::default());
    let cell = Builder::new()
        .image(example_images::path("greeted"))
        .args(["cell"])
        .inherit_output()
        .bootstrap(|_| {
            Ok(membrane::<reception::Owned>(
                epochs,
                Admission::open(),
                grant,
            ))
        })
        .spawn()
        .await?;
    Ok(cell.wait().await?.code())
}

fn main() -> Result<(), ww_core::Error> {
    let code = futures_lite::future::block_on(host())?;
    std::process::exit(code);
}
