use std::future::pending;

use bytes::Bytes;
use tokio::io::AsyncRead;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdinStream};
use wasmtime_wasi::p2::{InputStream, Pollable, StreamResult};

/// A standard input that neither says anything nor ends.
#[derive(Clone, Copy)]
pub(crate) struct Silent;

impl IsTerminal for Silent {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Silent {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        unreachable!("WASI 0.2 has the other")
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(Self)
    }
}

impl InputStream for Silent {
    fn read(&mut self, _size: usize) -> StreamResult<Bytes> {
        Ok(Bytes::new())
    }
}

#[async_trait]
impl Pollable for Silent {
    async fn ready(&mut self) {
        pending().await
    }
}
