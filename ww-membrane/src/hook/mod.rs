//! The membrane at the level of client hooks: the only code of this crate that
//! touches `capnp::private`.
//!
//! ```text
//!  outside                    boundary                      inside
//!
//!  wrapper ── new_call ─► request ── send ─► flight ─────► client
//!     ▲                      │ params: cross inward          │
//!     │                      ▼                               ▼
//!     └── cross outward ◄── answer, pipeline ◄────────── response
//!
//!  connection ── call ─► turn ─► results, flight ────────► client
//! ```
//!
//! Everything passes through [`cross`], the one function that wraps and
//! unwraps, and asks [`Boundary::check`] first. Calls are put to the
//! boundary's policy when they are made. [`Bare`](bare::Bare) ones need no turn.
//! What holds something inside (wrappers, flights) is known to the boundary,
//! which empties it when it falls.

mod admit;
mod answer;
mod bare;
mod boundary;
mod broken;
mod covers;
mod cross;
mod early;
mod flight;
mod forward;
mod hold;
mod link;
mod message;
mod nested;
mod params;
mod place;
mod registry;
mod request;
mod results;
mod returned;
mod selector;
mod sent;
mod stream;
mod turn;
mod wrapper;
mod written;

pub(crate) use boundary::Boundary;
pub use cross::Direction;
pub(crate) use cross::cross;
pub(crate) use message::Message;
pub(crate) use selector::selected;
pub(crate) use stream::{Over, Stream};
