//! Notification channels: one file each, behind one trait.

pub mod channel;

pub use channel::{Channel, Outcome, Sent};
