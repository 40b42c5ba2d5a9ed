//! Serves the page with generated prices, to work on it without a store:
//! `cargo run -p pricemonitor-dashboard --example demo [ADDRESS]`.

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fixture::{Memory, samples};
use pricemonitor_dashboard::{Error, Notice, Options, bind};
use pricemonitor_model::Time;
use tokio_util::sync::CancellationToken;

fn now() -> Time {
    Time::from_jiff(jiff::Timestamp::now())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let bound = bind(address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8501)))).await?;
    println!("http://{}/", bound.address());
    let memory = Arc::new(Memory::default());
    samples::tickets(&memory, now(), 10, 10);
    samples::electricity(&memory, now(), 21);
    tokio::spawn(live(memory.clone()));
    let notices = || {
        vec![Notice {
            failing: true,
            monitor: samples::TICKETS.to_owned(),
            text: "source seatgeek: the server said 503, next look in 40 s".to_owned(),
        }]
    };
    let options = Options { version: "demo", notices: Arc::new(notices), ..Options::default() };
    let (answers, stop) = (bound.answers(), CancellationToken::new());
    tokio::join!(answers.page(options, memory, axum::Router::new(), stop.clone()), bound.serve(stop)).1
}

/// A look every two seconds.
async fn live(memory: Arc<Memory>) {
    let mut chance = samples::Chance::new(77);
    let mut prices = memory.latest(samples::TICKETS, &samples::listings());
    for number in 1_000_000.. {
        tokio::time::sleep(Duration::from_secs(2)).await;
        for (at, (item, event, section, _)) in samples::listings().into_iter().enumerate() {
            let before = prices[at];
            prices[at] *= if chance.next() < 0.03 { 0.86 } else { 0.99 + 0.021 * chance.next() };
            let row = samples::ticket(&item, event, section, prices[at], now());
            if prices[at] < before * 0.9 {
                memory.alert(samples::drop_alert(&memory, &row, before, number * 20 + at));
            }
            memory.add([row]);
        }
    }
}
