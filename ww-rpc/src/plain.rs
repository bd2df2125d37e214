/// What nearly every message is while calls go to and fro, and all that is to be
/// kept of it. A [`Reader`](capnp::message::Reader) takes a hundred steps for
/// each pointer that it follows, which made a fourteenth of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    /// A call without capabilities, whose results go to the caller.
    Call {
        question: u32,
        target: Target,
    },
    /// Results without capabilities.
    Results {
        question: u32,
        no_finish_needed: bool,
    },
    Finish {
        question: u32,
    },
}

/// What a call is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Export(u32),
    /// The answer to this question: a capability, not one inside of it. What a
    /// vat bootstraps is called so for ever by capnp-rpc.
    Answer(u32),
}

/// A struct in the first segment of a message
/// (<https://capnproto.org/encoding.html#structs>), of which no more is read than
/// the first word of its data.
#[derive(Clone, Copy)]
struct Struct<'a> {
    segment: &'a [[u8; 8]],
    data: u64,
    /// Words of the segment before its pointers, and how many there are.
    pointers: usize,
    count: usize,
}

impl Plain {
    /// Reads a message off its first segment. `None` says nothing but that it
    /// must be read as a whole: it may be anything, and malformed.
    ///
    /// The numbers are those of capnp-rpc's `rpc.capnp`.
    pub(crate) fn of(segment: &[u8]) -> Option<Self> {
        const CALL: u16 = 2;
        const RETURN: u16 = 3;
        const FINISH: u16 = 4;
        let (segment, _) = segment.as_chunks();
        let message = Struct::at(segment, 0)?;
        let which = message.half(0);
        if !(CALL..=FINISH).contains(&which) {
            return None;
        }
        let body = message.structure(0)?;
        let question = body.number();
        match (which, body.half(3)) {
            // `sendResultsTo.caller`
            (CALL, 0) if body.structure(1)?.is_without_list(1) => {
                let target = Target::of(body.structure(0)?)?;
                Some(Self::Call { question, target })
            }
            // `results`
            (RETURN, 0) => body
                .structure(0)?
                .is_without_list(1)
                .then(|| Self::Results {
                    question,
                    no_finish_needed: body.half(2) & 0b10 != 0,
                }),
            (FINISH, _) => Some(Self::Finish { question }),
            _ => None,
        }
    }
}

impl Target {
    fn of(target: Struct<'_>) -> Option<Self> {
        const IMPORTED_CAP: u16 = 0;
        const PROMISED_ANSWER: u16 = 1;
        match target.half(2) {
            IMPORTED_CAP => Some(Self::Export(target.number())),
            PROMISED_ANSWER => {
                let answer = target.structure(0)?;
                let whole = answer.is_without_list(0);
                whole.then(|| Self::Answer(answer.number()))
            }
            _ => None,
        }
    }
}

impl<'a> Struct<'a> {
    /// What the pointer `at` so many words leads to, if that is a struct in the
    /// same segment. Null is one without fields.
    fn at(segment: &'a [[u8; 8]], at: usize) -> Option<Self> {
        let pointer = word(segment, at)?;
        if pointer & 0b11 != 0 {
            return None;
        }
        let start = target(at, pointer);
        let words = (pointer >> 32) as u16 as usize;
        let count = (pointer >> 48) as usize;
        let pointers = start.checked_add(words)?;
        if pointers.checked_add(count)? > segment.len() {
            return None;
        }
        let data = match words {
            0 => 0,
            _ => word(segment, start)?,
        };
        Some(Self {
            segment,
            data,
            pointers,
            count,
        })
    }

    /// The `index`th 16 bits of the data's first word.
    fn half(self, index: u32) -> u16 {
        (self.data >> (16 * index)) as u16
    }

    /// The first 32 bits of the data.
    fn number(self) -> u32 {
        self.data as u32
    }

    /// What the `index`th pointer leads to.
    fn structure(self, index: usize) -> Option<Self> {
        match self.pointer(index) {
            Some(at) => Self::at(self.segment, at),
            None => Some(Self {
                data: 0,
                count: 0,
                ..self
            }),
        }
    }

    /// Whether the `index`th pointer is null, or leads to an empty list of
    /// structs. False also where that is elsewhere.
    fn is_without_list(self, index: usize) -> bool {
        let Some(at) = self.pointer(index) else {
            return true;
        };
        let empty = |pointer: u64| {
            // A list whose elements are structs, of no words; the word before
            // them tells how many there are.
            (pointer & 0b11 == 1 && pointer >> 32 == 7)
                .then(|| target(at, pointer))
                .and_then(|tag| word(self.segment, tag))
                .is_some_and(|tag| tag as u32 == 0)
        };
        word(self.segment, at).is_some_and(|pointer| pointer == 0 || empty(pointer))
    }

    /// Where the `index`th pointer is.
    fn pointer(self, index: usize) -> Option<usize> {
        (index < self.count).then_some(self.pointers + index)
    }
}

/// The word `at` so many words.
pub(crate) fn word(segment: &[[u8; 8]], at: usize) -> Option<u64> {
    segment.get(at).map(|word| u64::from_le_bytes(*word))
}

/// Where the pointer leads that is `at` so many words: nowhere near, if that is
/// before the segment.
pub(crate) fn target(at: usize, pointer: u64) -> usize {
    let words = (pointer as u32 as i32 >> 2) as isize;
    (at + 1).wrapping_add_signed(words)
}

#[cfg(test)]
mod tests {
    use capnp::message::{Builder, HeapAllocator, Reader, ReaderOptions, SegmentArray};
    use capnp_rpc::rpc_capnp::{call, message, message_target, return_};

    use super::*;
    use crate::chance::chance;

