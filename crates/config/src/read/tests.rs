use crate::spec::DecimalText;

use super::*;

/// The messages for a text whose `spec` is `spec`, each as `line: path: message`. The spec starts
/// on line 4.
fn problems(spec: &str) -> Vec<String> {
    let text =
        format!("apiVersion: pricemonitor.dev/v1alpha1\nkind: PriceMonitor\nmetadata: {{name: m}}\n{spec}");
    messages(&text)
}

fn messages(text: &str) -> Vec<String> {
    match read(text, "x") {
        Ok(_) => Vec::new(),
        Err(problems) => {
            problems.to_string().lines().map(|line| line.trim_start_matches("x:").to_owned()).collect()
        }
    }
}

const SOURCE: &str = "  sources:\n  - {name: s, simulator: {}}\n";

#[test]
fn a_field_that_is_not_known_is_refused_with_the_nearest_name_and_its_line() {
    let spec = format!("spec:\n{SOURCE}  rules:\n  - name: r\n    drop:\n      percnt: 10\n");
    assert_eq!(problems(&spec), ["10: spec.rules[0].drop.percnt: unknown field, did you mean `percent`?"]);
    assert_eq!(
        problems(&format!("spec:\n{SOURCE}  storge: {{}}\n  zzz: 1\n")),
        [
            "7: spec.storge: unknown field, did you mean `storage`?",
            "8: spec.zzz: unknown field. Known here: `sources`, `rules`, `channels`, `storage`, `kafka`, `workers`, `image` and `suspend`",
        ]
    );
}

#[test]
fn a_kind_that_is_not_known_is_answered_with_those_that_are() {
    assert_eq!(
        problems("spec:\n  sources:\n  - name: s\n    ftp: {path: x}\n  - name: t\n    htp: {url: x}\n"),
        [
            "7: spec.sources[0].ftp: unknown field or kind of source. Kinds: `simulator`, `file` and `http`; \
             other fields: `name`, `interval` and `valid`",
            "9: spec.sources[1].htp: unknown field, did you mean `http`? Kinds of source: `simulator`, `file` and `http`",
        ]
    );
    let spec = format!(
        "spec:\n{SOURCE}  rules:\n  - {{name: r, explodes: {{}}}}\n  channels:\n  - {{name: c, pigeon: {{}}}}\n"
    );
    assert_eq!(
        problems(&spec),
        [
            "8: spec.rules[0].explodes: unknown field or kind of rule. Kinds: `drop`, `rise`, `change`, `below` and \
             `above`; other fields: `name`, `match`, `confirm`, `cooldown`, `notify`, `price`, `rearm` and `severity`",
            "10: spec.channels[0].pigeon: unknown field or kind of channel. Kinds: `discord` and `webhook`; \
             other fields: `name`, `maxAge`, `sendResolved` and `template`",
        ]
    );
}

#[test]
fn a_wrong_type_is_told_by_path_line_and_what_is_wanted() {
    for (spec, want) in [
        ("spec: 5\n", "4: spec: must be a mapping with `sources`, not a number"),
        ("spec:\n  sources: {}\n", "5: spec.sources: must be a list, not a mapping"),
        ("spec:\n  sources: [x]\n", "5: spec.sources[0]: must be a mapping with `name`, not a text"),
        (
            "spec:\n  sources:\n  - {name: 12, simulator: {}}\n",
            "6: spec.sources[0].name: must be a text: write \"12\" in quotes",
        ),
        (
            "spec:\n  sources:\n  - {name: off, simulator: {}}\n",
            "6: spec.sources[0].name: must be a text: write \"off\" in quotes",
        ),
        (
            "spec:\n  sources:\n  - {name: s, interval: 10, simulator: {}}\n",
            "6: spec.sources[0].interval: must be a duration such as `10s` with a unit, not the number 10",
        ),
        (
            "spec:\n  sources:\n  - {name: s, simulator: {events: five}}\n",
            "6: spec.sources[0].simulator.events: must be a whole number from 0 to 4294967295, not `five`",
        ),
        (
            "spec:\n  sources:\n  - {name: s, simulator: {events: -1}}\n",
            "6: spec.sources[0].simulator.events: must be a whole number from 0 to 4294967295, not `-1`",
        ),
        (
            "spec:\n  sources:\n  - {name: s, file: {path: a, format: csv}}\n",
            "6: spec.sources[0].file.format: must be `porssisahko`, not `csv`",
        ),
        (
            "spec:\n  sources: [{name: s, simulator: {}}]\n  rules: [{name: r, drop: {baseline: lastNotifed}}]\n",
            "6: spec.rules[0].drop.baseline: must be one of `previous`, `lastNotified` and `first`, not \
             `lastNotifed`, did you mean `lastNotified`?",
        ),
        (
            "spec:\n  sources: [{name: s, simulator: {}}]\n  suspend: yes\n",
            "6: spec.suspend: must be `true` or `false`, not `yes`",
        ),
        (
            "spec:\n  sources: [{name: s, simulator: {}}]\n  rules: [{name: r, drop: {percent: true}}]\n",
            "6: spec.rules[0].drop.percent: must be a decimal number such as `10` or `\"10.00\"`, not `true`",
        ),
        (
            "spec:\n  sources: [{name: s, simulator: {}}]\n  rules: [{name: r, drop: 10}]\n",
            "6: spec.rules[0].drop: must be a mapping, not a number",
        ),
    ] {
        assert_eq!(problems(spec), [want], "{spec}");
    }
}

