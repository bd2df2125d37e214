use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use capnp::capability::Request;
use capnp::traits::Owned;
use capnp::{Error, ErrorKind};
use futures::future::{FusedFuture, FutureExt};
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::stem_capnp::membrane::{self, graft_params, graft_results};
use ww_rpc::stem_capnp::{signer, status_poller};

use crate::granted::{Granted, Wetware};

/// What the first cell of a host bootstraps, unless the host brings a session
/// of its own: `membrane::Client<reception::Owned>` then, say.
pub type Membrane = membrane::Client<wetware_session::Owned>;

/// What a grafted membrane grants, for as long as the epoch lasts.
///
/// `E` is the extension in the application's own schema, whose capabilities are
/// read with [`extension`](Self::extension). The session of a Wetware host has
/// them as fields, those of [`Wetware`].
pub struct Session<E: Owned = wetware_session::Owned> {
    /// Sequence number of the epoch that the session was issued under.
    pub epoch: u64,
    /// Fails once the session is stale.
    pub status: status_poller::Client,
    granted: Rc<Granted<E>>,
}

/// Opens a session with a null signer: nothing is proven.
///
/// ```
/// use example_greeting::greeting_capnp::reception;
/// use ww_guest_sdk::stem_capnp::membrane;
/// use ww_guest_sdk::{Error, graft};
///
/// # async fn example(membrane: membrane::Client<reception::Owned>) -> Result<(), Error> {
/// // Of an application that grants its own `Reception`.
/// let session = graft(&membrane).await?;
/// let greeter = session.extension()?.get_greeter()?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of the host, which may ask for proof.
pub async fn graft<E>(membrane: &membrane::Client<E>) -> Result<Session<E>, Error>
where
    E: Owned + Unpin + 'static,
{
    open(membrane.graft_request()).await
}

/// Opens a session in the name of the peer whose signer `signer` is.
///
/// # Errors
///
/// Those of the host, which may ask for another proof, and those of the signer.
pub async fn graft_as<E>(
    membrane: &membrane::Client<E>,
    signer: signer::Client,
) -> Result<Session<E>, Error>
where
    E: Owned + Unpin + 'static,
{
    let mut request = membrane.graft_request();
    request.get().set_signer(signer);
    open(request).await
}

impl<E: Owned + 'static> Session<E> {
    /// What is granted. How much may be read of one answer is bounded, so keep its
    /// capabilities rather than read it again for each call.
    ///
    /// # Errors
    ///
    /// What the host granted is no struct.
    pub fn extension(&self) -> Result<E::Reader<'_>, Error> {
        self.granted.read()
    }

    /// Waits for the session's end, which is that of its epoch at the latest,
    /// and answers why it came. Costs nothing meanwhile.
    ///
    /// Where the host is of a version that cannot tell, it resolves at once, with
    /// kind `Unimplemented`. Otherwise a [`Grafted`](crate::Grafted) that the session
    /// is of has another from then on.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub fn ended(&self) -> impl FusedFuture<Output = Error> {
        let ended = async {
            let reason = match self.status.ended_request().send().promise.await {
                Err(error) => error,
                Ok(_) => Error::disconnected("the session has ended".into()),
            };
            if reason.kind != ErrorKind::Unimplemented {
                self.end();
            }
            reason
        };
        ended.fuse()
    }
}

impl<E: Owned + 'static> Session<E> {
    /// Whether the session, or a clone of it, was found to be at its end.
    pub(crate) fn is_over(&self) -> bool {
        self.granted.is_over()
    }

    /// Takes note that it is.
    pub(crate) fn end(&self) {
        self.granted.end();
    }
}

impl Deref for Session {
    type Target = Wetware;

    fn deref(&self) -> &Wetware {
        self.granted.wetware()
    }
}

impl<E: Owned> Clone for Session<E> {
    fn clone(&self) -> Self {
        Self {
            epoch: self.epoch,
            status: self.status.clone(),
            granted: self.granted.clone(),
        }
    }
}

impl<E: Owned> fmt::Debug for Session<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

async fn open<E>(
    request: Request<graft_params::Owned<E>, graft_results::Owned<E>>,
) -> Result<Session<E>, Error>
where
    E: Owned + Unpin + 'static,
{
    let response = request.send().promise.await?;
    let session = response.get()?.get_session()?;
    // What is no struct is told of here.
    session.get_extension()?;
    Ok(Session {
        epoch: session.get_issued_epoch()?.get_seq(),
        status: session.get_status_poller()?,
        granted: Rc::new(Granted::new(response)),
    })
}
