use std::path::PathBuf;
use std::time::Duration;

use pricemonitor_model::{Baseline, Condition, LevelAt, Movement, Rearm, Severity, Side, Threshold};

use crate::settings::{ChannelKind, Monitor, ReaderSettings, SourceKind, WebhookUrl};
use crate::spec::{DeletionPolicy, Format, KeySpec, PriceMonitor, TlsMode};
use crate::{load, read};

const HEAD: &str = "apiVersion: pricemonitor.dev/v1alpha1\nkind: PriceMonitor\nmetadata: {name: m}\nspec:\n";
const SOURCE: &str = "  sources: [{name: s, simulator: {}}]\n";

fn monitor(spec: &str) -> Monitor {
    load(&format!("{HEAD}{spec}"), "x").unwrap().remove(0)
}

/// Each problem of a spec as `path: message`; the spec starts on line 5.
fn told(spec: &str) -> Vec<String> {
    match load(&format!("{HEAD}{spec}"), "x") {
        Ok(_) => Vec::new(),
        Err(problems) => {
            assert!(problems.list.iter().all(|problem| problem.line.is_some()), "{problems}");
            problems.list.iter().map(ToString::to_string).collect()
        }
    }
}

/// The problems of one rule, without `spec.rules[0].`
fn rule(rule: &str) -> Vec<String> {
    let channels = "  channels: [{name: discord, webhook: {url: 'https://x.org'}}]\n";
    let told = told(&format!("{SOURCE}{channels}  rules: [{{name: r, {rule}}}]\n"));
    told.into_iter()
        .map(|line| line.replacen("spec.rules[0]", "", 1).trim_start_matches('.').to_owned())
        .collect()
}

fn source(source: &str) -> Vec<String> {
    let told = told(&format!("  sources: [{{name: s, {source}}}]\n"));
    told.into_iter()
        .map(|line| line.replacen("spec.sources[0]", "", 1).trim_start_matches('.').to_owned())
        .collect()
}

#[test]
fn defaults_are_filled_in() {
    let monitor = monitor(
        "  sources:\n  - {name: a, simulator: {}}\n  - {name: b, file: {path: p.json, format: porssisahko}}\n  \
         - {name: c, http: {url: 'https://x.org/p', mapping: {jq: '.[]'}}}\n  channels:\n  - {name: w, webhook: \
         {url: 'https://x.org/hook'}}\n  storage: {csv: {path: out.csv}}\n",
    );
    assert_eq!(monitor.id.as_str(), "default.m");
    let intervals: Vec<u64> = monitor.sources.iter().map(|source| source.interval.as_secs()).collect();
    assert_eq!(intervals, [5, 10, 300]);
    let SourceKind::Simulator(simulator) = &monitor.sources[0].kind else { panic!() };
    assert_eq!((simulator.events, simulator.seed, simulator.currency.as_str()), (5, 42, "USD"));
    assert_eq!((simulator.listings_per_event.min, simulator.listings_per_event.max), (2, 5));
    let file = SourceKind::File {
        path: PathBuf::from("p.json"),
        reader: ReaderSettings::Format(Format::Porssisahko),
        max_size: 10 * 1024 * 1024,
    };
    assert_eq!(monitor.sources[1].kind, file);
    let SourceKind::Http { timeout, user_agent, bearer_token: None, .. } = &monitor.sources[2].kind else {
        panic!()
    };
    assert_eq!(*timeout, Duration::from_secs(10));
    assert_eq!(*user_agent, format!("PriceMonitor/{}", env!("CARGO_PKG_VERSION")));

    assert_eq!(monitor.rules, [pricemonitor_model::Rule::any_drop()]);
    let channel = &monitor.channels[0];
    assert_eq!((channel.max_age, channel.send_resolved), (Duration::from_secs(3600), false));
    let kind = ChannelKind::Webhook {
        url: WebhookUrl::Plain("https://x.org/hook".to_owned()),
        signing_secret: None,
        timeout: Duration::from_secs(10),
    };
    assert_eq!(channel.kind, kind);

    let positive = ["a", "b", "c"].map(|name| monitor.admission.valid[name].positive);
    assert_eq!(positive, [true, false, true]);
    assert_eq!((monitor.partitions, monitor.admission.partitions), (1, Some(1)));
    assert_eq!(monitor.csv.as_ref().map(|csv| csv.source.as_str()), Some("m"));
    assert_eq!(monitor.retention, Duration::from_secs(365 * 86_400));
    assert!(monitor.topics.is_empty() && monitor.key == KeySpec::Item && !monitor.suspend);
}

