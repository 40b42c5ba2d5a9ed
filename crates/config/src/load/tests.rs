use super::load;

const HEAD: &str = "apiVersion: pricemonitor.dev/v1alpha1\nkind: PriceMonitor\nmetadata: {name: m}\nspec:\n";
const SOURCE: &str = "  sources: [{name: s, simulator: {}}]\n";

/// Each problem of a spec as `path: message`.
fn told(spec: &str) -> Vec<String> {
    match load(&format!("{HEAD}{spec}"), "x") {
        Ok(_) => Vec::new(),
        Err(problems) => problems.list.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn errors_of_form_and_of_meaning_come_together_without_echoes() {
    let told = told(
        "  sources:\n  - {name: s, intervall: 5s, simulator: {events: 0}}\n  - {name: t, ftp: {}}\n  rules:\n  \
         - {name: r, drop: {percnt: 10}, confirm: 0, notify: [nobody]}\n  channels:\n  - {name: 5}\n",
    );
    assert_eq!(
        told,
        [
            "spec.sources[0].intervall: unknown field, did you mean `interval`?",
            "spec.sources[0].simulator.events: must be from 1 to 10000, not 0",
            "spec.sources[1].ftp: unknown field or kind of source. Kinds: `simulator`, `file` and `http`; other fields: \
             `name`, `interval` and `valid`",
            "spec.rules[0].confirm: must be from 1 to 100, not 0",
            "spec.rules[0].drop.percnt: unknown field, did you mean `percent`?",
            "spec.channels[0].name: must be a text: write \"5\" in quotes",
        ]
    );
}

#[test]
fn a_value_that_stands_in_for_a_wrong_one_is_not_judged_against_its_neighbours() {
    // One problem is the channel's, whose name is no name; the others are told in `spec`.
    for (spec, count) in [
        ("{name: r, below: {value: true, clear: -9}}", 2),
        ("{name: r, belw: {value: 5}, rearm: 6h}", 2),
        ("{name: r, drop: {}, notify: [phone]}", 1),
        ("{name: r, drop: {percnt: 1}, rise: {}}", 3),
    ] {
        let channels = "channels: [{name: [phone], webhook: {url: 'http://x'}}]";
        let told = told(&format!("{SOURCE}  rules: [{spec}]\n  {channels}\n"));
        assert_eq!(told.len(), count, "{told:#?}");
    }
    let told = told(
        "  sources: [{name: s, simulator: {listingsPerEvent: {min: x, max: 0}}, valid: {min: [], max: -5}}]\n",
    );
    assert_eq!(told.len(), 2, "{told:#?}");
}

#[test]
fn problems_of_meaning_have_the_line_of_what_is_nearest() {
    let text = format!(
        "{HEAD}  sources:\n  - name: s\n    simulator:\n      events: 0\n  rules:\n  - name: r\n    below:\n      value: 5\n      clear: 4\n  - name: empty\n"
    );
    let told = load(&text, "examples/x.yaml").unwrap_err().to_string();
    let starts: Vec<&str> = told.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(starts, ["examples/x.yaml:8", "examples/x.yaml:13", "examples/x.yaml:14"]);
}

#[test]
fn two_monitors_with_one_id_or_one_csv_file_are_refused() {
    let one = |name: &str, csv: &str| {
        format!(
            "apiVersion: pricemonitor.dev/v1alpha1\nkind: PriceMonitor\nmetadata: {{name: {name}}}\nspec:\n{SOURCE}  storage: {{csv: {{path: {csv}}}}}\n"
        )
    };
    let told =
        load(&format!("{}---\n{}", one("a", "a.csv"), one("a", "./a.csv")), "x").unwrap_err().to_string();
    assert_eq!(
        told,
        "x:10: metadata.name: the monitor `default.a` is there already, on line 3: names must differ\n\
         x:13: spec.storage.csv.path: another monitor writes this file already, on line 6: give each its own"
    );
    assert_eq!(load(&format!("{}---\n{}", one("a", "a.csv"), one("b", "b.csv")), "x").unwrap().len(), 2);

    let (a, b) = (load(&one("a", "a.csv"), "a.yaml").unwrap(), load(&one("a", "a.csv"), "b.yaml").unwrap());
    let clashes = crate::clashes([("a.yaml", &a[0]), ("b.yaml", &b[0])]);
    assert_eq!(
        clashes,
        [
            "the monitor `default.a` is in a.yaml and in b.yaml: give one of them another name",
            "monitors of a.yaml and b.yaml both write the CSV file a.csv: give each its own",
        ]
    );
    assert!(crate::clashes([("a.yaml", &a[0])]).is_empty());
}
