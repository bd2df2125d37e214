use crate::chance::Chance;

impl Chance {
    pub(crate) fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    pub(crate) fn small(&mut self, end: u32) -> u32 {
        (self.next() % u64::from(end.max(1))) as u32
    }

    /// One of `known`, and now and then one that is not.
    pub(crate) fn id(&mut self, known: &[u32]) -> u32 {
        match known.is_empty() || self.one_in(200) {
            true => [self.small(8), self.next() as u32][usize::from(self.one_in(8))],
            false => known[self.below(known.len())],
        }
    }

    /// Changes bits, bytes and words in place, moves and repeats parts, or cuts
    /// some off.
    pub(crate) fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            let word = at & !7;
            match self.below(8) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.next() as u8,
                2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                3 if word + 8 <= bytes.len() => {
                    let number = self.next() >> self.below(64);
                    bytes[word..word + 8].copy_from_slice(&number.to_le_bytes());
                }
                4 if word + 8 <= bytes.len() => {
                    let from = self.below(bytes.len() / 8) * 8;
                    bytes.copy_within(from..from + 8, word);
                }
                5 => {
                    let end = at + self.below((bytes.len() - at).min(256) + 1);
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
                6 => drop(bytes.drain(at..at + self.below((bytes.len() - at).min(64) + 1))),
                _ if self.one_in(4) => bytes.truncate(at),
                _ => {}
            }
        }
    }
}
