use std::collections::BTreeSet;

use pricemonitor_model::{Alert, MonitorId, Severity, Side, Slot, Time, Transition};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::sample_alert;
use crate::template::Escaping;

const NOW: Time = Time::from_seconds(1_700_000_000);

fn alert() -> Alert<'static> {
    sample_alert(&MonitorId::new(None, "m"), NOW)
}

fn json_of(alerts: &[Alert<'_>], words: Option<&str>) -> Value {
    serde_json::to_value(Message::new(alerts, |_| words.map(str::to_owned))).unwrap()
}

fn chars(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

/// Every limit of SOURCES section 4, judged on what is sent and not by our own counting.
fn assert_within_limits(message: &Value) {
    let embeds = message["embeds"].as_array().unwrap();
    assert!((1..=10).contains(&embeds.len()), "{}", embeds.len());
    assert_eq!(message["allowed_mentions"], json!({"parse": []}));
    assert_eq!(message.get("content"), None);
    let mut total = 0;
    let mut urls = BTreeSet::new();
    for embed in embeds {
        assert!((1..=256).contains(&chars(&embed["title"])), "title {}", chars(&embed["title"]));
        assert!(chars(&embed["description"]) <= 4096, "description");
        assert!((1..=2048).contains(&chars(&embed["footer"]["text"])), "footer");
        let fields = embed["fields"].as_array().unwrap();
        assert!(fields.len() <= 25);
        total += chars(&embed["title"]) + chars(&embed["description"]) + chars(&embed["footer"]["text"]);
        for field in fields {
            assert!((1..=256).contains(&chars(&field["name"])), "name {field}");
            assert!((1..=1024).contains(&chars(&field["value"])), "value {field}");
            assert!(!field["value"].as_str().unwrap().trim().is_empty(), "{field}");
            total += chars(&field["name"]) + chars(&field["value"]);
        }
        if let Some(url) = embed["url"].as_str() {
            assert!(url.chars().count() <= 2048);
            assert!(url.starts_with("http://") || url.starts_with("https://"), "{url}");
            assert!(urls.insert(url), "merged: {url}");
        }
    }
    assert!(total <= 6000, "{total} characters");
}

/// All of `alerts` as messages, one after another, as the outbox sends them.
fn messages(mut alerts: &[Alert<'_>], words: Option<&str>) -> Vec<Value> {
    let mut out = Vec::new();
    while !alerts.is_empty() {
        let message = json_of(alerts, words);
        assert_within_limits(&message);
        let taken = message["embeds"].as_array().unwrap().len();
        alerts = &alerts[taken..];
        out.push(message);
    }
    out
}

fn field<'a>(embed: &'a Value, name: &str) -> Option<&'a str> {
    embed["fields"].as_array()?.iter().find(|field| field["name"] == name)?["value"].as_str()
}

#[test]
fn an_alert_is_shown_with_everything_a_person_needs() {
    let message = json_of(&[alert()], None);
    let expected = json!({
        "embeds": [{
            "title": "Test event, Section A: 84.00 USD (-30.0 %)",
            "description": "This is a test: Test event \\| Section A \\| 120.00 -\\> 84.00 USD \\(-30.0 %\\)",
            "color": 0x2e9e5b,
            "fields": [
                {"name": "Price", "value": "84.00 USD", "inline": true},
                {"name": "Before", "value": "120.00 USD", "inline": true},
                {"name": "Change", "value": "-36.00 USD (-30.0 %)", "inline": true},
                {"name": "Event", "value": "Test event", "inline": false},
                {"name": "Section", "value": "Section A", "inline": true},
                {"name": "Rule", "value": "test-alert", "inline": true},
                {"name": "Source", "value": "test", "inline": true},
            ],
            "footer": {"text": "default.m · test-alert"},
            "timestamp": "2023-11-14T22:13:20.000Z",
        }],
        "allowed_mentions": {"parse": []},
    });
    assert_eq!(message, expected);
}

#[test]
fn hostile_texts_are_shown_as_their_characters() {
    let mut hostile = alert();
    hostile.labels.set("event", "@everyone [win](https://evil.example) **now**\n# <@1>");
    hostile.labels.set("section", "\u{202e}||x||");
    hostile.summary = "> quote `code`".into();
    hostile.unit = Some("<b>".into());
    let message = json_of(&[hostile], None);
    let embed = &message["embeds"][0];
    let event = "@\u{200b}everyone \\[win\\]\\(https\\://evil.example\\) \\*\\*now\\*\\* # \\<@\u{200b}1\\>";
    assert_eq!(field(embed, "Event"), Some(event));
    assert_eq!(field(embed, "Section"), Some("\\|\\|x\\|\\|"));
    assert_eq!(field(embed, "Price"), Some("84.00 \\<b\\>"));
    assert_eq!(embed["description"], "\\> quote \\`code\\`");
    let title = embed["title"].as_str().unwrap();
    assert!(title.starts_with("@\u{200b}everyone \\[win\\]"), "{title}");
    assert!(title.ends_with(": 84.00 \\<b\\> (-30.0 %)"), "{title}");
}

#[test]
fn the_color_tells_the_movement() {
    let color = |change: fn(&mut Alert<'static>)| {
        let mut alert = alert();
        change(&mut alert);
        json_of(&[alert], None)["embeds"][0]["color"].as_u64().unwrap()
    };
    assert_eq!(color(|_| ()), 0x2e9e5b);
    assert_eq!(color(|alert| alert.percent = Some(5.into())), 0xd64545);
    assert_eq!(color(|alert| alert.percent = None), 0xe6a23c);
    assert_eq!(color(|alert| (alert.percent, alert.severity) = (None, Severity::Critical)), 0xd64545);
    assert_eq!(color(|alert| alert.transition = Transition::Resolved), 0x7a8594);
}

#[test]
fn a_level_is_told_as_a_level_and_an_undefined_change_as_a_change() {
    let mut level = alert();
    (level.percent, level.side) = (None, Some(Side::Above));
    level.reference = Some(0.into());
    let embed = json_of(&[level.clone()], None)["embeds"][0].clone();
    assert!(embed["title"].as_str().unwrap().ends_with(": 84.00 USD, above 0"), "{}", embed["title"]);
    assert_eq!(field(&embed, "Above"), Some("0 USD"));
    level.side = None;
    let embed = json_of(&[level], None)["embeds"][0].clone();
    assert!(embed["title"].as_str().unwrap().ends_with(": 84.00 USD"), "{}", embed["title"]);
    assert_eq!(field(&embed, "Compared with"), Some("0 USD"));
}

#[test]
fn a_level_of_a_schedule_has_its_slot_and_no_change() {
    let mut level = alert();
    level.percent = None;
    level.side = Some(Side::Below);
    level.transition = Transition::Resolved;
    level.labels = pricemonitor_model::Labels::new();
    level.item = "FI/2026-01-04".into();
    level.unit = Some("c/kWh".into());
    let start = "2026-01-04T22:45:00Z".parse().unwrap();
    level.slot = Some(Slot { start, end: "2026-01-04T23:00:00Z".parse().unwrap() });
    let message = json_of(&[level], None);
    let embed = &message["embeds"][0];
    assert_eq!(embed["title"], "Resolved: FI/2026-01-04: 84.00 c/kWh, no longer below 120.00");
    assert_eq!(field(embed, "Below"), Some("120.00 c/kWh"));
    for not in ["Before", "Compared with", "Change", "Above"] {
        assert_eq!(field(embed, not), None, "{not}");
    }
    assert_eq!(field(embed, "Item"), Some("FI/2026-01-04"));
    let valid = "2026-01-04 22:45 to 23:00 UTC\n<t:1767566700:f> – <t:1767567600:t>";
    assert_eq!(field(embed, "Valid"), Some(valid));
}

#[test]
fn only_honest_web_addresses_are_links_and_no_two_embeds_share_one() {
    let linked = |url: &str| {
        let mut alert = alert();
        alert.url = Some(url.to_owned().into());
        alert
    };
    for url in
        ["javascript:alert(1)", "ftp://x/", "https://discord.com@evil.example/", "no url", "file:///etc"]
    {
        let message = json_of(&[linked(url)], None);
        assert_eq!(message["embeds"][0].get("url"), None, "{url}");
        assert_eq!(field(&message["embeds"][0], "Link"), None, "{url}");
    }
    let same = "https://shop.example/a?b=<c>";
    let message = json_of(&[linked(same), linked(same), linked("https://shop.example/b")], None);
    assert_within_limits(&message);
    let embeds = &message["embeds"];
    assert_eq!(embeds[0]["url"], "https://shop.example/a?b=%3Cc%3E");
    assert_eq!(field(&embeds[0], "Link"), None);
    assert_eq!(embeds[1].get("url"), None);
    assert_eq!(field(&embeds[1], "Link"), Some("<https://shop.example/a?b=%3Cc%3E>"));
    assert_eq!(embeds[2]["url"], "https://shop.example/b");
}

#[test]
fn many_alerts_with_huge_hostile_titles_are_split_into_messages_within_the_limits() {
    for letter in ["*", "@", "😀", "e\u{301}\u{302}", "a ", "\\", "\u{202e}\n\n", "](x)<"] {
        let huge = letter.repeat(3000);
        let alerts: Vec<_> = (0..25)
            .map(|n| {
                let mut alert = alert();
                for label in ["event", "section"] {
                    alert.labels.set(label, format!("{n} {huge}"));
                }
                alert.summary = huge.clone().into();
                alert.item = huge.clone().into();
                alert.rule = huge.clone().into();
                alert.source = huge.clone().into();
                alert.monitor = huge.clone().into();
                alert.unit = Some(huge.clone().into());
                alert.url = Some(format!("https://shop.example/{n}?{huge}").into());
                alert
            })
            .collect();
        let sent = messages(&alerts, None);
        let embeds: Vec<_> = sent.iter().flat_map(|message| message["embeds"].as_array().unwrap()).collect();
        assert_eq!(embeds.len(), 25);
        for (n, embed) in embeds.iter().enumerate() {
            let event = field(embed, "Event").unwrap();
            assert!(event.starts_with(&n.to_string()), "{event}");
        }
        messages(&alerts, Some(&huge.repeat(3)));
    }
}

#[test]
fn short_alerts_fill_a_message_up_to_ten() {
    let alerts: Vec<_> = (0..25).map(|_| alert()).collect();
    let sizes: Vec<_> =
        messages(&alerts, None).iter().map(|it| it["embeds"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [10, 10, 5]);
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        5 => any::<char>().prop_map(|c| c.to_string()),
        3 => "[a-z0-9 .:/#-]{1,20}",
        2 => "[*_~`|<>@()\\[\\]\\\\]{1,40}",
        1 => Just("👨\u{200d}👩\u{200d}👧\u{fe0f}".to_owned()),
        1 => Just("e\u{301}\u{330}".to_owned()),
        1 => Just(" \u{200b}\u{a0}\n".to_owned()),
        1 => Just("https://evil.example".to_owned()),
    ];
    (proptest::collection::vec(piece, 0..8), prop_oneof![Just(1_usize), 1..400_usize])
        .prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_texts_no_message_breaks_a_limit(
        texts in proptest::collection::vec((text(), text(), text(), text()), 1..14),
        words in proptest::option::of(text()),
        mantissa: i64,
        percent in proptest::option::of(any::<i32>()),
    ) {
        let alerts: Vec<_> = texts.into_iter().map(|(event, section, summary, other)| {
            let mut alert = alert();
            alert.labels.set("event", event);
            alert.labels.set("section", section);
            alert.summary = summary.into();
            alert.url = Some(format!("https://x/{other}").into());
            alert.item = other.clone().into();
            alert.unit = Some(other.into());
            alert.price = pricemonitor_model::price::Decimal::new(mantissa, 9);
            alert.percent = percent.map(|it| pricemonitor_model::price::Decimal::new(it.into(), 1));
            alert
        }).collect();
        let count: usize = messages(&alerts, words.as_deref())
            .iter().map(|it| it["embeds"].as_array().unwrap().len()).sum();
        prop_assert_eq!(count, alerts.len());
    }

    #[test]
    fn an_escaped_text_holds_no_bare_markup(text in text(), limit in 1..200_usize) {
        let escaped = crate::markdown::escaped(&text, limit);
        prop_assert!(escaped.chars().count() <= limit);
        let mut chars = escaped.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => prop_assert!(chars.next().is_some(), "ends within an escape: {escaped:?}"),
                '@' => prop_assert!(chars.as_str().starts_with('\u{200b}'), "a mention in {escaped:?}"),
                ':' => prop_assert!(!chars.as_str().starts_with("//"), "a link in {escaped:?}"),
                c => prop_assert!(!"*_~`|[]()<>\n\r\u{202e}".contains(c), "{c:?} in {escaped:?}"),
            }
        }
    }
}

fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    let status = StatusCode::from_u16(status).unwrap();
    Answer { status, headers: map, body: body.as_bytes().to_vec(), cut_off: false }
}

fn target() -> Target {
    let url = "http://127.0.0.1:9/api/webhooks/1/tok".to_owned();
    let address = Address::secret(&url, "in a secret".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    Target::new(address, Duration::from_secs(1), &[]).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn each_answer_has_its_meaning_and_its_pause() {
    let target = target();
    let kind = |outcome: &Outcome| match outcome {
        Outcome::Delivered { message_id: Some(id) } => format!("delivered {id}"),
        Outcome::Delivered { message_id: None } => "delivered".to_owned(),
        Outcome::Retry { .. } => "retry".to_owned(),
        Outcome::Ambiguous { .. } => "ambiguous".to_owned(),
        Outcome::Refused { .. } => "refused".to_owned(),
        Outcome::Gone { .. } => "gone".to_owned(),
    };
    type Row<'a> = (Answer, &'a str, Option<f64>, bool);
    let limited = r#"{"message":"You are being rate limited.","retry_after":64.57,"global":false}"#;
    let table: Vec<Row<'_>> = vec![
        (answer(200, &[], r#"{"id":"113","type":0}"#), "delivered 113", None, false),
        (answer(200, &[], "<html>"), "delivered", None, false),
        (answer(200, &[], r#"{"id":"<script>"}"#), "delivered", None, false),
        (answer(204, &[], ""), "delivered", None, false),
        (
            answer(
                200,
                &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-after", "1.25")],
                r#"{"id":"1"}"#,
            ),
            "delivered 1",
            Some(1.25),
            false,
        ),
        (
            answer(
                200,
                &[("x-ratelimit-remaining", "4"), ("x-ratelimit-reset-after", "1.25")],
                r#"{"id":"1"}"#,
            ),
            "delivered 1",
            None,
            false,
        ),
        (answer(429, &[("retry-after", "65")], limited), "retry", Some(65.0), false),
        (answer(429, &[], limited), "retry", Some(64.57), false),
        (answer(429, &[("retry-after", "3")], ""), "retry", Some(3.0), false),
        (answer(429, &[("x-ratelimit-reset-after", "2.5")], "<html>"), "retry", Some(2.5), false),
        (answer(429, &[], ""), "retry", None, false),
        (answer(429, &[], r#"{"retry_after":1.5,"global":true}"#), "retry", Some(1.5), true),
        (answer(429, &[("x-ratelimit-global", "true"), ("retry-after", "9")], ""), "retry", Some(9.0), true),
        (answer(429, &[("x-ratelimit-scope", "global"), ("retry-after", "9")], ""), "retry", Some(9.0), true),
        (
            answer(429, &[("x-ratelimit-scope", "shared"), ("retry-after", "9")], ""),
            "retry",
            Some(9.0),
            false,
        ),
        (answer(400, &[], r#"{"code":50035,"message":"Invalid Form Body"}"#), "refused", None, false),
        (answer(401, &[], ""), "gone", None, false),
        (answer(403, &[], ""), "gone", None, false),
        (answer(404, &[], r#"{"message":"Unknown Webhook","code":10015}"#), "gone", None, false),
        (answer(405, &[], ""), "refused", None, false),
        (answer(408, &[], ""), "retry", None, false),
        (answer(500, &[], ""), "retry", None, false),
        (answer(502, &[], "<html>"), "retry", None, false),
        (answer(503, &[("retry-after", "30")], ""), "retry", Some(30.0), false),
        (answer(302, &[("location", "https://x/")], ""), "refused", None, false),
    ];
    for (answer, want, pause, all) in table {
        let sent = judge(&answer, &target, 3, NOW);
        let shown = format!("{} {:?}", answer.status, answer.headers);
        assert_eq!(kind(&sent.outcome), want, "{shown}");
        assert_eq!(sent.pause.map(|it| it.as_secs_f64()), pause, "{shown}");
        assert_eq!((sent.pause_all, sent.taken), (all, 3), "{shown}");
    }
}

#[test]
fn the_address_asks_for_an_answer_and_names_the_thread() {
    let made = |url: &str, thread| {
        let address =
            Address::secret(url, "in a secret".to_owned()).unwrap_or_else(|error| panic!("{error}"));
        checked(address, thread).map(|address| address.url().to_string())
    };
    let url = "https://discord.com/api/webhooks/12/to-ken_";
    assert_eq!(made(url, None).unwrap(), format!("{url}?wait=true"));
    let version = "https://discord.com/api/v10/webhooks/12/t?wait=false&thread_id=1&x=y";
    let want = "https://discord.com/api/v10/webhooks/12/t?x=y&wait=true&thread_id=2";
    assert_eq!(made(version, Some("2")).unwrap(), want);
    for wrong in [
        "https://discord.com/channels/1/2",
        "https://discord.com/api/webhooks/12/token/slack",
        "https://discord.com/api/webhooks/name/token",
        "http://discord.com/api/webhooks/12/token",
    ] {
        let error = made(wrong, None).unwrap_err().to_string();
        assert!(error.contains("https://discord.com/api/webhooks/<number>/<token>"), "{error}");
    }
}

#[test]
fn a_template_words_the_description_and_one_that_fails_costs_nothing() {
    let channel = |source: &str| {
        let template = Template::new(source, Escaping::Markdown).unwrap();
        Discord::new("d".to_owned(), target(), Some(template))
    };
    let mut hostile = alert();
    hostile.labels.set("event", "*x*");
    let shown = channel("**{{ event }}** now {{ price }}").preview(std::slice::from_ref(&hostile));
    let value: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(value["embeds"][0]["description"], "**\\*x\\*** now 84.00");
    let shown = channel("{{ slot.start.year }}").preview(&[hostile]);
    assert!(shown.starts_with("the template fails, the default text is used: line 1: "), "{shown}");
    assert!(shown.contains("This is a test"), "{shown}");
}
