//! Notification channels: one file (or folder) each, behind one trait.
//!
//! [`build()`] turns a channel's settings into a [`Channel`]. A channel makes one attempt when asked
//! and says what came of it; [`Pacer`] says when to try again and when to stop. Everything that
//! reaches a person is treated as hostile on its way there (event titles are written by strangers),
//! and no address, token or key of a channel is in any reason, log line or `Debug` text.

mod address;
mod build;
pub mod channel;
mod client;
mod cutter;
mod discord;
mod markdown;
pub mod pacer;
mod rate;
mod sample;
mod template;
mod text;
mod webhook;
mod wording;

pub use build::{BuildError, build};
pub use channel::{Channel, Outcome, Sent};
pub use pacer::{LONGEST_PAUSE, Next, Pacer};
pub use sample::sample_alert;
