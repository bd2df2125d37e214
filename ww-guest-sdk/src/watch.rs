use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use wasip2::io::poll::Pollable;

/// One pollable, and the task that waits for it.
///
/// It must be dropped before the stream that its pollable came from.
pub(crate) struct Watch(Rc<Entry>);

struct Entry {
    pollable: Pollable,
    ready: Cell<bool>,
    /// Present exactly while the entry is in `WATCHED`.
    waker: RefCell<Option<Waker>>,
}

thread_local! {
    /// What the poll loop hands to the host when nothing else is left to do.
    static WATCHED: RefCell<Vec<Rc<Entry>>> = const { RefCell::new(Vec::new()) };
}

#[cfg_attr(
    not(target_family = "wasm"),
    expect(dead_code, reason = "only WASI has pollables to wait for")
)]
impl Watch {
    pub(crate) fn new(pollable: Pollable) -> Self {
        Self(Rc::new(Entry {
            pollable,
            ready: Cell::new(false),
            waker: RefCell::new(None),
        }))
    }

    /// Whether the host has called the pollable ready since it was last asked.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.ready.take() {
            return Poll::Ready(());
        }
        let mut waker = self.0.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => {
                *waker = Some(cx.waker().clone());
                WATCHED.with_borrow_mut(|watched| watched.push(self.0.clone()));
            }
        }
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.0.waker.take().is_some() {
            // The list may be gone already at the end of the thread.
            let _ = WATCHED.try_with(|watched| {
                watched
                    .borrow_mut()
                    .retain(|entry| !Rc::ptr_eq(entry, &self.0));
            });
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// Has `wait` tell which of the watched pollables are ready, by index, and
/// wakes the tasks that wait for them.
pub(crate) fn wait_with(wait: impl FnOnce(&[&Pollable]) -> Vec<u32>) {
    let mut wakers = Vec::new();
    WATCHED.with_borrow_mut(|watched| {
        let ready = {
            let pollables: Vec<_> = watched.iter().map(|entry| &entry.pollable).collect();
            wait(&pollables)
        };
        for index in ready {
            if let Some(entry) = watched.get(index as usize) {
                entry.ready.set(true);
                wakers.extend(entry.waker.take());
            }
        }
        if !wakers.is_empty() {
            watched.retain(|entry| entry.waker.borrow().is_some());
        }
    });
    // Woken outside of the borrow: a waker runs code that is not ours.
    wakers.into_iter().for_each(Waker::wake);
}

/// Whether any task waits for a pollable.
pub(crate) fn is_idle() -> bool {
    WATCHED.with_borrow(Vec::is_empty)
}

/// Which of `pollables` are ready, without waiting.
pub(crate) fn ready_now(pollables: &[&Pollable]) -> Vec<u32> {
    (0..)
        .zip(pollables)
        .filter(|(_, pollable)| pollable.ready())
        .map(|(index, _)| index)
        .collect()
}
