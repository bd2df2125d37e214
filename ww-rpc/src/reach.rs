use capnp::message::ReaderSegments;

use crate::plain::{target, word};

/// Whether no more than `most` words can be read out of `message` in one go, along
/// pointers `nesting` deep: what is pointed at several times counts each time, and
/// what takes up no room as a word for each element.
///
/// A [`Reader`](capnp::message::Reader) counts all that is ever read, so that one
/// who looks again finds less, and at last nothing. Where no pointer leads, and
/// where one is malformed, nothing can be read.
// In line, it cost a call of a guest's five hundred instructions (`benches/count`).
#[inline(never)]
pub(crate) fn is_within(message: &impl ReaderSegments, nesting: i32, most: usize) -> bool {
    let mut walk = Walk {
        message,
        left: most,
    };
    let root = walk.segment(0);
    root.is_none_or(|segment| walk.follow(Place { segment, at: 0 }, nesting).is_some())
}

/// A way along all pointers (<https://capnproto.org/encoding.html>).
struct Walk<'a, M> {
    message: &'a M,
    /// Words that may still be read.
    left: usize,
}

/// So many words into a segment, or behind it.
#[derive(Clone, Copy)]
struct Place<'a> {
    segment: &'a [[u8; 8]],
    at: usize,
}

/// Of a far pointer, that two words stand where it leads.
const DOUBLE: u64 = 0b100;

impl<'a, M: ReaderSegments> Walk<'a, M> {
    fn segment(&self, index: u32) -> Option<&'a [[u8; 8]]> {
        let segment = self.message.get_segment(index)?;
        Some(segment.as_chunks().0)
    }

    /// Counts what the pointer at `place` leads to. `None` where that is too much,
    /// here and below.
    fn follow(&mut self, place: Place<'a>, nesting: i32) -> Option<()> {
        const STRUCT: u64 = 0;
        const LIST: u64 = 1;
        const FAR: u64 = 2;
        let Some(pointer) = place.word().filter(|pointer| *pointer != 0) else {
            return Some(());
        };
        let landed = match pointer & 0b11 {
            FAR => {
                self.count(if pointer & DOUBLE == 0 { 1 } else { 2 })?;
                self.land(pointer)
            }
            _ => Some((place.target(pointer), pointer)),
        };
        if nesting <= 0 {
            return Some(());
        }
        match landed {
            Some((start, pointer)) if pointer & 0b11 == STRUCT => {
                self.structure(start, pointer, nesting - 1)
            }
            Some((start, pointer)) if pointer & 0b11 == LIST => {
                self.list(start, pointer, nesting - 1)
            }
            _ => Some(()),
        }
    }

    /// Where a far pointer leads, and the pointer that says what is there.
    fn land(&self, far: u64) -> Option<(Place<'a>, u64)> {
        let pad = self.pad(far)?;
        let pointer = pad.word()?;
        if far & DOUBLE == 0 {
            return Some((pad.target(pointer), pointer));
        }
        let tag = pad.skip(1).word()?;
        Some((self.pad(pointer)?, tag))
    }

    /// Where a far pointer points.
    fn pad(&self, far: u64) -> Option<Place<'a>> {
        let segment = self.segment((far >> 32) as u32)?;
        let at = (far as u32 >> 3) as usize;
        Some(Place { segment, at })
    }

    fn structure(&mut self, start: Place<'a>, pointer: u64, nesting: i32) -> Option<()> {
        let (data, pointers) = sizes(pointer);
        if !start.has(data + pointers) {
            return Some(());
        }
        self.count(data + pointers)?;
        self.pointers(start.skip(data), pointers, nesting)
    }

    fn list(&mut self, start: Place<'a>, pointer: u64, nesting: i32) -> Option<()> {
        const VOID: u64 = 0;
        const BIT: u64 = 1;
        const POINTER: u64 = 6;
        const COMPOSITE: u64 = 7;
        let elements = (pointer >> 35) as usize;
        let size = pointer >> 32 & 0b111;
        let words = match size {
            VOID => return self.count(elements),
            BIT => elements.div_ceil(64),
            POINTER => elements,
            COMPOSITE => return self.composite(start, elements, nesting),
            // Of one, two, four or eight bytes.
            _ => elements.div_ceil(8 >> (size - 2)),
        };
        if !start.has(words) {
            return Some(());
        }
        self.count(words)?;
        match size {
            POINTER => self.pointers(start, elements, nesting),
            _ => Some(()),
        }
    }

    /// A list of structs, which have so many words together and stand behind a tag.
    fn composite(&mut self, start: Place<'a>, words: usize, nesting: i32) -> Option<()> {
        let Some(tag) = start.word().filter(|_| start.has(words + 1)) else {
            return Some(());
        };
        let (data, pointers) = sizes(tag);
        let elements = (tag as u32 >> 2) as usize;
        let each = data + pointers;
        self.count(words + 1)?;
        if each == 0 {
            return self.count(elements);
        }
        if pointers == 0 || elements > words / each {
            return Some(());
        }
        let first = start.skip(1 + data);
        (0..elements)
            .try_for_each(|element| self.pointers(first.skip(element * each), pointers, nesting))
    }

    fn pointers(&mut self, first: Place<'a>, count: usize, nesting: i32) -> Option<()> {
        (0..count).try_for_each(|index| self.follow(first.skip(index), nesting))
    }

    fn count(&mut self, words: usize) -> Option<()> {
        self.left = self.left.checked_sub(words)?;
        Some(())
    }
}

