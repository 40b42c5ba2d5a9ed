//! Alerts of several partitions that are accepted by one call.
use std::time::Duration;

use super::common::{Bed, LIFE, START, monitor, place};
use super::outbox::{alert, due};
use pricemonitor_model::{Alert, Incarnation};
use pricemonitor_store::{Accepting, Claim, Database, Error, Result};

/// The first partitions.
async fn claimed(db: &Database, count: u32) -> Vec<Claim> {
    db.register(&monitor("m"), Duration::from_secs(86_400), START).await.unwrap();
    let mut claims = Vec::new();
    for partition in 0..count {
        claims.push(db.claim(&monitor("m"), "alerts", partition).await.unwrap());
    }
    claims
}

fn alerts(numbers: &[u64]) -> Vec<(Alert<'static>, Vec<String>)> {
    numbers.iter().map(|n| (alert(*n), vec!["a".to_owned()])).collect()
}

/// Accepts for each claim, which are those of the first partitions, alerts and where it goes on behind them.
async fn accept(db: &Database, claims: &mut [Claim], came: &[(&[u64], u64)]) -> Vec<Result<u64>> {
    let all: Vec<_> = came.iter().map(|(numbers, next)| (alerts(numbers), *next)).collect();
    let mut accepting = Vec::new();
    for ((claim, partition), (alerts, next_offset)) in claims.iter_mut().zip(0..).zip(&all) {
        accepting.push(Accepting { claim, incarnation: LIFE, partition, alerts, next_offset: *next_offset });
    }
    db.accept_all(&mut accepting, START).await
}

/// The same where nothing goes wrong: how many were new.
async fn new(db: &Database, claims: &mut [Claim], came: &[(&[u64], u64)]) -> Vec<u64> {
    accept(db, claims, came).await.into_iter().map(|new| new.unwrap()).collect()
}

fn positions(claims: &[Claim]) -> Vec<u64> {
    claims.iter().map(|claim| claim.position.map_or(0, |(_, next)| next)).collect()
}

/// What is to be told, by number.
async fn told(db: &Database) -> Vec<u64> {
    let mut told = due(db, "a", START).await;
    told.sort_unstable();
    told
}

pub async fn alerts_of_several_partitions_are_accepted_together<B: Bed>() {
    let place = place::<B>().await;
    let mut claims = claimed(&place.db, 4).await;
    let came: [(&[u64], u64); 4] = [(&[1, 2], 3), (&[3], 7), (&[], 9), (&[4], 5)];
    assert_eq!(new(&place.db, &mut claims, &came).await, [2, 1, 0, 1]);
    assert_eq!(positions(&claims), [3, 7, 9, 5]);
    assert_eq!(due(&place.db, "a", START).await, [1, 2, 3, 4], "in their order");
    // After a restart that lost nothing but its memory; the first one comes again from further before.
    let mut claims = claimed(&place.db, 4).await;
    assert_eq!(positions(&claims), [3, 7, 9, 5]);
    let came: [(&[u64], u64); 4] = [(&[1], 2), (&[3, 5], 8), (&[], 9), (&[], 5)];
    assert_eq!(new(&place.db, &mut claims, &came).await, [0, 1, 0, 0]);
    assert_eq!(positions(&claims), [3, 8, 9, 5]);
    assert_eq!(told(&place.db).await, [1, 2, 3, 4, 5]);
    assert!(place.db.accept_all(&mut [], START).await.is_empty());
}

pub async fn a_partition_that_is_somebody_elses_keeps_no_other_from_being_accepted<B: Bed>() {
    let place = place::<B>().await;
    let mut claims = claimed(&place.db, 3).await;
    assert_eq!(new(&place.db, &mut claims, &[(&[1], 1), (&[2], 1), (&[3], 1)]).await, [1, 1, 1]);
    let mut successor = place.db.claim(&monitor("m"), "alerts", 1).await.unwrap();
    let answers = accept(&place.db, &mut claims, &[(&[4], 2), (&[5], 2), (&[6], 2)]).await;
    assert!(matches!(&answers[..], [Ok(1), Err(Error::Fenced(_)), Ok(1)]), "{answers:?}");
    assert_eq!((positions(&claims), told(&place.db).await), (vec![2, 1, 2], vec![1, 2, 3, 4, 6]));
    assert_eq!(
        place.db.accept_alerts(&mut successor, LIFE, 1, &alerts(&[5]), 2, START).await.unwrap(),
        1,
        "nothing of it was written"
    );
    // Neither does one of another life of the topic.
    claims[1].position = Some((Incarnation(5), 1));
    let answers = accept(&place.db, &mut claims, &[(&[7], 3), (&[8], 3), (&[9], 3)]).await;
    assert!(matches!(&answers[..], [Ok(1), Err(Error::Incarnation(_)), Ok(1)]), "{answers:?}");
    assert_eq!(told(&place.db).await, [1, 2, 3, 4, 5, 6, 7, 9]);
}

/// The connection broke when the answer would have come: the claim stands where it stood.
pub async fn a_partition_whose_acceptance_was_not_answered_is_accepted_once_beside_others<B: Bed>() {
    let place = place::<B>().await;
    let mut claims = claimed(&place.db, 2).await;
    assert_eq!(new(&place.db, &mut claims, &[(&[1], 1), (&[2], 1)]).await, [1, 1]);
    let known = claims[0].position;
    assert_eq!(new(&place.db, &mut claims[..1], &[(&[3, 4], 3)]).await, [2]);
    claims[0].position = known;
    assert_eq!(new(&place.db, &mut claims, &[(&[3, 4], 3), (&[5], 2)]).await, [2, 1]);
    assert_eq!((positions(&claims), told(&place.db).await), (vec![3, 2], vec![1, 2, 3, 4, 5]));
    // The batch may have grown meanwhile.
    claims[0].position = known;
    assert_eq!(new(&place.db, &mut claims, &[(&[3, 4, 6], 4), (&[7], 3)]).await, [1, 1]);
    assert_eq!((positions(&claims), told(&place.db).await), (vec![4, 3], vec![1, 2, 3, 4, 5, 6, 7]));
}

pub async fn an_alert_that_two_partitions_have_is_accepted_once<B: Bed>() {
    let place = place::<B>().await;
    let mut claims = claimed(&place.db, 2).await;
    assert_eq!(new(&place.db, &mut claims, &[(&[1, 2], 2), (&[2, 3, 3], 3)]).await, [2, 1]);
    assert_eq!(told(&place.db).await, [1, 2, 3]);
    // Whichever of the two is not accepted.
    let successor = place.db.claim(&monitor("m"), "alerts", 0).await.unwrap();
    let answers = accept(&place.db, &mut claims, &[(&[4], 3), (&[4, 5], 5)]).await;
    assert!(matches!(&answers[..], [Err(Error::Fenced(_)), Ok(2)]), "{answers:?}");
    claims[0] = successor;
    place.db.claim(&monitor("m"), "alerts", 1).await.unwrap();
    let answers = accept(&place.db, &mut claims, &[(&[4, 6], 4), (&[6, 7], 7)]).await;
    assert!(matches!(&answers[..], [Ok(1), Err(Error::Fenced(_))]), "{answers:?}");
    assert_eq!(told(&place.db).await, [1, 2, 3, 4, 5, 6]);
}
