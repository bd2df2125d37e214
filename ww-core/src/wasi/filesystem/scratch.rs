//! A private, writable file system in memory, capped in bytes.
//!
//! Nodes stand in one table by number and refer to each other by number, so
//! that nothing is ever walked or dropped by recursion. A node lives while it
//! has a name or is open. All that a guest can pile up is charged to the
//! [`Budget`]: contents by the page, holes included, and nodes and names with
//! what they take in the host.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) use self::budget::Budget;
pub(super) use self::listing::Entries;
pub(super) use self::open::Open;
pub(super) use self::stream::{Reader, WriteFailed, Writer};

use self::tree::Tree;
use crate::clock::Clock;

mod budget;
mod dir;
mod listing;
mod names;
mod node;
mod open;
mod pages;
mod stream;
#[cfg(test)]
mod tests;
mod tree;
mod walk;

/// One scratch directory. Clones are the same.
#[derive(Clone)]
pub(crate) struct Scratch {
    /// Held within one call and never across a wait.
    tree: Arc<Mutex<Tree>>,
    id: usize,
}

impl Scratch {
    /// An empty one, charged to `budget`; `id` tells it from the cell's others.
    pub(super) fn new(id: usize, budget: Budget, clock: Arc<dyn Clock>) -> Self {
        Self {
            id,
            tree: Arc::new(Mutex::new(Tree::new(budget, clock))),
        }
    }

    /// Opens the directory itself.
    pub(super) fn root(&self) -> Open {
        Open::root(self.clone())
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.tree, &other.tree)
    }

    /// Every change of the tree is whole before it can panic.
    fn lock(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
