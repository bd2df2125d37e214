//! Connections on which nothing was said yet.

mod support;

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use capnp::ErrorKind;
use capnp::capability::Client;
use capnp_rpc::rpc_capnp::message;
use futures::AsyncRead;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use support::{Log, Pair, Slot, echo, executor_of, pair, serve_executor, serve_host, settle};
use ww_rpc::membrane_capnp::wetware_session::Owned as Extension;
use ww_rpc::peer_capnp::host;
use ww_rpc::stem_capnp::membrane;
use ww_rpc::{Limits, Side, Traffic, Vat};

/// Bytes in both directions.
fn bytes(traffic: &Traffic) -> (u64, u64) {
    (traffic.bytes_in(), traffic.bytes_out())
}

/// A vat alone: what it reads, what it has written, and itself.
fn alone(bootstrap: Option<Client>) -> (piper::Writer, piper::Reader, Vat) {
    let (reader, to_vat) = piper::pipe(1 << 16);
    let (from_vat, writer) = piper::pipe(1 << 16);
    let vat = Vat::new(reader, writer, Side::Client, bootstrap, Limits::default());
    (to_vat, from_vat, vat)
}

#[test]
fn nothing_is_said_until_the_bootstrap_is_used() {
    let Pair {
        mut client, server, ..
    } = pair();
    let traffic = client.traffic();
    let host: host::Client = client.bootstrap_later();
    let unused = host.clone();
    let (mut client, mut server) = (Slot::new(client), Slot::new(server));
    settle(|cx| {
        client.poll(cx);
        server.poll(cx);
    });
    assert_eq!(bytes(&traffic), (0, 0));

    // Whichever clone is used, and however often: it is asked for once.
    let mut call = Slot::new(echo(&executor_of(&host), "late"));
    let mut other = Slot::new(echo(&executor_of(&unused), "later"));
    settle(|cx| {
        client.poll(cx);
        server.poll(cx);
        call.poll(cx);
        other.poll(cx);
    });
    assert_eq!(call.output.expect("answered").unwrap(), "Echo: late");
    assert_eq!(other.output.expect("answered").unwrap(), "Echo: later");
    assert!(bytes(&traffic).0 > 0 && bytes(&traffic).1 > 0);
}

#[test]
fn the_first_call_waits_for_no_answer() {
    let (_to_vat, said, mut vat) = alone(None);
    let host: host::Client = vat.bootstrap_later();
    let mut vat = Slot::new(vat);
    settle(|cx| vat.poll(cx));
    let executors = [executor_of(&host), executor_of(&host.clone())];
    let _calls = executors
        .each_ref()
        .map(|executor| echo(executor, "at once"));
    settle(|cx| vat.poll(cx));
    // One question, and all calls pipelined on it.
    assert_eq!(
        messages(said),
        ["bootstrap", "call", "call", "call", "call"]
    );
}

/// What each message that was written until now is.
fn messages(mut from: piper::Reader) -> Vec<&'static str> {
    let mut bytes = Vec::new();
    let mut part = [0; 1024];
    while let Some(count @ 1..) = future::block_on(future::poll_once(from.read(&mut part)))
        .transpose()
        .expect("in memory")
    {
        bytes.extend_from_slice(&part[..count]);
    }
    let mut rest = &bytes[..];
    let mut kinds = Vec::new();
    while !rest.is_empty() {
        let message = capnp::serialize::read_message(&mut rest, Default::default());
        let message = message.expect("our own message");
        let root: message::Reader<'_> = message.get_root().expect("it has one");
        kinds.push(match root.which().expect("it is known") {
            message::Bootstrap(_) => "bootstrap",
            message::Call(_) => "call",
            _ => "another",
        });
    }
    kinds
}

#[test]
fn a_peer_that_speaks_first_is_answered() {
    let Pair {
        mut client,
        mut server,
        at_client,
        ..
    } = pair();
    let later: host::Client = client.bootstrap_later();
    let (mut client, traffic) = (Slot::new(client), server.traffic());
    settle(|cx| client.poll(cx));
    // Of both vats only one was polled before it speaks.
    let host: host::Client = server.bootstrap();
    let mut server = Slot::new(server);
    let mut call = Slot::new(echo(&executor_of(&host), "hello"));
    settle(|cx| {
        client.poll(cx);
        server.poll(cx);
        call.poll(cx);
    });
    assert_eq!(call.output.expect("answered").unwrap(), "Echo: hello");
    assert_eq!(*at_client.echoed.borrow(), ["hello"]);
    assert!(bytes(&traffic).0 > 0);

    let mut call = Slot::new(echo(&executor_of(&later), "back"));
    settle(|cx| {
        client.poll(cx);
        server.poll(cx);
        call.poll(cx);
    });
    assert_eq!(call.output.expect("answered").unwrap(), "Echo: back");
}

/// Grafts what is called with nothing but what it was given itself.
struct Mirror(Log);

impl membrane::Server<Extension> for Mirror {
    async fn graft(
        self: Rc<Self>,
        params: membrane::GraftParams<Extension>,
        mut results: membrane::GraftResults<Extension>,
    ) -> Result<(), capnp::Error> {
        let signer = params.get()?.get_signer()?;
        let host: host::Client = capnp::capability::FromClientHook::new(signer.client.hook);
        let mut extension = results.get().init_session().init_extension();
        extension.set_executor(serve_executor(&self.0));
        extension.set_host(host);
        Ok(())
    }
}

