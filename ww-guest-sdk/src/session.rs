use capnp::Error;
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::{executor, host};
use ww_rpc::stem_capnp::{membrane, status_poller};

/// What the first cell of a host bootstraps.
pub type Membrane = membrane::Client<wetware_session::Owned>;

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
    let response = membrane.graft_request().send().promise.await?;
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
