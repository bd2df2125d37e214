//! Whatever is wrong with what a cell is made of, or with what its guest does:
//! each has its own error, which names what was wrong, and neighbours go on.

mod cases;
mod component;
mod fate;
mod guests;
mod image;
mod limits;
#[path = "../cell/patience.rs"]
mod patience;
mod settings;
