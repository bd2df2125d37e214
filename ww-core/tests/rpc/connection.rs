use ww_core::Error;

use crate::patience::patiently;
use crate::stage::guest;

#[test]
fn a_connection_can_be_taken_once() {
    for (what, message) in [
        ("connection", "there is only one"),
        ("input", "input stream was taken before"),
        ("output", "output stream was taken before"),
    ] {
        patiently(async {
            let cell = guest("twice").args([what]).spawn().await.unwrap();
            match cell.wait().await {
                Err(Error::Trap { message: trap, .. }) => {
                    assert!(trap.contains(message), "{what}: {trap}");
                }
                other => panic!("{what}: {other:?}"),
            }
        });
    }
}
