//! The kinds of workers, and the Jobs beside them.

use pricemonitor_config::PriceMonitor;

/// A kind of process that runs for a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Polls the sources.
    Producer,
    /// Detects changes and rule hits.
    Processor,
    /// Keeps the history.
    Storage,
    /// Tells people.
    Alert,
    /// Shows the page.
    Dashboard,
    /// Makes topics and tables, once.
    Setup,
    /// Deletes the topics, at the end.
    Teardown,
}

impl Role {
    /// Those that run all the time.
    pub const WORKERS: [Role; 5] =
        [Role::Producer, Role::Processor, Role::Storage, Role::Alert, Role::Dashboard];

    /// All of them.
    pub const ALL: [Role; 7] = [
        Role::Producer,
        Role::Processor,
        Role::Storage,
        Role::Alert,
        Role::Dashboard,
        Role::Setup,
        Role::Teardown,
    ];

    /// Those that a monitor has while it lives, defaults filled in. Alerts and the page need a database.
    pub fn of(monitor: &PriceMonitor) -> Vec<Role> {
        let storage = monitor.spec.storage.as_ref();
        let workers = monitor.spec.workers.as_ref();
        let page = workers.and_then(|workers| workers.dashboard.as_ref()).is_some_and(|page| page.enabled);
        let mut roles = vec![Role::Setup, Role::Producer, Role::Processor, Role::Storage];
        roles.extend(storage.and_then(|storage| storage.postgres.as_ref()).map(|_| Role::Alert));
        roles.extend(page.then_some(Role::Dashboard));
        roles
    }

    /// As commands, names and labels have it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Producer => "producer",
            Role::Processor => "processor",
            Role::Storage => "storage",
            Role::Alert => "alert",
            Role::Dashboard => "dashboard",
            Role::Setup => "setup",
            Role::Teardown => "teardown",
        }
    }
}
