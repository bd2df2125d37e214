use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use capnp::Error;
use capnp::capability::Client;
use capnp_rpc::VatNetwork;
use capnp_rpc::rpc_twoparty_capnp::Side;

use crate::link::Link;
use crate::running::Running;

/// A connection before either side has said anything: what capnp-rpc needs for
/// one is made when the first of them does.
pub(crate) struct Opening {
    stage: RefCell<Stage>,
    /// The peer's bootstrap capability, once it was asked for.
    bootstrap: OnceCell<Client>,
    side: Side,
}

enum Stage {
    /// The network, what the peer may bootstrap, and the link, which clients that
    /// outlive the connection are not to keep.
    Silent(Box<dyn VatNetwork<Side>>, Option<Client>, Rc<Link>),
    /// The vat takes it over when it is polled next.
    Begun(Running),
    /// The vat has it, or has ended.
    Over,
}

impl Opening {
    pub(crate) fn new(
        network: Box<dyn VatNetwork<Side>>,
        bootstrap: Option<Client>,
        side: Side,
        link: Rc<Link>,
    ) -> Self {
        Self {
            stage: RefCell::new(Stage::Silent(network, bootstrap, link)),
            bootstrap: OnceCell::new(),
            side,
        }
    }

    /// Whether the peer's bootstrap capability was asked for.
    pub(crate) fn has_begun(&self) -> bool {
        matches!(*self.stage.borrow(), Stage::Begun(_))
    }

    /// What the vat runs from now on; `None` where it has it already. Asks for
    /// the peer's bootstrap capability where somebody is there to use it: later
    /// there may be no asking, while the vat is polled.
    pub(crate) fn begin(self: &Rc<Self>) -> Option<Running> {
        match self.stage.replace(Stage::Over) {
            Stage::Silent(network, bootstrap, _) => {
                let mut running = Running::new(network, bootstrap);
                if Rc::strong_count(self) > 1 {
                    self.bootstrap.get_or_init(|| running.bootstrap(self.side));
                }
                Some(running)
            }
            Stage::Begun(running) => Some(running),
            Stage::Over => None,
        }
    }

    /// Makes nothing any more; gives back what was made.
    pub(crate) fn end(&self) -> Option<Running> {
        match self.stage.replace(Stage::Over) {
            Stage::Begun(running) => Some(running),
            Stage::Silent(..) | Stage::Over => None,
        }
    }

    /// The peer's bootstrap capability, which is asked for now if it was not.
    pub(crate) fn bootstrap(&self) -> &Client {
        let mut waiting = None;
        let client = self.bootstrap.get_or_init(|| {
            let Stage::Silent(network, bootstrap, link) = self.stage.replace(Stage::Over) else {
                return ended();
            };
            waiting = Some(link);
            let mut running = Running::new(network, bootstrap);
            let client = running.bootstrap(self.side);
            self.stage.replace(Stage::Begun(running));
            client
        });
        if let Some(link) = waiting {
            link.wake_reader();
        }
        client
    }

    /// The same, where it was asked for.
    pub(crate) fn asked(&self) -> Option<&Client> {
        self.bootstrap.get()
    }
}

/// The bootstrap capability of a connection that has ended.
pub(crate) fn ended() -> Client {
    capnp_rpc::new_broken_cap(Error::disconnected("the connection has ended".into()))
}
