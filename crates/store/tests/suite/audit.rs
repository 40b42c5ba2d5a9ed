//! What an audit asks is answered by the rows that there are.
use pricemonitor_model::Incarnation;
use pricemonitor_store::Position;

use super::common::{Bed, LIFE, Rng, monitor, observations, place, writing};
use super::outbox::accepted;

pub async fn the_coordinates_of_rows_are_told_for_their_partition_life_and_range<B: Bed>() {
    let place = place::<B>().await;
    let history = observations(&mut Rng(8), 50, true);
    let mut one = writing(&place.db, "one").await;
    one.write(&history).await;
    writing(&place.db, "two").await.write(&history[..5]).await;
    let told = async |life, partition, from, to| {
        let mut told = Vec::new();
        let each = |offset| told.push(offset);
        place.db.coordinates(&monitor("one"), life, partition, from..to, each).await.unwrap();
        told.sort_unstable();
        told
    };
    assert_eq!(told(LIFE, 0, 0, u64::MAX).await, (0..50).collect::<Vec<u64>>());
    assert_eq!(told(LIFE, 0, 7, 9).await, [7, 8]);
    assert!(told(LIFE, 1, 0, u64::MAX).await.is_empty() && told(Incarnation(1), 0, 0, 99).await.is_empty());
    let stands = place.db.positions(&monitor("one"), "history").await.unwrap();
    assert_eq!(stands, [Position { partition: 0, incarnation: LIFE, next_offset: 50 }]);
    assert!(place.db.positions(&monitor("one"), "alerts").await.unwrap().is_empty());
    assert!(place.db.positions(&monitor("nobody"), "history").await.unwrap().is_empty());
    place.bed.sql("DELETE FROM price_history WHERE \"offset\" = 3").await;
    assert_eq!(told(LIFE, 0, 0, 6).await, [0, 1, 2, 4, 5]);
}

pub async fn the_ids_of_a_monitors_alerts_are_told<B: Bed>() {
    let place = place::<B>().await;
    let ids = accepted(&place.db, 3).await;
    let told = async |name| {
        let mut told = Vec::new();
        place.db.alert_ids(&monitor(name), |id| told.push(id.to_owned())).await.unwrap();
        told.sort();
        told
    };
    assert_eq!(told("m").await, ids);
    assert!(told("other").await.is_empty());
}
