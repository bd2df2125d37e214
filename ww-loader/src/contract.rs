//! The suite every loader must pass.
