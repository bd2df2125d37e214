use std::time::Duration;

use capnp::Error;
use capnp::capability::Client;
use ww_rpc::cell_capnp::{self, spawn_options};

use crate::cell::{Limits, Transport, plain};

/// What a parent says about the cell it spawns.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) transport: Transport,
    pub(super) limits: Limits,
    /// Where there are scratch directories.
    pub(super) scratch: Vec<String>,
    /// What the cell is called in the log.
    pub(super) name: Option<String>,
}

/// The most characters of a name, as it stands in the log.
const NAME: usize = 64;

/// The most scratch directories.
const SCRATCHES: u32 = 16;

/// The most bytes of all args and env items together, and of all scratch paths.
const MOST: usize = 1 << 20;

impl Options {
    /// Options for a child of a parent that has the limits `own`.
    pub(super) fn read(options: spawn_options::Reader<'_>, own: &Limits) -> Result<Self, Error> {
        let transport = match options.get_transport() {
            Ok(cell_capnp::Transport::Imports) => Transport::Imports,
            Ok(cell_capnp::Transport::Stdio) => Transport::Stdio,
            Err(unknown) => {
                return Err(Error::failed(format!("transport {} is unknown", unknown.0)));
            }
        };
        let limits = narrowed(own, options.get_limits()?);
        let mut read = Self::parse(options.get_args()?, options.get_env()?, transport, limits)?;
        let scratch = options.get_scratch()?;
        if scratch.len() > SCRATCHES {
            return Err(Error::failed(format!(
                "{} scratch directories are too many: a cell has at most {SCRATCHES}",
                scratch.len()
            )));
        }
        read.scratch = texts("scratch path", scratch, &mut { MOST })?;
        let name = options.get_name()?;
        if !name.is_empty() {
            read.name = Some(called(&name.to_string()?));
        }
        Ok(read)
    }

    pub(super) fn parse(
        args: capnp::text_list::Reader<'_>,
        env: capnp::text_list::Reader<'_>,
        transport: Transport,
        limits: Limits,
    ) -> Result<Self, Error> {
        let mut room = MOST;
        Ok(Self {
            args: texts("argument", args, &mut room)?,
            env: texts("env item", env, &mut room)?
                .into_iter()
                .map(variable)
                .collect::<Result<_, _>>()?,
            transport,
            limits,
            scratch: Vec::new(),
            name: None,
        })
    }

    /// Calls the cell `name`, unless its parent calls it otherwise.
    pub(super) fn named(mut self, name: &str) -> Self {
        self.name.get_or_insert_with(|| called(name));
        self
    }

    /// What the cell is called: where nobody says, as its first argument.
    pub(super) fn take_name(&mut self) -> Option<String> {
        let first = self.args.first().map(|name| called(name));
        self.name.take().or(first)
    }
}

