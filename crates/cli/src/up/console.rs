//! The console: a line for each price change, a marked one for each alert, a status now and then.

use std::io::IsTerminal;
use std::time::Duration;

use pricemonitor_model::Alert;
use pricemonitor_workers::{Metrics, Seen, Witness};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::args::{LogFormat, UpArgs};
use crate::out;

/// How often the status line comes; the first one sooner.
const STATUS: Duration = Duration::from_secs(30);
const FIRST_STATUS: Duration = Duration::from_secs(8);
/// Most lines that are written in one go.
const BURST: usize = 128;

/// Writes to standard output.
pub(super) struct Console {
    format: LogFormat,
    quiet: bool,
    several: bool,
    colour: bool,
    witness: Witness,
}

impl Console {
    /// `several`: whether lines must say which monitor they are about.
    pub(super) fn new(args: &UpArgs, several: bool, witness: Witness) -> Console {
        let colour = args.log_format == LogFormat::Human && std::io::stdout().is_terminal();
        Console { format: args.log_format, quiet: args.quiet, several, colour, witness }
    }

    /// Shows what comes until `stop`, and what is left then.
    pub(super) async fn run(self, mut seen: mpsc::Receiver<Seen>, metrics: Metrics, stop: CancellationToken) {
        let mut burst = Vec::with_capacity(BURST);
        let mut status = tokio::time::interval_at(tokio::time::Instant::now() + FIRST_STATUS, STATUS);
        let mut last = String::new();
        loop {
            tokio::select! {
                biased;
                got = seen.recv_many(&mut burst, BURST) => {
                    if got == 0 {
                        return;
                    }
                    self.show(&mut burst);
                }
                _ = status.tick() => {
                    let line = self.status(&metrics);
                    if line != last {
                        self.write(&format!("{line}\n"));
                        last = line;
                    }
                }
                () = stop.cancelled() => break,
            }
        }
        while let Ok(more) = seen.try_recv() {
            burst.push(more);
        }
        self.show(&mut burst);
        self.write(&format!("{}\n", self.status(&metrics)));
    }

    fn show(&self, burst: &mut Vec<Seen>) {
        let mut text = String::new();
        for seen in burst.drain(..) {
            let line = match (&seen, self.format) {
                (Seen::Change { .. }, _) if self.quiet => continue,
                (_, LogFormat::Json) => json(&seen),
                (_, LogFormat::Human) => self.human(&seen),
            };
            text.push_str(&line);
            text.push('\n');
        }
        let missed = self.witness.take_missed();
        if missed > 0 && !self.quiet && self.format == LogFormat::Human {
            text.push_str(&format!("... and {missed} more changes than the console shows\n"));
        }
        self.write(&text);
    }

    fn human(&self, seen: &Seen) -> String {
        match seen {
            Seen::Change { monitor, event, section, previous, price, unit, percent, slot } => {
                let mut line = self.prefix(monitor);
                line.push_str(&clean(event));
                if !section.is_empty() {
                    line.push_str(&format!(" | {}", clean(section)));
                }
                if let Some(slot) = slot {
                    line.push_str(&format!(" | {}", slot.start));
                }
                line.push_str(&format!(" | {previous} -> {price} {}", clean(unit)));
                if let Some(percent) = percent {
                    line.push_str(&format!(
                        " ({}{percent} %)",
                        if percent.starts_with('-') { "" } else { "+" }
                    ));
                }
                line
            }
            Seen::Alert(alert) => self.mark(&format!(
                "{}ALERT {}: {}",
                self.prefix(&alert.monitor),
                clean(&alert.rule),
                clean(&alert.summary)
            )),
        }
    }

    /// Which monitor a line is about, where there are several.
    fn prefix(&self, monitor: &str) -> String {
        if self.several { format!("[{}] ", short(monitor)) } else { String::new() }
    }

    /// Bold, where the terminal can.
    fn mark(&self, line: &str) -> String {
        if self.colour { format!("\x1b[1;33m>>> {line}\x1b[0m") } else { format!(">>> {line}") }
    }

    fn status(&self, metrics: &Metrics) -> String {
        let sum = Sums::of(metrics);
        match self.format {
            LogFormat::Json => serde_json::json!({
                "kind": "status", "observations": sum.observations, "changes": sum.changes,
                "alerts": sum.alerts, "lag": sum.lag,
            })
            .to_string(),
            LogFormat::Human => format!(
                "--- {} observations, {} changes, {} alerts, lag {}",
                grouped(sum.observations),
                grouped(sum.changes),
                grouped(sum.alerts),
                grouped(sum.lag),
            ),
        }
    }

    fn write(&self, text: &str) {
        // A terminal that is held (Ctrl-S) blocks this thread, which must not be one the others need.
        tokio::task::block_in_place(|| out::show(text));
    }
}

/// The figures of the status line since the start.
#[derive(Default)]
struct Sums {
    observations: u64,
    changes: u64,
    alerts: u64,
    lag: u64,
}

impl Sums {
    fn of(metrics: &Metrics) -> Sums {
        let mut sums = Sums::default();
        for family in metrics.registry().gather() {
            for metric in family.get_metric() {
                let label =
                    |name: &str| metric.get_label().iter().find(|l| l.name() == name).map(|l| l.value());
                match family.name() {
                    "pricemonitor_observations_processed_total" => {
                        let count = metric.get_counter().get_value() as u64;
                        sums.observations += count;
                        if matches!(label("direction"), Some("drop" | "rise" | "revised")) {
                            sums.changes += count;
                        }
                    }
                    "pricemonitor_alerts_total" => sums.alerts += metric.get_counter().get_value() as u64,
                    "pricemonitor_consumer_lag_records" => {
                        sums.lag += metric.get_gauge().get_value().max(0.0) as u64
                    }
                    _ => {}
                }
            }
        }
        sums
    }
}

/// The name without its namespace.
fn short(monitor: &str) -> &str {
    monitor.split_once('.').map_or(monitor, |(_, name)| name)
}

/// Titles come from outside: without control characters they cannot move the cursor or ring the
/// bell, and without direction marks they cannot turn a line around.
fn clean(text: &str) -> String {
    let hostile = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if hostile(c) { '\u{fffd}' } else { c }).collect()
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn json(seen: &Seen) -> String {
    match seen {
        Seen::Change { monitor, event, section, previous, price, unit, percent, slot } => serde_json::json!({
            "kind": "change", "monitor": monitor, "event": event, "section": section, "previous": previous,
            "price": price, "unit": unit, "percent": percent, "slot": slot,
        })
        .to_string(),
        Seen::Alert(alert) => alert_json(alert),
    }
}

fn alert_json(alert: &Alert<'_>) -> String {
    serde_json::json!({ "kind": "alert", "alert": alert }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_titles_cannot_move_the_cursor() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(clean("a\x1b[2J\u{202e}b"), "a\u{fffd}[2J\u{fffd}b");
    }
}
