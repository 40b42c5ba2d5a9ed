//! Every raw record has its row exactly once.
use std::ops::ControlFlow;
use std::time::Duration;

use super::common::{
    Bed, LIFE, Rng, START, Writing, judge, monitor, observations, place, price, rows, writing,
};
use pricemonitor_model::{Incarnation, Observation, Slot};
use pricemonitor_store::query::{ExportRow, Filter};
use pricemonitor_store::{Claim, Database, Error, HistoryWriter, Written};

async fn exported(db: &Database) -> Vec<ExportRow> {
    let mut found = Vec::new();
    let each = |row| {
        found.push(row);
        ControlFlow::Continue(())
    };
    db.export(&Filter::default(), each).await.unwrap();
    found
}

pub async fn a_replayed_batch_is_counted_and_not_written_again<B: Bed>() {
    let place = place::<B>().await;
    let history = observations(&mut Rng(1), 100, true);
    let mut writer = writing(&place.db, "m").await;
    let rows = rows(&history, 0);
    let (db, claim, writer) = (&place.db, &mut writer.claim, &mut writer.writer);
    let first = db.write_history(writer, claim, LIFE, 0, &rows[..60], 60).await.unwrap();
    assert_eq!(first, Written { rows: 60, duplicates: 0 });
    let again = db.write_history(writer, claim, LIFE, 0, &rows[..60], 60).await.unwrap();
    assert_eq!(again, Written { rows: 0, duplicates: 60 });
    let overlap = db.write_history(writer, claim, LIFE, 0, &rows[40..], 100).await.unwrap();
    assert_eq!(overlap, Written { rows: 40, duplicates: 20 });
    assert_eq!(claim.position, Some((LIFE, 100)));
    assert_eq!(exported(db).await.len(), 100);
    // Also for a claim made after the writes.
    let mut claim = db.claim(&monitor("m"), "history", 0).await.unwrap();
    assert_eq!((claim.epoch, claim.position), (2, Some((LIFE, 100))));
    let late = db.write_history(writer, &mut claim, LIFE, 0, &rows, 100).await.unwrap();
    assert_eq!(late, Written { rows: 0, duplicates: 100 });
}

pub async fn an_owner_that_was_replaced_writes_nothing<B: Bed>() {
    let place = place::<B>().await;
    let history = observations(&mut Rng(2), 30, false);
    let rows = rows(&history, 0);
    let mut zombie = writing(&place.db, "m").await;
    zombie.write(&history[..10]).await;
    let mut owner = writing(&place.db, "m").await;
    let written =
        zombie.db.write_history(&mut zombie.writer, &mut zombie.claim, LIFE, 0, &rows[10..20], 20).await;
    let error = written.unwrap_err();
    assert!(matches!(&error, Error::Fenced(_)), "{error}");
    assert!(!error.is_transient());
    assert_eq!(exported(&place.db).await.len(), 10);
    owner.write(&history[10..]).await;
    assert_eq!(exported(&place.db).await.len(), 30);
}

/// The connection broke when the answer to the commit would have come: the claim stands where it stood.
pub async fn a_write_whose_answer_was_lost_is_done_when_it_comes_again<B: Bed>() {
    let place = place::<B>().await;
    let history = observations(&mut Rng(21), 100, true);
    let all = rows(&history, 0);
    let Writing { db, mut writer, mut claim, .. } = writing(&place.db, "m").await;
    let mut write = async |claim: &mut Claim, from: usize, to: usize| {
        db.write_history(&mut writer, claim, LIFE, 0, &all[from..to], to as u64).await.unwrap()
    };
    for from in [0, 40] {
        let known = claim.position;
        let first = write(&mut claim, from, from + 40).await;
        assert_eq!(first, Written { rows: 40, duplicates: 0 });
        claim.position = known;
        assert_eq!(write(&mut claim, from, from + 40).await, first, "written once, and told once as written");
        assert_eq!(claim.position, Some((LIFE, from as u64 + 40)));
    }
    // What comes again may be less or more than what arrived.
    claim.position = Some((LIFE, 40));
    assert_eq!(write(&mut claim, 40, 60).await, Written { rows: 20, duplicates: 0 });
    assert_eq!(claim.position, Some((LIFE, 80)));
    claim.position = Some((LIFE, 40));
    assert_eq!(write(&mut claim, 40, 100).await, Written { rows: 60, duplicates: 0 });
    assert_eq!(exported(&place.db).await.len(), 100);
    let changes = judge("default.m", &history).iter().filter(|row| row.changed).count();
    assert_eq!(place.db.statistics(&Filter::default()).await.unwrap().changes, changes as u64);
    // Whoever claims after that fences as ever.
    let known = claim.position;
    let mut owner = place.db.claim(&monitor("m"), "history", 0).await.unwrap();
    assert_eq!((owner.epoch, owner.position), (2, known));
    let late = place.db.write_history(&mut writer, &mut claim, LIFE, 0, &[], 101).await;
    assert!(matches!(late, Err(Error::Fenced(_))), "{late:?}");
    let next = place.db.write_history(&mut writer, &mut owner, LIFE, 0, &[], 101).await;
    assert_eq!(next.unwrap(), Written::default());
}

