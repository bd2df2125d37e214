use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Error;

/// Memory mappings that are set aside, and given back when this is dropped.
///
/// A process may have `vm.max_map_count` of them (65,530 by default), and it
/// is the instance allocator's and malloc's way to abort where one is refused.
/// So cells and programs count theirs beforehand, and what would be too many is
/// refused.
#[derive(Debug)]
pub(crate) struct Mappings {
    count: usize,
    of: &'static Budget,
}

/// How many mappings may be set aside, and are.
#[derive(Debug)]
struct Budget {
    most: usize,
    taken: AtomicUsize,
}

impl Mappings {
    /// Sets `count` mappings of this process aside.
    ///
    /// # Errors
    ///
    /// [`Error::Full`].
    pub(crate) fn take(count: usize) -> Result<Self, Error> {
        static PROCESS: OnceLock<Budget> = OnceLock::new();
        PROCESS.get_or_init(Budget::of_process).take(count)
    }
}

impl Drop for Mappings {
    fn drop(&mut self) {
        self.of.taken.fetch_sub(self.count, Ordering::Relaxed);
    }
}

impl Budget {
    /// Leaves a sixteenth for all else in the process: code, heaps, threads.
    fn of_process() -> Self {
        let limit = fs::read_to_string("/proc/sys/vm/max_map_count");
        let limit = limit.ok().and_then(|text| text.trim().parse().ok());
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        Self {
            // Where there is no such file, there is no such limit.
            most: limit.map_or(usize::MAX, |limit: usize| {
                (limit - limit / 16).saturating_sub(maps.lines().count())
            }),
            taken: AtomicUsize::new(0),
        }
    }

    fn take(&'static self, count: usize) -> Result<Mappings, Error> {
        self.taken
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                let more = taken.checked_add(count)?;
                (more <= self.most).then_some(more)
            })
            .map(|_| Mappings { count, of: self })
            .map_err(|taken| Error::Full {
                taken,
                most: self.most,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again_and_no_more_than_there_is() {
        static BUDGET: Budget = Budget {
            most: 10,
            taken: AtomicUsize::new(0),
        };
        let first = BUDGET.take(7).expect("there are ten");
        let refused = BUDGET.take(4).expect_err("there are three");
        assert!(matches!(refused, Error::Full { taken: 7, most: 10 }));
        let second = BUDGET.take(3).expect("there are three");
        assert!(BUDGET.take(usize::MAX).is_err());
        drop(first);
        assert!(BUDGET.take(7).is_ok());
        drop(second);
        assert_eq!(BUDGET.taken.load(Ordering::Relaxed), 0);
    }
}
