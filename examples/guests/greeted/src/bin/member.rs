//! Enters a club in the name of a peer whose key it never sees.

use example_greeting::greeting_capnp::{invitation, reception};
use ww_guest_sdk::stem_capnp::{membrane, signer};
use ww_guest_sdk::{Error, graft, graft_as};

type Club = membrane::Client<reception::Owned>;

#[ww_guest_sdk::main]
async fn main(lobby: membrane::Client<invitation::Owned>) -> Result<(), Error> {
    let session = graft(&lobby).await?;
    let invitation = session.extension()?;
    let signer: signer::Client = invitation.get_signer().get_as_capability()?;
    let club: Club = invitation.get_club().get_as_capability()?;

    let alone = graft(&club).await;
    println!(
        "without a signer: {}",
        alone.err().map_or_else(String::new, |error| error.extra)
    );

    let session = graft_as(&club, signer.clone()).await?;
    let greeter = session.extension()?.get_greeter()?;
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
