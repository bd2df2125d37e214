//! Which source is asked when, and how often.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use futures_lite::future::{block_on, yield_now};
use ww_loader::clock::Clock;
use ww_loader::http::Body;
use ww_loader::ipfs::{Blocks, Error, Limits, Query, Retry, Scope, Source, SourceError};
use ww_loader::ipld::{Cid, CodecError, car};
use ww_loader::{Bytes, async_trait};

use crate::clock::{Hasty, Virtual};
use crate::pack::{Held, Pack};

const SECOND: Duration = Duration::from_secs(1);

/// Fails as it is told to, then gives what it holds.
#[derive(Clone)]
struct Shaky {
    held: Held,
    failures: Arc<Mutex<VecDeque<SourceError>>>,
    asked: Arc<Mutex<u32>>,
}

impl Shaky {
    fn new(pack: &Pack, failures: impl IntoIterator<Item = SourceError>) -> Self {
        Self {
            held: Held::new(pack.blocks.clone()),
            failures: Arc::new(Mutex::new(failures.into_iter().collect())),
            asked: Arc::default(),
        }
    }

    fn asked(&self) -> u32 {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

#[async_trait]
impl Source for Shaky {
    fn name(&self) -> &str {
        "shaky"
    }

    async fn block(&self, cid: &Cid, most: usize, late: Duration) -> Result<Bytes, SourceError> {
        *self.asked.lock().unwrap() += 1;
        // Others are asked for meanwhile.
        yield_now().await;
        let failure = self.failures.lock().unwrap().pop_front();
        match failure {
            Some(error) => Err(error),
            None => self.held.block(cid, most, late).await,
        }
    }
}

fn status(status: u16, again: Option<u64>) -> SourceError {
    SourceError::Status {
        status,
        text: None,
        again: again.map(Duration::from_secs),
    }
}

fn lie() -> SourceError {
    let cid = Cid::of(ww_loader::ipld::Codec::Raw, b"asked for");
    let error: CodecError = cid.verify(b"given").unwrap_err();
    SourceError::Codec(error)
}

fn retry(rounds: u32) -> Retry {
    let mut retry = Retry::default();
    (retry.rounds, retry.first, retry.most) = (rounds, SECOND, 10 * SECOND);
    retry
}

#[test]
fn a_source_that_fails_is_asked_last_for_twice_as_long_each_time() {
    let mut pack = Pack::default();
    let cids: Vec<_> = (0..100_u8).map(|n| pack.raw(&[n])).collect();
    let mut cids = cids.iter();
    let late = || SourceError::Late { after: SECOND };
    // What it says, and how many seconds it is left alone for that.
    let script = [
        (late(), 1),
        (status(500, None), 2),
        (lie(), 4),
        (status(429, Some(7)), 8),
        (SourceError::TooLarge { limit: 1 }, 10),
        (status(429, Some(u64::MAX)), 10),
        // That it has not got a block is nothing to leave it alone for.
        (SourceError::Missing, 0),
        (status(404, Some(9)), 0),
    ];
    let (says, rests): (Vec<_>, Vec<u32>) = script.into_iter().unzip();
    let (shaky, steady) = (Shaky::new(&pack, says), Held::new(pack.blocks.clone()));
    let clock = Virtual::default();
    let blocks = Blocks::builder()
        .clock(clock.clone())
        .retry(retry(1))
        .source(shaky.clone())
        .source(steady.clone())
        .build();
    let mut get = || {
        let before = steady.asked();
        block_on(blocks.block(cids.next().unwrap())).unwrap();
        (shaky.asked(), steady.asked() - before)
    };
    for (n, rests) in rests.into_iter().enumerate() {
        assert_eq!(get(), (1, 1), "{n}");
        if rests > 0 {
            assert_eq!(get(), (0, 1), "{n}: the steady one is asked first");
            clock.advance(rests * SECOND - Duration::from_millis(1));
            assert_eq!(get(), (0, 1), "{n}: a millisecond is left");
            clock.advance(Duration::from_millis(1));
        }
    }
    assert_eq!(get(), (1, 0), "it gives what it has");
}

#[test]
fn a_source_that_rests_is_asked_all_the_same_where_nobody_else_has_the_block() {
    let mut pack = Pack::default();
    let cids = [pack.raw(b"1"), pack.raw(b"2")];
    let shaky = Shaky::new(&pack, [status(503, None)]);
    let blocks = Blocks::builder()
        .clock(Virtual::default())
        .retry(retry(1))
        .source(shaky.clone())
        .source(Held::default())
        .build();
    block_on(blocks.block(&cids[0])).unwrap_err();
    assert_eq!(block_on(blocks.block(&cids[1])).unwrap(), "2");
    assert_eq!(shaky.asked(), 2);
}

#[test]
fn what_may_pass_is_asked_again_round_after_round_and_nothing_else() {
    let mut pack = Pack::default();
    let cid = pack.raw(b"1");
    for (says, rounds, asked, waited, found) in [
        (vec![status(500, None); 2], 3, 3, 1 + 2, true),
        (vec![status(500, None); 3], 3, 3, 1 + 2, false),
        (vec![status(408, None); 4], 9, 5, 1 + 2 + 4 + 8, true),
        (vec![status(429, Some(5))], 2, 2, 5, true),
        (vec![status(404, None)], 3, 1, 0, false),
        (vec![status(501, None)], 3, 1, 0, false),
        (vec![status(505, None)], 3, 1, 0, false),
        (vec![lie()], 3, 1, 0, false),
        (vec![SourceError::Missing], 3, 1, 0, false),
        (vec![status(500, None)], 0, 1, 0, false),
    ] {
        let shaky = Shaky::new(&pack, says.clone());
        let clock = Hasty::default();
        let blocks = Blocks::builder()
            .clock(clock.clone())
            .retry(retry(rounds))
            .source(shaky.clone())
            .build();
        let result = block_on(blocks.block(&cid));
        assert_eq!(result.is_ok(), found, "{says:?}");
        assert_eq!(shaky.asked(), asked, "{says:?}");
        assert_eq!(clock.now(), waited * SECOND, "{says:?}");
        if let Err(Error::Unavailable { attempts, .. }) = result {
            let told: Vec<_> = attempts.iter().map(|at| at.error.to_string()).collect();
            let said: Vec<_> = says.iter().map(ToString::to_string).collect();
            assert_eq!(told, said, "each attempt is told, in order");
        }
    }
}

#[test]
fn requests_that_fail_together_count_as_one_failure() {
    let mut pack = Pack::default();
    let cids: Vec<_> = (0..8_u8).map(|n| pack.raw(&[n])).collect();
    for (again, waited) in [(None, SECOND), (Some(7), 7 * SECOND)] {
        // The last of them says how long it wants to be left alone.
        let busy = (0..8).map(|n| status(503, again.filter(|_| n == 7)));
        let shaky = Shaky::new(&pack, busy);
        let clock = Virtual::default();
        let blocks = Blocks::builder()
            .clock(clock.clone())
            .retry(retry(2))
            .source(shaky.clone())
            .build();
        let mut all = join_all(cids.iter().map(|cid| blocks.block(cid))).boxed();
        let mut go = || (0..20).find_map(|_| (&mut all).now_or_never());
        assert!(go().is_none());
        assert_eq!(shaky.asked(), 8);
        clock.advance(waited - Duration::from_millis(1));
        assert!(go().is_none());
        clock.advance(Duration::from_millis(1));
        let had = go().expect("it has rested");
        assert!(had.iter().all(Result::is_ok), "{had:?}");
        assert_eq!(shaky.asked(), 8);
    }
}

#[test]
fn who_waits_for_a_source_asks_it_as_soon_as_it_has_given_something() {
    let mut pack = Pack::default();
    let cids = [pack.raw(b"1"), pack.raw(b"2")];
    let shaky = Shaky::new(&pack, [status(503, None)]);
    let blocks = Blocks::builder()
        .clock(Virtual::default())
        .retry(retry(2))
        .source(shaky.clone())
        .build();
    let mut waits = blocks.block(&cids[0]).boxed();
    let mut go = || (0..20).find_map(|_| (&mut waits).now_or_never());
    assert!(go().is_none());
    assert_eq!(block_on(blocks.block(&cids[1])).unwrap(), "2");
    assert_eq!(go().expect("it need not rest").unwrap(), "1");
    assert_eq!(shaky.asked(), 3);
}

#[test]
fn what_is_kept_is_prefetched_though_nobody_answers() {
    let mut pack = Pack::default();
    let cids = [pack.raw(b"1"), pack.raw(b"2")];
    let shaky = Shaky::new(&pack, []);
    let clock = Hasty::default();
    let blocks = Blocks::builder()
        .clock(clock.clone())
        .retry(retry(3))
        .source(shaky.clone())
        .build();
    block_on(blocks.block(&cids[0])).unwrap();
    shaky.asked();
    shaky
        .failures
        .lock()
        .unwrap()
        .extend(vec![status(503, None); 9]);
    let prefetch = |n: usize, scope| block_on(blocks.prefetch(&cids[n].clone().into(), scope));
    prefetch(0, Scope::Block).unwrap();
    assert_eq!(shaky.asked(), 0, "it is kept, and there is no more to it");
    for scope in [Scope::Entity, Scope::All] {
        prefetch(0, scope).unwrap();
        assert_eq!(shaky.asked(), 1, "the rest may be kept as well");
    }
    assert_eq!(clock.now(), Duration::ZERO, "nobody waits");
    let missing = prefetch(1, Scope::All).unwrap_err();
    assert!(matches!(missing, Error::Unavailable { .. }), "{missing}");
    assert_eq!(shaky.asked(), 3);
}

/// Sends the block that is asked for, and then more than fits an answer.
struct Generous(Held);

#[async_trait]
impl Source for Generous {
    fn name(&self) -> &str {
        "generous"
    }

    async fn block(&self, cid: &Cid, most: usize, late: Duration) -> Result<Bytes, SourceError> {
        self.0.block(cid, most, late).await
    }

    async fn car(&self, query: &Query, _: Duration, _: Duration) -> Result<Body, SourceError> {
        let first = car::section(&query.cid, &self.0.blocks[&query.cid]);
        let rest = car::section(&Cid::of(ww_loader::ipld::Codec::Raw, &[0; 999]), &[0; 999]);
        let pieces = [car::header(&[]), first, rest].map(|piece| Ok(piece.into()));
        Ok(Body::new(Box::pin(futures::stream::iter(pieces))))
    }
}

#[test]
fn a_source_that_has_more_than_fits_an_answer_has_not_failed() {
    let mut pack = Pack::default();
    let cids = [pack.raw(b"1"), pack.raw(b"2")];
    let (generous, other) = (Held::new(pack.blocks.clone()), Held::new(pack.blocks));
    let mut limits = Limits::default();
    limits.answer = 500;
    let blocks = Blocks::builder()
        .clock(Virtual::default())
        .limits(limits)
        .source(Generous(generous.clone()))
        .source(other.clone())
        .build();
    block_on(blocks.prefetch(&cids[0].clone().into(), Scope::All)).unwrap();
    assert_eq!(block_on(blocks.block(&cids[0])).unwrap(), "1");
    assert_eq!((generous.asked(), other.asked()), (0, 0), "it was sent");
    assert_eq!(block_on(blocks.block(&cids[1])).unwrap(), "2");
    assert_eq!((generous.asked(), other.asked()), (1, 0));
}
