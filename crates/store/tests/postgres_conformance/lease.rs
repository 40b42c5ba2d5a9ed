//! Senders on machines whose clocks differ.

use std::time::Duration;

use pricemonitor_store::Database;

use crate::suite::common::{Bed as _, START, monitor};

#[tokio::test]
async fn a_clock_that_runs_ahead_does_not_take_a_channel_that_somebody_has() {
    let bed = crate::Prepared::fresh().await;
    let (one, two) = (bed.open().await, Database::open_postgres(&bed.0).await.unwrap());
    let (m, minutes) = (monitor("m"), 4 * 60_000);
    one.register(&m, Duration::from_secs(86_400), START).await.unwrap();
    let ttl = 30_000;
    assert!(one.lease(&m, "a", "one", START, ttl).await.unwrap());
    assert!(!two.lease(&m, "a", "two", START.plus(minutes), ttl).await.unwrap(), "it is ahead");
    assert!(!two.lease(&m, "a", "two", START.plus(-minutes), ttl).await.unwrap(), "it is behind");
    assert!(one.lease(&m, "a", "one", START, ttl).await.unwrap());
    // Given up, it is free at once, also for those whose clock is behind; and then it is theirs.
    bed.later(ttl).await;
    assert!(two.lease(&m, "a", "two", START.plus(-minutes), ttl).await.unwrap());
    assert!(!one.lease(&m, "a", "one", START, ttl).await.unwrap());
    two.close().await;
}
