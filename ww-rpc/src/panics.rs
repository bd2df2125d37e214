use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

/// The first of the panics in foreign code that others must not suffer from.
#[derive(Debug, Default)]
pub struct Panics(Option<Box<dyn Any + Send>>);

impl Panics {
    /// Does `work`, and goes on where that panics.
    pub fn contain(&mut self, work: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            self.0.get_or_insert(panic);
        }
    }

    /// Lets it go on, once all is done; of two at a time, a process aborts.
    pub fn resume(self) {
        if let Some(panic) = self.0
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}
