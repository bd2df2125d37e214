use capnp::Error;
use capnp::capability::Request;
use ww_rpc::membrane_capnp::wetware_session::Owned as Extension;
use ww_rpc::peer_capnp::{executor, host};
use ww_rpc::stem_capnp::membrane::{self, graft_params, graft_results};
use ww_rpc::stem_capnp::{signer, status_poller};

/// What the first cell of a host bootstraps.
pub type Membrane = membrane::Client<Extension>;

/// What a grafted [`Membrane`] grants, for as long as the epoch lasts.
#[derive(Clone)]
pub struct Session {
    /// Sequence number of the epoch that the session was issued under.
    pub epoch: u64,
    /// Fails once the session is stale.
    pub status: status_poller::Client,
    /// The peer that runs the cell.
    pub host: host::Client,
    /// Runs further cells on that peer.
    pub executor: executor::Client,
}

/// Opens a session with a null signer: nothing is proven.
///
/// # Errors
///
/// Those of the host, which may ask for proof.
pub async fn graft(membrane: &Membrane) -> Result<Session, Error> {
    open(membrane.graft_request()).await
}

/// Opens a session in the name of the peer whose signer `signer` is.
///
/// # Errors
///
/// Those of the host, which may ask for another proof, and those of the signer.
pub async fn graft_as(membrane: &Membrane, signer: signer::Client) -> Result<Session, Error> {
    let mut request = membrane.graft_request();
    request.get().set_signer(signer);
    open(request).await
}

impl Session {
    /// Waits for the session's end, which is that of its epoch at the latest,
    /// and answers why it came. Costs nothing meanwhile.
    ///
    /// Where the host is of a version that cannot tell, it resolves at once, with
    /// kind `Unimplemented`.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub async fn ended(&self) -> Error {
        match self.status.ended_request().send().promise.await {
            Err(error) => error,
            Ok(_) => Error::disconnected("the session has ended".into()),
        }
    }
}

async fn open(
    request: Request<graft_params::Owned<Extension>, graft_results::Owned<Extension>>,
) -> Result<Session, Error> {
    let response = request.send().promise.await?;
    let session = response.get()?.get_session()?;
    let extension = session.get_extension()?;
    Ok(Session {
        epoch: session.get_issued_epoch()?.get_seq(),
        status: session.get_status_poller()?,
        host: extension.get_host()?,
        executor: extension.get_executor()?,
    })
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
