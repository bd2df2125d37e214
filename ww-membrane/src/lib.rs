//! Epochs, guards, and membranes that revoke every capability reached through
//! them.

mod epoch;
mod error;
mod graft;
mod guard;
mod hook;
mod membrane;
mod policy;
mod reaper;
mod session;
mod signal;
mod thread;
mod watch;

pub use epoch::{Epoch, Epochs};
pub use error::Error;
pub use graft::membrane;
pub use guard::Guard;
pub use membrane::Membrane;
pub use policy::Policy;
pub use reaper::Reaper;
pub use session::{SessionContext, SessionExtensionBuilder};
pub use watch::{Next, Settled};
