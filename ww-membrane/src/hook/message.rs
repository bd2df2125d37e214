use std::rc::Rc;

use capnp::message::{Builder, HeapAllocator};
use capnp::private::capability::ClientHook;
use capnp::traits::{Imbue, ImbueMut};
use capnp::{Error, MessageSize, any_pointer};

use crate::hook::boundary::Boundary;
use crate::hook::cross::{Direction, cross};
use crate::hook::returned::Returned;

/// The most capabilities that one message may carry across. A small message
/// can point at one capability a million times.
pub(super) const CAPABILITIES: u64 = 4096;

/// Words of the first segment where nobody knows how many are needed: enough
/// for most calls, and quickly cleared.
const FIRST_SEGMENT: u32 = 128;

/// The capabilities of a message, by index.
pub(super) type Table = Vec<Option<Box<dyn ClientHook>>>;

/// A message with its own table of capabilities, which can be carried across a
/// boundary in place.
pub(crate) struct Message {
    builder: Builder<HeapAllocator>,
    table: Table,
}

impl Message {
    pub(crate) fn new() -> Self {
        Self::of(FIRST_SEGMENT)
    }

    /// An empty message with room for so many words.
    pub(super) fn of(words: u32) -> Self {
        Self {
            builder: Builder::new(HeapAllocator::new().first_segment_words(words)),
            table: Table::new(),
        }
    }

    /// A copy of `content`, with the capabilities that it has.
    ///
    /// # Errors
    ///
    /// More capabilities than a message may carry, or malformed content.
    pub(super) fn copy(content: any_pointer::Reader<'_>) -> Result<Self, Error> {
        Self::copy_of(content, content.target_size()?)
    }

    /// The same for content of this size.
    pub(super) fn copy_of(
        content: any_pointer::Reader<'_>,
        size: MessageSize,
    ) -> Result<Self, Error> {
        limit(u64::from(size.cap_count))?;
        let mut copy = Self::of(u32::try_from(size.word_count + 1).unwrap_or(u32::MAX));
        copy.root()?.set_as(content)?;
        Ok(copy)
    }

    /// A copy of `content`, of this size, with its capabilities carried across,
    /// or `None` where it has none and can pass as it is.
    ///
    /// Measuring reads all of it, and how much may be read out of a message is
    /// bounded, so whoever has measured it says so.
    ///
    /// # Errors
    ///
    /// More capabilities than a message may carry, or malformed content.
    pub(super) fn carried(
        boundary: &Rc<Boundary>,
        direction: Direction,
        content: any_pointer::Reader<'_>,
        size: MessageSize,
    ) -> Result<Option<Self>, Error> {
        if size.cap_count == 0 {
            return Ok(None);
        }
        let copy = Self::copy_of(content, size)?;
        copy.crossed(boundary, direction).map(Some)
    }

    /// The same message with its capabilities carried across.
    pub(super) fn crossed(
        mut self,
        boundary: &Rc<Boundary>,
        direction: Direction,
    ) -> Result<Self, Error> {
        self.cross(boundary, direction)?;
        Ok(self)
    }

    /// The same message, which goes back to the side that it is from.
    pub(super) fn returned(mut self, boundary: &Rc<Boundary>) -> Self {
        for capability in self.table.iter_mut() {
            *capability = capability
                .take()
                .map(|hook| Returned::cover(hook, boundary));
        }
        self
    }

    pub(crate) fn root(&mut self) -> Result<any_pointer::Builder<'_>, Error> {
        let mut root: any_pointer::Builder<'_> = self.builder.get_root()?;
        root.imbue_mut(&mut self.table);
        Ok(root)
    }

    pub(crate) fn reader(&self) -> Result<any_pointer::Reader<'_>, Error> {
        let mut root: any_pointer::Reader<'_> = self.builder.get_root_as_reader()?;
        root.imbue(&self.table);
        Ok(root)
    }

    /// How many entries its table of capabilities has.
    pub(super) fn capabilities(&self) -> usize {
        self.table.len()
    }

    /// Carries every capability of the message across, in place.
    ///
    /// # Errors
    ///
    /// The boundary has fallen, or there are more capabilities than a message
    /// may carry.
    pub(crate) fn cross(
        &mut self,
        boundary: &Rc<Boundary>,
        direction: Direction,
    ) -> Result<(), Error> {
        carry(&mut self.table, boundary, direction)
    }
}

/// Carries every capability of `table` across, in place.
pub(super) fn carry(
    table: &mut Table,
    boundary: &Rc<Boundary>,
    direction: Direction,
) -> Result<(), Error> {
    boundary.check()?;
    limit(table.len() as u64)?;
    for capability in table.iter_mut() {
        *capability = capability
            .take()
            .map(|hook| cross(boundary, direction, hook));
    }
    Ok(())
}

fn limit(count: u64) -> Result<(), Error> {
    if count > CAPABILITIES {
        return Err(Error::failed(format!(
            "message carries {count} capabilities, and at most {CAPABILITIES} may cross"
        )));
    }
    Ok(())
}
