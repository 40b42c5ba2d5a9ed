//! Price feeds with a known answer.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use pricemonitor_model::{Decimal, Time};

use crate::place;

/// One hourly price as it stands in a `latest-prices.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourPrice {
    /// The price's digits, as a JSON number.
    pub price: String,
    /// First instant.
    pub start: String,
    /// First instant after.
    pub end: String,
}

/// The price of hour `n` after `origin` (milliseconds since 1970, on the hour): a function of `n`
/// alone, negative and zero ones among them.
pub fn hour(origin: i64, n: i64) -> HourPrice {
    let cents = (n * 7919).rem_euclid(40_000) - 2_000;
    HourPrice {
        price: Decimal::new(cents, 3).to_string(),
        start: instant(origin + n * 3_600_000),
        end: instant(origin + (n + 1) * 3_600_000),
    }
}

/// Milliseconds since 1970 as the feed writes them.
pub fn instant(millis: i64) -> String {
    Time::from_millis(millis).to_string()
}

/// The document of these hours, newest first, as porssisahko.net publishes it.
pub fn document(hours: &[HourPrice]) -> String {
    let lines: Vec<String> = hours
        .iter()
        .rev()
        .map(|hour| {
            format!(
                r#"    {{"price": {}, "startDate": "{}", "endDate": "{}"}}"#,
                hour.price, hour.start, hour.end
            )
        })
        .collect();
    format!("{{\n  \"prices\": [\n{}\n  ]\n}}\n", lines.join(",\n"))
}

/// A `latest-prices.json` that grows: a thread publishes one hour more at a time and replaces the
/// file by rename. However often and however late it is looked at, and whoever is killed in between,
/// the observations of the whole run are exactly its hours, each once.
pub struct GrowingFile {
    path: PathBuf,
    origin: i64,
    published: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    failed: Arc<Mutex<Option<anyhow::Error>>>,
    thread: Option<JoinHandle<()>>,
}

impl GrowingFile {
    /// Publishes hour 0 at once and one more every `every`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn start(path: &Path, origin: i64, every: Duration) -> Result<GrowingFile> {
        let published = Arc::new(AtomicUsize::new(0));
        let stopped = Arc::new(AtomicBool::new(false));
        let failed = Arc::new(Mutex::new(None));
        let mut hours = vec![hour(origin, 0)];
        place::replace(path, document(&hours))?;
        published.store(1, Ordering::SeqCst);
        let thread = {
            let (path, published) = (path.to_owned(), Arc::clone(&published));
            let (stopped, failed) = (Arc::clone(&stopped), Arc::clone(&failed));
            std::thread::spawn(move || {
                while !stopped.load(Ordering::SeqCst) {
                    std::thread::sleep(every);
                    hours.push(hour(origin, hours.len() as i64));
                    match place::replace(&path, document(&hours)) {
                        Ok(()) => published.store(hours.len(), Ordering::SeqCst),
                        Err(error) => {
                            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                            return;
                        }
                    }
                }
            })
        };
        Ok(GrowingFile { path: path.to_owned(), origin, published, stopped, failed, thread: Some(thread) })
    }

    /// How many hours are published so far.
    pub fn published(&self) -> usize {
        self.published.load(Ordering::SeqCst)
    }

    /// Stops growing; the file stays. Gives every hour that was ever published, in order.
    ///
    /// # Errors
    /// When a write failed on the way.
    pub fn stop(mut self) -> Result<Vec<HourPrice>> {
        self.end();
        if let Some(error) = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error).with_context(|| format!("growing {}", self.path.display()));
        }
        Ok((0..self.published() as i64).map(|n| hour(self.origin, n)).collect())
    }

    fn end(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for GrowingFile {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_file_holds_exactly_what_it_says() {
        let place = place::Place::new().unwrap();
        let path = place.at("latest-prices.json");
        let file = GrowingFile::start(&path, 0, Duration::from_millis(5)).unwrap();
        crate::wait::until("a few hours", Duration::from_secs(5), || file.published() > 3).unwrap();
        let hours = file.stop().unwrap();
        let written: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let prices = written["prices"].as_array().unwrap();
        assert_eq!(prices.len(), hours.len());
        assert_eq!(prices.last().unwrap()["startDate"], "1970-01-01T00:00:00.000Z");
        assert_eq!(prices[0]["startDate"], hours.last().unwrap().start.as_str());
        assert!(hours.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!(hour(0, 0).price, "-2.000");
    }
}
