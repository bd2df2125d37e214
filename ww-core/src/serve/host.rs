use std::fmt;
use std::rc::Rc;

use capnp::Error;
use ww_rpc::peer_capnp::host::{
    self, AddrsParams, AddrsResults, ConnectParams, ConnectResults, ExecutorParams,
    ExecutorResults, IdParams, IdResults, PeersParams, PeersResults,
};

use super::Spawner;
use crate::network::{Multiaddr, Network, PeerId};

/// The server of the wire's `Host`: the peer that runs a cell, as seen from
/// within the cell.
pub struct Host {
    spawner: Rc<Spawner>,
}

/// The most addresses that one `connect` tries.
const MOST_ADDRS: u32 = 64;

/// The most bytes of an address. Most have a few dozen.
const LONGEST_ADDR: usize = 1024;

impl Host {
    /// The host on whose network, and beside whose cells, `spawner` spawns.
    pub fn new(spawner: Rc<Spawner>) -> Self {
        Self { spawner }
    }

    /// The capability.
    pub fn client(self) -> host::Client {
        capnp_rpc::new_client(self)
    }

    fn network(&self) -> &dyn Network {
        &**self.spawner.network()
    }
}

impl host::Server for Host {
    async fn id(self: Rc<Self>, _: IdParams, mut results: IdResults) -> Result<(), Error> {
        results
            .get()
            .set_peer_id(&self.network().local().to_bytes());
        Ok(())
    }

    async fn addrs(self: Rc<Self>, _: AddrsParams, mut results: AddrsResults) -> Result<(), Error> {
        let addrs = self.network().state().addrs;
        write_addrs(&addrs, results.get().init_addrs(count(&addrs)?));
        Ok(())
    }

    async fn peers(self: Rc<Self>, _: PeersParams, mut results: PeersResults) -> Result<(), Error> {
        let peers = self.network().state().peers;
        let mut list = results.get().init_peers(count(&peers)?);
        for (index, peer) in (0..).zip(&peers) {
            let mut info = list.reborrow().get(index);
            info.set_peer_id(&peer.id.to_bytes());
            write_addrs(&peer.addrs, info.init_addrs(count(&peer.addrs)?));
        }
        Ok(())
    }

    async fn connect(
        self: Rc<Self>,
        params: ConnectParams,
        _: ConnectResults,
    ) -> Result<(), Error> {
        let (peer, addrs) = {
            let params = params.get()?;
            let peer = PeerId::from_bytes(params.get_peer_id()?)
                .map_err(|error| Error::failed(format!("peer id is malformed: {error}")))?;
            (peer, read_addrs(peer, params.get_addrs()?)?)
        };
        drop(params);
        Ok(self.network().connect(peer, addrs).await?)
    }

    async fn executor(
        self: Rc<Self>,
        _: ExecutorParams,
        mut results: ExecutorResults,
    ) -> Result<(), Error> {
        results.get().set_executor(self.spawner.clone().client());
        Ok(())
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("id", &self.network().local())
            .finish_non_exhaustive()
    }
}

/// The length of a list, as the wire counts.
fn count<T>(items: &[T]) -> Result<u32, Error> {
    u32::try_from(items.len())
        .map_err(|_| Error::overloaded(format!("a list of {} items is too long", items.len())))
}

/// The addresses that somebody knows of `peer`.
fn read_addrs(peer: PeerId, list: capnp::data_list::Reader<'_>) -> Result<Vec<Multiaddr>, Error> {
    if list.len() > MOST_ADDRS {
        return Err(Error::failed(format!(
            "{} addresses of peer {peer} are too many: at most {MOST_ADDRS} are tried",
            list.len()
        )));
    }
    let addr = |(index, addr): (usize, capnp::Result<&[u8]>)| {
        let addr = addr?;
        let refused = |why: String| Error::failed(format!("address {index} of peer {peer} {why}"));
        if addr.len() > LONGEST_ADDR {
            return Err(refused(format!(
                "is {} bytes long: at most {LONGEST_ADDR} are read",
                addr.len()
            )));
        }
        Multiaddr::try_from(addr.to_vec())
            .map_err(|error| refused(format!("is malformed: {error}")))
    };
    list.iter().enumerate().map(addr).collect()
}

/// Fills a list that is as long as `addrs`.
fn write_addrs(addrs: &[Multiaddr], mut list: capnp::data_list::Builder<'_>) {
    for (index, addr) in (0..).zip(addrs) {
        list.set(index, addr.as_ref());
    }
}
