//! Price sources: one file each, behind one trait.

pub mod source;

pub use source::{Poll, Snapshot, Source, SourceError};
