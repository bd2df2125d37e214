use super::shared::part;
use super::signal::Signal;

/// How many polls a guest sits out for each tick that it ran: time for some hundred
/// calls of a neighbour's.
const REST: u64 = 8;

/// Ticks of a poll that a guest sits out for, whatever they went into: what its host
/// takes long for is the guest's doing. Fewer may be others' on the processor.
const LONG: u64 = 16;

/// The most ticks that it sits out for so: a host that stood still for longer did so
/// for reasons of its own.
const LONGEST: u64 = 64;

/// How many messages of the guest's a poll serves before it lets others run, and
/// fewer long ones: with many calls in flight a vat reads as many at once, where calls
/// one at a time take a round each. For every as many more, a guest sits out a poll.
pub(super) const MESSAGES: u64 = 16;

/// What a guest sits out, after it had more than its share of the thread.
#[derive(Default)]
pub(super) struct Rest {
    /// Ticks that have passed while the guest ran and that it has not rested for. More
    /// than one where it was in what nothing interrupts: a fill of all its memory, say.
    ran: u64,
    /// Polls that it still sits out.
    polls: u64,
}

impl Rest {
    /// Notes that so many ticks have passed while the guest ran.
    pub(super) fn note_ran(&mut self, ticks: u64) {
        self.ran += ticks;
    }

    /// Whether the poll that begins is sat out.
    pub(super) fn sit_out(&mut self) -> bool {
        let rests = self.polls > 0;
        self.polls -= u64::from(rests);
        rests
    }

    /// Polls that it still had to sit out, now that it has ended.
    pub(super) fn owed(&self) -> u64 {
        self.polls
    }

    /// Has a guest rest that was interrupted in a poll, or has run for more than a tick
    /// all the same; and where the poll took so many ticks, or served so much, that it
    /// had more than its share. One that has ended leaves its vat with what it had said.
    pub(super) fn note_poll(&mut self, signal: &Signal, lives: bool, ticks: u64, served: u64) {
        let yielded = self.ran > 0 && signal.take_part(part::YIELD);
        let ran = if lives && (yielded || self.ran > 1) {
            std::mem::take(&mut self.ran)
        } else {
            0
        };
        let long = if ticks >= LONG { ticks.min(LONGEST) } else { 0 };
        let shares = (served / MESSAGES).saturating_sub(1);
        self.polls = shares.max(REST * ran.max(long));
        if self.polls > 0 {
            // It rests now, not when it is woken next.
            signal.raise(part::GUEST);
        }
    }
}
