use std::sync::Arc;

use capnp::capability::Client;
use futures::channel::oneshot;
use ww_membrane::Membrane;
use ww_rpc::{Limits, Side, Vat};

use super::plain::{TOLD, plain};
use crate::error::Error;
use crate::pipe;

/// A cell's RPC connection.
pub(super) enum Connection {
    /// Nothing has been said.
    Idle {
        /// Who waits for the guest's bootstrap already.
        wanted: Option<(Client, oneshot::Sender<Client>)>,
        /// Absent until the cell has begun.
        line: Option<Line>,
    },
    /// Open, and whether the guest's bootstrap was asked for.
    Open {
        /// `None` while it is being polled.
        vat: Option<Vat>,
        /// Stands between the guest and all of the host's code.
        membrane: Membrane,
        exported: Option<Client>,
        wanted: Option<oneshot::Sender<Client>>,
    },
    /// There is none, or it has ended.
    None(Gone),
}

/// Why nothing of a cell answers.
pub(crate) enum Gone {
    /// There is no connection, for this reason.
    Broken(capnp::Error),
    /// The cell has ended, for this reason.
    Ended(Error),
}

impl Gone {
    /// What a call fails with.
    pub(crate) fn error(&self) -> capnp::Error {
        match self {
            Self::Broken(error) => error.clone(),
            Self::Ended(why) => ended(Some(why.clone())),
        }
    }
}

/// Why nothing of a cell answers any more.
fn ended(why: Option<Error>) -> capnp::Error {
    let why = why.map(Arc::new);
    let ended = capnp::Error::from(Error::Ended { why });
    // It may quote what the guest said.
    let extra = plain(&ended.extra, TOLD);
    capnp::Error { extra, ..ended }
}

/// What becomes a connection when somebody has something to say: most of what a
/// vat and a membrane take is spared a cell that speaks to nobody.
pub(crate) struct Line {
    pub(crate) reader: pipe::Reader,
    pub(crate) writer: pipe::Writer,
    /// What the guest may bootstrap, bare.
    pub(crate) inside: Option<Client>,
}

impl Line {
    /// The vat, and the membrane of all that passes it: nothing that the guest
    /// hands over gets to the host's code but through that, for a hostile one can
    /// hang whoever has it bare.
    pub(super) fn open(self, limits: Limits) -> (Vat, Membrane) {
        let membrane = Membrane::outermost();
        let bootstrap = self.inside.map(|inside| membrane.wrap(inside));
        let vat = Vat::new(self.reader, self.writer, Side::Server, bootstrap, limits);
        (vat, membrane)
    }
}

/// A client that stands for what its keeper will be told.
pub(super) fn promise() -> (Client, oneshot::Sender<Client>) {
    let (keeper, kept) = oneshot::channel();
    let client = capnp_rpc::new_future_client(async { kept.await.map_err(|_| ended(None)) });
    (client, keeper)
}

/// Keeps a promise, unless nobody waits any more.
pub(super) fn keep(keeper: oneshot::Sender<Client>, exported: Client) {
    let _ = keeper.send(exported);
}

/// What the guest exports, as the host's code may have it.
pub(super) fn exported_by(vat: &mut Vat, membrane: &Membrane) -> Client {
    membrane.wrap_reverse(vat.bootstrap())
}
