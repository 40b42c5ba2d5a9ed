//! Channels of real workers: Discord by its variable, and a webhook that is gone.

use std::collections::BTreeSet;

use pricemonitor_testkit::webhook::{Answer, Receiver};
use pricemonitor_testkit::{http, wait};
use serde_json::Value;

use crate::common::{SOON, manifest};
use crate::fleet::Fleet;
use crate::shop;

const TOKEN: &str = "PLANTED-token-4715";

/// Waits until the outbox has so many deliveries in a state.
#[track_caller]
fn delivered(fleet: &Fleet, state: &str, count: i64) {
    let from = format!("alert_deliveries WHERE state = '{state}'");
    let _ = wait::until("deliveries", SOON, || fleet.count(&from) >= count);
    let all = fleet.rows("SELECT state, reason FROM alert_deliveries");
    assert_eq!(fleet.count(&from), count, "{state}: {all:?}");
}

#[test]
fn a_monitor_without_channels_tells_discord_where_the_variable_says_and_shows_the_address_nowhere() {
    // It repeats the address, as careless servers do: at first it fails, then it takes, in the end it refuses.
    let discord = Receiver::start(|request| match request.number {
        0 => Answer::Reply(500, Vec::new(), format!("no way to {}", request.path)),
        1 => Answer::Reply(200, Vec::new(), r#"{"id": "1234567890"}"#.to_owned()),
        _ => Answer::Reply(400, Vec::new(), format!("nothing for {}", request.path)),
    })
    .unwrap();
    let mut fleet = Fleet::new(&manifest("to-discord", shop::SOURCE)).with_database("to_discord");
    let address = discord.url(&format!("/api/webhooks/4711/{TOKEN}"));
    fleet.variables.push(("DISCORD_WEBHOOK_URL".to_owned(), address));
    fleet.variables.push(("RUST_LOG".to_owned(), "debug".to_owned()));
    fleet.does(&["setup"]);
    shop::publish(&fleet, 3, 100);
    let workers = ["producer", "processor", "storage", "alert", "dashboard"].map(|role| fleet.ready(role));
    let processed = |count| workers[1].wait_metric("pricemonitor_observations_processed_total", &[], count);
    processed(3.0);
    shop::publish(&fleet, 3, 90);
    delivered(&fleet, "ok", 3);
    shop::publish(&fleet, 3, 80);
    delivered(&fleet, "refused", 3);

    let received = discord.received();
    assert!(
        received.iter().all(|request| request.path.contains(TOKEN) && request.path.contains("wait=true"))
    );
    let message: Value = serde_json::from_str(&received[1].body).unwrap();
    assert_eq!(message["embeds"].as_array().map(Vec::len), Some(3), "{message}");
    assert_eq!(message["allowed_mentions"]["parse"], Value::Array(Vec::new()));
    assert_eq!(received[0].body, received[1].body, "what failed was sent again");
    let results = ["retried", "ok", "refused"].map(|result| {
        let labels = ["channel=\"discord\"", &format!("result=\"{result}\"")];
        workers[3].metric("pricemonitor_deliveries_total", &labels)
    });
    assert_eq!(results, [3.0, 3.0, 3.0]);

    let reasons = fleet.rows("SELECT reason FROM alert_deliveries WHERE state = 'refused'");
    assert!(reasons.iter().all(|row| row[0].contains("400") && !row[0].contains(TOKEN)), "{reasons:?}");
    for path in ["/", "/api/v1/alerts", "/api/v1/notices"] {
        let page = http::get(workers[4].port, path).unwrap();
        assert!(page.status == 200 && !page.body.contains(TOKEN), "{path}: {}", page.body);
    }
    for worker in workers {
        for path in ["/metrics", "/readyz"] {
            let body = http::get(worker.port, path).unwrap().body;
            assert!(!body.contains(TOKEN), "{path}: {body}");
        }
        let said = worker.end();
        assert!(!said.contains(TOKEN), "{said}");
    }
}

fn to_hook(stub: &Receiver) -> String {
    let spec = format!("{}channels: [{{name: hook, webhook: {{url: '{}'}}}}]\n", shop::SOURCE, stub.url("/"));
    manifest("moved", &spec)
}

#[test]
fn a_webhook_that_is_gone_is_asked_no_more_and_the_one_in_its_place_gets_what_waits() {
    let gone = Receiver::start(|_| Answer::status(410)).unwrap();
    let fleet = Fleet::new(&to_hook(&gone)).with_database("moved");
    fleet.does(&["setup"]);
    shop::publish(&fleet, 3, 100);
    let [producer, processor, alert] = ["producer", "processor", "alert"].map(|role| fleet.ready(role));
    processor.wait_metric("pricemonitor_observations_processed_total", &[], 3.0);
    shop::publish(&fleet, 3, 90);
    delivered(&fleet, "gone", 1);
    // More is accepted and waits; the worker is well, and says what is off.
    shop::publish(&fleet, 3, 80);
    delivered(&fleet, "pending", 5);
    assert_eq!(gone.received().len(), 1, "it was asked once");
    assert_eq!(alert.metric("pricemonitor_deliveries_total", &["channel=\"hook\"", "result=\"gone\""]), 1.0);
    alert.wait_metric("pricemonitor_deliveries_pending", &["channel=\"hook\""], 5.0);
    assert!(alert.says().is_some_and(|(status, _)| status == 200));
    let port = alert.port;
    let said = alert.end();
    assert!(said.contains("the channel is gone") && said.contains("410"), "{said}");

    let new = Receiver::start(|_| Answer::status(200)).unwrap();
    fleet.place.write("monitor.yaml", to_hook(&new)).unwrap();
    let mut alert = fleet.start("alert", port);
    alert.ready();
    delivered(&fleet, "ok", 5);
    delivered(&fleet, "gone", 1);
    let ids = |stub: &Receiver| -> BTreeSet<String> {
        stub.received().into_iter().filter_map(|request| request.id).collect()
    };
    assert!(new.received().len() == 5 && ids(&new).len() == 5 && ids(&new).is_disjoint(&ids(&gone)));
    for worker in [producer, processor, alert] {
        worker.end();
    }
}
