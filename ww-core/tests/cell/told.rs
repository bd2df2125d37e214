//! What is told on a test's thread by events of `tracing`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber, subscriber};
use ww_core::cell::Builder;

use crate::patience::patiently;
use crate::stage::Wakes;

thread_local! {
    /// What is told on this thread, while somebody wants to know. The
    /// subscriber itself is everyone's: what a callsite thinks of its
    /// subscribers is remembered for the whole process.
    static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// Each event as one line: the spans it happened in, its target, and what it
/// says.
#[derive(Default)]
struct Log {
    spans: HashMap<u64, String>,
    entered: Vec<u64>,
    events: Vec<String>,
}

struct Everyones(AtomicU64);

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => write!(self.0, " {value:?}"),
            // Different in each run.
            "id" | "parent" => Ok(()),
            name => write!(self.0, " {name}={value:?}"),
        }
        .expect("a string takes everything");
    }
}

impl Subscriber for Everyones {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ww_core")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.0.fetch_add(1, Ordering::Relaxed);
        log(|log| {
            let mut text = String::new();
            let entered = log.entered.last().filter(|_| span.is_contextual()).copied();
            let parent = span
                .parent()
                .map_or(entered, |parent| Some(parent.into_u64()));
            if let Some(parent) = parent {
                write!(text, "{} / ", log.spans[&parent]).expect("a string takes everything");
            }
            if span.metadata().name() == "cell" {
                let level = *span.metadata().level();
                assert_eq!(
                    level,
                    Level::ERROR,
                    "where that alone is told, it names its cell"
                );
            }
            text.push_str(span.metadata().name());
            span.record(&mut Fields(&mut text));
            log.spans.insert(id, text);
        });
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        log(|log| {
            let parent = event.parent().map(|id| vec![id.into_u64()]);
            let mut text = String::new();
            for id in parent.as_ref().unwrap_or(&log.entered) {
                write!(text, "[{}] ", log.spans[id]).expect("a string takes everything");
            }
            text.push_str(event.metadata().target());
            let level = event.metadata().level();
            if event.metadata().target() == "ww_core::guest" || *level <= Level::WARN {
                write!(text, " {level}").expect("a string takes everything");
            }
            event.record(&mut Fields(&mut text));
            log.events.push(text);
        });
    }

    fn enter(&self, span: &Id) {
        log(|log| log.entered.push(span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        log(|log| {
            let left = log.entered.pop();
            assert_eq!(left, Some(span.into_u64()), "spans are left as entered");
        });
    }
}

fn log(note: impl FnOnce(&mut Log)) {
    LOG.with_borrow_mut(|log| {
        if let Some(log) = log {
            note(log);
        }
    });
}

/// Has what is told on this thread kept from now on.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let everyones = Everyones(AtomicU64::new(1));
        subscriber::set_global_default(everyones).expect("there is no other");
    });
    LOG.set(Some(Log::default()));
}

/// What is told of a cell's life on this thread, where it is driven for as
/// long as it goes on by itself, and is dropped then.
pub(crate) fn told(builder: Builder) -> Vec<String> {
    listen();
    let (cell, start) = patiently(builder.prepare()).expect("it is ready");
    let _ = Arc::new(Wakes::default()).settle(&mut start.drive());
    drop(cell);
    let log = LOG.take().expect("it was set above");
    assert!(log.entered.is_empty());
    log.events
}

/// How many events were told since somebody listens.
pub(crate) fn count() -> usize {
    LOG.with_borrow(|log| log.as_ref().map_or(0, |log| log.events.len()))
}
