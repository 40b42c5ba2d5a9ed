//! The page in a real browser.
//!
//! Needs Chromium (Debian: `apt-get install chromium`, or its path in `PRICEMONITOR_CHROMIUM`);
//! `PRICEMONITOR_QUICK=1` skips. `UPDATE_SCREENSHOTS=1` writes the pictures under `docs/screenshots`
//! anew, else they go to the target folder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cdp;
#[path = "../common/mod.rs"]
mod common;
#[path = "../fixture/mod.rs"]
mod fixture;

mod locked;
mod pictures;
mod reading;
mod updating;

use std::sync::Arc;

use cdp::{Browser, Look};
use common::{Served, serve};
use fixture::{Memory, samples};
use pricemonitor_dashboard::Options;
use pricemonitor_model::Time;

const DESKTOP: Look = Look { width: 1280, height: 900, dark: false };
const PHONE: Look = Look { width: 400, height: 800, dark: false };

fn now() -> Time {
    Time::from_jiff(jiff::Timestamp::now())
}

/// A browser, or `None` when the run was asked to do without.
fn browser(look: Look) -> Option<Browser> {
    if std::env::var_os("PRICEMONITOR_QUICK").is_some_and(|value| !value.is_empty() && value != "0") {
        println!("skipped: PRICEMONITOR_QUICK is set, the page was not looked at in a browser");
        return None;
    }
    let program = cdp::program().expect(
        "the browser test needs Chromium: install it (Debian: `apt-get install chromium` as root), or name it in \
         PRICEMONITOR_CHROMIUM; `PRICEMONITOR_QUICK=1` skips this test",
    );
    Some(Browser::start(&program, look))
}

/// The sample prices behind a page.
fn sample() -> (Arc<Memory>, Served) {
    let memory = Arc::new(Memory::default());
    samples::tickets(&memory, now(), 3, 20);
    samples::electricity(&memory, now(), 7);
    let served = serve(memory.clone(), Options { version: "1.2.3", ..Options::default() });
    (memory, served)
}

/// Everything is drawn: figures, charts, table.
const DRAWN: &str = "document.querySelector('#history').dataset.state === 'ready' \
    && document.querySelector('#live').dataset.state === 'live' \
    && document.querySelector('#tiles').getAttribute('aria-busy') === 'false'";

fn url(served: &Served, query: &str) -> String {
    format!("http://{}/{query}", served.address)
}

/// The number on a tile.
fn tile(browser: &mut Browser, kind: &str) -> String {
    browser.text(&format!("[data-kind={kind}] .figure"))
}

/// Nothing was complained about, and nobody else was asked.
fn assert_clean(browser: &mut Browser, served: &Served) {
    browser.eval("new Promise((done) => setTimeout(done, 100))");
    assert_eq!(browser.complaints, Vec::<String>::new());
    let origin = format!("http://{}/", served.address);
    let foreign: Vec<_> = browser
        .requests
        .iter()
        .filter(|url| !url.starts_with(&origin) && !url.starts_with("data:") && !url.starts_with("blob:"))
        .collect();
    assert!(foreign.is_empty(), "the page asked elsewhere: {foreign:?}");
    assert!(browser.requests.iter().any(|url| url.contains("/api/v1/live")), "requests were seen at all");
}

/// Nothing sticks out to the right.
fn assert_fits(browser: &mut Browser) {
    let wide = browser.eval(
        "[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5 \
         && !e.closest('.hidden')).map((e) => e.tagName + '.' + e.className + '#' + e.id).slice(0, 5)",
    );
    assert_eq!(wide, serde_json::json!([]), "wider than the window");
    assert_eq!(browser.eval("document.documentElement.scrollWidth <= innerWidth"), true);
}

/// The chart of an element.
fn chart(id: &str) -> String {
    format!("(await import('/assets/vendor/echarts.mjs')).getInstanceByDom(document.getElementById('{id}'))")
}
