use std::ops::Deref;
use std::rc::Rc;

use capnp::any_pointer;
use capnp::capability::{
    Client, DispatchCallResult, DynClientHook, FromClientHook, FromServer, Params, Results, Server,
};

use crate::peer_capnp::byte_stream::{self, ServerDispatch};

/// A client of `server`, which keeps the order of its calls by itself.
///
/// capnp-rpc would have all calls wait that come after a push, be it to close the
/// stream, and fail them once a push has failed, whoever's it was.
pub(crate) fn client<S: byte_stream::Server>(server: Rc<S>) -> byte_stream::Client {
    let Untyped(client) = capnp_rpc::new_client_from_rc(server);
    client.cast_to()
}

/// What a server is made into.
struct Untyped(Client);

/// Calls a server as if none of its methods streamed.
struct Dispatch<S>(ServerDispatch<S>);

impl FromClientHook for Untyped {
    fn new(hook: Box<DynClientHook>) -> Self {
        Self(Client::new(hook))
    }

    fn into_client_hook(self) -> Box<DynClientHook> {
        self.0.into_client_hook()
    }

    fn as_client_hook(&self) -> &DynClientHook {
        &*self.0.hook
    }
}

impl<S: byte_stream::Server> FromServer<S> for Untyped {
    type Dispatch = Dispatch<S>;

    fn from_server(server: Rc<S>) -> Dispatch<S> {
        Dispatch(byte_stream::Client::from_server(server))
    }
}

impl<S: byte_stream::Server> Server for Dispatch<S> {
    fn dispatch_call(
        self,
        interface_id: u64,
        method_id: u16,
        params: Params<any_pointer::Owned>,
        results: Results<any_pointer::Owned>,
    ) -> DispatchCallResult {
        let called = self
            .0
            .dispatch_call(interface_id, method_id, params, results);
        DispatchCallResult::new(called.promise, false)
    }

    fn as_ptr(&self) -> usize {
        self.0.as_ptr()
    }
}

impl<S: byte_stream::Server> Deref for Dispatch<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}

impl<S: byte_stream::Server> Clone for Dispatch<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
