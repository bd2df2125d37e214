use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use ww_image::{Error, File};

/// How many reads go on at a time.
const MOST: usize = 8;

/// What the input streams of a cell's files read of its images.
///
/// A read that has begun goes on though its stream is not polled, and then holds
/// what it took: of a file that is verified a whole chunk, for the few bytes that
/// were asked for. So only a few go on at a time, and a stream that has to wait
/// polls them, since nothing makes a guest come back to those. For that they need
/// no waker but the guest's, which waits in one place.
#[derive(Clone, Default)]
pub(in super::super) struct Reads(Arc<Mutex<Vec<Weak<Mutex<State>>>>>);

/// A read that has begun; what it took is given up with it.
pub(super) struct Read(Arc<Mutex<State>>);

enum State {
    Going(BoxFuture<'static, Result<Bytes, Error>>),
    /// `None` once it was taken.
    Over(Option<Result<Bytes, Error>>),
}

impl Reads {
    /// How many streams there are, each of which holds a clone.
    pub(super) fn streams(&self) -> usize {
        Arc::strong_count(&self.0).saturating_sub(1)
    }

    /// Begins to read `file`, unless as many reads go on as may.
    pub(super) fn poll_begin(
        &self,
        cx: &mut Context<'_>,
        file: &File,
        offset: u64,
        len: usize,
    ) -> Poll<Read> {
        let mut going = locked(&self.0);
        going.retain(|read| read.upgrade().is_some_and(|read| locked(&read).is_going()));
        if going.len() == MOST {
            going.retain(|read| read.upgrade().is_some_and(|read| locked(&read).poll(cx)));
        }
        if going.len() == MOST {
            return Poll::Pending;
        }
        let file = file.clone();
        let read = async move {
            let bytes = file.read_at(offset, len).await?;
            // A copy: they may be a small part of what they lie in.
            Ok(Bytes::copy_from_slice(&bytes))
        };
        let read = Arc::new(Mutex::new(State::Going(Box::pin(read))));
        going.push(Arc::downgrade(&read));
        Poll::Ready(Read(read))
    }
}

impl Read {
    /// What was read, once.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        let mut state = locked(&self.0);
        state.poll(cx);
        match &mut *state {
            State::Over(read) => read.take().map_or(Poll::Pending, Poll::Ready),
            State::Going(_) => Poll::Pending,
        }
    }
}

impl State {
    fn is_going(&self) -> bool {
        matches!(self, Self::Going(_))
    }

    /// Goes on, and answers whether there is more to do.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if let Self::Going(read) = self
            && let Poll::Ready(read) = read.as_mut().poll(cx)
        {
            *self = Self::Over(Some(read));
        }
        self.is_going()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Waker;

    use futures_lite::future::block_on;
    use ww_image::Image;
    use ww_loader::{Loader, Node, Path, async_trait};

    use super::*;

    /// A file that is read when it may be, and how often that was begun.
    #[derive(Clone, Default)]
    struct Gate(Arc<(AtomicUsize, AtomicUsize)>);

    impl Gate {
        fn begun(&self) -> usize {
            self.0.0.load(Ordering::Relaxed)
        }

        fn file(&self) -> File {
            let image = Image::from(ww_image::Layer::new("gate", self.clone()));
            let path = ww_image::Path::new("file").expect("a path");
            match block_on(image.open(&path)) {
                Ok(ww_image::Node::File(file)) => file,
                other => panic!("it is a file: {other:?}"),
            }
        }
    }

    #[async_trait]
    impl Loader for Gate {
        async fn open(&self, _: &Path) -> Result<Node, ww_loader::Error> {
            Ok(Node::File(Arc::new(self.clone())))
        }
    }

    #[async_trait]
    impl ww_loader::File for Gate {
        fn len(&self) -> u64 {
            1 << 20
        }

        async fn read_at(&self, _: u64, len: usize) -> Result<Bytes, ww_loader::Error> {
            self.0.0.fetch_add(1, Ordering::Relaxed);
            futures::future::poll_fn(|_| match self.0.1.load(Ordering::Relaxed) {
                0 => Poll::Pending,
                _ => Poll::Ready(Ok(Bytes::from(vec![7; len]))),
            })
            .await
        }
    }

    #[test]
    fn only_a_few_reads_go_on_and_none_waits_for_those_that_nobody_polls() {
        let (gate, reads) = (Gate::default(), Reads::default());
        let file = gate.file();
        let cx = &mut Context::from_waker(Waker::noop());
        let begin = |cx: &mut Context<'_>| reads.poll_begin(cx, &file, 0, 10);
        let mut begun = Vec::new();
        for _ in 0..100 {
            if let Poll::Ready(read) = begin(cx) {
                assert!(read.poll(cx).is_pending());
                begun.push(read);
            }
        }
        assert_eq!((begun.len(), gate.begun()), (MOST, MOST));
        // One that is given up leaves its place.
        begun.pop();
        begun.extend(match begin(cx) {
            Poll::Ready(read) => Some(read),
            Poll::Pending => panic!("there is a place"),
        });
        assert!(begin(cx).is_pending());
        // So do those that are over, though nobody asks for what they read.
        gate.0.1.store(1, Ordering::Relaxed);
        let next: Vec<_> = (0..100).map(|_| begin(cx)).collect();
        assert!(next.iter().all(Poll::is_ready));
        for read in begun {
            let Poll::Ready(Ok(bytes)) = read.poll(cx) else {
                panic!("it is over");
            };
            assert_eq!(&bytes[..], [7; 10]);
        }
    }
}
