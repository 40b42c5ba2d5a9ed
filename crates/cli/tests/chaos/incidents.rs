//! Single incidents, each with the outcome that is promised.

use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pricemonitor_eventlog::kafka::{Connection, KafkaLog, Options};
use pricemonitor_eventlog::{EventLog as _, Layout, Topic};
use pricemonitor_model::MonitorId;
use pricemonitor_testkit::topics::{self, Taken};
use pricemonitor_testkit::{place, wait};
use serde_json::Value;

use crate::common::{SOON, manifest};
use crate::fleet::{Fleet, KAFKA, Worker, feed};
use crate::judge::{self, Place};

const MARKET: &str =
    "sources: [{name: market, interval: 200ms, simulator: {events: 5, seed: 5}}]\nkafka: {partitions: 2}";

/// These tests want the machine for themselves, one after the other.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn committed(topic: &str) -> Vec<Taken> {
    topics::committed(&KAFKA, topic).unwrap()
}

/// Coordinates with the life of the topic.
fn coordinates(value: &Value) -> (u64, Place) {
    (value["coordinates"]["incarnation"].as_u64().unwrap(), judge::place(value))
}

fn observations(monitor: &str) -> Vec<Place> {
    let raw = committed(&format!("{monitor}.raw_prices"));
    let seen = raw.iter().filter(|taken| judge::value(taken)["kind"] == "observation");
    seen.map(|taken| (taken.partition, taken.offset)).collect()
}

fn events(monitor: &str) -> Vec<(u64, Place)> {
    let processed = committed(&format!("{monitor}.processed_prices"));
    let mut events: Vec<(u64, Place)> =
        processed.iter().map(|taken| coordinates(&judge::value(taken))).collect();
    events.sort_unstable();
    events
}

fn rows(fleet: &Fleet, monitor: &str) -> i64 {
    fleet.count(&format!(
        "price_history h JOIN series s ON s.id = h.series JOIN monitors m ON m.id = s.monitor WHERE m.monitor = '{monitor}'"
    ))
}

/// Waits until the history and the processor stand still at the same number, and gives it.
fn settled(fleet: &Fleet, monitor: &str) -> usize {
    let mut last = (-1, Duration::ZERO);
    wait::until("the history to stand still", SOON * 2, || {
        let now = rows(fleet, monitor);
        std::thread::sleep(Duration::from_millis(300));
        last = if now == last.0 { (now, last.1 + Duration::from_millis(320)) } else { (now, Duration::ZERO) };
        last.1 > Duration::from_secs(3)
    })
    .unwrap();
    usize::try_from(last.0).unwrap()
}

fn end<const N: usize>(workers: [Worker; N]) {
    for worker in workers {
        worker.end();
    }
}

fn workers(fleet: &Fleet) -> [Worker; 3] {
    ["storage", "processor", "producer"].map(|role| fleet.ready(role))
}

#[test]
fn group_offsets_that_the_broker_has_forgotten_change_nothing() {
    let _alone = alone();
    let fleet = Fleet::new(&manifest("forgotten", MARKET)).with_database("forgotten");
    fleet.does(&["setup"]);
    let [storage, processor, producer] = workers(&fleet);
    producer.wait_metric("pricemonitor_observations_appended_total", &[], 100.0);
    // The producer stays longer than the readers: there is something to be read at their next start.
    end([processor, storage]);
    std::thread::sleep(Duration::from_secs(2));
    producer.end();
    let bootstrap = KAFKA.bootstrap();
    for group in ["producer", "processor", "storage"] {
        let group = format!("default.forgotten.{group}");
        let delete = ["--bootstrap-server", &bootstrap, "--delete", "--group", &group];
        // Only when the last member's session is over.
        wait::until("the group to be deleted", SOON, || {
            KAFKA
                .tool("consumer.group.ConsumerGroupCommand", &delete)
                .is_ok_and(|said| said.contains("was successful"))
        })
        .unwrap();
    }
    let before = observations("default.forgotten");
    let [storage, processor, producer] = workers(&fleet);
    producer.wait_metric("pricemonitor_observations_appended_total", &[], 100.0);
    producer.end();
    let there = settled(&fleet, "default.forgotten");
    end([processor, storage]);

    let raw = observations("default.forgotten");
    assert!(raw.len() > before.len() + 50 && raw.starts_with(&before[..1]));
    assert_eq!(there, raw.len());
    let processed: Vec<Place> = events("default.forgotten").into_iter().map(|(_, place)| place).collect();
    assert_eq!(processed, raw);
}

