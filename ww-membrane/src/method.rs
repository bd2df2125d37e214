use std::collections::{BTreeMap, HashSet};
use std::fmt;

use capnp::capability::{FromClientHook, Request, StreamingRequest};
use capnp::introspect::{Introspect, RawBrandedStructSchema, Type, TypeVariant};
use capnp::schema::StructSchema;
use capnp::schema_capnp::field;

use crate::hook::selected;
use crate::{Call, Policy, Verdict};

/// A method and what its schema says of it.
///
/// Methods are named by the requests that the schema's generated code makes,
/// so that there is no number to get wrong:
///
/// ```
/// use ww_membrane::Method;
/// use ww_rpc::peer_capnp::{byte_stream, host};
///
/// let push = Method::of(byte_stream::Client::push_request).unwrap();
/// assert_eq!((push.ordinal(), push.streams()), (3, true));
/// let executor = Method::of(host::Client::executor_request).unwrap();
/// assert!(executor.returns_capabilities());
/// assert_eq!(executor.to_string(), "Host.executor");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    interface: u64,
    ordinal: u16,
    name: Option<&'static str>,
    streams: bool,
    results: Results,
}

/// Methods, by interface and ordinal.
///
/// As a [`Policy`] it passes every call, and tells the membrane what the schema
/// says of it. A membrane that knows of a method
///
/// - ends a stream with the first call of it that is denied, over a connection
///   too, where a streaming call looks like any other;
/// - lets calls on a promised result of a call that it forwards go on before
///   that call is answered.
#[derive(Clone, Debug, Default)]
pub struct Methods {
    known: BTreeMap<(u64, u16), Method>,
}

/// A request that generated code makes, from which its method is read.
///
/// Implemented for the two kinds of request that there are.
pub trait Selected {
    /// The type of the parameters.
    fn params() -> Type;

    /// The type of the results; none where the method streams.
    fn results() -> Option<Type>;
}

/// Where capabilities stand in the results of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Results {
    /// Whether there can be any.
    any: bool,
    /// A bit for each pointer field of the results that is one; `None` where
    /// some that can be pipelined on stand elsewhere.
    fields: Option<u64>,
}

impl Method {
    /// The method whose request `select` makes; `None` where it makes none.
    pub fn of<C: FromClientHook, R: Selected>(select: impl FnOnce(&C) -> R) -> Option<Self> {
        let (interface, ordinal) = selected(select)?;
        let results = R::results();
        Some(Self {
            interface,
            ordinal,
            name: name(R::params()),
            streams: results.is_none(),
            results: Results {
                any: results.is_some_and(|ty| holds(ty, &mut HashSet::new())),
                fields: results.and_then(fields),
            },
        })
    }

    /// Id of the interface that declares the method.
    pub fn interface(&self) -> u64 {
        self.interface
    }

    /// Ordinal of the method in that interface.
    pub fn ordinal(&self) -> u16 {
        self.ordinal
    }

    /// Its name in the schema, behind that of its interface and a dot; none
    /// where the schema names its parameters otherwise.
    pub fn name(&self) -> Option<&'static str> {
        self.name
    }

    /// Whether the method streams: callers send the next call before this one
    /// is answered, and hear of an error by a later call.
    pub fn streams(&self) -> bool {
        self.streams
    }

    /// Whether its results can hold capabilities.
    pub fn returns_capabilities(&self) -> bool {
        self.results.any
    }

    /// The pointer fields of the results that are capabilities, where these
    /// are all that a call can be pipelined on, and there are some.
    pub(crate) fn promised(&self) -> Option<u64> {
        self.results.fields.filter(|fields| *fields != 0)
    }
}

/// Its name, or else interface and ordinal.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#x}.{}", self.interface, self.ordinal),
        }
    }
}

impl Methods {
    /// No methods.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the method whose request `select` makes. A `select` that makes
    /// none adds nothing.
    #[must_use]
    pub fn method<C: FromClientHook, R: Selected>(mut self, select: impl FnOnce(&C) -> R) -> Self {
        let method = Method::of(select);
        self.known
            .extend(method.map(|method| ((method.interface, method.ordinal), method)));
        self
    }

    /// The method that `call` is a call of, where it is one of these.
    pub fn find(&self, call: &Call) -> Option<&Method> {
        self.known.get(&(call.interface(), call.method()))
    }

