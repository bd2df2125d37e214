//! The largest allowed message goes through a host that forwards it.

mod support;

use futures_lite::future;
use support::{Log, Slot, serve_executor, settle, untyped};
use ww_rpc::peer_capnp::executor;
use ww_rpc::{Limits, Side, Vat};

const BYTES: usize = 1 << 20;

/// Two vats; what the one has of `exported` by the other, and their drive.
fn connect(
    exported: executor::Client,
    limits: Limits,
) -> (executor::Client, impl Future<Output = ()>) {
    let (up, up_end) = piper::pipe(1 << 16);
    let (down, down_end) = piper::pipe(1 << 16);
    let server = Vat::new(up, down_end, Side::Server, Some(untyped(exported)), limits);
    let mut client = Vat::new(down, up_end, Side::Client, None, limits);
    let imported = client.bootstrap();
    let drive = async move { drop(future::zip(server, client).await) };
    (imported, drive)
}

#[test]
fn the_largest_message_survives_forwarding_and_a_larger_one_does_not() {
    // The text, and what a call and an answer have beside it.
    for (room, passes) in [(32, true), (0, false)] {
        let mut limits = Limits::default();
        limits.message_words = BYTES / 8 + room;
        let log = Log::default();
        let (import, inner) = connect(serve_executor(&log), limits);
        let (outside, outer) = connect(import, limits);
        let mut request = outside.echo_request();
        request.get().set_message("x".repeat(BYTES - 64));
        let sent = request.send().promise;
        let mut call = Slot::new(async move {
            let answer = sent.await?;
            Ok::<usize, capnp::Error>(answer.get()?.get_response()?.len())
        });
        let mut vats = Slot::new(future::zip(inner, outer));
        settle(|cx| {
            vats.poll(cx);
            call.poll(cx);
        });
        let echoed = call.output.take().expect("no hang");
        assert_eq!(echoed.is_ok(), passes, "{echoed:?}");
        if passes {
            assert_eq!(echoed.expect("it passes"), BYTES - 64 + "Echo: ".len());
        }
    }
}
