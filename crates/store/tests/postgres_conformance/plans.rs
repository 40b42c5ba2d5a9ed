//! What the server reads for a statement, with statistics of another time.

use std::time::Duration;

use crate::server::sql_in;
use crate::suite::common::{Bed as _, START, monitor};

/// The statistics are those of an outbox in which nothing waited; then a channel is away, and 5,000 alerts wait.
const OUTBOX: &str = "
    ALTER TABLE alert_deliveries SET (autovacuum_enabled = false);
    INSERT INTO price_drop_alerts (monitor, id, kind, rule, transition, severity, source, item, event, section, price,
            currency, unit, at, observed_at, summary, accepted_at, alert)
        SELECT m.id, n::text, 'drop', 'r', 'firing', 'info', 's', 'i', 'e', '', 1, 'USD', 'USD', now(), now(), 'x', now(), '{}'
        FROM monitors m, generate_series(1, 25000) n;
    INSERT INTO alert_deliveries (alert, channel, monitor, state, next_attempt)
        SELECT seq, 'a', monitor, 'ok', now() FROM price_drop_alerts WHERE seq <= 20000;
    ANALYZE;
    INSERT INTO alert_deliveries (alert, channel, monitor, state, next_attempt)
        SELECT seq, 'a', monitor, 'pending', now() FROM price_drop_alerts WHERE seq > 20000";

#[tokio::test]
async fn what_became_of_a_message_is_found_without_a_walk_through_all_that_waits() {
    let bed = crate::Prepared::fresh().await;
    let db = bed.open().await;
    db.register(&monitor("m"), Duration::from_secs(86_400), START).await.unwrap();
    bed.sql(OUTBOX).await;
    let many: Vec<i64> = (24_001..=24_032).collect();
    assert_eq!(db.attempting("a", &[22_000], START).await.unwrap(), 1);
    assert_eq!(db.delivered("a", &[22_000], None, &many, START).await.unwrap(), 32);
    db.failed("a", &many[..16], "503", START, false).await.unwrap();
    // A server process tells what it has read when it ends, at the latest.
    db.close().await;
    let mut read = Vec::new();
    for _ in 0..100 {
        read = sql_in(
            &bed.0,
            "SELECT concat_ws(' ', indexrelname, idx_scan, idx_tup_read) FROM pg_stat_user_indexes
             WHERE relname = 'alert_deliveries' AND idx_scan > 0 ORDER BY 1",
        )
        .await;
        if !read.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let tuples = |line: &String| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    assert!(!read.is_empty() && read.iter().map(tuples).sum::<u64>() < 500, "{read:?}");
}
