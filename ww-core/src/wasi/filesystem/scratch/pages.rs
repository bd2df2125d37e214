use std::collections::BTreeMap;

/// Bytes of a page.
pub(super) const PAGE: usize = 4096;

/// The longest file, in bytes: what a signed offset reaches.
pub(super) const LONGEST: u64 = i64::MAX as u64;

/// A file's contents. Where no page stands there is a hole, which reads as
/// zeros.
#[derive(Default)]
pub(super) struct Pages {
    /// By number. Beyond the length all bytes of the last one are zero.
    pages: BTreeMap<u64, Box<[u8]>>,
    len: u64,
}

impl Pages {
    /// What a file of `len` bytes is charged, however few of its pages stand:
    /// filling a hole must not fail later.
    pub(super) fn price(len: u64) -> u64 {
        len.next_multiple_of(PAGE as u64)
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Up to `len` bytes from `offset`; fewer at the end.
    pub(super) fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let left = self.len.saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(len);
        let mut bytes = vec![0; len];
        for (page, within, part) in split(offset, len) {
            if let Some(page) = self.pages.get(&page) {
                let end = within + part.len();
                bytes[part].copy_from_slice(&page[within..end]);
            }
        }
        bytes
    }

    /// Writes `bytes` at `offset`, which together end at [`LONGEST`] at most.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (page, within, part) in split(offset, bytes.len()) {
            let page = self.pages.entry(page);
            let page = page.or_insert_with(|| vec![0; PAGE].into_boxed_slice());
            page[within..within + part.len()].copy_from_slice(&bytes[part]);
        }
        if !bytes.is_empty() {
            self.len = self.len.max(offset + bytes.len() as u64);
        }
    }

    /// Cuts off what is beyond `len`, or adds a hole up to it.
    pub(super) fn resize(&mut self, len: u64) {
        if len < self.len {
            drop(self.pages.split_off(&len.div_ceil(PAGE as u64)));
            let within = (len % PAGE as u64) as usize;
            if let Some(page) = self.pages.get_mut(&(len / PAGE as u64)) {
                page[within..].fill(0);
            }
        }
        self.len = len;
    }
}

/// The pages that `len` bytes from `offset` touch: the number of each, where
/// the bytes begin in it, and which of the bytes those are.
fn split(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let within = (at % PAGE as u64) as usize;
        let count = (PAGE - within).min(len - done);
        let part = done..done + count;
        done += count;
        (count > 0).then_some((at / PAGE as u64, within, part))
    })
}