#[test]
fn what_stands_where_a_secret_is_referred_to_is_not_shown() {
    let spec =
        format!("spec:\n{SOURCE}  channels:\n  - name: d\n    discord: {{webhookUrl: 'https://hunter2'}}\n");
    assert_eq!(
        problems(&spec),
        ["9: spec.channels[0].discord.webhookUrl: must be a mapping with `secretKeyRef`, not a text"]
    );
}

#[test]
fn missing_fields_are_told_with_what_they_are_for() {
    assert_eq!(
        messages("kind: PriceMonitor\nspec:\n  sources:\n  - simulator: {}\n"),
        [
            "1: apiVersion: is missing: `pricemonitor.dev/v1alpha1`",
            "1: metadata: is missing: name and namespace",
            "4: spec.sources[0].name: is missing: name, unique in the monitor: a DNS label",
        ]
    );
    let spec = format!("spec:\n{SOURCE}  rules:\n  - name: r\n    below:\n  - name:\n    drop: {{}}\n");
    assert_eq!(
        problems(&spec),
        [
            "9: spec.rules[0].below: holds nothing: write `below: {}` or say more",
            "10: spec.rules[1].name: is missing: name, unique in the monitor: a DNS label",
        ]
    );
}

#[test]
fn everything_is_told_at_once_and_in_the_order_of_the_text() {
    let spec = "spec:\n  sources:\n  - name: s\n    simulator: {seeds: 1}\n    interval: [5s]\n  rules:\n  \
                - name: r\n    drop: {percent: []}\n  extra: 1\n";
    let told = problems(spec);
    let paths: Vec<&str> = told.iter().map(|line| line.split(": ").nth(1).unwrap()).collect();
    assert_eq!(
        paths,
        [
            "spec.sources[0].simulator.seeds",
            "spec.sources[0].interval",
            "spec.rules[0].drop.percent",
            "spec.extra"
        ]
    );
}

#[test]
fn a_field_given_twice_is_refused() {
    assert_eq!(
        problems(&format!("spec:\n{SOURCE}  suspend: true\n  suspend: false\n")),
        ["8: spec.suspend: is given twice, first on line 7"]
    );
    let spec = format!("spec:\n{SOURCE}  rules:\n  - name: r\n    drop: {{}}\n    match: {{a: x, a: y}}\n");
    assert_eq!(problems(&spec), ["10: spec.rules[0].match.a: is given twice"]);
}

#[test]
fn another_document_gets_one_message() {
    for (text, want) in [
        ("", " holds no PriceMonitor: a manifest starts with `apiVersion: pricemonitor.dev/v1alpha1`"),
        (
            "# nothing\n---\n---\n~\n",
            " holds no PriceMonitor: a manifest starts with `apiVersion: pricemonitor.dev/v1alpha1`",
        ),
        ("hello", "1: must be a mapping with `apiVersion`, `kind`, `metadata` and `spec`, not a text"),
        ("- a\n- b\n", "1: must be a mapping with `apiVersion`, `kind`, `metadata` and `spec`, not a list"),
        ("apiVersion: v1\nkind: Secret\nspec: {a: b}\n", "2: kind: must be `PriceMonitor`, not `Secret`"),
        (
            "apiVersion: pricemonitor.dev/v2\nkind: PriceMonitor\nspec: {a: b}\n",
            "1: apiVersion: must be `pricemonitor.dev/v1alpha1`, not `pricemonitor.dev/v2`",
        ),
    ] {
        assert_eq!(messages(text), [want], "{text}");
    }
}