pub async fn a_position_that_no_owner_wrote_is_a_fault_and_not_a_fence<B: Bed>() {
    let place = place::<B>().await;
    let history = observations(&mut Rng(22), 20, false);
    let mut writer = writing(&place.db, "m").await;
    writer.write(&history[..10]).await;
    for statement in ["UPDATE sink_offsets SET next_offset = 15", "UPDATE sink_offsets SET next_offset = 5"] {
        place.bed.sql(statement).await;
        let error = writer.try_write(&history[10..12]).await.unwrap_err();
        assert!(matches!(&error, Error::Storage(_)), "{error:?}");
        assert!(error.to_string().contains("partition 0 (history of default.m) is "), "{error}");
    }
    assert_eq!(exported(&place.db).await.len(), 10);
}

pub async fn another_life_of_the_topic_is_not_taken_for_this_one<B: Bed>() {
    let place = place::<B>().await;
    let history = observations(&mut Rng(3), 5, false);
    let mut writer = writing(&place.db, "m").await;
    writer.write(&history).await;
    let rows = rows(&history, 5);
    let other = Incarnation(3);
    let written = place.db.write_history(&mut writer.writer, &mut writer.claim, other, 0, &rows, 10).await;
    assert!(matches!(written, Err(Error::Incarnation(_))), "{written:?}");
    let written = place.db.write_history(&mut writer.writer, &mut writer.claim, LIFE, 1, &rows, 10).await;
    assert!(written.is_err(), "a claim is good for its own partition");
    assert_eq!(exported(&place.db).await.len(), 5);
}

pub async fn a_batch_out_of_order_is_refused_whole<B: Bed>() {
    let place = place::<B>().await;
    let history = observations(&mut Rng(4), 3, false);
    let mut writer = writing(&place.db, "m").await;
    let mut rows = rows(&history, 0);
    rows.swap(0, 2);
    for (rows, next) in [(&rows[..], 3), (&rows[2..], 0)] {
        let written =
            place.db.write_history(&mut writer.writer, &mut writer.claim, LIFE, 0, rows, next).await;
        assert!(next == 0 || matches!(written, Err(Error::Storage(_))), "{written:?}");
    }
    assert_eq!(exported(&place.db).await, []);
    assert_eq!(place.db.claim(&monitor("m"), "history", 0).await.unwrap().position, None);
}

pub async fn ticks_alone_move_the_position<B: Bed>() {
    let place = place::<B>().await;
    let mut writer = writing(&place.db, "m").await;
    let written = place.db.write_history(&mut writer.writer, &mut writer.claim, LIFE, 0, &[], 7).await;
    assert_eq!(written.unwrap(), Written::default());
    let claim = place.db.claim(&monitor("m"), "history", 0).await.unwrap();
    assert_eq!(claim.position, Some((LIFE, 7)));
}

/// The same history in any batches, with writers made anew and the file opened anew, is the same database.
pub async fn what_changed_is_known_across_batches_and_restarts<B: Bed>() {
    for seed in 0..5 {
        let mut rng = Rng(100 + seed);
        let mut place = place::<B>().await;
        let history = observations(&mut rng, 300, true);
        let mut writer = writing(&place.db, "m").await;
        let mut rest = &history[..];
        while !rest.is_empty() {
            let (batch, behind) = rest.split_at(rest.len().min(1 + rng.below(40) as usize));
            writer.write(batch).await;
            rest = behind;
            if rng.one_in(4) {
                place.db.close().await;
                place.db = place.bed.open().await;
                writer = writing(&place.db, "m").await;
            }
        }
        let changes = judge("default.m", &history).iter().filter(|row| row.changed).count();
        let found = place.db.statistics(&Filter::default()).await.unwrap();
        assert_eq!((found.changes, found.observations), (changes as u64, 300));
    }
}

