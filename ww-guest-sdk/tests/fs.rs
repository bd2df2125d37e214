//! Files of the machine that a test runs on.
#![cfg(not(target_family = "wasm"))]

use std::io::ErrorKind;

use ww_guest_sdk::capnp::capability::Client;
use ww_guest_sdk::testing::Host;
use ww_guest_sdk::{capnp, capnp_rpc, fs};

#[test]
fn a_file_is_found_by_its_absolute_path_alone() {
    let none = capnp::Error::failed("there is none".into());
    Host::new(capnp_rpc::new_broken_cap(none))
        .run(async |_: Client| {
            // Tests run in the folder of their package.
            let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
            assert!(fs::read_to_string(here).await.unwrap().contains("sdk"));
            for (path, why) in [
                ("Cargo.toml", "paths are absolute"),
                ("", "paths are absolute"),
                ("/there/is/none", "/there/is/none: "),
            ] {
                let error = fs::read(path).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                assert!(error.to_string().contains(why), "{error}");
            }
        })
        .unwrap();
}
