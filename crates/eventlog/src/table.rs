//! Keyed state with undo.

/// Placeholder while under construction.
pub struct Table;