#[test]
fn a_rule_means_what_it_says() {
    let monitor = monitor(&format!(
        "{SOURCE}  rules:\n  - {{name: a, drop: {{percent: 10.5, baseline: lastNotified}}, cooldown: 1h, confirm: 3, \
         severity: critical, price: base, notify: [], match: {{event: 'x*', source: 's'}}}}\n  - {{name: b, below: \
         {{value: -0.50, clear: 1, at: starts}}, rearm: 6h}}\n  - {{name: c, above: {{value: 7}}, rearm: never}}\n  \
         - {{name: d, change: {{absolute: 2}}}}\n  - {{name: e, rise: {{percent: 250, baseline: first}}}}\n"
    ));
    let [a, b, c, d, e] = &monitor.rules[..] else { panic!() };
    let condition = Condition::Move {
        movement: Movement::Drop,
        threshold: Threshold::Percent("10.5".parse().unwrap()),
        baseline: Baseline::LastNotified,
    };
    assert_eq!(a.condition, condition);
    assert_eq!((a.cooldown, a.confirm, a.severity), (Some(3_600_000), 3, Severity::Critical));
    assert_eq!((a.channels.as_deref(), a.matchers.len()), (Some(&[][..]), 2));
    let level = |side, level: &str, clear: &str, at| Condition::Level {
        side,
        level: level.parse().unwrap(),
        clear: clear.parse().unwrap(),
        at,
    };
    assert_eq!(b.condition, level(Side::Below, "-0.50", "1", LevelAt::Starts));
    assert_eq!(b.rearm, Rearm::After(21_600_000));
    assert_eq!(c.condition, level(Side::Above, "7", "7", LevelAt::Published));
    assert_eq!((c.rearm, c.confirm, &c.channels), (Rearm::Never, 1, &None));
    let Condition::Move { threshold: Threshold::Absolute(_), baseline: Baseline::Previous, .. } = d.condition
    else {
        panic!()
    };
    let Condition::Move { baseline: Baseline::First, .. } = e.condition else { panic!() };
}

#[test]
fn each_wrong_rule_is_told_why() {
    for (text, want) in [
        ("severity: info", ": needs exactly one condition: `drop`, `rise`, `change`, `below` or `above`"),
        ("drop: {}, above: {value: 1}", ": has both `drop` and `above`: keep exactly one condition"),
        ("drop: {percent: 0}", "drop.percent: must be above 0, not 0"),
        ("drop: {percent: -5}", "drop.percent: must be above 0, not -5"),
        ("drop: {percent: 100.1}", "drop.percent: must be at most 100, not 100.1"),
        (
            "drop: {percent: ten}",
            "drop.percent: `ten` is not a decimal number: write digits with a point, such as `10` or `-0.50`",
        ),
        (
            "drop: {percent: '10%'}",
            "drop.percent: `10%` is not a decimal number: write digits with a point, such as `10` or `-0.50`",
        ),
        ("rise: {percent: 1000001}", "rise.percent: must be at most 1000000, not 1000001"),
        ("change: {absolute: 0}", "change.absolute: must be above 0, not 0"),
        (
            "drop: {percent: 1, absolute: 1}",
            "drop: has both `percent` and `absolute`: keep one, or write two rules",
        ),
        (
            "below: {value: 5, clear: 4}",
            "below.clear: must not be below `value` (5), is 4: the rule fires below the level and is clear on the \
             other side",
        ),
        (
            "above: {value: 5, clear: 6}",
            "above.clear: must not be above `value` (5), is 6: the rule fires above the level and is clear on the \
             other side",
        ),
        ("drop: {}, confirm: 0", "confirm: must be from 1 to 100, not 0"),
        ("drop: {}, confirm: 101", "confirm: must be from 1 to 100, not 101"),
        (
            "drop: {}, cooldown: 1x",
            "cooldown: `1x` is not a duration: write a number with a unit (ms, s, m, h, d, w), such as `10s` or `1h30m`",
        ),
        ("drop: {}, cooldown: 0s", "cooldown: `0s` must be from `1ms` to `3650d`"),
        ("drop: {}, rearm: never", "rearm: is for `below` and `above`; for a move use `cooldown`"),
        (
            "below: {value: 1}, rearm: sometimes",
            "rearm: `sometimes` is not a duration: write a number with a unit (ms, s, m, h, d, w), such as `10s` or \
             `1h30m`; or write `whenCleared` or `never`",
        ),
        ("drop: {}, notify: [discrod]", "notify[0]: there is no channel `discrod`, did you mean `discord`?"),
        ("drop: {}, notify: [phone]", "notify[0]: there is no channel `phone`; there are: `discord`"),
        ("drop: {}, notify: [discord, discord]", "notify[1]: `discord` is named twice"),
        ("drop: {}, match: {source: x}", "match.source: `x` matches no source; there are: `s`"),
        ("drop: {}, match: {'': x}", "match.: the label's name must have 1 to 253 characters, not 0"),
    ] {
        assert_eq!(rule(text), [want], "{text}");
    }
    assert!(rule("drop: {percent: 100}").is_empty() && rule("drop: {}, match: {source: '?'}").is_empty());
    assert!(rule("below: {value: 5, clear: 5}").is_empty());
}

