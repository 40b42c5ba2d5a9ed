//! The operator itself, as a process under its own roles, on a real API server whose other controllers are away: what
//! it writes is all that is written.
//!
//! Its programs must have been built: `cargo xtask provision etcd kube definitions`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod election;
mod life;
mod panels;
mod rights;
mod secrets;
mod status;
mod support;