    /// What capnp's own reader makes of it, where that is plain.
    fn read(segment: &[u8]) -> Result<Option<Plain>, capnp::Error> {
        let segments = [segment];
        let message = Reader::new(SegmentArray::new(&segments), ReaderOptions::new());
        Ok(match message.get_root::<message::Reader<'_>>()?.which() {
            Ok(message::Call(call)) => {
                let call = call?;
                let question = call.get_question_id();
                let empty = call.get_params()?.get_cap_table()?.is_empty();
                let target = match call.get_target()?.which()? {
                    message_target::ImportedCap(export) => Some(Target::Export(export)),
                    message_target::PromisedAnswer(answer) => {
                        let answer = answer?;
                        let whole = answer.get_transform()?.is_empty();
                        whole.then(|| Target::Answer(answer.get_question_id()))
                    }
                };
                match call.get_send_results_to().which() {
                    Ok(call::send_results_to::Caller(())) if empty => {
                        target.map(|target| Plain::Call { question, target })
                    }
                    _ => None,
                }
            }
            Ok(message::Return(answer)) => {
                let answer = answer?;
                match answer.which() {
                    Ok(return_::Results(Ok(results))) if results.get_cap_table()?.is_empty() => {
                        Some(Plain::Results {
                            question: answer.get_answer_id(),
                            no_finish_needed: answer.get_no_finish_needed(),
                        })
                    }
                    _ => None,
                }
            }
            Ok(message::Finish(finish)) => Some(Plain::Finish {
                question: finish?.get_question_id(),
            }),
            _ => None,
        })
    }

    /// The only segment of a message.
    fn segment(build: impl FnOnce(message::Builder<'_>)) -> Vec<u8> {
        let mut message = Builder::new(HeapAllocator::new().first_segment_words(256));
        build(message.init_root());
        let segments = message.get_segments_for_output();
        assert_eq!(segments.len(), 1);
        segments[0].to_vec()
    }

    /// A call on an export, or on what is so deep in an answer.
    fn call(capabilities: u32, elsewhere: bool, deep: Option<u32>) -> Vec<u8> {
        segment(|root| {
            let mut call = root.init_call();
            call.set_question_id(0x1234_5678);
            call.set_interface_id(u64::MAX);
            call.set_method_id(u16::MAX);
            if elsewhere {
                call.reborrow().get_send_results_to().set_yourself(());
            }
            let mut target = call.reborrow().init_target();
            match deep {
                Some(deep) => {
                    let mut answer = target.init_promised_answer();
                    answer.set_question_id(0x0fed_cba9);
                    answer.init_transform(deep);
                }
                None => target.set_imported_cap(0x9abc_def0),
            }
            let mut params = call.init_params();
            params.reborrow().get_content().set_as("text").unwrap();
            params.init_cap_table(capabilities);
        })
    }

    fn results(capabilities: u32, no_finish_needed: bool) -> Vec<u8> {
        segment(|root| {
            let mut answer = root.init_return();
            answer.set_answer_id(0x8765_4321);
            answer.set_no_finish_needed(no_finish_needed);
            answer.init_results().init_cap_table(capabilities);
        })
    }

    fn finish() -> Vec<u8> {
        segment(|root| root.init_finish().set_question_id(u32::MAX))
    }

    #[test]
    fn what_is_plain_is_read_as_capnp_reads_it() {
        let targets = [
            (None, Target::Export(0x9abc_def0)),
            (Some(0), Target::Answer(0x0fed_cba9)),
        ];
        for (deep, target) in targets {
            let expected = Plain::Call {
                question: 0x1234_5678,
                target,
            };
            assert_eq!(Plain::of(&call(0, false, deep)), Some(expected));
        }
        for no_finish_needed in [false, true] {
            let expected = Plain::Results {
                question: 0x8765_4321,
                no_finish_needed,
            };
            assert_eq!(Plain::of(&results(0, no_finish_needed)), Some(expected));
        }
        let expected = Plain::Finish { question: u32::MAX };
        assert_eq!(Plain::of(&finish()), Some(expected));
    }

    #[test]
    fn what_is_not_plain_is_left_to_capnp() {
        for other in [
            call(1, false, None),
            call(0, true, None),
            call(0, false, Some(1)),
            results(1, true),
            segment(|root| root.init_return().set_canceled(())),
            segment(|root| root.init_release().set_id(1)),
            segment(|root| root.init_abort().set_reason("over")),
        ] {
            assert_eq!(Plain::of(&other), None);
        }
    }

    #[test]
    fn nothing_is_read_otherwise_than_capnp_reads_it_however_it_is_damaged() {
        let whole = [
            call(0, false, None),
            call(0, false, Some(0)),
            call(1, false, None),
            call(0, true, Some(0)),
            call(0, false, Some(1)),
            results(0, true),
            results(2, false),
            finish(),
        ];
        let mut chance = chance();
        let mut plain = 0;
        for _ in 0..200_000 {
            let mut damaged = whole[chance(whole.len())].clone();
            for _ in 0..=chance(3) {
                let at = chance(damaged.len());
                match chance(4) {
                    0 => damaged[at] ^= 1 << chance(8),
                    1 => damaged[at] = 0,
                    2 => damaged[at] = chance(256) as u8,
                    _ => damaged[at / 8 * 8..][..8].fill(0),
                }
            }
            damaged.truncate((1 + chance(damaged.len() / 8 * 4)).min(damaged.len() / 8) * 8);
            if let Some(found) = Plain::of(&damaged) {
                let expected = read(&damaged);
                assert_eq!(expected.unwrap(), Some(found), "{damaged:02x?}");
                plain += 1;
            }
        }
        assert!(plain > 10_000, "{plain} of them were plain");
    }
}