/// A guest's name for another, as it stands in the log.
fn called(name: &str) -> String {
    plain(name, NAME).chars().take(NAME).collect()
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

/// What `asked` says of a child whose parent has `own`, and nothing wider.
fn narrowed(own: &Limits, asked: cell_capnp::limits::Reader<'_>) -> Limits {
    let bytes = |most: u64| usize::try_from(most).unwrap_or(usize::MAX);
    let count = |most: u32| bytes(most.into());
    let time = |own: Option<Duration>, nanos: u64| match nanos {
        u64::MAX => own,
        nanos => {
            let asked = Duration::from_nanos(nanos);
            Some(own.map_or(asked, |own| own.min(asked)))
        }
    };
    let mut limits = *own;
    limits.memory = own.memory.min(bytes(asked.get_memory_bytes()));
    limits.handles = own.handles.min(count(asked.get_handles()));
    limits.children = own.children.min(count(asked.get_children()));
    limits.cpu = time(own.cpu, asked.get_cpu_nanos());
    limits.wall = time(own.wall, asked.get_wall_nanos());
    limits.scratch = own.scratch.min(asked.get_scratch_bytes());
    // A pipe holds one byte at least, here and below.
    limits.stdio = own.stdio.min(bytes(asked.get_stdio_bytes()).max(1));
    limits.code = own.code.min(bytes(asked.get_code_bytes()));
    limits.compilations = own.compilations.min(count(asked.get_compilations()));
    limits.instances = own.instances.min(count(asked.get_instances()));
    limits.tables = own.tables.min(count(asked.get_tables()));
    limits.table_elements = own.table_elements.min(count(asked.get_table_entries()));
    limits.memories = own.memories.min(count(asked.get_memories()));
    limits.rpc_buffer = own
        .rpc_buffer
        .min(bytes(asked.get_rpc_buffer_bytes()).max(1));
    let words = |most: u64| bytes(most) / size_of::<u64>();
    let rpc = &own.rpc;
    limits.rpc.message_words = rpc.message_words.min(words(asked.get_rpc_message_bytes()));
    limits.rpc.call_words = rpc.call_words.min(words(asked.get_rpc_call_bytes()));
    limits.rpc.queue_words = rpc.queue_words.min(words(asked.get_rpc_queue_bytes()));
    let nesting = i32::try_from(asked.get_rpc_nesting()).unwrap_or(i32::MAX);
    limits.rpc.nesting = rpc.nesting.min(nesting);
    limits.rpc.capabilities = rpc.capabilities.min(count(asked.get_rpc_capabilities()));
    limits.rpc.pipeline_depth = rpc.pipeline_depth.min(asked.get_rpc_pipeline_depth());
    limits.rpc.resolutions = rpc.resolutions.min(asked.get_rpc_resolutions());
    let cancelled = count(asked.get_rpc_cancelled_calls());
    limits.rpc.cancelled_calls = rpc.cancelled_calls.min(cancelled);
    let unanswered = count(asked.get_rpc_unanswered_calls());
    limits.rpc.unanswered_calls = rpc.unanswered_calls.min(unanswered);
    limits.rpc.calls = own.rpc.calls.min(count(asked.get_rpc_calls()));
    limits.rpc.exports = own.rpc.exports.min(count(asked.get_rpc_exports()));
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
                    "what is said exceeds {MOST} bytes at {what} {index}, each of them counted \
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

#[cfg(test)]
mod tests {
    use capnp::message::Builder;

    use super::*;

    /// Says what a child's limits are to be.
    type Ask = fn(cell_capnp::limits::Builder<'_>);

    fn after(own: &Limits, ask: Ask) -> String {
        let mut message = Builder::new_default();
        ask(message.init_root());
        let asked = message.get_root_as_reader().expect("it was made here");
        format!("{:?}", narrowed(own, asked))
    }

    /// All of it as narrow as it gets.
    const LEAST: Ask = |mut limits| {
        limits.set_memory_bytes(0);
        limits.set_handles(0);
        limits.set_children(0);
        limits.set_cpu_nanos(0);
        limits.set_wall_nanos(0);
        limits.set_scratch_bytes(0);
        limits.set_stdio_bytes(0);
        limits.set_rpc_message_bytes(0);
        limits.set_rpc_calls(0);
        limits.set_rpc_exports(0);
        limits.set_code_bytes(0);
        limits.set_compilations(0);
        limits.set_instances(0);
        limits.set_tables(0);
        limits.set_table_entries(0);
        limits.set_memories(0);
        limits.set_rpc_buffer_bytes(0);
        limits.set_rpc_call_bytes(0);
        limits.set_rpc_queue_bytes(0);
        limits.set_rpc_nesting(0);
        limits.set_rpc_capabilities(0);
        limits.set_rpc_pipeline_depth(0);
        limits.set_rpc_resolutions(0);
        limits.set_rpc_cancelled_calls(0);
        limits.set_rpc_unanswered_calls(0);
    };

    #[test]
    fn a_child_has_what_is_asked_for_and_no_more_than_its_parent() {
        let own = Limits {
            cpu: Some(Duration::from_secs(1)),
            ..Limits::default()
        };
        let mut least = own;
        least.memory = 0;
        least.handles = 0;
        least.children = 0;
        least.cpu = Some(Duration::ZERO);
        least.wall = Some(Duration::ZERO);
        least.scratch = 0;
        least.stdio = 1;
        least.rpc.message_words = 0;
        least.rpc.calls = 0;
        least.rpc.exports = 0;
        least.code = 0;
        least.compilations = 0;
        least.instances = 0;
        least.tables = 0;
        least.table_elements = 0;
        least.memories = 0;
        least.rpc_buffer = 1;
        least.rpc.call_words = 0;
        least.rpc.queue_words = 0;
        least.rpc.nesting = 0;
        least.rpc.capabilities = 0;
        least.rpc.pipeline_depth = 0;
        least.rpc.resolutions = 0;
        least.rpc.cancelled_calls = 0;
        least.rpc.unanswered_calls = 0;
        let most: Ask = |mut limits| {
            limits.set_memory_bytes(u64::MAX - 1);
            limits.set_cpu_nanos(u64::MAX - 1);
            limits.set_rpc_calls(u32::MAX - 1);
        };
        for (parent, ask, expected) in [
            (own, (|_| {}) as Ask, own),
            (own, most, own),
            (own, LEAST, least),
            (least, |_| {}, least),
            (least, most, least),
        ] {
            assert_eq!(after(&parent, ask), format!("{expected:?}"));
        }
    }
}
