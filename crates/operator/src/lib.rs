//! The operator: a `PriceMonitor` in, the objects that run it out.
//!
//! ```text
//! pure      resource --Defaults--> with what the operator adds --validate--> judged
//!                    --project---> a manifest for each role
//!                    --build-----> children            (children() does all of it)
//!           children + what is there --plan--> what is to be written;  facts --conditions--> status
//! the edge  watches --cache--> what is there;  controller --reconcile--> api
//!           election --leadership--> whether anything may be written
//! ```
//!
//! # Guarantees
//! - The same resource and [`Inputs`] give the same children, to the byte.
//! - A change rolls the pods that it concerns, and no others: each role has a manifest of its own
//!   ([`project`]), and its pods carry a hash of that and of the Secrets and ConfigMaps that it reads.
//! - Nothing in a child depends on the operator's version: an upgrade rolls no pod.

pub mod api;
mod ask;
pub mod build;
pub mod cache;
pub mod children;
pub mod conditions;
pub mod context;
pub mod controller;
mod counted;
pub mod crd;
pub mod defaults;
pub mod dereference;
pub mod drift;
pub mod election;
pub mod ending;
pub mod events;
mod execute;
pub mod grafana;
pub mod health;
pub mod http;
pub mod inputs;
pub mod kinds;
pub mod leadership;
pub mod live;
pub mod metrics;
pub mod monitor;
pub mod observed;
pub mod operator;
pub mod plan;
pub mod project;
pub mod quantity;
pub mod rbac;
pub mod reconcile;
pub mod references;
pub mod role;
pub mod status;
mod validate;
pub mod watches;
pub mod yaml;

pub use children::{Child, Children, children};
pub use defaults::Defaults;
pub use inputs::Inputs;
pub use role::Role;