pub async fn a_change_of_unit_starts_anew_and_equal_prices_are_equal_however_written<B: Bed>() {
    let place = place::<B>().await;
    let mut writer = writing(&place.db, "m").await;
    let seen = |text: &str, unit: &'static str, at: i64| {
        let mut o = Observation::new("s", "i", price(text), "EUR", START.plus(at));
        o.unit = Some(unit.into());
        o
    };
    writer.write(&[seen("2879.2", "EUR/MWh", 0), seen("2879.20", "EUR/MWh", 1)]).await;
    assert_eq!(place.db.statistics(&Filter::default()).await.unwrap().changes, 0);
    writer.write(&[seen("287.92", "c/kWh", 2), seen("2879.21", "EUR/MWh", 3)]).await;
    let found = place.db.statistics(&Filter::default()).await.unwrap();
    assert_eq!((found.changes, found.listings), (1, 2));
    assert_eq!((found.unit.as_str(), found.lowest), ("EUR/MWh", Some(2879.2)));
    let digits: Vec<String> = exported(&place.db).await.into_iter().map(|row| row.price).collect();
    assert_eq!(digits, ["2879.2", "2879.20", "287.92", "2879.21"]);
}

pub async fn a_revised_slot_counts_by_its_latest_price<B: Bed>() {
    let place = place::<B>().await;
    let mut writer = writing(&place.db, "m").await;
    let slot = |text: &str, at: i64| {
        let mut o = Observation::new("spot", "FI", price(text), "EUR", START.plus(at));
        o.slot = Some(Slot { start: START.plus(86_400_000), end: START.plus(90_000_000) });
        o
    };
    // In another batch, in the same batch, late, and equal.
    writer.write(&[slot("-1.5", 0)]).await;
    writer.write(&[slot("7", 10), slot("3", 20)]).await;
    writer.write(&[slot("99", 5)]).await;
    writer.write(&[slot("3.0", 30)]).await;
    let history = place.db.history(&Filter::default(), 10, 100).await.unwrap();
    assert_eq!(history.lines.len(), 1);
    let points: Vec<(i64, f64)> =
        history.lines[0].points.iter().map(|p| (p.at.since(START), p.price)).collect();
    assert_eq!(points, [(86_400_000, 3.0)]);
    let found = place.db.statistics(&Filter::default()).await.unwrap();
    assert_eq!((found.observations, found.listings, found.changes), (5, 1, 2));
    assert_eq!((found.lowest, found.highest), (Some(3.0), Some(3.0)));
    assert_eq!(found.last_observed, Some(START.plus(30)));
}

pub async fn labels_that_change_move_the_series<B: Bed>() {
    let place = place::<B>().await;
    let mut writer = writing(&place.db, "m").await;
    let seen = |event: &'static str, at: i64| {
        let mut o = Observation::new("s", "i", price("1"), "USD", START.plus(at));
        o.labels.set("event", event);
        o
    };
    writer.write(&[seen("old", 0)]).await;
    writer.write(&[seen("old", 1), seen("new", 2), seen("new", 3)]).await;
    let of = |event: &str| Filter { event: Some(event.to_owned()), ..Filter::default() };
    assert_eq!(place.db.statistics(&of("new")).await.unwrap().observations, 4);
    assert_eq!(place.db.statistics(&of("old")).await.unwrap().observations, 0);
}

pub async fn hostile_texts_come_back_as_they_were<B: Bed>() {
    let place = place::<B>().await;
    let mut writer = writing(&place.db, "m").await;
    let texts = [
        "'; DROP TABLE series; --".to_owned(),
        "\"quoted\" \\ back".to_owned(),
        "nul \0 inside".to_owned(),
        "a;b 1;c 2".to_owned(),
        "?1 :x @y $z".to_owned(),
        "\u{202e}rtl \u{1f3ab} line\nbreak\r\ttab".to_owned(),
        "%_%".to_owned(),
        "x".repeat(512),
        String::new(),
    ];
    let history: Vec<Observation<'static>> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| {
            let item = format!("{text}{at}");
            let mut o = Observation::new("s", item, price("1.10"), "USD", START.plus(at as i64));
            o.labels.set("event", text.clone());
            o.labels.set("section", text.clone());
            o.base = Some(price("0.90"));
            o
        })
        .collect();
    writer.write(&history).await;
    // A writer without memory finds the same series.
    let mut writer = writing(&place.db, "m").await;
    writer.write(&history).await;
    let rows = exported(&place.db).await;
    assert_eq!(rows.len(), 2 * texts.len());
    for (at, text) in texts.iter().enumerate() {
        assert_eq!((&rows[2 * at].event, &rows[2 * at].section), (text, text));
        assert_eq!(rows[2 * at].item, format!("{text}{at}"));
        assert_eq!(rows[2 * at].base.as_deref(), Some("0.90"));
        let filter = Filter { event: Some(text.clone()), section: Some(text.clone()), ..Filter::default() };
        assert_eq!(place.db.statistics(&filter).await.unwrap().listings, 1, "{text:?}");
    }
    assert_eq!(place.db.history(&Filter::default(), 50, 50).await.unwrap().matched, texts.len() as u64);
}

