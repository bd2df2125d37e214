use std::time::Duration;

use criterion::{Criterion, SamplingMode};

use crate::Outcome;

/// Rounds that count for each of criterion's benchmarks; those before them
/// were its warm-up.
const SAMPLES: usize = 10;

/// One side of a comparison: does its work so often, and says how long it took.
pub type Side<'a> = Box<dyn FnMut(u64) -> Outcome<Duration> + 'a>;

/// A subject and its peer, measured in turns: a round is some iterations of
/// the one and then as many of the other, so that a machine that drifts does
/// so for both.
pub struct Rounds<'a> {
    subject: Side<'a>,
    peer: Side<'a>,
    /// Nanoseconds an iteration: the subject's and the peer's.
    measured: Vec<(f64, f64)>,
    /// Whether the peer comes first in the next round.
    peer_first: bool,
}

impl<'a> Rounds<'a> {
    /// Nothing is measured yet.
    pub fn new(
        subject: impl FnMut(u64) -> Outcome<Duration> + 'a,
        peer: impl FnMut(u64) -> Outcome<Duration> + 'a,
    ) -> Self {
        Self {
            subject: Box::new(subject),
            peer: Box::new(peer),
            measured: Vec::new(),
            peer_first: false,
        }
    }

    /// Measures both under `name`, where criterion's filter lets it, and
    /// answers the rounds that count, in nanoseconds an iteration.
    ///
    /// # Panics
    ///
    /// When a side fails: there is nothing to compare then.
    pub fn measure(mut self, criterion: &mut Criterion, name: &str) -> Vec<(f64, f64)> {
        let mut counted = Vec::new();
        let mut group = criterion.benchmark_group(name);
        group
            .sampling_mode(SamplingMode::Flat)
            .sample_size(SAMPLES)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_millis(500));
        for side in ["ours", "bare"] {
            group.bench_function(side, |bencher| {
                bencher.iter_custom(|iterations| {
                    let (subject, peer) = self.round(iterations).unwrap_or_else(|error| {
                        panic!("{name}: {error}");
                    });
                    if side == "ours" { subject } else { peer }
                });
            });
            let warm = self.measured.len().saturating_sub(SAMPLES);
            counted.extend(self.measured.drain(..).skip(warm));
        }
        group.finish();
        counted
    }

    fn round(&mut self, iterations: u64) -> Outcome<(Duration, Duration)> {
        let (subject, peer);
        if self.peer_first {
            peer = (self.peer)(iterations)?;
            subject = (self.subject)(iterations)?;
        } else {
            subject = (self.subject)(iterations)?;
            peer = (self.peer)(iterations)?;
        }
        self.peer_first = !self.peer_first;
        let nanos = |took: Duration| took.as_nanos() as f64 / iterations as f64;
        self.measured.push((nanos(subject), nanos(peer)));
        Ok((subject, peer))
    }
}
