use std::rc::Rc;
use std::time::Duration;

use futures::future::{join, poll_immediate};
use ww_core::cell::Builder;
use ww_core::{Error, Program};

use crate::case::{Case, Fate, PAGE};
use crate::component::command;
use crate::ground::{Ground, Neighbour};
use crate::guests::guests;
use crate::held::held;
use crate::threads;

/// Calls that a neighbour answers while a guest that never ends is alive.
const CALLS: usize = 20;

/// Rounds until all that is kept on purpose is there, and what allocators take for
/// threads that meet, which may be late on a busy machine.
const WARM: usize = 4;

/// Rounds that are held against as many after them.
const ROUNDS: usize = 2;

/// Every guest, over and over.
///
/// What one round leaves shows in the next. A single count may be off by what
/// allocators do, so it is the most of some rounds that the least of the rounds
/// after them is held against: one thing left in each round is one too many.
pub(crate) async fn suite(ground: Ground) {
    threads::meet();
    let vacant = ground.runtime.occupancy();
    let exporter = ground.compile(example_images::wasm("exporter")).await;
    let traps = ground.compile(trap()).await;
    let mut cases = Vec::new();
    for case in guests() {
        let program = ground.compile(case.wasm.clone()).await;
        cases.push((case, program));
    }
    let round = async || {
        let neighbour = Neighbour::new(&ground, &exporter).await;
        for (case, program) in &cases {
            meet(&ground, &neighbour, case, program).await;
        }
        a_thousand_traps(&ground, &neighbour, &traps).await;
        neighbour.leaves().await.expect("it was let alone");
        assert_eq!(ground.runtime.occupancy(), vacant);
        held()
    };
    for _ in 0..WARM {
        round().await;
    }
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        before.push(round().await);
    }
    for _ in 0..ROUNDS {
        after.push(round().await);
    }
    for of in 0..before[0].len() {
        let most = before.iter().map(|held| held[of]).max();
        let least = after.iter().map(|held| held[of]).min();
        assert!(least <= most, "{before:?} {after:?}");
    }
}

/// Runs one guest to its end.
async fn meet(ground: &Ground, neighbour: &Neighbour, case: &Case, program: &Program) {
    let what = case.what;
    let cell = Rc::new(ground.start(case.builder(&ground.runtime, program)).await);
    let life = async {
        let (mut answered, mut busy) = (0, Duration::ZERO);
        loop {
            neighbour.answers().await;
            if let Some(ended) = poll_immediate(cell.wait()).await {
                return ended;
            }
            let before = std::mem::replace(&mut busy, cell.usage().busy);
            let ran = before != busy;
            match case.fate {
                Fate::Exits(_) | Fate::Fails(..) | Fate::Exceeds(_) => {}
                // As many in a row, while it does nothing.
                Fate::Waits if ran || busy.is_zero() => answered = 0,
                Fate::Waits => answered += 1,
                // As many, while it goes on.
                Fate::Spins => answered += usize::from(ran),
            }
            // And until it has met what it is to meet, or there was time enough.
            let met = cell.usage().refused == case.refused;
            if answered >= CALLS && (met || answered >= 1000 * CALLS) {
                cell.kill();
                return cell.wait().await;
            }
        }
    };
    let (ended, ()) = join(life, (case.host)(cell.clone())).await;
    case.check(&ended);
    let used = cell.usage();
    assert_eq!(used.memory, 0, "{what}");
    let panicked = matches!(ended, Err(Error::Panicked { .. }));
    assert!(panicked || used.busy > Duration::ZERO, "{what}");
    assert_eq!(used.refused, case.refused, "{what}");
    if let Some(peak) = case.peak {
        // What instances take comes to it, or out of it, and is less than a page.
        let held = used.peak_memory;
        assert!(held.abs_diff(peak) < PAGE, "{what}: {held} bytes");
    }
    neighbour.answers().await;
}

fn trap() -> Vec<u8> {
    command(r#"(func (export "run") (result i32) unreachable)"#)
}

async fn a_thousand_traps(ground: &Ground, neighbour: &Neighbour, program: &Program) {
    for number in 0..1000 {
        let cell = ground.start(Builder::new().program(program.clone())).await;
        let ended = cell.wait().await;
        assert!(matches!(ended, Err(Error::Trap { .. })), "{ended:?}");
        if number % 100 == 0 {
            neighbour.answers().await;
        }
    }
}
