use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::DynPollable;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use super::{Failure, Host, Network, Never};
use crate::wasi::wit::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use crate::wasi::wit::sockets::{tcp, tcp_create_socket};

impl tcp_create_socket::Host for Host<'_> {
    fn create_tcp_socket(&mut self, _: IpAddressFamily) -> Result<Resource<Never>, Failure> {
        Err(ErrorCode::AccessDenied.into())
    }
}

impl tcp::Host for Host<'_> {}

impl tcp::HostTcpSocket for Host<'_> {
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

    fn start_connect(
        &mut self,
        handle: Resource<Never>,
        _: Resource<Network>,
        _: IpSocketAddress,
    ) -> Result<(), Failure> {
        match self.never(&handle)? {}
    }

    fn finish_connect(
        &mut self,
        handle: Resource<Never>,
    ) -> Result<(Resource<DynInputStream>, Resource<DynOutputStream>), Failure> {
        match self.never(&handle)? {}
    }

    fn start_listen(&mut self, handle: Resource<Never>) -> Result<(), Failure> {
        match self.never(&handle)? {}
    }

    fn finish_listen(&mut self, handle: Resource<Never>) -> Result<(), Failure> {
        match self.never(&handle)? {}
    }

    fn accept(
        &mut self,
        handle: Resource<Never>,
    ) -> Result<
        (
            Resource<Never>,
            Resource<DynInputStream>,
            Resource<DynOutputStream>,
        ),
        Failure,
    > {
        match self.never(&handle)? {}
    }

    fn local_address(&mut self, handle: Resource<Never>) -> Result<IpSocketAddress, Failure> {
        match self.never(&handle)? {}
    }

    fn remote_address(&mut self, handle: Resource<Never>) -> Result<IpSocketAddress, Failure> {
        match self.never(&handle)? {}
    }

    fn is_listening(&mut self, handle: Resource<Never>) -> wasmtime::Result<bool> {
        match self.never(&handle)? {}
    }

    fn address_family(&mut self, handle: Resource<Never>) -> wasmtime::Result<IpAddressFamily> {
        match self.never(&handle)? {}
    }

    fn set_listen_backlog_size(&mut self, handle: Resource<Never>, _: u64) -> Result<(), Failure> {
        match self.never(&handle)? {}
    }

    fn keep_alive_enabled(&mut self, handle: Resource<Never>) -> Result<bool, Failure> {
        match self.never(&handle)? {}
    }

    fn set_keep_alive_enabled(&mut self, handle: Resource<Never>, _: bool) -> Result<(), Failure> {
        match self.never(&handle)? {}
    }

    fn keep_alive_idle_time(&mut self, handle: Resource<Never>) -> Result<u64, Failure> {
        match self.never(&handle)? {}
    }

    fn set_keep_alive_idle_time(&mut self, handle: Resource<Never>, _: u64) -> Result<(), Failure> {
        match self.never(&handle)? {}
    }

    fn keep_alive_interval(&mut self, handle: Resource<Never>) -> Result<u64, Failure> {
        match self.never(&handle)? {}
    }

    fn set_keep_alive_interval(&mut self, handle: Resource<Never>, _: u64) -> Result<(), Failure> {
        match self.never(&handle)? {}
    }

    fn keep_alive_count(&mut self, handle: Resource<Never>) -> Result<u32, Failure> {
        match self.never(&handle)? {}
    }

    fn set_keep_alive_count(&mut self, handle: Resource<Never>, _: u32) -> Result<(), Failure> {
        match self.never(&handle)? {}
    }

    fn hop_limit(&mut self, handle: Resource<Never>) -> Result<u8, Failure> {
        match self.never(&handle)? {}
    }

    fn set_hop_limit(&mut self, handle: Resource<Never>, _: u8) -> Result<(), Failure> {
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

    fn shutdown(&mut self, handle: Resource<Never>, _: tcp::ShutdownType) -> Result<(), Failure> {
        match self.never(&handle)? {}
    }

    fn drop(&mut self, handle: Resource<Never>) -> wasmtime::Result<()> {
        self.delete(handle)
    }
}
