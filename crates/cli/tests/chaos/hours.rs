//! The electricity file: one known hour more at a time, while hours that stand there already are revised, revised once
//! more and put back.
//!
//! What every hour showed is known in full, however late it is looked at and whoever is killed meanwhile: an hour
//! changes again only when all that it showed has come out at the other end, as lines of the CSV file. Nothing else
//! waits for that; the file grows on.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use pricemonitor_model::Decimal;
use pricemonitor_testkit::feed::{self, HourPrice};
use pricemonitor_testkit::place::{self, Place};
use pricemonitor_testkit::rng::Rng;

use crate::ground::CSV;

/// The file, beside the manifests.
pub const FILE: &str = "latest-prices.json";
/// An hour, in milliseconds.
pub const HOUR: i64 = 3_600_000;
/// How often the file changes.
const TURN: Duration = Duration::from_millis(400);
/// Only so many of the last hours are revised: runs that they are in may be growing still.
const REACH: usize = 24;
/// Changes of an hour that is revised; by the last one it is put back.
const STAGES: usize = 3;

/// A thread that publishes.
pub struct Hours {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<HourPrice>>>,
}

impl Hours {
    /// Publishes the hour that begins at `origin` (milliseconds since 1970) at once.
    pub fn start(place: &Place, origin: i64, rng: Rng) -> Hours {
        let (file, csv) = (place.at(FILE), place.at(CSV));
        let mut sheet = Sheet { origin, rng, shown: Vec::new(), ever: Vec::new(), revised: 0..1, stage: 0 };
        sheet.grow();
        place::replace(&file, feed::document(&sheet.shown)).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::SeqCst) {
                std::thread::sleep(TURN);
                sheet.grow();
                sheet.revise(&std::fs::read_to_string(&csv).unwrap_or_default());
                place::replace(&file, feed::document(&sheet.shown)).unwrap();
            }
            sheet.ever
        });
        Hours { over, thread: Some(thread) }
    }

    /// Ends; the file stays. Every price that any hour ever showed, in the order in which they were published.
    pub fn end(mut self) -> Vec<HourPrice> {
        self.over.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Hours {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What stands in the file.
struct Sheet {
    origin: i64,
    rng: Rng,
    shown: Vec<HourPrice>,
    /// Whatever stood there.
    ever: Vec<HourPrice>,
    /// Hours side by side that are being revised.
    revised: Range<usize>,
    /// How often they were.
    stage: usize,
}

impl Sheet {
    fn grow(&mut self) {
        let next = feed::hour(self.origin, self.shown.len() as i64);
        self.ever.push(next.clone());
        self.shown.push(next);
    }

    /// Goes on with the hours that are being revised, if the CSV file has all that they showed.
    fn revise(&mut self, csv: &str) {
        if !self.revised.clone().all(|at| self.has_come_out(at, csv)) {
            return;
        }
        self.stage += 1;
        for at in self.revised.clone() {
            let price = if self.stage == STAGES {
                feed::hour(self.origin, at as i64).price
            } else {
                // In thousandths, as all of them; one in eight is below zero.
                Decimal::new(self.rng.between(0, 44_000) as i64 - 6_000, 3).to_string()
            };
            // The same price once more would be no revision.
            if price != self.shown[at].price {
                self.shown[at].price = price;
                self.ever.push(self.shown[at].clone());
            }
        }
        if self.stage == STAGES {
            let there = self.shown.len();
            let first = self.rng.between(there.saturating_sub(REACH) as u64, there as u64) as usize;
            self.revised = first..there.min(first + self.rng.between(1, 4) as usize);
            self.stage = 0;
        }
    }

    /// Counted, because what is put back was there before.
    fn has_come_out(&self, at: usize, csv: &str) -> bool {
        let start = self.shown[at].start.as_str();
        let shown = self.ever.iter().filter(|hour| hour.start == start).count();
        csv.lines().filter(|line| line.split(',').nth(2) == Some(start)).count() >= shown
    }
}
