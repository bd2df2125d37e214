//! See the package description.

pub mod clock;
pub mod network;
pub mod pipe;
pub mod random;
