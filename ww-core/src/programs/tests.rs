use std::pin::pin;
use std::sync::mpsc::channel;

use futures::future::poll_immediate;
use futures_lite::future::block_on;

use super::*;

fn programs() -> Programs {
    Programs::new(
        Arc::new(Tiers::new(0, false).expect("the engine starts")),
        None,
    )
}

fn pending(programs: &Programs) -> usize {
    lock(&programs.shelf).pending.len()
}

/// Has all threads that may compile do something else until it is dropped.
fn busy(programs: &Programs) -> impl Sized + use<> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let busy = (0..processors).map(|_| {
        let (end, ends) = channel::<()>();
        let queue = programs.compiling.clone();
        let mut work = Box::pin(async move { _ = queue.run(move || ends.recv()).await });
        assert!(block_on(poll_immediate(&mut work)).is_none());
        (end, work)
    });
    busy.collect::<Vec<_>>()
}

/// The head of a component, and no entry.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

#[test]
fn who_asks_meanwhile_shares_the_compilation_and_its_outcome() {
    let programs = programs();
    let ask = || programs.compile(Bytes::from_static(EMPTY), None);
    block_on(async {
        let mut first = Box::pin(ask());
        let mut second = pin!(ask());
        // Keeps the job from being over before the second asks.
        let busy = busy(&programs);
        assert!(poll_immediate(&mut first).await.is_none());
        assert!(poll_immediate(&mut second).await.is_none());
        assert_eq!(pending(&programs), 1);
        drop(busy);
        // One who gives up takes nothing from the other.
        let _ = poll_immediate(&mut first).await;
        drop(first);
        assert!(matches!(second.await, Err(Error::NoEntry)));
    });
    assert_eq!(pending(&programs), 0);
    assert!(lock(&programs.shelf).kept.is_empty());
}

#[test]
fn what_nobody_waits_for_is_forgotten() {
    let programs = programs();
    let _busy = busy(&programs);
    for wasm in [EMPTY, b"junk"] {
        let mut asked = Box::pin(programs.compile(Bytes::from_static(wasm), None));
        assert!(block_on(poll_immediate(&mut asked)).is_none());
        assert_eq!(pending(&programs), 1);
        drop(asked);
        assert_eq!(pending(&programs), 0);
    }
}

#[test]
fn a_panic_of_the_compiler_is_an_error() {
    let panics: [fn() -> Result<(), Error>; 2] =
        [|| panic!("a bug"), || panic!("a bug on line {}", 7)];
    for panics in panics {
        match caught(panics) {
            Err(Error::Compile(cause)) => {
                let text = cause.to_string();
                assert!(text.starts_with("the compiler panicked: a bug"), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_observer_that_panics_takes_nothing_from_others() {
    let programs = programs();
    for at in [Phase::Waiting, Phase::Compiling] {
        let panics = Arc::new(move |phase| assert_ne!(phase, at, "the observer's own fault"));
        let mut first = Box::pin(programs.compile(Bytes::from_static(EMPTY), Some(panics)));
        let mut second = pin!(programs.compile(Bytes::from_static(EMPTY), None));
        // Keeps the job from being over before the second asks.
        let busy = busy(&programs);
        assert!(block_on(poll_immediate(&mut first)).is_none(), "{at}");
        assert!(block_on(poll_immediate(&mut second)).is_none(), "{at}");
        drop(busy);
        assert!(
            matches!(block_on(second.as_mut()), Err(Error::NoEntry)),
            "{at}"
        );
        drop(first);
    }
}
