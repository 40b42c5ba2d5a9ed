use proptest::prelude::*;

use super::*;

const AT: Time = Time::from_seconds(1_750_000_000);
const ONE: &str = r#"{item: "x", price: .price}"#;

fn mapping(jq: &str) -> Result<Mapping, FilterError> {
    Mapping::new(MappingInput::Json, jq, Some("EUR".to_owned()), None, true)
}

/// Runs on a stack as a poll does.
fn read_with(mapping: Mapping, text: &str) -> Result<Document, SourceError> {
    let text = text.to_owned();
    crate::bounded::Bounded::default().wait("reading", move || mapping.read("feed", &text, AT)).unwrap()
}

fn read(jq: &str, text: &str) -> Result<Document, SourceError> {
    read_with(mapping(jq).unwrap(), text)
}

fn only(jq: &str, text: &str) -> Observation<'static> {
    let mut document = read(jq, text).unwrap();
    assert_eq!(document.observations.len(), 1);
    document.observations.remove(0)
}

fn csv(jq: &str, text: &str) -> Result<Document, SourceError> {
    read_with(Mapping::new(MappingInput::Csv, jq, Some("EUR".into()), None, true).unwrap(), text)
}

#[test]
fn digits_survive_and_computed_numbers_are_rounded() {
    for (price, want) in [
        ("2879.20", "2879.20"),
        ("0.000000001", "0.000000001"),
        ("-12.50", "-12.50"),
        ("7", "7"),
        ("123456789012.123456789", "123456789012.123456789"),
        ("\"19.90\"", "19.90"),
        ("1e3", "1000"),
    ] {
        assert_eq!(only(ONE, &format!(r#"{{"price":{price}}}"#)).price.to_string(), want);
    }
    assert_eq!(only(r#"{item: "x", price: (.a + .b)}"#, r#"{"a":0.1,"b":0.2}"#).price.to_string(), "0.3");
    assert_eq!(only(r#"{item: "x", price: (.p / 100)}"#, r#"{"p":1999}"#).price.to_string(), "19.99");
    assert!(read(r#"{item: "x", price: (.price | tonumber)}"#, r#"{"price":"12.50"}"#).is_ok());
}

#[test]
fn every_member_finds_its_place() {
    let jq = r#"{item: 17, price: "10.5", base: 9, currency: "USD", unit: "USD/seat", quantity: 3,
        labels: {event: "E", row: 4, vip: true, gone: null}, url: "https://example.com/a?b=1",
        availability: "https://schema.org/InStock", observedAt: "2025-06-15T12:00:00+02:00"}"#;
    let o = only(jq, "{}");
    assert_eq!((&*o.item, &*o.currency, o.unit.as_deref()), ("17", "USD", Some("USD/seat")));
    assert_eq!(o.base.unwrap().to_string(), "9");
    assert_eq!((o.quantity, o.availability), (Some(3), Some(pricemonitor_model::Availability::InStock)));
    let labels: Vec<_> = o.labels.iter().collect();
    assert_eq!(labels, [("event", "E"), ("row", "4"), ("vip", "true")]);
    assert_eq!(o.observed_at.to_string(), "2025-06-15T10:00:00.000Z");
    assert_eq!((&*o.source, o.url.as_deref()), ("feed", Some("https://example.com/a?b=1")));
    assert_eq!(o.as_written, None);
}

#[test]
fn a_slot_takes_texts_seconds_and_milliseconds() {
    for (start, end) in [
        (r#""2025-05-06T22:00:00Z""#, r#""2025-05-06T22:15:00Z""#),
        (r#""2025-05-07T01:00:00+03:00""#, r#""2025-05-06T22:14:59.999Z""#),
        ("1746568800", "1746569700"),
        ("1746568800000", "1746569700000"),
        ("1746568800.0", "(1746568800 + 900)"),
    ] {
        let o = only(&format!(r#"{{item: "FI", price: 1, slot: {{start: {start}, end: {end}}}}}"#), "{}");
        let slot = o.slot.unwrap();
        assert_eq!(slot.start.to_string(), "2025-05-06T22:00:00.000Z");
        assert_eq!(slot.end.since(slot.start), 900_000);
        assert_eq!(o.as_written.unwrap().price, "1");
    }
}

#[test]
fn a_price_that_is_null_is_no_price_and_never_zero() {
    let document = read(r#".[] | {item: .i, price: .p}"#, r#"[{"i":"a","p":null},{"i":"b","p":0}]"#).unwrap();
    assert_eq!(document.observations.len(), 1);
    assert_eq!(document.observations[0].item, "b");
    assert!(document.complete);
}

#[test]
fn a_document_is_refused_as_a_whole_with_its_problems_named() {
    for (jq, why) in [
        ("1", "output[0] is a number: yield one object"),
        (r#"{price: 1}"#, "output[0].item: is missing"),
        (r#"{item: "", price: 1}"#, "output[0].item: is empty"),
        (r#"{item: "x"}"#, "output[0].price: is missing"),
        (r#"{item: "x", price: "1,5"}"#, "output[0].price: `1,5` is not a decimal number"),
        (r#"{item: "x", price: true}"#, "output[0].price: is a boolean"),
        (r#"{item: "x", price: 1e15}"#, "output[0].price: 1000000000000000 is out of range"),
        (r#"{item: "x", price: (1/0)}"#, "output[0].price:"),
        (r#"{item: "x", prise: 1}"#, r#"has a member "prise"; there are item, price"#),
        (r#"{item: "x", price: 1, slot: 5}"#, "output[0].slot: is a number"),
        (r#"{item: "x", price: 1, slot: {start: 5}}"#, "output[0].slot.end: is missing"),
        (r#"{item: "x", price: 1, slot: {start: 5, end: 5}}"#, "is not after the start"),
        (r#"{item: "x", price: 1, slot: {start: "2026-01-01T00:00:00", end: 5}}"#, "needs one: `+ \"Z\"`"),
        (r#"{item: "x", price: 1, quantity: -1}"#, "output[0].quantity: `-1`"),
        (r#"{item: "x", price: 1, url: "javascript:alert(1)"}"#, "does not begin with http://"),
        (r#"{item: "x", price: 1, labels: {a: []}}"#, "output[0].labels.a: is a list"),
        (r#"{item: "x", price: 1, availability: "maybe"}"#, "none of in_stock"),
        (r#"{item: "x", price: 1}, {item: "x", price: 2}"#, "`x` is the item of output[0] too"),
        (r#"{item: "x", price: 1}, error("no")"#, "the filter fails at output[1]: no"),
        (".a.b.c", "the filter fails at output[0]"),
    ] {
        let error = read(jq, r#"{"a":[1]}"#).unwrap_err();
        assert_eq!(error.reason, "malformed", "{jq}");
        assert!(error.message.contains(why), "{jq}: {error}");
    }
    let many = read("range(20)", "{}").unwrap_err();
    assert_eq!(many.message.matches("output[").count(), 5, "{many}");
}

#[test]
fn an_error_that_quotes_a_value_of_any_size_is_short() {
    for jq in ["reduce range(60) as $i (1; [., .]) | error", "reduce range(60) as $i (1; [., .]) | .a"] {
        let error = read(jq, "{}").unwrap_err();
        assert!(error.message.len() < 300, "{error}");
    }
}

#[test]
fn overlapping_slots_of_one_item_are_refused() {
    let two = |second: &str| {
        format!(
            r#"{{item: "FI", price: 1, slot: {{start: 0, end: 3600}}}}, {{item: {second}, price: 1, slot: {{start: 1800, end: 5400}}}}"#
        )
    };
    assert!(read(&two("\"FI\""), "{}").unwrap_err().message.contains("overlap"));
    assert_eq!(read(&two("\"SE\""), "{}").unwrap().observations.len(), 2);
}

#[test]
fn a_feed_with_times_of_its_own_does_not_show_who_is_gone() {
    let old = r#"{item: "x", price: 1, observedAt: 1700000000}"#;
    assert!(!read(old, "{}").unwrap().complete);
    let ahead = only(r#"{item: "x", price: 1, observedAt: 9000000000}"#, "{}");
    assert_eq!(ahead.observed_at, AT);
}

#[test]
fn what_reads_anything_but_the_document_does_not_exist() {
    for (jq, name) in [
        ("env", "env"),
        ("$ENV", "$ENV"),
        ("$ENV.PATH", "$ENV"),
        ("input", "input"),
        ("[inputs]", "inputs"),
        ("input_filename", "input_filename"),
        ("now", "now"),
        ("debug", "debug"),
        ("debug(1)", "debug"),
        ("stderr", "stderr"),
        ("halt", "halt"),
        ("halt(3)", "halt"),
        ("halt_error", "halt_error"),
        ("localtime", "localtime"),
        ("strflocaltime(\"%Y\")", "strflocaltime"),
        ("stderr_empty", "stderr_empty"),
        ("no_such_thing(1; 2)", "no_such_thing"),
        ("$unknown", "$unknown"),
        ("get_search_list", "get_search_list"),
        ("ltrimstr(\"a\") | getpath([\"a\"]) | env.X", "env"),
    ] {
        let error = mapping(jq).err().unwrap_or_else(|| panic!("{jq} compiles"));
        assert!(error.0.contains(&format!("`{name}")), "{jq}: {error:?}");
    }
    for jq in
        ["import \"a\" as a; .", "include \"a\"; .", "import \"a\" as $a; .", "\"\\(env)\"", "{env: env}"]
    {
        assert!(mapping(jq).is_err(), "{jq}");
    }
}

#[test]
fn a_filter_that_does_not_parse_is_told_with_its_line() {
    for (jq, why) in [
        ("", "at its end"),
        (".[", "bracket"),
        ("{\n  item: .a,\n  price: |\n}", "on line 3"),
        (".a | | .b", "before `|` on line 1"),
        ("if . then 1", "at its end"),
        ("\"abc", "misses"),
    ] {
        let error = mapping(jq).err().unwrap_or_else(|| panic!("{jq} compiles"));
        assert!(error.0.contains(why), "{jq}: {error:?}");
    }
}

#[test]
fn a_filter_without_an_end_is_stopped() {
    for jq in [
        "def f: f; f",
        "last(repeat(1))",
        "[repeat(1) | empty]",
        "reduce repeat(1) as $x (0; .)",
        "last(range(1e18))",
        "reduce range(0; 1; 0) as $x (0; .)",
        "[.a[] | select(false)] | until(false; .)",
        "label $out | foreach repeat(1) as $x (0; . + 1; if . < 0 then break $out else empty end)",
        "[range(100000) | range(100000) | range(100000)] | length",
        "path(last(repeat(.a)))",
        "try repeat(error) catch (def f: try error catch f; f)",
        ".a as $p | [$p[] + $p[] + $p[] + $p[] + $p[] + $p[] + $p[] + $p[] + $p[] + $p[]] | length",
        "[{a: .a[], b: .a[], c: .a[], d: .a[], e: .a[], f: .a[], g: .a[], h: .a[], i: .a[]} | empty]",
        "first(range(10; infinite) | select(. < 0))",
    ] {
        let started = std::time::Instant::now();
        let document = format!("{{\"a\":{:?}}}", (0..30).collect::<Vec<_>>());
        let mut mapping = mapping(jq).unwrap();
        mapping.program.time = std::time::Duration::from_millis(300);
        let error = read_with(mapping, &document).map(|d| d.observations.len()).unwrap_err();
        assert!(matches!(error.reason, "timeout" | "too_large"), "{jq}: {error:?}");
        assert!(started.elapsed() < watch::TIME, "{jq} took {:?}", started.elapsed());
    }
}

#[test]
fn a_filter_that_recurses_or_grows_without_end_is_stopped_before_it_hurts() {
    for jq in [
        "def f: 1 + f; f",
        "def f: [f]; f",
        "def f: {a: f}; f",
        "reduce range(100) as $i (3; . * .)",
        "reduce range(100) as $i (3; . *= .)",
        "\"abc\" * 1e12",
        "{a: \"abc\"} | .a *= 1e12",
        "1e12 * \"abc\"",
        "def f: f | f; f",
        "reduce range(1e9) as $i (0; [.])",
        "reduce range(1e9) as $i (0; {a: .})",
        "reduce range(100) as $i ([1]; . + .)",
        "reduce range(100) as $i (\"x\"; . + .)",
        "def f: ({a: .} | .a |= f); f",
        "path(last(repeat(.a)))",
        "path(last(recurse(.b)))",
        "def f($x): f($x + 1); f(1)",
        "def f($x): . as $y | f($x + 1); f(1)",
        "def f($x): f($x + $x); f([1])",
        "def f($x): f({a: $x}); f(1)",
        "def f($x): f(\"\\($x)\\($x)\"); f(1)",
        "def f($x): if . then f([$x]) else . end; f(1)",
    ] {
        let mut mapping = mapping(jq).unwrap();
        mapping.program.time = std::time::Duration::from_secs(2);
        let error = read_with(mapping, r#"{"a":{"a":1}}"#).map(|d| d.observations.len()).unwrap_err();
        assert!(matches!(error.reason, "timeout" | "too_large"), "{jq}: {error:?}");
    }
}

#[test]
fn a_definition_that_feeds_itself_with_filters_is_refused() {
    for jq in [
        "def f(g): f(g | g); f(.)",
        "def f(g; $x): [f(g; $x)]; f(.; 1)",
        "def f(g): def h: {a: [if . then f(g) else . end]}; h; f(.)",
        "def f(g): . as [$a] | reduce g as $x (0; \"\\(f(.))\"); f(.)",
        "def f(g): .[f(g)]; f(.)",
    ] {
        assert!(mapping(jq).is_err_and(|error| error.0.starts_with("defines `f`")), "{jq}");
    }
    for jq in
        ["def f(g): g | g; f(f(.))", "def f(g): 1; def f(g; h): f(g); f(.; .)", "def f($x): f($x); f(1)"]
    {
        assert!(mapping(jq).is_ok(), "{jq}");
    }
}

#[test]
fn a_filter_with_a_hostile_text_is_compiled_or_refused() {
    let deep = |open: &str, inner: &str, close: &str, n: usize| {
        format!("{}{inner}{}", open.repeat(n), close.repeat(n))
    };
    for jq in [
        deep("(", ".", ")", 8_000),
        deep("[", ".", "]", 8_000),
        deep("{a:", ".", "}", 4_000),
        deep("-", "1", "", 16_000),
        deep("try ", ".", "", 4_000),
        deep("if ", ".", " then . else . end", 700),
        deep("reduce . as $x (0; ", ".", ")", 700),
        deep("def f: ", ".", "; f", 1_500),
        deep(".a|", ".", "", 5_000),
        deep("1+", "1", "", 8_000),
        deep("\"\\(", ".", ")\"", 3_000),
        deep(". as [", "$x", "] | .", 1_000),
        ".[".repeat(8_000),
        "\u{1f4a3}\0\u{7f}".to_owned(),
    ] {
        if let Ok(mapping) = mapping(&jq) {
            // Whatever comes of it, it comes back.
            let _ = read_with(mapping, r#"{"a":1}"#);
        }
    }
}

#[test]
fn useful_parts_of_jq_work_under_the_watch() {
    for (jq, input, want) in [
        ("map(. + 1) | add", "[1,2]", "5"),
        (".a *= 3 | .a", r#"{"a":4}"#, "12"),
        ("[(1, 2) * (10, 100)] | map(tostring) | join(\"\") | tonumber", "null", "1010020200"),
        ("\"ab\" * 3 | length", "null", "6"),
        ("setpath([\"b\",\"c\"]; 1) | .b.c", r#"{"b":{}}"#, "1"),
        ("setpath([\"b\"]; 1) | .b", r#"{"b":3}"#, "1"),
        ("delpaths([[\"b\"]]) | length", r#"{"b":3}"#, "0"),
        ("[limit(2; .[])] | length", "[1,2,3]", "2"),
        ("({a: 1} * {b: 2}) | length", "null", "2"),
        ("to_entries | map(.value) | max", r#"{"a":3,"b":9}"#, "9"),
        (".a |= . * 2 | .a", r#"{"a":4}"#, "8"),
        ("del(.a) | length", r#"{"a":4,"b":1}"#, "1"),
        ("[paths] | length", r#"{"a":{"b":1}}"#, "2"),
        ("[limit(3; repeat(1))] | length", "null", "3"),
        ("reduce .[] as [$a, $b] (0; . + $a * $b)", "[[1,2],[3,4]]", "14"),
        ("\"\\(1 + 1)\" | tonumber", "null", "2"),
        ("\"a-12\" | capture(\"(?<n>[0-9]+)\") | .n | tonumber", "null", "12"),
        ("\"2015-03-05T23:51:47Z\" | fromdate", "null", "1425599507"),
        ("[.[] | select(.a > 1)] | length", r#"[{"a":1},{"a":2}]"#, "1"),
        ("[recurse | numbers] | add", r#"[1,[2,[3]]]"#, "6"),
        ("def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; fac", "5", "120"),
        ("[range(0; 10; 3)] | length", "null", "4"),
        ("[range(3; 0; -1)] | first", "null", "3"),
        ("with_entries(.value += 1) | .a", r#"{"a":1}"#, "2"),
        ("try error(\"3\") catch tonumber", "null", "3"),
        ("label $f | 1, break $f, 2", "null", "1"),
        ("[splits(\", *\")] | length", "\"a, b,c\"", "3"),
        ("sort_by(.a) | .[0].a", r#"[{"a":2},{"a":1}]"#, "1"),
        ("group_by(.a) | length", r#"[{"a":2},{"a":1},{"a":2}]"#, "2"),
        ("[.[1:][]] | length", "[1,2,3]", "2"),
        (". as {a: $x, $b} | $x + $b", r#"{"a":1,"b":2}"#, "3"),
        ("[foreach .[] as $x (0; . + $x; .)] | last", "[1,2,3]", "6"),
        ("gsub(\"[^0-9]\"; \"\") | tonumber", "\"1 234\"", "1234"),
        ("transpose | length", "[[1,2],[3,4]]", "2"),
        ("getpath([\"a\",\"b\"]) // 7", "{}", "7"),
        ("until(. > 100; . * 2)", "1", "128"),
        ("[walk(if type == \"number\" then . + 1 end) | .[]] | add", "[1,2]", "5"),
        ("(.. |= .) | .a", r#"{"a":1}"#, "1"),
        ("\"[1,2]\" | fromjson | length", "null", "2"),
    ] {
        let mapped = format!("({jq}) as $v | {{item: \"x\", price: $v}}");
        let read = read(&mapped, input).unwrap_or_else(|error| panic!("{jq}: {error}"));
        assert_eq!(read.observations[0].price.to_string(), want, "{jq}");
    }
}

#[test]
fn csv_is_read_with_any_line_end_quotes_mark_and_delimiter() {
    let jq = r#".[] | {item: .name, price: (.price | gsub(","; "."))}"#;
    for text in [
        "name,price\na,1.50\n\"b, c\",2\n",
        "name,price\r\na,1.50\r\n\"b, c\",2",
        "name,price\ra,1.50\r\"b, c\",2\r",
        "name;price\na;1,50\nb, c;2\n",
        "name\tprice\na\t1.50\nb, c\t2\n",
        " name , price\na,1.50\n\"b, c\",2\n",
    ] {
        let read = csv(jq, text).unwrap();
        let read: Vec<_> = read.observations.iter().map(|o| (&*o.item, o.price.to_string())).collect();
        assert_eq!(read, [("a", "1.50".to_owned()), ("b, c", "2".to_owned())], "{text:?}");
    }
    assert!(csv(jq, "name,price\na\n").unwrap_err().message.contains("line 2 has 1 fields"));
    assert!(csv(jq, "a,a\n1,2\n").unwrap_err().message.contains("stands twice"));
}

#[test]
fn json_that_is_not_json_is_refused_also_where_jaq_would_take_it() {
    for text in ["{} {}", "# c\n{}", "NaN", "[1,]", "{\"a\":+1}", "01", "b\"x\"", "{", "", "[Infinity]"] {
        assert!(read(ONE, text).is_err(), "{text}");
    }
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert!(read(ONE, &deep).unwrap_err().message.contains("levels deep"));
    let inside = format!("{{\"price\":\"{deep}\"}}");
    assert!(
        read(r#"{item: "x", price: (.price | fromjson)}"#, &inside).unwrap_err().message.contains("deep")
    );
    assert!(read(ONE, r#"{"price":1,"a":"[[[[\"]]]]\\"}"#).is_ok());
}

#[test]
fn more_prices_than_a_document_may_have_are_refused() {
    let error = read(r#"range(100001) | {item: "\(.)", price: 1}"#, "{}").unwrap_err();
    assert_eq!(error.reason, "too_large");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_make_a_mapping_panic(text in "\\PC{0,60}", number in "-?[0-9]{1,40}(\\.[0-9]{1,40})?(e-?[0-9]{1,4})?") {
        let loose = r#".. | {item: "x", price: .} "#;
        let _ = read(loose, &text);
        let _ = csv(".[] | {item: \"x\", price: 1, labels: .}", &text);
        let _ = read(loose, &number);
        let _ = read(r#"{item: "x", price: 1, observedAt: .}"#, &number);
        let _ = read(r#"{item: "x", price: (. + 0.5)}"#, &number);
        let _ = read(r#"{item: "x", price: 1, slot: {start: 0, end: .}}"#, &number);
    }

    #[test]
    fn no_text_makes_the_compiler_panic(jq in "[-.|,;()\\[\\]{}$a-z0-9\"\\\\ :@?/+*]{0,40}") {
        let _ = mapping(&jq);
    }
}
