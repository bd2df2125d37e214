use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures::FutureExt;
use futures::future::BoxFuture;

/// Work that many wait for.
///
/// Unlike those of [`futures::future::Shared`], who leave take no wake-up along: one that
/// looks while another polls is woken when that is over, if the work can go on by then, and
/// all are when one leaves.
pub(super) struct Shared<T> {
    /// Locked while it is polled, and poisoned where it has panicked.
    work: Mutex<Work<T>>,
    /// Apart from the work, which holds it.
    bell: Arc<Bell>,
}

enum Work<T> {
    UnderWay(BoxFuture<'static, T>),
    Done(T),
}

/// Wakes those who wait.
#[derive(Default)]
struct Bell(Mutex<State>);

#[derive(Default)]
struct State {
    /// Somebody looks after the work.
    polling: bool,
    /// It can go on, or is over, since somebody began to.
    rung: bool,
    waiting: BTreeMap<u64, Waker>,
    /// How many numbers were given out.
    numbers: u64,
}

/// One that waits.
pub(super) struct Waits<T> {
    shared: Arc<Shared<T>>,
    /// Among those that do.
    number: u64,
    over: bool,
}

/// That somebody looks after the work, until this is dropped.
struct Polling<'a>(&'a Bell);

impl<T: Clone> Shared<T> {
    pub(super) fn new(work: impl Future<Output = T> + Send + 'static) -> Arc<Self> {
        Arc::new(Self {
            work: Mutex::new(Work::UnderWay(work.boxed())),
            bell: Arc::default(),
        })
    }

    pub(super) fn wait(self: &Arc<Self>) -> Waits<T> {
        let number = self.bell.change(|state| {
            state.numbers += 1;
            state.numbers
        });
        Waits {
            shared: self.clone(),
            number,
            over: false,
        }
    }

    /// Whoever is first of those that come at a time polls the work.
    fn poll(&self) -> Poll<T> {
        let mut work = self
            .work
            .lock()
            .unwrap_or_else(|_| panic!("what is waited for has panicked"));
        let polled = match &mut *work {
            Work::Done(output) => Poll::Ready(output.clone()),
            Work::UnderWay(future) => {
                let waker = Waker::from(self.bell.clone());
                future.as_mut().poll(&mut Context::from_waker(&waker))
            }
        };
        if let Poll::Ready(output) = &polled {
            *work = Work::Done(output.clone());
            // Others may have come meanwhile, and looked no further.
            self.bell.change(|state| state.rung = true);
        }
        polled
    }
}

impl Bell {
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state: MutexGuard<'_, State> =
            self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state)
    }

    /// Wakes all who wait, where `when` says so.
    fn ring(&self, when: impl FnOnce(&mut State) -> bool) {
        let woken = self.change(|state| match when(state) {
            true => std::mem::take(&mut state.waiting),
            false => BTreeMap::new(),
        });
        // Outside of the lock: they may come at once.
        woken.into_values().for_each(Waker::wake);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring(|state| {
            state.rung = true;
            // Otherwise that is done when the poll is over.
            !state.polling
        });
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.ring(|state| {
            state.polling = false;
            state.rung || std::thread::panicking()
        });
    }
}

impl<T: Clone> Future for Waits<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let (shared, number) = (self.shared.clone(), self.number);
        let waker = cx.waker().clone();
        let (is_first, before) = shared.bell.change(|state| {
            let before = state.waiting.insert(number, waker);
            let is_first = !state.polling;
            if is_first {
                state.polling = true;
                state.rung = false;
            }
            (is_first, before)
        });
        drop(before);
        if !is_first {
            return Poll::Pending;
        }
        let polling = Polling(&shared.bell);
        let polled = shared.poll();
        drop(polling);
        self.over = polled.is_ready();
        polled
    }
}

/// Whoever leaves may be the one who was woken to go on.
impl<T> Drop for Waits<T> {
    fn drop(&mut self) {
        let (number, leaves) = (self.number, !self.over);
        let mut own = None;
        self.shared.bell.ring(|state| {
            own = state.waiting.remove(&number);
            leaves && !state.polling
        });
    }
}