#[test]
fn a_topic_that_was_deleted_and_made_anew_is_told_and_never_mistaken_for_the_old_one() {
    let _alone = alone();
    let fleet = Fleet::new(&manifest("reborn", MARKET)).with_database("reborn");
    fleet.does(&["setup"]);
    let [storage, processor, producer] = workers(&fleet);
    producer.wait_metric("pricemonitor_observations_appended_total", &[], 100.0);
    producer.end();
    let first = settled(&fleet, "default.reborn");
    end([processor, storage]);
    let old = events("default.reborn");
    assert_eq!(old.len(), first);

    let bootstrap = KAFKA.bootstrap();
    let raw = "default.reborn.raw_prices";
    KAFKA.tool("TopicCommand", &["--bootstrap-server", &bootstrap, "--delete", "--topic", raw]).unwrap();
    let waiting = fleet.start("processor", place::server_port().unwrap());
    wait::until("the reason", SOON, || {
        waiting.says().is_some_and(|(status, text)| status == 503 && text.contains("setup"))
    })
    .unwrap();
    waiting.end();
    assert!(fleet.does(&["setup"]).contains(raw));
    // Positions of the old life are never taken for ones of the new, nor set back: who has one says so and ends.
    for role in ["storage", "processor"] {
        let worker = fleet.start(role, place::server_port().unwrap());
        let ended = worker.process.wait(SOON).unwrap();
        let said = ended.output.all();
        assert!(ended.code() == Some(3) && said.contains("the topics were made anew"), "{role}: {said}");
    }
    assert_eq!(settled(&fleet, "default.reborn"), first);
    assert_eq!(events("default.reborn"), old);

    // Begun anew as a whole, it works.
    fleet.does(&["teardown", "--yes", "--history"]);
    fleet.does(&["setup"]);
    let [storage, processor, producer] = workers(&fleet);
    producer.wait_metric("pricemonitor_observations_appended_total", &[], 60.0);
    producer.end();
    let there = settled(&fleet, "default.reborn");
    end([processor, storage]);
    let new = events("default.reborn");
    assert_eq!((there, new.len()), (observations("default.reborn").len(), there));
    assert!(new.iter().all(|(life, _)| *life != old[0].0));
}

const SHOP: &str = r#"
sources:
- name: shop
  interval: 100ms
  file:
    path: shop.json
    mapping: {jq: '.[] | {item: .id, price: .price}', currency: USD}
"#;

