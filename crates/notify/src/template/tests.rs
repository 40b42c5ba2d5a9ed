use super::*;

fn alert() -> Alert<'static> {
    sample_alert(&MonitorId::new(None, "m"), Time::from_seconds(1_700_000_000))
}

fn text(source: &str, escaping: Escaping) -> String {
    Template::new(source, escaping).unwrap().render(&alert()).unwrap()
}

fn refusal(source: &str) -> String {
    match Template::new(source, Escaping::None) {
        Ok(_) => panic!("taken: {source}"),
        Err(why) => why,
    }
}

#[test]
fn the_members_of_an_alert_are_values() {
    let source = "{{ event }}/{{ labels.section }}/{{ section }} {{ reference }} -> {{ price }} {{ unit }} \
        ({{ percent }} %) {{ rule }} {{ transition }} {{ severity }} {{ observed_at }} [{{ url }}{{ slot }}]";
    assert_eq!(
        text(source, Escaping::None),
        "Test event/Section A/Section A 120.00 -> 84.00 USD (-30.0 %) test-alert firing info \
         2023-11-14T22:13:20.000Z []"
    );
    assert_eq!(text("{% if url %}yes{% else %}no{% endif %}", Escaping::None), "no");
}

#[test]
fn values_are_escaped_and_the_template_itself_is_not() {
    let mut hostile = alert();
    hostile.labels.set("event", "**@everyone** <b>\n# x");
    let markdown = Template::new("**{{ event }}**", Escaping::Markdown).unwrap();
    assert_eq!(markdown.render(&hostile).unwrap(), "**\\*\\*@\u{200b}everyone\\*\\* \\<b\\> # x**");
    let filtered = Template::new("{{ event|upper }}", Escaping::Markdown).unwrap();
    assert_eq!(filtered.render(&hostile).unwrap(), "\\*\\*@\u{200b}EVERYONE\\*\\* \\<B\\> # X");
    let once = Template::new("{{ event|e }}", Escaping::Markdown).unwrap();
    assert_eq!(once.render(&hostile).unwrap(), "\\*\\*@\u{200b}everyone\\*\\* \\<b\\> # x");
    let plain = Template::new("{{ event }}", Escaping::None).unwrap();
    assert_eq!(plain.render(&hostile).unwrap(), "**@everyone** <b>\n# x");
}

#[test]
fn a_slot_has_start_and_end() {
    let mut alert = alert();
    let (start, end) = (alert.observed_at, alert.observed_at.plus(3_600_000));
    alert.slot = Some(pricemonitor_model::Slot { start, end });
    let template = Template::new("{{ slot.start }} {{ slot.end }}", Escaping::None).unwrap();
    assert_eq!(template.render(&alert).unwrap(), "2023-11-14T22:13:20.000Z 2023-11-14T23:13:20.000Z");
}

#[test]
fn a_mistake_is_told_with_its_line_when_the_template_is_read() {
    assert!(refusal("a\nb {{ event").starts_with("line 2: syntax error"), "{}", refusal("a\nb {{ event"));
    let unknown = refusal("{{ prise }}");
    assert!(unknown.starts_with("it has no value `prise`; there is: currency, event,"), "{unknown}");
    let filter = refusal("x\n{{ event|shout }}");
    assert!(filter.starts_with("line 2: unknown filter"), "{filter}");
    let include = refusal("{% include 'other' %}");
    assert!(include.contains("template not found"), "{include}");
}

#[test]
fn a_template_that_never_ends_or_floods_is_refused() {
    let slow = refusal("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}");
    assert!(slow.contains("too long: make it simpler"), "{slow}");
    let recursive = "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}";
    let started = std::time::Instant::now();
    drop(Template::new(recursive, Escaping::None));
    for source in ["{{ 'x' * 900000000 }}", "{{ 'x' * 17000 }}", "{{ ('x' * 9000) ~ ('x' * 9000) }}"] {
        let template = Template::new(source, Escaping::None);
        let text = template.and_then(|template| template.render(&alert()));
        assert!(text.is_err(), "{source}");
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn what_fails_for_one_alert_only_is_found_with_that_alert() {
    let template = Template::new("{{ slot.start.x }}{{ 1 / (reference|float - 120) }}", Escaping::None);
    let why = template.unwrap().render(&alert()).unwrap_err();
    assert!(why.contains("line 1"), "{why}");
}
