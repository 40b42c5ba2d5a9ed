//! What is shown, and how it is chosen.

use std::sync::Arc;
use std::time::Duration;

use pricemonitor_dashboard::{Notice, Options, Prices};
use pricemonitor_store::query::Filter;

use super::*;

#[test]
fn the_page_shows_what_is_stored_and_asks_nobody_else() {
    let Some(mut browser) = browser(DESKTOP) else { return };
    let (memory, served) = sample();
    browser.open(&url(&served, "?range=all"));
    browser.wait(DRAWN);
    let filter = Filter { monitor: Some(samples::TICKETS.to_owned()), ..Filter::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let figures = runtime.block_on(memory.statistics(&filter)).unwrap();
    assert_eq!(tile(&mut browser, "listings"), figures.listings.to_string());
    assert_eq!(tile(&mut browser, "lowest"), format!("${:.2}", figures.lowest.unwrap()));
    assert_eq!(tile(&mut browser, "average"), format!("${:.2}", figures.average.unwrap()));
    assert_eq!(tile(&mut browser, "alerts"), figures.alerts.to_string());
    assert!(figures.alerts > 0);
    assert_eq!(browser.text("#history-hint"), "12 of 16 series, the most recent");
    assert_eq!(browser.eval("document.querySelectorAll('.key').length"), 12);

    let alerts = runtime.block_on(memory.alerts(&filter, 20)).unwrap();
    let first = &alerts[0];
    assert_eq!(browser.eval("document.querySelectorAll('#alert-rows tr').length"), alerts.len() as u64);
    assert_eq!(browser.text("#alert-rows tr .what b"), first.event);
    let row = browser.text("#alert-rows tr");
    for part in [&first.rule, &format!("${}", first.price), first.reference.as_ref().unwrap(), &first.section]
    {
        assert!(row.contains(part.as_str()), "{part} is missing in {row}");
    }
    let link = browser
        .eval("(({href, rel, target}) => [href, rel, target])(document.querySelector('#alert-rows a'))");
    assert_eq!(link, serde_json::json!([first.url, "noopener noreferrer", "_blank"]));
    let markers = browser.eval(&format!(
        "(async () => {}.getOption().series.find((one) => one.id === 'alerts').data.length)()",
        chart("history-chart")
    ));
    assert!(markers.as_u64().unwrap() > 0, "alerts are marked on the chart");
    assert_fits(&mut browser);
    assert_clean(&mut browser, &served);
}

#[test]
fn it_fits_a_phone_in_the_dark_too() {
    let Some(mut browser) = browser(Look { dark: true, ..PHONE }) else { return };
    let (_memory, served) = sample();
    for query in [String::new(), format!("?monitor={}&range=7d", samples::POWER), "?range=custom".to_owned()]
    {
        browser.open(&url(&served, &query));
        browser.wait(DRAWN);
        assert_fits(&mut browser);
        let ground = browser.eval("getComputedStyle(document.body).backgroundColor");
        assert_eq!(ground, "rgb(13, 16, 23)");
    }
    // The hours are bars here, not a map of 168 cells.
    assert_eq!(browser.text("#hours-title"), "Hours of the day");
    assert_clean(&mut browser, &served);
}

#[test]
fn event_section_and_range_are_chosen_and_kept_in_the_address() {
    let Some(mut browser) = browser(DESKTOP) else { return };
    let (_memory, served) = sample();
    browser.open(&url(&served, "?range=all"));
    browser.wait(DRAWN);
    assert_eq!(tile(&mut browser, "listings"), "16");
    browser.choose("event", "The Paper Kites");
    browser.wait("document.querySelector('[data-kind=listings] .figure').textContent === '4'");
    browser.choose("section", "Floor");
    browser.wait("document.querySelector('[data-kind=listings] .figure').textContent === '2'");
    let search = browser.eval("new URLSearchParams(location.search).toString()");
    assert_eq!(search, "monitor=default.concert-tickets&event=The+Paper+Kites&section=Floor&range=all");
    let all = browser.text("[data-kind=listings] .sub");
    browser.eval("document.querySelector('#ranges input[value=\"24h\"]').click()");
    browser.wait(&format!("document.querySelector('[data-kind=listings] .sub').textContent !== {all:?}"));

    let kept = browser.eval("location.href").as_str().unwrap().to_owned();
    assert!(kept.ends_with("range=24h"), "{kept}");
    let (seen, listings) = (browser.text("[data-kind=listings] .sub"), tile(&mut browser, "listings"));
    browser.open("about:blank");
    browser.open(&kept);
    browser.wait(DRAWN);
    assert_eq!((browser.text("[data-kind=listings] .sub"), tile(&mut browser, "listings")), (seen, listings));
    let chosen = browser.eval("[document.getElementById('event').value, document.getElementById('section').value, document.querySelector('#ranges input:checked').value]");
    assert_eq!(chosen, serde_json::json!(["The Paper Kites", "Floor", "24h"]));
    assert_clean(&mut browser, &served);
}

#[test]
fn a_range_of_ones_own_is_kept_too() {
    let Some(mut browser) = browser(DESKTOP) else { return };
    let (memory, served) = sample();
    browser.open(&url(&served, ""));
    browser.wait(DRAWN);
    browser.eval("document.querySelector('#ranges input[value=custom]').click()");
    browser.wait("!document.getElementById('custom').hidden");
    let (from, to) = (now().plus(-40 * 3_600_000), now().plus(-30 * 3_600_000));
    for (id, at) in [("from", from), ("to", to)] {
        let local = at.to_jiff().to_zoned(jiff::tz::TimeZone::get("Europe/Helsinki").unwrap());
        browser.choose(id, &local.strftime("%Y-%m-%dT%H:%M").to_string());
    }
    let minute = |at: Time| Time::from_millis(at.millis().div_euclid(60_000) * 60_000);
    let filter = Filter {
        monitor: Some(samples::TICKETS.to_owned()),
        from: Some(minute(from)),
        to: Some(minute(to)),
        ..Filter::default()
    };
    let figures = tokio::runtime::Runtime::new().unwrap().block_on(memory.statistics(&filter)).unwrap();
    assert!(figures.observations > 0);
    let want = format!("{} prices seen", figures.observations);
    browser.wait(&format!("document.querySelector('[data-kind=listings] .sub').textContent === {want:?}"));
    let search = browser.eval("location.search").as_str().unwrap().to_owned();
    assert!(search.contains("range=custom&from=") && search.contains("&to="), "{search}");
    // The end before the start is refused where it was typed.
    browser.choose("to", "2001-01-01T00:00");
    assert_eq!(browser.eval("document.getElementById('to').getAttribute('aria-invalid')"), "true");
    assert_clean(&mut browser, &served);
}

#[test]
fn a_level_is_shown_as_a_level_and_not_as_a_change() {
    let Some(mut browser) = browser(DESKTOP) else { return };
    let (_memory, served) = sample();
    browser.open(&url(&served, &format!("?monitor={}&range=7d", samples::POWER)));
    browser.wait(DRAWN);
    let price = browser.text("#alert-rows tr .price");
    assert!(price.starts_with('-') && price.ends_with(" below 0") && !price.contains('→'), "{price}");
    assert_eq!(browser.text("#alert-rows tr .change"), "");
}

#[test]
fn slots_are_steps_around_zero_with_a_line_for_now() {
    let Some(mut browser) = browser(DESKTOP) else { return };
    let (_memory, served) = sample();
    browser.open(&url(&served, &format!("?monitor={}", samples::POWER)));
    browser.wait(DRAWN);
    assert_eq!(
        browser.eval("document.querySelector('#ranges input:checked').value"),
        "2d",
        "today and tomorrow"
    );
    let drawn = browser.eval(&format!(
        "(async () => {{ const o = {}.getOption(); const line = o.series[0]; \
          return {{step: line.step, zeroAtBottom: o.xAxis[0].axisLine.onZero, unit: o.yAxis[0].name, marks: line.markLine.data.length, \
          last: line.data[line.data.length - 1][0], points: line.data.length}}; }})()",
        chart("history-chart")
    ));
    assert_eq!(
        (&drawn["step"], &drawn["zeroAtBottom"], &drawn["unit"]),
        (&"end".into(), &false.into(), &"c/kWh".into())
    );
    assert!(drawn["marks"].as_u64().unwrap() >= 1, "now is marked");
    // The last slot is drawn to its end, which is the end of tomorrow where the reader lives.
    let helsinki = jiff::tz::TimeZone::get("Europe/Helsinki").unwrap();
    let end = Time::from_millis(drawn["last"].as_i64().unwrap()).to_jiff().to_zoned(helsinki.clone());
    let tomorrow = now().to_jiff().to_zoned(helsinki).date().tomorrow().unwrap();
    assert_eq!((end.date(), end.hour(), end.minute()), (tomorrow.tomorrow().unwrap(), 0, 0));
    assert!(tile(&mut browser, "average").ends_with("c/kWh"));
    assert_clean(&mut browser, &served);
}

#[test]
fn the_download_holds_what_is_shown() {
    let Some(mut browser) = browser(DESKTOP) else { return };
    let (_memory, served) = sample();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    browser.call("Page.setDownloadBehavior", serde_json::json!({"behavior": "allow", "downloadPath": to}));
    browser.open(&url(&served, "?range=all&event=The%20Paper%20Kites"));
    browser.wait(DRAWN);
    browser.eval("document.getElementById('download').click()");
    let file = folder.path().join("prices-default.concert-tickets.csv");
    let begun = std::time::Instant::now();
    while !file.exists() {
        assert!(begun.elapsed() < Duration::from_secs(10), "no download");
        std::thread::sleep(Duration::from_millis(50));
    }
    let text = std::fs::read_to_string(file).unwrap();
    let rows = text.lines().count() - 1;
    assert_eq!(browser.text("[data-kind=listings] .sub").replace(',', ""), format!("{rows} prices seen"));
    assert!(text.lines().skip(1).all(|line| line.contains("The Paper Kites")));
}

#[test]
fn hostile_titles_are_text_everywhere() {
    let Some(mut browser) = browser(DESKTOP) else { return };
    let memory = Arc::new(Memory::default());
    let long = "Very long ".repeat(50);
    let titles = [
        "<img src=x onerror=\"window.hacked=1\">",
        "</script><script>window.hacked=2</script>",
        "\u{202e}desrever\u{2066}",
        long.as_str(),
        "{time|rich} {a|b}",
        "javascript:alert(1)",
        "'\"><svg onload=window.hacked=3>",
    ];
    for (at, title) in titles.iter().enumerate() {
        for step in 0..5 {
            let row = samples::ticket(
                &format!("i{at}"),
                title,
                title,
                100.0 - f64::from(step) * 15.0,
                now().plus(i64::from(step - 5) * 60_000),
            );
            if step == 4 {
                let mut alert = samples::drop_alert(&memory, &row, 55.0, at);
                alert.rule = (*title).to_owned();
                alert.url = Some("javascript:window.hacked=4".to_owned());
                alert.deliveries[0].channel = (*title).to_owned();
                memory.alert(alert);
            }
            memory.add([row]);
        }
    }
    let hostile = titles[0].to_owned();
    let notices =
        Arc::new(move || vec![Notice { failing: true, monitor: String::new(), text: hostile.clone() }]);
    let served = serve(memory, Options { notices, title: titles[1].to_owned(), ..Options::default() });
    browser.open(&url(&served, "?range=all"));
    browser.wait(DRAWN);
    browser.wait("document.querySelectorAll('#alert-rows tr').length === 7 && !document.getElementById('notices').hidden");
    // The tooltip is drawn too.
    browser.eval(&format!(
        "(async () => {}.dispatchAction({{type: 'showTip', seriesIndex: 0, dataIndex: 2}}))()",
        chart("history-chart")
    ));
    assert_eq!(browser.eval("window.hacked"), serde_json::Value::Null);
    assert_eq!(
        browser.eval("document.querySelectorAll('main img, main svg[onload], body script').length"),
        0
    );
    assert_eq!(
        browser.eval("[...document.querySelectorAll('a')].filter((a) => !/^https?:/.test(a.href)).length"),
        0
    );
    let shown = browser
        .eval("[...document.querySelectorAll('#alert-rows .what b')].map((e) => e.textContent).sort()");
    let mut want: Vec<String> = titles.iter().map(|title| (*title).to_owned()).collect();
    want.sort_by_key(|title| title.encode_utf16().collect::<Vec<_>>());
    assert_eq!(shown, serde_json::json!(want));
    assert_eq!(browser.text("#title"), titles[1]);
    for look in [DESKTOP, PHONE] {
        browser.look(look);
        assert_fits(&mut browser);
    }
    browser.choose("event", titles[0]);
    browser.wait("document.querySelector('[data-kind=listings] .figure').textContent === '1'");
    assert_clean(&mut browser, &served);
}

#[test]
fn nothing_yet_nothing_here_and_a_failing_store_are_told_apart() {
    let Some(mut browser) = browser(DESKTOP) else { return };
    let memory = Arc::new(Memory::default());
    let served = serve(memory.clone(), Options::default());
    browser.open(&url(&served, ""));
    browser.wait("document.querySelector('#history .chart-message')?.textContent.includes('No prices yet')");
    // The first price turns the empty page into a full one.
    memory.add([samples::ticket("i", "e", "s", 42.0, now())]);
    browser.wait(DRAWN);
    assert_eq!(tile(&mut browser, "average"), "$42.00");
    browser.open(&url(&served, "?range=custom&from=2001-01-01T00:00:00Z&to=2001-01-02T00:00:00Z"));
    browser.wait(
        "document.querySelector('#history .chart-message')?.textContent.includes('No prices in this range')",
    );
    browser.eval("document.querySelector('#history .chart-message button').click()");
    browser.wait(DRAWN);
    assert_clean(&mut browser, &served);
    memory.break_down();
    browser.open(&url(&served, ""));
    browser.wait("document.querySelector('#history').dataset.state === 'error'");
    assert!(browser.text("#history .chart-message").contains("told to fail"));
}

#[test]
fn the_keyboard_is_enough() {
    let Some(mut browser) = browser(DESKTOP) else { return };
    let (_memory, served) = sample();
    browser.open(&url(&served, ""));
    browser.wait(DRAWN);
    let focused =
        "document.activeElement.id || document.activeElement.className || document.activeElement.value";
    let mut order = Vec::new();
    for _ in 0..9 {
        browser.key("Tab", "Tab", 9);
        order.push(browser.eval(focused).as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(order[..6], ["skip", "pause", "theme", "monitor", "event", "section"], "{order:?}");
    // What has the focus shows it.
    let ring = browser.eval("getComputedStyle(document.getElementById('pause')).outlineStyle");
    assert_eq!(ring, "none");
    browser.eval("document.getElementById('theme').focus()");
    browser.key("Tab", "Tab", 9);
    assert_eq!(browser.eval("getComputedStyle(document.activeElement).outlineStyle"), "solid");
    let unnamed = browser.eval(
        "[...document.querySelectorAll('button, select, input, a')].filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)",
    );
    assert_eq!(unnamed, serde_json::json!([]), "every control has a name");
    // In a list a letter chooses; elsewhere `p` pauses.
    browser.eval("document.activeElement.blur()");
    browser.key("p", "KeyP", 80);
    browser.wait("document.getElementById('pause').getAttribute('aria-pressed') === 'true'");
    browser.key("p", "KeyP", 80);
    browser.wait("document.getElementById('live').dataset.state === 'live'");
}

#[test]
fn pages_that_were_left_hold_no_connection() {
    let Some(mut browser) = browser(DESKTOP) else { return };
    let (_memory, served) = sample();
    // Browsers allow six connections to a server; each page that listens takes one.
    for page in 0..9 {
        browser.open(&url(&served, &format!("?range=all#{page}")));
        browser.open("about:blank");
    }
    browser.open(&url(&served, "?range=all"));
    browser.wait(DRAWN);
    assert_clean(&mut browser, &served);
}

#[test]
fn the_theme_is_chosen_once_and_kept() {
    let Some(mut browser) = browser(DESKTOP) else { return };
    let (_memory, served) = sample();
    browser.open(&url(&served, ""));
    browser.wait(DRAWN);
    let light = browser.eval("getComputedStyle(document.body).backgroundColor");
    browser.eval("document.getElementById('theme').click()");
    let dark = browser.eval("getComputedStyle(document.body).backgroundColor");
    assert_ne!(light, dark);
    browser.open(&url(&served, "?range=all"));
    browser.wait(DRAWN);
    assert_eq!(browser.eval("getComputedStyle(document.body).backgroundColor"), dark);
    assert_clean(&mut browser, &served);
}
