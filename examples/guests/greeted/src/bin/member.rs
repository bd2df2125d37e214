//! Enters a club in the name of a peer whose key it never sees.

use example_greeting::greeting_capnp::{greeter, invitation, reception};
use ww_guest_sdk::Error;
use ww_guest_sdk::capnp;
use ww_guest_sdk::stem_capnp::{membrane, signer};

type Club = membrane::Client<reception::Owned>;

#[ww_guest_sdk::main]
async fn main(lobby: membrane::Client<invitation::Owned>) -> Result<(), Error> {
    let response = lobby.graft_request().send().promise.await?;
    let invitation = response.get()?.get_session()?.get_extension()?;
    let signer: signer::Client = invitation.get_signer().get_as_capability()?;
    let club: Club = invitation.get_club().get_as_capability()?;

    let alone = enter(&club, None).await;
    println!(
        "without a signer: {}",
        alone.err().map_or_else(String::new, |error| error.extra)
    );

    let greeter = enter(&club, Some(&signer)).await?;
    let response = greeter.greet_request().send().promise.await?;
    println!("{}", response.get()?.get_greeting()?.to_str()?);

    let mut request = signer.sign_request();
    request.get().set_domain("another club#1");
    request.get().set_nonce(1);
    let signed = request.send().promise.await;
    println!(
        "elsewhere: {}",
        signed.err().map_or_else(String::new, |error| error.extra)
    );
    Ok(())
}

async fn enter(
    club: &Club,
    signer: Option<&signer::Client>,
) -> Result<greeter::Client, capnp::Error> {
    let mut request = club.graft_request();
    if let Some(signer) = signer {
        request.get().set_signer(signer.clone());
    }
    let response = request.send().promise.await?;
    response
        .get()?
        .get_session()?
        .get_extension()?
        .get_greeter()
}
