//! Ready-made policies.
//!
//! A revocable forwarder needs none: [`Membrane::ungated`] makes one, and
//! [`Membrane::revoke`] revokes it.
//!
//! [`Membrane::ungated`]: crate::Membrane::ungated
//! [`Membrane::revoke`]: crate::Membrane::revoke

mod allow;
mod audit;
mod expiry;
mod in_flight;

pub use allow::Allow;
pub use audit::Audit;
pub use expiry::Expiry;
pub use in_flight::InFlight;
