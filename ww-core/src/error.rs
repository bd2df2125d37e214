use std::any::Any;
use std::error::Error as StdError;
use std::iter::successors;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cell::Limit;

/// What went wrong in preparing, running, or speaking to a cell.
///
/// Cheap to clone, since everyone who waits for a cell gets the same answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither an image nor a program was given to the builder.
    #[error("nothing to run: give the builder an image or a program")]
    NothingToRun,

    /// The image could not be opened, or has no `bin/main.wasm`.
    #[error("cannot load the image")]
    Image(#[source] Arc<ww_image::Error>),

    /// The engine could not be set up with this configuration, or has no thread to
    /// interrupt guests.
    #[error("cannot start the engine")]
    Engine(#[source] Cause),

    /// The directory cannot hold compiled programs.
    #[error("cannot keep compiled programs in {}", .path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Arc<std::io::Error>,
    },

    /// The process has no room for what was asked. A process may have so many
    /// memory mappings (`vm.max_map_count` on Linux), and each cell and each
    /// program takes some; and so many file descriptors (`RLIMIT_NOFILE`), of which
    /// each program takes one, and a second one where it runs beside the pool as well. What
    /// this runtime keeps of programs that nobody uses has given way.
    #[error("no room: {taken} of the {most} {of} that cells may have are taken")]
    Full {
        /// What: memory mappings or file descriptors, and the setting that bounds them.
        of: &'static str,
        /// Those that cells have, or that are set aside for them.
        taken: usize,
        /// Those that all cells of the process may have: of descriptors, half of what
        /// it may have when it first loads a program.
        most: usize,
    },

    /// The bytes are not a WASM component.
    #[error("not a WASM component: {reason}")]
    NotAComponent {
        /// What the bytes are instead.
        reason: &'static str,
    },

    /// The component is invalid, or uses what the engine does not support.
    #[error("cannot compile the component")]
    Compile(#[source] Cause),

    /// The component imports what no cell is given.
    #[error("the component imports what nobody offers: {}", .names.join(", "))]
    Import {
        /// Names of the imports that are missing.
        names: Vec<String>,
    },

    /// An import has another type than the host offers it with.
    #[error("cannot link the component")]
    Link(#[source] Cause),

    /// The component does not export `wasi:cli/run`.
    #[error("the component does not export wasi:cli/run@0.2, so there is nothing to start")]
    NoEntry,

    /// An argument is not valid UTF-8, which is all that a component can take.
    #[error("argument {index} is not UTF-8: {lossy:?}")]
    Argument {
        /// Position in argv, counting `main.wasm` as 0.
        index: usize,
        /// The argument, with what is not UTF-8 replaced.
        lossy: String,
    },

    /// An environment variable has a name that cannot be one, or is not UTF-8.
    #[error("environment variable {name:?} {reason}")]
    Environment {
        /// The variable's name, with what is not UTF-8 replaced.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A directory was to be mounted where none can be.
    #[error("cannot mount at {path:?}: the path {reason}")]
    Mount {
        /// Where, in the guest.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// The RPC connection was to run over a standard stream that was also
    /// given to something else.
    #[error("{stream} carries the cell's RPC connection and cannot be set as well")]
    StdioTaken {
        /// `stdin` or `stdout`.
        stream: &'static str,
    },

    /// The component could not be instantiated.
    #[error("cannot instantiate the component")]
    Instantiate(#[source] Cause),

    /// The bootstrap factory failed.
    #[error("cannot make the cell's bootstrap capability")]
    Bootstrap(#[source] capnp::Error),

    /// The guest trapped.
    #[error(
        "the cell trapped: {message}{}{}",
        .panic.as_ref().map(|panic| format!(", after it panicked: {panic}")).unwrap_or_default(),
        .refused.map(|limit| format!(", after it was refused more {limit}")).unwrap_or_default()
    )]
    Trap {
        /// What the trap was.
        message: String,
        /// What the guest's code said of a panic, and where that was, without
        /// control characters, and cut where it is long. Guests tell it that are
        /// built with `ww-guest-sdk` and its own transport.
        panic: Option<String>,
        /// The guest's call stack, innermost frame first, with the names of
        /// its functions and without the names' control characters; empty
        /// where none was captured, and cut where it is long.
        backtrace: String,
        /// The limit that was the last to refuse the guest something, which
        /// may be why it trapped.
        refused: Option<Limit>,
    },

    /// The cell went beyond one of its [`Limits`](crate::cell::Limits), and
    /// that ended it.
    #[error("{}", .limit.verdict(*.bound))]
    Limit {
        /// Which limit it was.
        limit: Limit,
        /// What it was set to: bytes, a number of things, or nanoseconds.
        bound: u64,
    },

    /// The cell was to be a child of one that stands too far below the first of its family.
    #[error("cells stand below one another {most} deep already, as deep as they may")]
    TooDeep {
        /// How many cells there may be from the first down to the last.
        most: usize,
    },

    /// The host's own code panicked while the cell ran: a server of its
    /// capabilities, or a task on its thread.
    #[error("the host panicked while it ran the cell: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },

    /// The cell was killed.
    #[error("the cell was killed")]
    Killed,

    /// The cell's driver, or the worker that ran it, is gone.
    #[error("the cell was dropped before it exited")]
    Dropped,

    /// The cell has ended, so nothing of it answers, or can run beside it, any more.
    #[error("the cell has ended")]
    Ended {
        /// What ended it, where that is known.
        #[source]
        why: Option<Arc<Self>>,
    },

    /// Why a cell has [ended](Self::Ended) that exited.
    #[error("it exited with code {code}")]
    Exited {
        /// The exit code: 0 is success.
        code: i32,
    },

    /// The runtime's workers did not take the cell.
    #[error("no worker thread takes the cell")]
    Worker(#[source] Arc<std::io::Error>),

    /// What the guest wrote did not all reach the stream that it was to go to.
    #[error("cannot write the cell's {stream}")]
    Stdio {
        /// `stdout` or `stderr`.
        stream: &'static str,
        /// What the stream answered.
        #[source]
        source: Arc<std::io::Error>,
    },

    /// The connection to the cell failed under a call.
    #[error("a call to the cell failed")]
    Rpc(#[from] capnp::Error),

    /// What the application's own code says that runs on a cell's thread; see
    /// [`Error::other`].
    #[error(transparent)]
    Other(Cause),
}

/// An underlying error, shared by everyone who is told of it.
pub type Cause = Arc<dyn StdError + Send + Sync>;

pub(crate) fn cause(error: wasmtime::Error) -> Cause {
    error.into_boxed_dyn_error().into()
}

/// What an error says, and what its causes say.
pub(crate) fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let causes = successors(Some(error), |error| (*error).source());
    let text: Vec<_> = causes.map(ToString::to_string).collect();
    text.join(": ")
}

/// What a panic said, where it said something.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

impl Error {
    /// The kind that it has over the wire.
    ///
    /// `Disconnected` says that the cell, or what was asked of it, is gone, and that
    /// another time may have another answer: it was killed, dropped, or has ended, or its
    /// image's loader failed in a way that may pass ([`ww_image::Error::is_passing`]).
    /// `Overloaded` says that a limit has ended it, or that the process has no room for
    /// one more. What a call failed with has the kind of that, and all else is `Failed`.
    pub fn kind(&self) -> capnp::ErrorKind {
        match self {
            Self::Rpc(error) => error.kind,
            // A capability of a cell that trapped is gone, and another may be had.
            Self::Ended { why } => match why.as_deref().map(Self::kind) {
                Some(capnp::ErrorKind::Overloaded) => capnp::ErrorKind::Overloaded,
                _ => capnp::ErrorKind::Disconnected,
            },
            Self::Exited { .. } | Self::Killed | Self::Dropped => capnp::ErrorKind::Disconnected,
            Self::Image(error) if error.is_passing() => capnp::ErrorKind::Disconnected,
            Self::Full { .. } | Self::Limit { .. } | Self::TooDeep { .. } => {
                capnp::ErrorKind::Overloaded
            }
            _ => capnp::ErrorKind::Failed,
        }
    }

    /// An error of the application's own, to be returned by a task on a cell's thread.
    pub fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Other(error.into().into())
    }

    /// What it says and what each of its causes says, with `: ` in between: `Display`
    /// leaves the causes to [`source`](StdError::source).
    pub fn chain(&self) -> String {
        with_causes(self)
    }
}

/// `error` as peers may hear it.
fn discreet(error: Error) -> Error {
    match error {
        Error::Panicked { .. } => Error::Panicked {
            message: "its log has why".into(),
        },
        Error::Ended { why: Some(why) } => Error::Ended {
            why: Some(Arc::new(discreet((*why).clone()))),
        },
        other => other,
    }
}

impl From<ww_image::Error> for Error {
    fn from(error: ww_image::Error) -> Self {
        Self::Image(Arc::new(error))
    }
}

impl From<Error> for capnp::Error {
    /// Over the wire an error keeps only its text and its kind; the whole
    /// chain goes into the text.
    ///
    /// The kind is its [`kind`](Error::kind). What a call failed with stays as it is;
    /// what a panic of the host's own code said stays with the host.
    fn from(error: Error) -> Self {
        if let Error::Rpc(error) = error {
            return error;
        }
        Self {
            kind: error.kind(),
            extra: discreet(error).chain(),
        }
    }
}

#[cfg(test)]
mod tests;
