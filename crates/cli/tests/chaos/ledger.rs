//! What was done to the system and what came of it: the table at the end.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

/// Findings that are written out of one comparison; the rest is counted.
const SHOWN: usize = 3;

/// Faults, recoveries and comparisons of a run.
#[derive(Default)]
pub struct Ledger {
    faults: BTreeMap<&'static str, usize>,
    recoveries: BTreeMap<&'static str, Vec<Duration>>,
    compared: Vec<Compared>,
    /// By monitor, messages that arrived more than once, and how many may.
    pub repeats: Vec<(String, usize, usize)>,
    /// What must not be.
    pub failures: Vec<String>,
    /// What is worth a line, and no failure.
    pub notes: Vec<String>,
}

struct Compared {
    what: String,
    expected: usize,
    there: usize,
    lost: usize,
    doubled: usize,
    strange: usize,
}

impl Ledger {
    /// One more fault of that kind.
    pub fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// How many faults of that kind there were.
    pub fn count(&self, kind: &str) -> usize {
        self.faults.get(kind).copied().unwrap_or_default()
    }

    /// How long it took from a fault to the next committed result.
    pub fn recovered(&mut self, after: &'static str, took: Duration) {
        self.recoveries.entry(after).or_default().push(took);
    }

    /// Compares what must be there with what is, each entry once.
    pub fn compare<T: Ord + Debug>(&mut self, what: &str, mut want: Vec<T>, mut got: Vec<T>) {
        want.sort();
        got.sort();
        let (mut lost, mut doubled, mut strange) = (0, 0, 0);
        let mut shown = Vec::new();
        let (mut left, mut right) = (want.iter().peekable(), got.iter().peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(want), Some(got)) => want.cmp(got),
            };
            let (word, entry) = match order {
                std::cmp::Ordering::Equal => {
                    left.next();
                    right.next();
                    continue;
                }
                std::cmp::Ordering::Less => {
                    lost += 1;
                    ("lost", left.next())
                }
                std::cmp::Ordering::Greater => {
                    let entry = right.next();
                    if entry.is_some_and(|entry| want.binary_search(entry).is_ok()) {
                        doubled += 1;
                        ("doubled", entry)
                    } else {
                        strange += 1;
                        ("unexpected", entry)
                    }
                }
            };
            if shown.len() < SHOWN {
                shown.push(format!("{word}: {entry:?}"));
            }
        }
        if !shown.is_empty() {
            self.failures.push(format!("{what}: {}", shown.join("\n  ")));
        }
        let (expected, there) = (want.len(), got.len());
        self.compared.push(Compared { what: what.to_owned(), expected, there, lost, doubled, strange });
    }

    /// How many there are of what was compared by that name.
    pub fn rows(&self, what: &str) -> i64 {
        self.compared.iter().find(|compared| compared.what == what).map_or(0, |it| it.there as i64)
    }

    /// Prints the table.
    pub fn print(&self, took: Duration) {
        println!("\nchaos: {took:.0?}\n\n{:<44}{:>6}", "fault", "times");
        for (kind, times) in &self.faults {
            println!("{kind:<44}{times:>6}");
        }
        println!(
            "\n{:<44}{:>6}{:>9}{:>9}{:>9}",
            "recovery to the next committed result", "", "p50", "p99", "max"
        );
        for (after, times) in &self.recoveries {
            let mut times = times.clone();
            times.sort();
            let at = |part: usize| times.get((times.len() * part).div_ceil(100).max(1) - 1);
            let seconds = |time: Option<&Duration>| time.map_or(0.0, Duration::as_secs_f64);
            println!(
                "{after:<44}{:>6}{:>8.2}s{:>8.2}s{:>8.2}s",
                times.len(),
                seconds(at(50)),
                seconds(at(99)),
                seconds(times.last())
            );
        }
        println!(
            "\n{:<44}{:>10}{:>10}{:>7}{:>9}{:>11}",
            "what", "expected", "there", "lost", "doubled", "unexpected"
        );
        for Compared { what, expected, there, lost, doubled, strange } in &self.compared {
            println!("{what:<44}{expected:>10}{there:>10}{lost:>7}{doubled:>9}{strange:>11}");
        }
        println!();
        for (monitor, repeats, allowed) in &self.repeats {
            println!("repeated messages, {monitor}: {repeats}, allowed are {allowed}");
        }
        println!();
        self.notes.iter().for_each(|note| println!("note: {note}"));
        self.failures.iter().for_each(|failure| println!("FAILED: {failure}"));
    }
}
