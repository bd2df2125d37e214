use capnp::capability::Client;
use futures::channel::oneshot;
use ww_membrane::Membrane;
use ww_rpc::{Limits, Side, Vat};

use super::local::ended;
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
    None(capnp::Error),
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
