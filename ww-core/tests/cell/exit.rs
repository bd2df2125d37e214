use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{AsyncReadExt, AsyncWrite};
use ww_core::cell::Output;

use crate::patience::patiently;
use crate::stage::guest;

#[test]
fn every_exit_code_survives_and_zero_is_success() {
    for code in [0, 1, 42, 255] {
        let cell = patiently(guest("exits").args([code.to_string()]).spawn()).unwrap();
        let exit = patiently(cell.wait()).unwrap();
        assert_eq!(exit.code(), code);
        assert_eq!(exit.success(), code == 0);
        assert!(exit.rpc_error().is_none());
    }
}

#[test]
fn an_error_from_main_is_a_failure_and_its_chain_is_told() {
    let builder = guest("fails").stderr(Output::piped());
    let cell = patiently(builder.spawn()).unwrap();
    assert_eq!(patiently(cell.wait()).unwrap().code(), 1);
    let mut told = String::new();
    let mut stderr = cell.take_stderr().unwrap();
    patiently(stderr.read_to_string(&mut told)).unwrap();
    let failure = told.find("the guest has failed");
    let cause = told.find("as it was meant to");
    assert!(failure.is_some() && failure < cause, "{told}");
}

/// Takes everything, and cannot say that any of it arrived.
struct Lost(io::ErrorKind);

impl AsyncWrite for Lost {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(self.0.into()))
    }
}

#[test]
fn the_code_survives_an_output_that_does_not() {
    let cases = [
        (io::ErrorKind::Other, true),
        (io::ErrorKind::BrokenPipe, false),
    ];
    for (kind, told) in cases {
        let builder = guest("exits")
            .args(["7"])
            .stdout(Output::writer(Lost(kind)));
        let cell = patiently(builder.spawn()).unwrap();
        let exit = patiently(cell.wait()).unwrap();
        assert_eq!(exit.code(), 7);
        let error = exit.output_error().map(ToString::to_string);
        assert_eq!(error.is_some_and(|text| text.contains("stdout")), told);
    }
}
