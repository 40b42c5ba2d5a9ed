//! Server-sent events, and the end of everything.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod fixture;

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Served, head, open, serve};
use fixture::{Memory, samples};
use pricemonitor_dashboard::{Exported, Notice, Options, Prices, QueryError};
use pricemonitor_model::Time;
use pricemonitor_store::query::*;

fn row(price: f64) -> fixture::Row {
    samples::ticket("i", "e", "s", price, Time::from_seconds(1_790_000_000))
}

/// One event: name, id, data.
#[derive(Debug, Default, PartialEq)]
struct Event {
    name: String,
    id: String,
    data: String,
}

struct Listener(BufReader<TcpStream>);

impl Listener {
    fn new(served: &Served, headers: &[(&str, &str)]) -> Listener {
        let mut reader = open(served.address, "GET", "/api/v1/live", headers);
        let (status, headers) = head(&mut reader);
        assert_eq!(status, 200);
        let kind = headers.iter().find(|(name, _)| name == "content-type").unwrap();
        assert_eq!(kind.1, "text/event-stream");
        Listener(reader)
    }

    /// The next event; `None` at the end of the stream.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // Chunk sizes stand between the lines; none of them has a colon.
            match line.trim_end().split_once(": ") {
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("data", data)) => event.data = data.to_owned(),
                _ if !event.name.is_empty() => return Some(event),
                _ => {}
            }
        }
    }
}

#[test]
fn what_is_stored_is_told_to_everybody_who_listens() {
    let memory = Arc::new(Memory::default());
    let served = serve(memory.clone(), Options::default());
    let mut listeners: Vec<_> = (0..3).map(|_| Listener::new(&served, &[])).collect();
    for listener in &mut listeners {
        let first = listener.next().unwrap();
        assert_eq!((first.name.as_str(), first.id.as_str()), ("ready", "0-0"));
    }
    let begun = Instant::now();
    memory.add([row(1.0), row(2.0)]);
    for listener in &mut listeners {
        let news = loop {
            let event = listener.next().unwrap();
            if event.name != "notices" {
                break event;
            }
        };
        assert_eq!(
            news,
            Event { name: "changed".into(), id: "2-0".into(), data: "{\"rows\":2,\"alerts\":0}".into() }
        );
    }
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn who_comes_back_hears_at_once_what_was_missed() {
    let memory = Arc::new(Memory::default());
    memory.add([row(1.0)]);
    let served = serve(memory, Options::default());
    for (id, name) in [("0-0", "changed"), ("1-0", "ready"), ("nonsense", "ready"), ("9-9-9", "ready")] {
        let first = Listener::new(&served, &[("last-event-id", id)]).next().unwrap();
        assert_eq!((first.name.as_str(), first.id.as_str()), (name, "1-0"), "{id}");
    }
}

#[test]
fn new_notices_are_told_without_new_prices() {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let reading = shown.clone();
    let notices = Arc::new(move || reading.lock().unwrap().clone());
    let served = serve(Arc::new(Memory::default()), Options { notices, ..Options::default() });
    let mut listener = Listener::new(&served, &[]);
    assert_eq!(listener.next().unwrap().name, "ready");
    shown.lock().unwrap().push(Notice { failing: true, monitor: "m".into(), text: "t".into() });
    assert_eq!(listener.next().unwrap().name, "notices");
}

#[test]
fn everything_ends_within_two_seconds_even_with_silent_and_slow_clients() {
    let memory = Arc::new(Memory::default());
    let served = &mut serve(memory, Options::default());
    let mut listeners: Vec<_> = (0..4).map(|_| Listener::new(served, &[])).collect();
    let _silent: Vec<_> = (0..4).map(|_| TcpStream::connect(served.address).unwrap()).collect();
    for listener in &mut listeners {
        assert_eq!(listener.next().unwrap().name, "ready");
    }
    let took = served.stop();
    assert!(took < Duration::from_secs(2), "{took:?}");
    for listener in &mut listeners {
        let mut names = Vec::new();
        while let Some(event) = listener.next() {
            names.push(event.name);
        }
        assert_eq!(names.last().map(String::as_str), Some("bye"));
    }
}

/// Counts how often the cursor is asked for.
#[derive(Default)]
struct Counted(Memory, AtomicUsize);

#[async_trait::async_trait]
impl Prices for Counted {
    async fn facets(&self) -> Result<Facets, QueryError> {
        self.0.facets().await
    }
    async fn statistics(&self, filter: &Filter) -> Result<Statistics, QueryError> {
        self.0.statistics(filter).await
    }
    async fn history(&self, filter: &Filter, lines: u32, points: u32) -> Result<History, QueryError> {
        self.0.history(filter, lines, points).await
    }
    async fn distribution(&self, filter: &Filter, bars: u32) -> Result<Vec<Bar>, QueryError> {
        self.0.distribution(filter, bars).await
    }
    async fn hour_profile(&self, filter: &Filter, zone: &str) -> Result<Vec<HourCell>, QueryError> {
        self.0.hour_profile(filter, zone).await
    }
    async fn alerts(&self, filter: &Filter, limit: u32) -> Result<Vec<AlertRow>, QueryError> {
        self.0.alerts(filter, limit).await
    }
    async fn cursor(&self) -> Result<Cursor, QueryError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.cursor().await
    }
    fn export(&self, filter: &Filter) -> Exported {
        self.0.export(filter)
    }
}

#[test]
fn the_store_is_left_alone_while_nobody_listens_and_asked_once_for_all_who_do() {
    let counted = Arc::new(Counted::default());
    let options = Options { refresh: Duration::from_millis(50), ..Options::default() };
    let served = serve(counted.clone(), options);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(counted.1.load(Ordering::Relaxed), 0);
    let listeners: Vec<_> = (0..20).map(|_| Listener::new(&served, &[])).collect();
    std::thread::sleep(Duration::from_millis(1000));
    let asked = counted.1.load(Ordering::Relaxed);
    assert!((21..=20 + 25).contains(&asked), "{asked} questions by 20 listeners in a second");
    drop(listeners);
    // Gone listeners are noticed at the next beat at the latest; news make it sooner.
    counted.0.add([row(1.0)]);
    std::thread::sleep(Duration::from_millis(500));
    counted.0.add([row(2.0)]);
    std::thread::sleep(Duration::from_millis(500));
    let before = counted.1.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(500));
    assert!(counted.1.load(Ordering::Relaxed) <= before + 1);
}

#[test]
fn too_many_listeners_are_sent_away_with_a_remedy() {
    let served = serve(Arc::new(Memory::default()), Options::default());
    let listeners: Vec<_> = (0..128).map(|_| Listener::new(&served, &[])).collect();
    let answer = served.get("/api/v1/live");
    assert_eq!(answer.status, 503);
    assert!(answer.json()["remedy"].is_string());
    drop(listeners);
}
