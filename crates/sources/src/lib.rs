//! Price sources: one file each, behind one trait.
//!
//! [`build()`] turns the settings of a source into something that can be polled; [`check`] finds the
//! mistakes that only the sources can judge (jq filters, paths, addresses) without touching a
//! secret; [`sample`] shows what a source's reader makes of a document.
//!
//! | source | what it is |
//! |---|---|
//! | `simulator` | a ticket marketplace whose prices are a function of seed and step |
//! | `file` | a watched file: content hash, replacement by rename, waits for a missing one |
//! | `http` | a document on the web: ETag, time-out, body limit, address checks |
//!
//! `file` and `http` share the readers: the format `porssisahko` and jq mappings of one's own.

mod bounded;
mod build;
mod diff;
mod document;
mod file;
mod http;
mod mapping;
mod porssisahko;
mod simulator;
pub mod source;

pub use build::{BuildError, Context, build, check, sample};
pub use source::{Poll, Snapshot, Source, SourceError};
