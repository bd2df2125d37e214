use std::cell::OnceCell;
use std::sync::Arc;

use crate::hook::answer::Answer;
use crate::signal::{Listener, Signal};

/// What calls that are pipelined on results may go by before those are
/// complete.
#[derive(Default)]
pub(super) struct Early {
    answer: OnceCell<Answer>,
    /// Wakes who waits for it; there once somebody does.
    signal: OnceCell<Arc<Signal>>,
}

impl Early {
    /// Only the first counts.
    pub(super) fn set(&self, answer: Answer) {
        if let (Ok(()), Some(signal)) = (self.answer.set(answer), self.signal.get()) {
            signal.fire();
        }
    }

    pub(super) fn get(&self) -> Option<&Answer> {
        self.answer.get()
    }

    pub(super) fn listener(&self) -> Listener {
        Listener::new(self.signal.get_or_init(Arc::default).clone())
    }
}