#[test]
fn each_wrong_source_is_told_why() {
    for (text, want) in [
        ("interval: 5s", ": needs exactly one kind of source: `simulator`, `file` or `http`"),
        (
            "simulator: {}, file: {path: a, format: porssisahko}",
            ": has both `simulator` and `file`: keep exactly one kind of source",
        ),
        ("file: {path: a}", "file: needs exactly one way to read it: `format` or `mapping`"),
        (
            "file: {path: a, format: porssisahko, mapping: {jq: .}}",
            "file: has both `format` and `mapping`: keep exactly one way to read it",
        ),
        (
            "file: {path: a, mapping: {jq: ' '}}",
            "file.mapping.jq: is empty: write a jq filter that yields an object for each price",
        ),
        ("file: {path: ../a, format: porssisahko}", "file.path: `../a` must not leave its folder by `..`"),
        (
            "file: {path: a, format: porssisahko, maxSize: 1GiB}",
            "file.maxSize: `1GiB` is not a size: write a number with a unit (B, KiB, MiB), such as `10MiB`",
        ),
        ("simulator: {}, interval: 99ms", "interval: `99ms` must be from `100ms` to `7d`"),
        ("simulator: {events: 0}", "simulator.events: must be from 1 to 10000, not 0"),
        (
            "simulator: {listingsPerEvent: {min: 5, max: 2}}",
            "simulator.listingsPerEvent.max: must not be below `min` (5), is 2",
        ),
        (
            "simulator: {currency: usd}",
            "simulator.currency: `usd` is not a currency: write three capital letters, such as `EUR`",
        ),
        (
            "http: {url: 'https://u:p@x.org', format: porssisahko}",
            "http.url: must not hold a user name or password: keep them in a secret",
        ),
        (
            "http: {url: 'ftp://x.org', format: porssisahko}",
            "http.url: must start with http:// or https://, not `ftp:`",
        ),
        (
            "http: {url: 'https://x.org', format: porssisahko, timeout: 6m}",
            "http.timeout: `6m` must be from `100ms` to `5m`",
        ),
        (
            "http: {url: 'https://x.org', format: porssisahko, userAgent: \"a\\r\\nb: c\"}",
            "http.userAgent: must not hold line ends or other control characters",
        ),
        (
            "http: {url: 'https://x.org', format: porssisahko, bearerToken: {secretKeyRef: {name: ../x, key: k}}}",
            "http.bearerToken.secretKeyRef.name: must be the name of a Secret: lower-case letters, digits, `-` and `.`",
        ),
        (
            "http: {url: 'https://x.org', format: porssisahko, bearerToken: {secretKeyRef: {name: x, key: ..}}}",
            "http.bearerToken.secretKeyRef.key: must be a key of a Secret: letters, digits, `-`, `_` and `.`",
        ),
        ("simulator: {}, valid: {min: 5, max: 4}", "valid.max: must not be below `min` (5), is 4"),
        (
            "simulator: {}, valid: {max: 0}",
            "valid.max: leaves no price that is valid: with `positive: true` it must be above 0",
        ),
    ] {
        assert_eq!(source(text), [want], "{text}");
    }
    assert!(source("simulator: {}, valid: {min: -5, max: 0}").is_empty());
    assert_eq!(told("  sources: []\n"), ["spec.sources: is empty: a monitor needs a source"]);
}

