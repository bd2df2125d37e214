//! Does with the store that it was handed what its arguments say, each of which
//! is `KEY=VALUE` to be put, `KEY` to be got, or empty for a list of all keys,
//! and says how that went.

use example_services::store_capnp::store;
use ww_guest_sdk::{Error, capnp};

async fn put(store: &store::Client, key: &str, value: &str) -> Result<String, capnp::Error> {
    let mut request = store.put_request();
    request.get().set_key(key);
    request.get().set_value(value);
    request.send().promise.await?;
    Ok(format!("{key} is {value} now"))
}

async fn get(store: &store::Client, key: &str) -> Result<String, capnp::Error> {
    let mut request = store.get_request();
    request.get().set_key(key);
    let response = request.send().promise.await?;
    Ok(format!(
        "{key} is {}",
        response.get()?.get_value()?.to_str()?
    ))
}

async fn list(store: &store::Client) -> Result<String, capnp::Error> {
    let response = store.list_request().send().promise.await?;
    let keys = response.get()?.get_keys()?;
    let keys: Result<Vec<&str>, _> = keys.iter().map(|key| Ok(key?.to_str()?)).collect();
    keys.map(|keys| format!("keys are {}", keys.join(", ")))
}

#[ww_guest_sdk::main]
async fn main(store: store::Client) -> Result<(), Error> {
    for argument in std::env::args().skip(1) {
        let done = match argument.split_once('=') {
            Some((key, value)) => put(&store, key, value).await,
            None if argument.is_empty() => list(&store).await,
            None => get(&store, &argument).await,
        };
        match done {
            Ok(told) => println!("{told}"),
            Err(error) => println!("refused: {}", error.extra),
        }
    }
    Ok(())
}
