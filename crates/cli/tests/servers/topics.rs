//! Topics as the manifest says, as Kafka's own tools see them; and those that are there already.

use std::collections::BTreeMap;

use crate::common::{manifest, refused};
use crate::fleet::{Fleet, KAFKA, feed};

const MARKET: &str = "sources: [{name: market, interval: 200ms, simulator: {events: 3}}]";

/// What a topic is like: settings, number of partitions and of copies, and the id of its life.
type Shape = BTreeMap<String, String>;

/// The topics of a monitor by the ends of their names, as Kafka's own tool tells them.
fn topics(monitor: &str) -> BTreeMap<String, Shape> {
    let (bootstrap, names) = (KAFKA.bootstrap(), format!(r"default\.{monitor}\..*"));
    let ask = ["--bootstrap-server", &bootstrap, "--describe", "--topic", &names];
    let told = KAFKA.tool("TopicCommand", &ask).unwrap();
    let begin = format!("Topic: default.{monitor}.");
    // Lines of partitions are indented.
    let topic = |line: &str| {
        let (name, rest) = line.strip_prefix(begin.as_str())?.split_once('\t')?;
        let (shape, settings) = rest.split_once("\tConfigs: ")?;
        let shape = shape.split('\t').filter_map(|part| part.split_once(": "));
        let settings = settings.split(',').filter_map(|setting| setting.split_once('='));
        let all: Shape =
            shape.chain(settings).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Some((name.to_owned(), all))
    };
    told.lines().filter_map(topic).collect()
}

/// Sets a setting of a topic, as an operator would.
fn alter(topic: &str, setting: &str) {
    let bootstrap = KAFKA.bootstrap();
    let whose = ["--bootstrap-server", &bootstrap, "--entity-type", "topics", "--entity-name", topic];
    let alter = ["--alter", "--add-config", setting];
    KAFKA.tool("kafka.admin.ConfigCommand", &[whose.as_slice(), &alter].concat()).unwrap();
}

#[test]
fn setup_makes_topics_as_the_manifest_says_and_changes_none_that_are_there() {
    let spec = format!(
        "{MARKET}\nkafka: {{partitions: 2, replicationFactor: 1, retention: {{raw: 3h, deadLetters: 12h}}}}"
    );
    let fleet = Fleet::new(&manifest("asked", &spec));
    fleet.does(&["setup"]);
    let made = topics("asked");
    let week = "604800000";
    let kept = [
        ("raw_prices", "2", ("retention.ms", "10800000")),
        ("processed_prices", "2", ("retention.ms", week)),
        ("price_alerts", "2", ("retention.ms", week)),
        ("dead_letters", "1", ("retention.ms", "43200000")),
        ("state", "2", ("segment.bytes", "10485760")),
        ("checkpoints", "2", ("segment.bytes", "10485760")),
    ];
    assert_eq!(made.len(), kept.len(), "{made:?}");
    for (name, partitions, own) in kept {
        let topic = &made[name];
        let policy = if own.0 == "retention.ms" { "delete" } else { "compact" };
        for (setting, value) in [
            ("PartitionCount", partitions),
            ("ReplicationFactor", "1"),
            ("cleanup.policy", policy),
            ("message.timestamp.type", "LogAppendTime"),
            ("max.message.bytes", "9437184"),
            ("min.insync.replicas", "1"),
            own,
        ] {
            assert_eq!(topic.get(setting).map(String::as_str), Some(value), "{setting} of {name}: {topic:?}");
        }
    }

    alter("default.asked.raw_prices", "retention.ms=7200000");
    alter("default.asked.state", "max.message.bytes=2000000");
    let altered = topics("asked");
    assert_eq!(altered["raw_prices"]["retention.ms"], "7200000");
    let told = fleet.does(&["setup"]);
    for words in [
        "`default.asked.raw_prices` exists with retention.ms 7200000, wanted is 10800000; it was not changed",
        "`default.asked.state` exists with max.message.bytes 2000000, wanted is 9437184; it was not changed",
    ] {
        assert!(told.contains(words), "{words} in {told}");
    }
    assert_eq!(told.matches("it was not changed").count(), 2, "nothing else differs: {told}");
    assert!(!told.contains("made "), "{told}");
    assert_eq!(topics("asked"), altered);
}

#[test]
fn setup_takes_topics_of_another_monitor_only_when_it_is_told_to() {
    let owner = Fleet::new(&manifest("owner", MARKET));
    owner.does(&["setup"]);
    let heir = Fleet::new(&manifest(
        "heir",
        &format!("{MARKET}\nkafka: {{topics: {{raw: default.owner.raw_prices}}}}"),
    ));
    // The owner's mark stands beside its checkpoints, which the heir does not see. That there are records, it sees.
    feed("default.owner.raw_prices", "shop/seat\t{broken\n");
    refused(
        &heir.run(&["setup"]),
        1,
        &[
            "`default.owner.raw_prices` exists and has records, and nothing says that they are of default.heir",
            "pricemonitor setup --adopt",
        ],
    );
    let told = heir.does(&["setup", "--adopt"]);
    assert_eq!(told.matches("made default.heir.").count(), 5, "all but the raw topic: {told}");
    assert!(heir.does(&["setup"]).contains("every topic is there"));

    // Topics with a mark, as after a monitor was given another name and its topics were copied.
    let mark = r#"{"format":1,"monitor":"default.owner","partitions":1,"incarnation":7}"#;
    feed("default.heir.checkpoints", &format!("_monitor\t{mark}\n"));
    let whose = "`default.heir.checkpoints` belongs to the monitor default.owner, not to default.heir";
    refused(&heir.run(&["setup"]), 1, &[whose, "pricemonitor setup --adopt"]);
    let told = heir.does(&["setup", "--adopt"]);
    assert!(told.contains("taken over from the monitor default.owner"), "{told}");
    assert!(heir.does(&["setup"]).contains("every topic is there"));
}
