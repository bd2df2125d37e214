use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use capnp::ErrorKind;
use capnp::traits::Owned;
use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared};
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::stem_capnp::{membrane, signer};

use crate::time::timeout;
use crate::{Error, Session, graft, graft_as};

/// How long a session that may have died is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

type Grafting<E> = Shared<LocalBoxFuture<'static, Result<Session<E>, capnp::Error>>>;

/// A membrane that is grafted when a session is first needed, and again when
/// that is known to have died: its epoch has passed, or it was revoked.
///
/// Nobody is told of that who does not ask: work that fails [`with`](Self::with) the
/// session finds out, and so does a task that waits for its [end](Session::ended). A
/// guest that only takes the [`session`](Self::session) and calls on it has the dead one
/// for ever.
///
/// ```
/// use ww_guest_sdk::capnp::ErrorKind;
/// use ww_guest_sdk::{Error, Grafted, Membrane};
///
/// # async fn example(membrane: Membrane) -> Result<(), Error> {
/// let grafted = Grafted::new(membrane);
/// let ask = async || {
///     grafted
///         .with(async |session| session.executor.echo_request().send().promise.await)
///         .await
/// };
/// let answer = match ask().await {
///     // A call that the epoch's end cut short may have been carried out, so
///     // whether to make it again is for the guest to say. Once: where the host
///     // itself has gone, each call fails so, and at once.
///     Err(error) if error.kind() == Some(ErrorKind::Disconnected) => ask().await?,
///     answer => answer?,
/// };
/// println!("{}", answer.get()?.get_response()?.to_str()?);
/// # Ok(())
/// # }
/// ```
///
/// One that offers something to each session, such as a plug-in, offers it again
/// whenever one has ended, for as long as its host lets it:
///
/// ```
/// use ww_guest_sdk::capnp::ErrorKind;
/// use ww_guest_sdk::{Error, Grafted, Membrane, Session};
///
/// # async fn register(_: &Session) -> Result<(), Error> { Ok(()) }
/// # async fn example(membrane: Membrane) -> Result<(), Error> {
/// let grafted = Grafted::new(membrane);
/// loop {
///     // Fails where the host has gone.
///     let session = grafted.session().await?;
///     match register(&session).await {
///         // The session has ended meanwhile.
///         Err(error) if error.kind() == Some(ErrorKind::Disconnected) => {}
///         registered => registered?,
///     }
///     let ended = session.ended().await;
///     // The host cannot tell.
///     if ended.kind == ErrorKind::Unimplemented {
///         return Err(ended.into());
///     }
/// }
/// # }
/// ```
pub struct Grafted<E: Owned = wetware_session::Owned> {
    membrane: membrane::Client<E>,
    signer: Option<signer::Client>,
    /// The session that is used, once it was granted, until it is over.
    current: RefCell<Option<Grafting<E>>>,
}

impl<E: Owned + Unpin + 'static> Grafted<E> {
    /// Grafts `membrane` with a null signer, each time.
    pub fn new(membrane: membrane::Client<E>) -> Self {
        Self {
            membrane,
            signer: None,
            current: RefCell::default(),
        }
    }

    /// Grafts in the name of the peer whose signer `signer` is.
    pub fn signed(membrane: membrane::Client<E>, signer: signer::Client) -> Self {
        Self {
            signer: Some(signer),
            ..Self::new(membrane)
        }
    }

    /// The session that is current as far as is known: it has not
    /// [ended](Session::ended) for anybody who waits for that, nor was it given up
    /// by [`with`](Self::with). Grafts where there is none; several who ask at a time
    /// share one graft.
    ///
    /// # Errors
    ///
    /// Those of [`graft`]. The next who asks grafts again.
    pub async fn session(&self) -> Result<Session<E>, capnp::Error> {
        self.grafting().await
    }

    /// Does `work` with a session. Where that fails with kind `Disconnected`, and
    /// the session is not good any more when it is asked, or does not say so within a
    /// second, it is given up, so that whoever is next has a new one. The work itself
    /// is not done again: it may have been done in part. Nor is there a pause: where
    /// the host has gone, or refuses, this fails at once, so whoever tries for as long
    /// as it takes has to [sleep](crate::time::sleep) in between.
    ///
    /// # Errors
    ///
    /// Those of [`session`](Self::session), and those of `work`.
    pub async fn with<T, F>(
        &self,
        work: impl AsyncFnOnce(&Session<E>) -> Result<T, F>,
    ) -> Result<T, Error>
    where
        F: Into<Error>,
    {
        let session = self.session().await?;
        let error = match work(&session).await {
            Ok(done) => return Ok(done),
            Err(error) => error.into(),
        };
        // It may as well be of somebody whom the session led to.
        if error.kind() == Some(ErrorKind::Disconnected) {
            let poll = session.status.poll_status_request().send();
            if !matches!(timeout(PATIENCE, poll.promise).await, Ok(Ok(_))) {
                session.end();
            }
        }
        Err(error)
    }

    /// The graft that is used. One that has failed, or whose session is over, is let
    /// go of for another.
    fn grafting(&self) -> Grafting<E> {
        let mut current = self.current.borrow_mut();
        let over = current.take_if(|grafting| match grafting.peek() {
            Some(Ok(session)) => session.is_over(),
            Some(Err(_)) => true,
            None => false,
        });
        let grafting = current.get_or_insert_with(|| self.graft()).clone();
        // Released outside of the borrow.
        drop(current);
        drop(over);
        grafting
    }

    fn graft(&self) -> Grafting<E> {
        let (membrane, signer) = (self.membrane.clone(), self.signer.clone());
        let grafting = async move {
            match signer {
                Some(signer) => graft_as(&membrane, signer).await,
                None => graft(&membrane).await,
            }
        };
        grafting.boxed_local().shared()
    }
}

impl<E: Owned> fmt::Debug for Grafted<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.current.borrow();
        let session = current.as_ref().and_then(|grafting| grafting.peek());
        f.debug_struct("Grafted")
            .field(
                "session",
                &session.and_then(|session| session.as_ref().ok()),
            )
            .finish_non_exhaustive()
    }
}
