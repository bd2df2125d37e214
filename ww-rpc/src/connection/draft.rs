use std::rc::Rc;

use capnp::message::{Builder, HeapAllocator};

use crate::link::Link;
use crate::outbox::Message;

/// A message to the peer that is being written.
pub(super) struct Draft {
    pub(super) message: Builder<HeapAllocator>,
    /// Words that it was expected to need; 0 where nobody could tell.
    hint: usize,
    first_segment_words: usize,
}

impl Draft {
    pub(super) fn new(link: &Link, hint: usize) -> Self {
        let first_segment_words = link.sizes.first_segment(hint);
        let allocator = HeapAllocator::new().first_segment_words(first_segment_words as u32);
        Self {
            message: Builder::new(allocator),
            hint,
            first_segment_words,
        }
    }

    /// Words that have been written of it.
    pub(super) fn words(&self) -> usize {
        self.message.size_in_words()
    }

    /// Queues it.
    pub(super) fn send(self, link: &Link) -> Message {
        let used = self.words();
        link.sizes.note(self.hint, used);
        let words = used.max(self.first_segment_words);
        let message = Rc::new(self.message);
        link.push(message.clone(), words);
        message
    }
}
