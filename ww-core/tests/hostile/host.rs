//! Parts of a host that are as bad as any guest.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures::{AsyncRead, AsyncWrite};
use ww_core::clock::{Clock, Sleep};
use ww_core::random::Random;
use ww_rpc::peer_capnp::executor;

/// A writer that never takes a byte.
pub(crate) struct Stuck;

impl AsyncWrite for Stuck {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// Whatever is asked of it, it panics.
pub(crate) struct Broken;

impl Broken {
    pub(crate) fn server() -> executor::Client {
        capnp_rpc::new_client(Self)
    }
}

impl AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        panic!("a reader of the host")
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        panic!("a writer of the host")
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        panic!("a writer of the host")
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        panic!("a writer of the host")
    }
}

impl Random for Broken {
    fn fill(&mut self, _: &mut [u8]) -> io::Result<()> {
        panic!("a source of the host")
    }
}

impl Clock for Broken {
    /// Asked before the cell starts, too.
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn wall(&self) -> SystemTime {
        panic!("a clock of the host")
    }

    fn sleep_until(&self, _: Duration) -> Sleep {
        panic!("a clock of the host")
    }
}

impl executor::Server for Broken {
    async fn echo(
        self: Rc<Self>,
        _: executor::EchoParams,
        _: executor::EchoResults,
    ) -> Result<(), capnp::Error> {
        panic!("a server of the host")
    }
}
