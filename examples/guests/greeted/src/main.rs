//! Asks a host that speaks the application's own schema for a greeting.

use example_greeting::greeting_capnp::reception;
use ww_guest_sdk::stem_capnp::membrane;
use ww_guest_sdk::{Error, graft};

#[cfg(test)]
mod tests;

#[ww_guest_sdk::main]
async fn main(membrane: membrane::Client<reception::Owned>) -> Result<(), Error> {
    let name = std::env::args().nth(1);
    println!("{}", greeting(&membrane, name.as_deref()).await?);
    Ok(())
}

/// The greeting for `name`, or for a stranger.
async fn greeting(
    membrane: &membrane::Client<reception::Owned>,
    name: Option<&str>,
) -> Result<String, Error> {
    let session = graft(membrane).await?;
    let greeter = session.extension()?.get_greeter()?;

    let mut request = greeter.greet_request();
    request.get().set_name(name.unwrap_or("stranger"));
    let response = request.send().promise.await?;
    Ok(response.get()?.get_greeting()?.to_string()?)
}
