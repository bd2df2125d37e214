//! Cells that were started beside another, or by it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use capnp::ErrorKind;
use futures::future::{Either, select};
use futures::pin_mut;
use ww_core::Error;
use ww_core::cell::{Cell, Driver, Input, Local};
use ww_core::network::Offline;
use ww_core::serve::Spawner;
use ww_membrane::{Epoch, Epochs, Membrane};
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{host, process};

use crate::patience::patiently;
use crate::stage::{RUNTIME, guest};

thread_local! {
    /// Capabilities do not leave their thread, so they are handed over here.
    static KEPT: RefCell<Option<(program::Client, process::Client)>> = const { RefCell::new(None) };
}

/// Compiles `echo-child` and runs it as a child of `parent`.
async fn start_child(parent: Local) -> Result<(), Error> {
    let spawner = Spawner::beside(&parent, &RUNTIME, Arc::new(Offline::new()));
    let mut request = Rc::new(spawner).client().compile_request();
    request.get().set_wasm(&example_images::wasm("echo-child"));
    let compiled = request.send().promise.await?;
    let program = compiled.get()?.get_program()?;
    let response = program.spawn_request().send().promise.await?;
    let process = response.get()?.get_process()?;
    KEPT.set(Some((program, process)));
    Ok(())
}

#[test]
fn children_end_with_their_parent_and_none_is_started_after_it() {
    patiently(async {
        let parent = guest("echo-child").stdin(Input::piped());
        let (cell, start) = parent.prepare().await.unwrap();
        let driver = start.drive();
        let started = cell.with(start_child);
        pin_mut!(started);
        let Either::Right((Ok(()), driver)) = select(driver, started).await else {
            panic!("the parent runs, and the child is started");
        };
        let (program, process) = KEPT.take().unwrap();

        cell.kill();
        // All its cells have ended, though the child's process is held.
        driver.await;
        let ended = process.wait_request().send().promise.await;
        let error = ended.map(drop).unwrap_err();
        assert!(error.extra.contains("killed"), "{error}");

        let late = program.spawn_request().send().promise.await;
        let error = late.map(drop).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Disconnected, "{error}");
    });
}

#[test]
fn beside_a_cell_that_has_ended_nothing_starts() {
    patiently(async {
        let ended = guest("hello").spawn().await.unwrap();
        ended.wait().await.unwrap();
        let late = guest("hello").beside(&ended).spawn().await;
        assert!(matches!(late, Err(Error::Ended { .. })));
    });
}

#[test]
fn a_start_that_is_dropped_ends_what_waits_for_it() {
    patiently(async {
        let (cell, start) = guest("hello").prepare().await.unwrap();
        let task = cell.with(async |_| Ok(()));
        let neighbour = guest("hello").beside(&cell).spawn().await.unwrap();
        drop(start);
        assert!(matches!(task.await, Err(Error::Ended { .. })));
        assert!(matches!(
            cell.with(async |_| Ok(())).await,
            Err(Error::Ended { .. })
        ));
        assert!(matches!(cell.wait().await, Err(Error::Dropped)));
        assert!(matches!(neighbour.wait().await, Err(Error::Dropped)));
    });
}

/// A cell that lives until its input ends, its driver, and such a cell beside it.
async fn neighbours() -> (Cell, Driver, Cell) {
    let lives = || guest("echo-child").stdin(Input::piped());
    let (cell, start) = lives().prepare().await.expect("it can run");
    let driver = start.drive();
    let neighbour = lives().beside(&cell).spawn().await.expect("it can run");
    (cell, driver, neighbour)
}

#[test]
fn a_panic_ends_one_cell_of_a_driver_and_not_the_others() {
    patiently(async {
        let (cell, driver, neighbour) = neighbours().await;
        let panics = cell.with(async |_| -> Result<(), Error> { panic!("as the test wants") });
        let watch = async {
            assert!(matches!(panics.await, Err(Error::Ended { .. })));
            assert!(matches!(cell.wait().await, Err(Error::Panicked { .. })));
            assert!(neighbour.with(async |_| Ok(true)).await.unwrap());
            drop(neighbour.take_stdin());
            assert_eq!(neighbour.wait().await.unwrap().code(), 0);
        };
        futures::join!(driver, watch);
    });
}

/// Panics when it is let go of.
struct Explosive;

impl host::Server for Explosive {}

impl Drop for Explosive {
    fn drop(&mut self) {
        panic!("as the test wants");
    }
}

#[test]
fn what_panics_when_an_epoch_passes_ends_no_cell() {
    patiently(async {
        let (cell, driver, neighbour) = neighbours().await;
        let epochs = Epochs::new(Epoch::default());
        let sessions = [(); 2].map(|()| Membrane::new(epochs.guard()));
        let hold =
            |session: &Membrane| session.wrap::<host::Client>(capnp_rpc::new_client(Explosive));
        let held = sessions.each_ref().map(hold);
        let watch = async {
            let answers = async |cell: &Cell| cell.with(async |_| Ok(true)).await.unwrap();
            assert!(answers(&cell).await && answers(&neighbour).await);
            epochs
                .advance(Epoch {
                    seq: 1,
                    ..Epoch::default()
                })
                .unwrap();
            epochs.settled(1).await;
            assert!(answers(&cell).await && answers(&neighbour).await);
            for cell in [cell, neighbour] {
                drop(cell.take_stdin());
                assert_eq!(cell.wait().await.unwrap().code(), 0);
            }
        };
        futures::join!(driver, watch);
        drop(held);
    });
}
