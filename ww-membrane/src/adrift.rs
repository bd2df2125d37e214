use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ww_rpc::Panics;

use crate::signal::Signal;

/// Work that goes on with nobody to wait for it.
pub(crate) struct Adrift<F> {
    all: RefCell<FuturesUnordered<Contained<F>>>,
    /// Fired when some of it can go on.
    signal: Arc<Signal>,
}

/// Work that may panic, of which others are not to suffer.
struct Contained<F>(Option<F>);

impl<F: Future<Output = ()> + Unpin> Adrift<F> {
    pub(crate) fn set(&self, work: F) {
        self.all.borrow().push(Contained(Some(work)));
    }

    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Polls what was woken, and what is new, and lets go of what is over.
    pub(crate) fn settle(&self, panics: &mut Panics) {
        if self.all.borrow().is_empty() {
            return;
        }
        let waker = Waker::from(self.signal.clone());
        let mut cx = Context::from_waker(&waker);
        let mut all = self.all.take();
        loop {
            while let Poll::Ready(Some(panicked)) = all.poll_next_unpin(&mut cx) {
                panics.contain(|| panicked.resume());
            }
            // What is polled may set more adrift.
            let more = self.all.take();
            if more.is_empty() {
                break;
            }
            all.extend(more);
        }
        *self.all.borrow_mut() = all;
    }
}

impl<F> Default for Adrift<F> {
    fn default() -> Self {
        Self {
            all: RefCell::default(),
            signal: Arc::default(),
        }
    }
}

impl<F: Future<Output = ()> + Unpin> Future for Contained<F> {
    type Output = Panics;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Panics> {
        let mut panics = Panics::default();
        // One that panics is over.
        let mut over = true;
        let Self(work) = &mut *self;
        panics.contain(|| {
            over = work
                .as_mut()
                .is_none_or(|work| Pin::new(work).poll(cx).is_ready());
        });
        if !over {
            return Poll::Pending;
        }
        panics.contain(|| drop(work.take()));
        Poll::Ready(panics)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    use futures::channel::oneshot;

    use super::*;

    type Work = Pin<Box<dyn Future<Output = ()>>>;

    /// Work that goes on until it is told otherwise, and counts its polls.
    fn counted(polls: &Rc<Cell<usize>>) -> (oneshot::Sender<()>, Work) {
        let (tell, mut told) = oneshot::channel();
        let polls = polls.clone();
        let work = poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            Pin::new(&mut told).poll(cx).map(drop)
        });
        (tell, Box::pin(work))
    }

    #[test]
    fn only_what_was_woken_is_polled() {
        let adrift = Adrift::<Work>::default();
        let polls = Rc::<Cell<usize>>::default();
        let settle = || {
            let mut panics = Panics::default();
            adrift.settle(&mut panics);
            panics.resume();
            polls.take()
        };
        let mut going_on = Vec::new();
        for _ in 0..100 {
            let (tell, work) = counted(&polls);
            going_on.push(tell);
            adrift.set(work);
            assert_eq!(settle(), 1, "the new one");
        }
        let fired = adrift.signal().fired();
        assert_eq!(settle(), 0);
        for tell in going_on {
            tell.send(()).expect("it goes on");
            assert_eq!(settle(), 1, "the one that is over");
        }
        assert!(adrift.signal().fired() > fired);
        assert!(adrift.all.borrow().is_empty());
    }

    #[test]
    fn what_panics_is_over_and_what_is_set_adrift_by_other_work_goes_on() {
        let adrift = Rc::new(Adrift::<Work>::default());
        let polls = Rc::<Cell<usize>>::default();
        let (tell, work) = counted(&polls);
        let mut work = Some(work);
        let inner = adrift.clone();
        adrift.set(Box::pin(poll_fn(move |_| {
            inner.set(work.take().expect("polled once"));
            let mut panics = Panics::default();
            inner.settle(&mut panics);
            panics.resume();
            panic!("and panics")
        })));
        let settle = || {
            let mut panics = Panics::default();
            adrift.settle(&mut panics);
            catch_unwind(AssertUnwindSafe(|| panics.resume())).is_err()
        };
        assert!(settle(), "it panics");
        assert_eq!(adrift.all.borrow().len(), 1);
        tell.send(()).expect("it goes on");
        assert!(!settle());
        assert!(adrift.all.borrow().is_empty());
    }
}
