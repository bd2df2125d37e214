//! The pipe's state, without a lock, a waker or a thread.

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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// xorshift64*: enough to pick operations, and the same under miri.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
        }
    }

    /// What a ring is, said with a queue of bytes.
    struct Model {
        queue: VecDeque<u8>,
        bound: usize,
        lossy: bool,
        discarded: u64,
        writer_open: bool,
        reader_open: bool,
    }

    impl Model {
        fn push(&mut self, bytes: &[u8]) -> Option<usize> {
            if !self.writer_open || !self.reader_open {
                return None;
            }
            let kept = bytes.len().min(self.bound - self.queue.len());
            self.queue.extend(&bytes[..kept]);
            if self.lossy {
                let taken = bytes.len().min(self.bound);
                self.discarded += (taken - kept) as u64;
                return Some(taken);
            }
            Some(kept)
        }

        fn pull(&mut self, max: usize) -> Vec<u8> {
            let count = max.min(self.queue.len());
            self.queue.drain(..count).collect()
        }
    }

    #[test]
    fn random_operations_agree_with_a_queue() {
        let rounds = if cfg!(miri) { 3 } else { 40 };
        for seed in 1..=rounds {
            for bound in [1, 2, 7, 4095, 4096, 4097, 3 * 4096 + 5] {
                agree(seed, bound);
            }
        }
        for seed in 1..=rounds / 20 {
            for bound in [2 * LONG, 5 * LONG + 3] {
                agree(seed, bound);
            }
        }
    }

    fn agree(seed: u64, bound: usize) {
        let steps = if cfg!(miri) { 60 } else { 300 };
        let mut dice = Dice(seed);
        let mut ring = Ring::new(bound);
        let mut model = Model {
            queue: VecDeque::new(),
            bound,
            lossy: false,
            discarded: 0,
            writer_open: true,
            reader_open: true,
        };
        let mut next = 0_u8;
        for step in 0..steps {
            match dice.roll(100) {
                0..45 => {
                    let bytes: Vec<u8> = (0..dice.roll(bound + 9))
                        .map(|_| {
                            next = next.wrapping_add(1);
                            next
                        })
                        .collect();
                    assert_eq!(ring.push(&bytes), model.push(&bytes));
                }
                45..70 => {
                    let mut into = vec![0; dice.roll(bound + 9)];
                    let count = ring.pull(&mut into);
                    assert_eq!(into[..count], model.pull(into.len()));
                }
                70..95 => {
                    let max = dice.roll(bound + 9);
                    if dice.roll(2) == 0 {
                        assert_eq!(ring.take(max), model.pull(max));
                    } else {
                        let mut into = vec![7];
                        ring.pull_onto(&mut into, max);
                        assert_eq!(into[1..], model.pull(max));
                    }
                }
                95..97 => {
                    model.lossy = !model.lossy;
                    ring.set_lossy(model.lossy);
                }
                97 if step > steps / 2 => {
                    model.writer_open = false;
                    ring.close_writer();
                }
                98 if step > steps / 2 => {
                    model.reader_open = false;
                    model.queue.clear();
                    ring.close_reader();
                }
                _ => {}
            }
            let open = model.writer_open && model.reader_open;
            let free = bound - model.queue.len();
            assert_eq!(
                ring.room(),
                open.then_some(if model.lossy { bound } else { free })
            );
            assert_eq!(ring.len(), model.queue.len());
            assert_eq!(ring.discarded(), model.discarded);
            assert_eq!(
                ring.is_finished(),
                model.queue.is_empty() && !model.writer_open
            );
            assert!(ring.len <= ring.size && ring.size <= ring.bound);
            assert!(ring.head < ring.size || ring.size == 0);
            assert!(ring.buffer.len() <= ring.size && ring.size <= ring.buffer.capacity());
            assert!(ring.size.min(ring.head + ring.len) <= ring.buffer.len());
        }
    }

    #[test]
    fn what_a_lossy_ring_has_promised_it_keeps_when_it_is_lossy_no_more() {
        let mut ring = Ring::new(4);
        ring.set_lossy(true);
        assert_eq!(ring.push(b"abcd"), Some(4));
        assert_eq!(ring.room(), Some(4));
        ring.set_lossy(false);
        assert_eq!(ring.push(b"efg"), Some(3));
        assert_eq!(ring.discarded(), 3);
        assert_eq!(ring.push(b"h"), Some(0), "it was promised nothing more");
    }

    #[test]
    fn memory_is_taken_on_demand_and_given_back_at_the_end() {
        let mut ring = Ring::new(1 << 20);
        assert_eq!(ring.buffer.capacity(), 0);
        ring.push(b"x");
        assert_eq!((ring.size, ring.buffer.capacity()), (INITIAL, INITIAL));
        ring.push(&[0; 10_000]);
        assert_eq!((ring.size, ring.buffer.capacity()), (16_384, 16_384));
        ring.close_writer();
        let mut into = [0; 20_000];
        assert_eq!(ring.pull(&mut into), 10_001);
        assert_eq!(ring.buffer.capacity(), 0);
    }

    #[test]
    fn what_is_long_and_whole_leaves_without_a_copy() {
        let bytes: Vec<u8> = (0..3 * LONG).map(|n| n as u8).collect();
        // What was pushed and pulled before, what is pushed, how much is taken.
        let cases = [
            (0, LONG, LONG, true),
            (0, LONG + 1, usize::MAX, true),
            (0, LONG - 1, usize::MAX, false),
            (0, LONG + 1, LONG, false),
            (1, LONG, usize::MAX, false),
        ];
        for (before, count, max, whole) in cases {
            let mut ring = Ring::new(4 * LONG);
            ring.push(&bytes[..before + count]);
            assert_eq!(ring.pull(&mut vec![0; before]), before);
            let lay = ring.buffer.as_ptr();
            let taken = ring.take(max);
            assert!(taken == bytes[before..before + count.min(max)]);
            assert_eq!(taken.as_ptr() == lay, whole, "{before} {count} {max}");
            // It goes on as before.
            assert_eq!(ring.push(&bytes), Some(bytes.len()));
            let left = count - taken.len();
            assert!(ring.take(usize::MAX)[left..] == bytes);
        }
    }
}
