use std::rc::Rc;
use std::sync::Arc;

use futures::future::{LocalBoxFuture, ready};
use ww_core::cell::{Builder, Cell, Exit, Limit, Limits};
use ww_core::network::Offline;
use ww_core::serve::Spawner;
use ww_core::{Error, Program, Runtime};

use crate::component::command;

/// Bytes of one page of a linear memory.
pub(crate) const PAGE: usize = 64 << 10;

/// A hostile guest, and what is to be seen of it.
pub(crate) struct Case {
    pub(crate) what: &'static str,
    pub(crate) wasm: Vec<u8>,
    /// Settings of its cell.
    pub(crate) set: fn(Builder) -> Builder,
    /// Whether it bootstraps an executor that runs cells beside it.
    pub(crate) spawns: bool,
    /// Limits of its cell other than the defaults.
    pub(crate) limit: fn(&mut Limits),
    /// What its host does beside waiting for its end, and sees.
    pub(crate) host: Host,
    pub(crate) fate: Fate,
    /// The most memory that it held, in bytes, where that is not left open.
    pub(crate) peak: Option<usize>,
    /// The limit that was the last to refuse it something.
    pub(crate) refused: Option<Limit>,
    /// What its connection ended with, where that was its own fault.
    pub(crate) rpc_error: Option<&'static str>,
}

pub(crate) type Host = fn(Rc<Cell>) -> LocalBoxFuture<'static, ()>;

/// How a guest ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Exits(i32),
    /// With an error whose variant and text are these.
    Fails(fn(&Error) -> bool, &'static str),
    /// At this limit.
    Exceeds(Limit),
    /// Never, until it is killed where it waits.
    Waits,
    /// Never, until it is killed while it computes.
    Spins,
}

impl Case {
    /// A command of these lines of WAT, see [`command`].
    pub(crate) fn new(what: &'static str, core: &str, fate: Fate) -> Self {
        Self::of(what, command(core), fate)
    }

    pub(crate) fn of(what: &'static str, wasm: Vec<u8>, fate: Fate) -> Self {
        Self {
            what,
            wasm,
            set: |builder| builder,
            spawns: false,
            limit: |_| {},
            host: |_| Box::pin(ready(())),
            fate,
            peak: None,
            refused: None,
            rpc_error: None,
        }
    }

    pub(crate) fn set(self, set: fn(Builder) -> Builder) -> Self {
        Self { set, ..self }
    }

    pub(crate) fn spawns(self) -> Self {
        let spawns = true;
        Self { spawns, ..self }
    }

    pub(crate) fn limit(self, limit: fn(&mut Limits)) -> Self {
        Self { limit, ..self }
    }

    pub(crate) fn host(self, host: Host) -> Self {
        Self { host, ..self }
    }

    pub(crate) fn peak(self, bytes: usize) -> Self {
        let peak = Some(bytes);
        Self { peak, ..self }
    }

    pub(crate) fn refused(self, limit: Limit) -> Self {
        let refused = Some(limit);
        Self { refused, ..self }
    }

    pub(crate) fn rpc_error(self, told: &'static str) -> Self {
        let rpc_error = Some(told);
        Self { rpc_error, ..self }
    }

    /// Its cell.
    pub(crate) fn builder(&self, runtime: &Runtime, program: &Program) -> Builder {
        let mut limits = Limits::default();
        (self.limit)(&mut limits);
        let mut builder = Builder::new().program(program.clone()).limits(limits);
        if self.spawns {
            let runtime = runtime.clone();
            builder = builder.bootstrap(move |local| {
                let spawner = Spawner::beside(local, &runtime, Arc::new(Offline::new()));
                Ok(Rc::new(spawner).client())
            });
        }
        (self.set)(builder)
    }

    /// Holds how the cell ended against what was expected.
    pub(crate) fn check(&self, ended: &Result<Exit, Error>) {
        let what = self.what;
        match (self.fate, ended) {
            (Fate::Exits(code), Ok(exit)) => {
                assert_eq!(exit.code(), code, "{what}");
                let told = exit.rpc_error().map(|error| error.extra.as_str());
                match (self.rpc_error, told) {
                    (None, None) => {}
                    (Some(expected), Some(told)) if told.contains(expected) => {}
                    (_, told) => panic!("{what}: {told:?}"),
                }
            }
            (Fate::Waits | Fate::Spins, Err(Error::Killed)) => {}
            (Fate::Exceeds(expected), Err(Error::Limit { limit, .. })) => {
                assert_eq!(*limit, expected, "{what}");
            }
            (Fate::Fails(is, text), Err(error)) => {
                assert!(is(error), "{what}: {error:?}");
                assert!(error.to_string().contains(text), "{what}: {error}");
            }
            (fate, ended) => panic!("{what}: {ended:?}, where {fate:?} was expected"),
        }
    }
}

/// A trap that says so.
pub(crate) fn traps(text: &'static str) -> Fate {
    Fate::Fails(|error| matches!(error, Error::Trap { .. }), text)
}

/// The host's own panic, which says so.
pub(crate) fn panics(text: &'static str) -> Fate {
    Fate::Fails(|error| matches!(error, Error::Panicked { .. }), text)
}
