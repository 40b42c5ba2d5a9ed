//! Settings for tests.
#![allow(dead_code)]

use std::path::Path;
use std::time::Duration;

use pricemonitor_config::{Format, MappingInput, ReaderSettings, SourceKind, SourceSettings};
use pricemonitor_model::Time;
use pricemonitor_sources::{Context, Poll, Snapshot, Source};

/// 2025-05-07T12:00:00Z: amid the slots of `latest-prices.json`.
pub(crate) const AT: Time = Time::from_seconds(1_746_619_200);

pub(crate) fn settings(kind: SourceKind) -> SourceSettings {
    SourceSettings { name: "spot".to_owned(), interval: Duration::from_secs(10), kind }
}

pub(crate) const PORSSISAHKO: ReaderSettings = ReaderSettings::Format(Format::Porssisahko);

pub(crate) fn mapping(input: MappingInput, jq: &str) -> ReaderSettings {
    ReaderSettings::Mapping {
        input,
        jq: jq.to_owned(),
        currency: Some("EUR".to_owned()),
        unit: None,
        complete: true,
    }
}

pub(crate) fn file(path: impl AsRef<Path>, reader: ReaderSettings) -> SourceSettings {
    settings(SourceKind::File { path: path.as_ref().to_owned(), reader, max_size: 1 << 20 })
}

pub(crate) fn context(base_dir: &Path) -> Context {
    Context { base_dir: base_dir.to_owned(), ..Context::default() }
}

/// A document with one slot an hour, from `AT` on, newest first.
pub(crate) fn hourly(prices: &[&str]) -> String {
    let slots = prices.iter().enumerate().rev().map(|(hour, price)| {
        let start = AT.plus(hour as i64 * 3_600_000);
        let end = start.plus(3_600_000);
        format!(r#"{{"price":{price},"startDate":"{start}","endDate":"{end}"}}"#)
    });
    format!(r#"{{"prices":[{}]}}"#, slots.collect::<Vec<_>>().join(","))
}

/// What a snapshot sends: the prices in order.
pub(crate) fn prices(snapshot: &Snapshot) -> Vec<String> {
    snapshot.observations.iter().map(|o| o.price.to_string()).collect()
}

/// A source together with its committed checkpoint, as the producer keeps it.
pub(crate) struct Polled {
    pub(crate) source: Box<dyn Source>,
    pub(crate) checkpoint: Option<Vec<u8>>,
}

impl Polled {
    pub(crate) fn new(source: Box<dyn Source>) -> Polled {
        Polled { source, checkpoint: None }
    }

    /// Polls and commits; `None` for unchanged.
    pub(crate) async fn poll(&mut self) -> Result<Option<Snapshot>, pricemonitor_sources::SourceError> {
        match self.source.poll(AT, self.checkpoint.as_deref()).await? {
            Poll::Unchanged => Ok(None),
            Poll::Snapshot(snapshot) => {
                self.checkpoint = Some(snapshot.checkpoint.clone());
                Ok(Some(snapshot))
            }
        }
    }

    /// Polls and commits; the prices that were sent, none for unchanged.
    pub(crate) async fn sent(&mut self) -> Vec<String> {
        self.poll().await.unwrap().map(|snapshot| prices(&snapshot)).unwrap_or_default()
    }

    /// Polls; the reason of the failure.
    pub(crate) async fn fails(&mut self) -> (&'static str, String) {
        let error = self.poll().await.unwrap_err();
        (error.reason, error.message)
    }
}
