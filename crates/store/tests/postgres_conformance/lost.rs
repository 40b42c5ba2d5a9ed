//! The network breaks when the answer to a commit would come.

use std::time::Duration;

use pricemonitor_model::Observation;
use pricemonitor_store::postgres::Settings;
use pricemonitor_store::query::Filter;
use pricemonitor_store::{Claim, Database, HistoryRow, HistoryWriter, Written};
use pricemonitor_testkit::proxy::Proxy;

use crate::suite::common::{Bed as _, LIFE, START, monitor, price, rows};

fn history(count: i64) -> Vec<Observation<'static>> {
    (0..count).map(|n| Observation::new("s", "i", price("1.5"), "USD", START.plus(n))).collect()
}

async fn stored(db: &Database) -> u64 {
    db.statistics(&Filter::default()).await.unwrap().observations
}

/// Gives the batch again under the same claim while the error may pass, as a worker does.
async fn patient(
    db: &Database,
    writer: &mut HistoryWriter,
    claim: &mut Claim,
    rows: &[HistoryRow<'_>],
) -> Written {
    let next = rows.last().unwrap().offset + 1;
    for _ in 0..100 {
        match db.write_history(writer, claim, LIFE, 0, rows, next).await {
            // Of the pool's other connections some may have broken, too.
            Err(error) if error.is_transient() => tokio::time::sleep(Duration::from_millis(50)).await,
            written => return written.unwrap(),
        }
    }
    panic!("waited in vain");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_commit_was_not_answered_is_neither_doubled_nor_taken_for_another_owners() {
    let bed = crate::Prepared::fresh().await;
    let direct = bed.open().await;
    let proxy = Proxy::to(bed.0.port).unwrap();
    let db = Database::open_postgres(&Settings { port: proxy.port(), ..bed.0.clone() }).await.unwrap();
    let key = db.register(&monitor("m"), Duration::from_secs(365 * 86_400), START).await.unwrap();
    let mut claim = db.claim(&monitor("m"), "history", 0).await.unwrap();
    let mut writer = HistoryWriter::new(key);
    let history = history(60);
    let rows = rows(&history, 0);
    let whole = Written { rows: 20, duplicates: 0 };
    assert_eq!(patient(&db, &mut writer, &mut claim, &rows[..20]).await, whole);

    proxy.mute_after(|said| said.windows(6).any(|word| word == b"COMMIT"));
    // Once the server has committed, the connection breaks.
    let breaks = async {
        while !proxy.has_muted() || stored(&direct).await < 40 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        proxy.unmute();
        proxy.cut();
    };
    let write = db.write_history(&mut writer, &mut claim, LIFE, 0, &rows[20..40], 40);
    let both = async { futures::join!(write, breaks) };
    let (lost, ()) = tokio::time::timeout(Duration::from_secs(120), both).await.unwrap();
    let error = lost.unwrap_err();
    assert!(error.is_transient(), "{error:?}");

    assert_eq!(patient(&db, &mut writer, &mut claim, &rows[20..40]).await, whole);
    assert_eq!(patient(&db, &mut writer, &mut claim, &rows[40..]).await, whole);
    assert_eq!((claim.position, stored(&direct).await), (Some((LIFE, 60)), 60));
    db.close().await;
}