/// It leaves as the peer's own, and comes back as that.
#[test]
fn it_can_be_handed_to_the_peer_that_it_is_of() {
    let log = Log::default();
    let mirror: membrane::Client<Extension> = capnp_rpc::new_client(Mirror(log.clone()));
    let (from_server, to_client) = piper::pipe(1024);
    let (from_client, to_server) = piper::pipe(1024);
    let bootstrap = Some(support::untyped(mirror));
    let limits = Limits::default();
    let server = Vat::new(from_client, to_client, Side::Server, bootstrap, limits);
    let mut client = Vat::new(from_server, to_server, Side::Client, None, limits);
    let membrane: membrane::Client<Extension> = client.bootstrap_later();
    let mut request = membrane.graft_request();
    let itself = client.bootstrap_later();
    request.get().set_signer(itself);
    let graft = async move {
        let response = request.send().promise.await?;
        let extension = response.get()?.get_session()?.get_extension()?;
        let (host, executor) = (extension.get_host()?, extension.get_executor()?);
        // It is no host, which the membrane itself says.
        let error = host.executor_request().send().promise.await.err();
        let kind = error.map(|error| error.kind);
        Ok::<_, capnp::Error>((kind, echo(&executor, "through").await?))
    };
    let (mut client, mut server) = (Slot::new(client), Slot::new(server));
    let mut graft = Slot::new(graft);
    settle(|cx| {
        client.poll(cx);
        server.poll(cx);
        graft.poll(cx);
    });
    let (kind, echoed) = graft.output.expect("answered").unwrap();
    assert_eq!(kind, Some(ErrorKind::Unimplemented));
    assert_eq!(echoed, "Echo: through");
}

/// A stream that fails as soon as it is read.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::Error::other("no such luck")))
    }
}

#[test]
fn an_end_before_the_first_word_is_an_end() {
    enum End {
        Closed,
        Drained,
        Dropped,
    }
    for end in [End::Closed, End::Drained, End::Dropped] {
        let log = Log::default();
        let (to_vat, said, mut vat) = alone(Some(support::untyped(serve_host(&log))));
        let host: host::Client = vat.bootstrap_later();
        let mut polled = false;
        settle(|cx| polled = Pin::new(&mut vat).poll(cx).is_ready());
        assert!(!polled);
        let outcome = match end {
            End::Dropped => {
                drop(vat);
                Ok(())
            }
            End::Closed => {
                drop(to_vat);
                future::block_on(vat)
            }
            End::Drained => {
                vat.drain();
                future::block_on(vat)
            }
        };
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(log.alive(), 0, "what it served is released");
        drop(said);
        let error = future::block_on(echo(&executor_of(&host), "late")).expect_err("it has ended");
        assert_eq!(error.kind, ErrorKind::Disconnected);
    }
}

#[test]
fn an_end_inside_the_first_word_is_an_error() {
    let (mut to_vat, _said, vat) = alone(None);
    future::block_on(to_vat.write_all(&[0; 3])).expect("in memory");
    drop(to_vat);
    let error = future::block_on(vat).expect_err("it is no message");
    assert!(error.extra.contains("inside a message"), "{error}");

    let (_from_vat, writer) = piper::pipe(1024);
    let vat = Vat::new(Broken, writer, Side::Client, None, Limits::default());
    let error = future::block_on(vat).expect_err("reading fails");
    assert!(error.extra.contains("no such luck"), "{error}");
}

#[test]
fn a_vat_that_is_dropped_between_the_first_use_and_the_next_poll_fails_the_call() {
    let log = Log::default();
    let (_to_vat, _said, mut vat) = alone(Some(support::untyped(serve_host(&log))));
    let host: host::Client = vat.bootstrap_later();
    settle(|cx| assert!(Pin::new(&mut vat).poll(cx).is_pending()));
    let mut call = Slot::new(echo(&executor_of(&host), "lost"));
    drop(vat);
    settle(|cx| call.poll(cx));
    let error = call.output.expect("no hang").expect_err("nobody answers");
    assert_eq!(error.kind, ErrorKind::Disconnected);
    drop(host);
    assert_eq!(log.alive(), 0);
}

#[test]
fn a_client_that_outlives_the_connection_keeps_nothing_of_it() {
    for used in [false, true] {
        let Pair {
            mut client, server, ..
        } = pair();
        let traffic = client.traffic();
        let host: host::Client = client.bootstrap_later();
        let (mut client, mut server) = (Slot::new(client), Slot::new(server));
        if used {
            let mut call = Slot::new(echo(&executor_of(&host), "once"));
            settle(|cx| {
                client.poll(cx);
                server.poll(cx);
                call.poll(cx);
            });
            assert_eq!(call.output.expect("answered").unwrap(), "Echo: once");
        }
        assert!(Arc::strong_count(&traffic) > 1);
        client.cancel();
        assert_eq!(Arc::strong_count(&traffic), 1, "used: {used}");
        drop(host);
    }
}
