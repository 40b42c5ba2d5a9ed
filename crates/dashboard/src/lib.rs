//! The web page, its JSON API and live updates.
//!
//! [`bind`] takes the address, [`Bound::serve`] answers until it is told to stop, [`Answers`] says what. What is shown
//! comes from [`Prices`], which the database implements; the page itself (plain ES modules and a
//! vendored ECharts) is embedded in the binary and asks no other host for anything.
//!
//! # Guarantees
//! - Nothing here changes state: every route is a question.
//! - A `Host` that is not ours is refused, so a page elsewhere cannot read prices through a
//!   rebound name.
//! - Connections, listeners and queues are bounded; every question has a time limit; after `stop`
//!   everything has ended within two seconds.

mod api;
mod assets;
mod database;

mod error;
mod guard;
mod live;
mod locked;
mod options;
mod prices;
mod server;
mod token;

pub use api::{OPENAPI, Route, routes};
pub use error::Error;
pub use options::{Notice, Options};
pub use prices::{Exported, Prices, QueryError};
pub use server::{Answers, Bound, bind};
