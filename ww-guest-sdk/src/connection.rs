use std::cell::RefCell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::{AsyncRead, AsyncWrite};

use crate::transport::{Exchange, FULL, Way};

/// Bytes that are sent from where they lie, where there is a way to: to keep as
/// many for the next turn costs more than another host call.
const LONG: usize = 32 * 1024;

/// What lies between the vat and the transport: the vat reads and writes here,
/// the poll loop moves the bytes when the vat has nothing left to do.
#[derive(Clone, Default)]
pub(crate) struct Connection(Rc<RefCell<Buffers>>);

#[derive(Default)]
struct Buffers {
    incoming: Vec<u8>,
    /// Bytes of `incoming` that were read.
    consumed: usize,
    reader: Option<Waker>,

    /// Of which no more than `FULL` are to be sent; writers wait with the rest.
    outgoing: Vec<u8>,
    /// Bytes of `outgoing` that the host has taken.
    sent: usize,
    writer: Option<Waker>,
    way: Option<Way>,

    closed: bool,
}

impl Connection {
    /// What is long is sent by this `way`, where there is one.
    pub(crate) fn by(way: Option<Way>) -> Self {
        let connection = Self::default();
        connection.0.borrow_mut().way = way;
        connection
    }

    /// Gives `turn` what is to be sent, and takes what it brought.
    pub(crate) fn exchange(&self, turn: impl FnOnce(&[u8]) -> Exchange) {
        let mut buffers = self.0.borrow_mut();
        let turn = turn(&buffers.outgoing[buffers.sent..]);
        let wakers = buffers.settle(turn);
        drop(buffers);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Whether bytes have arrived that were not read yet.
    pub(crate) fn is_readable(&self) -> bool {
        let buffers = self.0.borrow();
        buffers.consumed < buffers.incoming.len()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.borrow().closed
    }

    /// Everything that was not sent yet.
    pub(crate) fn take_outgoing(&self) -> Vec<u8> {
        let mut buffers = self.0.borrow_mut();
        let sent = std::mem::take(&mut buffers.sent);
        std::mem::take(&mut buffers.outgoing).split_off(sent)
    }
}

impl Buffers {
    /// How many bytes the host has yet to take.
    fn waiting(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    fn took(&mut self, accepted: usize) {
        self.sent = self.outgoing.len().min(self.sent + accepted);
        // Moving what is left costs no more than what was taken.
        if self.sent >= self.waiting() {
            self.outgoing.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Sends what the host takes of `bytes` at once, behind all that waits, and
    /// says how many of them it took.
    fn send(&mut self, bytes: &[u8]) -> usize {
        let Some(way) = &self.way else {
            return 0;
        };
        if self.waiting() > 0 {
            let accepted = way(&self.outgoing[self.sent..]);
            self.took(accepted);
        }
        match (&self.way, self.waiting()) {
            (Some(way), 0) => way(bytes),
            _ => 0,
        }
    }

    fn settle(&mut self, turn: Exchange) -> [Option<Waker>; 2] {
        self.took(turn.accepted);
        if self.consumed == self.incoming.len() {
            self.incoming = turn.incoming;
            self.consumed = 0;
        } else {
            self.incoming.extend_from_slice(&turn.incoming);
        }
        self.closed |= turn.closed;

        let readable = self.closed || self.consumed < self.incoming.len();
        let writable = self.closed || self.waiting() < FULL;
        [
            self.reader.take_if(|_| readable),
            self.writer.take_if(|_| writable),
        ]
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffers = self.0.borrow_mut();
        let available = &buffers.incoming[buffers.consumed..];
        if available.is_empty() && !buffers.closed && !buffer.is_empty() {
            buffers.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let len = available.len().min(buffer.len());
        buffer[..len].copy_from_slice(&available[..len]);
        buffers.consumed += len;
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffers = self.0.borrow_mut();
        if buffers.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if buffers.waiting() >= FULL {
            buffers.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if bytes.len() >= LONG {
            let sent = buffers.send(bytes);
            if sent > 0 {
                return Poll::Ready(Ok(sent));
            }
        }
        let room = FULL - buffers.waiting();
        let kept = &bytes[..bytes.len().min(room)];
        buffers.outgoing.extend_from_slice(kept);
        Poll::Ready(Ok(kept.len()))
    }

    /// Returns at once: the poll loop pushes what was written before it waits.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Returns at once: the connection closes when the poll loop lets go of it.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let buffers = self.0.borrow();
        f.debug_struct("Connection")
            .field("incoming", &(buffers.incoming.len() - buffers.consumed))
            .field("outgoing", &buffers.waiting())
            .field("closed", &buffers.closed)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;

    use futures::future::FutureExt;
    use futures::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn took(accepted: usize) -> Exchange {
        Exchange {
            accepted,
            ..Exchange::default()
        }
    }

    fn brought(incoming: &[u8], closed: bool) -> Exchange {
        Exchange {
            incoming: incoming.to_vec(),
            closed,
            ..Exchange::default()
        }
    }

    #[test]
    fn what_the_host_did_not_take_is_offered_again() {
        let mut connection = Connection::default();
        connection
            .write_all(b"one two")
            .now_or_never()
            .unwrap()
            .unwrap();
        for (offered, accepted) in [("one two", 4), ("two", 0), ("two", 3), ("", 0)] {
            connection.exchange(|outgoing| {
                assert_eq!(outgoing, offered.as_bytes());
                took(accepted)
            });
        }
    }

    #[test]
    fn writers_wait_while_the_host_takes_nothing() {
        let mut connection = Connection::default();
        let bytes = vec![0; FULL];
        connection
            .write_all(&bytes)
            .now_or_never()
            .unwrap()
            .unwrap();
        assert!(connection.write(b"x").now_or_never().is_none());
        connection.exchange(|_| took(1));
        assert_eq!(connection.write(b"x").now_or_never().unwrap().unwrap(), 1);
    }

    #[test]
    fn no_more_waits_for_the_host_than_the_limit_however_much_is_written() {
        let ways: [Option<Way>; 2] = [None, Some(Box::new(|_| 0))];
        for way in ways {
            let mut connection = Connection::by(way);
            let seen = connection.clone();
            let bytes: Vec<u8> = (0..5 * FULL + 1).map(|n| n as u8).collect();
            let mut writing = pin!(connection.write_all(&bytes));
            let mut taken = Vec::<u8>::new();
            while taken.len() < bytes.len() {
                let written = (&mut writing).now_or_never().is_some();
                assert_eq!(written, bytes.len() - taken.len() <= FULL);
                seen.exchange(|outgoing| {
                    assert!(outgoing.len() <= FULL, "{}", outgoing.len());
                    taken.extend(outgoing);
                    took(outgoing.len())
                });
            }
            assert!(taken == bytes);
        }
    }

    #[test]
    fn what_is_long_is_sent_at_once_behind_all_that_waits() {
        let taken = Rc::<RefCell<Vec<u8>>>::default();
        let room = Rc::new(Cell::new(0));
        let (to, has) = (taken.clone(), room.clone());
        let mut connection = Connection::by(Some(Box::new(move |bytes| {
            let count = bytes.len().min(has.get());
            has.set(has.get() - count);
            to.borrow_mut().extend(&bytes[..count]);
            count
        })));
        let long: Vec<u8> = (0..LONG).map(|n| n as u8).collect();
        for most in [0, 1, 2, 3, LONG, LONG + 1, LONG + 2, LONG + 3] {
            taken.take();
            connection.write_all(b"ab").now_or_never().unwrap().unwrap();
            assert!(
                taken.borrow().is_empty(),
                "what is short waits for the turn"
            );
            room.set(most);
            connection.write_all(&long).now_or_never().unwrap().unwrap();
            assert_eq!(taken.borrow().len(), most.min(LONG + 2));
            connection.exchange(|outgoing| {
                taken.borrow_mut().extend(outgoing);
                took(outgoing.len())
            });
            assert!(*taken.borrow() == [b"ab", &*long].concat(), "{most}");
        }
    }

    #[test]
    fn what_arrived_before_the_end_is_read_before_the_end() {
        let mut connection = Connection::default();
        let mut buffer = [0; 4];
        assert!(connection.read(&mut buffer).now_or_never().is_none());
        connection.exchange(|_| brought(b"abc", false));
        assert_eq!(
            connection
                .read(&mut buffer[..1])
                .now_or_never()
                .unwrap()
                .unwrap(),
            1
        );
        connection.exchange(|_| brought(b"d", true));
        assert_eq!(
            connection
                .read(&mut buffer)
                .now_or_never()
                .unwrap()
                .unwrap(),
            3
        );
        assert_eq!(&buffer[..3], b"bcd");
        assert_eq!(
            connection
                .read(&mut buffer)
                .now_or_never()
                .unwrap()
                .unwrap(),
            0
        );
        assert!(connection.write(b"x").now_or_never().unwrap().is_err());
    }
}
