use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::DynPollable;

use super::{Failure, Host, Network, Never};
use crate::wasi::wit::sockets::ip_name_lookup;
use crate::wasi::wit::sockets::network::{ErrorCode, IpAddress};

impl ip_name_lookup::Host for Host<'_> {
    /// With Wasmtime's code.
    fn resolve_addresses(
        &mut self,
        _: Resource<Network>,
        _: String,
    ) -> Result<Resource<Never>, Failure> {
        Err(ErrorCode::PermanentResolverFailure.into())
    }
}

impl ip_name_lookup::HostResolveAddressStream for Host<'_> {
    fn resolve_next_address(
        &mut self,
        handle: Resource<Never>,
    ) -> Result<Option<IpAddress>, Failure> {
        match self.never(&handle)? {}
    }

    fn subscribe(&mut self, handle: Resource<Never>) -> wasmtime::Result<Resource<DynPollable>> {
        match self.never(&handle)? {}
    }

    fn drop(&mut self, handle: Resource<Never>) -> wasmtime::Result<()> {
        self.delete(handle)
    }
}
