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
