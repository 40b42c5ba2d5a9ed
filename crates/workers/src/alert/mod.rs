//! The alert worker: alerts from the log into the outbox, and from there to the channels.
//!
//! Accepting and sending are apart. [`Acceptor`] is a sink: it inserts alerts and the position in
//! one database transaction, so an alert is accepted exactly once. One [`sender`] task for each
//! channel takes what is due from the outbox, sends it, and writes down what came of it: a crash
//! between sending and writing repeats at most that one message, with the same id.

mod accept;
mod course;
mod sender;
mod wake;

pub use accept::{Acceptor, Route};
pub use sender::Sender;
pub use wake::Wake;
