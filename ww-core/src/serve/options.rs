use capnp::Error;
use ww_rpc::cell_capnp::{self, spawn_options};

use crate::cell::Transport;

/// What a parent says about the cell it spawns.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) transport: Transport,
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
        Self::parse(options.get_args()?, options.get_env()?, transport)
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
        })
    }
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
