//! A store that one cell exports and three others share, each with less of it:
//! the first has all of it until that is taken back, the second has a part of
//! it, and the third may read and not write.
//!
//! ```sh
//! cargo run -p ww-examples --bin store
//! ```

use example_services::store_capnp::store;
use futures_lite::AsyncReadExt;
use ww_core::Error;
use ww_core::cell::{Builder, Output, Remote};
use ww_membrane::policies::Allow;
use ww_membrane::{Epoch, Epochs, Membrane};

/// Has a cell do with a store, all that it has, what `args` say; answers what
/// it tells of that.
async fn clerk(name: &str, store: &Remote<store::Client>, args: &[&str]) -> Result<String, Error> {
    let store = store.clone();
    let cell = Builder::new()
        .image(example_images::path("clerk"))
        .args(args)
        .stdout(Output::piped())
        .bootstrap(move |local| Ok(store.bridge(local)))
        .spawn()
        .await?;
    let mut told = String::new();
    if let Some(mut stdout) = cell.take_stdout() {
        // Where that fails, so does the cell.
        let _ = stdout.read_to_string(&mut told).await;
    }
    cell.wait().await?;
    Ok(told
        .lines()
        .map(|line| format!("{name}: {line}\n"))
        .collect())
}

async fn host() -> Result<String, Error> {
    let service = Builder::new().image(example_images::path("store"));
    let service = service.spawn().await?;
    let store = service.exported::<store::Client>();

    // Behind a membrane that falls with its epoch.
    let epochs = Epochs::new(Epoch::default());
    let guard = epochs.guard();
    let ann = store.derive(move |store| Membrane::new(guard).wrap(store));
    // The store itself gives out parts.
    let bob = store.derive(|store| {
        let mut request = store.within_request();
        request.get().set_prefix("bob/");
        request.send().pipeline.get_store()
    });
    // Behind a membrane that passes two methods.
    let reads = Allow::new()
        .method(store::Client::get_request)
        .method(store::Client::list_request);
    let cleo = store.derive(|store| Membrane::policed(reads).wrap(store));

    let mut told = clerk("Ann", &ann, &["greeting=hello", "bob/hat=green", ""]).await?;
    told += &clerk("Bob", &bob, &["hat", "coat=red", "greeting", ""]).await?;
    told += &clerk("Cleo", &cleo, &["bob/coat", "greeting=goodbye", ""]).await?;
    let next = Epoch {
        seq: 1,
        ..Epoch::default()
    };
    epochs
        .advance(next)
        .map_err(|error| Error::from(capnp::Error::failed(error.to_string())))?;
    told += &clerk("Ann", &ann, &["greeting"]).await?;

    service.shut_down();
    service.wait().await?;
    Ok(told)
}

#[allow(clippy::print_stdout, reason = "what the clerks say is the point")]
fn main() -> Result<(), Error> {
    print!("{}", futures_lite::future::block_on(host())?);
    Ok(())
}
