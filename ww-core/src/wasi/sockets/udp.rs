use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::DynPollable;

use super::{Failure, Host, Network, Never};
use crate::wasi::wit::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use crate::wasi::wit::sockets::{udp, udp_create_socket};

impl udp_create_socket::Host for Host<'_> {
    fn create_udp_socket(&mut self, _: IpAddressFamily) -> Result<Resource<Never>, Failure> {
        Err(ErrorCode::AccessDenied.into())
    }
}

impl udp::Host for Host<'_> {}

impl udp::HostUdpSocket for Host<'_> {
    fn start_bind(
        &mut self,
        handle: Resource<Never>,
        _: Resource<Network>,
        _: IpSocketAddress,
    ) -> Result<(), Failure> {
        match self.never(&handle)? {}
    }

    fn finish_bind(&mut self, handle: Resource<Never>) -> Result<(), Failure> {
        match self.never(&handle)? {}
    }

    fn stream(
        &mut self,
        handle: Resource<Never>,
        _: Option<IpSocketAddress>,
    ) -> Result<(Resource<Never>, Resource<Never>), Failure> {
        match self.never(&handle)? {}
    }

    fn local_address(&mut self, handle: Resource<Never>) -> Result<IpSocketAddress, Failure> {
        match self.never(&handle)? {}
    }

    fn remote_address(&mut self, handle: Resource<Never>) -> Result<IpSocketAddress, Failure> {
        match self.never(&handle)? {}
    }

    fn address_family(&mut self, handle: Resource<Never>) -> wasmtime::Result<IpAddressFamily> {
        match self.never(&handle)? {}
    }

    fn unicast_hop_limit(&mut self, handle: Resource<Never>) -> Result<u8, Failure> {
        match self.never(&handle)? {}
    }

    fn set_unicast_hop_limit(&mut self, handle: Resource<Never>, _: u8) -> Result<(), Failure> {
        match self.never(&handle)? {}
    }

    fn receive_buffer_size(&mut self, handle: Resource<Never>) -> Result<u64, Failure> {
        match self.never(&handle)? {}
    }

    fn set_receive_buffer_size(&mut self, handle: Resource<Never>, _: u64) -> Result<(), Failure> {
        match self.never(&handle)? {}
    }

    fn send_buffer_size(&mut self, handle: Resource<Never>) -> Result<u64, Failure> {
        match self.never(&handle)? {}
    }

    fn set_send_buffer_size(&mut self, handle: Resource<Never>, _: u64) -> Result<(), Failure> {
        match self.never(&handle)? {}
    }

    fn subscribe(&mut self, handle: Resource<Never>) -> wasmtime::Result<Resource<DynPollable>> {
        match self.never(&handle)? {}
    }

    fn drop(&mut self, handle: Resource<Never>) -> wasmtime::Result<()> {
        self.delete(handle)
    }
}

impl udp::HostIncomingDatagramStream for Host<'_> {
    fn receive(
        &mut self,
        handle: Resource<Never>,
        _: u64,
    ) -> Result<Vec<udp::IncomingDatagram>, Failure> {
        match self.never(&handle)? {}
    }

    fn subscribe(&mut self, handle: Resource<Never>) -> wasmtime::Result<Resource<DynPollable>> {
        match self.never(&handle)? {}
    }

    fn drop(&mut self, handle: Resource<Never>) -> wasmtime::Result<()> {
        self.delete(handle)
    }
}

impl udp::HostOutgoingDatagramStream for Host<'_> {
    fn check_send(&mut self, handle: Resource<Never>) -> Result<u64, Failure> {
        match self.never(&handle)? {}
    }

    fn send(
        &mut self,
        handle: Resource<Never>,
        _: Vec<udp::OutgoingDatagram>,
    ) -> Result<u64, Failure> {
        match self.never(&handle)? {}
    }

    fn subscribe(&mut self, handle: Resource<Never>) -> wasmtime::Result<Resource<DynPollable>> {
        match self.never(&handle)? {}
    }

    fn drop(&mut self, handle: Resource<Never>) -> wasmtime::Result<()> {
        self.delete(handle)
    }
}
