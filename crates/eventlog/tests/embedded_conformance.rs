//! The embedded engine keeps every promise of the event log, reached through the log that may be either engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conformance;

use std::cell::{Cell, RefCell};

use conformance::Bed;
use pricemonitor_eventlog::embedded::{EmbeddedStore, Options};
use pricemonitor_eventlog::{Layout, Log};
use pricemonitor_model::MonitorId;

struct Embedded {
    folder: tempfile::TempDir,
    store: RefCell<Option<EmbeddedStore>>,
    monitors: Cell<u32>,
    /// Names and partitions of what was made, to be found again.
    made: RefCell<Vec<(MonitorId, Layout)>>,
}

impl Embedded {
    fn new() -> Embedded {
        let folder = tempfile::tempdir().unwrap();
        let store = RefCell::new(Some(EmbeddedStore::open(folder.path(), Options::default()).unwrap()));
        Embedded { folder, store, monitors: Cell::new(0), made: RefCell::default() }
    }
}

impl Bed for Embedded {
    type Log = Log;

    fn fresh(&self, partitions: u32) -> Log {
        let number = self.monitors.replace(self.monitors.get() + 1);
        let id = MonitorId::new(None, &format!("m{number}"));
        let layout = Layout { partitions, ..Layout::default() };
        let log = self.store.borrow().as_ref().unwrap().monitor(&id, &layout).unwrap();
        self.made.borrow_mut().push((id, layout));
        log.into()
    }

    fn reopen(&self, log: Log) -> Log {
        // Tests reopen the log they made last.
        drop(log);
        self.store.take().unwrap().close();
        let store = EmbeddedStore::open(self.folder.path(), Options::default()).unwrap();
        let (id, layout) = self.made.borrow().last().cloned().unwrap();
        let log = store.monitor(&id, &layout).unwrap();
        self.store.replace(Some(store));
        log.into()
    }

    fn refuse_writes(&self, refuse: bool) {
        // SQLite takes the size that the file has when that is larger.
        let limit = refuse.then_some(1);
        self.store.borrow().as_ref().unwrap().set_max_bytes(limit).unwrap();
    }
}

conformance!(crate::Embedded::new());
