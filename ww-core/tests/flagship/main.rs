//! One test body, on every kind of executor: a cell grafts its membrane, calls
//! its host and runs a child; and the host calls what another cell exports.

mod body;
mod executors;
