//! Electricity on a cluster: a topic with one partition, keys that are slots, a CSV file and no database.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use pricemonitor_testkit::feed::{HourPrice, document, hour};
use pricemonitor_testkit::{place, read, wait};

use crate::common::{SOON, manifest};
use crate::fleet::{Fleet, KAFKA};

const SPEC: &str = "
sources:
- {name: spot, interval: 200ms, file: {path: latest-prices.json, format: porssisahko}}
storage:
  csv: {path: electricity_prices.csv, source: electricity-price-monitor}
kafka:
  topics: {raw: electricity-prices}
  groups: {storage: electricity-price-consumer}
  partitions: 1
  key: slotStart
";

struct Spot {
    fleet: Fleet,
    origin: i64,
}

impl Spot {
    fn publish(&self, hours: usize) -> Vec<HourPrice> {
        let hours: Vec<HourPrice> = (0..hours).map(|n| hour(self.origin, n as i64)).collect();
        place::replace(&self.fleet.place.at("latest-prices.json"), document(&hours)).unwrap();
        hours
    }

    fn starts(&self) -> Vec<String> {
        let file = self.fleet.place.at("data/electricity_prices.csv");
        let Ok((header, lines)) = read::csv(&file) else { return Vec::new() };
        assert_eq!(header, ["received_timestamp", "price", "startDate", "endDate", "source"]);
        lines.into_iter().map(|line| line[2].clone()).collect()
    }

    #[track_caller]
    fn settles_on(&self, hours: &[HourPrice]) {
        let want: Vec<&str> = hours.iter().map(|hour| hour.start.as_str()).collect();
        let _ = wait::until("every line", SOON, || self.starts().len() >= want.len());
        assert_eq!(self.starts(), want);
    }
}

#[test]
fn every_slot_is_one_line_of_the_csv_file_whoever_is_killed() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let spot = Spot {
        fleet: Fleet::new(&manifest("electricity-price-monitor", SPEC)),
        origin: now - now % 3_600_000,
    };
    let made = spot.fleet.does(&["setup"]);
    assert!(made.contains("electricity-prices") && made.contains("postgres  not used"), "{made}");
    assert!(spot.fleet.does(&["setup"]).contains("every topic is there"));

    let hours = spot.publish(24);
    let producer = spot.fleet.ready("producer");
    let storage = spot.fleet.ready("storage");
    let processor = spot.fleet.ready("processor");
    spot.settles_on(&hours);
    let (port, _) = (storage.port, storage.process.kill9().unwrap());
    let hours = spot.publish(30);
    let mut storage = spot.fleet.start("storage", port);
    storage.ready();
    spot.settles_on(&hours);
    let (port, _) = (producer.port, producer.process.kill9().unwrap());
    let hours = spot.publish(48);
    let mut producer = spot.fleet.start("producer", port);
    producer.ready();
    spot.settles_on(&hours);
    processor.wait_metric("pricemonitor_observations_processed_total", &[], 48.0);

    let bootstrap = KAFKA.bootstrap();
    let group = ["--bootstrap-server", &bootstrap, "--describe", "--group", "electricity-price-consumer"];
    let told = KAFKA.tool("consumer.group.ConsumerGroupCommand", &group).unwrap();
    assert!(told.contains("electricity-prices"), "{told}");
    let read = ["--bootstrap-server", &bootstrap, "--topic", "electricity-prices", "--from-beginning"];
    let how = [
        "--formatter-property",
        "print.key=true",
        "--isolation-level",
        "read_committed",
        "--timeout-ms",
        "5000",
    ];
    let records = KAFKA.tool("consumer.ConsoleConsumer", &[read.as_slice(), &how].concat()).unwrap();
    let keys: Vec<&str> = records
        .lines()
        .filter(|line| line.contains("\"kind\":\"observation\""))
        .filter_map(|line| line.split('\t').next())
        .collect();
    let want: Vec<&str> = hours.iter().map(|hour| hour.start.as_str()).collect();
    assert_eq!(keys, want);

    for worker in [producer, processor, storage] {
        worker.end();
    }
    let text = fs::read_to_string(spot.fleet.place.at("data/electricity_prices.csv")).unwrap();
    assert_eq!(text.lines().count(), 1 + hours.len());
}
