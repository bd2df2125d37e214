//! What happens when the process has no room for more cells. Alone in its
//! file, because it takes all that the process has.
#![cfg(target_os = "linux")]

use futures_lite::future::block_on;
use ww_core::cell::{Builder, Input};
use ww_core::{Error, Runtime};

#[test]
fn a_cell_too_many_is_refused_and_the_others_live_on() {
    let runtime = |cells| Runtime::builder().workers(1).cells(cells).build();
    let refused = runtime(1_000_000).expect_err("no process may have as many maps");
    assert!(
        matches!(refused, Error::Full { taken: 0, .. }),
        "{refused:?}"
    );

    let runtime = runtime(1_000).expect("there is room");
    block_on(async {
        let exporter = example_images::wasm("exporter");
        let program = runtime.compile(exporter).await.expect("it compiles");
        let builder = || {
            Builder::new()
                .program(program.clone())
                .stdin(Input::piped())
        };
        let living = builder().spawn().await.expect("it spawns");
        let mut prepared = Vec::new();
        let refused = loop {
            match builder().prepare().await {
                Ok(start) => prepared.push(start),
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, Error::Full { .. }), "{refused:?}");
        assert!(prepared.len() > 8_000, "{}", prepared.len());
        assert_eq!(runtime.occupancy().cells, prepared.len() + 1);
        let refused = builder().spawn().await.expect_err("there is no room");
        assert!(matches!(refused, Error::Full { .. }), "{refused:?}");

        drop(living.take_stdin());
        assert!(living.wait().await.expect("it exits").success());
        drop(builder().prepare().await.expect("there is room for one"));
        prepared.clear();
        assert_eq!(runtime.occupancy().cells, 0);
        let cell = builder().spawn().await.expect("it spawns");
        drop(cell.take_stdin());
        assert!(cell.wait().await.expect("it exits").success());
    });
}
