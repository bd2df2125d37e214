//! Events of the guest's, as events of its host's.
//!
//! [`init`] sets up the [`tracing`] crate, through which many libraries tell of
//! what they do:
//!
//! ```
//! use ww_guest_sdk::logging;
//! use ww_guest_sdk::tracing::{Level, info};
//!
//! # fn main() {
//! logging::init(Level::INFO);
//! info!(user = "ada", attempt = 2, "signed in");
//! # }
//! ```
//!
//! Spans are not told.
//!
//! A record is written at once, and where standard error is full the guest waits as
//! a whole until somebody reads it. So whoever pipes a child's standard error has to
//! read it, or a child that tells much stands still.
//!
//! # The form of a line
//!
//! An event is one line, a record, of standard error, which a host that was told to
//! (`Output::tracing` of `ww-core`) makes an event of, and which anyone else can
//! read as text:
//!
//! ```text
//! RS LEVEL SP target US SP message *( US SP key "=" value ) LF
//!
//! RS = %x1E   US = %x1F   LEVEL = ERROR / WARN / INFO / DEBUG / TRACE
//! ```
//!
//! Control characters within a part are escaped as Rust does, a target has at
//! most 128 bytes, a key 64, a value 1 KiB, a message 4 KiB and the line 8 KiB;
//! `…` stands for what was cut off, and fields that do not fit are left out.

mod line;

use std::fmt::Debug;
use std::io::Write as _;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber, subscriber};

use line::Line;

use crate::{panics, recorder};

struct Teller {
    level: Level,
}

/// Writes the message of an event.
struct Message<'a>(&'a mut Line);

/// Writes the fields of an event, the message aside.
struct Fields<'a>(&'a mut Line);

/// Sends events of this level and above to the host. The first call counts, and
/// so does a subscriber of the guest's own that was set before.
///
/// What ends the guest is an event too from then on, of level ERROR: a panic, of
/// target `panic`, and an error that `main` returns, of target `main`.
pub fn init(level: Level) {
    if subscriber::set_global_default(Teller { level }).is_ok() {
        recorder::set(record);
        panics::hook();
    }
}

/// Writes the record of what ends the guest.
fn record(target: &str, message: &str, location: Option<&str>) {
    let mut line = Line::new(Level::ERROR, target);
    line.message(format_args!("{message}"));
    if let Some(location) = location {
        line.field("location", format_args!("{location}"));
    }
    write(line);
}

impl Subscriber for Teller {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.into())
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut line = Line::new(*metadata.level(), metadata.target());
        event.record(&mut Message(&mut line));
        event.record(&mut Fields(&mut line));
        write(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0.message(format_args!("{value:?}"));
        }
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != "message" {
            self.0.field(field.name(), format_args!("{value:?}"));
        }
    }
}

fn write(line: Line) {
    // With standard error gone there is nowhere left to say it.
    let _ = std::io::stderr().write_all(&line.finish());
}
