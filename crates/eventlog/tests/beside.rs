//! The embedded engine's log is looked at beside the process that works with it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pricemonitor_eventlog::embedded::{EmbeddedLog, EmbeddedStore, Options};
use pricemonitor_eventlog::{Error, EventLog, Layout, Topic, Write};
use pricemonitor_model::MonitorId;

#[test]
fn a_log_is_read_beside_the_process_that_works_with_it_and_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let id = MonitorId::new(None, "m");
    let layout = Layout { partitions: 2, ..Layout::default() };
    let look = || EmbeddedStore::open_to_read(folder.path(), Options::default());
    let none = look().unwrap_err().to_string();
    assert!(none.contains("no event log") && none.contains("--data-dir"), "{none}");
    let store = EmbeddedStore::open(folder.path(), Options::default()).unwrap();
    let log = store.monitor(&id, &layout).unwrap();
    let put = |key: &str| {
        log.put(&[(Topic::Raw, Write { partition: Some(0), key: Some(key.into()), value: None })]).unwrap();
    };
    put("before");
    let beside = look().unwrap();
    let read = beside.monitor(&id, &layout).unwrap();
    put("after");
    let keys = |log: &EmbeddedLog| {
        let mut keys = Vec::new();
        log.scan(Topic::Raw, 0, 0, None, &mut |record| {
            keys.push(String::from_utf8(record.key.unwrap().to_vec()).unwrap());
            Ok(std::ops::ControlFlow::Continue(()))
        })
        .unwrap();
        keys
    };
    assert_eq!(keys(&read), ["before", "after"]);
    assert_eq!(read.ends(Topic::Raw).unwrap(), log.ends(Topic::Raw).unwrap());
    let error = read.put(&[(Topic::Raw, Write::default())]).unwrap_err();
    assert!(matches!(error, Error::InUse(_)), "{error}");
    let error = beside.monitor(&MonitorId::new(None, "other"), &layout).unwrap_err().to_string();
    assert!(error.contains("default.other") && error.contains("--data-dir"), "{error}");
    let three = Layout { partitions: 3, ..Layout::default() };
    let error = look().unwrap().monitor(&id, &three).unwrap_err().to_string();
    assert!(error.contains("2 partitions") && error.contains("says 3"), "{error}");
    drop((read, beside));
    put("still works");
}
