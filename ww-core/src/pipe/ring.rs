//! The pipe's state, without a lock, a waker or a thread.

#[cfg(test)]
mod tests;

/// What the buffer is when the first byte arrives; nothing before that.
const INITIAL: usize = 4096;

/// Bytes that leave as the buffer that they lie in, rather than as a copy: to
/// make another buffer costs less.
const LONG: usize = 32 << 10;

/// Bytes in transit and the state of both ends.
///
/// Invariants: `len <= size <= bound`, and `head < size` unless that is 0. The
/// bytes in transit are the `len` bytes from `head` on, wrapping at `size`. The
/// buffer has been written to as far as it is long, which is no less than where
/// they end or wrap.
#[derive(Debug)]
pub(super) struct Ring {
    buffer: Vec<u8>,
    size: usize,
    head: usize,
    len: usize,
    bound: usize,
    lossy: bool,
    /// The writer was told of room that only a lossy ring has, and has not
    /// written since.
    promised: bool,
    discarded: u64,
    writer_open: bool,
    reader_open: bool,
}

impl Ring {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            buffer: Vec::new(),
            size: 0,
            head: 0,
            len: 0,
            bound: bound.max(1),
            lossy: false,
            promised: false,
            discarded: 0,
            writer_open: true,
            reader_open: true,
        }
    }

    /// Takes bytes from the front of `bytes` and says how many, or `None` when
    /// an end is closed. Zero means full. A lossy ring takes as many as it has
    /// room for when it is empty.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        if !self.writer_open || !self.reader_open {
            return None;
        }
        let kept = bytes.len().min(self.bound - self.len);
        self.reserve(kept);
        self.copy_in(&bytes[..kept]);
        if std::mem::take(&mut self.promised) || self.lossy {
            let taken = bytes.len().min(self.bound);
            self.discarded += (taken - kept) as u64;
            return Some(taken);
        }
        Some(kept)
    }

    /// Moves bytes to the front of `into` and says how many. Zero means that
    /// none are there, now or, after [`Ring::is_finished`], ever.
    pub(super) fn pull(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.len);
        let (first, second) = self.slices(count);
        into[..first.len()].copy_from_slice(first);
        into[first.len()..count].copy_from_slice(second);
        self.consume(count);
        count
    }

    /// Moves up to `max` bytes to the end of `into` and says how many.
    pub(super) fn pull_onto(&mut self, into: &mut Vec<u8>, max: usize) -> usize {
        let count = max.min(self.len);
        let (first, second) = self.slices(count);
        into.reserve_exact(count);
        into.extend_from_slice(first);
        into.extend_from_slice(second);
        self.consume(count);
        count
    }

    /// Moves up to `max` bytes out.
    pub(super) fn take(&mut self, max: usize) -> Vec<u8> {
        if self.head == 0 && (LONG..=max).contains(&self.len) && self.len >= self.size / 2 {
            let mut taken = std::mem::take(&mut self.buffer);
            taken.truncate(self.len);
            (self.size, self.len) = (0, 0);
            return taken;
        }
        let mut taken = Vec::new();
        self.pull_onto(&mut taken, max);
        taken
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many bytes [`Ring::push`] would take now, loss included; `None`
    /// when an end is closed.
    pub(super) fn room(&mut self) -> Option<usize> {
        if !self.writer_open || !self.reader_open {
            return None;
        }
        self.promised = self.lossy;
        Some(if self.lossy {
            self.bound
        } else {
            self.bound - self.len
        })
    }

    /// Nothing is in transit and nothing can arrive.
    pub(super) fn is_finished(&self) -> bool {
        self.len == 0 && !self.writer_open
    }

    pub(super) fn is_writer_open(&self) -> bool {
        self.writer_open
    }

    pub(super) fn is_reader_open(&self) -> bool {
        self.reader_open
    }

    pub(super) fn set_lossy(&mut self, lossy: bool) {
        self.lossy = lossy;
    }

    pub(super) fn discarded(&self) -> u64 {
        self.discarded
    }

    pub(super) fn close_writer(&mut self) {
        self.writer_open = false;
        self.release();
    }

    /// Whatever is in transit is lost.
    pub(super) fn close_reader(&mut self) {
        self.reader_open = false;
        self.len = 0;
        self.release();
    }

    /// The first `count` bytes in transit, in order.
    fn slices(&self, count: usize) -> (&[u8], &[u8]) {
        let until_wrap = count.min(self.size - self.head);
        (
            &self.buffer[self.head..self.head + until_wrap],
            &self.buffer[..count - until_wrap],
        )
    }

    fn consume(&mut self, count: usize) {
        self.len -= count;
        self.head += count;
        if self.head >= self.size {
            self.head -= self.size;
        }
        if self.len == 0 {
            // From the front again, so that the next bytes are in one piece.
            self.head = 0;
            self.release();
        }
    }

    /// Gives the memory back once no byte can arrive.
    fn release(&mut self) {
        if self.len == 0 && !(self.writer_open && self.reader_open) {
            self.buffer = Vec::new();
            (self.size, self.head) = (0, 0);
        }
    }

    fn copy_in(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut tail = self.head + self.len;
        if tail >= self.size {
            tail -= self.size;
        }
        let until_wrap = bytes.len().min(self.size - tail);
        let (first, second) = bytes.split_at(until_wrap);
        self.write(tail, first);
        self.write(0, second);
        self.len += bytes.len();
    }

    /// Writes from `start` on, over what was written there and beyond.
    fn write(&mut self, start: usize, bytes: &[u8]) {
        let over = bytes.len().min(self.buffer.len() - start);
        let (first, second) = bytes.split_at(over);
        self.buffer[start..start + over].copy_from_slice(first);
        self.buffer.extend_from_slice(second);
    }

    /// Makes room for `more` bytes, which the caller has held to the bound.
    fn reserve(&mut self, more: usize) {
        let needed = self.len + more;
        if needed <= self.size {
            return;
        }
        let size = needed
            .checked_next_power_of_two()
            .unwrap_or(needed)
            .max(INITIAL)
            .min(self.bound);
        let mut grown = Vec::with_capacity(size);
        let (first, second) = self.slices(self.len);
        grown.extend_from_slice(first);
        grown.extend_from_slice(second);
        self.buffer = grown;
        (self.size, self.head) = (size, 0);
    }
}
