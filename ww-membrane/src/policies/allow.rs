use capnp::Error;
use capnp::capability::FromClientHook;

use crate::{Call, Method, Methods, Policy, Selected, Verdict};

/// Passes the methods that it lists, and denies every other.
///
/// Methods are named by the requests that the schema's generated code makes,
/// so that there is no number to get wrong:
///
/// ```
/// use ww_membrane::policies::Allow;
/// use ww_membrane::Membrane;
/// use ww_rpc::peer_capnp::{byte_stream, host};
///
/// let allow = Allow::new()
///     .method(host::Client::id_request)
///     .method(host::Client::addrs_request)
///     .method(byte_stream::Client::push_request);
/// let membrane = Membrane::policed(allow);
/// ```
///
/// Calls from inside to what was handed in pass: what a caller hands in, it
/// means to be called.
///
/// The membrane learns from it what the schema says of the methods that it
/// lists, and nothing of others. Where a method that streams is not listed and
/// one that ends the stream is, put [`Methods`] with the former in front: then
/// the denied call ends the stream.
#[derive(Clone, Debug, Default)]
pub struct Allow {
    methods: Methods,
}

impl Allow {
    /// Allows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows the method whose request `select` makes. A `select` that makes
    /// none allows nothing.
    #[must_use]
    pub fn method<C: FromClientHook, R: Selected>(self, select: impl FnOnce(&C) -> R) -> Self {
        Self {
            methods: self.methods.method(select),
        }
    }

    /// What it allows.
    pub fn methods(&self) -> &Methods {
        &self.methods
    }

    /// Allows what both allow.
    #[must_use]
    pub fn intersect(mut self, other: &Self) -> Self {
        self.methods.retain(|method| other.methods.contains(method));
        self
    }
}

impl Policy for Allow {
    fn inbound(&self, call: &Call) -> Verdict {
        if self.methods.find(call).is_some() {
            return Verdict::pass();
        }
        Verdict::deny(Error::failed(format!(
            "method {} of interface {:#x} is not allowed",
            call.method(),
            call.interface()
        )))
    }

    fn describe(&self) -> String {
        let names: Vec<String> = self.methods.iter().map(Method::to_string).collect();
        match &names[..] {
            [] => "nothing allowed".into(),
            names => format!("only {}", names.join(", ")),
        }
    }

    fn method(&self, call: &Call) -> Option<Method> {
        self.methods.find(call).copied()
    }
}
