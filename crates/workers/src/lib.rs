//! workers (under construction)
