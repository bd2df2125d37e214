use futures::AsyncReadExt;
use ww_core::cell::Output;

use crate::patience::patiently;
use crate::stage::guest;

#[test]
fn every_exit_code_survives_and_zero_is_success() {
    for code in [0, 1, 42, 255] {
        let cell = patiently(guest("exits").args([code.to_string()]).spawn()).unwrap();
        let exit = patiently(cell.wait()).unwrap();
        assert_eq!(exit.code(), code);
        assert_eq!(exit.success(), code == 0);
        assert!(exit.rpc_error().is_none());
    }
}

#[test]
fn an_error_from_main_is_a_failure_and_its_chain_is_told() {
    let builder = guest("fails").stderr(Output::piped());
    let cell = patiently(builder.spawn()).unwrap();
    assert_eq!(patiently(cell.wait()).unwrap().code(), 1);
    let mut told = String::new();
    let mut stderr = cell.take_stderr().unwrap();
    patiently(stderr.read_to_string(&mut told)).unwrap();
    let failure = told.find("the guest has failed");
    let cause = told.find("as it was meant to");
    assert!(failure.is_some() && failure < cause, "{told}");
}
