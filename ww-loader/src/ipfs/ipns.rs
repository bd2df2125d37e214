//! IPNS: names that their key's owner points where they like.

mod name;
mod record;
mod resolve;

pub use name::Name;
pub use record::{Record, RecordError};
pub(super) use resolve::Seen;
