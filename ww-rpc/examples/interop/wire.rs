//! Sockets by address.

use std::io;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::net::{UnixListener, UnixStream};

use async_io::Async;
use capnp::capability::Client;
use ww_rpc::{Limits, Side, Vat};

pub(crate) enum Listener {
    Unix(Async<UnixListener>),
    Tcp(Async<TcpListener>),
}

impl Listener {
    /// Listens, and says where on standard output.
    pub(crate) fn bind(address: &str) -> io::Result<Self> {
        if address.starts_with('/') {
            let listener = Async::<UnixListener>::bind(address)?;
            println!("listening {address}");
            return Ok(Self::Unix(listener));
        }
        let listener = Async::new(TcpListener::bind(address)?)?;
        println!("listening {}", listener.get_ref().local_addr()?);
        Ok(Self::Tcp(listener))
    }

    /// A vat for whoever connects next.
    pub(crate) async fn accept(&self, bootstrap: Client) -> io::Result<Vat> {
        Ok(match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                unix(stream, Side::Server, Some(bootstrap))?
            }
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                tcp(stream, Side::Server, Some(bootstrap))?
            }
        })
    }
}

pub(crate) async fn connect(address: &str) -> io::Result<Vat> {
    if address.starts_with('/') {
        return unix(
            Async::<UnixStream>::connect(address).await?,
            Side::Client,
            None,
        );
    }
    let mut addresses = address.to_socket_addrs()?;
    let first = addresses.next().ok_or(io::ErrorKind::NotFound)?;
    tcp(
        Async::<TcpStream>::connect(first).await?,
        Side::Client,
        None,
    )
}

fn unix(stream: Async<UnixStream>, side: Side, bootstrap: Option<Client>) -> io::Result<Vat> {
    let reader = Async::new(stream.get_ref().try_clone()?)?;
    Ok(Vat::new(reader, stream, side, bootstrap, Limits::default()))
}

fn tcp(stream: Async<TcpStream>, side: Side, bootstrap: Option<Client>) -> io::Result<Vat> {
    stream.get_ref().set_nodelay(true)?;
    let reader = Async::new(stream.get_ref().try_clone()?)?;
    Ok(Vat::new(reader, stream, side, bootstrap, Limits::default()))
}