#[test]
fn what_is_not_yaml_is_told_with_line_and_column() {
    for (text, line, column) in [
        ("a: b: c\n", "1:", "column 5"),
        ("a: [1, 2\nb: 3\n", "2:", "column"),
        ("a:\n\t- b\n", "2:", "column"),
        ("a: 'open\n", "", "column"),
        ("a: *nowhere\n", "1:", "column 4"),
        ("a: \u{0}\n", "1:", "column"),
    ] {
        let told = messages(text);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(&format!("{line} not YAML")) || line.is_empty(), "{told:?}");
        assert!(told[0].contains(column), "{told:?}");
    }
}

#[test]
fn aliases_work_but_cannot_blow_up_the_manifest() {
    let ok = "apiVersion: pricemonitor.dev/v1alpha1\nkind: PriceMonitor\nmetadata: {name: &n m}\nspec:\n  \
              sources:\n  - {name: *n, simulator: &s {seed: 7}}\n  - {name: t, simulator: *s}\n";
    let read = read(ok, "x").unwrap();
    assert_eq!(read[0].spec.sources[1].simulator.as_ref().unwrap().seed, 7);

    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let before = format!("*a{}", n - 1);
        bomb += &format!("a{n}: &a{n} [{}]\n", [before.as_str(); 10].join(", "));
    }
    let start = std::time::Instant::now();
    let told = messages(&bomb);
    assert!(told[0].contains("more than 50000 values, aliases included"), "{told:?}");
    assert!(start.elapsed() < std::time::Duration::from_secs(5));

    assert!(messages("a: &a [*a]\n")[0].contains("alias of itself"));
    assert!(messages("a: &a {b: 1}\nc:\n  <<: *a\n")[0].contains("merge keys"));
    assert!(messages("a: !python/object x\n")[0].contains("the tag `!python/object` is not supported"));
    assert!(messages("? [a]\n: b\n")[0].contains("must be a word"));
    assert!(messages(&"[".repeat(100_000))[0].contains("not YAML"));
    assert!(messages(&format!("a: {}", "[".repeat(40) + &"]".repeat(40))).len() == 1);
    assert!(messages(&"a".repeat(2_000_000))[0].contains("at most 1048576"));
}

#[test]
fn decimals_come_out_as_they_were_written() {
    for written in ["10", "-0.50", "'10.00'", "\"0.1\"", "12345678901234567.123456789", "1e2", "!!str 7.0"] {
        let spec = format!(
            "apiVersion: pricemonitor.dev/v1alpha1\nkind: PriceMonitor\nmetadata: {{name: m}}\nspec:\n{SOURCE}  \
             rules:\n  - name: r\n    below: {{value: {written}}}\n"
        );
        let monitor = read(&spec, "x").unwrap();
        let digits = written.trim_start_matches("!!str ").trim_matches(['"', '\'']);
        let below = monitor[0].spec.rules[0].below.clone().unwrap();
        assert_eq!(below.value, DecimalText(digits.to_owned()));
    }
}

#[test]
fn what_kubernetes_adds_is_passed_over() {
    let text = "apiVersion: pricemonitor.dev/v1alpha1\nkind: PriceMonitor\nmetadata:\n  name: m\n  namespace: prices\n  \
                labels: {a: b}\n  annotations: {c: d}\n  resourceVersion: '5'\n  generation: 3\nspec:\n  sources: \
                [{name: s, simulator: {}}]\nstatus: {conditions: [{type: Ready}]}\n";
    let read = read(text, "x").unwrap();
    assert_eq!(read[0].metadata.namespace.as_deref(), Some("prices"));
    assert_eq!(read[0].metadata.generation, Some(3));
}

#[test]
fn several_documents_are_read_and_a_byte_order_mark_and_windows_line_ends_do_not_matter() {
    let one = |name: &str| {
        format!(
            "apiVersion: pricemonitor.dev/v1alpha1\nkind: PriceMonitor\nmetadata: {{name: {name}}}\nspec:\n{SOURCE}"
        )
    };
    let text = format!("\u{feff}---\n{}---\n\n---\n{}...\n", one("a"), one("b")).replace('\n', "\r\n");
    let names: Vec<String> =
        read(&text, "x").unwrap().into_iter().map(|monitor| monitor.metadata.name).collect();
    assert_eq!(names, ["a", "b"]);
    let told = messages(&format!("{}---\n{}  oops: 1\n", one("a"), one("b")));
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("14: spec.oops: unknown field"), "{told:?}");
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_line() {
    assert_eq!(utf8("ä".as_bytes(), "x"), Ok("ä"));
    let told = utf8(b"a: b\nc: \xff\n", "monitor.yaml").unwrap_err().to_string();
    assert_eq!(told, "monitor.yaml:2: not a text in UTF-8: save the file in this encoding");
    assert!(utf8(&[0xff, 0xfe, b'a', 0], "x").is_err());
}
