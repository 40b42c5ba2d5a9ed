//! What comes while the page is open.

use std::time::Duration;

use super::*;
use crate::common::serve_at;

const PAPER: &str = "?range=all&event=The%20Paper%20Kites";

#[test]
fn a_new_price_and_its_alert_arrive_and_the_zoom_stays() {
    let Some(mut browser) = browser(DESKTOP) else { return };
    let (memory, served) = sample();
    browser.open(&url(&served, PAPER));
    browser.wait(DRAWN);
    let before: u64 = browser.eval("document.querySelectorAll('#alert-rows tr').length").as_u64().unwrap();
    browser.eval(&format!(
        "(async () => {}.dispatchAction({{type: 'dataZoom', start: 20, end: 40}}))()",
        chart("history-chart")
    ));
    let zoom = format!(
        "(async () => {{ const [z] = {}.getOption().dataZoom; return [z.startValue, z.endValue].map(Math.round); }})()",
        chart("history-chart")
    );
    let zoomed = browser.eval(&zoom);
    assert_eq!(browser.eval("document.getElementById('zoom-out').hidden"), false);
    let kept =
        browser.eval("window.first = document.querySelector('#alert-rows tr'); window.first.dataset.id");

    let row = samples::ticket("e4-1a", "The Paper Kites", "Floor", 7.25, now());
    memory.alert(samples::drop_alert(&memory, &row, 120.0, 999_999));
    memory.add([row]);
    browser.wait_for(
        "document.querySelector('[data-kind=lowest] .figure').textContent === '$7.25'",
        Duration::from_secs(4),
    );
    browser.wait(&format!("document.querySelectorAll('#alert-rows tr').length === {}", before + 1));
    assert_eq!(browser.text("#alert-rows tr .change"), "▼ 94.0 %");
    assert!(browser.text("#announcer").starts_with("New alert: The Paper Kites"));
    assert_eq!(browser.eval(&zoom), zoomed, "the zoom stays");
    assert_eq!(
        browser.eval(
            "document.querySelectorAll('#alert-rows tr')[1] === window.first && window.first.dataset.id"
        ),
        kept,
        "old rows stay the same elements"
    );
    assert_eq!(browser.eval("performance.getEntriesByType('navigation').length"), 1, "without loading anew");
    browser.eval("document.getElementById('zoom-out').click()");
    browser.wait("document.getElementById('zoom-out').hidden");
    assert_clean(&mut browser, &served);
}

#[test]
fn a_pause_holds_everything_still_until_it_ends() {
    let Some(mut browser) = browser(DESKTOP) else { return };
    let (memory, served) = sample();
    browser.open(&url(&served, PAPER));
    browser.wait(DRAWN);
    browser.eval("document.getElementById('pause').click()");
    browser.wait("document.getElementById('live').dataset.state === 'paused'");
    assert_eq!(browser.text("#pause-text"), "Resume");
    std::thread::sleep(Duration::from_millis(1200));
    let lowest = tile(&mut browser, "lowest");
    let asked = browser.requests.len();
    memory.add([samples::ticket("e4-1a", "The Paper Kites", "Floor", 6.5, now())]);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(tile(&mut browser, "lowest"), lowest);
    assert_eq!(browser.requests.len(), asked, "a paused page asks for nothing");
    browser.eval("document.getElementById('pause').click()");
    browser.wait("document.querySelector('[data-kind=lowest] .figure').textContent === '$6.50'");
    assert_clean(&mut browser, &served);
}

#[test]
fn a_server_that_goes_is_told_and_its_return_is_noticed() {
    let Some(mut browser) = browser(DESKTOP) else { return };
    let (memory, mut served) = sample();
    browser.open(&url(&served, PAPER));
    browser.wait(DRAWN);
    let average = tile(&mut browser, "average");
    served.stop();
    browser.wait("!document.getElementById('banner').hidden");
    assert!(browser.text("#banner").contains("does not answer"));
    assert_eq!(browser.text("#live-text"), "No connection");
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(tile(&mut browser, "average"), average, "what came last stays");
    assert_eq!(browser.eval("document.getElementById('history').dataset.state"), "ready");
    // Filters chosen meanwhile wait for the server with a message, not with old answers.
    memory.add([samples::ticket("e4-1a", "The Paper Kites", "Floor", 5.5, now())]);
    let _again = serve_at(served.address, memory, Options::default());
    browser.eval("document.querySelector('#banner button').click()");
    browser.wait("document.getElementById('banner').hidden");
    browser.wait("document.querySelector('[data-kind=lowest] .figure').textContent === '$5.50'");
    assert_eq!(browser.text("#live-text"), "Live");
}
