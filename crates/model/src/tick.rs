//! The record that says a source was looked at.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// A source was looked at. Appended to every raw partition, so that time enters the processor's
/// pure fold through the log alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick<'a> {
    /// Name of the source.
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// When it was looked at.
    pub at: Time,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether the observations with `observed_at == at` before this tick are all that the source
    /// has: what is missing is gone.
    #[serde(default)]
    pub complete: bool,
}

/// What came of looking at a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Prices were read.
    Ok,
    /// The source says that nothing changed.
    Unchanged,
    /// It could not be read.
    Failed,
}
