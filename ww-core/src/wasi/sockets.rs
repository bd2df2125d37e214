//! `wasi:sockets`: every interface is there, so that any component links, and
//! whoever asks for a socket is told `access-denied`, and whoever looks a name up
//! `permanent-resolver-failure`.

use wasmtime::component::{Resource, ResourceTableError};

use super::Host;
use super::wit::sockets::network::ErrorCode;
use super::wit::sockets::{instance_network, network};

mod lookup;
mod tcp;
mod udp;

/// The network that the guest may name and do nothing with.
#[allow(unreachable_pub, reason = "the bindings re-export it")]
pub struct Network;

/// A socket or stream that no guest ever holds a handle to.
#[allow(unreachable_pub, reason = "the bindings re-export it")]
pub enum Never {}

/// Why a call failed: an answer for the guest, or a trap.
#[allow(unreachable_pub, reason = "the bindings re-export it")]
pub enum Failure {
    Code(ErrorCode),
    Trap(wasmtime::Error),
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

impl From<ResourceTableError> for Failure {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

impl Host<'_> {
    /// Since there is no such value, a handle to one is a trap.
    fn never(
        &self,
        handle: &Resource<Never>,
    ) -> Result<std::convert::Infallible, ResourceTableError> {
        match *self.table.get(handle)? {}
    }

    fn delete(&mut self, handle: Resource<Never>) -> wasmtime::Result<()> {
        match self.table.delete(handle)? {}
    }
}

impl network::Host for Host<'_> {
    fn convert_error_code(&mut self, failure: Failure) -> wasmtime::Result<ErrorCode> {
        match failure {
            Failure::Code(code) => Ok(code),
            Failure::Trap(error) => Err(error),
        }
    }

    /// No error comes from a network that refuses everything.
    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.table.get(&error)?;
        Ok(None)
    }
}

impl network::HostNetwork for Host<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

impl instance_network::Host for Host<'_> {
    fn instance_network(&mut self) -> wasmtime::Result<Resource<Network>> {
        Ok(self.table.push(Network)?)
    }
}
