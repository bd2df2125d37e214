//! A store that one cell exports and three others share, each with less of it:
//! the first has all of it until that is taken back, the second has a part of
//! it, and the third may read and not write.
//!
//! ```sh
//! cargo run -p ww-examples --bin store
//! ```

mod beside;

use example_services::store_capnp::store;
use ww_core::cell::{Builder, Input, Local};
use ww_membrane::Membrane;
use ww_membrane::policies::Allow;

/// On the thread of the store's cell, where its capabilities are.
async fn share(local: Local) -> Result<String, ww_core::Error> {
    let store: store::Client = local.exported();

    // Behind a membrane that can be revoked.
    let lent = Membrane::ungated();
    let ann = lent.wrap(store.clone());
    // The store itself gives out parts.
    let mut request = store.within_request();
    request.get().set_prefix("bob/");
    let bob = request.send().pipeline.get_store();
    // Behind a membrane that passes two methods.
    let reads = Allow::new()
        .method(store::Client::get_request)
        .method(store::Client::list_request);
    let cleo = Membrane::policed(reads).wrap(store);

    let executor = beside::executor(&local)?;
    let clerk = async |name: &str, store: &store::Client, args: &[&str]| {
        let told = beside::run(&executor, "clerk", args, store.clone()).await?;
        let told = told.lines().map(|line| format!("{name}: {line}\n"));
        Ok::<String, ww_core::Error>(told.collect())
    };
    let mut told = clerk("Ann", &ann, &["greeting=hello", "bob/hat=green", ""]).await?;
    told += &clerk("Bob", &bob, &["hat", "coat=red", "greeting", ""]).await?;
    told += &clerk("Cleo", &cleo, &["bob/coat", "greeting=goodbye", ""]).await?;
    lent.revoke(capnp::Error::failed("Ann has moved on".into()));
    told += &clerk("Ann", &ann, &["greeting"]).await?;
    Ok(told)
}

async fn host() -> Result<String, ww_core::Error> {
    let cell = Builder::new()
        .image(example_images::path("store"))
        .stdin(Input::piped())
        .spawn()
        .await?;
    cell.with(share).await
}

#[allow(clippy::print_stdout, reason = "what the clerks say is the point")]
fn main() -> Result<(), ww_core::Error> {
    print!("{}", futures_lite::future::block_on(host())?);
    Ok(())
}