impl Place<'_> {
    fn word(self) -> Option<u64> {
        word(self.segment, self.at)
    }

    fn skip(self, words: usize) -> Self {
        let at = self.at + words;
        Self { at, ..self }
    }

    /// Where the near pointer leads that stands here.
    fn target(self, pointer: u64) -> Self {
        let at = target(self.at, pointer);
        Self { at, ..self }
    }

    /// Whether the segment has so many words from here on.
    fn has(self, words: usize) -> bool {
        let end = self.at.checked_add(words);
        end.is_some_and(|end| end <= self.segment.len())
    }
}

/// Words of data and of pointers of a struct.
fn sizes(pointer: u64) -> (usize, usize) {
    let data = (pointer >> 32) as u16;
    let pointers = (pointer >> 48) as u16;
    (data.into(), pointers.into())
}

#[cfg(test)]
mod tests {
    use capnp::message::{Builder, HeapAllocator, Reader, ReaderOptions, SegmentArray};
    use capnp::{ErrorKind, any_pointer, any_pointer_list, text_list};
    use capnp_rpc::rpc_capnp::{message, payload};

    use super::*;
    use crate::chance::chance;

    const NESTING: i32 = 16;

    /// Whether capnp's own reader copies all of it within a limit; none where
    /// something else keeps it from that.
    fn copies(segments: &[&[u8]], most: usize) -> Option<bool> {
        let mut options = ReaderOptions::new();
        options
            .traversal_limit_in_words(Some(most))
            .nesting_limit(NESTING);
        let message = Reader::new(SegmentArray::new(segments), options);
        let mut copy = Builder::new_default();
        let root = message.get_root::<any_pointer::Reader<'_>>();
        let copied = root.and_then(|root| {
            let mut into: any_pointer::Builder<'_> = copy.init_root();
            into.set_as(root)
        });
        match copied {
            Ok(()) => Some(true),
            Err(error) if error.kind == ErrorKind::ReadLimitExceeded => Some(false),
            Err(_) => None,
        }
    }

    /// A message with all kinds of pointers, in segments of so many words.
    fn whole(words: u32) -> Vec<Vec<u8>> {
        let allocator = HeapAllocator::new()
            .first_segment_words(words)
            .allocation_strategy(capnp::message::AllocationStrategy::FixedSize);
        let mut message = Builder::new(allocator);
        let mut call = message.init_root::<message::Builder<'_>>().init_call();
        let mut target = call.reborrow().init_target().init_promised_answer();
        target.reborrow().init_transform(2).get(0).set_noop(());
        let mut payload: payload::Builder<'_> = call.init_params();
        payload.reborrow().init_cap_table(3);
        let list: any_pointer_list::Builder<'_> = payload.get_content().initn_as(4);
        let mut list = list;
        list.reborrow().get(0).set_as("some text").unwrap();
        list.reborrow()
            .get(1)
            .initn_as::<any_pointer_list::Builder<'_>>(5);
        let mut texts: text_list::Builder<'_> = list.reborrow().get(2).initn_as(2);
        texts.set(1, "other text");
        let segments = message.get_segments_for_output();
        segments.iter().map(|segment| segment.to_vec()).collect()
    }

    #[test]
    fn what_can_be_read_is_counted_as_capnp_counts_it_however_it_is_damaged() {
        let mut chance = chance();
        let wholes = [whole(256), whole(12)];
        assert!(wholes[1].len() > 1);
        let (mut within, mut beyond) = (0, 0);
        for _ in 0..100_000 {
            let mut damaged = wholes[chance(wholes.len())].clone();
            for _ in 0..=chance(3) {
                let segment = chance(damaged.len());
                let segment = &mut damaged[segment];
                let at = chance(segment.len());
                match chance(4) {
                    0 => segment[at] ^= 1 << chance(8),
                    1 => segment[at] = chance(256) as u8,
                    _ => {
                        // A word moved within: pointers to what is there already.
                        let (from, to) = (at & !7, chance(segment.len()) & !7);
                        segment.copy_within(from..from + 8, to);
                    }
                }
            }
            let segments: Vec<&[u8]> = damaged.iter().map(Vec::as_slice).collect();
            let message = SegmentArray::new(&segments);
            let most = 1 + chance(100);
            let reaches = is_within(&message, NESTING, most);
            match copies(&segments, most) {
                Some(true) => {
                    assert!(reaches, "{most}, {damaged:02x?}");
                    within += 1;
                }
                Some(false) => {
                    // It counts the pointer to the root as well.
                    assert!(
                        !is_within(&message, NESTING, most - 1),
                        "{most}, {damaged:02x?}"
                    );
                    beyond += 1;
                }
                None => {}
            }
        }
        assert!(within > 10_000 && beyond > 10_000, "{within}, {beyond}");
    }
}