#[test]
fn each_wrong_channel_log_and_storage_is_told_why() {
    for (text, want) in [
        (
            "channels: [{name: c}]",
            "spec.channels[0]: needs exactly one kind of channel: `discord` or `webhook`",
        ),
        (
            "channels: [{name: c, webhook: {}}]",
            "spec.channels[0].webhook: needs exactly one address: `url` or `urlFrom`",
        ),
        (
            "channels: [{name: c, maxAge: 31d, webhook: {url: 'http://x'}}]",
            "spec.channels[0].maxAge: `31d` must be from `1s` to `30d`",
        ),
        (
            "channels: [{name: c, discord: {webhookUrl: {secretKeyRef: {name: d, key: url}}, threadId: x}}]",
            "spec.channels[0].discord.threadId: must be a thread's number, in quotes",
        ),
        (
            "kafka: {key: slotStart, partitions: 6}",
            "spec.kafka.partitions: must be 1 with `key: slotStart`: the slots of one series would be spread over several",
        ),
        ("kafka: {partitions: 0}", "spec.kafka.partitions: must be from 1 to 1000, not 0"),
        (
            "kafka: {topics: {raw: a b}}",
            "spec.kafka.topics.raw: `a b` is not a topic's name: use letters, digits, `.`, `_` and `-`, at most 249",
        ),
        (
            "kafka: {topics: {raw: a, alerts: a}}",
            "spec.kafka.topics.alerts: `a` is the topic `raw` too: names must differ",
        ),
        (
            "kafka: {bootstrapServers: kafka}",
            "spec.kafka.bootstrapServers: must be addresses such as `kafka-0:9092,kafka-1:9092`",
        ),
        (
            "kafka: {retention: {alerts: 5m}}",
            "spec.kafka.retention.alerts: `5m` must be from `1h` to `3650d`",
        ),
        ("storage: {retention: 1m}", "spec.storage.retention: `1m` must be from `1h` to `36500d`"),
        (
            "storage: {csv: {path: /tmp/x.csv}}",
            "spec.storage.csv.path: `/tmp/x.csv` must be relative to the data folder and separated by `/`",
        ),
        ("storage: {csv: {path: log.sqlite}}", "spec.storage.csv.path: `log.sqlite` must end in `.csv`"),
    ] {
        assert_eq!(told(&format!("{SOURCE}  {text}\n")), [want], "{text}");
    }
}

#[test]
fn names_are_labels_and_unique() {
    assert_eq!(
        told(
            "  sources:\n  - {name: A_b, simulator: {}}\n  - {name: s, simulator: {}}\n  - {name: s, simulator: {}}\n"
        ),
        [
            "spec.sources[0].name: `A_b` is not a name: use at most 63 lower-case letters, digits and `-`, with a letter \
             or digit at both ends",
            "spec.sources[2].name: `s` is the name of spec.sources[1] too: names must differ",
        ]
    );
}

#[test]
fn lists_are_bounded() {
    let list = |count: usize, item: &str| -> String {
        let items: Vec<String> = (0..count).map(|n| format!("{{name: n{n}, {item}}}")).collect();
        format!("[{}]", items.join(", "))
    };
    let simulators = |count| format!("  sources: {}\n", list(count, "simulator: {}"));
    assert!(told(&simulators(64)).is_empty());
    assert_eq!(told(&simulators(65)), ["spec.sources: has 65 entries, at most 64 are allowed"]);
    assert_eq!(
        told(&format!("{SOURCE}  rules: {}\n", list(129, "drop: {}"))),
        ["spec.rules: has 129 entries, at most 128 are allowed"]
    );
    assert_eq!(
        told(&format!("{SOURCE}  channels: {}\n", list(33, "webhook: {url: 'http://x'}"))),
        ["spec.channels: has 33 entries, at most 32 are allowed"]
    );
}

