//! The pictures in the documents.

use std::path::{Path, PathBuf};

use pricemonitor_dashboard::{Notice, Options};

use super::*;

/// The same moment in each picture's data: a Wednesday, so that the days of the week differ.
fn folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let update = std::env::var_os("UPDATE_SCREENSHOTS").is_some_and(|value| value == "1");
    let folder = if update {
        root.join("docs/screenshots")
    } else {
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots")
    };
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn pictures_are_taken_in_both_themes_and_widths() {
    let Some(mut browser) = browser(DESKTOP) else { return };
    let memory = Arc::new(Memory::default());
    samples::tickets(&memory, now(), 10, 10);
    samples::electricity(&memory, now(), 28);
    let notice = || {
        let text = "source seatgeek: the server said 503, next look in 40 s";
        vec![Notice { failing: true, monitor: samples::TICKETS.to_owned(), text: text.to_owned() }]
    };
    let served = serve(memory, Options { version: "0.1.0", notices: Arc::new(notice), ..Options::default() });
    let tickets = "?range=7d&event=Northern%20Lights%20Tour".to_owned();
    let power = format!("?monitor={}", samples::POWER);
    let month = format!("?monitor={}&range=30d", samples::POWER);
    let dark = |look| Look { dark: true, ..look };
    for (name, look, query) in [
        ("tickets-light", DESKTOP, &tickets),
        ("tickets-dark", dark(DESKTOP), &tickets),
        ("tickets-all-light", DESKTOP, &"?range=24h".to_owned()),
        ("electricity-light", DESKTOP, &month),
        ("electricity-dark", dark(DESKTOP), &power),
        ("tickets-phone-light", PHONE, &tickets),
        ("electricity-phone-dark", dark(PHONE), &power),
    ] {
        browser.look(look);
        browser.open(&url(&served, query));
        browser.wait(DRAWN);
        browser.eval("new Promise((done) => setTimeout(done, 600))");
        assert_fits(&mut browser);
        let picture = browser.picture();
        assert!(picture.len() > 20_000, "{name} is nearly empty");
        std::fs::write(folder().join(format!("{name}.png")), picture).unwrap();
    }
    assert_clean(&mut browser, &served);
}