#[test]
fn an_edited_rule_forgets_what_it_knew_and_does_not_fire_on_the_edit() {
    let _alone = alone();
    let spec = |fall: u32| {
        manifest(
            "edited",
            &format!(
                "{SHOP}rules:\n- {{name: fall, drop: {{absolute: {fall}}}}}\n- {{name: stays, drop: {{absolute: 8}}}}\n"
            ),
        )
    };
    let fleet = Fleet::new(&spec(50));
    fleet.does(&["setup"]);
    let mut done = 0.0;
    let mut publish = |processor: &Worker, fresh: bool, price: u32| {
        done = if fresh { 1.0 } else { done + 1.0 };
        place::replace(&fleet.place.at("shop.json"), format!(r#"[{{"id": "a", "price": "{price}"}}]"#))
            .unwrap();
        processor.wait_metric("pricemonitor_observations_processed_total", &[], done);
    };
    let producer = fleet.start("producer", place::server_port().unwrap());
    let processor = fleet.ready("processor");
    publish(&processor, true, 100);
    publish(&processor, false, 90);
    let port = processor.port;
    processor.end();
    fleet.place.write("monitor.yaml", spec(5)).unwrap();
    let mut processor = fleet.start("processor", port);
    processor.ready();
    // Against the price before, 90, the edited rule would fire here; it arms instead.
    publish(&processor, true, 80);
    publish(&processor, false, 74);
    end([processor, producer]);

    let alerts: Vec<(String, String, String)> = committed("default.edited.price_alerts")
        .iter()
        .map(judge::value)
        .map(|alert| {
            (judge::text(&alert, "rule"), judge::text(&alert, "price"), judge::text(&alert, "reference"))
        })
        .collect();
    let want = [("stays", "90", "100"), ("stays", "80", "90"), ("fall", "74", "80")];
    let mut want =
        want.map(|(rule, price, reference)| (rule.into(), price.into(), reference.into())).to_vec();
    let mut alerts = alerts;
    want.sort();
    alerts.sort();
    assert_eq!(alerts, want);
}

#[test]
fn a_processor_of_an_older_generation_gives_way_to_a_newer_one_and_says_why() {
    let _alone = alone();
    let of = |generation: u32| {
        manifest("aged", MARKET).replace("{name: aged}", &format!("{{name: aged, generation: {generation}}}"))
    };
    let fleet = Fleet::new(&of(1));
    fleet.does(&["setup"]);
    let [older, producer] = ["processor", "producer"].map(|role| fleet.ready(role));
    older.wait_metric("pricemonitor_observations_processed_total", &[], 60.0);
    fleet.place.write("monitor.yaml", of(2)).unwrap();
    let newer = fleet.ready("processor");
    newer.wait_metric("pricemonitor_observations_processed_total", &[], 60.0);
    // What the newer one had comes back to the older one, which must not go on with it.
    let port = newer.port;
    newer.end();
    wait::until("the older processor to say why it stands still", SOON, || {
        older.says().is_some_and(|(status, text)| status == 503 && text.contains("generation 2"))
    })
    .unwrap();
    let mut newer = fleet.start("processor", port);
    newer.ready();
    newer.wait_metric("pricemonitor_observations_processed_total", &[], 60.0);
    producer.end();
    let raw = observations("default.aged");
    wait::until("every observation to be processed", SOON, || events("default.aged").len() >= raw.len())
        .unwrap();
    assert!(older.says().is_some_and(|(status, _)| status == 503), "it stands still, it does not end");
    end([older, newer]);
    let processed: Vec<Place> = events("default.aged").into_iter().map(|(_, place)| place).collect();
    assert_eq!(processed, raw);
}

/// What a processor says of its state, as it stands there last.
fn mark(log: &KafkaLog) -> String {
    let mut last = None;
    log.scan(Topic::State, 0, 0, None, &mut |record| {
        if record.key == Some(b"_meta".as_slice()) {
            last = record.value.map(|value| String::from_utf8(value.to_vec()).unwrap());
        }
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    last.unwrap()
}

#[test]
fn a_processor_that_finds_a_state_of_a_newer_format_gives_it_up_says_why_and_writes_nothing() {
    let _alone = alone();
    let fleet = Fleet::new(&manifest("outdated", &MARKET.replace("partitions: 2", "partitions: 1")));
    fleet.does(&["setup"]);
    let [older, producer] = ["processor", "producer"].map(|role| fleet.ready(role));
    let (processed, appended) =
        ("pricemonitor_observations_processed_total", "pricemonitor_observations_appended_total");
    older.wait_metric(processed, &[], 60.0);
    let port = older.port;
    older.end();
    // There is more to be read when it is back.
    producer.wait_metric(appended, &[], producer.metric(appended, &[]) + 30.0);
    producer.end();

    // Meanwhile a newer program has gone on with the state.
    let connection = Connection { bootstrap_servers: KAFKA.bootstrap(), ..Connection::default() };
    let layout = Layout { partitions: 1, ..Layout::default() };
    let log = KafkaLog::open(&connection, &MonitorId::new(None, "outdated"), &layout, Options::default());
    let log = log.unwrap();
    let known = mark(&log);
    let newer = known.replace("\"format\":1,", "\"format\":2,");
    assert_ne!(newer, known);
    feed("default.outdated.state", &format!("_meta\t{newer}\n"));
    let topics = [Topic::State, Topic::Processed, Topic::Alerts, Topic::DeadLetters];
    let ends = || topics.map(|topic| log.ends(topic).unwrap());
    let written = ends();
    let mut older = fleet.start("processor", port);
    let gave_up = |older: &Worker| {
        let parts = ["partition 0 of `default.outdated.state` has format 2", "upgrade this one"];
        older.says().is_some_and(|(status, text)| status == 503 && parts.iter().all(|it| text.contains(it)))
    };
    wait::until("the older processor to say why it stands still", SOON, || gave_up(&older)).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert!(gave_up(&older) && !older.process.has_ended(), "it stands still, it does not end");
    assert_eq!(ends(), written);

    // Whoever knows the format has the partition, beside it, and processes the rest.
    feed("default.outdated.state", &format!("_meta\t{known}\n"));
    let newer = fleet.ready("processor");
    newer.wait_metric(processed, &[], 30.0);
    let behind = || fleet.run(&["audit"]).output.stdout.contains("behind");
    wait::until("every observation to be processed", SOON, || !behind()).unwrap();
    assert!(gave_up(&older));
    end([older, newer]);
    let told = fleet.does(&["audit"]);
    assert!(told.starts_with("outdated: clean\n") && !told.contains("note"), "{told}");
}

#[test]
fn two_namespaces_with_the_same_name_share_a_broker_and_a_database_and_nothing_else() {
    let _alone = alone();
    let of = |namespace: &str, seed: u32| {
        manifest("twin", &MARKET.replace("seed: 5", &format!("seed: {seed}")))
            .replace("{name: twin}", &format!("{{name: twin, namespace: {namespace}}}"))
    };
    let one = Fleet::new(&of("one", 5)).with_database("twins");
    let mut two = Fleet::new(&of("two", 6));
    two.variables.clone_from(&one.variables);
    for fleet in [&one, &two] {
        fleet.does(&["setup"]);
    }
    let (ones, twos) = (workers(&one), workers(&two));
    for [_, _, producer] in [&ones, &twos] {
        producer.wait_metric("pricemonitor_observations_appended_total", &[], 60.0);
    }
    let ([storage, processor, producer], [storages, processors, producers]) = (ones, twos);
    end([producer, producers]);
    let there = ["one.twin", "two.twin"].map(|monitor| settled(&one, monitor));
    end([storage, processor, storages, processors]);
    for (monitor, there) in ["one.twin", "two.twin"].into_iter().zip(there) {
        let raw = observations(monitor);
        assert_eq!(there, raw.len(), "{monitor}");
        let processed: Vec<Place> = events(monitor).into_iter().map(|(_, place)| place).collect();
        assert_eq!(processed, raw, "{monitor}");
    }
    let names = one.rows("SELECT monitor FROM monitors ORDER BY monitor");
    assert_eq!(names, [["one.twin"], ["two.twin"]]);
    // Each has told its own prices: the markets of two seeds differ.
    let prices = |monitor: &str| -> Vec<String> {
        let raw = committed(&format!("{monitor}.raw_prices"));
        let values = raw.iter().map(judge::value).filter(|value| value["kind"] == "observation");
        values.map(|value| judge::text(&value, "price")).collect()
    };
    assert_ne!(prices("one.twin")[..20], prices("two.twin")[..20]);
}