pub async fn the_largest_and_smallest_numbers_are_exact<B: Bed>() {
    let place = place::<B>().await;
    let mut writer = writing(&place.db, "m").await;
    let texts = ["1000000000000.000000001", "-1000000000000", "0.000000001", "0", "-0.00", "12345678.90"];
    let history: Vec<Observation<'static>> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| Observation::new("s", "i", price(text), "X", START.plus(at as i64)))
        .collect();
    writer.write(&history).await;
    let wanted: Vec<String> = history.iter().map(|o| o.price.to_string()).collect();
    assert_eq!(exported(&place.db).await.into_iter().map(|row| row.price).collect::<Vec<_>>(), wanted);
    let mut far = writing(&place.db, "far").await;
    let at = Observation::new("s", "i", price("1"), "X", START);
    let rows = [pricemonitor_store::HistoryRow { offset: u64::MAX - 1, log_time: START, observation: &at }];
    let written = place.db.write_history(&mut far.writer, &mut far.claim, LIFE, 0, &rows, u64::MAX).await;
    assert!(matches!(written, Err(Error::Storage(_))), "an offset no log has is an error, not another row");
}

/// A future that is dropped half-way leaves nothing behind, also not in the writer's memory.
pub async fn a_write_that_is_given_up_leaves_no_trace<B: Bed>() {
    let place = place::<B>().await;
    let history = observations(&mut Rng(9), 2_000, true);
    let rows = rows(&history, 0);
    let mut writer = writing(&place.db, "m").await;
    for micros in [50, 500, 2_000, 5_000, 10_000, 20_000] {
        let (db, claim, memory) = (&place.db, &mut writer.claim, &mut writer.writer);
        let write = db.write_history(memory, claim, LIFE, 0, &rows, 2_000);
        let _ = tokio::time::timeout(Duration::from_micros(micros), write).await;
        let stored = exported(&place.db).await.len();
        assert!(stored == 0 || stored == 2_000, "{stored}");
        if stored == 2_000 {
            break;
        }
    }
    let mut claim = place.db.claim(&monitor("m"), "history", 0).await.unwrap();
    let written =
        place.db.write_history(&mut writer.writer, &mut claim, LIFE, 0, &rows, 2_000).await.unwrap();
    assert_eq!(written.rows + written.duplicates, 2_000);
    assert_eq!(exported(&place.db).await.len(), 2_000);
    let changes = judge("default.m", &history).iter().filter(|row| row.changed).count();
    assert_eq!(place.db.statistics(&Filter::default()).await.unwrap().changes, changes as u64);
}

pub async fn monitors_and_partitions_stand_for_themselves<B: Bed>() {
    let place = place::<B>().await;
    let history = observations(&mut Rng(6), 10, false);
    let rows = rows(&history, 0);
    for name in ["a", "b"] {
        let id = monitor(name);
        let key = place.db.register(&id, Duration::from_secs(60), START).await.unwrap();
        assert_eq!(place.db.register(&id, Duration::from_secs(90), START).await.unwrap(), key);
        let mut writer = HistoryWriter::new(key);
        for partition in 0..3 {
            let mut claim = place.db.claim(&id, "history", partition).await.unwrap();
            assert_eq!(claim.position, None);
            // The same offsets on every partition are different records.
            let written =
                place.db.write_history(&mut writer, &mut claim, LIFE, partition, &rows, 10).await.unwrap();
            assert_eq!(written.rows, 10);
        }
    }
    assert_eq!(exported(&place.db).await.len(), 60);
    let nobody = place.db.claim(&monitor("nobody"), "history", 0).await;
    assert_eq!(
        nobody.unwrap_err().to_string(),
        "the monitor default.nobody is not registered in the database"
    );
}
