//! detection (under construction)
