use std::cell::Cell;

/// Words of a first segment that are as good as free: allocators keep as much
/// in their fastest lists.
const SMALL: usize = 64;

/// Words that nobody guesses a message to have.
const LARGE: usize = 1 << 10;

/// How large the messages of a connection have been of late.
///
/// A message's first segment is cleared whole before anything is written, and
/// capnp-rpc asks for 8 KiB for each call. One that is too small costs another
/// segment and far pointers into it. So messages are guessed to be like those
/// before them.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    recent: Cell<usize>,
}

impl Sizes {
    /// Words for the first segment of a message that needs about `hint` words.
    pub(crate) fn first_segment(&self, hint: usize) -> usize {
        match known(hint) {
            true => hint,
            false => self.recent.get().clamp(SMALL, LARGE),
        }
    }

    /// Takes note of a message that had `words` words. Soon follows what
    /// grows, and slowly what shrinks.
    pub(crate) fn note(&self, hint: usize, words: usize) {
        if !known(hint) {
            let recent = self.recent.get();
            self.recent.set(words.max(recent - recent / 16));
        }
    }
}

/// Messages of the protocol's own have no contents that could vary.
fn known(hint: usize) -> bool {
    (1..SMALL).contains(&hint)
}
