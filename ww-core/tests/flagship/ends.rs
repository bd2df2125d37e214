//! Cells that would not end by themselves, each ended in each way.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use capnp::ErrorKind;
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use ww_core::Error;
use ww_core::cell::{Builder, Cell, Input, Limit, Limits, Local, Output};
use ww_rpc::peer_capnp::executor;

use crate::body::Ground;
use crate::wat;

/// Time that a cell is given where it is ended by the clock.
const WALL: Duration = Duration::from_secs(60);

/// Interruptions that a guest may still see once it is to end.
const TICKS: u64 = 2;

/// How a cell is ended.
#[derive(Clone, Copy, Debug)]
enum End {
    Kill,
    Drop,
    Wall,
    /// The executor drops its driver.
    Driver,
}

/// What the guest is at.
#[derive(Clone, Copy, Debug)]
enum At {
    /// `stuck`, with its argument: it has called, and exports something.
    Main(&'static str),
    /// A start function, so that it is not instantiated yet.
    Start(&'static str),
}

/// What the host serves: tells of each call, and of its own end.
struct Host {
    called: UnboundedSender<()>,
    _alive: Arc<()>,
}

impl executor::Server for Host {
    async fn echo(
        self: Rc<Self>,
        _: executor::EchoParams,
        _: executor::EchoResults,
    ) -> Result<(), capnp::Error> {
        self.called.unbounded_send(()).expect("the test listens");
        Ok(())
    }
}

pub(crate) async fn ends(ground: &Ground) -> Result<(), Error> {
    const SPIN: &str = "(func $start (loop (br 0)))";
    const READ: &str = r#"(func $start
        (call $read (call $stdin) (i64.const 1) (i32.const 64)))"#;
    let guests = [
        At::Main("spin"),
        At::Main("sleep"),
        At::Main("read"),
        At::Main("write"),
        At::Start(SPIN),
        At::Start(READ),
    ];
    for at in guests {
        for end in [End::Kill, End::Drop, End::Wall, End::Driver] {
            if matches!(end, End::Driver) && ground.drivers.is_none() {
                continue;
            }
            ended(ground, at, end).await?;
        }
    }
    Ok(())
}

async fn ended(ground: &Ground, at: At, end: End) -> Result<(), Error> {
    let what = format!("{at:?}, {end:?}");
    let alive = Arc::new(());
    let (called, mut calls) = unbounded();
    let mut limits = Limits::default();
    limits.wall = Some(WALL);
    let builder = match at {
        At::Main(verb) => {
            let held = alive.clone();
            let image = Builder::new().image(example_images::path("stuck"));
            image.args([verb]).bootstrap(move |_| {
                let _alive = held;
                Ok(capnp_rpc::new_client::<executor::Client, _>(Host {
                    called,
                    _alive,
                }))
            })
        }
        At::Start(function) => wat::component(&format!(
            r#"{function} (start $start) (func (export "run") (result i32) (i32.const 0))"#
        )),
    };
    let builder = builder
        .stdin(Input::piped())
        .stdout(Output::piped())
        .limits(limits);
    let (cell, driver) = ground.start_abortable(builder).await?;
    // Nobody reads it, and it is not discarded either.
    let _stdout = cell.take_stdout();
    let exported = broken(&cell);
    if let At::Main(_) = at {
        calls.next().await.expect("the guest calls");
        assert!(Arc::strong_count(&alive) > 1);
    }
    // It runs, and gives way to others.
    cell.with(async |_| Ok(())).await?;

    let waiting = cell.wait();
    let cell = match end {
        End::Drop => {
            drop(cell);
            None
        }
        End::Kill => {
            cell.kill();
            Some(cell)
        }
        End::Wall => {
            ground.clock.advance(WALL);
            Some(cell)
        }
        End::Driver => {
            driver.expect("there is one").abort();
            Some(cell)
        }
    };
    let interruptions = cell.as_ref().map(|cell| cell.usage().interruptions);
    let error = waiting.await.expect_err(&what);
    match end {
        End::Driver => assert!(matches!(error, Error::Dropped), "{what}: {error}"),
        End::Kill | End::Drop => assert!(matches!(error, Error::Killed), "{what}: {error}"),
        End::Wall => {
            let wall = |ended: &Error| {
                matches!(
                    ended,
                    Error::Limit {
                        limit: Limit::Wall,
                        ..
                    }
                )
            };
            assert!(wall(&error), "{what}: {error}");
        }
    }
    if let (Some(cell), Some(before)) = (cell, interruptions) {
        let usage = cell.usage();
        assert!(usage.interruptions <= before + TICKS, "{what}: {usage:?}");
        assert_eq!(usage.memory, 0, "{what}");
    }
    assert_eq!(
        Arc::strong_count(&alive),
        1,
        "{what}: the host's server lives"
    );
    match (exported.await, end) {
        // It was a task of the driver's.
        (Err(Error::Ended { .. }), End::Driver) => {}
        // One by hand speaks no RPC, so there was nothing that a limit could end.
        (exported, End::Wall) if matches!(at, At::Main(_)) => {
            assert_eq!(exported?, ErrorKind::Overloaded, "{what}");
        }
        (exported, _) => assert_eq!(exported?, ErrorKind::Disconnected, "{what}"),
    }
    Ok(())
}

/// What a call on what the cell exports fails with, once the cell has ended.
fn broken(cell: &Cell) -> impl Future<Output = Result<ErrorKind, Error>> + Send + use<> {
    cell.with(async |local: Local| {
        let exported: executor::Client = local.exported();
        let answer = exported.echo_request().send().promise.await;
        Ok(answer.map(drop).expect_err("it does not come back").kind)
    })
}