#[test]
fn a_slot_key_switches_the_partition_check_off() {
    let monitor =
        monitor(&format!("{SOURCE}  kafka: {{key: slotStart, topics: {{raw: electricity-prices}}}}\n"));
    assert_eq!(
        (monitor.key, monitor.partitions, monitor.admission.partitions),
        (KeySpec::SlotStart, 1, None)
    );
    assert_eq!(monitor.topics.get("raw").map(String::as_str), Some("electricity-prices"));
}

#[test]
fn what_only_a_cluster_uses_is_read_judged_and_named() {
    let text = format!(
        "{HEAD}{SOURCE}  kafka:\n    bootstrapServers: kafka:9092\n    groups: {{storage: electricity-price-consumer}}\n    \
         replicationFactor: 3\n    retention: {{raw: 3d, deadLetters: 1h30m}}\n    authentication: {{type: scram-sha-512, secretRef: {{name: kafka-user}}}}\n    \
         tls: {{caCertificate: {{secretKeyRef: {{name: ca, key: ca.crt}}}}}}\n    deletionPolicy: Retain\n  storage:\n    \
         postgres: {{secretRef: {{name: prices-app}}, tls: {{mode: verify-full}}}}\n  workers: {{alert: {{replicas: 2}}}}\n"
    );
    let read: Vec<PriceMonitor> = read::read(&text, "x").unwrap();
    let unused = [
        "spec.kafka.bootstrapServers",
        "spec.kafka.replicationFactor",
        "spec.kafka.retention",
        "spec.kafka.authentication",
        "spec.kafka.tls",
        "spec.kafka.deletionPolicy",
        "spec.storage.postgres",
        "spec.workers",
    ];
    assert_eq!(read[0].cluster_only(), unused);
    assert_eq!(load(&text, "x").unwrap()[0].cluster_only, unused);
    assert!(read::read(&format!("{HEAD}{SOURCE}"), "x").unwrap()[0].cluster_only().is_empty());
}

#[test]
fn what_is_said_of_the_servers_is_kept_for_those_who_use_them() {
    let monitor = monitor(&format!(
        "{SOURCE}  kafka:\n    bootstrapServers: kafka:9092\n    groups: {{storage: electricity-price-consumer}}\n    \
         replicationFactor: 3\n    retention: {{raw: 3d, deadLetters: 1h30m}}\n    authentication: {{type: tls, secretRef: {{name: user}}}}\n    tls: {{}}\n    \
         deletionPolicy: Delete\n  storage:\n    postgres: {{secretRef: {{name: prices-app}}}}\n"
    ));
    let kafka = &monitor.kafka;
    assert_eq!(kafka.bootstrap_servers.as_deref(), Some("kafka:9092"));
    assert_eq!(kafka.groups.storage.as_deref(), Some("electricity-price-consumer"));
    assert_eq!((kafka.replication_factor, kafka.deletion_policy), (Some(3), DeletionPolicy::Delete));
    assert_eq!(
        (kafka.retention.raw, kafka.retention.alerts, kafka.retention.dead_letters),
        (Some(Duration::from_secs(3 * 86_400)), None, Some(Duration::from_secs(5_400)))
    );
    assert!(kafka.tls.is_some() && kafka.authentication.is_some());
    assert_eq!(monitor.postgres.unwrap().tls.unwrap_or_default().mode, TlsMode::VerifyFull);
}

#[test]
fn a_client_certificate_needs_tls() {
    let problems =
        told(&format!("{SOURCE}  kafka: {{authentication: {{type: tls, secretRef: {{name: user}}}}}}\n"));
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("spec.kafka.authentication.type: `tls` logs in by"), "{problems:?}");
}

#[test]
fn discord_without_an_address_has_it_in_a_secret_of_its_own() {
    let monitor = monitor(&format!("{SOURCE}  channels: [{{name: discord, discord: {{}}}}]\n"));
    assert_eq!(monitor.channels, [crate::settings::ChannelSettings::discord()]);
}
