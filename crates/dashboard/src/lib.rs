//! dashboard (under construction)
