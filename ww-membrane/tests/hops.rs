//! How many messages one after the other a call needs: none more than without
//! a membrane.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::steps::Net;
use support::*;
use ww_membrane::policies::Allow;
use ww_membrane::{Membrane, Methods};
use ww_rpc::peer_capnp::{byte_stream, executor, host};

/// Where the membrane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// Inside and outside are on one thread.
    Local,
    /// Outside, a connection, and a host with the inside.
    ToHost,
    /// A host that is the outside, a connection, and the inside.
    FromHost,
    /// Outside, a connection, a host, another connection, and the inside.
    ThroughHost,
}

/// Which membrane there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Boundary {
    None,
    Plain,
    /// One that knows the schema.
    Knowing,
    /// Two, one behind the other.
    Nested,
}

impl Boundary {
    fn wrap(self, inside: host::Client) -> host::Client {
        match self {
            Self::None => inside,
            Self::Plain => Membrane::ungated().wrap(inside),
            Self::Knowing => {
                let allow = Allow::new()
                    .method(host::Client::executor_request)
                    .method(host::Client::id_request)
                    .method(executor::Client::echo_request);
                Membrane::policed(allow).wrap(inside)
            }
            Self::Nested => {
                let methods = || Methods::new().method(host::Client::executor_request);
                Membrane::policed(methods()).wrap(Membrane::policed(methods()).wrap(inside))
            }
        }
    }
}

/// The hops of a plain call, of two calls that are pipelined, and of two calls
/// one after the other.
fn hops(route: Route, boundary: Boundary) -> [usize; 3] {
    let net = &mut Net::default();
    let inside = peer(&Seen::default());
    let outside = match route {
        Route::Local => boundary.wrap(inside),
        Route::ToHost => net.connect(boundary.wrap(inside)),
        Route::FromHost => boundary.wrap(net.connect(inside)),
        Route::ThroughHost => {
            let import = net.connect(inside);
            net.connect(boundary.wrap(import))
        }
    };
    // Bootstraps are resolved by now.
    net.hops(id(&outside)).0.unwrap();
    net.settle();

    let (called, plain) = net.hops(id(&outside));
    assert_eq!(called.unwrap(), b"peer", "{route:?}, {boundary:?}");
    net.settle();
    let (piped, pipelined) = net.hops(async {
        let sent = outside.executor_request().send();
        echo(&sent.pipeline.get_executor(), "hi").await
    });
    assert_eq!(piped.unwrap(), "Echo: hi", "{route:?}, {boundary:?}");
    net.settle();
    let (called, sequential) = net.hops(async {
        let answer = outside.executor_request().send().promise.await?;
        echo(&answer.get()?.get_executor()?, "hi").await
    });
    assert_eq!(called.unwrap(), "Echo: hi", "{route:?}, {boundary:?}");
    [plain, pipelined, sequential]
}

#[test]
fn a_membrane_adds_no_hop() {
    for (route, expected) in [
        (Route::Local, [0, 0, 0]),
        (Route::ToHost, [2, 2, 4]),
        (Route::FromHost, [2, 2, 4]),
        // capnp-rpc forwards a pipelined call when the first is answered.
        (Route::ThroughHost, [4, 6, 8]),
    ] {
        for boundary in [Boundary::None, Boundary::Plain] {
            assert_eq!(hops(route, boundary), expected, "{route:?}, {boundary:?}");
        }
    }
}

#[test]
fn a_membrane_that_knows_the_schema_saves_the_round_trip_of_a_forwarded_pipeline() {
    for boundary in [Boundary::Knowing, Boundary::Nested] {
        for (route, expected) in [
            (Route::Local, [0, 0, 0]),
            (Route::ToHost, [2, 2, 4]),
            (Route::FromHost, [2, 2, 4]),
            (Route::ThroughHost, [4, 4, 8]),
        ] {
            assert_eq!(hops(route, boundary), expected, "{route:?}, {boundary:?}");
        }
    }
}

#[test]
fn a_call_that_was_promised_results_fails_as_it_would_without() {
    struct Null(Seen);
    impl host::Server for Null {
        async fn executor(
            self: std::rc::Rc<Self>,
            _: host::ExecutorParams,
            _: host::ExecutorResults,
        ) -> Result<(), capnp::Error> {
            match self.0.calls.replace(1) {
                0 => Ok(()),
                _ => Err(capnp::Error::overloaded("too many".into())),
            }
        }
    }
    let net = &mut Net::default();
    let inside: host::Client = capnp_rpc::new_client(Null(Seen::default()));
    let import = net.connect(inside);
    let outside = net.connect(Boundary::Knowing.wrap(import));
    for fails in [false, true] {
        let sent = outside.executor_request().send();
        let executor = sent.pipeline.get_executor();
        let (echoed, _) = net.hops(echo(&executor, "hi"));
        assert!(echoed.is_err());
        match net.hops(sent.promise).0 {
            Ok(answer) => {
                assert!(!fails);
                assert!(!answer.get().unwrap().has_executor());
            }
            Err(error) => {
                assert!(
                    fails && error.kind == capnp::ErrorKind::Overloaded,
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn results_that_were_promised_may_pass_another_membrane() {
    for route in [Route::Local, Route::ToHost] {
        for boundary in [Boundary::Knowing, Boundary::Nested] {
            let net = &mut Net::default();
            let inside = boundary.wrap(net.connect(peer(&Seen::default())));
            let promise: host::Client = capnp_rpc::new_future_client(async {
                futures_lite::future::yield_now().await;
                Ok(inside)
            });
            let outside = Membrane::ungated().wrap(promise);
            let outside = match route {
                Route::Local => outside,
                _ => net.connect(outside),
            };
            let sent = outside.executor_request().send();
            let executor = sent.pipeline.get_executor();
            let (outcome, _) = net.hops(async {
                let early = echo(&executor, "hi").await?;
                let answer = sent.promise.await?;
                let late = echo(&answer.get()?.get_executor()?, "hi").await?;
                Ok::<_, capnp::Error>([early, late])
            });
            assert_eq!(outcome.unwrap(), ["Echo: hi"; 2], "{route:?}, {boundary:?}");
        }
    }
}

/// Takes what is pushed.
struct Sink;

impl byte_stream::Server for Sink {
    async fn push(self: std::rc::Rc<Self>, _: byte_stream::PushParams) -> Result<(), capnp::Error> {
        Ok(())
    }

    async fn finish(
        self: std::rc::Rc<Self>,
        _: byte_stream::FinishParams,
        _: byte_stream::FinishResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

#[test]
fn a_stream_does_not_wait_for_each_push_however_many_membranes_it_passes() {
    for membranes in 0..4 {
        let net = &mut Net::default();
        let import: byte_stream::Client = net.connect(capnp_rpc::new_client(Sink));
        let stream = (0..membranes).fold(import, |inside, _| Membrane::ungated().wrap(inside));
        let (finished, hops) = net.hops(async {
            for _ in 0..20 {
                let mut request = stream.push_request();
                request.get().init_data(100);
                request.send().await?;
            }
            stream.finish_request().send().promise.await.map(|_| ())
        });
        finished.unwrap();
        assert_eq!(hops, 2, "{membranes} membranes");
    }
}
