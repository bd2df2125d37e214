//! Ready-made policies. They compose, as tuples.
//!
//! | | denies | |
//! | --- | --- | --- |
//! | [`Allow`] | methods that are not listed | |
//! | [`Expiry`] | calls once its time has come | |
//! | [`Rate`] | calls that come too fast | a bucket of tokens |
//! | [`InFlight`] | calls while too many are in flight | |
//! | [`Bytes`] | messages that do not fit a budget | both directions |
//! | [`Caretaker`] | calls while suspended, all once revoked | who holds it decides |
//! | [`Audit`] | nothing | tells of each call |
//!
//! Those that count or can be told something are handles, too: clones share
//! what they count, so that one of them can stand in several membranes and
//! another be kept.

mod allow;
mod audit;
mod bytes;
mod caretaker;
mod expiry;
mod in_flight;
mod rate;

pub use allow::Allow;
pub use audit::Audit;
pub use bytes::Bytes;
pub use caretaker::Caretaker;
pub use expiry::Expiry;
pub use in_flight::InFlight;
pub use rate::Rate;
