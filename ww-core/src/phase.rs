use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

/// What is being done to make a program of an image or of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// `bin/main.wasm` is read from the image.
    Reading,
    /// The bytes are hashed, which says whether the program is known.
    Hashing,
    /// All processors that may compile are busy with other programs.
    Waiting,
    /// The disk cache is asked.
    Seeking,
    /// The component is compiled: the long one, tens of milliseconds for a
    /// small guest, many seconds for an interpreter.
    Compiling,
    /// Machine code is loaded and its imports are linked.
    Linking,
}

/// Someone who is told of phases, on whichever thread they begin.
pub(crate) type Observer = Arc<dyn Fn(Phase) + Send + Sync>;

/// Phases as they come, for everyone who waits for the same program.
#[derive(Default)]
pub(crate) struct Progress(Mutex<Known>);

#[derive(Default)]
struct Known {
    phase: Option<Phase>,
    observers: Vec<Observer>,
    ended: bool,
}

impl Progress {
    /// Tells `observer` of the phase that is on, and of those to come.
    pub(crate) fn observe(&self, observer: Observer) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let phase = known.phase;
        if !known.ended {
            known.observers.push(observer.clone());
        }
        drop(known);
        if let Some(phase) = phase {
            observer(phase);
        }
    }

    /// Lets go of those that looked on, and keeps nobody who comes later.
    pub(crate) fn end(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.ended = true;
        let observers = std::mem::take(&mut known.observers);
        drop(known);
        drop(observers);
    }

    /// Begins `phase`. An observer that panics has said so by itself, and takes
    /// the program from nobody.
    pub(crate) fn begin(&self, phase: Phase) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.phase = Some(phase);
        let observers = known.observers.clone();
        drop(known);
        for observer in observers {
            let _ = catch_unwind(AssertUnwindSafe(|| observer(phase)));
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reading => "reading",
            Self::Hashing => "hashing",
            Self::Waiting => "waiting",
            Self::Seeking => "seeking",
            Self::Compiling => "compiling",
            Self::Linking => "linking",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_kept_who_looks_on_when_it_is_over() {
        let progress = Progress::default();
        progress.begin(Phase::Compiling);
        progress.end();
        let told = Arc::new(Mutex::new(Vec::new()));
        let late: Observer = Arc::new({
            let told = told.clone();
            move |phase| told.lock().expect("nobody panicked").push(phase)
        });
        progress.observe(late.clone());
        assert_eq!(*told.lock().expect("nobody panicked"), [Phase::Compiling]);
        assert_eq!(Arc::strong_count(&late), 1);
    }
}
