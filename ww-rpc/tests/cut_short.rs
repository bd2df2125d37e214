//! When calls in flight fail, as those see it who made them.

mod support;

use std::pin::Pin;

use capnp::ErrorKind;
use support::{Slot, executor_of, never_answered, pair, settle};

#[test]
fn calls_fail_in_the_poll_that_the_vat_resolves_in() {
    for drained in [true, false] {
        let mut pair = pair();
        let executor = executor_of(&pair.client.bootstrap());
        let mut call = Slot::new(never_answered(&executor));
        let (mut client, mut server) = (pair.client, Some(pair.server));
        settle(|cx| {
            let vats = [Some(&mut client), server.as_mut()];
            for vat in vats.into_iter().flatten() {
                assert!(Pin::new(vat).poll(cx).is_pending());
            }
            call.poll(cx);
        });
        assert!(call.output.is_none());
        // With the beginning of a last message, or without.
        match server.take() {
            Some(mut server) if drained => {
                server.drain();
                let mut server = Slot::new(server);
                settle(|cx| server.poll(cx));
                assert!(server.output.is_some());
            }
            server => drop(server),
        }
        let mut client = Slot::new(client);
        settle(|cx| {
            client.poll(cx);
            call.poll(cx);
            assert_eq!(client.output.is_some(), call.output.is_some());
        });
        let failed = call.output.expect("nobody answers any more");
        let error = failed.expect_err("nobody has answered");
        assert_eq!(error.kind, ErrorKind::Disconnected);
        assert!(client.output.is_some());
    }
}
