//! One test body, on every kind of executor: a cell grafts its membrane, calls
//! its host and runs a child; the host calls what another cell exports; and cells
//! that would not end by themselves are ended.

mod body;
mod ends;
mod executors;
#[path = "../cell/wat.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of cells, which use more of it"
)]
mod wat;
