use std::time::Duration;

use capnp::Error;
use capnp::capability::Client;
use ww_rpc::cell_capnp::{self, spawn_options};

use crate::cell::{Limits, Transport};

/// What a parent says about the cell it spawns.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) transport: Transport,
    /// What the parent asks for. Nobody has looked yet whether it may.
    pub(super) limits: Limits,
}

/// The most bytes of all args and env items together.
const MOST: usize = 1 << 20;

impl Options {
    pub(super) fn read(options: spawn_options::Reader<'_>) -> Result<Self, Error> {
        let transport = match options.get_transport() {
            Ok(cell_capnp::Transport::Imports) => Transport::Imports,
            Ok(cell_capnp::Transport::Stdio) => Transport::Stdio,
            Err(unknown) => {
                return Err(Error::failed(format!("transport {} is unknown", unknown.0)));
            }
        };
        let mut read = Self::parse(options.get_args()?, options.get_env()?, transport)?;
        read.limits = limits(options.get_limits()?);
        Ok(read)
    }

    pub(super) fn parse(
        args: capnp::text_list::Reader<'_>,
        env: capnp::text_list::Reader<'_>,
        transport: Transport,
    ) -> Result<Self, Error> {
        let mut room = MOST;
        Ok(Self {
            args: texts("argument", args, &mut room)?,
            env: texts("env item", env, &mut room)?
                .into_iter()
                .map(variable)
                .collect::<Result<_, _>>()?,
            transport,
            limits: widest(),
        })
    }
}

/// What a parent hands down to the cell it spawns. Null is nothing.
pub(super) fn handed_down(
    pointer: capnp::any_pointer::Reader<'_>,
) -> Result<Option<Client>, Error> {
    match pointer.is_null() {
        true => Ok(None),
        false => pointer.get_as_capability().map(Some),
    }
}

/// No limit at all.
fn widest() -> Limits {
    let mut limits = Limits::default();
    limits.memory = usize::MAX;
    limits.table_elements = usize::MAX;
    limits.handles = usize::MAX;
    limits.instances = usize::MAX;
    limits.tables = usize::MAX;
    limits.memories = usize::MAX;
    limits.stdio = usize::MAX;
    limits.rpc_buffer = usize::MAX;
    limits.scratch = u64::MAX;
    limits.children = usize::MAX;
    limits.rpc.message_words = usize::MAX;
    limits.rpc.nesting = i32::MAX;
    limits.rpc.pipeline_depth = u32::MAX;
    limits.rpc.calls = usize::MAX;
    limits.rpc.call_words = usize::MAX;
    limits.rpc.cancelled_calls = usize::MAX;
    limits.rpc.exports = usize::MAX;
    limits.rpc.queue_words = usize::MAX;
    limits
}

/// What `asked` says, and no limit where it says nothing.
fn limits(asked: cell_capnp::limits::Reader<'_>) -> Limits {
    let count = |most: u32| usize::try_from(most).unwrap_or(usize::MAX);
    let bytes = |most: u64| usize::try_from(most).unwrap_or(usize::MAX);
    let time = |nanos: u64| (nanos != u64::MAX).then(|| Duration::from_nanos(nanos));
    let mut limits = widest();
    limits.memory = bytes(asked.get_memory_bytes());
    limits.handles = count(asked.get_handles());
    limits.children = count(asked.get_children());
    limits.cpu = time(asked.get_cpu_nanos());
    limits.wall = time(asked.get_wall_nanos());
    limits.scratch = asked.get_scratch_bytes();
    // A pipe holds one byte at least.
    limits.stdio = bytes(asked.get_stdio_bytes()).max(1);
    limits.rpc.message_words = bytes(asked.get_rpc_message_bytes()) / size_of::<u64>();
    limits.rpc.calls = count(asked.get_rpc_calls());
    limits.rpc.exports = count(asked.get_rpc_exports());
    limits
}

/// Copies the texts out of their message, into `room` bytes. In the message
/// several may lie in the same place, so its size does not bound theirs.
fn texts(
    what: &str,
    list: capnp::text_list::Reader<'_>,
    room: &mut usize,
) -> Result<Vec<String>, Error> {
    let text = |(index, text): (usize, capnp::Result<capnp::text::Reader<'_>>)| {
        let text = text?;
        *room = room
            .checked_sub(text.len() + size_of::<String>())
            .ok_or_else(|| {
                Error::failed(format!(
                    "args and env exceed {MOST} bytes at {what} {index}, each of them counted \
                     with {} bytes beside its own",
                    size_of::<String>()
                ))
            })?;
        match text.to_str() {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(Error::failed(format!(
                "{what} {index} is not UTF-8: {:?}",
                excerpt(&String::from_utf8_lossy(text.as_bytes()))
            ))),
        }
    };
    list.iter().enumerate().map(text).collect()
}

fn variable(item: String) -> Result<(String, String), Error> {
    match item.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Error::failed(format!(
            "env item {:?} is not KEY=VALUE",
            excerpt(&item)
        ))),
    }
}

/// Enough of a text to recognise it by.
fn excerpt(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