    /// All of them, by interface and ordinal.
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        self.known.values()
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Method) -> bool) {
        self.known.retain(|_, method| keep(method));
    }

    pub(crate) fn contains(&self, method: &Method) -> bool {
        self.known.contains_key(&(method.interface, method.ordinal))
    }
}

impl Policy for Methods {
    fn inbound(&self, _: &Call) -> Verdict {
        Verdict::pass()
    }

    fn method(&self, call: &Call) -> Option<Method> {
        self.find(call).copied()
    }
}

impl<P: Introspect, R: Introspect> Selected for Request<P, R> {
    fn params() -> Type {
        P::introspect()
    }

    fn results() -> Option<Type> {
        Some(R::introspect())
    }
}

impl<P: Introspect> Selected for StreamingRequest<P> {
    fn params() -> Type {
        P::introspect()
    }

    fn results() -> Option<Type> {
        None
    }
}

/// The name of the method that has parameters of the type, which the schema's
/// compiler calls `file.capnp:Interface.method$Params`.
fn name(params: Type) -> Option<&'static str> {
    let TypeVariant::Struct(schema) = params.which() else {
        return None;
    };
    let name = StructSchema::new(schema).get_proto().get_display_name();
    let name = name.ok()?.to_str().ok()?.strip_suffix("$Params")?;
    name.rsplit(':').next()
}

/// Whether a value of the type can hold a capability. `seen` are the structs
/// that are being looked at already.
fn holds(ty: Type, seen: &mut HashSet<RawBrandedStructSchema>) -> bool {
    match ty.which() {
        TypeVariant::Capability | TypeVariant::AnyPointer => true,
        TypeVariant::List(element) => holds(element, seen),
        TypeVariant::Struct(schema) => {
            // What cannot be read may hold anything.
            seen.insert(schema)
                && StructSchema::new(schema)
                    .get_fields()
                    .map_or(true, |fields| {
                        let mut fields = fields.iter();
                        fields.any(|field| holds(field.get_type(), seen))
                    })
        }
        _ => false,
    }
}

/// The pointer fields that are capabilities, groups included; `None` where
/// others lead to some.
fn fields(ty: Type) -> Option<u64> {
    let TypeVariant::Struct(schema) = ty.which() else {
        return None;
    };
    let mut found = 0;
    for field in StructSchema::new(schema).get_fields().ok()? {
        let ty = field.get_type();
        match (field.get_proto().which().ok()?, ty.which()) {
            (field::Group(_), _) => found |= fields(ty)?,
            (field::Slot(slot), TypeVariant::Capability) => {
                found |= 1_u64.checked_shl(slot.get_offset())?;
            }
            // Nothing can be pipelined on what is in a list.
            (_, TypeVariant::List(_)) => {}
            _ if holds(ty, &mut HashSet::new()) => return None,
            _ => {}
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use ww_rpc::membrane_capnp::wetware_session;
    use ww_rpc::peer_capnp::{byte_stream, executor, host, process};
    use ww_rpc::stem_capnp::membrane;

    use super::*;

    #[test]
    fn a_method_is_what_its_schema_says() {
        type Membrane = membrane::Client<wetware_session::Owned>;
        let methods = [
            (Method::of(host::Client::id_request), 0, false, false, None),
            (
                Method::of(host::Client::peers_request),
                2,
                false,
                false,
                None,
            ),
            (
                Method::of(host::Client::executor_request),
                4,
                false,
                true,
                Some(1),
            ),
            (
                Method::of(executor::Client::run_bytes_request),
                0,
                false,
                true,
                Some(1),
            ),
            // Its result may be anything.
            (
                Method::of(process::Client::bootstrap_request),
                4,
                false,
                true,
                None,
            ),
            // Its capabilities stand deeper.
            (Method::of(Membrane::graft_request), 0, false, true, None),
            (
                Method::of(byte_stream::Client::push_request),
                3,
                true,
                false,
                None,
            ),
        ];
        for (method, ordinal, streams, returns, promised) in methods {
            let method = method.unwrap();
            assert_eq!(method.ordinal(), ordinal, "{method:?}");
            assert_eq!(method.streams(), streams, "{method:?}");
            assert_eq!(method.returns_capabilities(), returns, "{method:?}");
            assert_eq!(method.promised(), promised, "{method:?}");
        }
    }
}
