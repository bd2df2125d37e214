use std::fmt;

use futures::{AsyncRead, AsyncWrite};
use tracing::Span;

use super::lines::{Lines, Stream};
use super::tee::Tee;
use crate::pipe;
use crate::wasi::{Stdin, Stdout};

/// What a cell's standard input is connected to.
pub struct Input(pub(crate) InputKind);

pub(crate) enum InputKind {
    Empty,
    Piped,
    Inherit,
    Reader(Box<dyn AsyncRead + Send + Unpin>),
}

/// What a cell's standard output or error is connected to.
pub struct Output(pub(crate) OutputKind);

pub(crate) enum OutputKind {
    Discard,
    Piped,
    Inherit,
    Writer(Box<dyn AsyncWrite + Send + Unpin>),
    Tracing,
    Told,
}

impl Input {
    /// Nothing to read: the end of the stream at once. The default.
    pub fn empty() -> Self {
        Self(InputKind::Empty)
    }

    /// A pipe, whose other end [`Cell::take_stdin`](super::Cell::take_stdin)
    /// gives.
    pub fn piped() -> Self {
        Self(InputKind::Piped)
    }

    /// The process's own standard input.
    pub fn inherit() -> Self {
        Self(InputKind::Inherit)
    }

    /// Whatever `reader` yields. It is read only as the guest reads.
    pub fn reader(reader: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self(InputKind::Reader(Box::new(reader)))
    }

    /// The guest's end, and the end that the cell's holder may take. A pipe
    /// holds `bound` bytes.
    pub(crate) fn open(self, bound: usize) -> (Stdin, Option<pipe::Writer>) {
        match self.0 {
            InputKind::Empty => (Stdin::empty(), None),
            InputKind::Inherit => (Stdin::inherit(), None),
            InputKind::Reader(reader) => (Stdin::reader(reader), None),
            InputKind::Piped => {
                let (writer, reader) = pipe::pipe(bound);
                (Stdin::pipe(reader), Some(writer))
            }
        }
    }
}

impl Output {
    /// Nowhere. The default.
    pub fn discard() -> Self {
        Self(OutputKind::Discard)
    }

    /// A pipe, whose other end [`Cell::take_stdout`](super::Cell::take_stdout)
    /// or [`Cell::take_stderr`](super::Cell::take_stderr) gives. Until it is
    /// taken, [`Limits::stdio`](super::Limits::stdio) bytes are kept and what is
    /// beyond is discarded; from then on the guest waits for its reader.
    pub fn piped() -> Self {
        Self(OutputKind::Piped)
    }

    /// The process's own stream of the same name.
    pub fn inherit() -> Self {
        Self(OutputKind::Inherit)
    }

    /// Each line as an event of the `tracing` crate, of level INFO and target
    /// `ww_core::stdout` or `ww_core::stderr`, in the cell's span.
    ///
    /// A line of standard error that is a log record, as `logging` of
    /// `ww-guest-sdk` writes them, is an event of the record's own level and of
    /// target `ww_core::guest`, with the record's target and fields in `target`
    /// and `fields`: the latter as `name="value"`, with quotes escaped, numbers and
    /// booleans bare.
    ///
    /// A line has at most 8 KiB; what is longer is told in parts. What is not
    /// UTF-8 is replaced, and control characters are escaped, so that no guest
    /// writes a line of the log that is not its own. Others have their turn after
    /// some lines; what waits for that, 64 KiB at the most, is lost where the cell is
    /// killed, goes beyond a limit or loses its driver.
    ///
    /// Cranelift, which compiles guests, tells of each instruction where it was built
    /// with debug assertions and somebody listens to TRACE: so whoever wants all of
    /// this crate has the rest filtered, as with `warn,ww_core=trace`.
    pub fn tracing() -> Self {
        Self(OutputKind::Tracing)
    }

    /// As [`piped`](Self::piped), and told as by [`tracing`](Self::tracing) as well. What
    /// waits to be told has not been piped, and is lost with that.
    pub(crate) fn told() -> Self {
        Self(OutputKind::Told)
    }

    /// Whether there are events of it.
    pub(crate) fn tells(&self) -> bool {
        matches!(self.0, OutputKind::Tracing | OutputKind::Told)
    }

    /// To `writer`, which is flushed when the guest asks and when it ends.
    pub fn writer(writer: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(OutputKind::Writer(Box::new(writer)))
    }

    /// As [`Input::open`], for one of the outputs of the cell whose span it is.
    pub(crate) fn open(
        self,
        bound: usize,
        stream: Stream,
        span: &Span,
    ) -> (Stdout, Option<pipe::Reader>) {
        match self.0 {
            OutputKind::Discard => (Stdout::discard(), None),
            OutputKind::Inherit => (stream.inherit(), None),
            OutputKind::Tracing => (Stdout::writer(Lines::new(stream, span)), None),
            OutputKind::Writer(writer) => (Stdout::writer(writer), None),
            OutputKind::Piped => {
                let (writer, reader) = pipe::pipe(bound);
                reader.set_lossy(true);
                (Stdout::pipe(writer), Some(reader))
            }
            OutputKind::Told => {
                let (writer, reader) = pipe::pipe(bound);
                reader.set_lossy(true);
                let tee = Tee::new(Lines::new(stream, span), writer);
                (Stdout::writer(tee), Some(reader))
            }
        }
    }
}

impl Default for Input {
    fn default() -> Self {
        Self::empty()
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::discard()
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            InputKind::Empty => "Input::empty",
            InputKind::Piped => "Input::piped",
            InputKind::Inherit => "Input::inherit",
            InputKind::Reader(_) => "Input::reader",
        })
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            OutputKind::Discard => "Output::discard",
            OutputKind::Piped => "Output::piped",
            OutputKind::Inherit => "Output::inherit",
            OutputKind::Writer(_) => "Output::writer",
            OutputKind::Tracing => "Output::tracing",
            OutputKind::Told => "Output::told",
        })
    }
}
